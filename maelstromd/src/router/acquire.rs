//! Asking for a slot: at once, or in line until there is one, the deadline passes, the component can't
//! be started, or the client goes away. Dropping the future at any point leaves the line at once.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::pool::{Place, QueueFull, Reach, Ticket},
    names::ComponentName,
    time::Moment,
};
use tokio::sync::oneshot;

use super::{ComponentPool, Slot};

/// What a request asks of a pool.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The caller's last reading of the clock: when the request arrived, or when it is replayed.
    pub now: Moment,
    pub deadline: Moment,
    /// Memory that the request holds while it waits.
    pub bytes_held: usize,
    /// What has just failed the request: taken again only when nothing else is free.
    pub avoid: Option<Place>,
    /// Whether an instance of a peer will do.
    pub reach: Reach,
}

/// Why there is no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    #[error("the queue of component {component} is full: {reason}")]
    QueueFull { component: ComponentName, reason: QueueFull },
    #[error("no instance of the component was free before the request's deadline")]
    DeadlinePassed,
    #[error("{}", .0.reason)]
    StartFailed(StartFailure),
    #[error("the component was removed")]
    Removed,
    #[error("the node is shutting down")]
    ShuttingDown,
    #[error("this node has no instance of the component in rotation")]
    NotHere,
}

/// Why nothing can be started, and for how long that is answered without trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// 502: the start failed; 503: nothing has room.
    pub status: u16,
    /// For the client: one line.
    pub reason: String,
    pub retry_after: Duration,
    /// Requests that come before it get this answer at once.
    pub until: Moment,
}

/// What is given to a waiter.
pub(super) type Answer = Result<Slot, AcquireError>;

/// Who stands in line.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) arrived: Moment,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// A place in line. Dropped, it is left; and a slot that was just handed over goes on to the next with
/// the channel that carries it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) pool: Arc<ComponentPool>,
    pub(super) ticket: Ticket,
    pub(super) answer: oneshot::Receiver<Answer>,
}

// === impl Waiting ===

impl Waiting {
    /// Waits no longer than `limit`.
    pub(super) async fn answered(mut self, limit: Duration) -> Answer {
        match tokio::time::timeout(limit, &mut self.answer).await {
            Ok(Ok(answer)) => answer,
            // The pool keeps the sender until it answers or is itself dropped.
            Ok(Err(_)) => Err(AcquireError::Removed),
            Err(_) => Err(AcquireError::DeadlinePassed),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pool.leave(self.ticket);
    }
}
