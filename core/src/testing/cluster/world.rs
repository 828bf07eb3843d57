//! The world's state and its loop: takes what happens next, and lets it happen.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Broken, Faults, Story,
    agenda::{Agenda, Event, Wake},
    chance::Chance,
    messages::{Answer, Body, Packet},
    network::Network,
    node::{Daemon, Node, NodeClock, Snapshot},
    promises::Promises,
    report::{Meter, Report},
    router::Request,
    stored::Call,
    workload::Workload,
};
use crate::{testing::store::MemoryStore, time::Moment};

pub(super) const MS: u64 = 1_000;
pub(super) const SECOND: u64 = 1_000_000;
/// Nanoseconds of a clock per true millisecond, and how much faster or slower clocks may be: what the margin
/// of leases is made for.
const SPEED: u64 = 1_000_000;
const SPEED_OFF: u64 = 10_000;
/// Lines of trace that are kept.
const TRACED: usize = 4_000;
/// After the trouble the cluster comes to rest within this time: pauses between tries grow to a minute,
/// moves are given up after five.
const REST_LIMIT: u64 = 420 * SECOND;

pub(super) struct World {
    pub(super) story: Story,
    pub(super) chance: Chance,
    pub(super) now: u64,
    pub(super) agenda: Agenda,
    pub(super) nodes: Vec<Node>,
    pub(super) store: MemoryStore,
    pub(super) net: Network,
    /// The configuration as it is stored.
    pub(super) parsed: Arc<Snapshot>,
    pub(super) calls: u64,
    pub(super) waiting_calls: BTreeMap<u64, Call>,
    pub(super) requests: BTreeMap<u64, Request>,
    pub(super) workload: Workload,
    pub(super) promises: Promises,
    pub(super) meter: Meter,
    /// Containers so far.
    pub(super) containers: u64,
    pub(super) trouble_until: u64,
    /// Since when the cluster has been at rest.
    pub(super) rests_since: Option<u64>,
    /// Looks in a row that found it at rest.
    pub(super) calm_looks: u32,
    pub(super) store_away_since: Option<u64>,
    pub(super) trace: Option<VecDeque<String>>,
    pub(super) broken: Option<String>,
}

// === impl World ===

impl World {
    pub(super) fn new(story: &Story, traced: bool) -> Self {
        let mut chance = Chance::new(story.seed);
        let workload = Workload::new(story, &mut chance);
        let mut world = Self {
            story: story.clone(),
            chance,
            now: 0,
            agenda: Agenda::default(),
            nodes: Vec::new(),
            store: MemoryStore::new(),
            net: Network::default(),
            parsed: Arc::default(),
            calls: 0,
            waiting_calls: BTreeMap::new(),
            requests: BTreeMap::new(),
            workload,
            promises: Promises::default(),
            meter: Meter::new(story.weigh),
            containers: 0,
            trouble_until: micros(story.trouble),
            rests_since: None,
            calm_looks: 0,
            store_away_since: None,
            trace: traced.then(VecDeque::new),
            broken: None,
        };
        world.configure_first();
        for _ in 0..story.nodes {
            let node = world.add_node();
            let at = world.chance.below(SECOND);
            world.agenda.plan(at, Event::Start { node, power: false });
        }
        world.plan_arrivals();
        world.plan_faults();
        world.agenda.plan(world.trouble_until.max(SECOND), Event::Look);
        world
    }

    pub(super) fn run(mut self) -> Result<Report, Box<Broken>> {
        let ends = self.trouble_until + REST_LIMIT;
        let rest = micros(self.story.rest);
        while let Some((at, event)) = self.agenda.next() {
            self.now = at;
            self.happen(event);
            if self.rests_since.is_some_and(|since| at >= since + rest) && self.broken.is_none() {
                return Ok(self.report());
            }
            if at > ends && self.rests_since.is_none() {
                let why = self.unrest().unwrap_or_default();
                self.break_promise(format!("the cluster does not come to rest: {why}"));
            }
            if let Some(promise) = self.broken.take() {
                let trace = self.trace.unwrap_or_default().into();
                let at = Duration::from_micros(self.now);
                return Err(Box::new(Broken { seed: self.story.seed, at, promise, trace }));
            }
        }
        Ok(self.report())
    }

    pub(super) fn add_node(&mut self) -> usize {
        let index = self.nodes.len();
        let memory = [1_024, 2_048, 4_096][self.chance.index(3)];
        let speed = match self.story.faults {
            Faults::Lapses if self.chance.one_in(2) => SPEED + SPEED_OFF,
            Faults::Lapses => SPEED - SPEED_OFF,
            _ => self.chance.between(SPEED - SPEED_OFF, SPEED + SPEED_OFF),
        };
        let clock = NodeClock {
            offset: self.chance.below(1 << 44),
            speed,
            wall_offset: i64::try_from(self.chance.below(2_000)).unwrap_or(0) - 1_000,
        };
        self.nodes.push(Node {
            id: Node::id_of(index),
            memory_mib: memory,
            clock,
            powered: true,
            frozen_until: 0,
            runs: 0,
            daemon: None,
            containers: BTreeMap::new(),
            door: None,
            returns: true,
            disturbed: self.now,
            cut_since: Some(self.now),
            cut_until: 0,
            failing: BTreeMap::new(),
            stays_empty: false,
            balanced: false,
        });
        index
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&self) -> bool {
        self.now >= self.trouble_until || self.story.faults != Faults::All
    }

