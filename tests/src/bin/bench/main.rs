//! Measures the product against what it must reach, on this machine.
//!
//! Machines differ and this one is shared, so every goal is a ratio against
//! something measured in the same minutes: nginx and haproxy for the warm path,
//! Docker's own create and start for cold starts, a bare loop for
//! queues. Rounds are interleaved, each
//! round gives one ratio, the median counts.
//!
//! Parts (`PART`, comma separated, all by default): `warm`, `latency`, `memory`,
//! `cold`, `standby`, `cluster`, `queues`. Further settings: [`options`].
//! Ends with 1 when a "must" is missed, with 2 when it could not measure.

mod backend;
mod client;
mod cluster;
mod cold;
mod daemon;
mod latency;
mod memory;
mod options;
mod proc;
mod proxies;
mod queues;
mod report;
mod stats;
mod warm;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use bollard::Docker;

use backend::Backend;
use daemon::Daemon;
use memory::Phase;
use options::{Options, Part};
use proxies::Proxies;
use report::{Report, say};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("bench: error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// True when every "must" is met.
async fn run() -> Result<bool> {
    let options = Options::from_environment()?;
    proc::raise_descriptor_limit();
    let docker = Docker::connect_with_defaults().context("no Docker engine: run tests/setup/docker")?;
    say("Preparing: images, left-overs of an earlier run");
    backend::prepare(&docker).await?;
    let mut report = Report::default();
    let measured = measure(&options, &docker, &mut report).await;
    report.print();
    measured.map(|()| report.all_musts_met())
}

async fn measure(options: &Options, docker: &Docker, report: &mut Report) -> Result<()> {
    if let Some(program) = options.maelstromd.as_ref().filter(|_| options.runs(Part::Memory)) {
        measure_memory(options, docker, program, report).await?;
    }
    if let Some(program) = options.maelstromd.as_ref().filter(|_| options.runs(Part::Queues)) {
        queues::measure(options, program, report).await?;
    }
    if options.runs_any(&[Part::Warm, Part::Latency]) {
        measure_warm_parts(options, docker, report).await?;
    }
    let daemon = start(options).await?;
    if options.runs(Part::Cold) {
        cold::measure_cold(options, docker, daemon.as_ref(), report).await?;
    }
    if options.runs(Part::Standby) {
        cold::measure_standby(options, docker, daemon.as_ref(), report).await?;
    }
    if let Some(daemon) = daemon {
        daemon.stop().await?;
    }
    if options.runs(Part::Cluster) {
        cluster::measure(options, report).await?;
    }
    Ok(())
}

/// Each on a daemon that has done nothing yet: what the allocator keeps from one load would count for the next.
async fn measure_memory(
    options: &Options,
    docker: &Docker,
    program: &Path,
    report: &mut Report,
) -> Result<()> {
    for phase in [Phase::Load, Phase::Connections] {
        let daemon = Daemon::start(options, program).await?;
        with_instance(options, docker, Some(&daemon), async |proxies, _| {
            memory::measure(options, proxies, phase, report).await
        })
        .await?;
        daemon.stop().await?;
    }
    Ok(())
}

async fn start(options: &Options) -> Result<Option<Daemon>> {
    match &options.maelstromd {
        Some(program) => Ok(Some(Daemon::start(options, program).await?)),
        None => Ok(None),
    }
}

/// Where a program's pages happen to lie makes one start of it faster than the next by as much as the
/// goals are about, and nginx as much as the daemon: all are started several times.
async fn measure_warm_parts(options: &Options, docker: &Docker, report: &mut Report) -> Result<()> {
    let (mut warm, mut latency) = (warm::Cases::new(options), latency::Cases::new(options));
    for n in 1..=options.starts {
        say(&format!("\nStart {n} of {}", options.starts));
        let daemon = start(options).await?;
        with_instance(options, docker, daemon.as_ref(), async |proxies, backend| {
            if options.runs(Part::Warm) {
                warm.measure(options, proxies).await?;
            }
            if options.runs(Part::Latency) {
                latency.measure(options, proxies, backend).await?;
            }
            Ok(())
        })
        .await?;
        if let Some(daemon) = daemon {
            daemon.stop().await?;
        }
    }
    if options.runs(Part::Warm) {
        warm.judge(report);
    }
    if options.runs(Part::Latency) {
        latency.judge(report);
    }
    Ok(())
}

/// Measures against one instance, at the address given, that runs throughout behind all proxies.
async fn with_instance(
    options: &Options,
    docker: &Docker,
    daemon: Option<&Daemon>,
    measure: impl AsyncFnOnce(&Proxies, SocketAddr) -> Result<()>,
) -> Result<()> {
    if let Some(daemon) = daemon {
        daemon.put_warm_project().await?;
    }
    let backend = Backend::start(docker, daemon).await?;
    let proxies = Proxies::start(options, backend.address, daemon)?;
    measure(&proxies, backend.address).await?;
    drop(proxies);
    backend.stop(docker).await?;
    match daemon {
        Some(daemon) => daemon.remove_warm_project().await,
        None => Ok(()),
    }
}
