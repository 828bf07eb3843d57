//! Activities of AWS Step Functions: tasks that a state machine hands out and waits for.
//!
//! Contract:
//! * A task is handed out once. A call for one that is given up may have taken a task, which then is lost
//!   until the state machine gives it up: await it.
//! * Whoever has a task says how it ended, within its time-out, and that it is alive, within its heartbeat.
//! * Every call ends in bounded time.

use std::time::Duration;

use super::BoxFuture;

/// A call for a task is answered after this long without one; clients must wait for longer.
pub const TASK_WAIT: Duration = Duration::from_secs(60);
/// Bytes of a failure's error.
pub const MAX_ERROR: usize = 256;
/// Bytes of a failure's cause.
pub const MAX_CAUSE: usize = 32_768;
/// Bytes of a success's output.
pub const MAX_OUTPUT: usize = 262_144;

/// An activity that was found or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    pub name: String,
    pub arn: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub token: String,
    /// JSON.
    pub input: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActivityError {
    /// Removed since it was found.
    #[error("activity '{activity}' does not exist")]
    NoSuchActivity { activity: String },
    #[error("the task is over: its state machine has given it up")]
    TaskGone,
    #[error("{action} is not permitted on activity '{activity}': {reason}; allow it in the node's IAM role")]
    Denied { activity: String, action: &'static str, reason: String },
    #[error("activity '{activity}' is asked for too much: {reason}")]
    Throttled { activity: String, reason: String },
    /// May pass by itself.
    #[error("activity '{activity}' can't be reached: {reason}")]
    Unavailable { activity: String, reason: String },
    /// What was sent is not allowed.
    #[error("activity '{activity}' refuses {action}: {reason}")]
    Refused { activity: String, action: &'static str, reason: String },
}

pub type ActivityResult<T> = Result<T, ActivityError>;

pub trait Activities: Send + Sync {
    /// The activity of this name, made if there is none.
    fn find_or_create(&self, name: String) -> BoxFuture<'_, ActivityResult<Activity>>;

    /// The next task; `None` after [`TASK_WAIT`] without one. `worker` is shown in the execution's history.
    fn next_task(&self, activity: Activity, worker: String) -> BoxFuture<'_, ActivityResult<Option<Task>>>;

    /// The task is worked on.
    fn heartbeat(&self, activity: Activity, token: String) -> BoxFuture<'_, ActivityResult<()>>;

    /// `output` is JSON.
    fn succeed(&self, activity: Activity, token: String, output: String)
    -> BoxFuture<'_, ActivityResult<()>>;

    /// `error` has at most [`MAX_ERROR`] bytes, `cause` at most [`MAX_CAUSE`].
    fn fail(
        &self,
        activity: Activity,
        token: String,
        error: String,
        cause: String,
    ) -> BoxFuture<'_, ActivityResult<()>>;
}

// === impl ActivityError ===

impl ActivityError {
    /// One word, so that a change of what is wrong is noticed and a change of words is not.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSuchActivity { .. } => "missing",
            Self::TaskGone => "gone",
            Self::Denied { .. } => "denied",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
        }
    }
}
