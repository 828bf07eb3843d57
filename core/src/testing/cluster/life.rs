//! The life of instances between the converger's steps: turn, pull, create, check, requests, end; and their
//! adoption by the next run of the daemon. As the daemon's `node::life`, `node::end` and `node::repair`.

use std::{sync::Arc, time::Duration};

use super::{
    Planted,
    agenda::{Event, Wake},
    units::{Instance, Phase, Stage, Unit, turn_of},
    world::World,
};
use crate::{
    component::Component,
    decide::converge::{Purpose, State},
    names::ComponentName,
    time::Moment,
};

/// A wait for the next start that is longer than this is answered instead.
const WAIT_FOR_RETRY_MAX: Duration = Duration::from_secs(5);
const REPAIR_EVERY: Duration = Duration::from_secs(30);
const START_LIMIT: u64 = 60_000_000;

// === impl World: starting ===

impl World {
    /// Those who wait for the turn to start alone, and have it now, begin.
    pub(super) fn turns_may_have_come(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let mut begin = Vec::new();
        for (name, unit) in &daemon.units {
            let waits = |one: &&Instance| one.phase == Phase::WaitsForTurn;
            let taken = unit.instances.iter().any(|one| one.turn && one.phase != Phase::WaitsForTurn);
            if let Some(one) = unit.instances.iter().find(waits)
                && !taken
                && daemon.lease.owns(&turn_of(name), now).is_some()
            {
                begin.push((name.clone(), one.serial));
            }
        }
        for (name, serial) in begin {
            if let Some(one) = self.unit(node, &name).and_then(|unit| unit.by_serial(serial)) {
                one.phase = Phase::Pulls;
                self.pull(node, &name, serial);
            }
        }
    }

    /// A version that serves on another node needs no trial here, whatever failed.
    pub(super) fn learn_all_proofs(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        let unproved = daemon.units.iter().filter(|(_, unit)| unit.unproved().is_some());
        let names: Vec<ComponentName> = unproved.map(|(name, _)| name.clone()).collect();
        for name in names {
            if self.learn_proofs(node, &name) {
                self.converge_soon(node, &name);
            }
        }
    }

    /// True if it is proved now.
    pub(super) fn learn_proofs(&mut self, node: usize, name: &ComponentName) -> bool {
        let Some(daemon) = self.daemon(node) else { return false };
        let Some(version) = daemon.units.get(name).and_then(Unit::unproved) else { return false };
        let serves = daemon.membership.view().iter().any(|peer| {
            peer.status.running_components.iter().any(|info| {
                info.component_name == name.as_str()
                    && info.component_version == version
                    && info.status == "active"
            })
        });
        if serves && let Some(unit) = daemon.units.get_mut(name) {
            unit.proven = Some(version);
            self.start_without_turn(node, name);
        }
        serves
    }