    pub(super) fn moment(&self, node: usize) -> Moment {
        self.nodes[node].clock.now(self.now)
    }

    /// Wakes the node's daemon when its own clock shows `moment`.
    pub(super) fn wake_at(&mut self, node: usize, moment: Moment, wake: Wake) {
        let at = self.nodes[node].clock.when(moment).max(self.now);
        self.wake(node, at, wake);
    }

    pub(super) fn wake_in(&mut self, node: usize, after: Duration, wake: Wake) {
        let moment = self.moment(node) + after;
        self.wake_at(node, moment, wake);
    }

    /// Wakes it at a true time.
    pub(super) fn wake(&mut self, node: usize, at: u64, wake: Wake) {
        if let Some(daemon) = &self.nodes[node].daemon {
            self.agenda.plan(at, Event::Daemon { node, run: daemon.run, wake });
        }
    }

    pub(super) fn daemon(&mut self, node: usize) -> Option<&mut Daemon> {
        self.nodes[node].daemon.as_deref_mut()
    }

    pub(super) fn note(&mut self, tell: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>11.6} {}", self.now as f64 / 1e6, tell(self));
            if let Some(trace) = &mut self.trace {
                if trace.len() == TRACED {
                    trace.pop_front();
                }
                trace.push_back(line);
            }
        }
    }

    /// The first one counts.
    pub(super) fn break_promise(&mut self, promise: String) {
        self.note(|_| format!("BROKEN: {promise}"));
        self.broken.get_or_insert(promise);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Daemon { node, run, wake } => self.happen_to_daemon(node, run, wake),
            Event::Packet(packet) => self.arrive(packet),
            Event::AtStore { node, run, call, number, answer_in } => {
                self.at_store(node, run, *call, number, answer_in);
            }
            Event::Served { node, container, request } => self.served(node, container, request),
            Event::Ends { node, container } => self.container_ends(node, container),
            Event::Arrival(component) => self.request_arrives(component),
            Event::Deadline(request) => self.deadline(request),
            Event::Trouble => self.trouble(),
            Event::Start { node, power } => self.start_daemon(node, power),
            Event::Restart(node) => self.begin_to_leave(node, Some(0), true),
            Event::Undrain(node) => self.undrain(node),
            Event::Deploy => self.deploy(),
            Event::Over => self.fault_is_over(),
            Event::Look => self.look_for_rest(),
        }
    }

    fn happen_to_daemon(&mut self, node: usize, run: u64, wake: Wake) {
        let state = &self.nodes[node];
        if !state.powered || state.daemon.as_ref().is_none_or(|daemon| daemon.run != run) {
            return;
        }
        if state.is_frozen(self.now) {
            let until = state.frozen_until;
            self.agenda.plan(until, Event::Daemon { node, run, wake });
            return;
        }
        match wake {
            Wake::Beat => self.beat(node),
            Wake::Look => self.look(node),
            Wake::Answered { number, answer } => self.store_answered(node, number, *answer),
            Wake::Discover => self.discover(node),
            Wake::Watch => self.watch(node),
            Wake::Load => self.ask_store(node, Call::Load),
            Wake::Demanded => self.demanded(node),
            Wake::Peer(peer) => self.peer_due(node, &peer),
            Wake::Announce => self.announce(node),
            Wake::Notices => self.tell_of_change(node),
            Wake::Unanswered(call) => self.unanswered(node, call),
            Wake::Tick => self.tick(node),
            Wake::Pass => self.pass_due(node),
            Wake::Ask(component) => self.ask_again(node, &component),
            Wake::Placing => self.place_waiting(node),
            Wake::Converge(component) => self.converge_due(node, &component),
            Wake::Instance { component, serial, stage } => self.instance_due(node, &component, serial, stage),
            Wake::Died(container) => self.hear_of_death(node, container),
            Wake::Repair => self.repair_due(node),
            Wake::Cleared(container) => self.is_cleared(node, container),
            Wake::Adopt => self.adopt(node),
            Wake::Local { request, container, done } => self.local_ended(node, request, container, done),
            Wake::Cron => self.cron_due(node),
            Wake::Leaving(over) => self.leave_on(node, over),
        }
    }

    /// What comes in at a node's door.
    fn arrive(&mut self, packet: Packet) {
        let to = packet.to;
        if self.net.is_cut(packet.from, to, self.now) {
            return;
        }
        let node = &mut self.nodes[to];
        if !node.powered {
            return;
        }
        if let Some(door) = &mut node.door {
            door.push(packet);
            return;
        }
        if node.is_frozen(self.now) && node.daemon.is_some() {
            let until = node.frozen_until;
            self.agenda.plan(until, Event::Packet(packet));
            return;
        }
        let run = node.daemon.as_ref().map(|daemon| daemon.run);
        let closed = node.daemon.as_ref().is_some_and(|daemon| daemon.gateway_closed);
        if run != Some(packet.to_run) {
            self.reset(packet);
            return;
        }
        if closed && matches!(packet.body, Body::Ask(_)) {
            self.turn_back(packet, Answer::Unsent);
            return;
        }
        self.heed(packet);
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}
