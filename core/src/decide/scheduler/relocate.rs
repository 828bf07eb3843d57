//! Off nodes that drain, and off those where a component can't be started: each instance there gets a
//! replacement elsewhere, where one has room.
//!
//! Where the replacement would exceed `maxinstances` the instance ends first, so that a draining node
//! empties all the same; its requests wait until the new one serves.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Scheduler,
    draft::{Desk, Draft},
    limits,
    moves::Why,
    wish,
};
use crate::{
    component::Component,
    decide::placement::{self, NodeView, Notes, Wanted},
    names::{ComponentName, NodeId},
    time::Moment,
};

/// Tries elsewhere that go on at a time: a broken image fails everywhere, and needn't do so at once.
const TRIES: usize = 4;

/// Instances of a component that are to leave a node.
struct Leaver {
    component: ComponentName,
    node: NodeId,
    why: Why,
    /// Not on their way yet.
    count: u32,
}

// === impl Scheduler ===

impl Scheduler {
    pub(super) fn relocate(&mut self, draft: &mut Draft<'_>, now: Moment) {
        if draft.nodes.len() < 2 {
            return;
        }
        let leavers = self.leavers(draft, now);
        if leavers.is_empty() {
            return;
        }
        let mut places = self.places(draft, &leavers, now);
        for leaver in leavers {
            self.send_off(draft, &leaver, &mut places, now);
        }
    }

    fn leavers(&self, draft: &Draft<'_>, now: Moment) -> Vec<Leaver> {
        let mut leavers = Vec::new();
        for (node, desk) in draft.nodes.iter().filter(|(_, desk)| desk.orderable) {
            for (component, target) in desk.view.targets.iter().filter(|(_, target)| **target > 0) {
                let Some(why) = why(desk, component) else { continue };
                if why == Why::Failing && self.moves.is_set_back(component, node, now) {
                    // Tried elsewhere a while ago.
                    continue;
                }
                let count = target.saturating_sub(self.moves.leaving(node, component));
                let known = draft.world.component(component).is_some();
                // What this pass has just put there was put with eyes open.
                if count > 0 && known && !(why == Why::Failing && draft.is_changed(component)) {
                    leavers.push(Leaver { component: component.clone(), node: node.clone(), why, count });
                }
            }
        }
        leavers
    }

    /// Where placement would put them if they were nowhere: free places by component and node.
    fn places(
        &self,
        draft: &Draft<'_>,
        leavers: &[Leaver],
        now: Moment,
    ) -> BTreeMap<(ComponentName, NodeId), u32> {
        let mut notes = draft.notes();
        self.moves.avoid(draft, &mut notes, now);
        for (node, desk) in &draft.nodes {
            if !desk.orderable {
                notes.entry(node.clone()).or_default().closed = true;
            }
        }
        let (views, wanted) = without(draft, leavers, &mut notes);
        let placement = placement::place_noted(&views, &notes, &wanted);
        let displaced = placement.changes.iter().filter(|change| change.to < change.from);
        // For a move nobody is displaced.
        let displaced: BTreeSet<&NodeId> = displaced.map(|change| &change.node).collect();
        let free = placement.changes.iter().filter(|change| !displaced.contains(&change.node));
        free.map(|change| ((change.component.clone(), change.node.clone()), change.to - change.from))
            .collect()
    }

    fn send_off(
        &mut self,
        draft: &mut Draft<'_>,
        leaver: &Leaver,
        places: &mut BTreeMap<(ComponentName, NodeId), u32>,
        now: Moment,
    ) {
        let Some(state) = draft.world.component(&leaver.component) else { return };
        let component = state.component.clone();
        for _ in 0..leaver.count {
            if leaver.why == Why::Failing && self.moves.optional() >= TRIES {
                return;
            }
            // The room that others shall leave is not free yet.
            let place = places.iter_mut().find(|((name, node), free)| {
                *name == component.name && *node != leaver.node && **free > 0 && draft.fits(node, &component)
            });
            let Some(((_, to), free)) = place else { return };
            if limits::slack(draft, &component) == 0 {
                self.end_first(draft, leaver, &component, now);
                return;
            }
            *free -= 1;
            let to = to.clone();
            let reason = format!("it moves from node {}: {}", leaver.node, leaver.why);
            self.moves.begin(draft, &component.name, (&leaver.node, &to), (leaver.why, reason), now);
            if leaver.why == Why::Failing {
                self.moves.set_back(component.name.clone(), leaver.node.clone(), now);
            }
        }
    }

    /// One at a time: the next pass sees when it has gone, and places it anew. Where what lost nodes may run
    /// would not allow that even then, it stays.
    fn end_first(&mut self, draft: &mut Draft<'_>, leaver: &Leaver, component: &Component, now: Moment) {
        let name = &component.name;
        let max = component.scaling.max_instances;
        let frees_a_place = max.is_some_and(|max| draft.possible(name) <= max.get());
        let ends = draft.present(name) > draft.total(name);
        if !frees_a_place || ends || draft.is_changed(name) || self.moves.is_moving(name) {
            return;
        }
        let reason = format!(
            "{}; maxinstances leaves no room to start its replacement before it has ended",
            leaver.why
        );
        draft.lower(&leaver.node, name, reason);
        if leaver.why == Why::Failing {
            self.moves.set_back(name.clone(), leaver.node.clone(), now);
        }
    }
}

fn why(desk: &Desk<'_>, component: &ComponentName) -> Option<Why> {
    if desk.view.draining {
        return Some(Why::Drain);
    }
    let serves = desk.state.instances_of(component).serving > 0;
    (desk.state.failing.contains(component) && !serves).then_some(Why::Failing)
}

/// The nodes as if the leavers were on none of them, and what has to be placed then.
fn without(
    draft: &Draft<'_>,
    leavers: &[Leaver],
    notes: &mut BTreeMap<NodeId, Notes>,
) -> (Vec<NodeView>, Vec<Wanted>) {
    let mut views = draft.views();
    for leaver in leavers {
        if let Some(view) = views.iter_mut().find(|view| view.id == leaver.node)
            && let Some(target) = view.targets.get_mut(&leaver.component)
        {
            *target -= leaver.count;
        }
        notes.entry(leaver.node.clone()).or_default().barred.insert(leaver.component.clone());
    }
    let wanted = draft.world.components.iter().map(|state| {
        // Nothing else moves: each component as it is.
        let total = draft.total(&state.component.name);
        Wanted { min_instances: 0, ..wish(&state.component, total) }
    });
    (views, wanted.collect())
}
