//! What the owner of role `placement` does: fences, looks, decides, orders. As the daemon's `control::lead`,
//! `pass`, `orders` and `place`.

use std::time::Duration;

use super::{
    Planted,
    agenda::Wake,
    control::{ROLE, reading},
    messages::{Answer, Message, Packet, Purpose, Targets},
    world::World,
};
use crate::{
    decide::{
        lease::Term,
        placement::NodeView,
        scheduler::{
            self, ComponentState, FENCE_LIMIT, NodeState, Order, Outcome, Plan, Reading, Reports, Roster,
            Runs,
        },
    },
    names::{ComponentName, NodeId, Role},
    time::Moment,
    wire::{NodeStatus, ReportDemandInput},
};

const AUTOSCALE: &str = "autoscale";
const ORDER_LIMIT: Duration = Duration::from_secs(2);
const PLACE_LIMIT: Duration = Duration::from_secs(3);
const PLACE_STEP: Duration = Duration::from_millis(50);
const MAX_TRIES: usize = 4;

pub(super) struct Lead {
    pub(super) term: Term,
    pub(super) reports: Reports,
    roster: Roster,
}

/// A peer waits to hear where a component was placed.
pub(super) struct Placing {
    to: usize,
    run: u64,
    call: u64,
    component: ComponentName,
    ends: Moment,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Demand,
}

// === impl World: the role ===

impl World {
    pub(super) fn follow_role(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let owned = daemon.lease.owns(&Role::new(ROLE), now);
        if daemon.control.lead.as_ref().map(|lead| lead.term) != owned {
            daemon.control.scheduler.forget();
            if daemon.control.lead.take().is_some() {
                self.want_role_no_more(node, &Role::new(AUTOSCALE));
            }
            if let Some(term) = owned {
                self.begin_to_lead(node, term);
            }
        }
        if self.leads(node) {
            self.fence_all(node);
        }
    }

    fn begin_to_lead(&mut self, node: usize, term: Term) {
        let now = self.moment(node);
        if !self.take_term(node, term) {
            return;
        }
        let Some(daemon) = self.daemon(node) else { return };
        let roster = Roster::new(&daemon.membership.view());
        daemon.control.lead = Some(Lead { term, reports: Reports::new(now), roster });
        self.note(|world| format!("{} decides in term {}", world.nodes[node].id, term.0));
        self.want_role(node, Role::new(AUTOSCALE));
    }

    fn fence_all(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let peers = daemon.membership.view();
        let Some(lead) = &mut daemon.control.lead else { return };
        let (fence, term) = (lead.roster.to_ask(&peers, now), lead.term);
        for id in fence {
            let message = Message::GetStatus { status: None, term: Some(term) };
            self.call(node, &id, message, FENCE_LIMIT, Purpose::Fence { node: id.clone(), term });
        }
    }

    pub(super) fn fence_answered(&mut self, node: usize, peer: &NodeId, term: Term, answer: Answer) {
        let Answer::Status(status) = answer else { return self.fenced(node, peer, term, None) };
        self.observe(node, NodeStatus::clone(&status));
        self.fenced(node, peer, term, Some(&status));
    }

    pub(super) fn fence_failed(&mut self, node: usize, peer: &NodeId, term: Term) {
        self.fenced(node, peer, term, None);
    }

    fn fenced(&mut self, node: usize, peer: &NodeId, term: Term, status: Option<&NodeStatus>) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let Some(lead) = daemon.control.lead.as_mut().filter(|lead| lead.term == term) else { return };
        lead.roster.answered(peer, status, now);
        self.pass_soon(node, Duration::ZERO);
    }

    pub(super) fn take_report(&mut self, node: usize, packet: &Packet, report: &ReportDemandInput) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let leads = daemon.control.lead.is_some();
        if let Some(lead) = &mut daemon.control.lead {
            lead.reports.take(report, now);
            if report.components.iter().any(|told| told.waiting > 0 || told.starving) {
                self.pass_soon(node, Duration::ZERO);
            }
        }
        self.answer(node, packet, Answer::Reported(leads));
    }
}

