//! Random clusters over minutes: nodes that come, drain, freeze and die, orders that come late, twice or
//! never, loads that change. Limits hold all the time; when the trouble ends everything comes to rest, and
//! where there is room everything that is wanted runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;

use super::{tests::component, *};
use crate::{
    decide::{activity::Window, autoscale::Demand, placement::NodeView},
    names::NodeId,
};

/// Milliseconds.
const STEP: u64 = 50;
const TROUBLE: u64 = 60_000;
const PEACE: u64 = 240_000;
/// Nothing is ordered any more for so long before the end.
const REST: u64 = 20_000;
/// Nodes that are silent for longer have left; what freezes comes back before.
const DEAD: u64 = 20_000;
const FROZEN_MAX: u64 = 15_000;
/// When the decider gives up waiting for an answer.
const GIVE_UP: u64 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting { until: u64 },
    Serving,
    Ending { until: u64 },
}

struct Machine {
    view: NodeView,
    instances: Vec<(ComponentName, State)>,
    /// No instance of these gets healthy.
    failing: BTreeSet<ComponentName>,
    born: u64,
    /// Nothing reaches it, and nothing comes from it; its instances run on.
    frozen_until: u64,
    dead_since: Option<u64>,
    /// As it told of itself last.
    told: NodeState,
    silent_since: Option<u64>,
}

struct Flight {
    order: Order,
    arrives: u64,
    /// `None`: the answer is lost.
    answers: Option<u64>,
    gives_up: u64,
    result: Option<Vec<ComponentName>>,
    arrived: bool,
}

