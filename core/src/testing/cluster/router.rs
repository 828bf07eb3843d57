//! The driver of `decide::pool`: requests find a slot here or at a peer, wait, are sent again by the rules.
//! As the daemon's `router` and `gateway::forward` do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    agenda::{Event, Wake},
    messages::{Message, Purpose, Relayed},
    node::Node,
    units::Instance,
    world::World,
};
use crate::{
    component::Component,
    decide::pool::{self, Handover, Limits, Place, Reach, Seat, Ticket},
    names::{ComponentName, InstanceId, NodeId},
    time::Moment,
};

pub(super) const MAX_TRIES: u32 = 4;
const QUEUE_BYTES: usize = 64 << 20;
const WAITING_BYTES: usize = 512;

/// One component's slots and waiters on one node.
pub(super) struct Pool {
    pub(super) component: Arc<Component>,
    pub(super) pool: pool::Pool<Leads, u64>,
    pub(super) tickets: BTreeMap<u64, Ticket>,
    pub(super) refused_until: Option<Moment>,
    /// Somebody waits and nothing serves.
    pub(super) cold: bool,
    /// Containers of this node that get requests.
    pub(super) rotation: BTreeSet<u64>,
    /// What peers serve by their last status.
    pub(super) there: BTreeSet<NodeId>,
}

/// What a slot leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    Here(u64),
    There(NodeId),
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) component: ComponentName,
    pub(super) entry: usize,
    pub(super) entry_run: u64,
    pub(super) arrived: u64,
    pub(super) deadline: u64,
    pub(super) idempotent: bool,
    pub(super) work: u64,
    pub(super) attempt: u32,
    pub(super) tries: u32,
    pub(super) misses: u32,
    pub(super) at: At,
    /// Attempts at peers, given up ones too.
    pub(super) remotes: Vec<Remote>,
    pub(super) closed: bool,
    /// Nodes that it was sent to.
    pub(super) met: BTreeSet<usize>,
    /// An instance failed under it.
    pub(super) crashed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Nowhere,
    Line,
    Here { seat: Seat, container: u64 },
    There { seat: Seat, node: NodeId, status: u64 },
}

/// A request at a peer.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) node: usize,
    pub(super) run: u64,
    pub(super) question: (usize, u64, u64),
    pub(super) slot: Option<(Seat, u64)>,
    pub(super) tries: u32,
}

pub(super) enum Entered {
    Slot(Seat, Leads),
    Line,
    NotHere,
    Refused,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Served,
    /// Its node is gone.
    Lost,
    /// The instance or the peer failed, and it may not be sent again.
    Failed,
    /// It can't be started, or has no place.
    Refused,
    TimedOut,
}

// === impl Remote ===

impl Remote {
    /// An instance there works on it.
    pub(super) fn is_served(&self) -> bool {
        self.slot.is_some()
    }
}

pub(super) fn place(container: u64) -> Place {
    Place::Here(InstanceId::new(format!("{container}")))
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(component: Arc<Component>, crowds: bool, now: Moment) -> Self {
        Self {
            pool: pool::Pool::new(limits(&component, crowds), now),
            component,
            tickets: BTreeMap::new(),
            refused_until: None,
            cold: false,
            rotation: BTreeSet::new(),
            there: BTreeSet::new(),
        }
    }

    pub(super) fn serves_here(&self, instance: &Instance) -> bool {
        instance.container.is_some_and(|container| self.rotation.contains(&container))
    }

    pub(super) fn is_starving(&self) -> bool {
        self.pool.waiting() > 0 && self.pool.is_deserted()
    }

    /// True if a cold start begins.
    pub(super) fn ask_for_instance(&mut self) -> bool {
        let begins = self.is_starving() && !self.cold;
        self.cold |= begins;
        begins
    }

    pub(super) fn settle(&mut self) {
        self.cold &= self.pool.waiting() > 0;
    }
}

/// `crowds`: one request more than is allowed.
pub(super) fn limits(component: &Component, crowds: bool) -> Limits {
    Limits {
        max_concurrency: component.scaling.max_concurrency.get() + u32::from(crowds),
        concurrency: component.scaling.concurrency_limit,
        queue_len: component.scaling.max_queue,
        queue_bytes: QUEUE_BYTES,
    }
}

// === impl World: a request's way ===

impl World {
    pub(super) fn begin_request(&mut self, id: u64, request: Request) {
        self.agenda.plan(request.deadline, Event::Deadline(id));
        self.requests.insert(id, request);
        self.attempt(id, None);
    }

