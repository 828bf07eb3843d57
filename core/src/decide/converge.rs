//! Desired → actual for one component on one node: what to do next. Asked again after every step, so a
//! crash, a new target or a new version needs no case of its own.
//!
//! ```text
//!   Starting(Serve) ──healthy──► Serving ──────────────┐
//!        ▲    │                     │ failed checks    │ Stop
//!  Resume│    └──died──► gone ◄──┐  ▼                  ▼
//!   Standby ◄──healthy── Starting(Standby)   Failed ─► Stopping ──► gone
//! ```
//! Steps alternate start and stop in the component's restart order, one at a time, while instances are
//! replaced; filling up to the count may go in parallel. Never: more live instances than the limit (one
//! more while replacing with `startstop`), fewer serving than before while replacing with `startstop`,
//! a stop of a serving instance in favour of one that has not passed its check (with `startstop`).

mod pick;
mod plan;
#[cfg(test)]
mod tests;

use std::fmt;

pub use plan::plan;

use super::backoff::Backoff;
use crate::{
    component::{Component, DockerSpec, RestartOrder, StartParallelism},
    time::Moment,
};

/// What a component should have on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Instances that serve.
    pub count: u32,
    /// Paused instances beside them.
    pub standby: u32,
    /// Live instances at a time, paused and stopping ones included; `None`: no limit.
    pub limit: Option<u32>,
    pub restart_order: RestartOrder,
    pub starts: Starts,
    /// No start before this moment: earlier ones failed.
    pub not_before: Moment,
}

// === impl Desired ===

impl Desired {
    /// Of a component that is gone, or on a node that closes.
    pub fn nothing() -> Self {
        Self {
            count: 0,
            standby: 0,
            limit: None,
            restart_order: RestartOrder::StartStop,
            starts: Starts::OneByOne,
            not_before: Moment::ZERO,
        }
    }

    /// So many that serve, with so many paused ones beside them. `proven`: the version that has served here or
    /// elsewhere.
    pub fn new(
        component: &Component,
        count: u32,
        standby: u32,
        proven: Option<i64>,
        backoff: &Backoff,
    ) -> Self {
        let scaling = &component.scaling;
        let limits = [scaling.max_instances, scaling.max_instances_per_node];
        let restart_order = match can_run_twice(&component.docker) {
            true => component.restart_order,
            // A second one could not have the port as long as the first one has it.
            false => RestartOrder::StopStart,
        };
        let alone = starts_alone(component, proven) || backoff.failures() > 0;
        Self {
            count,
            standby,
            limit: limits.into_iter().flatten().map(u32::from).min(),
            restart_order,
            starts: if alone { Starts::OneByOne } else { Starts::Parallel },
            not_before: backoff.until(),
        }
    }
}

/// Whether a start needs the permit to start alone in the cluster.
pub fn starts_alone(component: &Component, proven: Option<i64>) -> bool {
    match component.start_parallelism {
        StartParallelism::Parallel => false,
        StartParallelism::Series => true,
        StartParallelism::SeriesFirst => proven != Some(component.version),
    }
}

/// The version that one instance alone has to prove before others may start beside each other.
pub fn unproved(component: &Component, proven: Option<i64>) -> Option<i64> {
    let first_alone = component.start_parallelism == StartParallelism::SeriesFirst;
    (first_alone && starts_alone(component, proven)).then_some(component.version)
}

/// Whether two instances can have their ports on one machine at the same time.
fn can_run_twice(docker: &DockerSpec) -> bool {
    let fixed = docker.ports.iter().any(|port| port.host_port.is_some());
    !fixed && docker.network.as_deref() != Some("host")
}

/// How many starts of the component may go on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    Parallel,
    /// One: the component asks for it, or the last start failed and the next one is a trial.
    OneByOne,
}

/// What an instance is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    Serve,
    Standby,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// From the decision to start, or to resume, until the first check passed.
    Starting(Purpose),
    /// In rotation.
    Serving,
    /// Alive, but out of rotation for good.
    Failed,
    /// Checked and paused.
    Standby,
    /// Finishing its requests or ending.
    Stopping,
}

