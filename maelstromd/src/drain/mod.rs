//! This node's drain: whoever wants the node empty or gone says so here, and whoever has to do something
//! about it waits here. What follows is decided by `decide::drain`.
//!
//! ```text
//!   SIGTERM, maelctl, cloud ─► signal() ─► Drain ─► changes ─┬─► follow: placement, health check, roles, status
//!                                                            └─► daemon/shutdown: step after step
//! ```
//! Every step of it stands in the journal with the milliseconds since the drain began: a timeline.

mod follow;
mod mark;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::drain::{Drain, Heard, Limits, Next, NotUndrained, Phase, Signal, Step, View},
    journal::Kind,
    lifecycle::{Action, Letter},
    ports::clock::Clock,
    time::WallTime,
    wire::DrainInfo,
};
use parking_lot::Mutex;
use tokio::sync::watch;

pub use follow::{Followed, follow};
pub use mark::Mark;

use crate::journal::{Entry, Journal};

/// See the module.
pub struct Drainer {
    drain: Mutex<Drain>,
    /// When it began, for people.
    began: Mutex<Option<WallTime>>,
    changes: watch::Sender<u64>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    mark: Option<Mark>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// Its time was over first.
    CutOff,
}

// === impl Drainer ===

impl Drainer {
    /// With a mark, a drain by hand outlives the daemon.
    pub fn new(
        limits: Limits,
        journal: Arc<Journal>,
        clock: Arc<dyn Clock>,
        mark: Option<Mark>,
    ) -> Arc<Self> {
        let drainer = Arc::new(Self {
            drain: Mutex::new(Drain::new(limits)),
            began: Mutex::default(),
            changes: watch::Sender::new(0),
            journal,
            clock,
            mark,
        });
        if drainer.mark.as_ref().is_some_and(Mark::is_set) {
            drainer.signal(Signal::Hand);
        }
        drainer
    }

    pub fn signal(&self, signal: Signal) -> Heard {
        let text = signal.to_string();
        let by_hand = signal == Signal::Hand;
        let (heard, ms) = {
            let mut drain = self.drain.lock();
            let heard = drain.signal(signal, self.clock.now());
            if heard == Heard::Began {
                *self.began.lock() = Some(self.clock.wall());
            }
            (heard, self.since(&drain))
        };
        if heard == Heard::Known {
            tracing::debug!(signal = text, "a signal to drain came again and changes nothing");
            return heard;
        }
        if by_hand {
            self.keep_mark(true);
        }
        let what = match heard {
            Heard::Began => "the drain begins",
            Heard::Leaves => "the node leaves",
            Heard::Added | Heard::Known => "one more signal to drain",
        };
        self.record(what, ms, |entry| entry.because(text));
        self.changed();
        heard
    }

    /// Takes the node back, whoever wanted it empty.
    pub fn undrain(&self) -> Result<(), NotUndrained> {
        self.undo(Drain::undrain)?;
        self.keep_mark(false);
        Ok(())
    }

    /// The cluster needs it after all; whoever else wants it empty still does.
    pub fn needed(&self) -> Result<(), NotUndrained> {
        self.undo(Drain::needed)
    }

    fn undo(&self, undo: impl FnOnce(&mut Drain) -> Result<(), NotUndrained>) -> Result<(), NotUndrained> {
        let (ms, serves) = {
            let mut drain = self.drain.lock();
            let ms = self.since(&drain);
            undo(&mut drain)?;
            (ms, drain.began().is_none())
        };
        if serves {
            *self.began.lock() = None;
            self.record("the drain is undone: the node takes work again", ms, |entry| entry);
        }
        self.changed();
        Ok(())
    }

    pub fn phase(&self) -> Phase {
        self.drain.lock().phase()
    }

    pub fn is_termination(&self) -> bool {
        self.drain.lock().is_termination()
    }

    pub fn is_restart(&self) -> bool {
        self.drain.lock().is_restart()
    }

    pub fn leaves_roles(&self, others: bool) -> bool {
        self.drain.lock().leaves_roles(others)
    }

    pub fn actions(&self) -> Vec<(Action, Option<Letter>)> {
        self.drain.lock().actions()
    }

    /// Changes with each signal, step, and when the drain is undone.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// As others see it; `empty`: nothing runs here any more. `None`: it serves, or restarts in place, which
    /// is nobody's business.
    pub fn info(&self, empty: bool) -> Option<DrainInfo> {
        let drain = self.drain.lock();
        let state = match (drain.phase(), empty) {
            (Phase::Serving, _) => return None,
            (Phase::Leaving, _) if drain.is_restart() && !drain.stays_empty() => return None,
            (Phase::Leaving, _) if !drain.is_restart() => "leaving",
            (_, false) => "draining",
            (_, true) => "drained",
        };
        Some(DrainInfo {
            state: state.to_owned(),
            since: self.began.lock().unwrap_or_default().as_millis(),
            reasons: drain.why(),
            surplus: drain.is_surplus().then_some(true),
            deadline: drain.deadline_told().map(WallTime::as_millis),
        })
    }

    /// Waits until the node has to leave.
    pub async fn leaving(&self) {
        let mut changes = self.changes();
        while self.phase() != Phase::Leaving {
            // The sender lives as long as this.
            let _ = changes.changed().await;
        }
    }

    /// The next step; whoever asks has to do it.
    pub fn next(&self, view: View) -> Next {
        let next = self.drain.lock().next(view, self.clock.now());
        self.changed();
        next
    }

    /// All that lies ahead takes at most so long.
    pub fn longest(&self) -> Duration {
        self.drain.lock().longest()
    }

    /// Does a step's work until it ends or its time is over, which may come sooner while it goes on.
    pub async fn bounded(&self, step: Step, work: impl Future<Output = ()>) -> Ended {
        let began = self.clock.now();
        let ended = tokio::select! {
            () = work => Ended::Done,
            () = self.out_of_time() => Ended::CutOff,
        };
        let took = self.clock.now().since(began);
        let ms = self.since(&self.drain.lock());
        let what = match ended {
            Ended::Done => format!("drain: {step}"),
            Ended::CutOff => format!("drain: {step}: cut off, its time was over"),
        };
        self.record(&what, ms, |entry| {
            let entry = entry.data("step", step.name()).data("tookMs", millis(took));
            if ended == Ended::CutOff { entry.warning() } else { entry }
        });
        ended
    }

    /// Waits until the running step's time is over.
    async fn out_of_time(&self) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let until = self.drain.lock().until();
            let Some(until) = until else { return std::future::pending().await };
            tokio::select! {
                () = self.clock.sleep_until(until) => return,
                _ = changes.changed() => {}
            }
        }
    }

    /// Puts something of the drain on its timeline.
    pub fn note(&self, what: &str, detail: impl FnOnce(Entry) -> Entry) {
        let ms = self.since(&self.drain.lock());
        self.record(what, ms, detail);
    }

    fn record(&self, what: &str, ms: i64, detail: impl FnOnce(Entry) -> Entry) {
        self.journal.record(detail(Entry::new(Kind::Drain, what).data("ms", ms)));
    }

    fn since(&self, drain: &Drain) -> i64 {
        drain.began().map_or(0, |began| millis(self.clock.now().since(began)))
    }

    fn changed(&self) {
        self.changes.send_modify(|number| *number += 1);
    }

    fn keep_mark(&self, set: bool) {
        let Some(mark) = &self.mark else { return };
        if let Err(error) = mark.set(set) {
            tracing::warn!(%error, "a restart of the daemon will not know of this");
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
