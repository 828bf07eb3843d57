//! The task of one instance: start, check, serve or stand by, and end. It does what the converger wishes
//! and shows what it reached; it decides nothing about other instances.
//!
//! Every ending is one of [`Ending`]; [`super::end`] cleans up after it.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use maelstrom_core::{
    component::HealthSpec,
    decide::{
        converge::{State, StopReason},
        health::{Health, Probe, Verdict},
    },
    journal::Kind,
    names::InstanceId,
    ports::{
        BoxFuture,
        clock::Clock,
        engine::{Container, ContainerState},
    },
    time::Moment,
};
use tokio::sync::watch;

use super::{
    context::Context,
    death::DeathWatch,
    end,
    failure::Failure,
    instance::{Instance, Wish},
    permits::Permit,
    start::{self, NoStart, Started, mark},
    unit::Unit,
};
use crate::{
    journal::Entry,
    router::{ComponentPool, Endpoint, Phase},
};

/// Without a start check an instance is in rotation once its port accepts connections, or after this.
const ACCEPT_LIMIT: Duration = Duration::from_secs(10);
/// A container that was serving a moment ago answers soon, or is better replaced.
const ADOPT_LIMIT: Duration = Duration::from_secs(5);
/// The router hears of a new component at the same time as the node does; this covers the difference.
const POOL_LIMIT: Duration = Duration::from_secs(5);
const POOL_STEP: Duration = Duration::from_millis(2);

/// Where an instance's life begins.
#[derive(Debug)]
pub(super) enum Begin {
    /// `alone`: no other instance of the component may start at the same time, in the whole cluster.
    New { alone: bool },
    /// Found running after a restart of the daemon.
    Running(Container),
    /// Found paused.
    Paused(Container),
}

/// Why an instance ends.
#[derive(Debug)]
pub(super) enum Ending {
    Asked(StopReason),
    /// It never was healthy. `container`: what there is to remove.
    NotStarted {
        failure: Failure,
        container: Option<InstanceId>,
    },
    /// Its process ended before it was healthy.
    DiedStarting(InstanceId),
    /// Its process ended.
    Died(InstanceId),
    /// It runs, but can't be used.
    Unhealthy(String),
}

pub(super) struct Life {
    pub(super) context: Arc<Context>,
    pub(super) unit: Arc<Unit>,
    pub(super) instance: Arc<Instance>,
    wish: watch::Receiver<Wish>,
}

/// Runs the instance until it is gone.
pub(super) async fn live(context: Arc<Context>, unit: Arc<Unit>, instance: Arc<Instance>, begin: Begin) {
    let wish = instance.wish.subscribe();
    let mut life = Life { context, unit, instance, wish };
    let Err(ending) = life.run(begin).await;
    end::end(&life, ending).await;
}

// === impl Life ===

impl Life {
    async fn run(&mut self, begin: Begin) -> Result<Infallible, Ending> {
        let new = matches!(begin, Begin::New { .. });
        let paused = matches!(begin, Begin::Paused(_));
        let (container, permit) = self.container(begin).await?;
        if matches!(container.state, ContainerState::Exited { .. } | ContainerState::Gone) {
            return Err(Ending::DiedStarting(container.id));
        }
        let mut death = DeathWatch::new(&container, self.instance.obituary.subscribe());
        let Some(address) = self.instance.runs(&container) else {
            let failure = Failure::new("its container has no address that this node can reach");
            return Err(Ending::NotStarted { failure, container: Some(container.id) });
        };
        if self.unit.has_other_image(&container.image_id) {
            self.context.images_changed.notify_one();
        }
        self.context.changed();
        let health = match paused {
            true => Health::running(&self.instance.component.docker.health),
            false => {
                let limit = self.instance.component.docker.health.start;
                let limit = if new { limit } else { limit.map(|limit| limit.min(ADOPT_LIMIT)) };
                self.first_check(&mut death, &container.id, address, limit).await?
            }
        };
        drop(permit);
        if *self.wish.borrow() == Wish::Standby {
            self.stand_by(&mut death, &container.id, paused).await?;
        }
        let pool = self.enter_rotation(&container.id, address, new).await?;
        self.serve(health, &mut death, &container.id, address, &pool).await
    }