/// An instance as it is now. Dead ones are not observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Rises with each start on this node.
    pub serial: u64,
    /// Of the component's version and image as they are wanted now.
    pub current: bool,
    pub state: State,
    pub in_flight: u32,
    pub since: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Start(Purpose),
    /// A standby instance, paused or still being prepared, is to serve.
    Resume(u64),
    Stop(u64, StopReason),
    /// Nothing to do until something changes, or until `until`.
    Wait {
        until: Option<Moment>,
        why: Idle,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// It failed its checks.
    Failed,
    /// Its version or its image is not the wanted one.
    Outdated,
    /// More instances than wanted.
    Surplus,
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    Converged,
    /// Started instances have to pass their check first.
    Starting,
    /// Stopping instances have to be gone first.
    Stopping,
    /// Starts failed; the next try is due at `until`.
    BackOff,
    /// The limit on instances is reached.
    Limit,
}

/// What to do next. Does nothing twice: the caller shows the outcome of a step in `observed` before it
/// asks again.
pub fn next(desired: &Desired, observed: &[Observed], now: Moment) -> Step {
    let node = Tally::of(desired, observed);
    stop_useless(observed)
        .or_else(|| node.stop_surplus(observed))
        .or_else(|| node.fill(observed, now))
        .unwrap_or_else(|| node.replace(observed, now))
}

/// The numbers that the rules talk about.
struct Tally<'a> {
    desired: &'a Desired,
    /// The count that the limit allows.
    count: usize,
    live: usize,
    serving: usize,
    serving_current: usize,
    coming: usize,
    preparing: usize,
    paused: usize,
    stopping: usize,
}

fn wait(why: Idle) -> Step {
    Step::Wait { until: None, why }
}

/// Failed instances serve nobody; outdated ones that don't serve yet never will.
fn stop_useless(observed: &[Observed]) -> Option<Step> {
    observed.iter().find_map(|instance| match instance.state {
        State::Failed => Some(Step::Stop(instance.serial, StopReason::Failed)),
        State::Starting(_) | State::Standby if !instance.current => {
            Some(Step::Stop(instance.serial, StopReason::Outdated))
        }
        _ => None,
    })
}

// === impl Tally ===

impl<'a> Tally<'a> {
    fn of(desired: &'a Desired, observed: &[Observed]) -> Self {
        let count = |state: State| observed.iter().filter(|i| i.state == state).count();
        let wanted = desired.limit.map_or(desired.count, |limit| desired.count.min(limit));
        Self {
            desired,
            count: wanted as usize,
            live: observed.len(),
            serving: count(State::Serving),
            serving_current: observed.iter().filter(|i| i.state == State::Serving && i.current).count(),
            coming: count(State::Starting(Purpose::Serve)),
            preparing: count(State::Starting(Purpose::Standby)),
            paused: count(State::Standby),
            stopping: count(State::Stopping),
        }
    }

    /// More than wanted: outdated ones first, so that this is also the second half of a replacement.
    fn stop_surplus(&self, observed: &[Observed]) -> Option<Step> {
        if self.serving > self.count {
            let victim = pick::to_stop(observed, State::Serving)?;
            let reason = if victim.current { StopReason::Surplus } else { StopReason::Outdated };
            return Some(Step::Stop(victim.serial, reason));
        }
        if self.serving_current + self.coming > self.count {
            let victim = pick::to_stop(observed, State::Starting(Purpose::Serve))?;
            return Some(Step::Stop(victim.serial, StopReason::Surplus));
        }
        None
    }

    /// Fewer than wanted: resume a standby instance, else start one.
    fn fill(&self, observed: &[Observed], now: Moment) -> Option<Step> {
        (self.serving + self.coming < self.count).then(|| self.bring(observed, now))
    }

