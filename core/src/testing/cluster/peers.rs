//! The driver of `decide::membership`: one task per peer, pushes, probes, discovery, as the daemon's
//! `cluster::peers` does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Planted,
    agenda::Wake,
    messages::{Message, Purpose},
    stored::{Answer as Stored, Call},
    world::World,
};
use crate::{
    decide::membership::{Change, Contact, Leaving},
    names::{ComponentName, NodeId},
    ports::store::Heartbeat,
    time::Moment,
    wire::NodeStatus,
};

const COALESCE: Duration = Duration::from_millis(3);
pub(super) const STATUS_LIMIT: Duration = Duration::from_secs(1);
const NOTICE_LIMIT: Duration = Duration::from_secs(10);
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// A refusal that ends later than the one told before by less is the same one.
const SAME: Duration = Duration::from_millis(500);
const FIRST_SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The task of one peer.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// An exchange is under way: there is one at a time.
    pub(super) busy: bool,
    /// The last announcement that the peer has got.
    pub(super) told: u64,
    /// When it looks next, in true time.
    pub(super) due: Option<u64>,
    /// The router knows it.
    pub(super) routed: bool,
    /// Statuses that the router was told.
    pub(super) statuses: u64,
    /// Until when its starts are refused here.
    pub(super) refused: BTreeMap<ComponentName, Moment>,
}

// === impl World: the task of a peer ===

impl World {
    /// The peer's task looks at once.
    pub(super) fn peer_soon(&mut self, node: usize, peer: &NodeId) {
        self.peer_by(node, peer, self.now);
    }

    fn peer_by(&mut self, node: usize, peer: &NodeId, at: u64) {
        let Some(link) = self.daemon(node).and_then(|daemon| daemon.links.get_mut(peer)) else { return };
        if link.busy || link.due.is_some_and(|due| due <= at) {
            return;
        }
        link.due = Some(at);
        self.wake(node, at, Wake::Peer(peer.clone()));
    }

    pub(super) fn link_is_free(&mut self, node: usize, peer: &NodeId, told: Option<u64>) {
        if let Some(link) = self.daemon(node).and_then(|daemon| daemon.links.get_mut(peer)) {
            link.busy = false;
            link.told = link.told.max(told.unwrap_or(0));
        }
    }

    pub(super) fn peer_due(&mut self, node: usize, peer: &NodeId) {
        let (true_now, now) = (self.now, self.moment(node));
        {
            let Some(link) = self.daemon(node).and_then(|daemon| daemon.links.get_mut(peer)) else { return };
            if link.busy || link.due != Some(true_now) {
                // Late after a freeze: it counts all the same.
                if link.busy || link.due.is_none_or(|due| due > true_now) {
                    return;
                }
            }
            link.due = None;
        }
        self.change(node, |members| members.sweep(now));
        let Some(daemon) = self.daemon(node) else { return };
        let Some((due, contact)) = daemon.membership.next_contact(peer) else { return };
        let announced = daemon.announced.0;
        let reachable = daemon.membership.is_reachable(peer);
        let Some(link) = daemon.links.get_mut(peer) else { return };
        if due <= now {
            link.busy = true;
            let message = match contact {
                Contact::Exchange => {
                    Message::GetStatus { status: Some(self.shared_status(node)), term: None }
                }
                Contact::Ping => Message::GetVersion,
            };
            let purpose = Purpose::Contact { node: peer.clone(), announced };
            self.call(node, peer, message, STATUS_LIMIT, purpose);
            return;
        }
        if announced > link.told
            && reachable
            && let (number, Some(status)) = daemon.announced.clone()
        {
            link.busy = true;
            let message = Message::StatusChanged { status, exiting: false };
            self.call(node, peer, message, STATUS_LIMIT, Purpose::Push { node: peer.clone(), number });
            return;
        }
        let sweep = self.daemon(node).and_then(|daemon| daemon.membership.next_sweep(peer));
        let due = sweep.map_or(due, |sweep| sweep.min(due));
        let at = self.nodes[node].clock.when(due);
        self.peer_by(node, peer, at);
    }