struct Cluster {
    seed: u64,
    now: u64,
    components: Vec<Arc<Component>>,
    loads: Vec<u32>,
    machines: Vec<Machine>,
    flights: Vec<Flight>,
    scheduler: Scheduler,
    last_order: u64,
    /// All nodes have room for everything.
    roomy: bool,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut cluster = Self {
            seed: seed | 1,
            now: 0,
            components: Vec::new(),
            loads: Vec::new(),
            machines: Vec::new(),
            flights: Vec::new(),
            scheduler: Scheduler::default(),
            last_order: 0,
            roomy: false,
        };
        cluster.roomy = cluster.random(2) == 0;
        for index in 0..1 + cluster.random(7) {
            let (per_node, reserve) = (cluster.random(4), [0, 64, 100, 300][cluster.random(4) as usize]);
            let max = cluster.random(8);
            let min = cluster.random(3).min(if max == 0 { 3 } else { max });
            cluster.components.push(component(&format!("c{index}"), |component| {
                component.scaling.max_instances = NonZeroU32::new(max as u32);
                component.scaling.min_instances = min as u32;
                component.scaling.max_instances_per_node = NonZeroU32::new(per_node as u32);
                component.docker.reserve_memory_mib = reserve;
            }));
            let load = cluster.random(12) as u32;
            cluster.loads.push(load);
        }
        for _ in 0..1 + cluster.random(12) {
            cluster.join();
        }
        cluster
    }

    /// xorshift64: the same seed, the same story.
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    fn join(&mut self) {
        let total = if self.roomy { 1 << 20 } else { [256, 500, 1_024, 4_096][self.random(4) as usize] };
        let view = NodeView {
            id: NodeId::new(format!("n{:02}", self.machines.len())),
            version: 1,
            total_memory_mib: total,
            other_memory_mib: 0,
            targets: BTreeMap::new(),
            standby: BTreeMap::new(),
            draining: false,
            load: 0.0,
        };
        let told = NodeState::new(view.clone());
        self.machines.push(Machine {
            view,
            instances: Vec::new(),
            failing: BTreeSet::new(),
            born: self.now,
            frozen_until: 0,
            dead_since: None,
            told,
            silent_since: None,
        });
    }

    fn moment(&self) -> Moment {
        Moment::from_millis(1_000_000 + self.now)
    }

    fn run(&mut self) {
        while self.now < TROUBLE + PEACE {
            self.now += STEP;
            if self.now < TROUBLE {
                self.trouble();
            }
            // Where something failed it is not tried again for a while, so this ends earlier.
            if self.now == TROUBLE * 2 / 3 {
                self.machines.iter_mut().for_each(|machine| machine.failing.clear());
            }
            for index in 0..self.machines.len() {
                self.live(index);
            }
            let answered = self.deliver();
            self.check();
            if answered || self.now.is_multiple_of(1_000) {
                self.decide();
            }
        }
        self.check_rest();
    }

    fn trouble(&mut self) {
        let machines = self.machines.len() as u64;
        match self.random(400) {
            0 if machines < 14 => self.join(),
            1 => {
                let node = self.random(machines) as usize;
                self.machines[node].view.draining ^= true;
                self.machines[node].view.version += 1;
            }
            2 => {
                let (node, long) = (self.random(machines) as usize, self.random(FROZEN_MAX));
                self.machines[node].frozen_until = self.now + long;
            }
            3 => {
                let node = self.random(machines) as usize;
                self.machines[node].dead_since.get_or_insert(self.now);
                self.machines[node].instances.clear();
            }
            4..8 => {
                let (index, load) = (self.random(self.loads.len() as u64), self.random(12));
                self.loads[index as usize] = load as u32;
            }
            8..11 if self.now < TROUBLE * 2 / 3 => {
                let (node, index) = (self.random(machines), self.random(self.components.len() as u64));
                let component = self.components[index as usize].name.clone();
                let machine = &mut self.machines[node as usize];
                if !machine.failing.remove(&component) {
                    machine.failing.insert(component);
                }
            }
            _ => {}
        }
    }

    /// Instances become healthy and end; the node tells.
    fn live(&mut self, index: usize) {
        let (now, start) = (self.now, 200 + self.random(3_000));
        let end = self.random(4_000);
        let machine = &mut self.machines[index];
        if machine.dead_since.is_some() {
            machine.silent_since.get_or_insert(now);
            return;
        }
        let before = machine.instances.clone();
        machine.instances.retain(|(_, state)| !matches!(state, State::Ending { until } if *until <= now));
        let failing = &machine.failing;
        machine.instances.retain(|(name, state)| {
            !matches!(state, State::Starting { until } if *until <= now && failing.contains(name))
        });
        for (_, state) in &mut machine.instances {
            if matches!(state, State::Starting { until } if *until <= now) {
                *state = State::Serving;
            }
        }
        // A frozen daemon starts and stops nothing.
        if machine.frozen_until <= now {
            machine.converge(now + start, now + end);
        }
        if machine.instances != before {
            machine.view.version += 1;
        }
        if machine.frozen_until > now {
            machine.silent_since.get_or_insert(now);
        } else {
            machine.silent_since = None;
            machine.tell();
        }
    }

    fn world(&self) -> World {
        let is_here = |machine: &&Machine| machine.dead_since.is_none_or(|since| self.now < since + DEAD);
        let nodes: Vec<NodeState> = self
            .machines
            .iter()
            .filter(is_here)
            .map(|machine| NodeState {
                silent_for: machine.silent_since.map(|since| Duration::from_millis(self.now - since)),
                known_for: Duration::from_millis(self.now - machine.born),
                ..machine.told.clone()
            })
            .collect();
        let components = self.components.iter().zip(&self.loads).map(|(component, load)| {
            let serving = nodes.iter().filter(|node| node.silent_for.is_none());
            let serving = serving.map(|node| node.instances_of(&component.name).serving).sum();
            let window = Window { average: f64::from(*load), peak: *load };
            let demand = Demand {
                in_flight: *load,
                waiting: 0,
                waiting_for: Duration::ZERO,
                stable: window,
                panic: window,
                last_request: (*load > 0).then_some(Duration::ZERO),
                observed: Duration::from_secs(600),
            };
            let starving = serving == 0 && *load > 0;
            ComponentState { component: component.clone(), demand, in_rotation: serving, starving }
        });
        World { term: Term(1), components: components.collect(), nodes, ..World::default() }
    }

    fn decide(&mut self) {
        let world = self.world();
        let starving = self.random(3) == 0;
        let plan = match starving {
            true => self.scheduler.answer_demand(&world, self.moment()),
            false => self.scheduler.pass(&world, self.moment()),
        };
        for order in plan.orders {
            assert!(order.changes.iter().all(|change| !change.reasons.is_empty()), "{order:?}");
            self.last_order = self.now;
            let calm = self.now >= TROUBLE;
            let slow = if !calm && self.random(8) == 0 { self.random(6_000) } else { self.random(30) };
            let lost = !calm && self.random(10) == 0;
            let arrives = self.now + slow;
            self.flights.push(Flight {
                order,
                arrives,
                answers: (!lost).then_some(arrives + 20),
                gives_up: self.now + GIVE_UP,
                result: None,
                arrived: false,
            });
        }
    }

    /// Orders reach their nodes, answers the decider. An order to a frozen node waits at its door, even when
    /// nobody waits for the answer any more.
    fn deliver(&mut self) -> bool {
        let mut answered = false;
        let mut flights = std::mem::take(&mut self.flights);
        for flight in &mut flights {
            if !flight.arrived && flight.arrives <= self.now {
                let machine = self.machines.iter_mut().find(|m| m.view.id == flight.order.node).unwrap();
                if machine.dead_since.is_none() && machine.frozen_until <= self.now {
                    flight.arrived = true;
                    flight.result = machine.take(&flight.order);
                    machine.check_memory(&self.components, &flight.order, flight.result.is_some());
                }
            }
        }
        for flight in &flights {
            let id = flight.order.id;
            let in_time = flight.answers.filter(|at| flight.arrived && *at <= self.now);
            if in_time.is_some() && self.now < flight.gives_up + STEP {
                let machine = self.machines.iter_mut().find(|m| m.view.id == flight.order.node).unwrap();
                machine.tell();
                let outcome = match &flight.result {
                    Some(made) => Outcome::Done(made),
                    None => Outcome::Shown(&machine.view),
                };
                self.scheduler.answered(id, &outcome);
                answered = true;
            } else if self.now >= flight.gives_up && self.now < flight.gives_up + STEP {
                self.scheduler.answered(id, &Outcome::Lost);
                answered = true;
            }
        }
        let done = |flight: &Flight| {
            flight.arrived && (flight.answers.is_some_and(|at| at <= self.now) || self.now > flight.gives_up)
        };
        flights.retain(|flight| !done(flight));
        self.flights = flights;
        answered
    }

    fn check(&self) {
        for component in &self.components {
            let name = &component.name;
            let alive = || self.machines.iter().filter(|machine| machine.dead_since.is_none());
            if let Some(max) = component.scaling.max_instances {
                let targets: u32 = alive().map(|machine| machine.target(name)).sum();
                assert!(targets <= max.get(), "targets of {name} at {}: {targets} > {max}", self.now);
                let there: u32 = alive().map(|machine| machine.there(name)).sum();
                assert!(there <= max.get(), "instances of {name} at {}: {there} > {max}", self.now);
            }
            if let Some(max) = component.scaling.max_instances_per_node {
                assert!(alive().all(|machine| machine.target(name) <= max.get()));
            }
        }
    }

    fn check_rest(&mut self) {
        let last = self.last_order;
        assert!(last + REST <= self.now, "still ordering at {last}");
        let world = self.world();
        let open: Vec<&NodeState> = world.nodes.iter().filter(|node| !node.view.draining).collect();
        for state in &world.components {
            let Component { name, scaling, .. } = &*state.component;
            let target = self.scheduler.target(name, &world, self.moment()).unwrap();
            let total: u32 = world.nodes.iter().map(|node| target_of(node, name)).sum();
            assert!(total <= target.value, "{name}: {total} run, {} are wanted", target.value);
            let places = scaling.max_instances_per_node.map_or(u32::MAX, |max| max.get() * open.len() as u32);
            if self.roomy && !open.is_empty() && target.value <= places {
                assert_eq!(total, target.value, "{name}: {:?}", target.reasons);
                let draining = world.nodes.iter().filter(|node| node.view.draining);
                let left: u32 = draining.map(|node| target_of(node, name)).sum();
                assert_eq!(left, 0, "{name} is still on a draining node");
                let counts = || open.iter().map(|node| target_of(node, name));
                let uneven = counts().max() > counts().min().map(|min| min + 1);
                let movable = scaling.max_instances.is_none_or(|max| total < max.get());
                assert!(!uneven || !movable, "{name} is spread unevenly: {:?}", counts().collect::<Vec<_>>());
            }
        }
    }
}

