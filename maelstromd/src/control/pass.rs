//! One pass: look, decide, tell the node, answer those who can't be helped. Synchronous from the look to
//! the targets, and safe to repeat at any time.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use maelstrom_core::{
    component::Component,
    decide::placement::{self, Change, NodeView, Placement, Unplaceable, Wanted},
    journal::Kind,
    names::ComponentName,
    time::Moment,
};

use super::{Control, Memory, Remembered, Target, scale};
use crate::{
    clock,
    journal::Entry,
    router::{ComponentPool, Phase},
};

/// Passes from a fresh view after the node's targets were changed under one: each means that another's
/// change went through. The next tick tries again.
const MAX_TRIES: usize = 4;

/// Counts that were decided, with why.
struct Plan {
    view: NodeView,
    wanted: Vec<Wanted>,
    placement: Placement,
    entries: Vec<Entry>,
}

// === impl Control ===

impl Control {
    /// Scales and places all components.
    pub(super) fn pass(&self, now: Moment) {
        let generation = self.router.generation();
        if generation == 0 {
            return;
        }
        let pools = self.router.pools();
        let mut memory = self.memory.lock();
        memory.generation = generation;
        memory.forget_all_but(&pools);
        for _ in 0..MAX_TRIES {
            let mut entries = Vec::new();
            let view = self.targets.view();
            let wanted = pools.iter().map(|pool| {
                let current = view.targets.get(pool.name()).copied().unwrap_or(0);
                let known = memory.components.entry(pool.name().clone()).or_default();
                wanted(&pool.component(), known.scale(pool, current, now, &mut entries))
            });
            let wanted: Vec<Wanted> = wanted.collect();
            let decided: Vec<u32> = wanted.iter().map(|wanted| wanted.count).collect();
            if self.carry_out(Plan::new(view, wanted, entries), &pools, &mut memory, now) {
                memory.remember(&pools, &decided);
                return;
            }
        }
        tracing::warn!(tries = MAX_TRIES, "the node's targets kept changing; the next tick tries again");
    }

    /// Places components that have waiters and no instance; all other counts stay.
    pub(super) fn answer_demand(&self, now: Moment) {
        let starving = self.router.starving();
        if starving.is_empty() {
            return;
        }
        let pools = self.router.pools();
        let mut memory = self.memory.lock();
        for _ in 0..MAX_TRIES {
            let view = self.targets.view();
            let wanted = pools.iter().map(|pool| {
                let current = view.targets.get(pool.name()).copied().unwrap_or(0);
                let starves = starving.iter().any(|starving| Arc::ptr_eq(starving, pool));
                let component = pool.component();
                let least = if starves { component.scaling.min_instances.max(1) } else { 0 };
                wanted(&component, current.max(least))
            });
            let wanted = wanted.collect();
            if self.carry_out(Plan::new(view, wanted, Vec::new()), &pools, &mut memory, now) {
                return;
            }
        }
    }

    /// False: the node's targets were changed meanwhile, and nothing was done.
    fn carry_out(&self, plan: Plan, pools: &[Arc<ComponentPool>], memory: &mut Memory, now: Moment) -> bool {
        let Plan { view, wanted, placement, entries } = plan;
        let Some(done) = self.tell(&view, &placement.changes) else { return false };
        for entry in entries.into_iter().chain(done.iter().map(|change| entry(change))) {
            self.journal.record(entry);
        }
        let unplaceable: HashMap<&ComponentName, &Unplaceable> =
            placement.unplaceable.iter().map(|unplaceable| (&unplaceable.component, unplaceable)).collect();
        let placed = done.iter().filter(|change| change.from == 0 && change.to > 0);
        let placed: HashSet<&ComponentName> = placed.map(|change| &change.component).collect();
        for (pool, wanted) in pools.iter().zip(&wanted) {
            let known = memory.components.entry(pool.name().clone()).or_default();
            match unplaceable.get(pool.name()) {
                Some(unplaceable) => self.no_place(pool, known, unplaceable, now),
                None => {
                    known.unplaceable = None;
                    // Who comes from now on waits for the instance instead of being turned away.
                    if wanted.count > 0 && known.refusal.end() {
                        pool.relent();
                    }
                }
            }
            if placed.contains(pool.name())
                && let Some(cold_start) = pool.cold_start()
            {
                cold_start.mark(Phase::Placed, clock::now());
            }
        }
        true
    }

