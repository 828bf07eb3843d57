//! The seam between deciding and doing: control tells a node how many instances to run, and the node's
//! converger makes it so.

use maelstrom_core::{
    decide::placement::NodeView,
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

/// A node that takes targets.
pub trait Targets: Send + Sync {
    /// What the node is to run and has room for, with the version of its targets.
    fn view(&self) -> NodeView;

    /// Sets the targets of the named components and leaves the others as they are: all, or with a
    /// mismatch of `expected` none.
    fn set_targets(&self, expected: Option<i64>, targets: &[Target]) -> Result<Vec<Delta>, VersionMismatch>;

    /// Changes whenever the view does.
    fn changes(&self) -> watch::Receiver<i64>;
}
