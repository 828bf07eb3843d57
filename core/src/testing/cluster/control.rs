//! The driver of control on each node: passes when something changes, asks and tells whoever decides, takes
//! orders. As the daemon's `control`; what the decider does is in [`super::decider`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Planted,
    agenda::Wake,
    decider::{Lead, Placing},
    messages::{Answer, Message, Packet, Purpose, Targets},
    node::Node,
    router::Pool,
    world::World,
};
use crate::{
    decide::{
        autoscale::{Demand, QUEUE_PATIENCE},
        lease::Term,
        pool::Standing,
        scheduler::{Reading, Scheduler},
    },
    names::{ComponentName, NodeId, Role},
    time::Moment,
    wire::{NodeStatus, ReportDemandInput},
};

pub(super) const ROLE: &str = "placement";
const TICK: Duration = Duration::from_secs(1);
/// Between passes for what peers tell.
pub(super) const GAP: Duration = Duration::from_millis(20);
const ASK_FIRST: Duration = Duration::from_millis(250);
const ASK_LAST: Duration = Duration::from_secs(1);
const ASK_LIMIT: Duration = Duration::from_secs(4);
const REPORT_LIMIT: Duration = Duration::from_secs(1);
const QUIET_REPEAT: Duration = Duration::from_secs(10);
const FORGOTTEN: Duration = Duration::from_secs(120);

#[derive(Default)]
pub(super) struct Control {
    /// When the next pass is due, in true time.
    due: Option<u64>,
    last: Option<Moment>,
    pub(super) scheduler: Scheduler,
    pub(super) lead: Option<Lead>,
    pub(super) look_again: Option<Duration>,
    pub(super) placing: Vec<Placing>,
    /// Components that somebody is asked for, and the next pause.
    asking: BTreeMap<ComponentName, Duration>,
    sequence: i64,
    reporting: bool,
    quiet: Option<(NodeId, Moment)>,
}

// === impl World: the loop ===

impl World {
    pub(super) fn tick(&mut self, node: usize) {
        self.wake_in(node, TICK, Wake::Tick);
        self.pass_soon(node, Duration::ZERO);
    }

    /// A pass is due, at least `gap` after the last one.
    pub(super) fn pass_soon(&mut self, node: usize, gap: Duration) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let moment = daemon.control.last.map_or(now, |last| now.max(last + gap));
        self.pass_at(node, moment);
    }

    fn pass_at(&mut self, node: usize, moment: Moment) {
        let at = self.nodes[node].clock.when(moment).max(self.now);
        let Some(daemon) = self.daemon(node) else { return };
        if daemon.control.due.is_none_or(|due| due > at) {
            daemon.control.due = Some(at);
            self.wake(node, at, Wake::Pass);
        }
    }

    pub(super) fn pass_due(&mut self, node: usize) {
        let (true_now, now) = (self.now, self.moment(node));
        let Some(daemon) = self.daemon(node) else { return };
        if daemon.control.due.is_none_or(|due| due > true_now) {
            return;
        }
        daemon.control.due = None;
        daemon.control.last = Some(now);
        self.follow_role(node);
        if self.leads(node) {
            self.decide_all(node);
        } else {
            self.ask_for_places(node);
            self.report_demand(node);
        }
        if let Some(left) = self.patience(node) {
            self.pass_at(node, now + left);
        }
    }

    pub(super) fn leads(&self, node: usize) -> bool {
        self.nodes[node].daemon.as_ref().is_some_and(|daemon| daemon.control.lead.is_some())
    }

    /// Somebody waits and there is no instance.
    pub(super) fn demanded(&mut self, node: usize) {
        if self.leads(node) { self.decide_for_demand(node) } else { self.ask_for_places(node) }
    }

    fn patience(&mut self, node: usize) -> Option<Duration> {
        let now = self.moment(node);
        let daemon = self.daemon(node)?;
        let mut least: Option<Duration> = daemon.control.look_again;
        for pool in daemon.pools.values_mut() {
            let Some(since) = pool.pool.waiting_since() else { continue };
            let served = pool.pool.members().any(|member| member.standing == Standing::InRotation);
            if let Some(left) = QUEUE_PATIENCE.checked_sub(now.since(since)).filter(|_| served) {
                least = Some(least.map_or(left, |least| least.min(left)));
            }
        }
        least.filter(|left| !left.is_zero())
    }
}

// === impl World: asking and telling ===

impl World {
    fn decider(&self, node: usize) -> Option<NodeId> {
        let (owner, _) = self.owner_of(node, &Role::new(ROLE))?;
        (owner != self.nodes[node].id).then_some(owner)
    }

    fn ask_for_places(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        let starving = daemon.pools.iter().filter(|(_, pool)| pool.is_starving());
        let new = starving.filter(|(name, _)| !daemon.control.asking.contains_key(*name));
        let new: Vec<ComponentName> = new.map(|(name, _)| name.clone()).collect();
        for component in new {
            if let Some(daemon) = self.daemon(node) {
                daemon.control.asking.insert(component.clone(), ASK_FIRST);
            }
            self.ask(node, &component);
        }
    }

    fn ask(&mut self, node: usize, component: &ComponentName) {
        match self.decider(node) {
            Some(decider) => {
                let (message, purpose) =
                    (Message::Place(component.clone()), Purpose::Place(component.clone()));
                self.call(node, &decider, message, ASK_LIMIT, purpose);
            }
            None => self.wake_in(node, ASK_LAST, Wake::Ask(component.clone())),
        }
    }

