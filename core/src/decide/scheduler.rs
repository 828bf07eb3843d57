//! How many instances run and on which nodes: what the owner of the role `placement` decides, for one node
//! as for two hundred.
//!
//! ```text
//!   World ──► settle moves ─► count (autoscale) ─► place ─► relocate ─► rebalance ─► limits ──► Plan
//!               ▲                                                                              │ orders
//!               └── what is remembered: panics, refusals, moves, orders under way ◄── answered ┘
//! ```
//! A pass looks at everything and orders only what differs. It counts on nothing that it can see: an order
//! carries the version of the targets that it was decided on, and one without an answer is in doubt until
//! the node's status shows what became of it. What runs is moved make-before-break: one more where it is to
//! go, one less where it was when the new one serves.
//!
//! Nodes: *open* ones take instances; *closed* ones (they drain, have not been fenced, are silent for a
//! moment, owe an answer) keep what they have; *lost* ones are silent for [`LOST_AFTER`], and what they ran
//! is started elsewhere, except where that could exceed `maxinstances`.
//!
//! Never: exceeds `maxinstances` by an order, counting what may still run on lost nodes, what is still
//! ending, that nodes may run anything of which nothing is known, or which live, can't be reached and may
//! have heard an earlier owner of the role; and that who has fallen silent may be the next owner, until a
//! heartbeat sent after that was confirmed. Takes a serving instance away before its replacement serves,
//! unless `maxinstances` leaves no other way off a draining node. Reads a clock.

mod demand;
mod draft;
mod known;
mod limits;
mod moves;
mod orders;
mod plan;
mod rebalance;
mod relocate;
mod roster;
mod world;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

pub use demand::{Reading, Reports};
pub use plan::{Order, Outcome, Plan, Refused, Runs, TargetChange, Told};
pub use roster::{FENCE_LIMIT, Roster};
pub use world::{ComponentState, Instances, NodeState, World};

use super::{
    Decided,
    autoscale::{self, Input, Scale},
    lease::Term,
    placement::{self, Unplaceable, Wanted},
};
use crate::{component::Component, names::ComponentName, time::Moment};
use draft::Draft;
use known::Known;
use moves::Moves;
use orders::Orders;

/// What a node that is silent for so long ran is started elsewhere. Longer than a slow exchange between
/// healthy nodes takes, shorter than people wait for a page.
pub const LOST_AFTER: Duration = Duration::from_secs(3);
/// A node that owes an answer for so long gets nothing new.
pub const SLOW_AFTER: Duration = Duration::from_millis(250);
/// An order without an answer counts as carried out for so long; then it is in doubt.
pub const DOUBT_AFTER: Duration = Duration::from_secs(1);

/// What decisions need of those before them.
#[derive(Debug, Default)]
pub struct Scheduler {
    term: Term,
    known: BTreeMap<ComponentName, Known>,
    orders: Orders,
    moves: Moves,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Scales, places and moves.
    All,
    /// Only for components that have waiters and no instance; all other counts stay.
    Demand,
}

/// Instances wanted of each component.
type Counts = BTreeMap<ComponentName, u32>;

// === impl Scheduler ===

impl Scheduler {
    /// Scales and places all components, and moves instances.
    pub fn pass(&mut self, world: &World, now: Moment) -> Plan {
        self.run(world, now, Scope::All)
    }

    /// Places starving components and leaves the counts of all others as they are: a cold start doesn't
    /// wait for arithmetic.
    pub fn answer_demand(&mut self, world: &World, now: Moment) -> Plan {
        self.run(world, now, Scope::Demand)
    }

    /// What became of an order; the returned entries are for the journal.
    pub fn answered(&mut self, order: u64, outcome: &Outcome<'_>) -> Vec<Told> {
        self.orders.answered(order, outcome, &mut self.moves)
    }

    /// The role was lost: nothing of what is remembered holds any more.
    pub fn forget(&mut self) {
        *self = Self { orders: self.orders.successor(), ..Self::default() };
    }

