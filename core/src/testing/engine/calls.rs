//! The engine in memory behind the seam.

use std::time::Duration;

use futures_util::{FutureExt, stream::BoxStream};

use super::{
    Change, FakeEngine, Operation, streams,
    world::{is_up, refused},
};
use crate::{
    component::PullSpec,
    names::{InstanceId, NodeId},
    ports::{BoxFuture, engine::*},
};

impl FakeEngine {
    fn enter(&self, operation: Operation, subject: &str) -> EngineResult<()> {
        let now = self.now();
        self.world.lock().enter(operation, subject, now)
    }

    /// Lets time pass and looks whether the engine is still there.
    async fn take(&self, delay: Duration) -> EngineResult<()> {
        if !delay.is_zero() {
            self.clock.sleep_until(self.now() + delay).await;
        }
        self.world.lock().check_available()
    }

    async fn started(&self, id: InstanceId) -> EngineResult<Container> {
        self.enter(Operation::Start, id.as_str())?;
        self.world.lock().container(&id)?;
        let delay = self.world.lock().delays.start;
        self.take(delay).await?;
        let wall = self.clock.wall();
        let starts = self.change(|world| world.start(&id, wall))?;
        let container = self.world.lock().container(&id)?;
        let spec = self.spec(&id).map(Box::new);
        if let (true, Some(spec)) = (starts && is_up(&container), spec) {
            self.tell(Change::Started { container: container.clone(), spec });
        }
        Ok(container)
    }

    async fn stopped(&self, id: InstanceId, grace: Duration) -> EngineResult<()> {
        self.enter(Operation::Stop, id.as_str())?;
        let (up, behaviour, delay) = {
            let world = self.world.lock();
            let up = world.container(&id).is_ok_and(|container| is_up(&container));
            (up, world.behaviour(&id), world.delays.stop)
        };
        if !up {
            return Ok(());
        }
        let (delay, code) = if behaviour.ignores_term { (grace, 137) } else { (delay.min(grace), 143) };
        self.take(delay).await?;
        if self.change(|world| world.end(&id, code, false)) {
            self.tell(Change::Ended { id });
        }
        Ok(())
    }

    async fn removed(&self, id: InstanceId) -> EngineResult<()> {
        self.enter(Operation::Remove, id.as_str())?;
        let delay = self.world.lock().delays.remove;
        self.take(delay).await?;
        let up = self.world.lock().container(&id).is_ok_and(|container| is_up(&container));
        self.change(|world| world.remove(&id));
        if up {
            self.tell(Change::Ended { id });
        }
        Ok(())
    }

    async fn paused(&self, id: InstanceId, paused: bool) -> EngineResult<()> {
        self.enter(if paused { Operation::Pause } else { Operation::Unpause }, id.as_str())?;
        let delays = self.world.lock().delays;
        self.take(if paused { delays.pause } else { delays.unpause }).await?;
        if self.change(|world| world.set_paused(&id, paused))? {
            self.tell(if paused { Change::Paused { id } } else { Change::Unpaused { id } });
        }
        Ok(())
    }

    async fn executed(&self, id: InstanceId, limit: Duration) -> EngineResult<ExecOutput> {
        self.enter(Operation::Exec, id.as_str())?;
        let delay = self.world.lock().delays.exec;
        if self.world.lock().container(&id)?.state != ContainerState::Running {
            return Err(refused("running a command in", &id, "it is not running"));
        }
        self.take(delay.min(limit)).await?;
        if delay > limit {
            let reason = format!("did not end within {limit:?}");
            return Err(refused("running a command in", &id, &reason));
        }
        let nothing = ExecOutput { exit_code: 0, output: String::new() };
        Ok(self.world.lock().behaviour(&id).exec.unwrap_or(nothing))
    }

    async fn pulled(&self, image: String, pull: PullSpec) -> EngineResult<()> {
        self.enter(Operation::Pull, &image)?;
        let delay = self.world.lock().delays.pull;
        self.take(delay).await?;
        let credentials = pull.username.map(|name| (name, pull.password.unwrap_or_default()));
        self.change(|world| world.pull(&image, credentials))
    }
}