    async fn container(&mut self, begin: Begin) -> Result<(Container, Option<Permit>), Ending> {
        match begin {
            Begin::New { alone } => match start::start(&self.context, &self.instance, alone).await {
                Ok(Started { container, permit }) => Ok((container, permit)),
                Err(NoStart::Stopped) => Err(self.asked()),
                Err(NoStart::Failed { failure, container }) => Err(Ending::NotStarted { failure, container }),
            },
            Begin::Running(container) | Begin::Paused(container) => Ok((container, None)),
        }
    }

    /// Asks until the instance is healthy: each millisecond at first, and ended at once by its death.
    async fn first_check(
        &mut self,
        death: &mut DeathWatch,
        id: &InstanceId,
        address: SocketAddr,
        start_limit: Option<Duration>,
    ) -> Result<Health, Ending> {
        let docker = &self.instance.component.docker;
        let rules = HealthSpec { start: start_limit, ..docker.health.clone() };
        let mut health = Health::starting(&rules, self.now());
        let unchecked = docker.health.start.is_none();
        let enough = self.now() + ACCEPT_LIMIT;
        loop {
            let patience = health.patience(self.now());
            let check = match unchecked {
                true => self.context.checker.accepts(address, patience),
                false => self.context.checker.check(address, docker, patience),
            };
            let probe = tokio::select! {
                biased;
                () = death.died() => return Err(Ending::DiedStarting(id.clone())),
                () = start::stopped(&mut self.wish) => return Err(self.asked()),
                probe = check => probe,
            };
            let now = self.now();
            let probe = if unchecked && now >= enough { Probe::Passed } else { probe };
            match health.on_probe(&probe, now) {
                Verdict::Healthy { .. } => {
                    mark(&self.context, &self.instance, Phase::Probed);
                    self.instance.healthy(now);
                    self.unit.proved(self.instance.component.version);
                    return Ok(health);
                }
                Verdict::Starting { next } | Verdict::Failing { next, .. } => tokio::select! {
                    biased;
                    () = death.died() => return Err(Ending::DiedStarting(id.clone())),
                    () = start::stopped(&mut self.wish) => return Err(self.asked()),
                    () = self.context.clock.sleep_until(next) => {}
                },
                Verdict::Failed { reason } => {
                    let failure = Failure::new(format!("{reason} (http://{address})"));
                    return Err(Ending::NotStarted { failure, container: Some(id.clone()) });
                }
            }
        }
    }

    /// Paused and ready, until it is needed.
    async fn stand_by(
        &mut self,
        death: &mut DeathWatch,
        id: &InstanceId,
        paused: bool,
    ) -> Result<(), Ending> {
        if !paused && let Err(error) = self.context.engine.pause(id.clone()).await {
            return Err(Ending::Unhealthy(format!("it can't be paused: {error}")));
        }
        self.instance.healthy(self.now());
        if self.instance.reach(State::Standby) {
            self.show_change();
            let entry = Entry::new(Kind::Standby, "a standby instance is ready");
            self.context.journal.record(self.describe(entry));
        }
        tokio::select! {
            biased;
            () = death.died() => return Err(Ending::Died(id.clone())),
            _ = self.wish.wait_for(|wish| *wish != Wish::Standby) => {}
        }
        if let Wish::Stop(reason) = *self.wish.borrow() {
            return Err(Ending::Asked(reason));
        }
        let began = self.now();
        if let Err(error) = self.context.engine.unpause(id.clone()).await {
            return Err(Ending::Unhealthy(format!("it can't be resumed: {error}")));
        }
        mark(&self.context, &self.instance, Phase::Started);
        let entry = Entry::new(Kind::Standby, "a standby instance was resumed")
            .data("ms", millis(self.now().since(began)));
        self.context.journal.record(self.describe(entry));
        Ok(())
    }

    async fn enter_rotation(
        &mut self,
        id: &InstanceId,
        address: SocketAddr,
        new: bool,
    ) -> Result<Arc<ComponentPool>, Ending> {
        let component = &self.instance.component;
        let Some(pool) = self.pool().await else {
            let failure = Failure::new("the component has no route on this node any more");
            return Err(Ending::NotStarted { failure, container: Some(id.clone()) });
        };
        if !self.instance.reach(State::Serving) {
            return Err(self.asked());
        }
        self.instance.joins(pool.clone());
        pool.add(Arc::new(Endpoint::new(
            id.clone(),
            component.name.clone(),
            component.version,
            address,
            component.docker.http_protocol,
            self.instance.started_at,
        )));
        self.show_change();
        if new {
            let took = self.now().since(self.instance.since);
            let entry = Entry::new(Kind::InstanceStarted, format!("an instance serves at {address}"))
                .data("ms", millis(took));
            self.context.journal.record(self.describe(entry));
        }
        Ok(pool)
    }

