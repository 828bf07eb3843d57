//! What the rest of the node does about a drain, whatever started it: level-triggered, so that a lost wake
//! costs time only.
//!
//! * Placement gives the node nothing new, unless it is the last of its cluster: then it goes on as ever, since
//!   nobody else would serve.
//! * The public health check says no.
//! * Roles are left to others, where there are any, and taken again when the drain is undone.
//! * Peers and people are told how far it is.

use std::sync::Arc;

use maelstrom_core::decide::drain::Phase;

use super::Drainer;
use crate::{
    cluster::{Peers, Roles},
    control::Targets as _,
    gateway::Gateway,
    node::Node,
};

/// What follows the drain.
#[derive(Clone)]
pub struct Followed {
    pub drainer: Arc<Drainer>,
    pub node: Arc<Node>,
    pub gateway: Arc<Gateway>,
    pub roles: Arc<Roles>,
    pub peers: Arc<Peers>,
}

/// Has everything follow the drain. Never ends.
pub async fn follow(followed: Followed) {
    let mut changes = followed.drainer.changes();
    let (mut nodes, mut instances) = (followed.peers.changes(), followed.node.changes());
    let mut was_empty = false;
    loop {
        changes.mark_unchanged();
        nodes.mark_unchanged();
        instances.mark_unchanged();
        let is_empty = followed.apply();
        if is_empty && !was_empty && followed.drainer.phase() == Phase::Emptying {
            followed.drainer.note("drain: nothing runs here any more", |entry| entry);
        }
        was_empty = is_empty;
        let ended = tokio::select! {
            changed = changes.changed() => changed.is_err(),
            changed = nodes.changed() => changed.is_err(),
            changed = instances.changed() => changed.is_err(),
        };
        if ended {
            // Their senders live as long as what this holds.
            return;
        }
    }
}

// === impl Followed ===

impl Followed {
    /// Makes all as the drain has it. True: the node drains, and nothing runs on it any more.
    pub fn apply(&self) -> bool {
        let Self { drainer, node, gateway, roles, peers } = self;
        // A restart in place is over in a moment, and a socket that somebody keeps open refuses nobody: neither
        // load balancers nor peers need know.
        let drains = drainer.info(false).is_some();
        gateway.set_draining(drains);
        node.set_draining(drains && !peers.view().is_empty());
        let is_empty = drains && node.is_empty();
        node.show_drain(drainer.info(is_empty));
        roles.abstain(drainer.leaves_roles(peers.others_stay()));
        is_empty
    }
}