// === impl World: a pass ===

impl World {
    pub(super) fn decide_all(&mut self, node: usize) {
        self.decide(node, Scope::All);
    }

    pub(super) fn decide_for_demand(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        if daemon.pools.values().any(super::router::Pool::is_starving) {
            self.decide(node, Scope::Demand);
        }
    }

    fn decide(&mut self, node: usize, scope: Scope) {
        let now = self.moment(node);
        for _ in 0..MAX_TRIES {
            let Some(world) = self.world_of(node) else { return };
            self.meter.passed(self.now);
            let Some(daemon) = self.daemon(node) else { return };
            let plan = match scope {
                Scope::All => daemon.control.scheduler.pass(&world, now),
                Scope::Demand => daemon.control.scheduler.answer_demand(&world, now),
            };
            daemon.control.look_again = plan.look_again;
            if self.carry_out(node, plan, world.term) {
                return;
            }
        }
    }

    /// `None`: another node decides, not all were fenced yet, or this one has not looked yet at what its last
    /// run left.
    pub(super) fn world_of(&mut self, node: usize) -> Option<scheduler::World> {
        let now = self.moment(node);
        let forgets = self.story.planted == Some(Planted::ForgetsSilent);
        let trusts = self.story.planted == Some(Planted::TrustsItsRight);
        let own = self.status(node);
        let daemon = self.daemon(node)?;
        let owned = daemon.lease.owns(&Role::new(ROLE), now);
        let confirmed = daemon.lease.confirmed_at();
        let mut peers = daemon.membership.view();
        if forgets {
            peers.retain(|peer| peer.silent_since.is_none());
        }
        let lead = daemon.control.lead.as_mut().filter(|lead| lead.roster.is_ready())?;
        let term = owned.filter(|term| *term == lead.term)?;
        let ids: Vec<NodeId> = peers.iter().map(|peer| NodeId::new(peer.status.node_id.as_str())).collect();
        lead.reports.look(&ids, now);
        let components = daemon.pools.iter_mut().map(|(name, pool)| {
            let component = pool.component.clone();
            let Reading { demand, in_rotation, starving } = lead.reports.total(name, reading(pool, now), now);
            ComponentState { component, demand, in_rotation, starving }
        });
        let components = components.collect();
        let own = NodeState::of(&own);
        if own.adopting {
            return None;
        }
        let mut nodes = vec![own];
        nodes.extend(peers.iter().map(|peer| lead.roster.state_of(peer, now)));
        let confirmed_ago = match trusts {
            true => Duration::ZERO,
            false => confirmed.map_or(Duration::MAX, |at| now.since(at)),
        };
        Some(scheduler::World { term, confirmed_ago, components, nodes })
    }

    /// False: this node's targets were changed meanwhile.
    fn carry_out(&mut self, node: usize, plan: Plan, term: Term) -> bool {
        let now = self.moment(node);
        let id = self.nodes[node].id.clone();
        let mut current = true;
        for told in &plan.told {
            self.note(|world| {
                format!("{}: {} ({})", world.nodes[node].id, told.message, told.reasons.join("; "))
            });
        }
        for order in plan.orders {
            self.check_ordering(node);
            if order.node == id {
                current &= self.order_here(node, &order, term);
            } else {
                let purpose = Purpose::Order { node: order.node.clone(), id: order.id };
                let message = Message::StartStop(targets(&order, term));
                self.note(|world| {
                    let counts: Vec<String> = order
                        .changes
                        .iter()
                        .map(|c| format!("{} {}→{}", c.component, c.from, c.to))
                        .collect();
                    format!(
                        "{} orders {}: {} on {}",
                        world.nodes[node].id,
                        order.node,
                        counts.join(", "),
                        order.base
                    )
                });
                self.call(node, &order.node, message, ORDER_LIMIT, purpose);
            }
        }
        for refused in plan.refused {
            let component = refused.why.component.clone();
            let Some(daemon) = self.daemon(node) else { return true };
            if daemon.pools.get(&component).is_some_and(super::router::Pool::is_starving) {
                self.refuse(node, &component, now + refused.retry_after);
            }
        }
        for component in plan.relieved {
            self.relent(node, &component);
        }
        current
    }

