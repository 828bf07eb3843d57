//! The settings as the daemon uses them: units in types, unset apart from empty.

use std::{fmt, net::IpAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use crate::access::Secret;

/// Everything that the daemon is told from outside.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Settings {
    pub store: StoreSetting,
    pub public_address: IpAddr,
    pub public_port: u16,
    pub private_address: IpAddr,
    pub private_port: u16,
    #[serde(default, deserialize_with = "unless_empty")]
    pub private_url: Option<String>,
    #[serde(default, deserialize_with = "unless_empty")]
    pub peer_url: Option<String>,
    #[serde(rename = "api_token", default, deserialize_with = "secrets")]
    pub api_tokens: Vec<Secret>,
    #[serde(rename = "api_token_readonly", default, deserialize_with = "secrets")]
    pub api_tokens_readonly: Vec<Secret>,
    #[serde(rename = "cluster_secret", default, deserialize_with = "secrets")]
    pub cluster_secrets: Vec<Secret>,
    #[serde(rename = "secrets_key", default, deserialize_with = "secrets")]
    pub secrets_keys: Vec<Secret>,
    #[serde(default, deserialize_with = "unless_empty")]
    pub node_id: Option<String>,
    pub state_dir: PathBuf,
    /// MiB for containers; `None`: what the system has.
    #[serde(default)]
    pub total_memory: Option<u64>,
    /// `None`: as many as suit the machine.
    #[serde(deserialize_with = "some_count")]
    pub worker_threads: Option<NonZeroUsize>,
    #[serde(deserialize_with = "seconds")]
    pub http_read_timeout: Duration,
    #[serde(deserialize_with = "seconds")]
    pub http_write_timeout: Duration,
    #[serde(deserialize_with = "seconds")]
    pub http_idle_timeout: Duration,
    #[serde(rename = "cron_refresh_seconds", deserialize_with = "seconds")]
    pub cron_refresh: Duration,
    #[serde(rename = "node_liveness_seconds", deserialize_with = "seconds")]
    pub node_liveness: Duration,
    #[serde(rename = "shutdown_pause_seconds", deserialize_with = "seconds")]
    pub shutdown_pause: Duration,
    #[serde(rename = "drain_seconds", deserialize_with = "seconds")]
    pub drain: Duration,
    #[serde(rename = "drain_stream_seconds", deserialize_with = "seconds")]
    pub drain_streams: Duration,
    pub keep_containers: bool,
    /// `None`: no pruning.
    #[serde(rename = "docker_prune_minutes", deserialize_with = "minutes")]
    pub docker_prune: Option<Duration>,
    pub docker_prune_unreg_images: bool,
    #[serde(default, deserialize_with = "comma_list")]
    pub docker_prune_unreg_keep: Vec<String>,
    #[serde(default, deserialize_with = "unless_empty")]
    pub instance_id: Option<String>,
    #[serde(default, deserialize_with = "unless_empty")]
    pub terminate_command: Option<String>,
    #[serde(default, deserialize_with = "unless_empty")]
    pub aws_terminate_queue_url: Option<String>,
    #[serde(rename = "aws_terminate_max_age_seconds", deserialize_with = "seconds")]
    pub aws_terminate_max_age: Duration,
    /// `None`: the instance metadata are not looked at.
    #[serde(rename = "aws_spot_terminate_poll_seconds", deserialize_with = "seconds_or_never")]
    pub aws_metadata_poll: Option<Duration>,
    pub aws_rebalance_drain: bool,
    pub aws_launch_images: bool,
    pub aws_capacity: bool,
    /// MiB.
    pub aws_capacity_headroom: u64,
    pub aws_capacity_removals: usize,
    pub aws_capacity_metrics: bool,
    pub log_level: String,
    pub log_format: LogFormat,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSetting {
    Sqlite(PathBuf),
    DynamoDb(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl fmt::Display for StoreSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::DynamoDb(table) => write!(f, "dynamodb:{table}"),
        }
    }
}

impl<'de> Deserialize<'de> for StoreSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once(':') {
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.into())),
            Some(("dynamodb", table)) => Ok(Self::DynamoDb(table.into())),
            _ => Err(D::Error::custom("neither sqlite: nor dynamodb:")),
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

fn seconds_or_never<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

fn minutes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let minutes = u64::deserialize(deserializer)?;
    Ok((minutes > 0).then(|| Duration::from_secs(minutes * 60)))
}

fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroUsize>, D::Error> {
    usize::deserialize(deserializer).map(NonZeroUsize::new)
}

fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(text).filter(|text| !text.is_empty()))
}

fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Secret::list(&text).ok_or_else(|| D::Error::custom("no list of secrets"))
}

fn comma_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}
