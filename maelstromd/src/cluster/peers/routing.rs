//! What the router is told of a peer: what it serves, whether to send anything there, what can't start.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use maelstrom_core::{
    names::{ComponentName, NodeId},
    time::Moment,
    wire::{FailureInfo, NodeStatus},
};
use tokio::sync::watch;

use crate::router::{PeerServing, Router, StartFailure};

/// A refusal that ends later than the one told before by less is the same one.
const SAME: Duration = Duration::from_millis(500);

/// The router as the membership uses it.
pub trait PeerRouting: Send + Sync {
    /// The peer serves this and nothing else. One that is held stays so.
    fn set_peer(&self, node: &NodeId, address: SocketAddr, serving: Vec<PeerServing>);
    fn hold_peer(&self, node: &NodeId);
    fn resume_peer(&self, node: &NodeId);
    /// It is silent for so long that what is under way there is not waited for any more.
    fn lose_peer(&self, node: &NodeId);
    fn remove_peer(&self, node: &NodeId);
    /// A start failed there.
    fn peer_refuses(&self, component: &ComponentName, failure: StartFailure, from: &NodeId);
    /// Peers that failed a request that was sent on to them.
    fn suspect_peers(&self) -> Vec<NodeId>;
    /// Wakes when there is one more.
    fn peer_suspected(&self) -> watch::Receiver<u64>;
}

/// What the router was told of one peer last.
#[derive(Debug, Default)]
pub(super) struct Routed {
    /// Where it is; `None`: the router does not know it.
    address: Option<SocketAddr>,
    /// Until when its starts are refused.
    refused: HashMap<ComponentName, Moment>,
}

// === impl Routed ===

impl Routed {
    /// The peer can be reached at `address`. Before its first status it serves nothing.
    pub(super) fn reached(
        &mut self,
        routing: &dyn PeerRouting,
        node: &NodeId,
        address: SocketAddr,
        status: &NodeStatus,
    ) {
        routing.set_peer(node, address, serving(status));
        self.address = Some(address);
        routing.resume_peer(node);
    }

    /// A peer named by its host's name is at another address than the router knows.
    pub(super) fn is_elsewhere(&self, address: Option<SocketAddr>) -> bool {
        self.address.is_some() && address.is_some() && self.address != address
    }

    /// Its newest status is this one. One that was never reached gets nothing.
    pub(super) fn status(
        &mut self,
        routing: &dyn PeerRouting,
        node: &NodeId,
        address: Option<SocketAddr>,
        status: &NodeStatus,
        now: Moment,
    ) {
        if let Some(address) = address.filter(|_| self.address.is_some()) {
            routing.set_peer(node, address, serving(status));
            self.address = Some(address);
        }
        self.refused.retain(|_, until| *until > now);
        for failure in &status.failures {
            let Ok(component) = ComponentName::parse(&failure.component_name) else { continue };
            let failure = refusal(failure, node, now);
            let told = self.refused.get(&component).is_some_and(|until| *until + SAME >= failure.until);
            if !told {
                self.refused.insert(component.clone(), failure.until);
                routing.peer_refuses(&component, failure, node);
            }
        }
    }
}

/// Instances that take requests, by component. Those of a node that drains do until it closes: what it ran
/// may not run elsewhere yet.
fn serving(status: &NodeStatus) -> Vec<PeerServing> {
    if status.closing == Some(true) {
        return Vec::new();
    }
    let mut serving: Vec<PeerServing> = Vec::new();
    let in_rotation = status
        .running_components
        .iter()
        .filter(|info| info.status == "active" && info.standby != Some(true) && info.suspect != Some(true));
    for info in in_rotation {
        let Ok(component) = ComponentName::parse(&info.component_name) else { continue };
        match serving.iter_mut().find(|known| known.component == component) {
            Some(known) => known.instances += 1,
            None => serving.push(PeerServing { component, instances: 1 }),
        }
    }
    serving
}

fn refusal(failure: &FailureInfo, node: &NodeId, now: Moment) -> StartFailure {
    let retry_after = Duration::from_millis(u64::try_from(failure.retry_after_millis).unwrap_or(0));
    StartFailure {
        status: u16::try_from(failure.status).unwrap_or(502),
        reason: format!("{} (on node {node})", failure.reason),
        retry_after,
        until: now + retry_after,
    }
}

impl PeerRouting for Router {
    fn set_peer(&self, node: &NodeId, address: SocketAddr, serving: Vec<PeerServing>) {
        Router::set_peer(self, node, address, serving);
    }

    fn hold_peer(&self, node: &NodeId) {
        Router::hold_peer(self, node);
    }

    fn resume_peer(&self, node: &NodeId) {
        Router::resume_peer(self, node);
    }

    fn lose_peer(&self, node: &NodeId) {
        Router::lose_peer(self, node);
    }

    fn remove_peer(&self, node: &NodeId) {
        Router::remove_peer(self, node);
    }

    fn peer_refuses(&self, component: &ComponentName, failure: StartFailure, from: &NodeId) {
        Router::peer_refuses(self, component, failure, from);
    }

    fn suspect_peers(&self) -> Vec<NodeId> {
        Router::suspect_peers(self)
    }

    fn peer_suspected(&self) -> watch::Receiver<u64> {
        Router::peer_suspected(self)
    }
}
