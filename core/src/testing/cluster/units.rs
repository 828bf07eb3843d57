//! The driver of `decide::converge` and `decide::backoff`: one unit per component, as the daemon's `node`.

use std::sync::Arc;

use super::{agenda::Wake, world::World};
use crate::{
    component::Component,
    decide::{
        backoff::Backoff,
        converge::{Desired, Observed, Purpose, State, Step, next, starts_alone, unproved},
    },
    names::ComponentName,
    time::Moment,
};

const STEPS_MAX: usize = 1_000;

/// One component on one node.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: ComponentName,
    /// `None`: removed.
    pub(super) component: Option<Arc<Component>>,
    pub(super) target: u32,
    pub(super) instances: Vec<Instance>,
    pub(super) backoff: Backoff,
    pub(super) proven: Option<i64>,
    /// Its requests are refused here until then.
    pub(super) refused_until: Option<Moment>,
    /// When the converger looks next, in true time.
    due: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Instance {
    pub(super) serial: u64,
    pub(super) component: Arc<Component>,
    pub(super) state: State,
    pub(super) since: Moment,
    pub(super) healthy_since: Option<Moment>,
    pub(super) container: Option<u64>,
    pub(super) phase: Phase,
    /// It has, or waits for, the turn to start alone.
    pub(super) turn: bool,
}

/// How far a start or an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    WaitsForTurn,
    Pulls,
    /// Never cut off in the middle.
    Creates,
    Runs,
    /// Its last requests.
    Empties,
    Ends,
}

/// What happens to an instance next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Pulled,
    Created,
    Checked,
    CheckedAgain,
    EmptyLimit,
    Ended,
}

// === impl Unit ===

impl Unit {
    pub(super) fn new(name: ComponentName) -> Self {
        Self {
            name,
            component: None,
            target: 0,
            instances: Vec::new(),
            backoff: Backoff::default(),
            proven: None,
            refused_until: None,
            due: None,
        }
    }

    pub(super) fn configure(&mut self, component: Option<Arc<Component>>) {
        if self.component == component {
            return;
        }
        self.component = component;
        self.backoff.forget();
        self.refused_until = None;
        self.proven = None;
        if self.component.is_none() {
            self.target = 0;
        }
    }

    pub(super) fn count(&self, state: State) -> u32 {
        u32::try_from(self.instances.iter().filter(|one| one.state == state).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn reserve_mib(&self) -> u64 {
        let last = self.instances.first().map(|one| &one.component);
        self.component.as_ref().or(last).map_or(0, |component| component.docker.reserve_memory_mib)
    }

    pub(super) fn starts_alone(&self) -> bool {
        self.component.as_ref().is_some_and(|component| starts_alone(component, self.proven))
    }

    /// The version that one instance alone has to prove before others may start beside each other.
    pub(super) fn unproved(&self) -> Option<i64> {
        unproved(self.component.as_ref()?, self.proven)
    }

    fn desired(&self, closing: bool) -> Desired {
        let Some(component) = self.component.as_ref().filter(|_| !closing) else {
            return Desired::nothing();
        };
        Desired::new(component, self.target, 0, self.proven, &self.backoff)
    }

    fn observed(&self, in_flight: impl Fn(u64) -> u32) -> Vec<Observed> {
        let version = self.component.as_ref().map(|component| component.version);
        let one = |one: &Instance| Observed {
            serial: one.serial,
            current: version == Some(one.component.version),
            state: one.state,
            in_flight: one.container.map_or(0, &in_flight),
            since: one.since,
        };
        self.instances.iter().map(one).collect()
    }

    fn settle_backoff(&mut self, now: Moment) {
        let serving = self.instances.iter().filter(|one| one.state == State::Serving);
        let since: Vec<Moment> = serving.filter_map(|one| one.healthy_since).collect();
        since.into_iter().for_each(|since| self.backoff.healthy(since, now));
    }

    pub(super) fn by_serial(&mut self, serial: u64) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|one| one.serial == serial)
    }

    pub(super) fn by_container(&mut self, container: u64) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|one| one.container == Some(container))
    }
}

// === impl World: the converger ===

impl World {
    pub(super) fn unit(&mut self, node: usize, component: &ComponentName) -> Option<&mut Unit> {
        self.daemon(node)?.units.get_mut(component)
    }

