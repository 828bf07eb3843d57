//! What users register: projects, components, event sources.

use serde::{Deserialize, Serialize};

use super::null_default;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameValue {
    pub name: String,
    #[serde(default, deserialize_with = "null_default")]
    pub value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    pub name: String,
    #[serde(default, deserialize_with = "null_default")]
    pub components: Vec<ComponentWithEventSources>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentWithEventSources {
    pub component: Component,
    #[serde(default, deserialize_with = "null_default")]
    pub event_sources: Vec<EventSourceWithStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSourceWithStatus {
    pub event_source: EventSource,
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub environment: Vec<NameValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_instances: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances_per_node: Option<i64>,
    /// 0 stands for the default, 1.
    #[serde(default, deserialize_with = "null_default")]
    pub max_concurrency: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_concurrency_limit: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up_concurrency_pct: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_concurrency_pct: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_parallelism: Option<String>,
    #[serde(default, rename = "RestartOrder", skip_serializing_if = "Option::is_none")]
    pub restart_order: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_queue: Option<i64>,
    #[serde(default, deserialize_with = "null_default")]
    pub version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerComponent>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerComponent {
    pub image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// 0 stands for the default, 8080.
    #[serde(default, deserialize_with = "null_default")]
    pub http_port: i64,
    /// Empty stands for the default, `/`.
    #[serde(default, deserialize_with = "null_default")]
    pub http_health_check_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_start_health_check_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_health_check_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_health_check_max_failures: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_failed_command: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<VolumeMount>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_driver_options: Option<Vec<NameValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<i64>,
    #[serde(default, rename = "reserveMemoryMiB", skip_serializing_if = "Option::is_none")]
    pub reserve_memory_mib: Option<i64>,
    #[serde(default, rename = "limitMemoryMiB", skip_serializing_if = "Option::is_none")]
    pub limit_memory_mib: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_command: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_image_on_put: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_image_on_start: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_options: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_search: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ulimits: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capadd: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capdrop: Option<Vec<String>>,
    /// `http1` (default) or `h2c`: what the container speaks. Added to the original contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_protocol: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub source: String,
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSource {
    pub name: String,
    #[serde(default, deserialize_with = "null_default")]
    pub component_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub version: i64,
    #[serde(default, deserialize_with = "null_default")]
    pub modified_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpEventSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<CronEventSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqs: Option<SqsEventSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awsstepfunc: Option<AwsStepFunctionEventSource>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpEventSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronEventSource {
    #[serde(default, deserialize_with = "null_default")]
    pub schedule: String,
    #[serde(default, deserialize_with = "null_default")]
    pub http: CronHttpRequest,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronHttpRequest {
    #[serde(default, deserialize_with = "null_default")]
    pub method: String,
    #[serde(default, deserialize_with = "null_default")]
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<NameValue>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsEventSource {
    #[serde(default, deserialize_with = "null_default")]
    pub queue_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_as_prefix: Option<bool>,
    #[serde(default, deserialize_with = "null_default")]
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_poll: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_per_poller: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<i64>,
    /// One request for all messages of a poll, in the shape of Lambda's SQS events. Added to the
    /// original contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsStepFunctionEventSource {
    #[serde(default, deserialize_with = "null_default")]
    pub activity_name: String,
    #[serde(default, deserialize_with = "null_default")]
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_per_poller: Option<i64>,
}
