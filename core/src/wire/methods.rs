//! Every method of the management API: its name on the wire, its input, its output.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Access, Component, ComponentDemand, DescribeComponentOutput, DescribeEventSourceInput,
    DescribeEventSourceOutput, EventSource, EventSourceWithStatus, JournalEvent, NodeStatus, ObserveInput,
    ObserveOutput, Project, ReadHistoryOutput, ReadTrafficInput, ReadTrafficOutput, TestEventSourceInput,
    TestEventSourceOutput, null_default, veil,
};

/// A method of the API: the type that names it ties input and output together, so that client and
/// server can't disagree.
pub trait Method {
    /// As it stands in a request's `method`: `Service.Method`.
    const NAME: &'static str;
    type Input: Serialize + DeserializeOwned + Send;
    type Output: Serialize + DeserializeOwned + Send;

    /// What a caller needs to have it done.
    fn access(input: &Self::Input) -> Access;

    /// Hides in the answer what somebody who may only look is not shown.
    fn veil(_output: &mut Self::Output) {}
}

macro_rules! methods {
    ($($access:ident => $name:ident, $wire:literal, $input:ty, $output:ty $(, $veil:path)?;)*) => {
        $(
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Method for $name {
                const NAME: &'static str = $wire;
                type Input = $input;
                type Output = $output;

                fn access(input: &$input) -> Access {
                    $access(input)
                }

                $(fn veil(output: &mut $output) {
                    $veil(output);
                })?
            }
        )*

        /// The names of all methods.
        pub const METHODS: &[&str] = &[$($wire),*];
    };
}

methods! {
    read => ListProjects, "MaelstromService.ListProjects", ListProjectsInput, ListProjectsOutput;
    put_project => PutProject, "MaelstromService.PutProject", PutProjectInput, PutProjectOutput, veil::changes;
    read => GetProject, "MaelstromService.GetProject", NameInput, GetProjectOutput, veil::project;
    change => RemoveProject, "MaelstromService.RemoveProject", NameInput, RemoveOutput;
    change => PutComponent, "MaelstromService.PutComponent", PutComponentInput, PutOutput;
    read => GetComponent, "MaelstromService.GetComponent", NameInput, GetComponentOutput,
        veil::component;
    change => RemoveComponent, "MaelstromService.RemoveComponent", NameInput, RemoveOutput;
    read => ListComponents, "MaelstromService.ListComponents", ListComponentsInput, ListComponentsOutput,
        veil::components;
    change => PutEventSource, "MaelstromService.PutEventSource", PutEventSourceInput, PutOutput;
    read => GetEventSource, "MaelstromService.GetEventSource", NameInput, GetEventSourceOutput,
        veil::event_source;
    change => RemoveEventSource, "MaelstromService.RemoveEventSource", NameInput, RemoveOutput;
    change => ToggleEventSources, "MaelstromService.ToggleEventSources",
        ToggleEventSourcesInput, ToggleEventSourcesOutput;
    read => ListEventSources, "MaelstromService.ListEventSources",
        ListEventSourcesInput, ListEventSourcesOutput, veil::event_sources;
    peer => NotifyDataChanged, "MaelstromService.NotifyDataChanged",
        NotifyDataChangedInput, NotifyDataChangedOutput;
    // Added to the original contract:
    read => ListEvents, "MaelstromService.ListEvents", ListEventsInput, ListEventsOutput;
    read => ExplainComponent, "MaelstromService.ExplainComponent",
        ExplainComponentInput, ExplainComponentOutput;
    read => GetVersion, "MaelstromService.GetVersion", GetVersionInput, GetVersionOutput;
    read => ReadHistory, "MaelstromService.ReadHistory", NameInput, ReadHistoryOutput;
    read => DescribeComponent, "MaelstromService.DescribeComponent", NameInput, DescribeComponentOutput;
    read => DescribeEventSource, "MaelstromService.DescribeEventSource",
        DescribeEventSourceInput, DescribeEventSourceOutput, veil::described;
    change => TestEventSource, "MaelstromService.TestEventSource",
        TestEventSourceInput, TestEventSourceOutput;

    read => ListNodeStatus, "NodeService.ListNodeStatus", ListNodeStatusInput, ListNodeStatusOutput;
    get_status => GetStatus, "NodeService.GetStatus", GetStatusInput, GetStatusOutput;
    peer => StatusChanged, "NodeService.StatusChanged", StatusChangedInput, StatusChangedOutput;
    change => PlaceComponent, "NodeService.PlaceComponent", PlaceComponentInput, PlaceComponentOutput;
    peer => StartStopComponents, "NodeService.StartStopComponents",
        StartStopComponentsInput, StartStopComponentsOutput;
    change => TerminateNode, "NodeService.TerminateNode", TerminateNodeInput, TerminateNodeOutput;
    // Added to the original contract:
    peer => ReportDemand, "NodeService.ReportDemand", ReportDemandInput, ReportDemandOutput;
    change => DrainNode, "NodeService.DrainNode", DrainNodeInput, DrainNodeOutput;
    change => UndrainNode, "NodeService.UndrainNode", DrainNodeInput, DrainNodeOutput;
    read => Observe, "NodeService.Observe", ObserveInput, ObserveOutput;
    read => ReadTraffic, "NodeService.ReadTraffic", ReadTrafficInput, ReadTrafficOutput;
}

