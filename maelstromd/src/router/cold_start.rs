//! One cold start from the first waiter's arrival to its first response byte. Whoever ends a phase marks
//! it: control (placed), the node (pulled … probed), the gateway (first byte). The pool keeps it while
//! somebody waits, gives it to the first waiter served, and journals it with that request's first byte.

use std::time::Duration;

use maelstrom_core::{
    names::{ComponentName, NodeId},
    time::Moment,
};
use parking_lot::Mutex;

use crate::journal::Entry;

/// What has been reached, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// A node was told to run an instance.
    Placed,
    Pulled,
    Created,
    Started,
    /// The health check passed.
    Probed,
    /// The waiter's request has a slot.
    Served,
    FirstByte,
}

#[derive(Debug)]
pub struct ColdStart {
    component: ComponentName,
    arrived: Moment,
    progress: Mutex<Progress>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    marks: [Option<Moment>; Phase::ALL.len()],
    /// The peer that it was served by; `None`: this node, or nobody yet.
    peer: Option<NodeId>,
}

// === impl Phase ===

impl Phase {
    const ALL: [Phase; 7] = [
        Phase::Placed,
        Phase::Pulled,
        Phase::Created,
        Phase::Started,
        Phase::Probed,
        Phase::Served,
        Phase::FirstByte,
    ];

    /// Key of the phase's duration in the journal entry's data.
    fn key(self) -> &'static str {
        match self {
            Phase::Placed => "placeMs",
            Phase::Pulled => "pullMs",
            Phase::Created => "createMs",
            Phase::Started => "startMs",
            Phase::Probed => "probeMs",
            Phase::Served => "serveMs",
            Phase::FirstByte => "firstByteMs",
        }
    }
}

// === impl ColdStart ===

impl ColdStart {
    pub(super) fn new(component: ComponentName, arrived: Moment) -> Self {
        Self { component, arrived, progress: Mutex::default() }
    }

    /// When the first waiter arrived.
    pub fn arrived(&self) -> Moment {
        self.arrived
    }

    /// A phase has ended. A start that is tried again marks its phases again: the last try counts.
    pub fn mark(&self, phase: Phase, now: Moment) {
        self.progress.lock().marks[phase as usize] = Some(now);
    }

    /// An instance came up at a peer.
    pub(super) fn served_by(&self, peer: &NodeId, now: Moment) {
        let mut progress = self.progress.lock();
        progress.marks[Phase::Served as usize] = Some(now);
        progress.peer = Some(peer.clone());
    }

    /// Each phase's share of the time since the arrival, as far as it was marked.
    pub fn phases(&self) -> Vec<(Phase, Duration)> {
        let marks = self.progress.lock().marks;
        let mut begin = self.arrived;
        let mut phases = Vec::with_capacity(marks.len());
        for (phase, end) in Phase::ALL.into_iter().zip(marks) {
            if let Some(end) = end {
                phases.push((phase, end.since(begin)));
                begin = begin.max(end);
            }
        }
        phases
    }

    pub(super) fn entry(&self) -> Entry {
        let phases = self.phases();
        let total: Duration = phases.iter().map(|(_, duration)| *duration).sum();
        let message = format!("a cold start of {} took {:.0} ms", self.component, millis(total));
        let entry = Entry::new(maelstrom_core::journal::Kind::ColdStart, message)
            .component(&self.component)
            .data("totalMs", millis(total));
        let peer = self.progress.lock().peer.clone();
        let entry = match peer {
            Some(peer) => entry.data("servedBy", peer.as_str()),
            None => entry,
        };
        phases.into_iter().fold(entry, |entry, (phase, duration)| entry.data(phase.key(), millis(duration)))
    }
}

/// Milliseconds with two decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
