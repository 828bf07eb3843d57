//! The peers that requests may be relayed to: where each is reached, what it serves, and whether it is to
//! be believed.
//!
//! ```text
//!             set_peer            hold_peer, or a relayed request failed
//!   (unknown) ───────► in rotation ◄──────────────────────────────► held
//!       ▲                  │          resume_peer                    │
//!       └── remove_peer ───┴─────────────────────────────────────────┘
//! ```
//! Who probes a held peer, and when it is well or gone, is decided by whoever keeps the membership. Without
//! peers nothing of this costs a request anything.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use maelstrom_core::names::{ComponentName, NodeId};
use tokio::sync::watch;

use super::{Router, StartFailure};

/// Instances of one component that a peer has in rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerServing {
    pub component: ComponentName,
    /// 0 is the same as not being named.
    pub instances: u32,
}

/// All known peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<NodeId, Known>,
    /// Rises with each peer that fails a relayed request.
    suspected: watch::Sender<u64>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "read when pools seat peers")]
struct Known {
    address: SocketAddr,
    serving: HashMap<ComponentName, u32>,
    held: bool,
    /// It is held since it failed a relayed request.
    suspect: bool,
}

// === impl Router ===

impl Router {
    /// A peer is reached at `address` (its private gateway) and serves this and nothing else. A held peer
    /// stays held. To be called with each status that came from it or about it, the same one again
    /// included: a seat that a refused request has taken away comes back by it.
    pub fn set_peer(&self, node: &NodeId, address: SocketAddr, serving: Vec<PeerServing>) {
        let mut peers = self.peers.lock();
        let serving = serving
            .into_iter()
            .filter(|serving| serving.instances > 0)
            .map(|serving| (serving.component, serving.instances))
            .collect();
        let (held, suspect) =
            peers.known.get(node).map_or((false, false), |known| (known.held, known.suspect));
        peers.known.insert(node.clone(), Known { address, serving, held, suspect });
    }

    /// The peer gets no requests until [`Router::resume_peer`]; what it serves goes on.
    pub fn hold_peer(&self, node: &NodeId) {
        if let Some(known) = self.peers.lock().known.get_mut(node) {
            known.held = true;
        }
    }

    /// The peer answers again: requests go to it, those that wait first.
    pub fn resume_peer(&self, node: &NodeId) {
        if let Some(known) = self.peers.lock().known.get_mut(node) {
            (known.held, known.suspect) = (false, false);
        }
    }

    /// The peer has left: it gets no requests any more; what it still serves goes on.
    pub fn remove_peer(&self, node: &NodeId) {
        self.peers.lock().known.remove(node);
    }

    /// Peers that are held since they failed a relayed request, until resumed or removed.
    pub fn suspect_peers(&self) -> Vec<NodeId> {
        let peers = self.peers.lock();
        peers.known.iter().filter(|(_, known)| known.suspect).map(|(node, _)| node.clone()).collect()
    }

    /// Changes whenever a peer becomes suspect.
    pub fn peer_suspected(&self) -> watch::Receiver<u64> {
        self.peers.lock().suspected.subscribe()
    }

    /// A start failed at a peer: answers those who wait here, too, and until `failure.until` those who
    /// come, unless there is an instance here or elsewhere. False: there is.
    pub fn peer_refuses(&self, component: &ComponentName, failure: StartFailure, from: &NodeId) -> bool {
        let Some(pool) = self.component(component.as_str()) else { return false };
        let reason = failure.reason.clone();
        let refused = pool.refuse(failure);
        if refused {
            tracing::debug!(%component, node = %from, reason, "a peer's failed start answers those who wait");
        }
        refused
    }
}
