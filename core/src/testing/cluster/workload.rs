//! What is asked of the cluster: components, how often each is asked for, new versions.

use std::collections::BTreeSet;

use super::{
    Faults, Story,
    agenda::Event,
    chance::Chance,
    node::Node,
    router::{At, Request},
    stored::at_once,
    world::{MS, SECOND, World},
};
use crate::{
    names::ComponentName,
    ports::store::{Op, Store},
    wire,
};

/// A request's deadline in seconds.
const DEADLINE: i64 = 20;

pub(super) struct Workload {
    pub(super) components: Vec<wire::Component>,
    /// Requests per thousand seconds.
    pub(super) rates: Vec<u64>,
    /// µs that a request takes, at most.
    pub(super) works: Vec<u64>,
    requests: u64,
}

// === impl Workload ===

impl Workload {
    pub(super) fn new(story: &Story, chance: &mut Chance) -> Self {
        let mut workload = Self { components: Vec::new(), rates: Vec::new(), works: Vec::new(), requests: 0 };
        for index in 0..story.components {
            let max = if chance.one_in(2) { chance.between(1, 6) } else { 0 };
            let per_node = if chance.one_in(3) { chance.between(1, 4) } else { 0 };
            let min = if chance.one_in(2) { chance.below(3).min(if max == 0 { 2 } else { max }) } else { 0 };
            let some = |number: u64| (number > 0).then(|| i64::try_from(number).unwrap_or(0));
            let order = if chance.one_in(4) { "stopstart" } else { "startstop" };
            let parallel = ["parallel", "parallel", "series", "seriesfirst"][chance.index(4)];
            workload.components.push(wire::Component {
                name: format!("c{index}"),
                min_instances: some(min),
                max_instances: some(max),
                max_instances_per_node: some(per_node),
                max_concurrency: i64::try_from(chance.between(2, 6)).unwrap_or(2),
                max_duration_seconds: Some(DEADLINE),
                restart_order: Some(order.to_owned()),
                start_parallelism: Some(parallel.to_owned()),
                docker: Some(wire::DockerComponent {
                    image: "image:1".to_owned(),
                    reserve_memory_mib: Some([64, 128, 256][chance.index(3)]),
                    idle_timeout_seconds: Some(i64::try_from(chance.between(20, 90)).unwrap_or(30)),
                    ..wire::DockerComponent::default()
                }),
                ..wire::Component::default()
            });
            workload.rates.push(chance.between(200, 5_000));
            workload.works.push(chance.between(20 * MS, 600 * MS));
        }
        workload
    }
}

// === impl World ===

impl World {
    pub(super) fn configure_first(&mut self) {
        let put = |component: &wire::Component| Op::PutComponent {
            component: Box::new(component.clone()),
            based_on: 0,
        };
        let ops = self.workload.components.iter().map(put).collect();
        if let Err(error) = at_once(self.store.commit(ops)) {
            self.break_promise(format!("the story can't begin: {error}"));
        }
    }

    pub(super) fn plan_arrivals(&mut self) {
        for component in 0..self.workload.components.len() {
            self.plan_arrival(component);
        }
        if self.story.deploys {
            self.agenda.plan(self.trouble_until + SECOND, Event::Deploy);
        }
    }

    fn plan_arrival(&mut self, component: usize) {
        let mean = 1_000 * SECOND / self.workload.rates[component].max(1);
        let after = self.chance.between(mean / 10, mean * 19 / 10);
        self.agenda.plan(self.now + after, Event::Arrival(component));
    }

    pub(super) fn request_arrives(&mut self, component: usize) {
        self.plan_arrival(component);
        if self.workload.rates[component] <= super::faults::NEVER {
            return;
        }
        let doors: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].balanced).collect();
        let Some(entry) = self.chance.pick(&doors) else { return };
        let Some(daemon) = self.nodes[entry].daemon.as_ref() else { return };
        let entry_run = daemon.run;
        let Ok(name) = ComponentName::parse(&self.workload.components[component].name) else { return };
        if !daemon.pools.contains_key(&name)
            || !self.nodes[entry].powered
            || self.nodes[entry].is_frozen(self.now)
        {
            return;
        }
        let most = self.workload.works[component];
        let work = self.chance.between(most / 5, most);
        self.workload.requests += 1;
        self.meter.requests += 1;
        let request = Request {
            component: name,
            entry,
            entry_run,
            arrived: self.now,
            deadline: self.now + u64::try_from(DEADLINE).unwrap_or(20) * SECOND,
            idempotent: self.chance.one_in(2),
            work,
            attempt: 0,
            tries: 0,
            misses: 0,
            at: At::Nowhere,
            remotes: Vec::new(),
            closed: false,
            met: BTreeSet::new(),
            crashed: false,
        };
        self.begin_request(self.workload.requests, request);
    }

    /// Somebody puts a new version of a component, through one of the nodes.
    pub(super) fn deploy(&mut self) {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].balanced).collect();
        if self.story.deploys && self.story.faults == Faults::None {
            self.agenda.plan(self.now + 5 * SECOND, Event::Deploy);
        }
        let Some(node) = self.chance.pick(&up) else { return };
        if !self.net.reaches_store(node, self.now) {
            return;
        }
        let index = self.chance.index(self.workload.components.len());
        let Some(stored) = self.workload.components.get_mut(index) else { return };
        let component = Box::new(stored.clone());
        let based_on = self.parsed_version(index);
        let name = component.name.clone();
        if at_once(self.store.commit(vec![Op::PutComponent { component, based_on }])).is_ok() {
            self.note(|_| format!("a new version of {name} is put through {}", Node::id_of(node)));
            self.ask_store(node, super::stored::Call::Revision);
            self.notice_soon(node);
        }
    }

    fn parsed_version(&mut self, index: usize) -> i64 {
        let name = self.workload.components[index].name.clone();
        let stored = at_once(self.store.configuration());
        stored.map_or(0, |stored| stored.component_version(&name))
    }
}