    /// Sets the node's targets and returns the changes that it made. A node may leave out a component
    /// that it hasn't heard of yet; the next pass tells it again.
    fn tell<'a>(&self, view: &NodeView, changes: &'a [Change]) -> Option<Vec<&'a Change>> {
        if changes.is_empty() {
            return Some(Vec::new());
        }
        let targets: Vec<Target> = changes.iter().map(target).collect();
        let deltas = self.targets.set_targets(Some(view.version), &targets).ok()?;
        let made = |change: &&Change| deltas.iter().any(|delta| delta.component == change.component);
        Some(changes.iter().filter(made).collect())
    }

    fn no_place(&self, pool: &ComponentPool, known: &mut Remembered, why: &Unplaceable, now: Moment) {
        let told = known.unplaceable.as_ref().is_some_and(|told| {
            (told.obstacle, told.asked_mib, told.missing) == (why.obstacle, why.asked_mib, why.missing)
        });
        if !told {
            let entry = Entry::new(Kind::Unplaceable, why.to_string())
                .component(&why.component)
                .data("askedMiB", why.asked_mib)
                .data("largestNodeMiB", why.largest_mib)
                .data("mostFreeMiB", why.most_free_mib)
                .data("wanted", why.wanted)
                .data("missing", why.missing);
            self.journal.record(entry);
        }
        known.unplaceable = Some(why.clone());
        if why.missing == why.wanted && pool.is_starving() {
            pool.refuse(known.refusal.next(why, now));
        }
    }
}

// === impl Plan ===

impl Plan {
    fn new(view: NodeView, wanted: Vec<Wanted>, entries: Vec<Entry>) -> Self {
        let placement = placement::place(std::slice::from_ref(&view), &wanted);
        Self { view, wanted, placement, entries }
    }
}

// === impl Memory ===

impl Memory {
    fn remember(&mut self, pools: &[Arc<ComponentPool>], decided: &[u32]) {
        for (pool, count) in pools.iter().zip(decided) {
            self.components.entry(pool.name().clone()).or_default().decided = Some(*count);
        }
    }

    fn forget_all_but(&mut self, pools: &[Arc<ComponentPool>]) {
        if self.components.len() > pools.len() {
            self.components.retain(|name, _| pools.iter().any(|pool| pool.name() == name));
        }
    }
}

// === impl Remembered ===

impl Remembered {
    fn scale(&mut self, pool: &ComponentPool, current: u32, now: Moment, entries: &mut Vec<Entry>) -> u32 {
        let decided = scale(pool, current, self.panicked, now);
        if decided.value.panic {
            self.panicked = Some(now);
        }
        let count = decided.value.instances;
        if count != current && self.decided != Some(count) {
            let message = format!("{} should have {count} instances, not {current}", pool.name());
            let entry = Entry::new(Kind::Scale, message)
                .component(pool.name())
                .reasons(decided.reasons)
                .data("from", current)
                .data("to", count);
            entries.push(entry);
        }
        count
    }
}

fn wanted(component: &Component, count: u32) -> Wanted {
    Wanted {
        component: component.name.clone(),
        count,
        min_instances: component.scaling.min_instances,
        max_per_node: component.scaling.max_instances_per_node,
        reserve_memory_mib: component.docker.reserve_memory_mib,
    }
}

fn target(change: &Change) -> Target {
    Target { component: change.component.clone(), count: change.to, reasons: change.reasons.clone() }
}

fn entry(change: &Change) -> Entry {
    let Change { node, component, from, to, reasons } = change;
    Entry::new(Kind::Placement, format!("node {node} is to run {to} of {component}, not {from}"))
        .component(component)
        .reasons(reasons.iter().cloned())
        .data("from", *from)
        .data("to", *to)
}
