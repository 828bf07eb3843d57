//! What nodes tell about themselves: status, instances, activity, and the journal of decisions.

use serde::{Deserialize, Serialize};

use super::null_default;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    pub node_id: String,
    pub started_at: i64,
    pub observed_at: i64,
    pub version: i64,
    pub peer_url: String,
    #[serde(rename = "totalMemoryMiB")]
    pub total_memory_mib: i64,
    #[serde(rename = "freeMemoryMiB")]
    pub free_memory_mib: i64,
    #[serde(rename = "numCPUs")]
    pub num_cpus: i64,
    #[serde(rename = "loadAvg1m")]
    pub load_avg_1m: f64,
    #[serde(rename = "loadAvg5m")]
    pub load_avg_5m: f64,
    #[serde(rename = "loadAvg15m")]
    pub load_avg_15m: f64,
    #[serde(default, deserialize_with = "null_default")]
    pub running_components: Vec<ComponentInfo>,
    /// Present and true while the node drains. Added to the original contract, like all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<bool>,
    /// Present and true when the node has drained: its gateways are about to close, and nothing is relayed
    /// to it any more, whatever still runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<bool>,
    /// The machine's id in the cloud, where it is one of a cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Present while the node is emptied or leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainInfo>,
    /// Present and true until this run of the daemon has looked at the containers that earlier ones left:
    /// what is told of instances is not what runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopting: Option<bool>,
    /// Names this run of the daemon; sorts by start. Of two statuses with the same one, the higher
    /// `version` is the newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// Memory reserved for what stands in no target: instances that end, that are outdated, that are too many.
    #[serde(default, rename = "otherMemoryMiB", skip_serializing_if = "Option::is_none")]
    pub other_memory_mib: Option<i64>,
    /// What the node is to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub targets: Vec<TargetInfo>,
    /// Components whose starts fail here, and for how much longer their requests are answered with that.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub failures: Vec<FailureInfo>,
    /// What the node acts in.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub roles: Vec<RoleInfo>,
    /// Since when the node that answers can't reach this one (Unix ms): all else is what was known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<i64>,
}

/// A drain, as the node that drains tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainInfo {
    /// `draining`: what runs here moves away; `drained`: nothing is left; `leaving`: the daemon ends.
    pub state: String,
    /// Since when (Unix ms).
    pub since: i64,
    /// One sentence for each signal.
    #[serde(default, deserialize_with = "null_default")]
    pub reasons: Vec<String>,
    /// Present and true while its group is to do without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surplus: Option<bool>,
    /// When the machine may be gone (Unix ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<i64>,
}

/// How many instances of a component a node is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetInfo {
    pub component_name: String,
    pub target_count: i64,
    /// Paused instances that no target has claimed yet.
    #[serde(default)]
    pub standby: i64,
}

/// Why a component can't be started on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureInfo {
    pub component_name: String,
    /// HTTP status that its requests are answered with.
    pub status: i64,
    pub reason: String,
    /// Until the next try.
    pub retry_after_millis: i64,
}

/// A role that a node acts in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleInfo {
    pub role: String,
    pub term: i64,
}

/// How much a component is asked for on one node: requests on the node's own instances, and requests that
/// wait there. Averages and peaks are those of `decide::autoscale`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDemand {
    pub component_name: String,
    pub in_flight: i64,
    pub waiting: i64,
    pub waiting_for_millis: i64,
    pub stable_average: f64,
    pub stable_peak: i64,
    pub panic_average: f64,
    pub panic_peak: i64,
    /// Absent: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request_millis_ago: Option<i64>,
    pub observed_millis: i64,
    /// Instances of the node in rotation.
    pub in_rotation: i64,
    /// Requests wait and nothing that this node knows of serves the component.
    #[serde(default)]
    pub starving: bool,
}

/// One instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentInfo {
    pub component_name: String,
    pub component_version: i64,
    /// `active`, `starting` or `stopping`.
    pub status: String,
    pub max_concurrency: i64,
    #[serde(rename = "memoryReservedMiB")]
    pub memory_reserved_mib: i64,
    /// When the instance was started.
    pub start_time: i64,
    /// 0 = never.
    pub last_request_time: i64,
    pub total_requests: i64,
    /// Newest first, at most 10, 20 seconds each.
    pub activity: Vec<ComponentActivity>,
    /// The container's id. Added to the original contract, like all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Where it runs, in lists of instances of several nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// `host:port` that requests go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// True for a paused standby instance, which takes no traffic until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<bool>,
    /// True while a request has failed on it and it gets no others before it was checked, and before it
    /// got its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<bool>,
    /// Requests that the instance is serving now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentActivity {
    pub requests: i64,
    /// Sum of request time over elapsed time.
    pub concurrency: f64,
}

/// One decision or happening, with the numbers that led to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEvent {
    /// Rises by one per event of a node since its daemon started.
    pub sequence: i64,
    /// Unix milliseconds.
    pub time: i64,
    pub node_id: String,
    /// What kind of thing happened; one of the names in `core::journal::Kind`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_name: Option<String>,
    /// One sentence for people.
    pub message: String,
    /// Why, one sentence each, with the numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The numbers for programs: e.g. a cold start's phases in milliseconds.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub data: serde_json::Map<String, serde_json::Value>,
}
