//! The other nodes of the cluster: what they tell, whether they can be reached, and how to call them. The
//! I/O around `decide::membership`, which decides.
//!
//! ```text
//!   store: heartbeats ─┐                                  ┌─► router: who serves what, whom to hold
//!   greetings, statuses├─► membership (one short lock) ───┼─► view() for scheduling and people
//!   router: suspects   ┘        ▲                         └─► journal
//!                               │ answers, failures
//!   own status changed ──► one task per peer: asks, pushes, passes notices on
//! ```
//! The router is told under the lock of the membership, so that what it knows is what was decided last.
//! A node alone opens no connection and its tasks sleep.

mod client;
mod discovery;
mod link;
mod routing;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use hyper::body::Incoming;
use maelstrom_core::{
    decide::{
        lease::Term,
        membership::{Change, Contact, Leaving, Membership},
    },
    journal::Kind,
    names::{NodeId, Role},
    ports::{
        clock::Clock,
        store::{Heartbeat, Revision, Store},
    },
    rpc::{CallError, TransportError},
    time::Moment,
    wire::{self, Method, NodeStatus},
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) use client::PeerClient;
pub use maelstrom_core::decide::membership::PeerView;
pub use routing::PeerRouting;

use self::link::Link;
use super::Reading;
use crate::{
    access::PeerSecret,
    journal::{Entry, Journal},
    tasks::Tasks,
};

/// Changes of this node's status within this time are pushed as one.
const COALESCE: Duration = Duration::from_millis(3);
/// Peers' tasks end at their next await.
const TASKS_LIMIT: Duration = Duration::from_secs(2);

/// What the membership is told of this node.
#[derive(Clone, Debug)]
pub struct PeersSettings {
    pub node: NodeId,
    /// A node that gives no sign of life for so long leaves.
    pub liveness: Duration,
    /// By which peers know this node.
    pub secret: PeerSecret,
}

/// What it stands on.
pub struct PeersParts {
    /// This node's status, fresh.
    pub status: Arc<dyn Fn() -> NodeStatus + Send + Sync>,
    pub routing: Arc<dyn PeerRouting>,
    pub store: Arc<dyn Store>,
    /// Peers are told that the configuration was changed by this node.
    pub commits: watch::Receiver<Revision>,
    pub journal: Arc<Journal>,
    pub clock: Arc<dyn Clock>,
}

/// What peers are told when it changes, and what tells of peers.
pub struct PeersSignals {
    /// The version of this node's status.
    pub versions: watch::Receiver<i64>,
    pub roles: watch::Receiver<BTreeMap<Role, Term>>,
    /// What the roles read from the store anyway.
    pub readings: watch::Receiver<Arc<Reading>>,
}

/// The other nodes.
pub struct Peers {
    settings: PeersSettings,
    status: Arc<dyn Fn() -> NodeStatus + Send + Sync>,
    routing: Arc<dyn PeerRouting>,
    store: Arc<dyn Store>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
    announced: watch::Sender<Announced>,
    commits: watch::Receiver<Revision>,
    /// One per peer, and what outlives a peer by a moment.
    tasks: Tasks,
    /// For the tasks that peers get when they join.
    me: Weak<Self>,
}

struct Inner {
    membership: Membership,
    links: HashMap<NodeId, Arc<Link>>,
}

/// This node's status as it is to be known by all.
#[derive(Clone, Default)]
struct Announced {
    /// Rises with each.
    number: u64,
    /// `None`: it was not changed since the daemon started.
    status: Option<Arc<NodeStatus>>,
}

/// Why a peer could not be called.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PeerError {
    #[error("node '{0}' is not known here")]
    Unknown(NodeId),
    #[error("node '{node}': {error}")]
    Call { node: NodeId, error: CallError },
    #[error("node '{node}' did not answer {method} within {limit:?}")]
    TimedOut { node: NodeId, method: &'static str, limit: Duration },
}

// === impl Peers: what others use ===

impl Peers {
    pub fn new(settings: PeersSettings, parts: PeersParts) -> Arc<Self> {
        let PeersParts { status, routing, store, commits, journal, clock } = parts;
        let membership = Membership::new(settings.node.clone(), settings.liveness);
        Arc::new_cyclic(|me| Self {
            settings,
            status,
            routing,
            store,
            commits,
            journal,
            clock,
            inner: Mutex::new(Inner { membership, links: HashMap::new() }),
            changes: watch::Sender::new(0),
            announced: watch::Sender::default(),
            tasks: Tasks::new(),
            me: me.clone(),
        })
    }

