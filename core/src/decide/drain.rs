//! How a node is emptied and how it leaves: one drain per node, whoever asks for it and however often.
//!
//! ```text
//!             by hand, rebalance               whatever ends the node
//!   serving ─────────────────────► emptying ──────────────────────────► leaving ─► gone
//!      ▲ │                            │                                    ▲
//!      │ └────────────────────────────┼────────────────────────────────────┘
//!      └────────── undrain ───────────┘
//! ```
//! An emptying node gets nothing new and is placed off by its peers, make-before-break; its gateways go on,
//! for what still runs here and for what peers serve. It stays like that until it is taken back or leaves.
//! A leaving one goes through the [`Step`]s, each once and in their order. Each has a limit of its own and
//! together they keep the deadline that a signal may bring: what takes too long is cut off, and the next
//! step runs. More signals add to what is known (a nearer deadline, an action to be completed) and never
//! start anything over.
//!
//! Never: reads a clock, goes back, ends without having tried every step that applies.

mod notices;
mod steps;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

pub use notices::signals;
pub use steps::{Limits, Step};

use crate::{
    lifecycle::{Action, Letter},
    time::{Moment, WallTime},
};

/// A machine may be gone a little before the time that was told.
pub const SPOT_MARGIN: Duration = Duration::from_secs(10);
/// Signs of life for an action: at least so often, however long its time-out is.
const HEARTBEAT_LAST: Duration = Duration::from_secs(30);

/// Why a node is to be emptied or to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Somebody wants it empty.
    Hand,
    /// The cloud holds it likely that the machine will be taken away; since when it says so.
    Rebalance { since: WallTime },
    /// Its group has more machines than all that is wanted needs.
    Surplus,
    /// SIGTERM.
    Stop,
    /// SIGHUP: the next daemon takes over at once.
    Restart,
    /// The group is about to terminate the machine, as its metadata say.
    Target,
    /// The machine is taken away at this time, on both clocks.
    Spot { time: WallTime, at: Moment },
    /// A hook holds the machine; the message that said so, if one did.
    Hook { action: Action, letter: Option<Letter> },
}

/// What a signal changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The drain begins with it.
    Began,
    /// The node was emptying and leaves now.
    Leaves,
    /// It adds to a drain that goes on.
    Added,
    /// Nothing.
    Known,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Serving,
    Emptying,
    Leaving,
}

/// What a leaving node sees of itself and around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Peers can be reached that stay: they can take what runs here.
    pub others: bool,
    /// Containers run on for the next daemon.
    pub keeps_containers: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the node stays.
    Stay,
    /// This step, until [`Drain::until`].
    Do(Step),
    /// All is done.
    End(End),
}

/// What becomes of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Stopped,
    /// The next daemon begins in its place.
    Restarted,
    /// The cloud takes the machine away: nothing should start the daemon again.
    Terminated,
}

/// Why a drain can't be undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUndrained {
    #[error("it does not drain")]
    Serves,
    #[error("it leaves already: {}", .0.join("; "))]
    Leaves(Vec<String>),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Drain {
    limits: Limits,
    signals: Vec<Signal>,
    began: Option<Moment>,
    leaving: Option<Leaving>,
    /// A recommendation of which somebody said that it doesn't matter.
    waived: Option<WallTime>,
}

#[derive(Clone, Debug)]
struct Leaving {
    end: End,
    view: View,
    /// The step that runs, and since when.
    running: Option<(Step, Moment)>,
    /// Index into [`Step::ALL`] of the next one.
    next: usize,
}

// === impl Signal ===

impl Signal {
    fn ends_the_node(&self) -> bool {
        !matches!(self, Self::Hand | Self::Rebalance { .. } | Self::Surplus)
    }

    fn is_of_the_cloud(&self) -> bool {
        matches!(self, Self::Target | Self::Spot { .. } | Self::Hook { .. })
    }

    /// About the same thing: the newer one takes the older one's place.
    fn replaces(&self, older: &Signal) -> bool {
        match (self, older) {
            (Self::Hook { action, .. }, Self::Hook { action: older, .. }) => action.is_same(older),
            _ => std::mem::discriminant(self) == std::mem::discriminant(older),
        }
    }

