//! A node's own heartbeat: which beat to send, and until when it gives the right to act.

use std::time::Duration;

use super::LeaseSettings;
use crate::time::Moment;

#[derive(Debug)]
pub struct Holder {
    settings: LeaseSettings,
    /// The last beat that was sent.
    beat: u64,
    /// Set while it is not known whether `beat` was written.
    unanswered: Option<Attempt>,
    /// When the last answered beat was stamped.
    stamp: Option<Moment>,
    /// The longest of late, forgotten slowly.
    round_trip: Duration,
    epoch: u64,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// Others may have seen the beat since then, so that its right counts from there.
    first_sent: Moment,
    last_sent: Moment,
}

// === impl Holder ===

impl Holder {
    pub(super) fn new(settings: LeaseSettings) -> Self {
        Self { settings, beat: 0, unanswered: None, stamp: None, round_trip: Duration::ZERO, epoch: 0 }
    }

    /// The beat to send now: the next one, or the last one again if its answer was lost.
    pub fn send(&mut self, now: Moment) -> u64 {
        match &mut self.unanswered {
            Some(attempt) => attempt.last_sent = now,
            none => {
                self.beat += 1;
                *none = Some(Attempt { first_sent: now, last_sent: now });
            }
        }
        self.beat
    }

    /// The beat was written. If the right to act had lapsed before, a new epoch begins: roles held in an
    /// older one may have been taken by others and are not owned any more.
    pub fn answered(&mut self, now: Moment) {
        let Some(attempt) = self.unanswered.take() else { return };
        if !self.is_acting(now) {
            self.epoch += 1;
        }
        self.round_trip = now.since(attempt.last_sent).max(self.round_trip * 7 / 8);
        self.stamp = Some(attempt.first_sent);
    }

    /// The store holds another beat, `current`, of this run (it was restored from a copy, say): go on from
    /// there, with nothing owned.
    pub fn refused(&mut self, current: u64) {
        self.beat = current;
        self.unanswered = None;
        self.stamp = None;
        self.epoch += 1;
    }

    pub(super) fn confirmed_at(&self) -> Option<Moment> {
        self.stamp
    }

    pub fn is_acting(&self, now: Moment) -> bool {
        self.acts_until().is_some_and(|end| now < end)
    }

    /// When the right to act ends if no further beat is answered; `None`: it never began.
    pub fn acts_until(&self) -> Option<Moment> {
        let reserve = self.round_trip * 2 + self.settings.margin;
        Some(self.stamp? + self.settings.duration.saturating_sub(reserve))
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }
}
