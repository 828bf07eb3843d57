//! Requests per second and CPU time per request, at full load.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::daemon::HOST;
use crate::options::Options;
use crate::proc::{Machine, cpu_seconds, machine};
use crate::proxies::{Proxies, Subject, Who};
use crate::report::{Goal, Report, say};
use crate::stats::{median, paired_ratio};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Small,
    Large,
}

impl Size {
    fn bytes(self) -> usize {
        match self {
            Self::Small => 100,
            Self::Large => 64 << 10,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Small => "100 B",
            Self::Large => "64 KiB",
        }
    }

    /// Buffers make a difference only to what doesn't fit into them.
    fn includes(self, who: Who) -> bool {
        self == Self::Large || who != Who::NginxTuned
    }
}

/// What every round said of one subject.
struct Series {
    who: Who,
    rates: Vec<f64>,
    /// Microseconds of CPU per request.
    costs: Vec<f64>,
    /// What stands beside that: the same of the whole machine, client and backend included, the share of
    /// its time without work, and switches from thread to thread per request.
    around: Vec<[f64; 3]>,
    failed: u64,
}

struct Case {
    size: Size,
    connections: usize,
    series: Vec<Series>,
}

/// All sizes with all numbers of connections, over all starts.
pub(crate) struct Cases(Vec<Case>);

impl Cases {
    pub(crate) fn new(options: &Options) -> Self {
        let sizes = [Size::Small, Size::Large];
        let of_size = |size| options.connections.iter().map(move |connections| (size, *connections));
        let case = |(size, connections)| Case { size, connections, series: vec![] };
        Self(sizes.into_iter().flat_map(of_size).map(case).collect())
    }

    pub(crate) async fn measure(&mut self, options: &Options, proxies: &Proxies) -> Result<()> {
        for case in &mut self.0 {
            case.measure(options, proxies).await?;
        }
        Ok(())
    }

    pub(crate) fn judge(&self, report: &mut Report) {
        for case in &self.0 {
            case.tell();
            judge(&case.name(), case.size, &case.series, report);
        }
    }
}

impl Case {
    fn name(&self) -> String {
        format!("{}, {} connections", self.size.name(), self.connections)
    }

    async fn measure(&mut self, options: &Options, proxies: &Proxies) -> Result<()> {
        let rounds = options.rounds_per_start();
        say(&format!("Warm path, {}: {rounds} rounds of {} s", self.name(), options.load.as_secs()));
        let subjects: Vec<Subject> =
            proxies.subjects.iter().copied().filter(|one| self.size.includes(one.who)).collect();
        if self.series.is_empty() {
            self.series = subjects.iter().map(|one| Series::new(one.who)).collect();
        }
        for round in 0..rounds {
            for step in 0..subjects.len() {
                // Nobody always comes after the same neighbour.
                let at = (step + round) % subjects.len();
                let (subject, series) = (subjects[at], &mut self.series[at]);
                let before = cpu_seconds(subject.process)?;
                let around = machine()?;
                let load = load(options, subject, self.size.bytes(), self.connections).await?;
                series.around.push(per_request(around, machine()?, load.requests));
                let used = cpu_seconds(subject.process)? - before;
                series.rates.push(load.requests / load.seconds);
                series.costs.push(used * 1e6 / load.requests);
                series.failed += load.failed;
            }
        }
        Ok(())
    }

    fn tell(&self) {
        say(&format!("\nWarm path, {}", self.name()));
        for one in &self.series {
            let (rate, cost) = (median(&one.rates), median(&one.costs));
            let [all, idle, switches] =
                [0, 1, 2].map(|at| median(&one.around.iter().map(|round| round[at]).collect::<Vec<_>>()));
            say(&format!(
                "  {:11} {rate:>8.0} requests/s  {cost:>6.1} µs CPU  {} failed   (machine: {all:.0} µs, {:.0} % \
                 idle, {switches:.1} switches)",
                format!("{:?}", one.who),
                one.failed,
                idle * 100.0
            ));
        }
    }
}