    /// All peers, this node not among them, sorted by id.
    pub fn view(&self) -> Vec<PeerView> {
        self.inner.lock().membership.view()
    }

    /// Some can be reached and stay: they can take what runs here.
    pub fn others_stay(&self) -> bool {
        let stays = |peer: &PeerView| peer.silent_since.is_none() && peer.status.draining != Some(true);
        self.view().iter().any(stays)
    }

    /// The statuses of all peers; of those that can't be reached with since when.
    pub fn statuses(&self) -> Vec<NodeStatus> {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let ago = |since: Moment| i64::try_from(now.since(since).as_millis()).unwrap_or(i64::MAX);
        let status = |view: PeerView| NodeStatus {
            unreachable_since: view.silent_since.map(|since| wall.as_millis() - ago(since)),
            ..NodeStatus::clone(&view.status)
        };
        self.view().into_iter().map(status).collect()
    }

    /// Rises with each change of a status or of who can be reached.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Calls a method of a peer. Whether it succeeds tells of the peer's health like any other exchange.
    pub async fn call<M: Method>(
        &self,
        node: &NodeId,
        method: M,
        input: &M::Input,
        limit: Duration,
    ) -> Result<M::Output, PeerError>
    where
        M::Input: Sync,
    {
        let link = self.link(node)?;
        let asked = self.clock.now();
        match link.call(method, input, limit).await {
            Some(Ok(output)) => {
                self.answered(node, None, asked);
                Ok(output)
            }
            Some(Err(error)) => {
                if matches!(error, CallError::Transport { .. }) {
                    self.doubt(node);
                }
                Err(PeerError::Call { node: node.clone(), error })
            }
            None => {
                self.doubt(node);
                Err(PeerError::TimedOut { node: node.clone(), method: M::NAME, limit })
            }
        }
    }

    /// Begins a stream from a peer, e.g. of its logs.
    pub async fn stream(
        &self,
        node: &NodeId,
        path_and_query: &str,
        limit: Duration,
    ) -> Result<Incoming, PeerError> {
        let client = self.link(node)?.client();
        let begun = tokio::time::timeout(limit, client.transport().stream(path_and_query)).await;
        match begun {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => Err(self.no_stream(node, error)),
            Err(_) => Err(PeerError::TimedOut { node: node.clone(), method: "a stream", limit }),
        }
    }

    fn no_stream(&self, node: &NodeId, error: TransportError) -> PeerError {
        self.doubt(node);
        PeerError::Call { node: node.clone(), error: CallError::Transport { method: "a stream", error } }
    }

    /// A status that a peer told, by whatever way.
    pub fn observe(&self, status: NodeStatus) {
        let now = self.clock.now();
        self.change(|membership| membership.heard(status, now), "it greeted");
    }

    /// A peer told that it leaves; `status` says which run of its daemon.
    pub fn leaves(&self, node: &NodeId, status: Option<&NodeStatus>) {
        let now = self.clock.now();
        let incarnation = status.and_then(|status| status.incarnation.as_deref());
        self.change(|membership| membership.leaves(node, incarnation, now), "");
    }

    /// A reading of the store's heartbeats that was asked for at `asked`. `whole`: of all nodes.
    pub fn heartbeats(&self, heartbeats: &[Heartbeat], whole: bool, asked: Moment) {
        let now = self.clock.now();
        let why = "it writes heartbeats";
        self.change(|membership| membership.heartbeats(heartbeats, whole, asked, now), why);
    }

    /// Where the peer's private gateway is.
    pub fn url_of(&self, node: &NodeId) -> Option<SocketAddr> {
        self.link(node).ok()?.client().transport().socket_address()
    }

    /// Asks all peers for their status at once; those that don't answer within `limit` stay as they were.
    pub async fn refresh(&self, limit: Duration) {
        let input =
            wire::GetStatusInput { status: Some(self.own_status()), ..wire::GetStatusInput::default() };
        let nodes = self.nodes();
        let ask = |node: NodeId| {
            let input = &input;
            async move {
                let asked = self.clock.now();
                if let Ok(output) = self.call(&node, wire::GetStatus, input, limit).await {
                    self.answered(&node, Some(output.status), asked);
                }
            }
        };
        join_all(nodes.into_iter().map(ask)).await;
    }

