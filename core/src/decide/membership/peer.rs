//! One peer: its newest status, whether it answers, and when it is to be asked again.

use std::sync::Arc;

use super::{Change, Contact, EXCHANGE_EVERY, LOST_AFTER, PROBE_MAX, PROBE_MIN, PeerView, QUIET, run_of};
use crate::{names::NodeId, ports::store::Heartbeat, time::Moment, wire::NodeStatus};

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) url: String,
    /// The newest run known of its daemon.
    pub(super) run: String,
    /// When that run was last heard of, by whatever way.
    pub(super) run_heard: Moment,
    /// When statuses were last exchanged; `None`: they should be now.
    pub(super) exchanged: Option<Moment>,
    status: Option<Arc<NodeStatus>>,
    reach: Reach,
    /// When the last question that it answered was asked.
    answered: Option<Moment>,
    /// When it was last asked.
    asked: Option<Moment>,
    /// It is to be asked then, whatever else.
    check: Option<Moment>,
    /// The last beat read, and when that was first seen.
    beat: Option<(u64, Moment)>,
    /// The run before this one, with the beat that was first read of it since.
    former: Option<(String, Option<u64>)>,
}

#[derive(Clone, Copy, Debug)]
enum Reach {
    Reachable,
    Silent(Silence),
}

#[derive(Clone, Copy, Debug)]
struct Silence {
    since: Moment,
    failures: u32,
    /// For so long that this was told.
    lost: bool,
    /// Of its run, as it was first read since. One of before may have been read late.
    first_beat: Option<u64>,
    /// A later one was read.
    beats: bool,
}

// === impl Silence ===

impl Silence {
    fn new(since: Moment, failures: u32) -> Self {
        Self { since, failures, lost: false, first_beat: None, beats: false }
    }
}

// === impl Peer ===

impl Peer {
    /// Silent until it answers; to be asked at once.
    pub(super) fn new(url: String, run: String, now: Moment) -> Self {
        Self {
            url,
            run,
            run_heard: now,
            exchanged: None,
            status: None,
            // Nothing was ever sent there.
            reach: Reach::Silent(Silence { lost: true, ..Silence::new(now, 0) }),
            answered: None,
            asked: None,
            check: Some(now),
            beat: None,
            former: None,
        }
    }

    pub(super) fn view(&self, node: &NodeId) -> PeerView {
        let bare = || {
            Arc::new(NodeStatus {
                node_id: node.to_string(),
                peer_url: self.url.clone(),
                incarnation: Some(self.run.clone()).filter(|run| !run.is_empty()),
                ..NodeStatus::default()
            })
        };
        PeerView {
            status: self.status.clone().unwrap_or_else(bare),
            silent_since: self.silent_since(),
            beats: matches!(self.reach, Reach::Silent(Silence { beats: true, .. })),
        }
    }

    pub(super) fn silent_since(&self) -> Option<Moment> {
        match self.reach {
            Reach::Reachable => None,
            Reach::Silent(silence) => Some(silence.since),
        }
    }

    pub(super) fn next_contact(&self) -> (Moment, Contact) {
        match self.reach {
            // An answer carries its status, with which it can be used again.
            Reach::Silent(silence) => (self.next_probe(silence.failures), Contact::Exchange),
            Reach::Reachable => {
                let exchange = self.exchanged.map_or(Moment::ZERO, |at| at + EXCHANGE_EVERY);
                let ping = self.run_heard + QUIET;
                let ping = self.check.map_or(ping, |check| check.min(ping));
                if exchange <= ping { (exchange, Contact::Exchange) } else { (ping, Contact::Ping) }
            }
        }
    }

    fn next_probe(&self, failures: u32) -> Moment {
        let Some(asked) = self.asked else { return Moment::ZERO };
        let pause = PROBE_MIN * 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        let by_pause = asked + pause.min(PROBE_MAX);
        self.check.map_or(by_pause, |check| check.min(by_pause))
    }

    /// Whether the status is newer than the one known.
    pub(super) fn takes(&self, status: &NodeStatus) -> bool {
        let age = |status: &NodeStatus| (run_of(status).to_owned(), status.version, status.observed_at);
        match &self.status {
            _ if run_of(status) < self.run.as_str() => false,
            None => true,
            Some(known) => age(status) > age(known),
        }
    }

    pub(super) fn take_and_tell(&mut self, node: &NodeId, status: NodeStatus, now: Moment) -> Vec<Change> {
        self.take(status, now);
        vec![Change::Status(node.clone())]
    }

    pub(super) fn take(&mut self, status: NodeStatus, now: Moment) {
        if run_of(&status) != self.run {
            self.begin_run(run_of(&status).to_owned());
        }
        self.run_heard = now;
        self.url.clone_from(&status.peer_url);
        self.status = Some(Arc::new(status));
    }

