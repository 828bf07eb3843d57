//! Event sources at work: their queues, their pollers, and one event sent by hand. Added to the original
//! contract.

use serde::{Deserialize, Serialize};

use super::{EventSource, MissingNode, NameValue, null_default};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeEventSourceInput {
    pub name: String,
    /// Only what the node that answers does; else what all nodes do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeEventSourceOutput {
    pub event_source: EventSource,
    pub enabled: bool,
    /// Queues that it takes messages from, in the order in which they are drained.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub queues: Vec<QueueInfo>,
    /// Why the queues can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues_trouble: Option<String>,
    /// Of a queue or an activity, with the nodes that work as them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub pollers: Vec<PollerInfo>,
    /// Nodes that could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub missing: Vec<MissingNode>,
}

/// A queue. Numbers are approximate, as queues count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueInfo {
    pub name: String,
    /// Messages that can be received.
    pub depth: i64,
    /// Received and neither deleted nor visible again, by whomever.
    pub in_flight: i64,
    /// Not yet visible for the first time.
    pub delayed: i64,
    /// Of the messages that pollers have in hand, the oldest one's age. Queues tell no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_age_seconds: Option<i64>,
    /// Where messages go that were received too often, and how often that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_receives: Option<i64>,
    /// Messages in the dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<i64>,
    /// Why there are no numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One poller of an event source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollerInfo {
    pub role: String,
    /// Absent: nobody works as it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
    /// In flight at most.
    pub share: i64,
    pub in_flight: i64,
    /// Received and not begun.
    pub waiting: i64,
    /// Messages or tasks since the poller began.
    pub succeeded: i64,
    pub failed: i64,
    /// The oldest message in hand, of each queue.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub oldest: Vec<OldestMessage>,
    /// The component asked for a pause until then (Unix ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OldestMessage {
    pub queue_name: String,
    pub age_seconds: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestEventSourceInput {
    pub name: String,
    /// The event: a message's body, a task's input, a request's body. Absent: as the event source has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Of an http event source: what a client would ask for; default: GET of its path prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestEventSourceOutput {
    pub node_id: String,
    pub component_name: String,
    /// What the component was sent: method and target.
    pub request: String,
    pub status: i64,
    pub headers: Vec<NameValue>,
    /// Its beginning.
    pub body: String,
    pub body_cut: bool,
    pub duration_millis: i64,
    /// What the event source would make of the answer.
    pub verdict: String,
}
