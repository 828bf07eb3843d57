//! The loops that turn what happens outside into what the convergers look at: engine events, retagged
//! images, changes of the configuration.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::StreamExt;
use maelstrom_core::{
    component::Component,
    journal::Kind,
    names::{ComponentName, InstanceId},
    ports::engine::EngineEvent,
};
use tokio::sync::watch;

use super::{context::Context, converger, repair, unit::Unit};
use crate::{cluster::Snapshot, journal::Entry};

/// Finds retags whose event got lost; the question takes the engine a millisecond per component.
const IMAGE_CHECK: Duration = Duration::from_secs(60);

/// Hands events to those they are about. Whatever an event says, its receiver looks for itself.
pub(super) async fn engine_events(context: Arc<Context>) {
    let mut events = context.engine.events();
    while let Some(event) = events.next().await {
        match event {
            EngineEvent::Died { id, .. } => note_end(&context, &id, false),
            EngineEvent::OutOfMemory { id } => note_end(&context, &id, true),
            EngineEvent::ImageChanged { .. } => context.images_changed.notify_one(),
            EngineEvent::Resubscribed => {
                // Whatever happened meanwhile was not told.
                repair::engine_is_back(&context);
                context.repair.notify_one();
                context.images_changed.notify_one();
            }
        }
    }
}

fn note_end(context: &Context, id: &InstanceId, out_of_memory: bool) {
    let found = context.units().iter().find_map(|unit| unit.instance(id));
    if let Some(instance) = found {
        instance.note_end(out_of_memory);
    }
}

/// Instances whose image name points at another image now are replaced in the component's restart order.
pub(super) async fn retagged_images(context: Arc<Context>) {
    loop {
        let slow_check = context.clock.sleep_until(context.clock.now() + IMAGE_CHECK);
        tokio::select! {
            () = context.images_changed.notified() => {}
            () = slow_check => {}
        }
        for unit in context.units() {
            look_at_image(&context, &unit).await;
        }
    }
}

async fn look_at_image(context: &Context, unit: &Unit) {
    let Some(component) = unit.component().filter(|_| !unit.instances().is_empty()) else { return };
    let image = &component.docker.image;
    // Gone or unknown: what runs goes on running.
    let Ok(Some(id)) = context.engine.image_id(image.clone()).await else { return };
    let stale = unit.image_is(&id, context.clock.now());
    if stale > 0 {
        let entry =
            Entry::new(Kind::Image, format!("{image} is another image now; its instances are replaced"))
                .component(&unit.name)
                .data("instances", stale);
        context.journal.record(entry);
        unit.wake.notify_one();
    }
}

/// Gives each component's unit its settings, and new ones a converger.
pub(super) async fn configuration(context: Arc<Context>, mut changes: watch::Receiver<Arc<Snapshot>>) {
    // The sender ends with the daemon.
    while changes.changed().await.is_ok() {
        let snapshot = changes.borrow_and_update().clone();
        configure(&context, &snapshot);
    }
}

pub(super) fn configure(context: &Arc<Context>, snapshot: &Snapshot) {
    let gone: BTreeSet<ComponentName> = context
        .units()
        .iter()
        .filter(|unit| !snapshot.components.contains_key(&unit.name))
        .map(|unit| unit.name.clone())
        .collect();
    for name in gone {
        context.configure(&name, None);
    }
    for (name, component) in &snapshot.components {
        configure_one(context, name, component.clone());
    }
}

/// Gives a component's unit its settings, and a converger if it has none.
pub(super) fn configure_one(context: &Arc<Context>, name: &ComponentName, component: Arc<Component>) {
    let unit = context.configure(name, Some(component));
    // Not before the containers of an earlier run were looked at.
    if let Some(unit) = unit.filter(|_| context.has_begun()) {
        start_converger(context, unit);
    }
}

pub(super) fn start_converger(context: &Arc<Context>, unit: Arc<Unit>) {
    if unit.take_converger() {
        context.tasks.spawn_cancellable("converger", converger::run(context.clone(), unit));
    }
}
