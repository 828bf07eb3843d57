//! The seam between deciding and doing: control tells a node how many instances to run, and the node's
//! converger makes it so.

use maelstrom_core::{
    decide::{lease::Term, placement::NodeView, scheduler::NodeState},
    names::{ComponentName, NodeId},
};
use tokio::sync::watch;

/// How many instances of a component the node is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub component: ComponentName,
    pub count: u32,
    /// Why, for people.
    pub reasons: Vec<String>,
}

/// A target that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    pub component: ComponentName,
    pub from: u32,
    pub to: u32,
}

/// The node's targets are not those that the decision was made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node} has targets of version {current}, not {expected}")]
pub struct VersionMismatch {
    pub node: NodeId,
    pub expected: i64,
    pub current: i64,
}

/// The node has heard of a newer owner of the role `placement`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node} takes no orders of placement term {}: it has heard of term {}", given.0, highest.0)]
pub struct OldTerm {
    pub node: NodeId,
    pub given: Term,
    pub highest: Term,
}

/// Why targets were not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSet {
    #[error(transparent)]
    Outdated(#[from] VersionMismatch),
    #[error(transparent)]
    Fenced(#[from] OldTerm),
}

/// A node that takes targets.
pub trait Targets: Send + Sync {
    /// What the node is to run and has room for, with the version of its targets.
    fn view(&self) -> NodeView;

    /// The same, and what runs on it.
    fn state(&self) -> NodeState;

    /// Sets the targets of the named components and leaves the others as they are: all, or with a
    /// mismatch of `expected` none. `term` is the caller's in role `placement`; without one a person asks,
    /// or a node that is alone.
    fn set_targets(
        &self,
        term: Option<Term>,
        expected: Option<i64>,
        targets: &[Target],
    ) -> Result<Vec<Delta>, NotSet>;

    /// Takes no orders of older terms from now on.
    fn fence(&self, term: Term) -> Result<(), OldTerm>;

    /// Changes whenever the view does.
    fn changes(&self) -> watch::Receiver<i64>;
}
