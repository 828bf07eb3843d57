//! The peers that requests may be relayed to: where each is reached, what it serves, and whether it is to
//! be believed.
//!
//! ```text
//!             set_peer            hold_peer, or a relayed request failed
//!   (unknown) ───────► in rotation ◄──────────────────────────────► held
//!       ▲                  │          resume_peer                    │
//!       └── remove_peer ───┴─────────────────────────────────────────┘
//! ```
//! A peer that is held is held for all components at once. Who probes it, and when it is well or gone, is
//! for the keeper of the membership to decide. Without peers nothing of this costs a request anything.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use maelstrom_core::{
    component::HttpProtocol,
    names::{ComponentName, NodeId},
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ComponentPool, Router, StartFailure, Table};
use crate::upstream::Connections;

/// Instances of one component that a peer has in rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerServing {
    pub component: ComponentName,
    /// 0 is the same as not being named.
    pub instances: u32,
}

/// A peer at its address, with the connections that all components share.
#[derive(Debug)]
pub struct Peer {
    node: NodeId,
    address: SocketAddr,
    router: Weak<Router>,
    http1: Arc<Connections>,
    h2c: Arc<Connections>,
    /// Rises with each status: tells whether one has come since a request was sent.
    statuses: AtomicU64,
    /// Fires when the peer is lost; another one takes its place then.
    lost: Mutex<CancellationToken>,
    failures: AtomicU64,
}

/// All known peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<NodeId, Known>,
    /// Rises with each peer that becomes suspect.
    suspected: watch::Sender<u64>,
}

#[derive(Debug)]
struct Known {
    peer: Arc<Peer>,
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
        let serving: HashMap<ComponentName, u32> = serving
            .into_iter()
            .filter(|serving| serving.instances > 0)
            .map(|serving| (serving.component, serving.instances))
            .collect();
        let known = peers.known.entry(node.clone()).or_insert_with(|| Known {
            peer: Peer::new(node.clone(), address, self.me.clone()),
            serving: HashMap::new(),
            held: false,
            suspect: false,
        });
        if known.peer.address != address {
            known.peer = Peer::new(node.clone(), address, self.me.clone());
        }
        known.peer.statuses.fetch_add(1, Relaxed);
        let before = std::mem::replace(&mut known.serving, serving);
        let table = self.table.load();
        for pool in before.keys().filter(|name| !known.serving.contains_key(*name)) {
            if let Some(pool) = table.pools.get(pool) {
                pool.retire_peer(node);
            }
        }
        for (pool, instances) in known.pools(&table) {
            pool.seat_peer(&known.peer, instances, known.held);
        }
    }

    /// The peer gets no requests until [`Router::resume_peer`]; what it serves goes on.
    pub fn hold_peer(&self, node: &NodeId) {
        if let Some(known) = self.peers.lock().known.get_mut(node) {
            known.hold(&self.table.load());
        }
    }

    /// The peer answers again: requests go to it, those that wait first.
    pub fn resume_peer(&self, node: &NodeId) {
        if let Some(known) = self.peers.lock().known.get_mut(node) {
            (known.held, known.suspect) = (false, false);
            for (pool, _) in known.pools(&self.table.load()) {
                pool.resume_peer(node);
            }
        }
    }

    /// The peer has been silent for long: requests that it has not begun to answer are not waited for any
    /// more.
    pub fn lose_peer(&self, node: &NodeId) {
        if let Some(known) = self.peers.lock().known.get(node) {
            std::mem::take(&mut *known.peer.lost.lock()).cancel();
        }
    }

    /// The peer has left: it gets no requests any more; what it still serves goes on.
    pub fn remove_peer(&self, node: &NodeId) {
        if let Some(known) = self.peers.lock().known.remove(node) {
            for (pool, _) in known.pools(&self.table.load()) {
                pool.retire_peer(node);
            }
        }
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

    /// Relayed requests that failed before an answer, by peer.
    pub fn peer_failures(&self) -> Vec<(NodeId, u64)> {
        let peers = self.peers.lock();
        peers.known.iter().map(|(node, known)| (node.clone(), known.peer.failures.load(Relaxed))).collect()
    }

    /// A relayed request has failed before an answer.
    fn suspect_peer(&self, peer: &Arc<Peer>) {
        let mut peers = self.peers.lock();
        // Of a peer that is at another address by now this says nothing.
        let Some(known) = peers.known.get_mut(&peer.node).filter(|known| Arc::ptr_eq(&known.peer, peer))
        else {
            return;
        };
        known.hold(&self.table.load());
        if !std::mem::replace(&mut known.suspect, true) {
            tracing::warn!(node = %peer.node, address = %peer.address, "a peer failed a request and gets no others until it answers");
            peers.suspected.send_modify(|count| *count += 1);
        }
    }

    /// A peer has none of the component's instances, contrary to the status of that number.
    fn missing_at_peer(&self, peer: &Arc<Peer>, pool: &Arc<ComponentPool>, status: u64) {
        let peers = self.peers.lock();
        let latest = peers
            .known
            .get(&peer.node)
            .is_none_or(|known| Arc::ptr_eq(&known.peer, peer) && peer.status() == status);
        if latest {
            pool.retire_peer(&peer.node);
        }
    }
}

// === impl Peers ===

impl Peers {
    /// Gives a new or changed component its peers.
    pub(super) fn seat(&self, pool: &Arc<ComponentPool>) {
        for known in self.known.values() {
            if let Some(instances) = known.serving.get(pool.name()) {
                pool.seat_peer(&known.peer, *instances, known.held);
            }
        }
    }
}

// === impl Known ===

impl Known {
    /// What it serves of what there is.
    fn pools<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = (&'a Arc<ComponentPool>, u32)> {
        self.serving.iter().filter_map(|(name, instances)| Some((table.pools.get(name)?, *instances)))
    }

    fn hold(&mut self, table: &Table) {
        self.held = true;
        for (pool, _) in self.pools(table) {
            pool.hold_peer(&self.peer.node);
        }
    }
}

// === impl Peer ===

impl Peer {
    fn new(node: NodeId, address: SocketAddr, router: Weak<Router>) -> Arc<Self> {
        let connections = |protocol| Arc::new(Connections::to_peer(address, protocol));
        Arc::new(Self {
            node,
            address,
            router,
            http1: connections(HttpProtocol::Http1),
            h2c: connections(HttpProtocol::H2c),
            statuses: AtomicU64::new(0),
            lost: Mutex::default(),
            failures: AtomicU64::new(0),
        })
    }

    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Number of the last status that came from it.
    pub fn status(&self) -> u64 {
        self.statuses.load(Relaxed)
    }

    /// Fires when the peer is lost from now on.
    pub fn lost(&self) -> CancellationToken {
        self.lost.lock().clone()
    }

    pub(super) fn connections(&self, protocol: HttpProtocol) -> &Arc<Connections> {
        match protocol {
            HttpProtocol::Http1 => &self.http1,
            HttpProtocol::H2c => &self.h2c,
        }
    }

    /// It has failed a request before the first byte of an answer: no component sends it any more.
    pub(super) fn fail(self: &Arc<Self>) {
        self.failures.fetch_add(1, Relaxed);
        if let Some(router) = self.router.upgrade() {
            router.suspect_peer(self);
        }
    }

    pub(super) fn misses(self: &Arc<Self>, pool: &Arc<ComponentPool>, status: u64) {
        if let Some(router) = self.router.upgrade() {
            router.missing_at_peer(self, pool, status);
        }
    }
}