    async fn pool(&self) -> Option<Arc<ComponentPool>> {
        let name = self.instance.component.name.as_str();
        let deadline = self.now() + POOL_LIMIT;
        loop {
            if let Some(pool) = self.context.router.component(name) {
                return Some(pool);
            }
            if self.now() >= deadline {
                return None;
            }
            self.context.clock.sleep_until(self.now() + POOL_STEP).await;
        }
    }

    /// In rotation: checks at their interval, and at once when a request failed.
    async fn serve(
        &mut self,
        mut health: Health,
        death: &mut DeathWatch,
        id: &InstanceId,
        address: SocketAddr,
        pool: &Arc<ComponentPool>,
    ) -> Result<Infallible, Ending> {
        let docker = &self.instance.component.docker;
        let mut due = docker.health.interval.map(|interval| self.now() + interval);
        loop {
            let alarm = alarm(self.context.clock.as_ref(), due);
            tokio::select! {
                biased;
                () = death.died() => return Err(Ending::Died(id.clone())),
                () = start::stopped(&mut self.wish) => return Err(self.asked()),
                () = self.instance.suspected.notified() => health.suspect(),
                () = alarm => {}
            }
            let was_suspect = health.is_suspect();
            let patience = health.patience(self.now());
            // Without checks by interval there may be no path to ask: a port that answers must do.
            let check = match docker.health.interval {
                Some(_) => self.context.checker.check(address, docker, patience),
                None => self.context.checker.accepts(address, patience),
            };
            let probe = tokio::select! {
                biased;
                () = death.died() => return Err(Ending::Died(id.clone())),
                () = start::stopped(&mut self.wish) => return Err(self.asked()),
                () = self.instance.suspected.notified(), if !was_suspect => {
                    // Requests wait for the answer from now on: ask again, with less patience.
                    health.suspect();
                    due = Some(self.now());
                    continue;
                }
                probe = check => probe,
            };
            let probe = match probe {
                Probe::TimedOut { .. } => Probe::TimedOut { busy: self.is_full(pool, id) },
                probe => probe,
            };
            match health.on_probe(&probe, self.now()) {
                Verdict::Healthy { next } => {
                    if was_suspect {
                        pool.release(id);
                    }
                    due = next;
                }
                Verdict::Failing { failures, next } => {
                    let name = self.instance.component.name.as_str();
                    tracing::warn!(component = name, instance = %id, failures, %probe, "a health check failed");
                    due = Some(next);
                }
                Verdict::Starting { next } => due = Some(next),
                Verdict::Failed { reason } => return Err(Ending::Unhealthy(reason)),
            }
        }
    }

    /// All slots taken: a check may have to wait for one like a request does.
    fn is_full(&self, pool: &ComponentPool, id: &InstanceId) -> bool {
        let slots = self.instance.component.scaling.max_concurrency.get();
        let reading = pool.reading(self.now());
        reading.instances.iter().any(|instance| instance.id == *id && instance.in_flight >= slots)
    }

    /// The converger asked for the end; there is no other way here.
    fn asked(&self) -> Ending {
        match *self.wish.borrow() {
            Wish::Stop(reason) => Ending::Asked(reason),
            _ => Ending::Asked(StopReason::Surplus),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.context.clock.now()
    }

    /// Targets, status and converger look again.
    pub(super) fn show_change(&self) {
        self.context.changed();
        self.unit.wake.notify_one();
    }

    /// Adds what identifies the instance.
    pub(super) fn describe(&self, entry: Entry) -> Entry {
        let entry =
            entry.component(&self.instance.component.name).data("version", self.instance.component.version);
        match self.instance.id() {
            Some(id) => entry.data("instance", id.as_str()),
            None => entry,
        }
    }
}

/// Ends at `due`; never without one.
pub(super) fn alarm(clock: &dyn Clock, due: Option<Moment>) -> BoxFuture<'static, ()> {
    match due {
        Some(due) => clock.sleep_until(due),
        None => Box::pin(std::future::pending()),
    }
}

/// Milliseconds with one decimal.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
