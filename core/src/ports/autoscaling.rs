//! Groups of machines that a cloud keeps at a size: EC2 Auto Scaling, or the one in memory for tests
//! (`testing::cloud`).
//!
//! Contract:
//! * Every call ends in bounded time.
//! * An action that is over already (completed, timed out, its machine gone) is no error: [`Standing::Over`].
//! * What is read may lag behind what was written by seconds.

use std::time::Duration;

use super::BoxFuture;
use crate::{
    lifecycle::{Action, Transition},
    time::WallTime,
};

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The machine is still held for it.
    Open,
    Over,
}

/// What a hook is to do with the machine that it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    Abandon,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub name: String,
    pub transition: Transition,
    /// Without a sign of life for so long the action is over.
    pub timeout: Duration,
}

/// A machine of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub instance: String,
    pub group: String,
    /// As AWS calls it: `InService`, `Terminating:Wait`, …
    pub state: String,
    /// The group doesn't choose it when it becomes smaller.
    pub protected: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub least: u32,
    pub most: u32,
    pub desired: u32,
    pub members: Vec<Member>,
}

/// Something that a group did to its machines, or tried to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    pub began: WallTime,
    pub state: ActivityState,
    /// In AWS's words: `Launching a new EC2 instance: i-…`.
    pub what: String,
    /// Of one that failed: why.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityState {
    UnderWay,
    Done,
    /// Or given up.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScalingError {
    #[error("{action} is not permitted on {resource}: {reason}; allow it in the node's IAM role")]
    Denied { action: &'static str, resource: String, reason: String },
    #[error("{action} on {resource} is asked for too often: {reason}")]
    Throttled { action: &'static str, resource: String, reason: String },
    /// May pass by itself.
    #[error("{action} on {resource} can't be asked for: {reason}")]
    Unavailable { action: &'static str, resource: String, reason: String },
    #[error("{action} on {resource} is refused: {reason}")]
    Refused { action: &'static str, resource: String, reason: String },
}

pub type ScalingResult<T> = Result<T, ScalingError>;

pub trait Autoscaling: Send + Sync {
    /// The machine in its group; `None`: it is in none.
    fn member(&self, instance: String) -> BoxFuture<'_, ScalingResult<Option<Member>>>;

    /// `None`: there is no such group.
    fn group(&self, group: String) -> BoxFuture<'_, ScalingResult<Option<Group>>>;

    fn hooks(&self, group: String) -> BoxFuture<'_, ScalingResult<Vec<Hook>>>;

    /// What the group did last, newest first: some dozen of its activities at most.
    fn activities(&self, group: String) -> BoxFuture<'_, ScalingResult<Vec<Activity>>>;

    /// A sign of life: the action's time begins anew.
    fn beat(&self, action: Action) -> BoxFuture<'_, ScalingResult<Standing>>;

    /// Ends the action.
    fn complete(&self, action: Action, verdict: Verdict) -> BoxFuture<'_, ScalingResult<Standing>>;

    /// Sets how many machines the group should have, within its bounds.
    fn set_desired(&self, group: String, desired: u32) -> BoxFuture<'_, ScalingResult<()>>;

    /// Terminates a machine and has one less from then on.
    fn remove(&self, instance: String) -> BoxFuture<'_, ScalingResult<()>>;
}

// === impl Member ===

impl Member {
    /// A hook holds it on its way out.
    pub fn is_held_terminating(&self) -> bool {
        self.state == "Terminating:Wait"
    }

    /// It is on its way in.
    pub fn is_pending(&self) -> bool {
        self.state.starts_with("Pending")
    }

    /// It counts for the group's size.
    pub fn counts(&self) -> bool {
        self.is_pending() || self.state == "InService"
    }
}

// === impl Activity ===

impl Activity {
    pub fn is_launch(&self) -> bool {
        self.what.starts_with("Launching")
    }
}

// === impl ScalingError ===

impl ScalingError {
    /// One word, so that a change of what is wrong is noticed and a change of words is not.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "denied",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
        }
    }
}
