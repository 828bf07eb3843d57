//! What the owner of the role knows of the other nodes beside their statuses: which of them obey it alone, and
//! what they may run while they have not told it yet.
//!
//! ```text
//!   unknown ──asked──► answers that it still looks ──► asked again when it has looked
//!                  ├─► no answer ──► asked again after a pause
//!                  └─► answers ──► fenced, as long as this run of its daemon lasts
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::NodeState;
use crate::{decide::membership::PeerView, names::NodeId, time::Moment, wire::NodeStatus};

/// Within it a node answers whether it takes orders. Deciding begins after this time though one doesn't.
pub const FENCE_LIMIT: Duration = Duration::from_secs(1);
/// Between tries to fence a node.
const FENCE_PAUSE: Duration = Duration::from_secs(1);

/// See the module. One for each tenure of the role.
#[derive(Debug, Default)]
pub struct Roster {
    /// To be asked before the first decision.
    first: BTreeSet<NodeId>,
    /// Which run of each node's daemon was fenced.
    fenced: BTreeMap<NodeId, Arc<str>>,
    /// Nodes that are being asked, or were a moment ago in vain.
    asked: BTreeMap<NodeId, Attempt>,
    /// Since when each node's run is known.
    since: BTreeMap<NodeId, (Arc<str>, Moment)>,
    /// What each node told last of what runs there.
    told: BTreeMap<NodeId, NodeState>,
}

/// The last time that a node was asked whether it takes orders.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    again: Moment,
    /// It said that it still looks for what its last run left: worth asking as soon as that is over.
    adopting: bool,
}

// === impl Roster ===

impl Roster {
    /// At the beginning of a tenure.
    pub fn new(peers: &[PeerView]) -> Self {
        let reachable = peers.iter().filter(|peer| peer.silent_since.is_none());
        Self { first: reachable.map(|peer| id(&peer.status)).collect(), ..Self::default() }
    }

    /// All who could be reached at first have been asked.
    pub fn is_ready(&self) -> bool {
        self.first.is_empty()
    }

    /// Whom to ask now. Who is none of `peers` any more is forgotten.
    pub fn to_ask(&mut self, peers: &[PeerView], now: Moment) -> Vec<NodeId> {
        let here: BTreeSet<&str> = peers.iter().map(|peer| peer.status.node_id.as_str()).collect();
        self.first.retain(|node| here.contains(node.as_str()));
        self.fenced.retain(|node, _| here.contains(node.as_str()));
        self.asked.retain(|node, _| here.contains(node.as_str()));
        self.since.retain(|node, _| here.contains(node.as_str()));
        self.told.retain(|node, _| here.contains(node.as_str()));
        let mut ask = Vec::new();
        for peer in peers.iter().filter(|peer| peer.silent_since.is_none()) {
            let node = id(&peer.status);
            let adopting = peer.status.adopting == Some(true);
            let early = self.asked.get(&node).is_some_and(|last| last.is_recent(adopting, now));
            if !early && !self.has_fenced(&node, &run(&peer.status)) {
                let again = now + FENCE_LIMIT + FENCE_PAUSE;
                self.asked.insert(node.clone(), Attempt { again, adopting: false });
                ask.push(node);
            }
        }
        ask
    }

    /// What a node that was asked has answered; `None`: nothing, or no.
    pub fn answered(&mut self, node: &NodeId, status: Option<&NodeStatus>, now: Moment) {
        self.first.remove(node);
        let adopting = status.is_some_and(|status| status.adopting == Some(true));
        match status.filter(|_| !adopting) {
            Some(status) => {
                self.asked.remove(node);
                self.fenced.insert(node.clone(), run(status));
            }
            None => {
                self.asked.insert(node.clone(), Attempt { again: now + FENCE_PAUSE, adopting });
            }
        }
    }

    /// The peer as it is to be reckoned with. A daemon that was started anew may find all that its last run
    /// left.
    pub fn state_of(&mut self, peer: &PeerView, now: Moment) -> NodeState {
        let state = self.believed(NodeState::of(&peer.status));
        NodeState {
            silent_for: peer.silent_since.map(|since| now.since(since)),
            beats: peer.beats,
            fenced: self.has_fenced(&state.view.id, &state.incarnation),
            known_for: now.since(self.known_since(&state.view.id, &state.incarnation, now)),
            ..state
        }
    }

    fn believed(&mut self, state: NodeState) -> NodeState {
        if !state.adopting {
            self.told.insert(state.view.id.clone(), state.clone());
            return state;
        }
        match self.told.get(&state.view.id) {
            Some(last) => state.with_what_runs_of(last),
            None => state,
        }
    }