    /// Waits until all peers that can be reached know this node as it is now, at most `limit`.
    pub async fn settle(&self, limit: Duration) {
        let number = self.announce();
        let links: Vec<Arc<Link>> = self.inner.lock().links.values().cloned().collect();
        let reachable = links.into_iter().filter(|link| self.is_reachable(&link.node));
        let all = reachable.map(|link| async move {
            let mut told = link.told.subscribe();
            let _ = told.wait_for(|told| *told >= number).await;
        });
        if tokio::time::timeout(limit, join_all(all)).await.is_err() {
            tracing::warn!(?limit, "not all peers took this node's last status in time");
        }
    }

    /// Tells all peers that can be reached that this node leaves; they route and place nothing here any
    /// more.
    pub async fn say_goodbye(&self, limit: Duration) {
        let status = self.own_status();
        let input =
            wire::StatusChangedInput { node_id: status.node_id.clone(), exiting: true, status: Some(status) };
        let nodes = self.nodes().into_iter().filter(|node| self.is_reachable(node));
        let tell = |node: NodeId| {
            let input = &input;
            async move {
                if let Err(error) = self.call(&node, wire::StatusChanged, input, limit).await {
                    tracing::debug!(%error, "a peer could not be told that this node leaves");
                }
            }
        };
        join_all(nodes.map(tell)).await;
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.inner.lock().membership.nodes().cloned().collect()
    }

    fn link(&self, node: &NodeId) -> Result<Arc<Link>, PeerError> {
        let link = self.inner.lock().links.get(node).cloned();
        link.ok_or_else(|| PeerError::Unknown(node.clone()))
    }
}

// === impl Peers: running ===

impl Peers {
    /// Finds peers and keeps them informed until `token` fires.
    pub async fn run(self: Arc<Self>, signals: PeersSignals, token: CancellationToken) {
        let PeersSignals { versions, roles, readings } = signals;
        let work = async {
            tokio::join!(
                self.announce_changes(versions),
                self.announce_changes(roles),
                self.follow_suspects(),
                self.follow_readings(readings),
                self.discover()
            );
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = work => {}
        }
        self.tasks.stop(TASKS_LIMIT).await;
    }

    async fn announce_changes<T>(&self, mut changes: watch::Receiver<T>) {
        while changes.changed().await.is_ok() {
            // Who joins later is told in the exchange that it begins with.
            if self.inner.lock().links.is_empty() {
                continue;
            }
            tokio::time::sleep(COALESCE).await;
            changes.mark_unchanged();
            self.announce();
        }
    }

    /// Returns the announcement's number.
    fn announce(&self) -> u64 {
        let mut number = 0;
        // Taken inside, so that an older status can't replace a newer one.
        self.announced.send_modify(|announced| {
            announced.number += 1;
            announced.status = Some(Arc::new(self.own_status()));
            number = announced.number;
        });
        number
    }

    async fn follow_suspects(&self) {
        let mut suspected = self.routing.peer_suspected();
        loop {
            suspected.mark_unchanged();
            for node in self.routing.suspect_peers() {
                let now = self.clock.now();
                self.change(|membership| membership.suspect(&node, now), "a request sent on to it failed");
                self.wake(&node);
            }
            if suspected.changed().await.is_err() {
                // Without its sender nothing becomes suspect any more.
                std::future::pending::<()>().await;
            }
        }
    }

    fn own_status(&self) -> NodeStatus {
        (self.status)()
    }

    fn next_contact(&self, node: &NodeId) -> Option<(Moment, Contact)> {
        self.inner.lock().membership.next_contact(node)
    }

    fn next_sweep(&self, node: &NodeId) -> Option<Moment> {
        self.inner.lock().membership.next_sweep(node)
    }

    fn is_reachable(&self, node: &NodeId) -> bool {
        self.inner.lock().membership.is_reachable(node)
    }

    fn sweep(&self, now: Moment) {
        self.change(|membership| membership.sweep(now), "");
    }

    fn answered(&self, node: &NodeId, status: Option<NodeStatus>, asked: Moment) {
        let now = self.clock.now();
        self.change(|membership| membership.answered(node, status, asked, now), "it answers");
        self.follow_address(node);
    }

    /// Where a host's name leads is known by a connection only.
    fn follow_address(&self, node: &NodeId) {
        let inner = self.inner.lock();
        let Some(link) = inner.links.get(node) else { return };
        let address = link.client().transport().socket_address();
        let elsewhere = link.routed.lock().is_elsewhere(address);
        if elsewhere {
            self.status_changed(&inner, node);
        }
    }

