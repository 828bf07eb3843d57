//! What nodes say to each other: the calls of the private port, with what the drivers need of them.

use std::sync::Arc;

use crate::{
    decide::lease::Term,
    names::{ComponentName, NodeId},
    time::Moment,
    wire::{NodeStatus, ReportDemandInput},
};

#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: usize,
    pub(super) from_run: u64,
    pub(super) to: usize,
    /// The run of the daemon that the connection leads to; a run that came later resets it.
    pub(super) to_run: u64,
    pub(super) call: u64,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Ask(Message),
    Answer(Answer),
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    GetStatus { status: Option<Arc<NodeStatus>>, term: Option<Term> },
    GetVersion,
    StatusChanged { status: Arc<NodeStatus>, exiting: bool },
    DataChanged,
    StartStop(Targets),
    Place(ComponentName),
    Report(Arc<ReportDemandInput>),
    Relay(u64),
}

/// New targets for a node.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    pub(super) term: Term,
    pub(super) base: i64,
    /// The run that they are for.
    pub(super) incarnation: Arc<str>,
    pub(super) counts: Vec<(ComponentName, u32)>,
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Status(Arc<NodeStatus>),
    Version,
    Told,
    OldTerm,
    Reported(bool),
    Placed(Arc<NodeStatus>),
    NotPlaced {
        for_good: Option<u64>,
    },
    /// The request was served, or refused with an error of its own.
    Relayed(Relayed),
    /// The connection was reset: nobody knows what became of the question.
    Reset,
    /// The connection was refused: the question was never sent.
    Unsent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relayed {
    Served {
        in_flight: u32,
        instances: u32,
    },
    /// Nothing of it runs there; nothing was done.
    NotHere,
    /// The instance failed before its answer.
    Failed,
    /// There is no place in time, or no start.
    Refused,
}

/// A call that waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) to: usize,
    pub(super) asked: Moment,
    pub(super) purpose: Purpose,
}

#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Contact { node: NodeId, announced: u64 },
    Push { node: NodeId, number: u64 },
    Goodbye,
    Notice,
    Fence { node: NodeId, term: Term },
    Order { node: NodeId, id: u64 },
    Report { decider: NodeId, quiet: bool },
    Place(ComponentName),
    Relay { request: u64, attempt: u32 },
}
