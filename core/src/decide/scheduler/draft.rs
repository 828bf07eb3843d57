//! The nodes while a pass decides: their targets as they are taken to be, and as they shall be.

use std::collections::BTreeMap;

use super::{
    LOST_AFTER, World,
    orders::Orders,
    plan::TargetChange,
    world::{Instances, NodeState},
};
use crate::{
    component::Component,
    decide::placement::{NodeView, Notes},
    names::{ComponentName, NodeId},
    time::Moment,
};

pub(super) struct Draft<'a> {
    pub(super) world: &'a World,
    /// Nodes that are not lost.
    pub(super) nodes: BTreeMap<NodeId, Desk<'a>>,
    /// What these run may still be there.
    lost: Vec<Desk<'a>>,
    /// Since somebody fell silent it was not confirmed that nobody else decides.
    unconfirmed: bool,
}

/// One node.
pub(super) struct Desk<'a> {
    pub(super) state: &'a NodeState,
    /// With the targets that it shall have.
    pub(super) view: NodeView,
    /// The targets that it is taken to have.
    before: BTreeMap<ComponentName, u32>,
    reasons: BTreeMap<ComponentName, Vec<String>>,
    /// The most that orders in doubt may have made of its targets.
    doubts: BTreeMap<ComponentName, u32>,
    /// Takes nothing new.
    pub(super) closed: bool,
    /// May get an order now.
    pub(super) orderable: bool,
}

// === impl Draft ===

impl<'a> Draft<'a> {
    pub(super) fn new(world: &'a World, orders: &Orders, now: Moment) -> Self {
        let is_lost = |node: &&NodeState| node.silent_for.is_some_and(|silent| silent >= LOST_AFTER);
        let (lost, here): (Vec<_>, Vec<_>) = world.nodes.iter().partition(is_lost);
        let desk = |state: &'a NodeState| (state.view.id.clone(), Desk::new(state, orders, now));
        let lost = lost.into_iter().map(|state| Desk::new(state, orders, now)).collect();
        let since = |node: &NodeState| node.silent_for.is_some_and(|silent| silent < world.confirmed_ago);
        let unconfirmed = world.nodes.iter().any(since);
        Self { world, nodes: here.into_iter().map(desk).collect(), lost, unconfirmed }
    }

    /// Nothing but this node is there: it looks after its limits itself.
    pub(super) fn is_single(&self) -> bool {
        self.nodes.len() == 1 && self.lost.is_empty()
    }

    /// Instances that the nodes are to run, those of lost nodes aside.
    pub(super) fn total(&self, component: &ComponentName) -> u32 {
        self.nodes.values().map(|desk| desk.target(component)).sum()
    }

    /// Instances that may be there, whatever the targets say: still ending, on lost nodes, in doubt, on nodes
    /// of which nothing is known; and all that are allowed if somebody else may decide soon, who knows nothing
    /// of what is begun here.
    pub(super) fn possible(&self, component: &ComponentName) -> u32 {
        if self.unconfirmed {
            return u32::MAX;
        }
        let desks = self.lost.iter().chain(self.nodes.values());
        desks.map(|desk| desk.possible(component)).fold(0, u32::saturating_add)
    }

    /// Of those the ones on nodes that are there: what is too many of them ends soon.
    pub(super) fn present(&self, component: &ComponentName) -> u32 {
        self.nodes.values().map(|desk| desk.possible(component)).fold(0, u32::saturating_add)
    }

    /// What is possible if one more goes to `node`, which looks itself after what is still ending there.
    pub(super) fn possible_with_more_on(&self, node: &NodeId, component: &ComponentName) -> u32 {
        let desk = &self.nodes[node];
        let others = self.possible(component).saturating_sub(desk.possible(component));
        others.saturating_add(desk.target(component) + 1)
    }

    pub(super) fn target(&self, node: &NodeId, component: &ComponentName) -> u32 {
        self.nodes.get(node).map_or(0, |desk| desk.target(component))
    }

