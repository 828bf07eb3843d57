//! Makes node and engine agree: takes over the containers of an earlier daemon on start, and finds later
//! what lost events and an absent engine left behind. `list` is the truth; events only make it faster.
//!
//! Never touches a container without this node's label, nor one that an instance of this daemon owns.

use std::{collections::HashMap, sync::Arc, time::Duration};

use maelstrom_core::{
    component::Component,
    decide::converge::Purpose,
    journal::Kind,
    names::{ComponentName, InstanceId},
    ports::engine::{Container, ContainerState, EngineResult, LABEL_COMPONENT, LABEL_VERSION},
    time::WallTime,
};

use super::{
    context::Context, converger::begin_life, end::STOP_GRACE, instance::Instance, life::Begin, unit::Unit,
};
use crate::journal::Entry;

/// Lost events are found after this at the latest. Each look inspects every container of the node.
const PERIOD: Duration = Duration::from_secs(30);

/// What to do with a container that no instance owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strangers {
    /// The daemon has just started: those that fit are taken over.
    Adopt,
    Remove,
}

/// Repairs when asked and periodically. The first time that the engine answers, containers are adopted.
pub(super) async fn run(context: Arc<Context>, mut strangers: Strangers) {
    let mut away = false;
    loop {
        let repaired = repair(&context, strangers).await;
        if repaired.is_ok() {
            strangers = Strangers::Remove;
            if away {
                engine_is_back(&context);
            }
        }
        // Told by the daemon, which asks the engine more often.
        away = repaired.is_err();
        let period = context.clock.sleep_until(context.clock.now() + PERIOD);
        tokio::select! {
            () = context.repair.notified() => {}
            () = period => {}
        }
    }
}

/// Starts that failed for want of the engine are tried at once.
pub(super) fn engine_is_back(context: &Context) {
    for unit in context.units() {
        if unit.engine_is_back()
            && let Some(pool) = context.router.component(unit.name.as_str())
        {
            pool.relent();
            context.changed();
        }
    }
}

/// Compares all instances with all containers, once.
pub(super) async fn repair(context: &Arc<Context>, strangers: Strangers) -> EngineResult<()> {
    // Read before the list: what starts later is not in it, and not missing.
    let running: Vec<(InstanceId, Arc<Instance>)> =
        instances(context).filter_map(|instance| Some((instance.container()?.id, instance))).collect();
    let containers = context.engine.list(context.id.clone()).await?;
    let states: HashMap<&InstanceId, &ContainerState> =
        containers.iter().map(|container| (&container.id, &container.state)).collect();
    for (id, instance) in running {
        if !matches!(states.get(&id), Some(ContainerState::Running | ContainerState::Paused)) {
            instance.note_end(false);
        }
    }
    if context.leftovers.retain(|id| states.contains_key(id)) {
        context.changed();
    }
    let mut adopted: HashMap<ComponentName, u32> = HashMap::new();
    for container in &containers {
        // Read after the list: whoever made a container since then is known by now.
        if instances(context).any(|i| i.name == container.name || i.has_id(&container.id)) {
            continue;
        }
        let home = (strangers == Strangers::Adopt && !context.is_closing())
            .then(|| home(context, container))
            .flatten();
        match home {
            Some((unit, component)) => {
                if adopt(context, &unit, component, container) {
                    *adopted.entry(unit.name.clone()).or_default() += 1;
                }
            }
            None => clear_away(context, container),
        }
    }
    // What ran before goes on running until scaling knows better.
    for (name, count) in adopted {
        if let Some(unit) = context.unit(&name) {
            if let Some(pool) = context.router.component(name.as_str()) {
                // When its last request came is not known: its idle time begins now.
                pool.touch(context.clock.now());
            }
            let reason = format!("{count} instances of the daemon's previous run were taken over");
            unit.set_target(unit.target().max(count), &[reason]);
        }
    }
    for unit in context.units() {
        unit.wake.notify_one();
    }
    Ok(())
}

fn instances(context: &Context) -> impl Iterator<Item = Arc<Instance>> {
    context.units().into_iter().flat_map(|unit| unit.instances())
}

/// The unit that the container still fits.
fn home(context: &Context, container: &Container) -> Option<(Arc<Unit>, Arc<Component>)> {
    let name = ComponentName::parse(container.labels.get(LABEL_COMPONENT)?).ok()?;
    let version: i64 = container.labels.get(LABEL_VERSION)?.parse().ok()?;
    let unit = context.unit(&name)?;
    let component = unit.component().filter(|component| component.version == version)?;
    matches!(container.state, ContainerState::Running | ContainerState::Paused).then_some((unit, component))
}

/// Takes a container over; true if it is one that serves.
fn adopt(context: &Arc<Context>, unit: &Arc<Unit>, component: Arc<Component>, container: &Container) -> bool {
    let (purpose, begin) = match container.state {
        ContainerState::Paused => (Purpose::Standby, Begin::Paused(container.clone())),
        _ => (Purpose::Serve, Begin::Running(container.clone())),
    };
    let started_at = WallTime::from_millis(container.started_at);
    let instance = Instance::new(
        context.next_serial(),
        component,
        container.name.clone(),
        purpose,
        context.clock.now(),
        started_at,
    );
    // Owned before its task runs: the next look at the list must not take it for a stranger.
    let reachable = instance.runs(container).is_some();
    let entry = Entry::new(Kind::Adopted, "a container of the daemon's previous run was taken over")
        .component(&unit.name)
        .data("instance", container.id.as_str())
        .data("version", instance.component.version)
        .data("standby", purpose == Purpose::Standby);
    context.journal.record(entry);
    begin_life(context, unit, Arc::new(instance), begin);
    reachable && purpose == Purpose::Serve
}

/// Stops and removes a container that belongs to nothing any more. What fails is tried at the next repair.
fn clear_away(context: &Arc<Context>, container: &Container) {
    if !context.leftovers.begin_removal(&container.id) {
        return;
    }
    let entry = Entry::new(Kind::InstanceStopped, "a container of no current instance is removed")
        .because(format!("{} is not owned by any instance of this daemon", container.name))
        .data("instance", container.id.as_str());
    context.journal.record(entry);
    let runs = matches!(container.state, ContainerState::Running | ContainerState::Paused);
    if runs && context.leftovers.add(container) {
        context.changed();
    }
    let (me, id) = (context.clone(), container.id.clone());
    context.tasks.spawn_cancellable("removal", async move {
        if runs && let Err(error) = me.engine.stop(id.clone(), STOP_GRACE).await {
            tracing::warn!(instance = %id, %error, "a container could not be stopped");
        }
        match me.engine.remove(id.clone()).await {
            Ok(()) => {
                if let Some(component) = me.leftovers.remove(&id) {
                    me.changed();
                    me.unit(&component).iter().for_each(|unit| unit.wake.notify_one());
                }
            }
            Err(error) => tracing::warn!(instance = %id, %error, "a container could not be removed"),
        }
        me.leftovers.end_removal(&id);
    });
}