    pub(super) fn ask_again(&mut self, node: usize, component: &ComponentName) {
        let leads = self.leads(node);
        let Some(daemon) = self.daemon(node) else { return };
        let starving = daemon.pools.get(component).is_some_and(Pool::is_starving);
        if starving && !leads {
            self.ask(node, component);
            return;
        }
        daemon.control.asking.remove(component);
        if starving {
            self.pass_soon(node, Duration::ZERO);
        }
    }

    pub(super) fn place_answered(&mut self, node: usize, component: &ComponentName, answer: Answer) {
        match answer {
            Answer::Placed(status) => self.observe(node, NodeStatus::clone(&status)),
            Answer::NotPlaced { for_good: Some(after) } => {
                let until = self.moment(node) + Duration::from_micros(after);
                let Some(daemon) = self.daemon(node) else { return };
                if daemon.pools.get(component).is_some_and(Pool::is_starving) {
                    self.refuse(node, component, until);
                }
            }
            _ => {}
        }
        self.place_failed(node, component);
    }

    pub(super) fn place_failed(&mut self, node: usize, component: &ComponentName) {
        let Some(daemon) = self.daemon(node) else { return };
        let Some(pause) = daemon.control.asking.get_mut(component) else { return };
        let now = *pause;
        *pause = (now * 2).min(ASK_LAST);
        self.wake_in(node, now, Wake::Ask(component.clone()));
    }

    fn report_demand(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(decider) = self.decider(node) else { return };
        let id = self.nodes[node].id.to_string();
        let Some(daemon) = self.daemon(node) else { return };
        let mut components = Vec::new();
        for (name, pool) in &mut daemon.pools {
            let kept = pool.component.scaling.idle_timeout + FORGOTTEN;
            let told = reading(pool, now);
            if told.in_rotation > 0 || told.demand.last_request.is_some_and(|age| age < kept) {
                components.push(told.wire(name));
            }
        }
        let control = &mut daemon.control;
        let told = control.quiet.as_ref().is_some_and(|(who, at)| {
            components.is_empty() && *who == decider && now.since(*at) < QUIET_REPEAT
        });
        if told || control.reporting {
            return;
        }
        control.reporting = true;
        control.sequence += 1;
        let quiet = components.is_empty();
        let input = ReportDemandInput {
            node_id: id,
            incarnation: daemon.incarnation.to_string(),
            sequence: control.sequence,
            components,
        };
        let purpose = Purpose::Report { decider: decider.clone(), quiet };
        self.call(node, &decider, Message::Report(Arc::new(input)), REPORT_LIMIT, purpose);
    }

    pub(super) fn report_answered(&mut self, node: usize, decider: NodeId, quiet: bool, accepted: bool) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        daemon.control.reporting = false;
        daemon.control.quiet = (accepted && quiet).then_some((decider, now));
    }
}

// === impl World: orders ===

impl World {
    /// False: an older term than the highest that was heard of.
    pub(super) fn take_term(&mut self, node: usize, term: Term) -> bool {
        let fences = self.story.planted != Some(Planted::NoFencing);
        let Some(daemon) = self.daemon(node) else { return false };
        if fences && term < daemon.term {
            return false;
        }
        daemon.term = daemon.term.max(term);
        true
    }

    pub(super) fn take_order(&mut self, node: usize, packet: &Packet, targets: &Targets) {
        let answer = match self.set_targets(node, targets) {
            Some(_) => Answer::Status(self.shared_status(node)),
            None => Answer::OldTerm,
        };
        self.answer(node, packet, answer);
    }

    /// `None`: not of this term. `Some(None)`: not on this version. Else what was set.
    pub(super) fn set_targets(
        &mut self,
        node: usize,
        targets: &Targets,
    ) -> Option<Option<Vec<ComponentName>>> {
        let highest = self.nodes[node].daemon.as_ref().map_or(Term(0), |daemon| daemon.term);
        if !self.take_term(node, targets.term) {
            return None;
        }
        let daemon = self.daemon(node)?;
        if daemon.version != targets.base || daemon.incarnation != targets.incarnation {
            return Some(None);
        }
        self.check_order(node, targets, highest);
        let daemon = self.daemon(node)?;
        let (mut set, mut told) = (Vec::new(), Vec::new());
        for (name, count) in &targets.counts {
            let Some(unit) = daemon.units.get_mut(name).filter(|unit| unit.component.is_some()) else {
                continue;
            };
            if std::mem::replace(&mut unit.target, *count) != *count {
                set.push(name.clone());
            }
            told.push((name.clone(), *count));
        }
        self.note(|world| format!("{} is told {told:?} in term {}", world.nodes[node].id, targets.term.0));
        for name in &set {
            self.converge_soon(node, name);
        }
        if !set.is_empty() {
            self.changed(node);
        }
        Some(Some(set))
    }
}

/// What this node is asked for.
pub(super) fn reading(pool: &mut Pool, now: Moment) -> Reading {
    let starving = pool.is_starving();
    let in_rotation = u32::try_from(pool.rotation.len()).unwrap_or(u32::MAX);
    Reading { demand: Demand::of(&mut pool.pool, now), in_rotation, starving }
}

pub(super) fn index(id: &NodeId) -> usize {
    Node::index_of(id)
}