    /// This signal with what an older one about the same thing knew beside it.
    fn with_what_was_known(self, older: &Signal) -> Self {
        match (self, older) {
            (Self::Hook { mut action, letter }, Self::Hook { action: known, letter: kept }) => {
                action.token = action.token.or_else(|| known.token.clone());
                Self::Hook { action, letter: letter.or_else(|| kept.clone()) }
            }
            // A notice that is repeated means the same moment, however it was reckoned; no notice gives time
            // back that another one took.
            (Self::Spot { time, at }, Self::Spot { time: known, at: nearest }) => {
                if time == *known || *nearest <= at { older.clone() } else { Self::Spot { time, at } }
            }
            (newer, _) => newer,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hand => f.write_str("somebody wants it empty"),
            Self::Rebalance { .. } => f.write_str("EC2 recommends to leave the machine (rebalance)"),
            Self::Surplus => f.write_str("all that is wanted has room without it"),
            Self::Stop => f.write_str("a signal told it to stop"),
            Self::Restart => f.write_str("a signal told it to restart in place"),
            Self::Target => f.write_str("its group terminates the machine (target lifecycle state)"),
            Self::Spot { .. } => f.write_str("EC2 takes the machine back (spot interruption)"),
            Self::Hook { action, .. } => write!(f, "its group terminates the machine ({action})"),
        }
    }
}

// === impl Drain ===

impl Drain {
    pub fn new(limits: Limits) -> Self {
        Self { limits, signals: Vec::new(), began: None, leaving: None, waived: None }
    }

    /// Takes a signal in. A restart in place takes no other errand any more: what still matters then is told
    /// again to the next daemon.
    pub fn signal(&mut self, signal: Signal, now: Moment) -> Heard {
        let waived = matches!(&signal, Signal::Rebalance { since } if self.waived == Some(*since));
        let restarting = self.leaving.as_ref().is_some_and(|leaving| leaving.end == End::Restarted);
        if waived || restarting || (signal == Signal::Restart && self.leaving.is_some()) {
            return Heard::Known;
        }
        let ends = signal.ends_the_node();
        let of_the_cloud = signal.is_of_the_cloud();
        let restarts = signal == Signal::Restart;
        let known = self.signals.iter().position(|older| signal.replaces(older));
        match known {
            Some(index) => {
                let newer = signal.with_what_was_known(&self.signals[index]);
                if newer == self.signals[index] {
                    return Heard::Known;
                }
                self.signals[index] = newer;
            }
            None => self.signals.push(signal),
        }
        let begins = self.began.is_none();
        self.began.get_or_insert(now);
        match &mut self.leaving {
            Some(leaving) => {
                if of_the_cloud {
                    leaving.end = End::Terminated;
                }
                Heard::Added
            }
            None if ends => {
                self.leaving = Some(Leaving {
                    end: match (of_the_cloud, restarts) {
                        (true, _) => End::Terminated,
                        (_, true) => End::Restarted,
                        _ => End::Stopped,
                    },
                    view: View { others: true, keeps_containers: false },
                    running: None,
                    next: 0,
                });
                if begins { Heard::Began } else { Heard::Leaves }
            }
            None if begins => Heard::Began,
            None => Heard::Added,
        }
    }

    /// Takes the node back, unless it leaves.
    pub fn undrain(&mut self) -> Result<(), NotUndrained> {
        if self.leaving.is_some() {
            return Err(NotUndrained::Leaves(self.why()));
        }
        if self.began.take().is_none() {
            return Err(NotUndrained::Serves);
        }
        for signal in std::mem::take(&mut self.signals) {
            if let Signal::Rebalance { since } = signal {
                self.waived = Some(since);
            }
        }
        Ok(())
    }

    /// The cluster needs the node after all. Whoever else wants it empty still does.
    pub fn needed(&mut self) -> Result<(), NotUndrained> {
        if self.leaving.is_some() {
            return Err(NotUndrained::Leaves(self.why()));
        }
        if !self.is_surplus() {
            return Err(NotUndrained::Serves);
        }
        self.signals.retain(|signal| *signal != Signal::Surplus);
        if self.signals.is_empty() {
            self.began = None;
        }
        Ok(())
    }

    /// The cluster could do without the node.
    pub fn is_surplus(&self) -> bool {
        self.signals.contains(&Signal::Surplus)
    }

