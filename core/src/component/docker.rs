//! How a component's container is made, checked and stopped.

use std::time::Duration;

/// What the container is made from, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct DockerSpec {
    pub image: String,
    /// `None`: the image's own.
    pub command: Option<Vec<String>>,
    /// `None`: the image's own.
    pub entrypoint: Option<Vec<String>>,
    pub http_port: u16,
    pub http_protocol: HttpProtocol,
    pub health: HealthSpec,
    pub pull: PullSpec,
    /// `[[address:]host port:]container port[/protocol]`, as Docker's `-p` takes it.
    pub ports: Vec<PortBinding>,
    pub volumes: Vec<Volume>,
    pub network: Option<String>,
    /// `None`: the engine's default. `maelstrom`: into the daemon's own log.
    pub log_driver: Option<String>,
    pub log_options: Vec<(String, String)>,
    pub cpu_shares: Option<u32>,
    /// What placement counts for an instance.
    pub reserve_memory_mib: u64,
    /// Hard limit of the container; `None`: no limit.
    pub limit_memory_mib: Option<u64>,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    pub ulimits: Vec<Ulimit>,
    /// Run the engine's init as process 1.
    pub init: bool,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub user: Option<String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
}

/// What a container speaks on its HTTP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpProtocol {
    Http1,
    /// HTTP/2 without TLS, by prior knowledge: gRPC.
    H2c,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HealthSpec {
    pub path: String,
    /// Time from start to the first 200; `None`: no check at the start.
    pub start: Option<Duration>,
    /// Time between checks; `None`: no checks after the start.
    pub interval: Option<Duration>,
    /// Failures in a row after which the instance is replaced.
    pub max_failures: u32,
    /// Runs inside the container before a failed instance is stopped.
    pub failed_command: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PullSpec {
    /// A command of the host that pulls instead of the engine, `<image>` replaced in every word.
    pub command: Option<Vec<String>>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub on_put: bool,
    pub on_start: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortBinding {
    pub host_address: Option<String>,
    /// `None`: the engine picks one.
    pub host_port: Option<u16>,
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub kind: VolumeKind,
    /// Host path or volume name; empty for tmpfs and anonymous volumes.
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeKind {
    Bind,
    Volume,
    Tmpfs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}
