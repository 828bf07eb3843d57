//! How an instance ends: out of rotation first, then its requests, then its process, then its container.
//! Each wait has a bound; what the engine can't do now is left to the node's repair.

use std::time::Duration;

use maelstrom_core::{
    decide::converge::{State, StopReason},
    journal::Kind,
    names::InstanceId,
};
use tokio::time::timeout;

use super::{
    death::DeathWatch,
    failure::{Failure, last_words},
    instance::Wish,
    life::{Ending, Life, millis},
};
use crate::{
    journal::Entry,
    router::{Retired, StartFailure},
};

/// From SIGTERM to SIGKILL.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(60);
/// What the engine may need beyond the grace.
const ENGINE_SLACK: Duration = Duration::from_secs(30);
/// The command that runs in an instance whose checks failed, before it is stopped.
const FAILED_COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// A wait for the next start that is longer than this is answered instead.
const WAIT_FOR_RETRY_MAX: Duration = Duration::from_secs(5);

pub(super) async fn end(life: &Life, ending: Ending) {
    match ending {
        Ending::Asked(reason) => asked(life, reason).await,
        Ending::NotStarted { failure, container } => not_started(life, failure, container).await,
        Ending::DiedStarting(id) => {
            let words = words(life, &id, " before it was healthy").await;
            not_started(life, Failure::new(words), Some(id)).await;
        }
        Ending::Died(id) => died(life, id).await,
        Ending::Unhealthy(reason) => unhealthy(life, reason).await,
    }
}

async fn asked(life: &Life, reason: StopReason) {
    let began = life.now();
    let Some(id) = life.instance.id() else {
        gone(life);
        return;
    };
    stop(life, &id).await;
    remove(life, &id).await;
    let entry = Entry::new(Kind::InstanceStopped, "an instance was stopped")
        .because(reason.to_string())
        .data("ms", millis(life.now().since(began)));
    life.context.journal.record(life.describe(entry));
    gone(life);
}

/// Who waits hears why at once, unless another instance can serve them.
async fn not_started(life: &Life, failure: Failure, container: Option<InstanceId>) {
    life.instance.reach(State::Stopping);
    let until = life.unit.start_failed(failure.clone(), life.now(), life.context.clock.wall());
    refuse(life, &failure, until);
    let entry = Entry::new(Kind::StartFailed, "an instance could not be started")
        .because(failure.reason)
        .data("retryMs", millis(until.since(life.now())));
    life.context.journal.record(life.describe(entry));
    life.context.changed();
    if let Some(id) = container.or_else(|| life.instance.id()) {
        remove(life, &id).await;
    }
    gone(life);
}

/// Answers who waits, unless it is not for this instance or another one can serve.
fn refuse(life: &Life, failure: &Failure, until: maelstrom_core::time::Moment) {
    if *life.instance.wish.borrow() == Wish::Standby {
        return;
    }
    let name = &life.instance.component.name;
    let others = life.unit.instances();
    let can_serve = others.iter().any(|other| other.serial != life.instance.serial && other.is_for_traffic());
    let Some(pool) = life.context.router.component(name.as_str()).filter(|_| !can_serve) else { return };
    let failure = StartFailure {
        status: failure.status(),
        reason: format!("component {name} could not be started: {}", failure.reason),
        retry_after: until.since(life.now()),
        until,
    };
    life.unit.refuse(failure.clone());
    pool.refuse(failure);
}

/// Replaced before its last words are read: those take time, and somebody may wait.
async fn died(life: &Life, id: InstanceId) {
    let now = life.now();
    let _ = retire(life, &id);
    let healthy_since = life.instance.healthy_since().unwrap_or(now);
    let failure = Failure::new("its process ended");
    let until = life.unit.instance_lost(healthy_since, failure.clone(), now, life.context.clock.wall());
    if until.since(now) > WAIT_FOR_RETRY_MAX {
        refuse(life, &Failure::new("its instances keep ending soon after they start"), until);
    }
    life.context.changed();
    // A port of the host is free again only when the container is gone.
    let holds_ports = !life.instance.component.docker.ports.is_empty();
    if !holds_ports {
        gone(life);
    }
    let reason = words(life, &id, "").await;
    let entry = Entry::new(Kind::Restart, "an instance ended by itself")
        .because(reason)
        .data("healthyMs", millis(now.since(healthy_since)));
    life.context.journal.record(life.describe(entry));
    remove(life, &id).await;
    if holds_ports {
        gone(life);
    }
}