    /// Another attempt at the request's own node.
    pub(super) fn attempt(&mut self, id: u64, avoid: Option<Place>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.attempt += 1;
        request.at = At::Nowhere;
        let (node, component) = (request.entry, request.component.clone());
        match self.enter(node, &component, id, Reach::Anywhere, avoid) {
            Entered::Slot(seat, leads) => self.go(id, seat, leads),
            Entered::Line => {
                if let Some(request) = self.requests.get_mut(&id) {
                    request.at = At::Line;
                }
            }
            Entered::NotHere | Entered::Refused => self.end(id, Outcome::Refused),
        }
    }

    pub(super) fn enter(
        &mut self,
        node: usize,
        component: &ComponentName,
        id: u64,
        reach: Reach,
        avoid: Option<Place>,
    ) -> Entered {
        let now = self.moment(node);
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else {
            return if reach == Reach::Here { Entered::NotHere } else { Entered::Refused };
        };
        if let Some(grant) = pool.pool.take(reach, avoid.as_ref(), now) {
            return Entered::Slot(grant.seat, grant.member);
        }
        if reach == Reach::Here && !pool.pool.has_instances_here() {
            return Entered::NotHere;
        }
        if pool.refused_until.is_some_and(|until| now < until) {
            return Entered::Refused;
        }
        let Ok(ticket) = pool.pool.wait(id, reach, WAITING_BYTES, now) else { return Entered::Refused };
        pool.tickets.insert(id, ticket);
        pool.refused_until = None;
        if pool.ask_for_instance() {
            self.wake(node, self.now, Wake::Demanded);
        }
        Entered::Line
    }