impl ContainerEngine for FakeEngine {
    fn ping(&self) -> BoxFuture<'_, EngineResult<()>> {
        async move { self.enter(Operation::Ping, "engine") }.boxed()
    }

    fn create(&self, spec: ContainerSpec) -> BoxFuture<'_, EngineResult<InstanceId>> {
        async move {
            self.enter(Operation::Create, &spec.name)?;
            let id = self.change(|world| world.create(spec))?;
            let delay = self.world.lock().delays.create;
            self.take(delay).await?;
            Ok(id)
        }
        .boxed()
    }

    fn start(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<Container>> {
        self.started(id).boxed()
    }

    fn stop(&self, id: InstanceId, grace: Duration) -> BoxFuture<'_, EngineResult<()>> {
        self.stopped(id, grace).boxed()
    }

    fn remove(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>> {
        self.removed(id).boxed()
    }

    fn pause(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>> {
        self.paused(id, true).boxed()
    }

    fn unpause(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<()>> {
        self.paused(id, false).boxed()
    }

    fn inspect(&self, id: InstanceId) -> BoxFuture<'_, EngineResult<Container>> {
        async move {
            self.enter(Operation::Inspect, id.as_str())?;
            self.world.lock().container(&id)
        }
        .boxed()
    }

    fn list(&self, node: NodeId) -> BoxFuture<'_, EngineResult<Vec<Container>>> {
        async move {
            self.enter(Operation::List, node.as_str())?;
            let mut containers = self.containers();
            containers.retain(|container| belongs_to(container, &node));
            Ok(containers)
        }
        .boxed()
    }

    fn exec(
        &self,
        id: InstanceId,
        _command: Vec<String>,
        limit: Duration,
    ) -> BoxFuture<'_, EngineResult<ExecOutput>> {
        self.executed(id, limit).boxed()
    }

    fn events(&self) -> BoxStream<'static, EngineEvent> {
        Box::pin(streams::events(self.world.clone()))
    }

    fn logs(&self, id: InstanceId, query: LogQuery) -> BoxStream<'static, EngineResult<LogLine>> {
        Box::pin(streams::logs(self.world.clone(), id, query))
    }

    fn pull(&self, image: String, pull: PullSpec) -> BoxFuture<'_, EngineResult<()>> {
        self.pulled(image, pull).boxed()
    }

    fn image_id(&self, image: String) -> BoxFuture<'_, EngineResult<Option<String>>> {
        async move {
            self.enter(Operation::ImageId, &image)?;
            Ok(self.world.lock().image_id(&image))
        }
        .boxed()
    }

    fn images(&self) -> BoxFuture<'_, EngineResult<Vec<Image>>> {
        async move {
            self.enter(Operation::Images, "images")?;
            Ok(self.world.lock().images())
        }
        .boxed()
    }

    fn remove_image(&self, image: String) -> BoxFuture<'_, EngineResult<()>> {
        async move {
            self.enter(Operation::RemoveImage, &image)?;
            self.change(|world| world.remove_image(&image))
        }
        .boxed()
    }

    fn prune(&self, node: NodeId) -> BoxFuture<'_, EngineResult<u64>> {
        async move {
            self.enter(Operation::Prune, node.as_str())?;
            let exited: Vec<InstanceId> = self
                .containers()
                .into_iter()
                .filter(|container| belongs_to(container, &node))
                .filter(|container| matches!(container.state, ContainerState::Exited { .. }))
                .map(|container| container.id)
                .collect();
            self.change(|world| exited.iter().for_each(|id| world.remove(id)));
            Ok(exited.len() as u64)
        }
        .boxed()
    }
}

fn belongs_to(container: &Container, node: &NodeId) -> bool {
    container.labels.get(LABEL_NODE).is_some_and(|label| label == node.as_str())
}