async fn unhealthy(life: &Life, reason: String) {
    let Some(id) = life.instance.id() else {
        gone(life);
        return;
    };
    let now = life.now();
    let _ = retire(life, &id);
    let healthy_since = life.instance.healthy_since().unwrap_or(now);
    let failure = Failure::new(reason.clone());
    life.unit.instance_lost(healthy_since, failure, now, life.context.clock.wall());
    life.instance.reach(State::Failed);
    life.show_change();
    let entry = Entry::new(Kind::Restart, "an instance failed and is replaced")
        .because(reason)
        .data("healthyMs", millis(now.since(healthy_since)));
    life.context.journal.record(life.describe(entry));
    // The converger answers each change by a step; this one is always "stop it".
    super::start::stopped(&mut life.instance.wish.subscribe()).await;
    run_failed_command(life, &id).await;
    asked(life, StopReason::Failed).await;
}

async fn run_failed_command(life: &Life, id: &InstanceId) {
    let Some(command) = life.instance.component.docker.health.failed_command.clone() else { return };
    let name = life.instance.component.name.as_str();
    match life.context.engine.exec(id.clone(), command, FAILED_COMMAND_LIMIT).await {
        Ok(output) => tracing::info!(
            component = name,
            instance = %id,
            exit_code = output.exit_code,
            output = output.output,
            "the command for failed health checks has run"
        ),
        Err(error) => tracing::warn!(
            component = name,
            instance = %id,
            %error,
            "the command for failed health checks could not be run"
        ),
    }
}

/// Out of rotation, requests first, then SIGTERM, 60 s, SIGKILL.
async fn stop(life: &Life, id: &InstanceId) {
    life.context.changed();
    if let (Some(retired), Some(container)) = (retire(life, id), life.instance.container()) {
        let mut death = DeathWatch::new(&container, life.instance.obituary.subscribe());
        let limit = life.instance.component.max_duration;
        tokio::select! {
            () = retired.idle() => {}
            () = death.died() => {}
            () = life.context.clock.sleep_until(life.now() + limit) => tracing::warn!(
                component = life.instance.component.name.as_str(),
                instance = %id,
                requests = retired.in_flight(),
                limit = ?limit,
                "an instance still serves requests past their deadline and is stopped"
            ),
        }
    }
    let stopping = life.context.engine.stop(id.clone(), STOP_GRACE);
    match timeout(STOP_GRACE + ENGINE_SLACK, stopping).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(instance = %id, %error, "an instance could not be stopped"),
        Err(_) => tracing::warn!(instance = %id, "the engine did not stop an instance in time"),
    }
}

fn retire(life: &Life, id: &InstanceId) -> Option<Retired> {
    life.instance.pool().map(|pool| pool.retire(id))
}

async fn remove(life: &Life, id: &InstanceId) {
    let failed = match timeout(ENGINE_SLACK, life.context.engine.remove(id.clone())).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the engine did not answer in time".to_owned(),
    };
    tracing::warn!(instance = %id, error = failed, "a container could not be removed; it is tried again later");
    life.context.repair.notify_one();
}

async fn words(life: &Life, id: &InstanceId, when: &str) -> String {
    let out_of_memory = life.instance.obituary.borrow().out_of_memory;
    last_words(life.context.engine.as_ref(), id, out_of_memory, when).await
}

fn gone(life: &Life) {
    life.unit.remove(life.instance.serial);
    life.context.changed();
}