    /// As many as wanted, but not all of them current: one at a time.
    fn replace(&self, observed: &[Observed], now: Moment) -> Step {
        if self.serving == self.serving_current {
            return self.keep_standby(observed, now);
        }
        if self.coming > 0 {
            return wait(Idle::Starting);
        }
        if self.stopping > 0 {
            return wait(Idle::Stopping);
        }
        match self.desired.restart_order {
            RestartOrder::StartStop => self.bring(observed, now),
            // While starts fail, what still serves is left alone.
            RestartOrder::StopStart if now < self.desired.not_before && self.paused == 0 => self.back_off(),
            RestartOrder::StopStart => match pick::to_stop(observed, State::Serving) {
                Some(victim) => Step::Stop(victim.serial, StopReason::Outdated),
                None => wait(Idle::Converged),
            },
        }
    }

    fn keep_standby(&self, observed: &[Observed], now: Moment) -> Step {
        let room = self.desired.limit.map_or(usize::MAX, |limit| (limit as usize).saturating_sub(self.count));
        let wanted = (self.desired.standby as usize).min(room);
        let have = self.paused + self.preparing;
        if have > wanted {
            let victim = pick::to_stop(observed, State::Starting(Purpose::Standby))
                .or_else(|| pick::to_stop(observed, State::Standby));
            return victim.map_or(wait(Idle::Converged), |v| Step::Stop(v.serial, StopReason::Surplus));
        }
        // In the background: it must not compete with an instance that somebody waits for.
        if self.coming + self.preparing > 0 {
            return wait(Idle::Starting);
        }
        if have == wanted {
            return wait(if self.stopping > 0 { Idle::Stopping } else { Idle::Converged });
        }
        self.start(Purpose::Standby, now)
    }

    /// One more that serves.
    fn bring(&self, observed: &[Observed], now: Moment) -> Step {
        if self.must_stop_first() {
            return wait(Idle::Stopping);
        }
        match pick::to_resume(observed) {
            Some(standby) => Step::Resume(standby.serial),
            None => self.start(Purpose::Serve, now),
        }
    }

    fn start(&self, purpose: Purpose, now: Moment) -> Step {
        if self.desired.starts == Starts::OneByOne && self.coming + self.preparing > 0 {
            return wait(Idle::Starting);
        }
        if now < self.desired.not_before {
            return self.back_off();
        }
        if self.must_stop_first() {
            return wait(Idle::Stopping);
        }
        match self.desired.limit {
            Some(limit) if self.live >= limit as usize + self.overlap(purpose) => {
                wait(if self.stopping > 0 { Idle::Stopping } else { Idle::Limit })
            }
            _ => Step::Start(purpose),
        }
    }

    /// `stopstart` is for components that can't run twice: what ends has to be gone first.
    fn must_stop_first(&self) -> bool {
        let active = self.live - self.paused - self.preparing;
        self.desired.restart_order == RestartOrder::StopStart && self.stopping > 0 && active >= self.count
    }

    /// How many instances over the limit are allowed: one, while it replaces another.
    fn overlap(&self, purpose: Purpose) -> usize {
        let replacing = self.stopping > 0 || self.serving > self.serving_current;
        let startstop = self.desired.restart_order == RestartOrder::StartStop;
        usize::from(startstop && replacing && purpose == Purpose::Serve)
    }

    fn back_off(&self) -> Step {
        Step::Wait { until: Some(self.desired.not_before), why: Idle::BackOff }
    }
}

// === impl Display ===

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(Purpose::Serve) => f.write_str("start an instance"),
            Self::Start(Purpose::Standby) => f.write_str("prepare a standby instance"),
            Self::Resume(serial) => write!(f, "resume standby instance #{serial}"),
            Self::Stop(serial, reason) => write!(f, "stop instance #{serial}: {reason}"),
            Self::Wait { why, .. } => write!(f, "{why}"),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "it failed its health checks",
            Self::Outdated => "its version or image is not the current one",
            Self::Surplus => "fewer instances are wanted",
        })
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Converged => "as wanted",
            Self::Starting => "wait until a started instance is healthy",
            Self::Stopping => "wait until a stopping instance is gone",
            Self::BackOff => "wait before the next start, since earlier ones failed",
            Self::Limit => "wait: the limit on instances is reached",
        })
    }
}