fn read<I>(_: &I) -> Access {
    Access::Read
}

fn change<I>(_: &I) -> Access {
    Access::Change
}

fn peer<I>(_: &I) -> Access {
    Access::Peer
}

/// Only what would change is asked for.
fn put_project(input: &PutProjectInput) -> Access {
    if input.diff_only == Some(true) { Access::Read } else { Access::Change }
}

/// Who tells a status with its question says that it is a node; who tells a term, that it gives orders.
fn get_status(input: &GetStatusInput) -> Access {
    let of_a_node = input.status.is_some() || input.placement_term.is_some();
    if of_a_node { Access::Peer } else { Access::Read }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameInput {
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutOutput {
    pub name: String,
    pub version: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveOutput {
    pub name: String,
    pub found: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListProjectsInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListProjectsOutput {
    pub projects: Vec<ProjectInfo>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectInfo {
    pub project_name: String,
    pub component_count: i64,
    pub event_source_count: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutProjectInput {
    pub project: Project,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_only: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutProjectOutput {
    pub name: String,
    pub components_added: Vec<Component>,
    pub components_updated: Vec<Component>,
    pub components_removed: Vec<String>,
    pub event_sources_added: Vec<EventSource>,
    pub event_sources_updated: Vec<EventSource>,
    pub event_sources_removed: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetProjectOutput {
    pub project: Project,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutComponentInput {
    pub component: Component,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetComponentOutput {
    pub component: Component,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListComponentsInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListComponentsOutput {
    pub components: Vec<Component>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutEventSourceInput {
    pub event_source: EventSource,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetEventSourceOutput {
    pub event_source: EventSource,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToggleEventSourcesInput {
    pub enabled: bool,
    /// Only the one of this name. Added to the original contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_source_type: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToggleEventSourcesOutput {
    pub enabled: bool,
    pub event_source_names: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListEventSourcesInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_source_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListEventSourcesOutput {
    pub event_sources: Vec<EventSourceWithStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyDataChangedInput {
    pub node_id: String,
    #[serde(default, deserialize_with = "null_default")]
    pub changes: Vec<DataChangedUnion>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataChangedUnion {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_component: Option<Component>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_component: Option<RemoveOutput>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyDataChangedOutput {
    pub responding_node_id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListEventsInput {
    /// Only events of this component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_name: Option<String>,
    /// Only events of these kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
    /// Only events younger than this Unix time in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Only events with a higher sequence number: for followers of the node that answers, so that others
    /// are not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_sequence: Option<i64>,
    /// At most this many, the newest: 1..1000, default 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Only events of the node that answers; else of all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListEventsOutput {
    /// Oldest first.
    pub events: Vec<JournalEvent>,
    /// Nodes that could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub missing: Vec<MissingNode>,
}

/// A node whose part is missing in an answer, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingNode {
    pub node_id: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainComponentInput {
    pub name: String,
    /// Only what the node that answers knows; else what all nodes know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<bool>,
}

/// Why a component is as it is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainComponentOutput {
    pub component_name: String,
    pub component_version: i64,
    /// Instances wanted on all nodes, and the reasons of the last scaling decision.
    pub target_instances: i64,
    pub target_reasons: Vec<String>,
    /// Requests in flight and waiting, now.
    pub in_flight: i64,
    pub waiting: i64,
    /// The instances, with state and activity.
    pub instances: Vec<super::ComponentInfo>,
    /// Set while starts fail: why, and when the next try is due (Unix ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<i64>,
    /// What happened to it lately, oldest first.
    pub events: Vec<JournalEvent>,
    /// Nodes that could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub missing: Vec<MissingNode>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GetVersionInput {}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetVersionOutput {
    pub version: String,
    pub node_id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListNodeStatusInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_refresh: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListNodeStatusOutput {
    pub responding_node_id: String,
    pub nodes: Vec<NodeStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetStatusInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
    /// The caller acts in role `placement` in this term: the node takes no orders of an older one from
    /// now on. Added to the original contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement_term: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetStatusOutput {
    pub status: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChangedInput {
    pub node_id: String,
    pub exiting: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChangedOutput {
    pub node_id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceComponentInput {
    pub component_name: String,
    /// Another node passes this on: a node that doesn't decide says so instead of passing it on again.
    /// Added to the original contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceComponentOutput {
    pub component_name: String,
    pub node: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartStopComponentsInput {
    pub client_node_id: String,
    pub target_version: i64,
    #[serde(default, deserialize_with = "null_default")]
    pub target_counts: Vec<ComponentTarget>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_status: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<bool>,
    /// The caller's term in role `placement`; a node refuses one that is older than the highest it has
    /// heard of. Absent: a person asks. Added to the original contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement_term: Option<i64>,
    /// The run of the node's daemon that `target_version` is of: every run counts its own. Absent: a person
    /// asks. Added to the original contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_incarnation: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartStopComponentsOutput {
    pub target_version_mismatch: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_status: Option<NodeStatus>,
    pub started: Vec<ComponentDelta>,
    pub stopped: Vec<ComponentDelta>,
    pub errors: Vec<ComponentDeltaError>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDelta {
    pub component_name: String,
    pub delta: i64,
    #[serde(rename = "requiredMemoryMiB")]
    pub required_memory_mib: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentTarget {
    pub component_name: String,
    #[serde(default, rename = "requiredMemoryMiB")]
    pub required_memory_mib: i64,
    pub target_count: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDeltaError {
    pub component_delta: ComponentDelta,
    pub error: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminateNodeInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_lifecycle_hook: Option<AwsLifecycleHook>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminateNodeOutput {
    pub accepted_message: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AwsLifecycleHook {
    pub queue_url: String,
    pub message_receipt_handle: String,
    pub auto_scaling_group_name: String,
    pub instance_id: String,
    pub lifecycle_action_token: String,
    pub lifecycle_hook_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainNodeInput {
    /// Any node passes it on to this one.
    pub node_id: String,
    /// Another node passes this on: it goes no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated: Option<bool>,
    /// The cluster asks, since its group has machines to spare, or has none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surplus: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainNodeOutput {
    /// False: it was so before.
    pub changed: bool,
    /// The node as it is now.
    pub node: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportDemandInput {
    pub node_id: String,
    /// Names the run of the node's daemon.
    pub incarnation: String,
    /// Rises with each report: an older one that comes late is dropped.
    pub sequence: i64,
    /// Components with any demand, or an instance, on this node. Others have none.
    #[serde(default, deserialize_with = "null_default")]
    pub components: Vec<ComponentDemand>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportDemandOutput {
    /// False: the node asked does not act in role `placement`.
    pub accepted: bool,
}
