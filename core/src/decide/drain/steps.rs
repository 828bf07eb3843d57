//! The steps in which a node leaves, and how long each may take.

use std::{fmt, time::Duration};

use super::{End, Signal, View};

/// One step; the order is that of [`Step::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Peers hear that the node drains: they place and route nothing new here. The public health check says
    /// no.
    Tell,
    /// What runs here starts elsewhere and is healthy there.
    Move,
    /// Load balancers notice the health check.
    Pause,
    /// Nothing is taken from queues and clocks any more; roles are given back for good.
    Pollers,
    /// Peers relay nothing more: until now they sent what only this node could serve.
    Close,
    /// No new connections; requests in flight end.
    Public,
    /// The last of the gateways: requests in flight call other components through it.
    Private,
    Containers,
    /// Peers forget this node.
    Goodbye,
    Loops,
    /// So does the store.
    Heartbeat,
    /// The group is told that the machine may go.
    Complete,
    /// The messages that told of it are deleted.
    Letters,
    /// What the operator wants to run last.
    Command,
}

/// What can be set. All else is constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub pause: Duration,
    /// For requests in flight.
    pub requests: Duration,
}

/// Peers answer in a millisecond.
const PEERS: Duration = Duration::from_secs(1);
/// For peers to start what runs here: a lease that changes hands, an image pulled, a slow start. What has no
/// place elsewhere ends here.
const MOVES: Duration = Duration::from_secs(45);
/// Beyond the time that requests have, for closing what carried them.
const CLOSING: Duration = Duration::from_secs(10);
/// A store that takes longer is away.
const STORE: Duration = Duration::from_secs(5);
/// Loops end at their next await.
const LOOPS: Duration = Duration::from_secs(20);
/// A cloud that is asked for too much lets one through within this time.
const CLOUD: Duration = Duration::from_secs(30);
/// Requests have ended: a process has a minute from SIGTERM to SIGKILL, its engine may be slow.
const CONTAINERS: Duration = Duration::from_secs(150);
const COMMAND: Duration = Duration::from_secs(60);

// === impl Step ===

impl Step {
    pub const ALL: [Step; 14] = [
        Step::Tell,
        Step::Move,
        Step::Pause,
        Step::Pollers,
        Step::Close,
        Step::Public,
        Step::Private,
        Step::Containers,
        Step::Goodbye,
        Step::Loops,
        Step::Heartbeat,
        Step::Complete,
        Step::Letters,
        Step::Command,
    ];

    /// For events and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tell => "tell peers",
            Self::Move => "move instances",
            Self::Pause => "pause",
            Self::Pollers => "stop pollers",
            Self::Close => "close to peers",
            Self::Public => "public requests",
            Self::Private => "private requests",
            Self::Containers => "stop instances",
            Self::Goodbye => "say goodbye",
            Self::Loops => "stop loops",
            Self::Heartbeat => "remove heartbeat",
            Self::Complete => "complete action",
            Self::Letters => "delete messages",
            Self::Command => "run command",
        }
    }

    /// A restart in place tells nobody: the next daemon is at the same address in a moment.
    pub(super) fn applies(self, end: End, view: View, signals: &[Signal]) -> bool {
        let held = || signals.iter().any(|signal| matches!(signal, Signal::Hook { .. }));
        let told = || signals.iter().any(|signal| matches!(signal, Signal::Hook { letter: Some(_), .. }));
        match self {
            Self::Pollers | Self::Public | Self::Private | Self::Containers | Self::Loops => true,
            Self::Move | Self::Close => end != End::Restarted && view.others && !view.keeps_containers,
            Self::Tell | Self::Pause | Self::Goodbye | Self::Heartbeat => end != End::Restarted,
            Self::Complete => held(),
            Self::Letters => told(),
            Self::Command => end == End::Terminated,
        }
    }

    pub(super) fn waits_for_requests(self) -> bool {
        matches!(self, Self::Pollers | Self::Public | Self::Private)
    }

    /// What it gets however late it is: steps ahead of it leave so much, where there is a deadline.
    pub(super) fn least(self) -> Duration {
        let millis = match self {
            Self::Move | Self::Pause => 0,
            Self::Tell | Self::Close | Self::Goodbye => 500,
            Self::Pollers | Self::Loops | Self::Letters => 1_000,
            Self::Public | Self::Private | Self::Heartbeat => 2_000,
            Self::Complete | Self::Command => 5_000,
            // From SIGTERM on most processes need less.
            Self::Containers => 12_000,
        };
        Duration::from_millis(millis)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Limits ===

impl Limits {
    pub(super) fn of(self, step: Step) -> Duration {
        match step {
            Step::Tell | Step::Close | Step::Goodbye => PEERS,
            Step::Move => MOVES.min(self.requests),
            // It ends by itself; the limit is for what holds up its end.
            Step::Pause => self.pause + PEERS,
            Step::Pollers => self.requests + CLOSING + STORE,
            Step::Public | Step::Private => self.requests + CLOSING,
            Step::Containers => CONTAINERS,
            Step::Loops => LOOPS,
            Step::Heartbeat => STORE,
            Step::Complete | Step::Letters => CLOUD,
            Step::Command => COMMAND,
        }
    }
}
