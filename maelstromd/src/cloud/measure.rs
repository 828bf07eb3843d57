//! The cluster's capacity in numbers for the group's own scaling policies, where that is asked for: once a
//! minute, by the owner of the role `placement`, who knows what has no room.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        capacity::{Measures, measure},
        placement::NodeView,
        scheduler::NodeState,
    },
    names::Role,
    ports::monitoring::NAMESPACE,
};

use super::{Cloud, complaint::Complaint};
use crate::control;

/// The finest that CloudWatch keeps without extra cost, and that policies look at.
const EVERY: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(1);

// === impl Cloud ===

impl Cloud {
    /// Never ends.
    pub(super) async fn send_measures(self: Arc<Self>) {
        if !self.settings.metrics {
            return;
        }
        let Some(group) = self.group_name().await else { return };
        tracing::info!(group, namespace = NAMESPACE, "capacity metrics go to CloudWatch");
        let role = Role::new(control::ROLE);
        let mut complaint = Complaint::about("sending capacity metrics");
        let mut sent = None;
        loop {
            self.pause(LOOK_EVERY).await;
            let now = self.parts.clock.now();
            if self.parts.roles.owns(&role).is_none() || sent.is_some_and(|sent| now.since(sent) < EVERY) {
                continue;
            }
            let Some(measures) = self.measure() else { continue };
            // One that failed is not repeated: the next one says more.
            sent = Some(now);
            match self.parts.monitoring.put(group.clone(), measures.samples()).await {
                Ok(()) => complaint.succeeded(),
                Err(error) => complaint.failed(error.kind(), &error),
            }
        }
    }

    /// `None`: another node knows.
    fn measure(&self) -> Option<Measures> {
        let wanted = self.parts.control.wanted()?;
        let nodes: Vec<NodeView> = self.statuses().iter().map(|status| NodeState::of(status).view).collect();
        Some(measure(&nodes, &wanted))
    }
}
