//! Orders to peers: one call each, bounded, beside each other; the answer goes to the scheduler.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        lease::Term,
        scheduler::{NodeState, Order, Outcome},
    },
    wire::{ComponentTarget, NodeStatus, StartStopComponentsInput, StartStopComponentsOutput},
};

use super::{Cluster, Control, FleetError};

/// A node that has not answered by then is probed by others anyway.
const LIMIT: Duration = Duration::from_secs(2);

// === impl Control ===

impl Control {
    /// Begins to send an order.
    pub(super) fn send(&self, order: Order, term: Term) {
        let Some(me) = self.me.upgrade() else { return };
        self.tasks.spawn_cancellable("an order to a node", async move {
            if let Some(cluster) = &me.cluster {
                me.deliver(cluster, &order, term).await;
            }
        });
    }

    async fn deliver(self: &Arc<Self>, cluster: &Cluster, order: &Order, term: Term) {
        let answer = cluster.fleet.start_stop(order.node.clone(), self.input(cluster, order, term), LIMIT);
        match answer.await {
            Ok(StartStopComponentsOutput { target_status: Some(status), .. }) => {
                self.shown(cluster, order, status);
            }
            Ok(_) => self.answered(order, &Outcome::Refused),
            Err(FleetError::Refused(error)) => {
                tracing::warn!(node = order.node.as_str(), %error, "a node refused an order");
                self.answered(order, &Outcome::Refused);
            }
            Err(FleetError::Unanswered(error)) => {
                tracing::debug!(node = order.node.as_str(), error, "an order has no answer");
                self.answered(order, &Outcome::Lost);
            }
        }
        self.answers.notify_waiters();
        self.wake.notify_one();
    }

    /// Its targets are these now: by this order, or by what came before it.
    fn shown(&self, cluster: &Cluster, order: &Order, status: NodeStatus) {
        let state = NodeState::of(&status);
        // First, so that the next pass sees it.
        cluster.fleet.observe(status);
        self.answered(order, &Outcome::Shown(&state.view));
    }

    fn answered(&self, order: &Order, outcome: &Outcome<'_>) {
        let told = self.memory.lock().scheduler.answered(order.id, outcome);
        self.made(order, told);
    }

    fn input(&self, cluster: &Cluster, order: &Order, term: Term) -> StartStopComponentsInput {
        let counts = order.changes.iter().map(|change| {
            let component = self.router.component(change.component.as_str());
            let memory = component.map_or(0, |pool| pool.component().docker.reserve_memory_mib);
            ComponentTarget {
                component_name: change.component.to_string(),
                required_memory_mib: i64::try_from(memory).unwrap_or(i64::MAX),
                target_count: i64::from(change.to),
            }
        });
        StartStopComponentsInput {
            client_node_id: cluster.node.to_string(),
            target_version: order.base,
            target_counts: counts.collect(),
            return_status: Some(true),
            block: None,
            placement_term: i64::try_from(term.0).ok(),
            target_incarnation: Some(order.incarnation.to_string()),
        }
    }
}
