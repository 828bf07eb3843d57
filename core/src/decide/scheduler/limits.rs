//! `maxinstances` over nodes: how many instances there may be when some are still ending, or may run on
//! nodes that can't be asked.

use std::collections::BTreeMap;

use super::draft::Draft;
use crate::{
    component::Component,
    decide::placement::Notes,
    names::{ComponentName, NodeId},
};

/// Instances that may be added anywhere right now.
pub(super) fn slack(draft: &Draft<'_>, component: &Component) -> u32 {
    let max = component.scaling.max_instances;
    max.map_or(u32::MAX, |max| max.get().saturating_sub(draft.possible(&component.name)))
}

/// How many of `count` instances may be placed now. Where only a node may take one that has an ending
/// instance of its own (what it starts takes that one's place), all others are barred.
pub(super) fn allow(
    draft: &Draft<'_>,
    component: &Component,
    count: u32,
    notes: &mut BTreeMap<NodeId, Notes>,
) -> u32 {
    let Some(max) = component.scaling.max_instances.filter(|_| !draft.is_single()) else { return count };
    let name = &component.name;
    let total = draft.total(name);
    let need = count.saturating_sub(total);
    let slack = slack(draft, component);
    if need <= slack {
        return count;
    }
    if slack > 0 {
        return total + slack;
    }
    let takes = |id: &&NodeId| draft.possible_with_more_on(id, name) <= max.get();
    let takers: Vec<NodeId> = open(draft).filter(takes).cloned().collect();
    if takers.is_empty() {
        return total;
    }
    bar_all_but(draft, &takers, name, notes);
    total + 1
}

fn open<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = &'d NodeId> {
    draft.nodes.iter().filter(|(_, desk)| !desk.closed && !desk.view.draining).map(|(id, _)| id)
}

fn bar_all_but(
    draft: &Draft<'_>,
    takers: &[NodeId],
    component: &ComponentName,
    notes: &mut BTreeMap<NodeId, Notes>,
) {
    for id in draft.nodes.keys().filter(|id| !takers.contains(id)) {
        notes.entry(id.clone()).or_default().barred.insert(component.clone());
    }
}