    /// Those who wait for the turn to start alone begin if there is no need any more.
    fn start_without_turn(&mut self, node: usize, name: &ComponentName) {
        let Some(unit) = self.unit(node, name).filter(|unit| !unit.starts_alone()) else { return };
        let waiting = unit.instances.iter().filter(|one| one.phase == Phase::WaitsForTurn);
        let waiting: Vec<u64> =
            waiting.filter(|one| one.state != State::Stopping).map(|one| one.serial).collect();
        for serial in waiting {
            if let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) {
                one.phase = Phase::Pulls;
            }
            self.release_turn(node, name, serial);
            self.pull(node, name, serial);
        }
    }

    pub(super) fn pull(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let slow = !self.calm() && self.chance.one_in(12);
        let takes = if slow { self.chance.below(8_000_000) } else { self.chance.between(1_000, 20_000) };
        self.stage(node, name, serial, takes, Stage::Pulled);
    }

    fn stage(&mut self, node: usize, name: &ComponentName, serial: u64, takes: u64, stage: Stage) {
        let wake = Wake::Instance { component: name.clone(), serial, stage };
        self.wake(node, self.now + takes, wake);
    }

    pub(super) fn instance_due(&mut self, node: usize, name: &ComponentName, serial: u64, stage: Stage) {
        let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) else { return };
        match stage {
            Stage::Pulled if one.phase == Phase::Pulls => self.pulled(node, name, serial),
            Stage::Created => self.created(node, name, serial),
            Stage::Checked if one.state == State::Starting(Purpose::Serve) => {
                self.checked(node, name, serial);
            }
            Stage::CheckedAgain if one.state == State::Serving => self.checked_again(node, name, serial),
            Stage::EmptyLimit if one.phase == Phase::Empties => self.end_instance(node, name, serial),
            Stage::Ended => self.instance_gone(node, name, serial),
            _ => {}
        }
    }

    fn pulled(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let fails = self.nodes[node].failing.get(name).is_some_and(|until| *until > self.now);
        if fails {
            self.not_started(node, name, serial);
            return;
        }
        if let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) {
            one.phase = Phase::Creates;
        }
        let takes = self.chance.between(50_000, 400_000);
        self.stage(node, name, serial, takes, Stage::Created);
    }

    fn created(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let Some(component) =
            self.unit(node, name).and_then(|unit| unit.by_serial(serial)).map(|one| one.component.clone())
        else {
            return;
        };
        let id = self.make_container(node, component);
        let ready = self.nodes[node].containers.get(&id).map_or(0, |one| one.ready_at - self.now);
        let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) else { return };
        one.container = Some(id);
        if one.state == State::Stopping {
            self.end_instance(node, name, serial);
            return;
        }
        one.phase = Phase::Runs;
        self.changed(node);
        self.stage(node, name, serial, ready.min(START_LIMIT) + 5_000, Stage::Checked);
    }

    fn checked(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let (true_now, now) = (self.now, self.moment(node));
        let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) else { return };
        let (container, version) = (one.container, one.component.version);
        let Some(id) = container else { return };
        let well = |one: &super::engine::Container| one.running && one.ready_at <= true_now;
        if !self.nodes[node].containers.get(&id).is_some_and(well) {
            self.not_started(node, name, serial);
            return;
        }
        let Some(unit) = self.unit(node, name) else { return };
        if unit.component.as_ref().is_some_and(|component| component.version == version) {
            unit.proven = Some(version);
            unit.refused_until = None;
        }
        let Some(one) = unit.by_serial(serial) else { return };
        one.healthy_since = Some(now);
        one.state = State::Serving;
        if let Some(container) = self.nodes[node].containers.get_mut(&id) {
            container.served = true;
        }
        self.release_turn(node, name, serial);
        self.start_without_turn(node, name);
        self.note(|world| format!("{name} #{serial} serves on {}", world.nodes[node].id));
        self.add_to_rotation(node, name, id);
        self.promises.serves(node, id, self.now);
        self.changed(node);
        self.converge_soon(node, name);
    }

    fn release_turn(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) else { return };
        if std::mem::take(&mut one.turn) {
            self.want_role_no_more(node, &turn_of(name));
            self.turns_may_have_come(node);
        }
    }

    /// It was never healthy.
    fn not_started(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let now = self.moment(node);
        self.release_turn(node, name, serial);
        let Some(unit) = self.unit(node, name) else { return };
        unit.backoff.start_failed(now);
        let until = unit.backoff.until();
        self.note(|world| format!("{name} #{serial} can't be started on {}", world.nodes[node].id));
        self.refuse_unless_others(node, name, serial, until);
        self.changed(node);
        let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) else { return };
        one.state = State::Stopping;
        match one.container {
            Some(_) => self.end_instance(node, name, serial),
            None => self.instance_gone(node, name, serial),
        }
    }

    fn refuse_unless_others(&mut self, node: usize, name: &ComponentName, serial: u64, until: Moment) {
        let Some(unit) = self.unit(node, name) else { return };
        let for_traffic = |one: &Instance| matches!(one.state, State::Starting(_) | State::Serving);
        if !unit.instances.iter().any(|one| one.serial != serial && for_traffic(one)) {
            unit.refused_until = Some(until);
            self.refuse(node, name, until);
        }
    }
}

