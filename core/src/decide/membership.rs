//! Who belongs to the cluster, as one node sees it: without I/O, on its own clock.
//!
//! A peer is known from its heartbeat in the store or because it greets. It is *reachable* once it has
//! answered, and *silent* from the first failure on: then it is asked again and again, with growing pauses,
//! until it answers or leaves.
//!
//! ```text
//!   heartbeat, greeting ──► silent ──answers──► reachable
//!                             │  ▲                  │
//!       told that it leaves,  │  └─── fails once ───┘
//!       no sign of life for   ▼                     │ told that it leaves
//!       the liveness time    left ◄─────────────────┘
//! ```
//! * Only an answer makes a peer reachable: who can be heard can't always be reached.
//! * A status replaces an older one only: newer is who has the newer run of the daemon (`incarnation`), then
//!   the higher version, then the later observation. What left stays away until a newer run shows.
//! * A run's name sorts by the clock of its host, which may have been put back. So an answer, or a reading of
//!   the store, that was asked for after the last sign of the run known so far, is believed whatever it names.
//! * A run that was replaced may have left its last heartbeat in the store until the new one has written one:
//!   a heartbeat of an earlier run only has the peer asked, a further one of it is believed.
//! * A peer that can't be reached but still writes heartbeats stays: it lives, and others may reach it.

mod peer;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{names::NodeId, ports::store::Heartbeat, time::Moment, wire::NodeStatus};

pub use super::scheduler::LOST_AFTER;
use peer::Peer;

/// The first pause between questions to a silent peer; also the least between any that a doubt causes.
pub const PROBE_MIN: Duration = Duration::from_millis(250);
/// The longest pause between questions to a silent peer.
pub const PROBE_MAX: Duration = Duration::from_secs(2);
/// A peer that nothing was heard of for so long is asked whether it is there: a host that lost its power
/// refuses nothing, and until it is missed it is routed to.
pub const QUIET: Duration = Duration::from_secs(1);
/// How often statuses are exchanged whole, whether or not anything changed.
pub const EXCHANGE_EVERY: Duration = Duration::from_secs(10);
/// How long it is known who left: what was sent before is delivered or lost by then.
const LEFT_REMEMBERED: Duration = Duration::from_secs(3_600);

/// What one node knows of the others.
#[derive(Debug)]
pub struct Membership {
    own: NodeId,
    /// No sign of life for so long: a silent peer leaves.
    liveness: Duration,
    peers: BTreeMap<NodeId, Peer>,
    left: BTreeMap<NodeId, Left>,
    /// When the newest reading of all heartbeats was asked for.
    read: Option<Moment>,
}

/// What is worth asking a peer next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Both statuses, whole.
    Exchange,
    /// Whether it is there.
    Ping,
}

/// What became of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Known from now on; silent until it answers.
    Joined(NodeId),
    /// Its newest status is another one, or is another run's that is not known yet.
    Status(NodeId),
    /// It answered for the first time, or again.
    Reached(NodeId),
    Silent(NodeId),
    /// It has been silent for [`LOST_AFTER`]: what is under way there is not waited for any more.
    Lost(NodeId),
    Left(NodeId, Leaving),
}

/// Why a peer left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It said so.
    Told,
    /// It is silent, and its heartbeat was removed.
    Removed,
    /// It is silent and wrote no heartbeat for the liveness time. Carries the run that died.
    Dead { incarnation: String },
}

/// A peer as others use it.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerView {
    /// Without anything but id and address while the peer has not told its own yet.
    pub status: Arc<NodeStatus>,
    /// Set while it can't be reached.
    pub silent_since: Option<Moment>,
    /// It can't be reached and lives: it has written heartbeats since.
    pub beats: bool,
}

#[derive(Debug)]
struct Left {
    incarnation: String,
    at: Moment,
    why: Leaving,
    /// The last beat seen of it.
    beat: Option<u64>,
}

// === impl Membership ===

impl Membership {
    pub fn new(own: NodeId, liveness: Duration) -> Self {
        Self { own, liveness, peers: BTreeMap::new(), left: BTreeMap::new(), read: None }
    }

    /// All peers, sorted by id.
    pub fn view(&self) -> Vec<PeerView> {
        self.peers.iter().map(|(node, peer)| peer.view(node)).collect()
    }

