//! While this node owns the role `placement`.
//!
//! ```text
//!   taken ──► this node takes no orders of older terms ──► nor does any that can be reached ──► decides
//!     ▲                                                      (a second at most)                  │
//!     └───────────────── lost: stops at once, remembers nothing ◄────────────────────────────────┘
//! ```
//! What a node tells after it was fenced can't be changed by an earlier owner any more. One that could not
//! be fenced takes nothing new until it is.

use maelstrom_core::{
    decide::{
        lease::Term,
        scheduler::{FENCE_LIMIT, Reports, Roster},
    },
    names::{NodeId, Role},
    time::Moment,
    wire::{GetStatusInput, NodeStatus},
};

use super::{AUTOSCALE_ROLE, Cluster, Control};
use crate::{clock, cluster::Wanted};

/// See the module.
pub(super) struct Lead {
    pub(super) term: Term,
    pub(super) reports: Reports,
    pub(super) roster: Roster,
    /// Shows to all that this node scales.
    _scales: Wanted,
}

// === impl Control ===

impl Control {
    /// Follows the role, and fences nodes that are not.
    pub(super) fn follow_role(&self, now: Moment) {
        let Some(cluster) = &self.cluster else { return };
        let owned = cluster.roles.owns(&super::role());
        let mut memory = self.memory.lock();
        if memory.lead.as_ref().map(|lead| lead.term) != owned {
            memory.scheduler.forget();
            // Given back after the lock was let go.
            let lost = memory.lead.take();
            if let Some(term) = owned {
                memory.lead = self.begin(cluster, term, now);
            }
            drop(memory);
            drop(lost);
            memory = self.memory.lock();
        }
        if let Some(lead) = &mut memory.lead {
            self.fence_all(cluster, lead, now);
        }
    }

    fn begin(&self, cluster: &Cluster, term: Term, now: Moment) -> Option<Lead> {
        if let Err(error) = self.targets.fence(term) {
            tracing::warn!(%error, "this node does not decide: another one does");
            return None;
        }
        Some(Lead {
            term,
            reports: Reports::new(now),
            roster: Roster::new(&cluster.fleet.peers()),
            _scales: cluster.roles.want_one(Role::new(AUTOSCALE_ROLE)),
        })
    }

    fn fence_all(&self, cluster: &Cluster, lead: &mut Lead, now: Moment) {
        for node in lead.roster.to_ask(&cluster.fleet.peers(), now) {
            self.fence(node, lead.term);
        }
    }

    fn fence(&self, node: NodeId, term: Term) {
        let Some(me) = self.me.upgrade() else { return };
        self.tasks.spawn_cancellable("fencing a node", async move {
            let Some(cluster) = &me.cluster else { return };
            let input = GetStatusInput { status: None, placement_term: i64::try_from(term.0).ok() };
            let answer = cluster.fleet.get_status(node.clone(), input, FENCE_LIMIT).await;
            let status = match answer {
                Ok(told) => Some(told.status),
                Err(error) => {
                    if error.is_old_term() {
                        tracing::warn!(node = node.as_str(), %error, "a node knows of a newer owner of the role");
                    } else {
                        tracing::debug!(node = node.as_str(), %error, "a node can't be fenced yet");
                    }
                    None
                }
            };
            // First: what it told before may have been changed by an earlier owner since.
            if let Some(status) = &status {
                cluster.fleet.observe(status.clone());
            }
            me.fenced(&node, term, status.as_ref());
        });
    }

    fn fenced(&self, node: &NodeId, term: Term, status: Option<&NodeStatus>) {
        if let Some(lead) = self.memory.lock().lead.as_mut().filter(|lead| lead.term == term) {
            lead.roster.answered(node, status, clock::now());
        }
        self.wake.notify_one();
    }
}