// === impl World: ending ===

impl World {
    pub(super) fn stop_instance(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) else { return };
        one.state = State::Stopping;
        let (phase, container) = (one.phase, one.container);
        let limit = one.component.max_duration;
        self.release_turn(node, name, serial);
        self.changed(node);
        match (phase, container) {
            (Phase::Creates, None) => {}
            (_, None) => self.instance_gone(node, name, serial),
            (_, Some(container)) => {
                if let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) {
                    one.phase = Phase::Empties;
                }
                self.promises.serves_no_more(node, container);
                let idle = self.retire_instance(node, name, container);
                let hasty = self.story.planted == Some(Planted::StopsAtOnce);
                if idle || hasty {
                    self.end_instance(node, name, serial);
                } else {
                    self.stage(node, name, serial, super::world::micros(limit), Stage::EmptyLimit);
                }
            }
        }
    }

    /// Its last request has ended.
    pub(super) fn instance_is_idle(&mut self, node: usize, name: &ComponentName, container: u64) {
        let one = self.unit(node, name).and_then(|unit| unit.by_container(container));
        let Some(one) = one.filter(|one| one.phase == Phase::Empties) else { return };
        let serial = one.serial;
        self.end_instance(node, name, serial);
    }

    /// SIGTERM, and removal.
    fn end_instance(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let Some(one) = self.unit(node, name).and_then(|unit| unit.by_serial(serial)) else { return };
        (one.state, one.phase) = (State::Stopping, Phase::Ends);
        let Some(id) = one.container else { return self.instance_gone(node, name, serial) };
        let takes = self.stop_container(node, id);
        self.stage(node, name, serial, takes + 2_000, Stage::Ended);
    }

    /// Tells how long it takes.
    fn stop_container(&mut self, node: usize, id: u64) -> u64 {
        let takes =
            if self.chance.one_in(6) { self.chance.below(4_000_000) } else { self.chance.below(300_000) };
        if let Some(container) = self.nodes[node].containers.get_mut(&id) {
            container.stopping = true;
        }
        self.agenda.plan(self.now + takes, Event::Ends { node, container: id });
        takes
    }

    fn instance_gone(&mut self, node: usize, name: &ComponentName, serial: u64) {
        self.release_turn(node, name, serial);
        let Some(unit) = self.unit(node, name) else { return };
        let Some(index) = unit.instances.iter().position(|one| one.serial == serial) else { return };
        let one = unit.instances.remove(index);
        if let Some(id) = one.container {
            self.nodes[node].containers.remove(&id);
        }
        self.changed(node);
        self.converge_soon(node, name);
    }

    pub(super) fn hear_of_death(&mut self, node: usize, container: u64) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let mut owners = daemon.units.iter_mut();
        let found = owners.find_map(|(name, unit)| {
            unit.by_container(container).map(|one| (name.clone(), one.serial, one.state, one.healthy_since))
        });
        let Some((name, serial, state, healthy_since)) = found else { return };
        match state {
            State::Starting(_) | State::Standby => self.not_started(node, &name, serial),
            State::Stopping => self.instance_gone(node, &name, serial),
            State::Serving | State::Failed => {
                self.promises.serves_no_more(node, container);
                self.retire_instance(node, &name, container);
                let Some(unit) = self.unit(node, &name) else { return };
                unit.backoff.instance_lost(healthy_since.unwrap_or(now), now);
                let until = unit.backoff.until();
                if until.since(now) > WAIT_FOR_RETRY_MAX {
                    self.refuse_unless_others(node, &name, serial, until);
                }
                self.instance_gone(node, &name, serial);
            }
        }
    }

    /// A request failed on it: it is looked at before it gets others.
    pub(super) fn check_soon(&mut self, node: usize, name: &ComponentName, container: u64) {
        let one = self.unit(node, name).and_then(|unit| unit.by_container(container));
        let Some(serial) = one.map(|one| one.serial) else { return };
        self.promises.serves_no_more(node, container);
        self.stage(node, name, serial, 2_000, Stage::CheckedAgain);
    }

    fn checked_again(&mut self, node: usize, name: &ComponentName, serial: u64) {
        let one = self.unit(node, name).and_then(|unit| unit.by_serial(serial));
        let Some(container) = one.and_then(|one| one.container) else { return };
        if self.nodes[node].containers.get(&container).is_some_and(|one| one.running) {
            self.release_instance(node, name, container);
            self.promises.serves(node, container, self.now);
            self.changed(node);
        } else {
            self.hear_of_death(node, container);
        }
    }
}

