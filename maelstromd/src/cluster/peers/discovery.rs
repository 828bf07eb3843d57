//! Finding peers by their heartbeats in the store: at the start, and now and then for those that nobody
//! greeted. Also removes the heartbeats of the dead, so that nobody looks for them any more.

use std::{sync::Arc, time::Duration};

use maelstrom_core::names::NodeId;
use tokio::sync::watch;

use super::Peers;
use crate::cluster::Reading;

/// Peers greet each other; this finds those that could not.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Until the store has answered once.
const FIRST_SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A store that takes longer is away.
const STORE_LIMIT: Duration = Duration::from_secs(10);

// === impl Peers: discovery ===

impl Peers {
    /// Looks for peers for ever. There are none on a store that only this daemon can use.
    pub(super) async fn discover(&self) {
        if self.store.exclusive() {
            std::future::pending::<()>().await;
        }
        let mut pause = FIRST_SWEEP_EVERY;
        loop {
            let asked = self.clock.now();
            match self.store.heartbeats().await {
                Ok(heartbeats) => {
                    pause = SWEEP_EVERY;
                    self.heartbeats(&heartbeats, true, asked);
                }
                // Told by those who can't do without it.
                Err(error) => tracing::debug!(%error, "peers can't be looked for in the store"),
            }
            self.clock.sleep_until(self.clock.now() + pause).await;
        }
    }

    /// Takes in the heartbeats that are read for the roles' sake.
    pub(super) async fn follow_readings(&self, mut readings: watch::Receiver<Arc<Reading>>) {
        while readings.changed().await.is_ok() {
            let reading = readings.borrow_and_update().clone();
            self.heartbeats(&reading.heartbeats, false, reading.asked);
        }
    }

    /// All nodes that see it dead do this; a daemon that comes back writes another one.
    pub(super) fn remove_heartbeat(&self, node: &NodeId, incarnation: &str) {
        let removal = self.store.clone();
        let (node, incarnation) = (node.clone(), incarnation.to_owned());
        self.tasks.spawn_cancellable("removal of a heartbeat", async move {
            let removed = removal.remove_heartbeat(node.clone(), incarnation);
            match tokio::time::timeout(STORE_LIMIT, removed).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%node, %error, "a dead node's heartbeat stays in the store")
                }
                Err(_) => tracing::debug!(%node, "a dead node's heartbeat stays in the store"),
            }
        });
    }
}