    pub(super) fn converge_soon(&mut self, node: usize, component: &ComponentName) {
        self.converge_by(node, component, self.now);
    }

    fn converge_by(&mut self, node: usize, component: &ComponentName, at: u64) {
        let Some(daemon) = self.daemon(node).filter(|daemon| daemon.begun) else { return };
        let Some(unit) = daemon.units.get_mut(component) else { return };
        if unit.due.is_none_or(|due| due > at) {
            unit.due = Some(at);
            self.wake(node, at, Wake::Converge(component.clone()));
        }
    }

    pub(super) fn converge_due(&mut self, node: usize, component: &ComponentName) {
        let now = self.now;
        let Some(unit) = self.unit(node, component) else { return };
        if unit.due.is_none_or(|due| due > now) {
            return;
        }
        unit.due = None;
        if let Some(until) = self.converge(node, component) {
            let at = self.nodes[node].clock.when(until).max(now + 1_000);
            self.converge_by(node, component, at);
        }
        let Some(daemon) = self.daemon(node) else { return };
        let empty = |unit: &Unit| unit.component.is_none() && unit.instances.is_empty();
        if daemon.units.get(component).is_some_and(empty) {
            daemon.units.remove(component);
        }
    }

    /// Begins all steps that can begin now.
    fn converge(&mut self, node: usize, component: &ComponentName) -> Option<Moment> {
        let now = self.moment(node);
        self.learn_proofs(node, component);
        self.unit(node, component)?.settle_backoff(now);
        for _ in 0..STEPS_MAX {
            let state = &self.nodes[node];
            let daemon = state.daemon.as_ref()?;
            let unit = daemon.units.get(component)?;
            let serving = |container: u64| {
                let one = state.containers.get(&container);
                one.map_or(0, |one| u32::try_from(one.serving.len()).unwrap_or(u32::MAX))
            };
            let mut observed = unit.observed(serving);
            let left = daemon.leftovers.values().filter(|left| left.name == *component);
            observed.extend(left.enumerate().map(|(index, _)| Observed {
                serial: u64::MAX - index as u64,
                current: false,
                state: State::Stopping,
                in_flight: 0,
                since: Moment::ZERO,
            }));
            match next(&unit.desired(daemon.closing), &observed, now) {
                Step::Start(_) => self.start_instance(node, component),
                Step::Resume(_) => return None,
                Step::Stop(serial, reason) => {
                    self.note(|world| {
                        format!("{} stops {component} #{serial}: {reason}", world.nodes[node].id)
                    });
                    self.check_stop(node, component, serial, reason);
                    self.stop_instance(node, component, serial);
                }
                Step::Wait { until, .. } => return until,
            }
        }
        self.break_promise(format!("no end of steps for {component} on {}", self.nodes[node].id));
        None
    }

    fn start_instance(&mut self, node: usize, name: &ComponentName) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        daemon.serials += 1;
        let serial = daemon.serials;
        let Some(unit) = daemon.units.get_mut(name) else { return };
        let Some(component) = unit.component.clone() else { return };
        let alone = unit.starts_alone();
        unit.instances.push(Instance {
            serial,
            component,
            state: State::Starting(Purpose::Serve),
            since: now,
            healthy_since: None,
            container: None,
            phase: if alone { Phase::WaitsForTurn } else { Phase::Pulls },
            turn: alone,
        });
        self.note(|world| format!("{} starts {name} #{serial}", world.nodes[node].id));
        self.changed(node);
        if alone {
            self.want_role(node, turn_of(name));
            self.turns_may_have_come(node);
        } else {
            self.pull(node, name, serial);
        }
    }

    /// The configuration in memory is another one.
    pub(super) fn configure_units(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        let snapshot = daemon.configuration.clone();
        for (name, component) in &snapshot.components {
            let unit = daemon.units.entry(name.clone()).or_insert_with(|| Unit::new(name.clone()));
            unit.configure(Some(component.clone()));
        }
        for (name, unit) in &mut daemon.units {
            if !snapshot.components.contains_key(name) {
                unit.configure(None);
            }
        }
        let names: Vec<ComponentName> = daemon.units.keys().cloned().collect();
        for name in names {
            self.converge_soon(node, &name);
        }
    }
}

pub(super) fn turn_of(component: &ComponentName) -> crate::names::Role {
    crate::names::Role::new(format!("start/{component}"))
}
