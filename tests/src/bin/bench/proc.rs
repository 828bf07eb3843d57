//! What the kernel says about processes: CPU time and memory; and starting and ending them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// A child process that ends with its owner.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Its output goes to `log`.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("making {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name, child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(status.to_string()),
            _ => None,
        }
    }

    /// Asks it to end, waits, and only then kills it.
    pub(crate) fn stop(&mut self, patience: Duration) -> Result<()> {
        if self.has_ended().is_some() {
            return Ok(());
        }
        if let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if self.has_ended().is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        bail!("{} did not end within {} s of SIGTERM", self.name, patience.as_secs())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Told by whoever stops it on purpose.
        let _ = self.stop(Duration::from_secs(10));
    }
}

/// CPU seconds that a process and all its descendants have used so far.
pub(crate) fn cpu_seconds(root: u32) -> Result<f64> {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").context("reading /proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that ended meanwhile is none of ours: ours live as long as the bench.
        if let Some((parent, used)) = fs::read_to_string(entry.path().join("stat")).ok().and_then(parse_stat)
        {
            processes.push((id, parent, used));
        }
    }
    let mut family = vec![root];
    let mut total = 0;
    while let Some(id) = family.pop() {
        total += processes.iter().find(|(own, ..)| *own == id).map_or(0, |(.., used)| *used);
        family.extend(processes.iter().filter(|(_, parent, _)| *parent == id).map(|(own, ..)| *own));
    }
    Ok(total as f64 / ticks)
}

/// Parent and user + system ticks (proc(5): fields 4, 14 and 15).
fn parse_stat(stat: String) -> Option<(u32, u64)> {
    // The name in parentheses may hold anything, blanks and parentheses too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((fields.get(1)?.parse().ok()?, ticks(11)? + ticks(12)?))
}

/// What the whole machine has done since it started.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    /// Seconds of all processors together, with and without work.
    pub(crate) busy: f64,
    pub(crate) idle: f64,
    /// From one thread to another.
    pub(crate) switches: f64,
}

pub(crate) fn machine() -> Result<Machine> {
    parse_machine(&fs::read_to_string("/proc/stat")?).context("/proc/stat is not as proc(5) has it")
}

fn parse_machine(stat: &str) -> Option<Machine> {
    let line = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name));
    // user, nice, system, idle, iowait, irq, softirq, steal; guests' time is in user's.
    let ticks: Option<Vec<f64>> =
        line("cpu ")?.split_whitespace().take(8).map(|text| text.parse().ok()).collect();
    let ticks = ticks?;
    let idle = ticks.get(3)? + ticks.get(4)?;
    let second = rustix::param::clock_ticks_per_second() as f64;
    let busy = ticks.iter().sum::<f64>() - idle;
    Some(Machine { busy: busy / second, idle: idle / second, switches: line("ctxt ")?.trim().parse().ok()? })
}

/// Resident memory of one process, in MiB.
pub(crate) fn resident_mib(id: u32) -> Result<f64> {
    let status =
        fs::read_to_string(format!("/proc/{id}/status")).with_context(|| format!("process {id} is gone"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok())
        .context("no VmRSS in /proc")?;
    Ok(kib / 1024.0)
}

/// Thousands of connections need descriptors: as many as the system lets us have,
/// for the children too.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_a_hostile_name() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(parse_stat(stat.into()), Some((7, 200)));
    }

    #[test]
    fn idle_time_is_told_from_work() {
        let machine = parse_machine("cpu  100 0 200 700 50 0 25 5 9 9\ncpu0 1 1\nctxt 12\n").unwrap();
        let second = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((machine.busy * second, machine.idle * second, machine.switches), (330.0, 750.0, 12.0));
    }

    #[test]
    fn own_cpu_time_grows() {
        let before = cpu_seconds(std::process::id()).unwrap();
        let end = Instant::now() + Duration::from_millis(200);
        while Instant::now() < end {}
        assert!(cpu_seconds(std::process::id()).unwrap() > before);
    }
}
