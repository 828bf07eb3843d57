//! From the decision to start an instance to its running container: turn, image, create, start. Nothing
//! else stands between a waiting request and the engine.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    component::DockerSpec,
    names::InstanceId,
    ports::{
        BoxFuture,
        engine::{Container, ContainerSpec, EngineError, EngineResult},
    },
};
use tokio::sync::watch;

use super::{
    context::Context,
    failure::Failure,
    instance::{Instance, Wish},
    permits::Permit,
    unit::Unit,
};
use crate::router::Phase;

/// An image of some GB over a slow line; a pull that takes longer has to be done beforehand.
const PULL_LIMIT: Duration = Duration::from_secs(15 * 60);
/// A turn comes when other starts have ended, each of which is bounded by its start check.
const TURN_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Gets images onto the node.
pub trait Images: Send + Sync {
    /// `EachStart`: pulls if the component's policy says so for each start. `Missing`: the engine doesn't
    /// have the image; pulls it whatever the policy.
    fn ensure(&self, docker: &DockerSpec, occasion: Occasion) -> BoxFuture<'static, EngineResult<()>>;
}

/// Why an image is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    EachStart,
    Missing,
}

/// Why no container runs.
pub(super) enum NoStart {
    /// The converger wants it no more.
    Stopped,
    /// `container`: it was made, and has to be removed.
    Failed { failure: Failure, container: Option<InstanceId> },
}

pub(super) struct Started {
    pub(super) container: Container,
    /// Held until the instance is healthy, if it has to start alone.
    pub(super) permit: Option<Permit>,
}

/// Starts the instance's container. Create and start are never cut off in the middle, so that no
/// container is left behind; the waits before them end when the instance isn't wanted any more.
pub(super) async fn start(
    context: &Arc<Context>,
    unit: &Unit,
    instance: &Instance,
    alone: bool,
) -> Result<Started, NoStart> {
    let docker = &instance.component.docker;
    let mut wish = instance.wish.subscribe();
    let permit = match alone {
        true => {
            let turn = turn(context, unit, instance);
            wanted(&mut wish, TURN_LIMIT, "its turn to start", async { Ok(turn.await) }).await?
        }
        false => None,
    };
    if docker.pull.on_start {
        let pull = context.images.ensure(docker, Occasion::EachStart);
        wanted(&mut wish, PULL_LIMIT, "its image", pull).await?;
    }
    mark(context, instance, Phase::Pulled);
    let spec = spec(context, instance);
    let container = match make(context, instance, &mut wish, spec.clone()).await {
        Err(NoStart::Failed { failure, .. }) if failure.image_missing => {
            let pull = context.images.ensure(docker, Occasion::Missing);
            wanted(&mut wish, PULL_LIMIT, "its image", pull).await?;
            mark(context, instance, Phase::Pulled);
            make(context, instance, &mut wish, spec).await?
        }
        made => made?,
    };
    Ok(Started { container, permit })
}

/// Its turn to start alone, unless another instance proves meanwhile that there is no need.
async fn turn(context: &Context, unit: &Unit, instance: &Instance) -> Option<Permit> {
    let turn = context.permits.acquire(instance.component.name.clone());
    tokio::select! {
        biased;
        () = unit.may_start_beside_others() => None,
        permit = turn => Some(permit),
    }
}

/// Creates and starts, in one of the machine's start slots.
async fn make(
    context: &Context,
    instance: &Instance,
    wish: &mut watch::Receiver<Wish>,
    spec: ContainerSpec,
) -> Result<Container, NoStart> {
    let slot = async { Ok(context.slots.acquire().await) };
    let _slot = wanted(wish, TURN_LIMIT, "its turn to start", slot).await?;
    let id = context.engine.create(spec).await.map_err(failed)?;
    instance.made(&id);
    mark(context, instance, Phase::Created);
    let started = context.engine.start(id.clone()).await;
    mark(context, instance, Phase::Started);
    started.map_err(|error| NoStart::Failed { failure: error.into(), container: Some(id) })
}

/// Waits for `what`, unless the instance isn't wanted any more or `limit` has passed.
async fn wanted<T>(
    wish: &mut watch::Receiver<Wish>,
    limit: Duration,
    what: &str,
    wait: impl Future<Output = EngineResult<T>>,
) -> Result<T, NoStart> {
    tokio::select! {
        biased;
        () = stopped(wish) => Err(NoStart::Stopped),
        got = tokio::time::timeout(limit, wait) => match got {
            Ok(got) => got.map_err(failed),
            Err(_) => {
                let reason = format!("it waited longer than {} minutes for {what}", limit.as_secs() / 60);
                Err(NoStart::Failed { failure: Failure::new(reason), container: None })
            }
        },
    }
}

fn failed(error: EngineError) -> NoStart {
    NoStart::Failed { failure: error.into(), container: None }
}

/// Ends when the converger stops the instance.
pub(super) async fn stopped(wish: &mut watch::Receiver<Wish>) {
    // The sender lives in the instance, which outlives its own task.
    let _ = wish.wait_for(|wish| matches!(wish, Wish::Stop(_))).await;
}

/// Tells the cold start under way how far it is, if this instance is the one that is waited for.
pub(super) fn mark(context: &Context, instance: &Instance, phase: Phase) {
    if *instance.wish.borrow() == Wish::Standby {
        return;
    }
    let pool = context.router.component(instance.component.name.as_str());
    if let Some(cold_start) = pool.and_then(|pool| pool.cold_start()) {
        cold_start.mark(phase, context.clock.now());
    }
}

/// The component's container, and what the node adds: how it is called and how it calls others.
fn spec(context: &Context, instance: &Instance) -> ContainerSpec {
    let component = &instance.component;
    let own = [
        ("MAELSTROM_PRIVATE_URL", context.settings.private_url.clone()),
        ("MAELSTROM_COMPONENT_NAME", component.name.to_string()),
        ("MAELSTROM_COMPONENT_VERSION", component.version.to_string()),
        ("MAELSTROM_PROJECT_NAME", component.project.as_ref().map(ToString::to_string).unwrap_or_default()),
    ];
    let mut environment = component.environment.clone();
    environment.retain(|(name, _)| own.iter().all(|(own, _)| own != name));
    environment.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
    ContainerSpec {
        name: instance.name.clone(),
        node: context.id.clone(),
        component: component.name.clone(),
        version: component.version,
        environment,
        docker: component.docker.clone(),
    }
}

/// A container name that no other start uses, on this node or on another that shares the engine.
pub(super) fn container_name(component: &str) -> String {
    format!("maelstrom-{component}-{}", ulid::Ulid::generate().to_string().to_ascii_lowercase())
}
