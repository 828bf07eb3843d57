//! The task of one instance: start, check, serve or stand by, and end. It does what the converger wishes
//! and shows what it reached; it decides nothing about other instances.
//!
//! Every ending is one of [`Ending`]; [`super::end`] cleans up after it.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        converge::{State, StopReason},
        health::Health,
    },
    journal::Kind,
    names::InstanceId,
    ports::engine::{Container, ContainerState},
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
    pub(super) wish: watch::Receiver<Wish>,
}

/// Runs the instance until it is gone.
pub(super) async fn live(context: Arc<Context>, unit: Arc<Unit>, instance: Arc<Instance>, begin: Begin) {
    let wish = instance.wish.subscribe();
    let mut life = Life { context, unit, instance, wish };
    let _present =
        Present { context: life.context.clone(), unit: life.unit.clone(), instance: life.instance.clone() };
    let Err(ending) = life.run(begin).await;
    end::end(&life, ending).await;
}

/// Takes the instance out if its task panics: nobody would look after it any more.
struct Present {
    context: Arc<Context>,
    unit: Arc<Unit>,
    instance: Arc<Instance>,
}

impl Drop for Present {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let (Some(pool), Some(id)) = (self.instance.pool(), self.instance.id()) {
                pool.retire(&id);
            }
            self.unit.remove(self.instance.serial);
            self.context.repair.notify_one();
        }
    }
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
            Begin::New { alone } => {
                match start::start(&self.context, &self.unit, &self.instance, alone).await {
                    Ok(Started { container, permit }) => Ok((container, permit)),
                    Err(NoStart::Stopped) => Err(self.asked()),
                    Err(NoStart::Failed { failure, container }) => {
                        Err(Ending::NotStarted { failure, container })
                    }
                }
            }
            Begin::Running(container) | Begin::Paused(container) => Ok((container, None)),
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

    /// The converger asked for the end; there is no other way here.
    pub(super) fn asked(&self) -> Ending {
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

/// Milliseconds with one decimal.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