    fn order_here(&mut self, node: usize, order: &Order, term: Term) -> bool {
        let set = self.set_targets(node, &targets(order, term));
        let Some(daemon) = self.daemon(node) else { return true };
        let scheduler = &mut daemon.control.scheduler;
        match set {
            Some(Some(made)) => {
                scheduler.answered(order.id, &Outcome::Done(&made));
                true
            }
            Some(None) => {
                scheduler.answered(order.id, &Outcome::Refused);
                false
            }
            None => {
                scheduler.answered(order.id, &Outcome::Refused);
                true
            }
        }
    }

    pub(super) fn order_answered(&mut self, node: usize, id: u64, answer: Answer) {
        let view: Option<NodeView> = match answer {
            Answer::Status(status) => {
                let view = NodeState::of(&status).view;
                self.observe(node, NodeStatus::clone(&status));
                Some(view)
            }
            _ => None,
        };
        let outcome = view.as_ref().map_or(Outcome::Refused, Outcome::Shown);
        self.order_ended(node, id, &outcome);
    }

    pub(super) fn order_lost(&mut self, node: usize, id: u64) {
        self.order_ended(node, id, &Outcome::Lost);
    }

    fn order_ended(&mut self, node: usize, id: u64, outcome: &Outcome<'_>) {
        let Some(daemon) = self.daemon(node) else { return };
        daemon.control.scheduler.answered(id, outcome);
        self.pass_soon(node, Duration::ZERO);
        self.place_waiting(node);
    }
}

fn targets(order: &Order, term: Term) -> Targets {
    let counts = order.changes.iter().map(|change| (change.component.clone(), change.to));
    Targets { term, base: order.base, incarnation: order.incarnation.clone(), counts: counts.collect() }
}

// === impl World: placing because a peer says so ===

impl World {
    pub(super) fn place_asked(&mut self, node: usize, packet: &Packet, component: ComponentName) {
        let ends = self.moment(node) + PLACE_LIMIT;
        let Some(daemon) = self.daemon(node) else { return };
        if daemon.control.lead.is_none() || !daemon.pools.contains_key(&component) {
            self.answer(node, packet, Answer::NotPlaced { for_good: None });
            return;
        }
        let placing = Placing { to: packet.from, run: packet.from_run, call: packet.call, component, ends };
        daemon.control.placing.push(placing);
        self.place_waiting(node);
    }

    pub(super) fn place_waiting(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let waiting = std::mem::take(&mut daemon.control.placing);
        if waiting.is_empty() {
            return;
        }
        for one in &waiting {
            if let Some(pool) = daemon.pools.get_mut(&one.component) {
                pool.pool.demand().touch(now);
            }
        }
        self.decide_all(node);
        let mut left = Vec::new();
        for one in waiting {
            match self.placed(node, &one.component) {
                None if now < one.ends && self.leads(node) => left.push(one),
                answer => {
                    let answer = answer.unwrap_or(Answer::NotPlaced { for_good: None });
                    self.answer_call(node, one.to, one.run, one.call, answer);
                }
            }
        }
        if !left.is_empty() {
            if let Some(daemon) = self.daemon(node) {
                daemon.control.placing = left;
            }
            self.wake_in(node, PLACE_STEP, Wake::Placing);
        }
    }

    fn placed(&mut self, node: usize, component: &ComponentName) -> Option<Answer> {
        let now = self.moment(node);
        let world = self.world_of(node)?;
        let daemon = self.daemon(node)?;
        let runs = daemon.control.scheduler.runs(component, &world, now);
        if let Runs::On(there) = &runs {
            let known = daemon.membership.get(there).map(|peer| peer.status);
            return Some(Answer::Placed(known.unwrap_or_else(|| self.shared_status(node))));
        }
        let refused = daemon.control.scheduler.refusal(component, now).filter(|_| runs == Runs::Nowhere)?;
        Some(Answer::NotPlaced { for_good: Some(super::world::micros(refused.retry_after)) })
    }
}