    pub(super) fn peer_answered(
        &mut self,
        node: usize,
        peer: &NodeId,
        status: Option<NodeStatus>,
        asked: Moment,
    ) {
        let now = self.moment(node);
        let status = status.map(|status| self.as_told(status));
        self.change(node, |members| members.answered(peer, status, asked, now));
        self.peer_soon(node, peer);
    }

    /// A status that a peer told, by whatever way.
    pub(super) fn observe(&mut self, node: usize, status: NodeStatus) {
        let now = self.moment(node);
        let status = self.as_told(status);
        self.change(node, |members| members.heard(status, now));
    }

    fn as_told(&self, mut status: NodeStatus) -> NodeStatus {
        if self.story.planted == Some(Planted::NoVersions) {
            // Kept where the promise finds it.
            status.started_at = status.version;
            status.version = i64::try_from(self.now).unwrap_or(i64::MAX);
        }
        status
    }
}

// === impl World: announcements ===

impl World {
    pub(super) fn announce_soon(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        if !daemon.announcing && !daemon.links.is_empty() {
            daemon.announcing = true;
            self.wake_in(node, COALESCE, Wake::Announce);
        }
    }

    pub(super) fn announce(&mut self, node: usize) {
        let status = self.shared_status(node);
        let Some(daemon) = self.daemon(node) else { return };
        daemon.announcing = false;
        daemon.announced = (daemon.announced.0 + 1, Some(status));
        let peers: Vec<NodeId> = daemon.links.keys().cloned().collect();
        for peer in peers {
            self.peer_soon(node, &peer);
        }
    }

    pub(super) fn notice_soon(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        if !std::mem::replace(&mut daemon.noticing, true) {
            self.wake_in(node, COALESCE, Wake::Notices);
        }
    }

    /// Peers hear that this node has changed the configuration.
    pub(super) fn tell_of_change(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        daemon.noticing = false;
        let peers = daemon.links.keys().filter(|peer| daemon.membership.is_reachable(peer));
        let peers: Vec<NodeId> = peers.cloned().collect();
        for peer in peers {
            self.call(node, &peer, Message::DataChanged, NOTICE_LIMIT, Purpose::Notice);
        }
    }

    pub(super) fn say_goodbye(&mut self, node: usize) {
        let status = self.shared_status(node);
        let Some(daemon) = self.daemon(node) else { return };
        let peers = daemon.links.keys().filter(|peer| daemon.membership.is_reachable(peer));
        let peers: Vec<NodeId> = peers.cloned().collect();
        for peer in peers {
            let message = Message::StatusChanged { status: status.clone(), exiting: true };
            self.call(node, &peer, message, STATUS_LIMIT, Purpose::Goodbye);
        }
    }
}

// === impl World: changes ===

impl World {
    /// Lets the membership take something in, and does what follows from it.
    pub(super) fn change(
        &mut self,
        node: usize,
        decide: impl FnOnce(&mut crate::decide::membership::Membership) -> Vec<Change>,
    ) {
        let Some(daemon) = self.daemon(node) else { return };
        let changes = decide(&mut daemon.membership);
        if changes.is_empty() {
            return;
        }
        for change in changes {
            self.follow(node, change);
        }
        self.follow_drain(node);
        self.pass_soon(node, super::control::GAP);
    }