    fn has_fenced(&self, node: &NodeId, incarnation: &Arc<str>) -> bool {
        !incarnation.is_empty() && self.fenced.get(node) == Some(incarnation)
    }

    fn known_since(&mut self, node: &NodeId, incarnation: &Arc<str>, now: Moment) -> Moment {
        let known = self.since.entry(node.clone()).or_insert_with(|| (incarnation.clone(), now));
        if known.0 != *incarnation {
            *known = (incarnation.clone(), now);
        }
        known.1
    }
}

// === impl Attempt ===

impl Attempt {
    fn is_recent(self, adopting: bool, now: Moment) -> bool {
        now < self.again && (adopting || !self.adopting)
    }
}

fn id(status: &NodeStatus) -> NodeId {
    NodeId::new(status.node_id.as_str())
}

/// Of its daemon.
fn run(status: &NodeStatus) -> Arc<str> {
    Arc::from(status.incarnation.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(millis)
    }

    fn status(run: &str, adopting: bool) -> NodeStatus {
        NodeStatus {
            node_id: "b".into(),
            incarnation: Some(run.into()),
            version: 1,
            adopting: adopting.then_some(true),
            ..NodeStatus::default()
        }
    }

    fn peer(status: &NodeStatus) -> PeerView {
        PeerView { status: Arc::new(status.clone()), silent_since: None, beats: false }
    }

    fn b() -> NodeId {
        NodeId::new("b")
    }

    #[test]
    fn who_still_looks_is_asked_again_as_soon_as_it_has_looked() {
        let (looks, has_looked) = (status("1", true), status("1", false));
        let mut roster = Roster::new(&[peer(&looks)]);
        assert!(!roster.is_ready());
        assert_eq!(roster.to_ask(&[peer(&looks)], at(0)), [b()]);
        assert_eq!(roster.to_ask(&[peer(&has_looked)], at(1)), [], "it is being asked");
        roster.answered(&b(), Some(&looks), at(2));
        assert!(roster.is_ready(), "it was asked");
        assert!(
            !roster.state_of(&peer(&has_looked), at(2)).fenced,
            "it may still find what an earlier owner ordered"
        );
        assert_eq!(roster.to_ask(&[peer(&looks)], at(3)), []);
        assert_eq!(roster.to_ask(&[peer(&has_looked)], at(4)), [b()]);
        roster.answered(&b(), Some(&has_looked), at(5));
        assert!(roster.state_of(&peer(&has_looked), at(5)).fenced);
        assert_eq!(roster.to_ask(&[peer(&has_looked)], at(60_000)), []);
    }

    #[test]
    fn who_does_not_answer_is_asked_again_after_a_pause_and_not_while_it_is_silent() {
        let other = status("1", false);
        let mut roster = Roster::new(&[peer(&other)]);
        assert_eq!(roster.to_ask(&[peer(&other)], at(0)), [b()]);
        roster.answered(&b(), None, at(1_000));
        assert_eq!(roster.to_ask(&[peer(&other)], at(1_999)), []);
        let silent = PeerView { silent_since: Some(at(1_000)), ..peer(&other) };
        assert_eq!(roster.to_ask(&[silent], at(2_000)), []);
        assert_eq!(roster.to_ask(&[peer(&other)], at(2_000)), [b()]);
    }

    #[test]
    fn another_run_of_a_daemon_was_never_fenced() {
        let (first, second) = (status("1", false), status("2", false));
        let mut roster = Roster::default();
        roster.to_ask(&[peer(&first)], at(0));
        roster.answered(&b(), Some(&first), at(0));
        let known = roster.state_of(&peer(&first), at(10));
        assert!(known.fenced && known.known_for.is_zero());
        assert_eq!(roster.state_of(&peer(&first), at(30)).known_for, Duration::from_millis(20));
        assert_eq!(roster.to_ask(&[peer(&second)], at(40)), [b()]);
        let anew = roster.state_of(&peer(&second), at(50));
        assert!(!anew.fenced && anew.known_for.is_zero());
        // Nor one that left and came back under the same name.
        assert_eq!(roster.to_ask(&[], at(60)), []);
        assert_eq!(roster.to_ask(&[peer(&first)], at(70)), [b()]);
    }

    #[test]
    fn a_node_without_a_run_is_never_fenced() {
        let nameless = NodeStatus { incarnation: None, ..status("", false) };
        let mut roster = Roster::default();
        roster.answered(&b(), Some(&nameless), at(0));
        assert!(!roster.state_of(&peer(&nameless), at(0)).fenced);
    }
}
