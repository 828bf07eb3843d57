//! The Docker engine behind [`ContainerEngine`]. Only this folder knows bollard.
//!
//! Each call goes through [`connection::Connection`], which connects when asked and again after a
//! failure: the daemon may start before Docker answers, and outlives its restarts. Every call has a
//! limit of its own, named beside it; answers become [`EngineError`]s in [`errors`].
//!
//! This folder decides nothing: no retries, no policy, no state about containers. What it was told last
//! is forgotten at once; `list` asks anew.

mod bridge;
mod connection;
mod containers;
mod create;
mod errors;
mod events;
mod exec;
mod images;
mod inspect;
mod logs;
mod pull_command;

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, stream::BoxStream};
use maelstrom_core::{
    component::PullSpec,
    names::{InstanceId, NodeId},
    ports::{BoxFuture, engine::*},
};

use connection::Connection;

/// Clones share the connection.
#[derive(Clone, Debug)]
pub struct DockerEngine {
    connection: Arc<Connection>,
}

// === impl DockerEngine ===

impl DockerEngine {
    /// The engine at `host`, written as `DOCKER_HOST` is (`unix:///var/run/docker.sock`,
    /// `tcp://10.0.0.1:2375`); `None`: what `DOCKER_HOST` says, else the local socket. Connects at the
    /// first call.
    pub fn new(host: Option<String>) -> Self {
        Self { connection: Arc::new(Connection::new(host)) }
    }
}

impl ContainerEngine for DockerEngine {
    fn ping(&self) -> BoxFuture<'_, EngineResult<()>> {
        self.connection.ping().boxed()
    }

    fn create(&self, spec: ContainerSpec) -> BoxFuture<'_, EngineResult<InstanceId>> {
        containers::create(&self.connection, spec).boxed()
    }

    fn start(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<Container>> {
        containers::start(&self.connection, id).boxed()
    }

    fn stop(&self, id: InstanceId, grace: Duration) -> BoxFuture<'_, EngineResult<()>> {
        containers::stop(&self.connection, id, grace).boxed()
    }

    fn remove(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>> {
        containers::remove(&self.connection, id, containers::Remove::EvenRunning).boxed()
    }

    fn pause(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>> {
        containers::pause(&self.connection, id).boxed()
    }

    fn unpause(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>> {
        containers::unpause(&self.connection, id).boxed()
    }

    fn inspect(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<Container>> {
        containers::inspect(&self.connection, id).boxed()
    }

    fn list(&self, node: NodeId) -> BoxFuture<'_, EngineResult<Vec<Container>>> {
        containers::list(&self.connection, node).boxed()
    }

    fn exec(
        &self,
        id: InstanceId,
        command: Vec<String>,
        limit: Duration,
    ) -> BoxFuture<'_, EngineResult<ExecOutput>> {
        exec::exec(&self.connection, id, command, limit).boxed()
    }

    fn events(&self) -> BoxStream<'static, EngineEvent> {
        Box::pin(events::events(self.connection.clone()))
    }

    fn logs(&self, id: InstanceId, query: LogQuery) -> BoxStream<'static, EngineResult<LogLine>> {
        Box::pin(logs::logs(self.connection.clone(), id, query))
    }

    fn pull(&self, image: String, pull: PullSpec) -> BoxFuture<'_, EngineResult<()>> {
        images::pull(&self.connection, image, pull).boxed()
    }

    fn image_id(&self, image: String) -> BoxFuture<'_, EngineResult<Option<String>>> {
        images::image_id(&self.connection, image).boxed()
    }

    fn images(&self) -> BoxFuture<'_, EngineResult<Vec<Image>>> {
        images::images(&self.connection).boxed()
    }

    fn remove_image(&self, image: String) -> BoxFuture<'_, EngineResult<()>> {
        images::remove(&self.connection, image).boxed()
    }

    fn prune(&self, node: NodeId) -> BoxFuture<'_, EngineResult<u64>> {
        containers::prune(&self.connection, node).boxed()
    }
}
