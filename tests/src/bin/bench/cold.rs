//! Cold starts: from a request to its answer with no instance running, beside what
//! Docker itself needs to create, start and get an answer from the same image.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bollard::Docker;
use bollard::models::ContainerSummaryStateEnum as State;

use crate::backend;
use crate::daemon::Daemon;
use crate::options::Options;
use crate::report::{Goal, Report, say};
use crate::stats::{median, paired_ratio, percentile};

const ROUNDS: usize = 20;
const COMPONENT: &str = "bench-cold";
const STANDBY_COMPONENT: &str = "bench-standby";
/// For a standby instance to be started, checked and paused, and for stopped ones to go.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn measure_cold(
    options: &Options,
    docker: &Docker,
    daemon: Option<&Daemon>,
    report: &mut Report,
) -> Result<()> {
    let goal = Goal::AtMost { must: 1.1, target: 1.0 };
    measure(
        options,
        docker,
        daemon,
        Start { component: COMPONENT, standby: 0, goal, name: "cold start" },
        report,
    )
    .await
}

pub(crate) async fn measure_standby(
    options: &Options,
    docker: &Docker,
    daemon: Option<&Daemon>,
    report: &mut Report,
) -> Result<()> {
    let goal = Goal::AtMost { must: 0.15, target: 0.10 };
    let start = Start { component: STANDBY_COMPONENT, standby: 1, goal, name: "start with standby: 1" };
    measure(options, docker, daemon, start, report).await
}

/// What is started, and what it must reach.
#[derive(Clone, Copy)]
struct Start {
    component: &'static str,
    standby: u32,
    goal: Goal,
    name: &'static str,
}

async fn measure(
    options: &Options,
    docker: &Docker,
    daemon: Option<&Daemon>,
    start: Start,
    report: &mut Report,
) -> Result<()> {
    let rounds = options.rounds(ROUNDS);
    say(&format!("\n{}: {rounds} rounds", start.name));
    if let Some(daemon) = daemon {
        daemon.put_cold_component(start.component, start.standby).await?;
    }
    let (mut floors, mut own) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // The order alternates: who comes second finds warmer caches and more left-over work.
        if round % 2 == 0 {
            floors.push(floor(docker).await?);
        }
        if let Some(daemon) = daemon {
            ready(docker, daemon, start).await?;
            own.push(milliseconds(daemon.timed_request(start.component).await?));
            // The next measurement, whoever's it is, begins with nothing left to do.
            ready(docker, daemon, start).await?;
        }
        if round % 2 == 1 {
            floors.push(floor(docker).await?);
        }
    }
    tell("bare Docker", &floors);
    if let Some(daemon) = daemon {
        tell("maelstromd", &own);
        report.add(
            format!("{}, {rounds} rounds", start.name),
            paired_ratio(&own, &floors),
            "× floor",
            start.goal,
        );
        daemon.remove_component(start.component).await?;
    }
    Ok(())
}

/// Nothing of the component runs, and its standby instances are paused.
async fn ready(docker: &Docker, daemon: &Daemon, start: Start) -> Result<()> {
    daemon.scale_to_zero(start.component).await?;
    let end = Instant::now() + PATIENCE;
    loop {
        let running = backend::containers(docker, State::RUNNING).await?.len();
        let paused = backend::containers(docker, State::PAUSED).await?.len();
        if running == 0 && paused == start.standby as usize {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "{}: {running} containers run and {paused} are paused, wanted none and {}, for {} s: see {}",
            start.component,
            start.standby,
            PATIENCE.as_secs(),
            daemon.log.display(),
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn floor(docker: &Docker) -> Result<f64> {
    let (id, took) = backend::bare_start(docker).await?;
    backend::remove(docker, &id).await?;
    Ok(milliseconds(took))
}

fn tell(who: &str, times: &[f64]) {
    let p90 = percentile(times, 0.9);
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    say(&format!("  {who:11} median {:>6.1} ms  p90 {p90:>6.1}  best {best:>6.1}", median(times)));
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