    /// The request has a slot at its own node.
    fn go(&mut self, id: u64, seat: Seat, leads: Leads) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let node = request.entry;
        match leads {
            Leads::Here(container) => {
                request.at = At::Here { seat, container };
                self.serve(node, container, id);
            }
            Leads::There(peer) => {
                request.met.insert(Node::index_of(&peer));
                let status = self.statuses_of(node, &peer);
                let Some(request) = self.requests.get_mut(&id) else { return };
                request.at = At::There { seat, node: peer.clone(), status };
                let purpose = Purpose::Relay { request: id, attempt: request.attempt };
                let left = Duration::from_micros(request.deadline.saturating_sub(self.now));
                self.call(node, &peer, Message::Relay(id), left, purpose);
            }
        }
    }

    /// A waiter of `node` gets a slot.
    fn handed_over(&mut self, node: usize, handover: Handover<Leads, u64>, component: &ComponentName) {
        let id = handover.waiter;
        if let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) {
            pool.tickets.remove(&id);
            pool.settle();
        }
        let (seat, leads) = (handover.grant.seat, handover.grant.member);
        let Some(request) = self.requests.get_mut(&id) else {
            self.give_back(node, component, seat);
            return;
        };
        if request.entry == node && request.at == At::Line && !request.closed {
            self.go(id, seat, leads);
            return;
        }
        let Leads::Here(container) = leads else {
            self.give_back(node, component, seat);
            return;
        };
        let waits = |remote: &&mut Remote| remote.node == node && remote.slot.is_none();
        match request.remotes.iter_mut().find(waits) {
            Some(remote) => {
                remote.slot = Some((seat, container));
                self.serve(node, container, id);
            }
            None => self.give_back(node, component, seat),
        }
    }

    pub(super) fn hand_over_all(
        &mut self,
        node: usize,
        component: &ComponentName,
        all: Vec<Handover<Leads, u64>>,
    ) {
        for handover in all {
            self.handed_over(node, handover, component);
        }
    }

    pub(super) fn give_back(&mut self, node: usize, component: &ComponentName, seat: Seat) {
        let now = self.moment(node);
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else { return };
        let given = pool.pool.give_back(seat, now);
        if let Some(Leads::Here(container)) = given.left {
            self.instance_is_idle(node, component, container);
        }
        if let Some(handover) = given.handover {
            self.handed_over(node, handover, component);
        }
    }

    /// An attempt at an instance of this node has ended.
    pub(super) fn local_ended(&mut self, node: usize, id: u64, container: u64, done: bool) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let component = request.component.clone();
        if !done {
            // One that was told to end should have had no request left.
            let told = self.nodes[node].containers.get(&container).is_some_and(|one| one.stopping);
            request.crashed |= !told;
            self.suspect_instance(node, &component, container);
        }
        let Some(request) = self.requests.get_mut(&id) else { return };
        let run = self.nodes[node].daemon.as_ref().map(|daemon| daemon.run);
        if let At::Here { seat, container: at } = request.at
            && request.entry == node
            && at == container
        {
            request.at = At::Nowhere;
            let open = !request.closed;
            self.give_back(node, &component, seat);
            match done {
                _ if !open => self.forget_if_over(id),
                true => self.end(id, Outcome::Served),
                false => self.after_failure(id, place(container), false),
            }
            return;
        }
        let mine = |remote: &Remote| {
            remote.node == node
                && Some(remote.run) == run
                && remote.slot.is_some_and(|slot| slot.1 == container)
        };
        let Some(index) = request.remotes.iter().position(mine) else { return };
        let again = !done && request.idempotent && request.remotes[index].tries < MAX_TRIES;
        let Some((seat, _)) = request.remotes[index].slot.take() else { return };
        if again {
            request.remotes[index].tries += 1;
            self.give_back(node, &component, seat);
            self.enter_remote(id, node, Some(place(container)));
            return;
        }
        let remote = request.remotes.remove(index);
        self.give_back(node, &component, seat);
        let told = self.told(node, &component);
        let answer = if done { told } else { Relayed::Failed };
        self.answer_relay(node, remote.question, answer);
        self.forget_if_over(id);
    }

    pub(super) fn told(&mut self, node: usize, component: &ComponentName) -> Relayed {
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else {
            return Relayed::NotHere;
        };
        let instances = u32::try_from(pool.rotation.len()).unwrap_or(u32::MAX);
        Relayed::Served { in_flight: pool.pool.demand().level(), instances }
    }

    pub(super) fn answer_relay(&mut self, node: usize, (to, run, call): (usize, u64, u64), answer: Relayed) {
        self.answer_call(node, to, run, call, super::messages::Answer::Relayed(answer));
    }

    /// Another attempt, if there may be one.
    pub(super) fn after_failure(&mut self, id: u64, avoid: Place, unsent: bool) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.tries += 1;
        if (request.idempotent || unsent) && request.tries < MAX_TRIES && self.now < request.deadline {
            self.attempt(id, Some(avoid));
        } else {
            self.end(id, Outcome::Failed);
        }
    }

    pub(super) fn end(&mut self, id: u64, outcome: Outcome) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if std::mem::replace(&mut request.closed, true) {
            return;
        }
        self.judge(id, outcome);
        self.forget_if_over(id);
    }

    pub(super) fn forget_if_over(&mut self, id: u64) {
        let over = |request: &Request| {
            request.closed && request.remotes.is_empty() && !matches!(request.at, At::Here { .. })
        };
        if self.requests.get(&id).is_some_and(over) {
            self.requests.remove(&id);
        }
    }

    pub(super) fn deadline(&mut self, id: u64) {
        let Some(request) = self.requests.get(&id).filter(|request| !request.closed) else { return };
        let (node, component) = (request.entry, request.component.clone());
        let alive = self.nodes[node].daemon.as_ref().is_some_and(|daemon| daemon.run == request.entry_run);
        if !alive {
            self.end(id, Outcome::Lost);
            return;
        }
        // Judged as it stands.
        self.judge_timeout(id);
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.closed = true;
        let at = request.at.clone();
        let waiting: Vec<usize> =
            request.remotes.iter().filter(|remote| remote.slot.is_none()).map(|remote| remote.node).collect();
        match at {
            At::Line => self.leave_line(node, &component, id),
            At::There { seat, .. } => {
                request.at = At::Nowhere;
                self.give_back(node, &component, seat);
            }
            At::Here { .. } | At::Nowhere => {}
        }
        for other in waiting {
            self.leave_line(other, &component, id);
            if let Some(request) = self.requests.get_mut(&id) {
                request.remotes.retain(|remote| remote.node != other || remote.slot.is_some());
            }
        }
        if let Some(request) = self.requests.get_mut(&id)
            && request.at == At::Line
        {
            request.at = At::Nowhere;
        }
        self.forget_if_over(id);
    }

    fn leave_line(&mut self, node: usize, component: &ComponentName, id: u64) {
        let now = self.moment(node);
        let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(component)) else { return };
        if let Some(ticket) = pool.tickets.remove(&id) {
            pool.pool.leave(ticket, now);
            pool.settle();
        }
    }
}
