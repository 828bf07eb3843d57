//! What nodes tell each other and the dashboard of now and of the last hour. Added to the original contract.

use serde::{Deserialize, Serialize};

use super::{FailureInfo, JournalEvent, MissingNode, NodeStatus, TargetInfo, null_default};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObserveInput {
    /// Only events younger than this Unix time in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_since: Option<i64>,
}

/// All that a node knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObserveOutput {
    pub status: NodeStatus,
    /// Of components with anything to tell.
    pub traffic: Vec<ComponentTraffic>,
    /// Oldest first.
    pub events: Vec<JournalEvent>,
}

/// A component's requests on one node, in the last seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentTraffic {
    pub component_name: String,
    /// What `traffic` spans.
    pub window_millis: i64,
    pub traffic: Traffic,
    pub in_flight: i64,
    pub waiting: i64,
    pub waiting_for_millis: i64,
}

/// Requests that ended in some span of time on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    pub requests: i64,
    /// Answers of 500 and above.
    pub errors: i64,
    /// Their clients left before an answer.
    pub gone: i64,
    /// Of the requests, those that a peer had sent on and has counted, too.
    pub relayed: i64,
    /// How long they took: `[n, count]` for 2^(n-1) to 2^n µs.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub durations: Vec<(u8, i64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadTrafficInput {
    pub component_name: String,
}

/// What one node remembers of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadTrafficOutput {
    pub step_millis: i64,
    /// Oldest first; of steps in which there was something.
    pub samples: Vec<TrafficSample>,
}

/// One step of a component's history on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficSample {
    /// When the step began: a multiple of its length, so that nodes' samples meet.
    pub time: i64,
    pub traffic: Traffic,
    /// On average.
    pub in_flight: f64,
    /// At most.
    pub waiting: i64,
    pub instances: i64,
}

/// A component over the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadHistoryOutput {
    pub step_millis: i64,
    /// Oldest first; of steps in which there was something.
    pub samples: Vec<HistorySample>,
    /// Nodes that could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub missing: Vec<MissingNode>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistorySample {
    pub time: i64,
    pub requests_per_second: f64,
    pub errors_per_second: f64,
    /// In ms; absent without a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    pub in_flight: f64,
    pub waiting: i64,
    pub instances: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeComponentOutput {
    /// As it stands in a project file.
    pub yaml: String,
}

/// A node as the dashboard shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveNode {
    pub node_id: String,
    pub peer_url: String,
    pub started_at: i64,
    #[serde(rename = "totalMemoryMiB")]
    pub total_memory_mib: i64,
    #[serde(rename = "freeMemoryMiB")]
    pub free_memory_mib: i64,
    #[serde(rename = "numCPUs")]
    pub num_cpus: i64,
    /// Over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<super::DrainInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<i64>,
    pub roles: Vec<LiveRole>,
    pub targets: Vec<TargetInfo>,
    pub failures: Vec<FailureInfo>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRole {
    pub role: String,
    pub term: i64,
    /// When it was taken (Unix ms), where the journal still tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveInstance {
    pub node_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    pub component_name: String,
    pub component_version: i64,
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<bool>,
    pub max_concurrency: i64,
    #[serde(rename = "memoryReservedMiB")]
    pub memory_reserved_mib: i64,
    pub start_time: i64,
    pub in_flight: i64,
    pub requests_per_second: f64,
    pub last_request_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A component's settings, with defaults in place. Without its environment, which may hold secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveComponent {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    pub version: i64,
    pub modified_at: i64,
    pub image: String,
    pub min_instances: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<i64>,
    pub max_concurrency: i64,
    pub scale_up_pct: f64,
    pub scale_down_pct: f64,
    pub soft_limit: bool,
    #[serde(rename = "reserveMemoryMiB")]
    pub reserve_memory_mib: i64,
    pub idle_timeout_seconds: i64,
}

/// A component's requests over the cluster, in the last seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveLoad {
    pub in_flight: i64,
    pub waiting: i64,
    pub waiting_for_millis: i64,
    pub requests_per_second: f64,
    pub errors_per_second: f64,
    pub gone_per_second: f64,
    /// In ms; absent without a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}

/// An event source with what comes next and what came last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveSource {
    #[serde(flatten)]
    pub source: super::EventSource,
    pub enabled: bool,
    /// When a cron rule is due next (Unix ms).
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub next: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LiveResult>,
}

/// What came of an event source's last event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveResult {
    pub time: i64,
    pub message: String,
    pub ok: bool,
}