    fn failed(&self, node: &NodeId, asked: Moment, why: &str) {
        let now = self.clock.now();
        self.change(|membership| membership.failed(node, asked, now), why);
    }

    fn doubt(&self, node: &NodeId) {
        let now = self.clock.now();
        self.inner.lock().membership.doubt(node, now);
        self.wake(node);
    }

    fn want_exchange(&self, node: &NodeId) {
        self.inner.lock().membership.want_exchange(node);
    }

    fn wake(&self, node: &NodeId) {
        if let Ok(link) = self.link(node) {
            link.wake.notify_one();
        }
    }
}

// === impl Peers: changes ===

impl Peers {
    /// Lets the membership take something in, and does what follows from it.
    fn change(&self, decide: impl FnOnce(&mut Membership) -> Vec<Change>, why: &str) {
        let mut inner = self.inner.lock();
        let changes = decide(&mut inner.membership);
        if changes.is_empty() {
            return;
        }
        for change in changes {
            self.follow(&mut inner, change, why);
        }
        drop(inner);
        self.changes.send_modify(|number| *number += 1);
    }

    fn follow(&self, inner: &mut Inner, change: Change, why: &str) {
        match change {
            Change::Joined(node) => self.joined(inner, node, why),
            Change::Status(node) => self.status_changed(inner, &node),
            Change::Reached(node) => self.reached(inner, &node),
            Change::Silent(node) => {
                self.routing.hold_peer(&node);
                self.tell(&node, "can't be reached; nothing is sent there", why, true);
                if let Some(link) = inner.links.get(&node) {
                    link.wake.notify_one();
                }
            }
            Change::Lost(node) => self.routing.lose_peer(&node),
            Change::Left(node, leaving) => self.left(inner, &node, &leaving),
        }
    }

    fn joined(&self, inner: &mut Inner, node: NodeId, why: &str) {
        let Some(me) = self.me.upgrade() else { return };
        let url = inner.membership.url(&node).unwrap_or_default();
        let link = Link::new(node.clone(), url, &self.settings.secret, self.tasks.token().child_token());
        self.tell(&node, &format!("is known, at {url}"), why, false);
        inner.links.insert(node.clone(), link.clone());
        self.tasks.spawn("peer", link.keep(me));
        self.status_changed(inner, &node);
    }

    fn status_changed(&self, inner: &Inner, node: &NodeId) {
        let (Some(link), Some(view)) = (inner.links.get(node), inner.membership.get(node)) else { return };
        if link.is_another_run(view.status.incarnation.as_deref()) {
            self.tell(node, "was started anew", "", false);
        }
        link.lead_to(&view.status.peer_url);
        let address = link.client().transport().socket_address();
        let now = self.clock.now();
        link.routed.lock().status(self.routing.as_ref(), node, address, &view.status, now);
        link.wake.notify_one();
    }

    fn reached(&self, inner: &Inner, node: &NodeId) {
        let (Some(link), Some(view)) = (inner.links.get(node), inner.membership.get(node)) else { return };
        self.tell(node, "can be reached", "it answers", false);
        if let Some(address) = link.client().transport().socket_address() {
            link.routed.lock().reached(self.routing.as_ref(), node, address, &view.status);
        }
    }

    fn left(&self, inner: &mut Inner, node: &NodeId, leaving: &Leaving) {
        if let Some(link) = inner.links.remove(node) {
            link.end.cancel();
        }
        self.routing.remove_peer(node);
        let (why, warning) = match leaving {
            Leaving::Told => ("it said so".to_owned(), false),
            Leaving::Removed => ("it can't be reached and its heartbeat was removed".to_owned(), true),
            Leaving::Dead { incarnation } => {
                self.remove_heartbeat(node, incarnation);
                (format!("it gave no sign of life for {} s", self.settings.liveness.as_secs()), true)
            }
        };
        self.tell(node, "has left the cluster", &why, warning);
    }

    fn tell(&self, node: &NodeId, what: &str, why: &str, warning: bool) {
        let entry = Entry::new(Kind::Node, format!("node '{node}' {what}")).data("peer", node.as_str());
        let entry = if why.is_empty() { entry } else { entry.because(why) };
        self.journal.record(if warning { entry.warning() } else { entry });
    }
}

#[cfg(test)]
mod tests;