    fn follow(&mut self, node: usize, change: Change) {
        match change {
            Change::Joined(peer) => {
                self.note(|world| format!("{} knows {peer}", world.nodes[node].id));
                if let Some(daemon) = self.daemon(node) {
                    daemon.links.insert(peer.clone(), Link::default());
                }
                self.peer_soon(node, &peer);
            }
            Change::Status(peer) => {
                self.status_moved(node, &peer);
                self.learn_all_proofs(node);
                let routed =
                    self.daemon(node).and_then(|daemon| daemon.links.get(&peer)).is_some_and(|l| l.routed);
                self.status_routed(node, &peer, routed);
                self.peer_soon(node, &peer);
            }
            Change::Reached(peer) => {
                self.note(|world| format!("{} reaches {peer}", world.nodes[node].id));
                if let Some(link) = self.daemon(node).and_then(|daemon| daemon.links.get_mut(&peer)) {
                    link.routed = true;
                }
                self.peer_reached(node, &peer);
                self.peer_soon(node, &peer);
            }
            Change::Silent(peer) => {
                self.note(|world| format!("{} can't reach {peer}", world.nodes[node].id));
                self.hold_peer(node, &peer);
                self.peer_soon(node, &peer);
            }
            Change::Lost(peer) => self.lose_peer(node, &peer),
            Change::Left(peer, why) => {
                self.note(|world| format!("{} sees that {peer} has left: {why:?}", world.nodes[node].id));
                if let Some(daemon) = self.daemon(node) {
                    daemon.links.remove(&peer);
                }
                self.remove_peer(node, &peer);
                if let Leaving::Dead { incarnation } = why {
                    self.ask_store(node, Call::Forget { node: peer, incarnation });
                }
            }
        }
    }

    pub(super) fn heard_heartbeats(
        &mut self,
        node: usize,
        heartbeats: &Arc<Vec<Heartbeat>>,
        whole: bool,
        asked: Moment,
    ) {
        let now = self.moment(node);
        self.change(node, |members| members.heartbeats(heartbeats, whole, asked, now));
    }

    pub(super) fn discover(&mut self, node: usize) {
        let asked = self.moment(node);
        self.ask_store(node, Call::Discover { asked });
    }

    pub(super) fn discovered(&mut self, node: usize, asked: Moment, answer: Stored) {
        let pause = match answer {
            Stored::Heartbeats(heartbeats) => {
                self.heard_heartbeats(node, &heartbeats, true, asked);
                SWEEP_EVERY
            }
            _ => FIRST_SWEEP_EVERY,
        };
        self.wake_in(node, pause, Wake::Discover);
    }
}

// === impl World: what the router is told of peers ===

impl World {
    /// The newest status of a peer is another one.
    fn status_routed(&mut self, node: usize, peer: &NodeId, routed: bool) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let Some(view) = daemon.membership.get(peer) else { return };
        let held = view.silent_since.is_some();
        let serving = serving(&view.status);
        let Some(link) = daemon.links.get_mut(peer) else { return };
        link.statuses += u64::from(routed);
        link.refused.retain(|_, until| *until > now);
        let mut refused = Vec::new();
        for failure in &view.status.failures {
            let Ok(component) = ComponentName::parse(&failure.component_name) else { continue };
            let left = u64::try_from(failure.retry_after_millis).unwrap_or(0);
            let until = now + Duration::from_millis(left);
            if link.refused.get(&component).is_none_or(|told| *told + SAME < until) {
                link.refused.insert(component.clone(), until);
                refused.push((component, until));
            }
        }
        if routed {
            self.set_peer(node, peer, &serving, held);
        }
        for (component, until) in refused {
            self.refuse(node, &component, until);
        }
    }

    fn peer_reached(&mut self, node: usize, peer: &NodeId) {
        self.status_routed(node, peer, true);
        self.resume_peer(node, peer);
    }

    /// A new component gets its peers.
    pub(super) fn seat_peers(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        let routed: Vec<NodeId> =
            daemon.links.iter().filter(|(_, link)| link.routed).map(|(peer, _)| peer.clone()).collect();
        for peer in routed {
            self.status_routed(node, &peer, true);
        }
    }
}

/// Instances that take requests, by component. Those of a node that drains do until it closes.
fn serving(status: &NodeStatus) -> BTreeMap<ComponentName, u32> {
    let mut serving = BTreeMap::new();
    if status.closing == Some(true) {
        return serving;
    }
    for info in &status.running_components {
        if info.status == "active"
            && info.suspect != Some(true)
            && let Ok(component) = ComponentName::parse(&info.component_name)
        {
            *serving.entry(component).or_default() += 1;
        }
    }
    serving
}
