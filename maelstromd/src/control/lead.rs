//! While this node owns the role `placement`.
//!
//! ```text
//!   taken ──► this node takes no orders of older terms ──► nor does any that can be reached ──► decides
//!     ▲                                                      (a second at most)                  │
//!     └───────────────── lost: stops at once, remembers nothing ◄────────────────────────────────┘
//! ```
//! What a node tells after it was fenced can't be changed by an earlier owner any more. One that could not
//! be fenced takes nothing new until it is.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use maelstrom_core::{
    decide::{
        lease::Term,
        scheduler::{NodeState, Reports},
    },
    names::{NodeId, Role},
    time::Moment,
    wire::GetStatusInput,
};

use super::{AUTOSCALE_ROLE, Cluster, Control};
use crate::{
    clock,
    cluster::{PeerView, Wanted},
};

/// Deciding begins after this time though a node doesn't answer.
const FENCE_LIMIT: Duration = Duration::from_secs(1);
/// Between tries to fence a node.
const FENCE_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Lead {
    pub(super) term: Term,
    pub(super) reports: Reports,
    /// Which run of each node's daemon was fenced.
    fenced: HashMap<NodeId, Arc<str>>,
    /// Nodes that are being fenced, or were a moment ago in vain.
    fencing: HashMap<NodeId, Attempt>,
    /// Nodes to be fenced before the first decision.
    first: HashSet<NodeId>,
    since: HashMap<NodeId, (Arc<str>, Moment)>,
    /// What each node told last of what runs there.
    told: HashMap<NodeId, NodeState>,
    /// Shows to all that this node scales.
    _scales: Wanted,
}

/// The last time that a node was asked whether it takes orders.
struct Attempt {
    again: Moment,
    /// It said that it still looks for what its last run left: worth asking as soon as that is over.
    adopting: bool,
}

// === impl Attempt ===

impl Attempt {
    /// Whether it is too early for another one.
    fn holds(&self, adopting: bool, now: Moment) -> bool {
        now < self.again && (adopting || !self.adopting)
    }
}

// === impl Lead ===

impl Lead {
    /// All who can be reached at first have been asked.
    pub(super) fn is_ready(&self) -> bool {
        self.first.is_empty()
    }

    pub(super) fn has_fenced(&self, node: &NodeId, incarnation: &Arc<str>) -> bool {
        !incarnation.is_empty() && self.fenced.get(node) == Some(incarnation)
    }

    /// Since when this node knows of that run of its daemon.
    pub(super) fn known_since(&mut self, node: &NodeId, incarnation: &Arc<str>, now: Moment) -> Moment {
        let known = self.since.entry(node.clone()).or_insert_with(|| (incarnation.clone(), now));
        if known.0 != *incarnation {
            *known = (incarnation.clone(), now);
        }
        known.1
    }

    /// What a node is taken to have. A daemon that was started anew may find all that its last run left.
    pub(super) fn believe(&mut self, state: NodeState) -> NodeState {
        if !state.adopting {
            self.told.insert(state.view.id.clone(), state.clone());
            return state;
        }
        match self.told.get(&state.view.id) {
            Some(last) => state.with_what_runs_of(last),
            None => state,
        }
    }

    pub(super) fn forget_all_but(&mut self, peers: &[PeerView]) {
        let here = |node: &NodeId| peers.iter().any(|peer| peer.status.node_id == node.as_str());
        self.fenced.retain(|node, _| here(node));
        self.since.retain(|node, _| here(node));
        self.told.retain(|node, _| here(node));
    }
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
        let reachable = cluster.fleet.peers().into_iter().filter(|peer| peer.silent_since.is_none());
        Some(Lead {
            term,
            reports: Reports::new(now),
            fenced: HashMap::new(),
            fencing: HashMap::new(),
            first: reachable.map(|peer| NodeId::new(peer.status.node_id.as_str())).collect(),
            since: HashMap::new(),
            told: HashMap::new(),
            _scales: cluster.roles.want_one(Role::new(AUTOSCALE_ROLE)),
        })
    }

    fn fence_all(&self, cluster: &Cluster, lead: &mut Lead, now: Moment) {
        let peers = cluster.fleet.peers();
        lead.first.retain(|node| peers.iter().any(|peer| peer.status.node_id == node.as_str()));
        for peer in peers {
            let node = NodeId::new(peer.status.node_id.as_str());
            let incarnation = Arc::from(peer.status.incarnation.as_deref().unwrap_or_default());
            let adopting = peer.status.adopting == Some(true);
            let asked = lead.fencing.get(&node).is_some_and(|last| last.holds(adopting, now));
            if peer.silent_since.is_none() && !asked && !lead.has_fenced(&node, &incarnation) {
                let again = now + FENCE_LIMIT + FENCE_PAUSE;
                lead.fencing.insert(node.clone(), Attempt { again, adopting: false });
                self.fence(node, lead.term);
            }
        }
    }

    fn fence(&self, node: NodeId, term: Term) {
        let Some(me) = self.me.upgrade() else { return };
        self.tasks.spawn_cancellable("fencing a node", async move {
            let Some(cluster) = &me.cluster else { return };
            let input = GetStatusInput { status: None, placement_term: i64::try_from(term.0).ok() };
            let answer = cluster.fleet.get_status(node.clone(), input, FENCE_LIMIT).await;
            let status = answer.as_ref().ok().map(|told| &told.status);
            let adopting = status.is_some_and(|status| status.adopting == Some(true));
            let settled = status.filter(|_| !adopting);
            let incarnation = settled.and_then(|status| status.incarnation.clone());
            match answer {
                Ok(told) => cluster.fleet.observe(told.status),
                Err(error) if error.is_old_term() => {
                    tracing::warn!(node = node.as_str(), %error, "a node knows of a newer owner of the role");
                }
                Err(error) => tracing::debug!(node = node.as_str(), %error, "a node can't be fenced yet"),
            }
            me.fenced(&node, term, incarnation.as_deref(), adopting);
        });
    }

    fn fenced(&self, node: &NodeId, term: Term, incarnation: Option<&str>, adopting: bool) {
        if let Some(lead) = self.memory.lock().lead.as_mut().filter(|lead| lead.term == term) {
            lead.first.remove(node);
            match incarnation {
                Some(incarnation) => {
                    lead.fencing.remove(node);
                    lead.fenced.insert(node.clone(), Arc::from(incarnation));
                }
                None => {
                    let again = clock::now() + FENCE_PAUSE;
                    lead.fencing.insert(node.clone(), Attempt { again, adopting });
                }
            }
        }
        self.wake.notify_one();
    }
}
