//! Memory of the daemon: with a full table of routes and nothing to do, under load,
//! and per idle connection.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::client::Client;
use crate::daemon::HOST;
use crate::options::Options;
use crate::proc::resident_mib;
use crate::proxies::{Proxies, Subject, Who};
use crate::report::{Goal, Report, say};
use crate::warm;

/// Enough that what one takes stands out from what the daemon does beside.
const IDLE_CONNECTIONS: usize = 2000;
/// For work that goes on behind an answer to end.
const SETTLE: Duration = Duration::from_millis(500);
const LOADED_CONNECTIONS: usize = 256;

/// What is measured on one daemon.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    Load,
    Connections,
}

pub(crate) async fn measure(
    options: &Options,
    proxies: &Proxies,
    phase: Phase,
    report: &mut Report,
) -> Result<()> {
    let Some(own) = proxies.of(Who::Maelstromd) else { return Ok(()) };
    tokio::time::sleep(SETTLE).await;
    let idle = resident_mib(own.process)?;
    match phase {
        Phase::Load => {
            let loaded = loaded(options, own).await?;
            say(&format!("\nMemory: idle {idle:.1} MiB · loaded {loaded:.1}"));
            report.add("RSS idle, 1,000 routes", idle, "MiB", Goal::AtMost { must: 25.0, target: 15.0 });
            report.add("RSS loaded, 1,000 routes", loaded, "MiB", Goal::AtMost { must: 40.0, target: 30.0 });
        }
        Phase::Connections => {
            let connections = tokio::task::spawn_blocking(move || idle_connections(own.address)).await??;
            tokio::time::sleep(SETTLE).await;
            let with_connections = resident_mib(own.process)?;
            drop(connections);
            let each = (with_connections - idle) * 1024.0 / IDLE_CONNECTIONS as f64;
            say(&format!(
                "Memory: idle {idle:.1} MiB · with {IDLE_CONNECTIONS} idle connections {with_connections:.1}"
            ));
            report.add("memory per idle connection", each, "KiB", Goal::AtMost { must: 24.0, target: 14.0 });
        }
    }
    Ok(())
}

/// Connections that each had one answer and are kept.
fn idle_connections(address: SocketAddr) -> Result<Vec<Client>> {
    (0..IDLE_CONNECTIONS)
        .map(|_| {
            let mut client = Client::connect(address)?;
            client.get(HOST, "/bytes?n=100")?;
            Ok(client)
        })
        .collect()
}

/// The most that was seen during small and large bodies.
async fn loaded(options: &Options, own: Subject) -> Result<f64> {
    let mut most = 0.0_f64;
    for bytes in [100, 64 << 10] {
        let load = warm::load(options, own, bytes, LOADED_CONNECTIONS);
        tokio::pin!(load);
        loop {
            tokio::select! {
                outcome = &mut load => {
                    outcome?;
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(100)) => most = most.max(resident_mib(own.process)?),
            }
        }
    }
    Ok(most)
}
