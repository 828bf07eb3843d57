//! Message queues: Amazon SQS, or the one in memory for tests (`testing::queue`).
//!
//! Contract:
//! * A received message is invisible to other receivers until its visibility time-out has passed; a
//!   receipt stands for one such receiving and is worth nothing after another one.
//! * A message is delivered at least once: also after it was deleted, now and then.
//! * In a FIFO queue a group's messages come in order, and none comes while an earlier one is invisible.
//! * Every call ends in bounded time. A receive that is given up may have taken messages, which then come
//!   back only with their visibility time-out: await it.

use std::time::Duration;

use bytes::Bytes;

use super::BoxFuture;
use crate::time::WallTime;

/// Messages in one receive, and in one batch of deletes or changes, at most.
pub const MAX_BATCH: usize = 10;
/// A message can't be invisible for longer, counted from its receiving.
pub const MAX_VISIBILITY: Duration = Duration::from_secs(43_200);

/// A message as one receiving sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The same over all receivings.
    pub id: String,
    /// Of this receiving.
    pub receipt: String,
    pub body: String,
    /// MD5 of the body, in hexadecimal.
    pub body_md5: String,
    /// How often it was received, this time included.
    pub receive_count: u32,
    pub sent_at: Option<WallTime>,
    pub first_received_at: Option<WallTime>,
    pub sender: Option<String>,
    /// FIFO queues only.
    pub group: Option<String>,
    pub deduplication: Option<String>,
    pub sequence: Option<String>,
    /// By the sender, in name order.
    pub attributes: Vec<MessageAttribute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAttribute {
    pub name: String,
    /// `String`, `Number`, `Binary`, or one of them with `.` and a label.
    pub kind: String,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    Text(String),
    Binary(Bytes),
}

/// What one call brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub messages: Vec<Message>,
    /// `arn:aws:sqs:REGION:ACCOUNT:NAME`, as far as it is known.
    pub arn: String,
    pub region: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receive {
    /// 1 to [`MAX_BATCH`].
    pub most: u32,
    /// How long to wait for the first message; nothing: only what is there, and not surely all of it.
    pub wait: Duration,
    pub visibility: Duration,
}

/// Numbers are approximate, as queues count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueAttributes {
    /// Messages that can be received.
    pub depth: u64,
    /// Received and neither deleted nor visible again.
    pub in_flight: u64,
    /// Not yet visible for the first time.
    pub delayed: u64,
    /// Name of the queue that failed messages are moved to, and after how many receivings.
    pub redrive: Option<(String, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    #[error("queue '{queue}' does not exist{place}; create it, or name another one in the event source")]
    NoSuchQueue { queue: String, place: String },
    #[error("{action} is not permitted on queue '{queue}': {reason}; allow it in the node's IAM role")]
    Denied { queue: String, action: &'static str, reason: String },
    #[error("queue '{queue}' is asked for too much: {reason}")]
    Throttled { queue: String, reason: String },
    /// May pass by itself.
    #[error("queue '{queue}' can't be reached: {reason}")]
    Unavailable { queue: String, reason: String },
    #[error("queue '{queue}' refuses {action}: {reason}")]
    Refused { queue: String, action: &'static str, reason: String },
}

pub type QueueResult<T> = Result<T, QueueError>;

/// Of those asked for, the receipts that were not done, each with why.
pub type NotDone = Vec<(String, String)>;

pub trait Queues: Send + Sync {
    /// Names of the queues that begin with `prefix`, in name order.
    fn list(&self, prefix: String) -> BoxFuture<'_, QueueResult<Vec<String>>>;

    /// Takes messages from a queue.
    fn receive(&self, queue: String, receive: Receive) -> BoxFuture<'_, QueueResult<Received>>;

    /// Removes at most [`MAX_BATCH`] received messages. What is gone already counts as removed.
    fn delete(&self, queue: String, receipts: Vec<String>) -> BoxFuture<'_, QueueResult<NotDone>>;

    /// Has at most [`MAX_BATCH`] received messages come back after so long from now; nothing: at once.
    /// Rounded up to seconds.
    fn change_visibility(
        &self,
        queue: String,
        changes: Vec<(String, Duration)>,
    ) -> BoxFuture<'_, QueueResult<NotDone>>;

    fn attributes(&self, queue: String) -> BoxFuture<'_, QueueResult<QueueAttributes>>;
}

// === impl QueueError ===

impl QueueError {
    /// One word, so that a change of what is wrong is noticed and a change of words is not.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSuchQueue { .. } => "missing",
            Self::Denied { .. } => "denied",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
        }
    }
}

/// Whether a queue keeps order, by its name, as SQS has it.
pub fn is_fifo(queue: &str) -> bool {
    queue.ends_with(".fifo")
}