    /// Its heartbeat names another run, which has told nothing yet.
    pub(super) fn restarted(&mut self, heartbeat: &Heartbeat, asked: Moment, now: Moment) {
        self.begin_run(heartbeat.incarnation.clone());
        self.url.clone_from(&heartbeat.peer_url);
        self.run_heard = now;
        self.status = None;
        self.beat(heartbeat.beat, asked, now);
    }

    /// The heartbeat may be what a run before this one left in the store: it has not moved since it was seen.
    pub(super) fn is_left_behind(&mut self, heartbeat: &Heartbeat, now: Moment) -> bool {
        let (run, beat) = (&heartbeat.incarnation, heartbeat.beat);
        if self.former.as_ref().is_none_or(|(former, _)| former != run) {
            if *run >= self.run {
                return false;
            }
            // Or its host's clock was put back: its answer tells.
            self.former = Some((run.clone(), None));
            self.exchanged = None;
            self.doubt(now);
        }
        self.former.as_mut().is_some_and(|(_, seen)| *seen.get_or_insert(beat) == beat)
    }

    /// Another run knows nothing of what the last one was told.
    fn begin_run(&mut self, run: String) {
        let former = std::mem::replace(&mut self.run, run);
        // Its last beats may not have been read yet.
        self.former = Some((former, None));
        self.exchanged = None;
        self.check = Some(Moment::ZERO);
        self.beat = None;
        if let Reach::Silent(silence) = &mut self.reach {
            silence.first_beat = None;
        }
    }

    /// It said something by itself: if it could not be reached, it may be by now.
    pub(super) fn greeted(&mut self, now: Moment) {
        self.run_heard = now;
        if matches!(self.reach, Reach::Silent(_)) {
            self.doubt(now);
        }
    }

    /// True if it could not be reached until now.
    pub(super) fn answered(&mut self, exchanged: bool, asked: Moment, now: Moment) -> bool {
        if exchanged {
            self.exchanged = Some(now);
        }
        self.asked = self.asked.max(Some(asked));
        self.answered = self.answered.max(Some(asked));
        self.run_heard = now;
        self.check = None;
        let silent = matches!(self.reach, Reach::Silent(_));
        self.reach = Reach::Reachable;
        silent
    }

    /// True if it could be reached until now. An answer to a later question outweighs it.
    pub(super) fn failed(&mut self, asked: Moment, now: Moment) -> bool {
        if self.answered.is_some_and(|answered| answered > asked) {
            return false;
        }
        // Pauses count from here on, or slow failures would be asked again without any.
        self.asked = self.asked.max(Some(now));
        self.check = None;
        match &mut self.reach {
            Reach::Silent(silence) => {
                silence.failures = silence.failures.saturating_add(1);
                false
            }
            Reach::Reachable => {
                self.reach = Reach::Silent(Silence::new(now, 1));
                true
            }
        }
    }

    /// True if it could be reached until now.
    pub(super) fn suspect(&mut self, now: Moment) -> bool {
        let reachable = matches!(self.reach, Reach::Reachable);
        if reachable {
            self.reach = Reach::Silent(Silence::new(now, 0));
            self.check = Some(now);
        }
        reachable
    }

    /// When its silence makes it lost; `None`: it is not silent, or is lost already.
    pub(super) fn lost_at(&self) -> Option<Moment> {
        match self.reach {
            Reach::Silent(silence) if !silence.lost => Some(silence.since + LOST_AFTER),
            Reach::Silent(_) | Reach::Reachable => None,
        }
    }

    /// True once, when it has been silent for long enough.
    pub(super) fn lose(&mut self, now: Moment) -> bool {
        let due = self.lost_at().is_some_and(|at| at <= now);
        if let Reach::Silent(silence) = &mut self.reach {
            silence.lost |= due;
        }
        due
    }

    /// Asks soon, but not more often than a silent peer is asked at most.
    pub(super) fn doubt(&mut self, now: Moment) {
        let at = self.asked.map_or(now, |asked| now.max(asked + PROBE_MIN));
        self.check = Some(self.check.map_or(at, |check| check.min(at)));
    }

    /// It was read in answer to a question asked at `asked`.
    pub(super) fn beat(&mut self, beat: u64, asked: Moment, now: Moment) {
        if let Reach::Silent(silence) = &mut self.reach
            && asked >= silence.since
        {
            silence.beats |= beat > *silence.first_beat.get_or_insert(beat);
        }
        if self.beat.is_none_or(|(known, _)| known != beat) {
            self.beat = Some((beat, now));
        }
    }

    pub(super) fn last_beat(&self) -> Option<u64> {
        self.beat.map(|(beat, _)| beat)
    }

    /// A heartbeat of this run was seen before `moment`.
    pub(super) fn had_beat_before(&self, moment: Moment) -> bool {
        self.beat.is_some_and(|(_, seen)| seen < moment)
    }

    /// When it was last known to live.
    pub(super) fn last_sign(&self) -> Moment {
        self.beat.map_or(self.run_heard, |(_, seen)| seen.max(self.run_heard))
    }
}
