//! What a pass says: orders for nodes, answers for waiters, entries for the journal. Data only; whoever
//! carries it out tells what became of each order.

use std::{sync::Arc, time::Duration};

use crate::{
    decide::placement::{NodeView, Unplaceable},
    journal::Kind,
    names::{ComponentName, NodeId},
};

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// At most one per node, sorted by node. Each has to be answered by `Scheduler::answered`.
    pub orders: Vec<Order>,
    /// Starving components that have no place.
    pub refused: Vec<Refused>,
    /// Components that had been refused and have a place now.
    pub relieved: Vec<ComponentName>,
    pub told: Vec<Told>,
    /// Look again after this time, even if nothing happens.
    pub look_again: Option<Duration>,
}

/// New targets for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: u64,
    pub node: NodeId,
    pub incarnation: Arc<str>,
    /// The version of the node's targets that it was decided on.
    pub base: i64,
    pub changes: Vec<TargetChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetChange {
    pub component: ComponentName,
    pub from: u32,
    pub to: u32,
    pub reasons: Vec<String>,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// The targets of these components were set. A node leaves out what it hasn't heard of yet.
    Done(&'a [ComponentName]),
    /// Its targets are these now: by this order, or, if its version was another, by what came before.
    Shown(&'a NodeView),
    /// It takes no orders of this term any more.
    Refused,
    /// There is no answer: it may have been carried out, or may still be.
    Lost,
}

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runs {
    /// It runs on this node, or is about to.
    On(NodeId),
    /// A node has been told to run it, and has not answered.
    Ordered,
    Nowhere,
}

/// A component whose waiters are to be turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub why: Unplaceable,
    /// For how long those who come are answered the same without a new try.
    pub retry_after: Duration,
}

/// An entry for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub kind: Kind,
    pub component: ComponentName,
    pub message: String,
    pub reasons: Vec<String>,
    pub numbers: Vec<(&'static str, u64)>,
}

// === impl Order ===

impl Order {
    pub(super) fn change_of(&self, component: &ComponentName) -> Option<&TargetChange> {
        self.changes.iter().find(|change| change.component == *component)
    }

    /// The journal's entry for a change that the node has made.
    pub(super) fn told(&self, change: &TargetChange) -> Told {
        let TargetChange { component, from, to, reasons } = change;
        Told {
            kind: Kind::Placement,
            component: component.clone(),
            message: format!("node {} is to run {to} of {component}, not {from}", self.node),
            reasons: reasons.clone(),
            numbers: vec![("from", u64::from(*from)), ("to", u64::from(*to))],
        }
    }
}

// === impl TargetChange ===

impl TargetChange {
    /// The node's targets are as if it had been made.
    pub(super) fn shows_in(&self, view: &NodeView) -> bool {
        view.targets.get(&self.component).copied().unwrap_or(0) == self.to
    }
}