    /// How many instances of each component should run, as decided last, whether they have a place or not.
    pub fn wanted(&self, world: &World) -> Vec<Wanted> {
        let of = |state: &ComponentState| {
            let known = self.known.get(&state.component.name);
            wish(&state.component, known.map_or(0, Known::decided))
        };
        world.components.iter().map(of).collect()
    }

    /// Why instances of the component have no place, while they have none.
    pub fn obstacle(&self, component: &ComponentName) -> Option<Unplaceable> {
        self.known.get(component).and_then(|known| known.unplaceable.clone())
    }

    /// The same, and for how long those who ask are to be turned away.
    pub fn refusal(&mut self, component: &ComponentName, now: Moment) -> Option<Refused> {
        let known = self.known.get_mut(component)?;
        let why = known.unplaceable.clone()?;
        Some(known.refusal.next(&why, now))
    }

    /// Where the component runs, or is to run.
    pub fn runs(&self, component: &ComponentName, world: &World, now: Moment) -> Runs {
        let draft = Draft::new(world, &self.orders, now);
        let told = |node: &world::NodeState| node.view.targets.get(component).is_some_and(|count| *count > 0);
        let here = draft.nodes.values().filter(|desk| told(desk.state));
        match here.max_by_key(|desk| desk.state.instances_of(component).serving) {
            Some(desk) => Runs::On(desk.view.id.clone()),
            None if draft.total(component) > 0 => Runs::Ordered,
            None => Runs::Nowhere,
        }
    }

    /// How many instances the component should have, and why. `None`: there is no such component.
    pub fn target(&self, component: &ComponentName, world: &World, now: Moment) -> Option<Decided<u32>> {
        let state = world.component(component)?;
        let draft = Draft::new(world, &self.orders, now);
        let current = draft.total(component).saturating_sub(self.moves.extra(component));
        let known = self.known.get(component);
        let scale = scale(state, current, known.and_then(|known| known.panicked), now);
        let mut reasons = scale.reasons;
        if let Some(unplaceable) = known.and_then(|known| known.unplaceable.as_ref()) {
            reasons.push(unplaceable.to_string());
        }
        reasons.extend(self.moves.describe(component));
        Some(Decided { value: scale.value.instances, reasons })
    }

    fn run(&mut self, world: &World, now: Moment, scope: Scope) -> Plan {
        if self.term != world.term {
            self.forget();
            self.term = world.term;
        }
        let mut plan = Plan::default();
        self.known.retain(|name, _| world.component(name).is_some());
        plan.told = self.orders.resolve(world, now, &mut self.moves);
        let mut draft = Draft::new(world, &self.orders, now);
        if scope == Scope::All {
            self.moves.settle(&mut draft, now);
        }
        let counts = match scope {
            Scope::All => self.scaled(&draft, now, &mut plan),
            Scope::Demand => self.demanded(&draft),
        };
        self.place(&mut draft, &counts, now, &mut plan);
        if scope == Scope::All {
            self.relocate(&mut draft, now);
            self.rebalance(&mut draft, &counts, now);
        }
        draft.hold_limits();
        plan.orders = self.orders.write(draft, &mut self.moves, now);
        plan.look_again = self.orders.next_slow(now);
        plan
    }

    /// What autoscale says. A component that is to have fewer has its moves ended: what is too many goes.
    fn scaled(&mut self, draft: &Draft<'_>, now: Moment, plan: &mut Plan) -> Counts {
        let mut counts = Counts::new();
        for state in &draft.world.components {
            let name = &state.component.name;
            let current = draft.total(name).saturating_sub(self.moves.extra(name));
            let known = self.known.entry(name.clone()).or_default();
            let decided = scale(state, current, known.panicked, now);
            let count = decided.value.instances;
            if let Some(told) = known.scaled(name, decided, current, now) {
                plan.told.push(told);
            }
            if count < current {
                self.moves.end_waiting(name);
            }
            counts.insert(name.clone(), count);
        }
        counts
    }

