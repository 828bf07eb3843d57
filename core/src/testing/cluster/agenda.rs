//! What is to happen, in order of true time; what is due at the same time happens as it was planned.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::{messages::Packet, stored::Call, units::Stage};
use crate::{
    decide::drain::Step,
    names::{ComponentName, NodeId},
};

#[derive(Debug)]
pub(super) enum Event {
    /// For a run of a node's daemon: waits while that is frozen, is lost with it.
    Daemon {
        node: usize,
        run: u64,
        wake: Wake,
    },
    Packet(Packet),
    /// A call arrives at the store, which answers after a while unless that is lost.
    AtStore {
        node: usize,
        run: u64,
        call: Box<Call>,
        number: u64,
        answer_in: Option<u64>,
    },
    /// A container has served a request.
    Served {
        node: usize,
        container: u64,
        request: u64,
    },
    /// A container's process ends.
    Ends {
        node: usize,
        container: u64,
    },
    Arrival(usize),
    /// A request may wait no longer.
    Deadline(u64),
    /// Something is to go wrong.
    Trouble,
    /// A daemon is started.
    Start {
        node: usize,
        power: bool,
    },
    /// A daemon is told to restart in place.
    Restart(usize),
    /// Who wanted the node empty does so no more.
    Undrain(usize),
    /// Somebody changes the configuration.
    Deploy,
    /// A fault that shows in nothing else ends.
    Over,
    /// Whether the cluster has come to rest.
    Look,
}

/// What wakes a daemon.
#[derive(Debug)]
pub(super) enum Wake {
    Beat,
    Look,
    Answered {
        number: u64,
        answer: Box<super::stored::Answer>,
    },
    Discover,
    Watch,
    /// The task of a peer.
    Peer(NodeId),
    Announce,
    /// A call to a peer has no answer.
    Unanswered(u64),
    Tick,
    Pass,
    /// Somebody waits and nothing serves.
    Demanded,
    /// Another try to read the first configuration.
    Load,
    /// Asks for a component that goes on starving.
    Ask(ComponentName),
    Placing,
    Converge(ComponentName),
    Instance {
        component: ComponentName,
        serial: u64,
        stage: Stage,
    },
    /// The engine tells that a container has ended.
    Died(u64),
    Repair,
    /// A container that no instance owned has ended.
    Cleared(u64),
    /// The engine has told what earlier runs left.
    Adopt,
    /// An attempt at an instance of this node has ended.
    Local {
        request: u64,
        container: u64,
        done: bool,
    },
    Cron,
    /// The time of a step is over; `None`: it may have ended.
    Leaving(Option<Step>),
    /// The pause of a peer's notices.
    Notices,
}

#[derive(Debug)]
struct Planned {
    at: u64,
    number: u64,
    event: Event,
}

#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Planned>,
    count: u64,
}

// === impl Agenda ===

impl Agenda {
    pub(super) fn plan(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.heap.push(Planned { at, number: self.count, event });
    }

    pub(super) fn next(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|planned| (planned.at, planned.event))
    }
}

// === impl Planned ===

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    /// The heap gives its greatest first: that is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