fn target_of(node: &NodeState, name: &ComponentName) -> u32 {
    node.view.targets.get(name).copied().unwrap_or(0)
}

impl Machine {
    fn target(&self, name: &ComponentName) -> u32 {
        self.view.targets.get(name).copied().unwrap_or(0)
    }

    fn count(&self, name: &ComponentName, state: impl Fn(&State) -> bool) -> u32 {
        self.instances.iter().filter(|(n, s)| n == name && state(s)).count() as u32
    }

    /// Instances as limits count them: one that ends may overlap with its successor on the same node.
    fn there(&self, name: &ComponentName) -> u32 {
        let live = self.count(name, |state| !matches!(state, State::Ending { .. }));
        let taken = live.max(self.target(name));
        if taken > 0 { taken } else { self.count(name, |state| matches!(state, State::Ending { .. })) }
    }

    fn take(&mut self, order: &Order) -> Option<Vec<ComponentName>> {
        if order.base != self.view.version {
            return None;
        }
        for change in &order.changes {
            assert_eq!(self.target(&change.component), change.from, "{order:?}");
            self.view.targets.insert(change.component.clone(), change.to);
        }
        self.view.version += 1;
        Some(order.changes.iter().map(|change| change.component.clone()).collect())
    }

    fn check_memory(&self, components: &[Arc<Component>], order: &Order, taken: bool) {
        let reserve = |name: &ComponentName| {
            components.iter().find(|c| c.name == *name).map_or(0, |c| c.docker.reserve_memory_mib)
        };
        let more = order.changes.iter().any(|change| change.to > change.from);
        let reserved: u64 = self.view.targets.iter().map(|(n, count)| u64::from(*count) * reserve(n)).sum();
        assert!(!taken || !more || reserved <= self.view.total_memory_mib, "{order:?}: {reserved} MiB");
    }

