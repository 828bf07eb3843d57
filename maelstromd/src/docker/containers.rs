//! From create to remove. Repeating a call is fine: what the engine answers to "already" is success.

use std::time::Duration;

use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::{StreamExt, stream};
use maelstrom_core::{
    names::{InstanceId, NodeId},
    ports::engine::*,
};

use super::{connection::Connection, create, errors::Subject, inspect as told};

/// Questions: milliseconds on a healthy engine, seconds on one that starts many containers.
pub(super) const ASK_LIMIT: Duration = Duration::from_secs(15);
/// Creating lays out a file system and starting a network: 0.3 s each when idle, far more on a machine
/// that starts dozens at once. After a minute something is broken.
const MAKE_LIMIT: Duration = Duration::from_secs(60);
/// Beyond the grace: SIGKILL, then taking the network and file system down.
const AFTER_GRACE_LIMIT: Duration = Duration::from_secs(30);
/// Inspections at a time of one `list`: enough to hide their latency, few enough for the engine.
const INSPECTIONS: usize = 8;
/// Between looks at a removal that somebody else began.
const REMOVAL_POLL: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remove {
    EvenRunning,
    OnlyEnded,
}

pub(super) async fn create(connection: &Connection, spec: ContainerSpec) -> EngineResult<InstanceId> {
    let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
    let action = format!("creating container {} of component '{}'", spec.name, spec.component);
    let subject = Subject::Image(&spec.docker.image);
    let made = connection
        .call(MAKE_LIMIT, &action, subject, async |docker| {
            docker.create_container(Some(options), create::request(&spec)).await
        })
        .await?;
    for warning in made.warnings.iter().filter(|warning| !warning.contains("swap")) {
        tracing::warn!(component = %spec.component, warning, "the engine warns of a container's options");
    }
    Ok(InstanceId::new(made.id))
}

pub(super) async fn start(connection: &Connection, id: InstanceId) -> EngineResult<Container> {
    let action = format!("starting container {}", short(&id));
    connection
        .call(MAKE_LIMIT, &action, Subject::Container(&id), async |docker| {
            docker.start_container(id.as_str(), None).await
        })
        .await?;
    inspect(connection, id).await
}

/// Docker thaws a paused one, so that it hears the SIGTERM, and takes one that doesn't run as stopped.
pub(super) async fn stop(connection: &Connection, id: InstanceId, grace: Duration) -> EngineResult<()> {
    // Docker counts whole seconds; a grace is never cut short.
    let seconds = i32::try_from(grace.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::default().t(seconds).build();
    let action = format!("stopping container {}", short(&id));
    let stopped = connection
        .call(grace + AFTER_GRACE_LIMIT, &action, Subject::Container(&id), async |docker| {
            docker.stop_container(id.as_str(), Some(options)).await
        })
        .await;
    gone_is_fine(stopped)
}

pub(super) async fn remove(connection: &Connection, id: InstanceId, what: Remove) -> EngineResult<()> {
    let action = format!("removing container {}", short(&id));
    let removal = async {
        loop {
            let options =
                RemoveContainerOptionsBuilder::default().force(what == Remove::EvenRunning).v(true).build();
            let removed = connection
                .call(MAKE_LIMIT, &action, Subject::Container(&id), async |docker| {
                    docker.remove_container(id.as_str(), Some(options)).await
                })
                .await;
            match removed {
                // Somebody else removes it: gone when that has ended.
                Err(EngineError::Refused { reason, .. }) if reason.contains("already in progress") => {
                    tokio::time::sleep(REMOVAL_POLL).await;
                }
                other => return gone_is_fine(other),
            }
        }
    };
    connection.within(MAKE_LIMIT, &action, removal).await?
}

pub(super) async fn pause(connection: &Connection, id: InstanceId) -> EngineResult<()> {
    let action = format!("pausing container {}", short(&id));
    let paused = connection
        .call(MAKE_LIMIT, &action, Subject::Container(&id), async |docker| {
            docker.pause_container(id.as_str()).await
        })
        .await;
    unless_already(connection, id, paused, ContainerState::Paused).await
}

pub(super) async fn unpause(connection: &Connection, id: InstanceId) -> EngineResult<()> {
    let action = format!("unpausing container {}", short(&id));
    let unpaused = connection
        .call(MAKE_LIMIT, &action, Subject::Container(&id), async |docker| {
            docker.unpause_container(id.as_str()).await
        })
        .await;
    unless_already(connection, id, unpaused, ContainerState::Running).await
}

pub(super) async fn inspect(connection: &Connection, id: InstanceId) -> EngineResult<Container> {
    let action = format!("inspecting container {}", short(&id));
    let answer = connection
        .call(ASK_LIMIT, &action, Subject::Container(&id), async |docker| {
            docker.inspect_container(id.as_str(), None::<InspectContainerOptions>).await
        })
        .await?;
    Ok(told::container(connection, answer))
}

pub(super) async fn list(connection: &Connection, node: NodeId) -> EngineResult<Vec<Container>> {
    let ids = ids(connection, &node, &[]).await?;
    let mut inspections = stream::iter(ids).map(|id| inspect(connection, id)).buffer_unordered(INSPECTIONS);
    let mut containers = Vec::new();
    while let Some(inspected) = inspections.next().await {
        match inspected {
            Ok(container) => containers.push(container),
            Err(EngineError::NoSuchContainer { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    containers.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(containers)
}

/// Ids of the node's containers in one of `states`, of all when there are none.
async fn ids(connection: &Connection, node: &NodeId, states: &[&str]) -> EngineResult<Vec<InstanceId>> {
    let mut filters = std::collections::HashMap::from([("label", vec![format!("{LABEL_NODE}={node}")])]);
    if !states.is_empty() {
        filters.insert("status", states.iter().map(|&state| state.to_owned()).collect());
    }
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let listed = connection
        .call(ASK_LIMIT, "listing containers", Subject::Engine, async |docker| {
            docker.list_containers(Some(options)).await
        })
        .await?;
    Ok(listed.into_iter().filter_map(|summary| summary.id).map(InstanceId::new).collect())
}

/// What others remove or start meanwhile is left alone; only an engine that is away ends it.
pub(super) async fn prune(connection: &Connection, node: NodeId) -> EngineResult<u64> {
    let mut removed = 0;
    for id in ids(connection, &node, &["exited", "dead"]).await? {
        match remove(connection, id, Remove::OnlyEnded).await {
            Ok(()) => removed += 1,
            Err(error @ EngineError::Unavailable { .. }) => return Err(error),
            Err(error) => tracing::debug!(%error, "left out of the pruning"),
        }
    }
    Ok(removed)
}

/// Docker refuses to pause what is paused: asks whether it is where it should be.
async fn unless_already(
    connection: &Connection,
    id: InstanceId,
    done: EngineResult<()>,
    wanted: ContainerState,
) -> EngineResult<()> {
    match done {
        Err(error @ EngineError::Refused { .. }) => {
            if inspect(connection, id).await?.state == wanted {
                Ok(())
            } else {
                Err(error)
            }
        }
        other => other,
    }
}

fn gone_is_fine(done: EngineResult<()>) -> EngineResult<()> {
    match done {
        Err(EngineError::NoSuchContainer { .. }) => Ok(()),
        other => other,
    }
}

/// As `docker ps` shows it.
pub(super) fn short(id: &InstanceId) -> &str {
    id.as_str().get(..12).unwrap_or(id.as_str())
}