    /// What there is, and what starving components need first.
    fn demanded(&self, draft: &Draft<'_>) -> Counts {
        let count = |state: &ComponentState| {
            let name = &state.component.name;
            let current = draft.total(name).saturating_sub(self.moves.extra(name));
            let least = if state.starving { state.component.scaling.min_instances.max(1) } else { 0 };
            (name.clone(), current.max(least))
        };
        draft.world.components.iter().map(count).collect()
    }

    fn place(&mut self, draft: &mut Draft<'_>, counts: &Counts, now: Moment, plan: &mut Plan) {
        let (mut wanted, mut waits) = (Vec::new(), Vec::new());
        let mut notes = draft.notes();
        for state in &draft.world.components {
            let component = &state.component;
            let count = counts[&component.name] + self.moves.extra(&component.name);
            let allowed = limits::allow(draft, component, count, &mut notes);
            if allowed < count {
                waits.push(component.name.clone());
            }
            wanted.push(wish(component, allowed));
        }
        let placement = self.place_softly(draft, &notes, &wanted, now);
        for change in &placement.changes {
            draft.set(&change.node, &change.component, change.to, &change.reasons);
        }
        self.tell_unplaceable(draft.world, &wanted, &placement.unplaceable, &waits, now, plan);
    }

    /// Avoids nodes where the component can't be started, as long as others can take it.
    fn place_softly(
        &self,
        draft: &Draft<'_>,
        notes: &BTreeMap<crate::names::NodeId, placement::Notes>,
        wanted: &[Wanted],
        now: Moment,
    ) -> placement::Placement {
        let views = draft.views();
        let mut soft = notes.clone();
        self.moves.avoid(draft, &mut soft, now);
        let mut placement = placement::place_noted(&views, &soft, wanted);
        if placement.unplaceable.is_empty() || soft == *notes {
            return placement;
        }
        // Where else nothing can take it, it is tried where it failed.
        for missing in &placement.unplaceable {
            for (node, notes) in notes {
                if !notes.barred.contains(&missing.component)
                    && let Some(soft) = soft.get_mut(node)
                {
                    soft.barred.remove(&missing.component);
                }
            }
        }
        placement = placement::place_noted(&views, &soft, wanted);
        placement
    }

    fn tell_unplaceable(
        &mut self,
        world: &World,
        wanted: &[Wanted],
        unplaceable: &[Unplaceable],
        waits: &[ComponentName],
        now: Moment,
        plan: &mut Plan,
    ) {
        for (state, wanted) in world.components.iter().zip(wanted) {
            let name = &wanted.component;
            let known = self.known.entry(name.clone()).or_default();
            // What waits for another instance's end has a place.
            let why = unplaceable.iter().find(|why| why.component == *name && !waits.contains(name));
            match why {
                Some(why) => {
                    plan.told.extend(known.has_no_place(why));
                    if why.missing == why.wanted && state.starving {
                        plan.refused.push(known.refusal.next(why, now));
                    }
                }
                None => {
                    known.unplaceable = None;
                    if wanted.count > 0 && known.refusal.end() {
                        plan.relieved.push(name.clone());
                    }
                }
            }
        }
    }
}

fn scale(state: &ComponentState, current: u32, panicked: Option<Moment>, now: Moment) -> Decided<Scale> {
    autoscale::decide(&Input {
        scaling: &state.component.scaling,
        current,
        in_rotation: state.in_rotation,
        demand: state.demand,
        since_panic: panicked.map(|panicked| now.since(panicked)),
    })
}

fn wish(component: &Component, count: u32) -> Wanted {
    Wanted {
        component: component.name.clone(),
        count,
        min_instances: component.scaling.min_instances,
        max_per_node: component.scaling.max_instances_per_node,
        reserve_memory_mib: component.docker.reserve_memory_mib,
    }
}
