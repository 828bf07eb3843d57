//! The container engine beside the daemon. One trait; the real one is Docker through its API, the one
//! for tests lives in memory (`testing::engine`).
//!
//! Contract:
//! * A daemon touches only containers that carry its node's label ([`LABEL_NODE`]).
//! * Calls are idempotent: starting what runs, pausing what is paused, stopping what stopped or is gone,
//!   removing what is gone (container or image) succeed. Everything else asked of a container that is
//!   gone fails with [`EngineError::NoSuchContainer`].
//! * Events may be lost, and may be told twice; `list` is the truth.
//! * Every call ends in bounded time except the streams, which end when dropped. A call that is given up
//!   may still take effect: `list` tells.
//! * Nothing needs a connection beforehand: each call tries anew, so the engine may start after the
//!   daemon, go away and come back.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::BoxFuture;
use crate::{
    component::{DockerSpec, PullSpec},
    names::{ComponentName, InstanceId, NodeId},
};

/// Labels by which a daemon knows its containers again.
pub const LABEL_NODE: &str = "maelstrom.node";
pub const LABEL_COMPONENT: &str = "maelstrom.component";
pub const LABEL_VERSION: &str = "maelstrom.version";
/// Set to [`LOG_INTO_DAEMON`] on a container whose lines belong into the daemon's own log.
pub const LABEL_LOG: &str = "maelstrom.log";
/// The log driver of that name.
pub const LOG_INTO_DAEMON: &str = "maelstrom";

/// What a container is made from: the component's part and what the node adds.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSpec {
    /// Shown by `docker ps`; unique on the engine.
    pub name: String,
    pub node: NodeId,
    pub component: ComponentName,
    pub version: i64,
    /// Complete: the component's and the node's `MAELSTROM_*` variables.
    pub environment: Vec<(String, String)>,
    pub docker: DockerSpec,
}

/// A container as the engine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub id: InstanceId,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub state: ContainerState,
    /// The image's content id, `sha256:…`.
    pub image_id: String,
    /// Where its ports are reached; `None` while not running.
    pub address: Option<IpAddr>,
    /// Process id of its first process on this host; `None` while not running, and for an engine on
    /// another host.
    pub pid: Option<u32>,
    /// Unix milliseconds of the last start, 0 = never.
    pub started_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Exited {
        code: i64,
        oom_killed: bool,
    },
    /// Being removed, dead, or a state this program doesn't know.
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEvent {
    /// The container's first process ended.
    Died {
        id: InstanceId,
        exit_code: Option<i64>,
    },
    OutOfMemory {
        id: InstanceId,
    },
    /// A name points at another image now, or is gone.
    ImageChanged {
        image: String,
    },
    /// The first item, and again after each interruption: the subscription stands from here on, what
    /// happened before may have been missed. Look at everything again.
    Resubscribed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub stream: LogStream,
    /// Without its line end.
    pub line: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
}

impl LogStream {
    /// As it stands on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// Unix seconds; `None`: from the beginning.
    pub since: Option<i64>,
    /// At most so many lines of the past; `None`: all.
    pub tail: Option<u32>,
    pub follow: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    pub exit_code: i64,
    /// Both streams, cut to 64 KiB.
    pub output: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    /// `repository:tag` names; empty when untagged.
    pub names: Vec<String>,
    /// `repository@sha256:…` names, which an image from a registry keeps when it loses its tag.
    pub digests: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("image '{image}' is not on this node and can't be pulled: {reason}")]
    ImageMissing { image: String, reason: String },
    /// The engine refuses what was asked: bad options, port in use, no such network, …
    #[error("{action}: {reason}")]
    Refused { action: String, reason: String },
    #[error("no container {id}")]
    NoSuchContainer { id: InstanceId },
    /// The engine can't be reached or doesn't answer in time; may pass by itself.
    #[error("the container engine is not available: {reason}")]
    Unavailable { reason: String },
}

pub type EngineResult<T> = Result<T, EngineError>;

pub trait ContainerEngine: Send + Sync {
    /// Answers when the engine does.
    fn ping(&self) -> BoxFuture<'_, EngineResult<()>>;

    /// Makes a container, not started. `ImageMissing` when the image isn't on the node.
    fn create(&self, spec: ContainerSpec) -> BoxFuture<'_, EngineResult<InstanceId>>;

    /// Starts it and tells its address and pid. `Refused` when it is paused, or can't run: the error
    /// then says why (no such program, port in use, no such network, …). The state of what comes back
    /// may be `Exited` already.
    fn start(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<Container>>;

    /// SIGTERM, after `grace` SIGKILL; returns when it has ended. Unpauses a paused one, so that it can
    /// hear the SIGTERM.
    fn stop(&self, id: InstanceId, grace: Duration) -> BoxFuture<'_, EngineResult<()>>;

    /// Removes it, killing it if it still runs, with its anonymous volumes.
    fn remove(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>>;

    /// Freezes its processes; it keeps its address and memory. `Refused` when it isn't running.
    fn pause(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>>;

    /// Lets it run on. `Refused` when it isn't running.
    fn unpause(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>>;

    fn inspect(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<Container>>;

    /// All containers with the node's label, running or not.
    fn list(&self, node: NodeId) -> BoxFuture<'_, EngineResult<Vec<Container>>>;

    /// Runs a command inside; ends by `limit` at the latest with `Refused`, leaving the command behind.
    fn exec(
        &self,
        id: InstanceId,
        command: Vec<String>,
        limit: Duration,
    ) -> BoxFuture<'_, EngineResult<ExecOutput>>;

    /// Events of the engine from now on; resubscribes by itself (with back-off) and never ends.
    fn events(&self) -> BoxStream<'static, EngineEvent>;

    /// Lines of a container's output. Ends with the container, or at its last line without `follow`; ends
    /// after an error.
    fn logs(&self, id: InstanceId, query: LogQuery) -> BoxStream<'static, EngineResult<LogLine>>;

    /// Fetches the image, with the credentials or the pull command of `pull`. `ImageMissing` when the
    /// registry refuses or lacks it or the command fails.
    fn pull(&self, image: String, pull: PullSpec) -> BoxFuture<'_, EngineResult<()>>;

    /// Content id of a local image; `None` when it isn't there.
    fn image_id(&self, image: String) -> BoxFuture<'_, EngineResult<Option<String>>>;

    fn images(&self) -> BoxFuture<'_, EngineResult<Vec<Image>>>;

    /// Takes a name from an image, and with its last name the image; an image without a name goes by its
    /// id. `Refused` when a container uses it.
    fn remove_image(&self, image: String) -> BoxFuture<'_, EngineResult<()>>;

    /// Removes the exited containers that carry the node's label; returns how many.
    fn prune(&self, node: NodeId) -> BoxFuture<'_, EngineResult<u64>>;
}