impl Series {
    fn new(who: Who) -> Self {
        Self { who, rates: vec![], costs: vec![], around: vec![], failed: 0 }
    }
}

fn per_request(before: Machine, after: Machine, requests: f64) -> [f64; 3] {
    let (busy, idle) = (after.busy - before.busy, after.idle - before.idle);
    [busy * 1e6 / requests, idle / (busy + idle), (after.switches - before.switches) / requests]
}

fn judge(case: &str, size: Size, series: &[Series], report: &mut Report) {
    let of = |who| series.iter().find(|one| one.who == who);
    let (Some(own), Some(nginx), Some(haproxy)) = (of(Who::Maelstromd), of(Who::Nginx), of(Who::Haproxy))
    else {
        return;
    };
    let cpu = |base: &Series| paired_ratio(&own.costs, &base.costs);
    let rate = |base: &Series| paired_ratio(&own.rates, &base.rates);
    let (cpu_goal, rate_goal) = match size {
        Size::Small => (Goal::AtMost { must: 1.0, target: 0.9 }, Goal::AtLeast { must: 1.0, target: 1.15 }),
        Size::Large => (Goal::AtMost { must: 0.7, target: 0.6 }, Goal::None),
    };
    report.add(format!("CPU per request, {case}"), cpu(nginx), "× nginx", cpu_goal);
    if let Some(tuned) = of(Who::NginxTuned) {
        let goal = Goal::AtMost { must: f64::INFINITY, target: 1.05 };
        report.add(format!("CPU per request, {case}"), cpu(tuned), "× tuned", goal);
    }
    report.add(format!("CPU per request, {case}"), cpu(haproxy), "× haproxy", Goal::None);
    report.add(format!("requests/s, {case}"), rate(nginx), "× nginx", rate_goal);
    report.add(format!("requests/s, {case}"), rate(haproxy), "× haproxy", Goal::None);
    report.add(
        format!("failed requests, {case}"),
        own.failed as f64,
        "",
        Goal::AtMost { must: 0.0, target: 0.0 },
    );
}

pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) failed: u64,
}

/// Full load by wrk, which costs less of the shared processors than a client of our own would.
pub(crate) async fn load(
    options: &Options,
    subject: Subject,
    bytes: usize,
    connections: usize,
) -> Result<Load> {
    let mut wrk = Command::new("wrk");
    wrk.arg(format!("-t{}", options.processors.min(connections)))
        .arg(format!("-c{connections}"))
        .arg(format!("-d{}s", options.load.as_secs()))
        .args(["-H", &format!("Host: {HOST}")])
        .arg(format!("http://{}/bytes?n={bytes}", subject.address));
    let output = tokio::task::spawn_blocking(move || wrk.output()).await?.context("running wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    parse_wrk(&text).with_context(|| format!("wrk said:\n{text}"))
}

fn parse_wrk(text: &str) -> Option<Load> {
    let total = text.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = total.trim().split_once(" requests in ")?;
    let seconds = rest.split_once(',')?.0;
    let seconds = match seconds.strip_suffix('m') {
        Some(minutes) => minutes.parse::<f64>().ok()? * 60.0,
        None => seconds.strip_suffix('s')?.parse().ok()?,
    };
    let errors = text.lines().filter(|line| line.contains("Socket errors:") || line.contains("Non-2xx"));
    let digits = |line: &str| line.rsplit_once(':').map_or(0, |(_, counts)| sum_of_numbers(counts));
    // "Socket errors: connect 0, read 0, …" and "Non-2xx or 3xx responses: 5"
    let failed = errors.map(digits).sum();
    Some(Load { requests: requests.parse().ok()?, seconds, failed })
}

fn sum_of_numbers(text: &str) -> u64 {
    text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let text = "Running 3s test @ http://127.0.0.1:1/\n  2 threads and 32 connections\n  \
                    39000 requests in 3.02s, 5.10MB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n  \
                    Non-2xx or 3xx responses: 5\nRequests/sec: 12913.90\n";
        let load = parse_wrk(text).unwrap();
        assert_eq!((load.requests, load.seconds, load.failed), (39000.0, 3.02, 8));
    }
}