// === impl World: repair ===

impl World {
    /// Takes over what an earlier run of the daemon left, and removes what fits no more.
    pub(super) fn adopt(&mut self, node: usize) {
        let now = self.moment(node);
        let found: Vec<(u64, bool, bool, Arc<Component>)> = self.nodes[node]
            .containers
            .iter()
            .map(|(id, one)| (*id, one.running, one.stopping, one.component.clone()))
            .collect();
        let mut adopted: Vec<ComponentName> = Vec::new();
        for (id, running, stopping, component) in found {
            let Some(daemon) = self.daemon(node) else { return };
            let name = component.name.clone();
            let unit = daemon.units.get_mut(&name);
            let fits = unit.filter(|unit| unit.component.as_ref() == Some(&component));
            let Some(unit) = fits.filter(|_| running && !stopping) else {
                self.remove_stranger(node, id, running);
                continue;
            };
            daemon.serials += 1;
            let serial = daemon.serials;
            unit.instances.push(Instance {
                serial,
                component,
                state: State::Starting(Purpose::Serve),
                since: now,
                healthy_since: None,
                container: Some(id),
                phase: Phase::Runs,
                turn: false,
            });
            adopted.push(name.clone());
            let ready = self.nodes[node].containers.get(&id).map_or(0, |one| one.ready_at);
            let takes = ready.saturating_sub(self.now).min(5_000_000) + 3_000;
            self.stage(node, &name, serial, takes, Stage::Checked);
        }
        adopted.sort();
        while let Some(name) = adopted.first().cloned() {
            let count = adopted.iter().filter(|other| **other == name).count();
            adopted.retain(|other| *other != name);
            if let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(&name)) {
                pool.pool.demand().touch(now);
            }
            if let Some(unit) = self.unit(node, &name) {
                unit.target = unit.target.max(u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        if let Some(daemon) = self.daemon(node) {
            daemon.begun = true;
        }
        self.changed(node);
        self.configure_units(node);
        self.wake_in(node, REPAIR_EVERY, Wake::Repair);
    }

    fn remove_stranger(&mut self, node: usize, id: u64, running: bool) {
        if !running {
            return self.is_cleared(node, id);
        }
        let component = self.nodes[node].containers.get(&id).map(|one| one.component.clone());
        let takes = self.stop_container(node, id);
        if let Some(daemon) = self.daemon(node) {
            daemon.leftovers.extend(component.map(|component| (id, component)));
        }
        self.changed(node);
        self.wake(node, self.now + takes + 2_000, Wake::Cleared(id));
    }

    pub(super) fn is_cleared(&mut self, node: usize, id: u64) {
        self.nodes[node].containers.remove(&id);
        if let Some(left) = self.daemon(node).and_then(|daemon| daemon.leftovers.remove(&id)) {
            self.changed(node);
            self.converge_soon(node, &left.name);
        }
    }

    /// What lost events left behind.
    pub(super) fn repair_due(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        let owned: Vec<u64> = daemon
            .units
            .values()
            .flat_map(|unit| unit.instances.iter().filter_map(|one| one.container))
            .collect();
        let all: Vec<(u64, bool)> =
            self.nodes[node].containers.iter().map(|(id, one)| (*id, one.running)).collect();
        for (id, running) in all {
            match (owned.contains(&id), running) {
                (true, false) => self.hear_of_death(node, id),
                (false, _) => self.remove_stranger(node, id, running),
                (true, true) => {}
            }
        }
        self.wake_in(node, REPAIR_EVERY, Wake::Repair);
    }
}