    pub fn get(&self, node: &NodeId) -> Option<PeerView> {
        self.peers.get(node).map(|peer| peer.view(node))
    }

    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.peers.keys()
    }

    /// Where the peer's private gateway is.
    pub fn url(&self, node: &NodeId) -> Option<&str> {
        self.peers.get(node).map(|peer| peer.url.as_str())
    }

    /// Whether the peer answered when it was last asked.
    pub fn is_reachable(&self, node: &NodeId) -> bool {
        self.peers.get(node).is_some_and(|peer| peer.silent_since().is_none())
    }

    /// When the peer is to be asked next, and what. `None`: it is not known.
    pub fn next_contact(&self, node: &NodeId) -> Option<(Moment, Contact)> {
        self.peers.get(node).map(Peer::next_contact)
    }

    /// When [`Membership::sweep`] has to look at the peer though nothing happens.
    pub fn next_sweep(&self, node: &NodeId) -> Option<Moment> {
        self.peers.get(node)?.lost_at()
    }

    /// The peer told its status by itself: pushed it, or sent it along with a question.
    pub fn heard(&mut self, status: NodeStatus, now: Moment) -> Vec<Change> {
        let node = NodeId::new(status.node_id.as_str());
        if node == self.own {
            return Vec::new();
        }
        let run = run_of(&status);
        if let Some(left) = self.left.get(&node)
            && !left.admits_greeting(run)
        {
            return Vec::new();
        }
        let Some(peer) = self.peers.get_mut(&node) else {
            let mut peer = Peer::new(status.peer_url.clone(), run.to_owned(), now);
            peer.take(status, now);
            return self.join(node, peer);
        };
        if run < peer.run.as_str() {
            return Vec::new();
        }
        peer.greeted(now);
        if peer.takes(&status) { peer.take_and_tell(&node, status, now) } else { Vec::new() }
    }

    /// The peer answered what was asked at `asked`; with a status if it told one.
    pub fn answered(
        &mut self,
        node: &NodeId,
        status: Option<NodeStatus>,
        asked: Moment,
        now: Moment,
    ) -> Vec<Change> {
        if let Some(other) = status.as_ref().filter(|status| status.node_id != node.as_str()) {
            // Another node has got its address.
            let mut changes = self.heard(other.clone(), now);
            changes.extend(self.failed(node, asked, now));
            return changes;
        }
        let Some(peer) = self.peers.get_mut(node) else { return Vec::new() };
        let mut changes = Vec::new();
        let exchanged = status.is_some();
        if let Some(status) = status {
            // Nothing of the run known so far was heard since this was asked: it is gone.
            let other_run = run_of(&status) != peer.run && asked >= peer.run_heard;
            if other_run || peer.takes(&status) {
                changes = peer.take_and_tell(node, status, now);
            }
        }
        if peer.answered(exchanged, asked, now) {
            changes.push(Change::Reached(node.clone()));
        }
        changes
    }

    /// What was asked at `asked` was not answered.
    pub fn failed(&mut self, node: &NodeId, asked: Moment, now: Moment) -> Vec<Change> {
        let Some(peer) = self.peers.get_mut(node) else { return Vec::new() };
        let silent = peer.failed(asked, now);
        if silent { vec![Change::Silent(node.clone())] } else { Vec::new() }
    }

    /// Something else failed with the peer, e.g. a request sent on to it: nothing is sent there before it
    /// has answered again, and it is asked at once.
    pub fn suspect(&mut self, node: &NodeId, now: Moment) -> Vec<Change> {
        let Some(peer) = self.peers.get_mut(node) else { return Vec::new() };
        if peer.suspect(now) { vec![Change::Silent(node.clone())] } else { Vec::new() }
    }

    /// A reason to ask the peer soon, e.g. that its connection was closed.
    pub fn doubt(&mut self, node: &NodeId, now: Moment) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.doubt(now);
        }
    }

    /// Statuses are to be exchanged with the peer as soon as may be.
    pub fn want_exchange(&mut self, node: &NodeId) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.exchanged = None;
        }
    }

    /// The peer told that it leaves. Without an `incarnation` the run known so far is meant.
    pub fn leaves(&mut self, node: &NodeId, incarnation: Option<&str>, now: Moment) -> Vec<Change> {
        let Some(peer) = self.peers.get_mut(node) else {
            self.note_leaving(node, incarnation, now);
            return Vec::new();
        };
        let run = incarnation.unwrap_or(&peer.run);
        if run < peer.run.as_str() {
            return Vec::new();
        }
        peer.run = run.to_owned();
        self.leave(node, Leaving::Told, now)
    }

    /// Its greeting may still be on the way here.
    fn note_leaving(&mut self, node: &NodeId, incarnation: Option<&str>, now: Moment) {
        let Some(run) = incarnation.filter(|_| *node != self.own) else { return };
        if self.left.get(node).is_none_or(|left| left.incarnation.as_str() <= run) {
            let left = Left { incarnation: run.to_owned(), at: now, why: Leaving::Told, beat: None };
            self.left.insert(node.clone(), left);
        }
    }

    /// A reading of heartbeats that was asked for at `asked`. `whole`: of all there are, so that who is
    /// missing has none.
    pub fn heartbeats(
        &mut self,
        heartbeats: &[Heartbeat],
        whole: bool,
        asked: Moment,
        now: Moment,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for heartbeat in heartbeats {
            changes.extend(self.heartbeat(heartbeat, asked, now));
        }
        if whole && self.read.is_none_or(|read| asked >= read) {
            self.read = Some(asked);
            changes.extend(self.forget_removed(heartbeats, asked, now));
        }
        changes
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat, asked: Moment, now: Moment) -> Vec<Change> {
        let (node, run) = (&heartbeat.node, heartbeat.incarnation.as_str());
        if *node == self.own {
            return Vec::new();
        }
        if let Some(left) = self.left.get(node)
            && !left.admits_heartbeat(heartbeat, asked)
        {
            return Vec::new();
        }
        let Some(peer) = self.peers.get_mut(node) else {
            let mut peer = Peer::new(heartbeat.peer_url.clone(), run.to_owned(), now);
            peer.beat(heartbeat.beat, asked, now);
            return self.join(node.clone(), peer);
        };
        if run == peer.run {
            peer.beat(heartbeat.beat, asked, now);
            return Vec::new();
        }
        if run < peer.run.as_str() && asked < peer.run_heard || peer.is_left_behind(heartbeat, now) {
            return Vec::new();
        }
        peer.restarted(heartbeat, asked, now);
        vec![Change::Status(node.clone())]
    }

    /// Who can't be reached and has no heartbeat any more is gone.
    fn forget_removed(&mut self, heartbeats: &[Heartbeat], asked: Moment, now: Moment) -> Vec<Change> {
        let missing = |node: &NodeId| heartbeats.iter().all(|heartbeat| heartbeat.node != *node);
        let removed = |(node, peer): (&NodeId, &Peer)| {
            let gone = peer.had_beat_before(asked) && peer.silent_since().is_some() && missing(node);
            gone.then(|| node.clone())
        };
        let gone: Vec<NodeId> = self.peers.iter().filter_map(removed).collect();
        gone.iter().flat_map(|node| self.leave(node, Leaving::Removed, now)).collect()
    }

    /// Lets those go that gave no sign of life for the liveness time, and tells who is lost.
    pub fn sweep(&mut self, now: Moment) -> Vec<Change> {
        let lose = |(node, peer): (&NodeId, &mut Peer)| peer.lose(now).then(|| Change::Lost(node.clone()));
        let mut changes: Vec<Change> = self.peers.iter_mut().filter_map(lose).collect();
        self.left.retain(|_, left| now.since(left.at) < LEFT_REMEMBERED);
        let dead = |(node, peer): (&NodeId, &Peer)| {
            let dead = peer.silent_since().is_some() && now.since(peer.last_sign()) >= self.liveness;
            dead.then(|| (node.clone(), Leaving::Dead { incarnation: peer.run.clone() }))
        };
        let dead: Vec<(NodeId, Leaving)> = self.peers.iter().filter_map(dead).collect();
        changes.extend(dead.into_iter().flat_map(|(node, why)| self.leave(&node, why, now)));
        changes
    }

    fn join(&mut self, node: NodeId, peer: Peer) -> Vec<Change> {
        self.left.remove(&node);
        self.peers.insert(node.clone(), peer);
        vec![Change::Joined(node)]
    }

    fn leave(&mut self, node: &NodeId, why: Leaving, now: Moment) -> Vec<Change> {
        let Some(peer) = self.peers.remove(node) else { return Vec::new() };
        let beat = peer.last_beat();
        self.left.insert(node.clone(), Left { incarnation: peer.run, at: now, why: why.clone(), beat });
        vec![Change::Left(node.clone(), why)]
    }
}

// === impl Left ===

impl Left {
    /// A run that was only silent may come back; one that said that it leaves never does.
    fn admits_greeting(&self, run: &str) -> bool {
        match self.why {
            Leaving::Told => run > self.incarnation.as_str(),
            Leaving::Removed | Leaving::Dead { .. } => run >= self.incarnation.as_str(),
        }
    }

    fn admits_heartbeat(&self, heartbeat: &Heartbeat, asked: Moment) -> bool {
        if heartbeat.incarnation != self.incarnation {
            // Two runs never have heartbeats at a time.
            return heartbeat.incarnation > self.incarnation || asked >= self.at;
        }
        self.why != Leaving::Told && Some(heartbeat.beat) != self.beat
    }
}

/// The run of the daemon that the status is of; empty where its program doesn't tell.
fn run_of(status: &NodeStatus) -> &str {
    status.incarnation.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
