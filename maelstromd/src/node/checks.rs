//! The checks of one instance: from its start to its first 200, then at their interval for as long as it
//! serves. What the answers mean is `decide::health`'s.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use maelstrom_core::{
    component::HealthSpec,
    decide::health::{Health, Probe, Verdict},
    names::InstanceId,
    ports::{BoxFuture, clock::Clock},
    time::Moment,
};

use super::{
    death::DeathWatch,
    failure::Failure,
    life::{Ending, Life},
    start::{mark, stopped},
};
use crate::router::{ComponentPool, Phase};

/// Without a start check an instance is in rotation once its port accepts connections, or after this.
const ACCEPT_LIMIT: Duration = Duration::from_secs(10);

// === impl Life: checks ===

impl Life {
    /// Asks until the instance is healthy: each millisecond at first, and ended at once by its death.
    pub(super) async fn first_check(
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
                () = stopped(&mut self.wish) => return Err(self.asked()),
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
                    () = stopped(&mut self.wish) => return Err(self.asked()),
                    () = self.context.clock.sleep_until(next) => {}
                },
                Verdict::Failed { reason } => {
                    let failure = Failure::new(format!("{reason} (http://{address})"));
                    return Err(Ending::NotStarted { failure, container: Some(id.clone()) });
                }
            }
        }
    }

    /// In rotation: checks at their interval, and at once when a request failed.
    pub(super) async fn serve(
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
                () = stopped(&mut self.wish) => return Err(self.asked()),
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
                () = stopped(&mut self.wish) => return Err(self.asked()),
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
                        self.context.changed();
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
}

/// Ends at `due`; never without one.
pub(super) fn alarm(clock: &dyn Clock, due: Option<Moment>) -> BoxFuture<'static, ()> {
    match due {
        Some(due) => clock.sleep_until(due),
        None => Box::pin(std::future::pending()),
    }
}
