//! The container engine as the daemon starts beside it: whether it is there, and how containers find this
//! machine through it. The daemon never waits for it: it serves what it can and goes on trying.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use maelstrom_core::{journal::Kind, ports::engine::ContainerEngine};
use tokio::time::MissedTickBehavior;

use crate::{
    docker::DockerEngine,
    journal::{Entry, Journal},
};

/// How often the engine is asked whether it is there; only what changes is told.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Tells when the engine goes away and when it is back. Never ends.
pub(super) async fn watch(engine: Arc<dyn ContainerEngine>, journal: Arc<Journal>) {
    let mut tick = tokio::time::interval(WATCH_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut away = false;
    loop {
        tick.tick().await;
        let entry = match (engine.ping().await, away) {
            (Err(error), false) => Entry::new(
                Kind::Dependency,
                "the container engine went away; what runs is served, nothing starts",
            )
            .because(error.to_string()),
            (Ok(()), true) => Entry::new(Kind::Dependency, "the container engine is back"),
            _ => continue,
        };
        away = !away;
        journal.record(entry);
    }
}

/// The address of this machine that containers on the default network reach: the bridge's own, else that
/// of the default route, which they reach through the bridge.
pub(super) async fn address_for_containers(engine: &DockerEngine) -> IpAddr {
    match engine.bridge_gateway().await {
        Ok(Some(address)) => return address,
        Ok(None) => tracing::info!(
            "the container engine has no default bridge; containers get this machine's address"
        ),
        Err(error) => {
            tracing::warn!(%error, "the container engine doesn't answer; trying on. Until then nothing can be started");
        }
    }
    default_route().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Connecting a datagram socket sends nothing, but chooses the address that would be sent from.
pub(super) fn default_route() -> Option<IpAddr> {
    const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ANYWHERE).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
