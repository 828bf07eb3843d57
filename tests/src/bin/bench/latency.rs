//! What a proxy adds to the time of a request while the machine is far from full.
//!
//! An open loop: requests go out at their times, whatever became of those before.
//! A request that had to wait for an earlier one counts from when it was due, so
//! that a stall is seen by all that it hit.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::client::Client;
use crate::daemon::HOST;
use crate::options::Options;
use crate::proxies::{Proxies, Who};
use crate::report::{Goal, Report, say};
use crate::stats::{median, percentile};

/// Connections, each with a thread that sleeps between its requests.
const SENDERS: u32 = 8;

/// Who answers; `None` is the backend itself.
struct Series {
    who: Option<Who>,
    /// Microseconds, one a round.
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// All rates, over all starts.
pub(crate) struct Cases(Vec<(u32, Vec<Series>)>);

impl Cases {
    pub(crate) fn new(options: &Options) -> Self {
        Self(options.rates.iter().map(|rate| (*rate, vec![])).collect())
    }

    pub(crate) async fn measure(
        &mut self,
        options: &Options,
        proxies: &Proxies,
        backend: SocketAddr,
    ) -> Result<()> {
        let proxied = [Who::Nginx, Who::Haproxy, Who::Maelstromd];
        let proxied = proxied.into_iter().filter_map(|who| Some((Some(who), proxies.of(who)?.address)));
        let subjects: Vec<_> = [(None, backend)].into_iter().chain(proxied).collect();
        for (rate, series) in &mut self.0 {
            let rounds = options.rounds_per_start();
            say(&format!("Latency at {rate} requests/s: {rounds} rounds of {} s", options.load.as_secs()));
            if series.is_empty() {
                let new =
                    |(who, _): &(Option<Who>, SocketAddr)| Series { who: *who, p50: vec![], p99: vec![] };
                *series = subjects.iter().map(new).collect();
            }
            for round in 0..rounds {
                for step in 0..subjects.len() {
                    let at = (step + round) % subjects.len();
                    let (address, rate, span) = (subjects[at].1, *rate, options.load);
                    let times = tokio::task::spawn_blocking(move || open_loop(address, rate, span)).await??;
                    series[at].p50.push(percentile(&times, 0.5));
                    series[at].p99.push(percentile(&times, 0.99));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn judge(&self, report: &mut Report) {
        for (rate, series) in &self.0 {
            judge(*rate, series, report);
        }
    }
}

fn judge(rate: u32, series: &[Series], report: &mut Report) {
    say(&format!("\nLatency at {rate} requests/s"));
    let direct = &series[0];
    for one in series {
        let name = one.who.map_or("direct".into(), |who| format!("{who:?}"));
        say(&format!("  {name:11} p50 {:>6.0} µs  p99 {:>6.0} µs", median(&one.p50), median(&one.p99)));
    }
    let of = |who| series.iter().find(|one| one.who == Some(who));
    let (Some(own), Some(nginx)) = (of(Who::Maelstromd), of(Who::Nginx)) else { return };
    // Medians over the rounds first: what one round adds to a direct request can be near nothing,
    // and a ratio of two such numbers says nothing.
    let added = |one: &[f64], base: &[f64]| median(one) - median(base);
    let p50 = added(&own.p50, &direct.p50) / added(&nginx.p50, &direct.p50);
    let p99 = added(&own.p99, &direct.p99) / added(&nginx.p99, &direct.p99);
    report.add(
        format!("added p50 at {rate} requests/s"),
        p50,
        "× nginx",
        Goal::AtMost { must: 1.1, target: 1.0 },
    );
    report.add(
        format!("added p99 at {rate} requests/s"),
        p99,
        "× nginx",
        Goal::AtMost { must: 1.25, target: 1.1 },
    );
}

/// Times of all requests, in microseconds.
fn open_loop(address: SocketAddr, rate: u32, span: Duration) -> Result<Vec<f64>> {
    let period = Duration::from_secs(1) * SENDERS / rate;
    // All senders know the beginning before it comes.
    let begin = Instant::now() + Duration::from_millis(50);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|n| scope.spawn(move || sender(address, begin + period * n / SENDERS, period, span)))
            .collect();
        let mut times = Vec::new();
        for sender in senders {
            times.extend(sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??);
        }
        Ok(times)
    })
}

fn sender(address: SocketAddr, first: Instant, period: Duration, span: Duration) -> Result<Vec<f64>> {
    let mut client = Client::connect(address)?;
    client.get(HOST, "/bytes?n=100")?;
    let mut times = Vec::new();
    let mut due = first;
    while due < first + span {
        let now = Instant::now();
        // Late because of the request before: from when it was due. Late because the kernel woke
        // this thread late: that is the client's time, not the proxy's.
        let start = if now < due {
            std::thread::sleep(due - now);
            Instant::now()
        } else {
            due
        };
        let answer = client.get(HOST, "/bytes?n=100")?;
        ensure!(
            answer.status == 200,
            "{address} answered {} under {} µs periods",
            answer.status,
            period.as_micros()
        );
        times.push(start.elapsed().as_secs_f64() * 1e6);
        due += period;
    }
    Ok(times)
}