    pub(super) fn is_orderable(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|desk| desk.orderable)
    }

    pub(super) fn instances(&self, node: &NodeId, component: &ComponentName) -> Instances {
        self.nodes.get(node).map(|desk| desk.state.instances_of(component)).unwrap_or_default()
    }

    pub(super) fn set(&mut self, node: &NodeId, component: &ComponentName, count: u32, reasons: &[String]) {
        if let Some(desk) = self.nodes.get_mut(node) {
            desk.set(component, count, reasons);
        }
    }

    pub(super) fn raise(&mut self, node: &NodeId, component: &ComponentName, reason: String) {
        let count = self.target(node, component) + 1;
        self.set(node, component, count, &[reason]);
    }

    pub(super) fn lower(&mut self, node: &NodeId, component: &ComponentName, reason: String) {
        let count = self.target(node, component).saturating_sub(1);
        self.set(node, component, count, &[reason]);
    }

    pub(super) fn is_changed(&self, component: &ComponentName) -> bool {
        self.nodes.values().any(|desk| desk.target(component) != desk.before(component))
    }

    /// For placement, which keeps what draining nodes have: moves take it away when it runs elsewhere.
    pub(super) fn views(&self) -> Vec<NodeView> {
        self.nodes.values().map(|desk| NodeView { draining: false, ..desk.view.clone() }).collect()
    }

    pub(super) fn notes(&self) -> BTreeMap<NodeId, Notes> {
        let single = self.is_single();
        let note = |(id, desk): (&NodeId, &Desk<'_>)| {
            let unserving = if single { BTreeMap::new() } else { desk.unserving() };
            let draining = desk.view.draining;
            let notes =
                Notes { closed: desk.closed || draining, leaving: draining, unserving, ..Notes::default() };
            (notes != Notes::default()).then(|| (id.clone(), notes))
        };
        self.nodes.iter().filter_map(note).collect()
    }

    /// What is reserved on a node, in MiB.
    pub(super) fn reserved_mib(&self, node: &NodeId) -> u64 {
        let view = &self.nodes[node].view;
        let reserve = |(name, count): (&ComponentName, &u32)| {
            let component = self.world.component(name);
            u64::from(*count) * component.map_or(0, |state| state.component.docker.reserve_memory_mib)
        };
        let instances: u64 = view.targets.iter().chain(&view.standby).map(reserve).sum();
        view.other_memory_mib.saturating_add(instances)
    }

    /// Whether an instance more has room.
    pub(super) fn fits(&self, node: &NodeId, component: &Component) -> bool {
        let desk = &self.nodes[node];
        let limit = component.scaling.max_instances_per_node;
        limit.is_none_or(|limit| desk.target(&component.name) < limit.get())
            && self.reserved_mib(node) + component.docker.reserve_memory_mib <= desk.view.total_memory_mib
    }

    /// The last word: takes back what would exceed `maxinstances`.
    pub(super) fn hold_limits(&mut self) {
        if self.is_single() {
            return;
        }
        let world = self.world;
        for state in &world.components {
            let component = &state.component;
            let Some(max) = component.scaling.max_instances else { continue };
            let raised = |desk: &Desk<'_>| desk.target(&component.name) > desk.before(&component.name);
            let ids: Vec<NodeId> =
                self.nodes.iter().filter(|(_, desk)| raised(desk)).map(|(id, _)| id.clone()).collect();
            for id in ids {
                while raised(&self.nodes[&id])
                    && self.possible_with_more_on(&id, &component.name) > max.get() + 1
                {
                    let count = self.target(&id, &component.name) - 1;
                    self.set(&id, &component.name, count, &[]);
                }
            }
        }
    }
}

// === impl Desk ===

impl<'a> Desk<'a> {
    fn new(state: &'a NodeState, orders: &Orders, now: Moment) -> Self {
        let overlay = orders.overlay(state, now);
        let mut view = state.view.clone();
        for change in overlay.assumed.iter().flat_map(|order| &order.changes) {
            let before = view.targets.insert(change.component.clone(), change.to).unwrap_or(0);
            if let Some(standby) = view.standby.get_mut(&change.component) {
                *standby = standby.saturating_sub(change.to.saturating_sub(before));
            }
        }
        let mut doubts = BTreeMap::new();
        for change in overlay.doubtful.iter().flat_map(|order| &order.changes) {
            let most: &mut u32 = doubts.entry(change.component.clone()).or_default();
            *most = change.to.max(*most);
        }
        let answers = state.silent_for.is_none() && state.fenced && !state.adopting;
        Self {
            state,
            before: view.targets.clone(),
            view,
            reasons: BTreeMap::new(),
            doubts,
            closed: !answers || overlay.slow,
            orderable: answers && !overlay.busy,
        }
    }

    pub(super) fn target(&self, component: &ComponentName) -> u32 {
        self.view.targets.get(component).copied().unwrap_or(0)
    }

    fn before(&self, component: &ComponentName) -> u32 {
        self.before.get(component).copied().unwrap_or(0)
    }

    /// Components that it is to have less of.
    pub(super) fn lowered(&self) -> impl Iterator<Item = &ComponentName> {
        self.view.targets.iter().filter(|(name, count)| self.before(name) > **count).map(|(name, _)| name)
    }

    fn possible(&self, component: &ComponentName) -> u32 {
        if self.state.is_obscure() {
            // As many as any limit allows.
            return u32::MAX;
        }
        let doubt = self.doubts.get(component).copied().unwrap_or(0);
        // What shall be less may stay more: its order can be refused.
        let target = self.target(component).max(self.before(component));
        target.max(doubt).max(self.state.instances_of(component).live())
    }

    fn set(&mut self, component: &ComponentName, count: u32, reasons: &[String]) {
        self.view.targets.insert(component.clone(), count);
        self.reasons.entry(component.clone()).or_default().extend_from_slice(reasons);
    }

    /// Instances that are to run and don't serve.
    fn unserving(&self) -> BTreeMap<ComponentName, u32> {
        let missing = |(name, count): (&ComponentName, &u32)| {
            let missing = count.saturating_sub(self.state.instances_of(name).serving);
            (missing > 0).then(|| (name.clone(), missing))
        };
        self.view.targets.iter().filter_map(missing).collect()
    }

    /// What differs from what the node is taken to have.
    pub(super) fn changes(&mut self) -> Vec<TargetChange> {
        let mut changes = Vec::new();
        for (component, to) in &self.view.targets {
            let from = self.before.get(component).copied().unwrap_or(0);
            if from != *to {
                let mut reasons = self.reasons.remove(component).unwrap_or_default();
                reasons.dedup();
                changes.push(TargetChange { component: component.clone(), from, to: *to, reasons });
            }
        }
        changes
    }
}