    pub fn phase(&self) -> Phase {
        match (&self.leaving, self.began) {
            (Some(_), _) => Phase::Leaving,
            (None, Some(_)) => Phase::Emptying,
            (None, None) => Phase::Serving,
        }
    }

    pub fn began(&self) -> Option<Moment> {
        self.began
    }

    /// One sentence each.
    pub fn why(&self) -> Vec<String> {
        self.signals.iter().map(ToString::to_string).collect()
    }

    /// When the machine may be gone.
    pub fn deadline(&self) -> Option<Moment> {
        let moments = self.signals.iter().filter_map(|signal| match signal {
            Signal::Spot { at, .. } => Some(*at - SPOT_MARGIN),
            _ => None,
        });
        moments.min()
    }

    /// The same for people.
    pub fn deadline_told(&self) -> Option<WallTime> {
        let times = self.signals.iter().filter_map(|signal| match signal {
            Signal::Spot { time, .. } => Some(*time),
            _ => None,
        });
        times.min()
    }

    /// Actions that wait for this node, with the messages that told of them.
    pub fn actions(&self) -> Vec<(Action, Option<Letter>)> {
        let actions = self.signals.iter().filter_map(|signal| match signal {
            Signal::Hook { action, letter } => Some((action.clone(), letter.clone())),
            _ => None,
        });
        actions.collect()
    }

    /// The cloud takes the machine away.
    pub fn is_termination(&self) -> bool {
        self.signals.iter().any(Signal::is_of_the_cloud)
    }

    /// The process that ends is followed by another one in its place.
    pub fn is_restart(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.end == End::Restarted)
    }

    /// Somebody wants the node empty, whatever else is wanted of it: so it stays over a restart.
    pub fn stays_empty(&self) -> bool {
        self.signals.iter().any(|signal| !signal.ends_the_node())
    }

    /// Roles are left to `others` from the beginning, where there are any: who decides of this node's work
    /// should not be on its way out, and pollers stop taking what they may not finish.
    pub fn leaves_roles(&self, others: bool) -> bool {
        others && self.began.is_some() && (!self.is_restart() || self.stays_empty())
    }

    /// The next step. What was running has ended or was cut off.
    pub fn next(&mut self, view: View, now: Moment) -> Next {
        let Some(leaving) = &mut self.leaving else { return Next::Stay };
        leaving.view = view;
        leaving.running = None;
        let applies = |step: &Step| step.applies(leaving.end, view, &self.signals);
        let ahead = Step::ALL.iter().enumerate().skip(leaving.next);
        let Some((index, step)) = ahead.into_iter().find(|(_, step)| applies(step)) else {
            leaving.next = Step::ALL.len();
            return Next::End(leaving.end);
        };
        leaving.next = index + 1;
        leaving.running = Some((*step, now));
        Next::Do(*step)
    }

    /// When the running step is cut off. May come nearer while it runs, never farther.
    pub fn until(&self) -> Option<Moment> {
        let leaving = self.leaving.as_ref()?;
        let (step, began) = leaving.running?;
        let usual = began + self.limits.of(step);
        let Some(deadline) = self.deadline() else { return Some(usual) };
        let ahead = Step::ALL.iter().skip(leaving.next);
        let ahead = ahead.filter(|step| step.applies(leaving.end, leaving.view, &self.signals));
        let ahead: Vec<&Step> = ahead.collect();
        let reserved: Duration = ahead.iter().map(|step| step.least()).sum();
        // Requests are waited for in several steps: the first of them doesn't take the time of all.
        let sharers = match step.waits_for_requests() {
            true => 1 + ahead.iter().filter(|step| step.waits_for_requests()).count(),
            false => 1,
        };
        let share = (deadline - reserved).since(began) / u32::try_from(sharers).unwrap_or(1);
        Some(usual.min(began + share.max(step.least())))
    }

    /// All that is left can take at most so long.
    pub fn longest(&self) -> Duration {
        Step::ALL.iter().map(|step| self.limits.of(*step)).sum()
    }
}

/// Between two signs of life for an action that waits for at most `timeout`.
pub fn heartbeat_every(timeout: Duration) -> Duration {
    (timeout / 3).min(HEARTBEAT_LAST)
}