    fn converge(&mut self, healthy_at: u64, ended_at: u64) {
        for (name, target) in self.view.targets.clone() {
            let mut live = self.count(&name, |state| !matches!(state, State::Ending { .. }));
            for _ in live..target {
                self.instances.push((name.clone(), State::Starting { until: healthy_at }));
            }
            while live > target {
                let mut mine = self.instances.iter_mut().filter(|(n, _)| *n == name);
                let victim = mine.rfind(|(_, state)| !matches!(state, State::Ending { .. })).unwrap();
                victim.1 = State::Ending { until: ended_at };
                live -= 1;
            }
        }
    }

    fn tell(&mut self) {
        let mut told = NodeState { failing: self.failing.clone(), ..NodeState::new(self.view.clone()) };
        told.failing.retain(|name| self.view.targets.get(name).is_some_and(|count| *count > 0));
        for (name, state) in &self.instances {
            let instances = told.instances.entry(name.clone()).or_default();
            match state {
                State::Starting { .. } => instances.starting += 1,
                State::Serving => instances.serving += 1,
                State::Ending { .. } => instances.ending += 1,
            }
        }
        self.told = told;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn limits_hold_in_trouble_and_peace_brings_rest(seed in any::<u64>()) {
        Cluster::new(seed).run();
    }
}
