//! Which nodes hold a component's paused instances: `standby` of them on all nodes together, as far as
//! `maxinstances` leaves room beside those that are to run.
//!
//! Each node works it out for all from what it knows of all, and keeps to its own part: nobody is told.
//! Seats are dealt in rounds, one per node, so that several spread. In a round the nodes come first that
//! hold so many already: one that comes, or has memory again, moves nothing that has a place. The others
//! come as [`rank`](super::rank) has them, for each component in another order.
//!
//! Nodes that drain, are lost, or have no memory left get none. While two nodes know different things there
//! may be one too many or too few; what they tell each other of their instances ends that.

use std::{collections::BTreeMap, num::NonZeroU32};

use super::{
    rank::weight,
    scheduler::{LOST_AFTER, NodeState},
};
use crate::{
    component::Component,
    names::{ComponentName, NodeId},
};

/// A node and what it has for paused instances.
#[derive(Clone, Debug)]
pub struct Candidate {
    state: NodeState,
    /// Memory that nothing reserves.
    free_mib: u64,
}

/// One that can hold some of a component.
#[derive(Debug)]
struct Holder<'a> {
    id: &'a NodeId,
    /// What it has, prepared or about to be.
    held: u32,
    /// What it could have, those included.
    room: u32,
    share: u32,
}

/// How many paused instances of `component` each node is to hold; those that hold none are left out.
/// `nodes` are all that have not left.
pub fn shares<'a>(
    component: &Component,
    nodes: impl IntoIterator<Item = &'a Candidate> + Clone,
) -> BTreeMap<NodeId, u32> {
    let mut left = component.scaling.standby.min(beside_running(component, nodes.clone()));
    let here = nodes.into_iter().filter(|node| node.holds());
    let mut holders: Vec<Holder<'_>> =
        here.map(|node| Holder::new(node, component)).filter(|holder| holder.room > 0).collect();
    let name = component.name.as_str();
    holders.sort_by_cached_key(|holder| (std::cmp::Reverse(weight(name, holder.id.as_str())), holder.id));
    for round in 0.. {
        let (have, lack): (Vec<_>, Vec<_>) =
            holders.iter_mut().filter(|holder| holder.room > round).partition(|holder| holder.held > round);
        if left == 0 || have.is_empty() && lack.is_empty() {
            break;
        }
        for holder in have.into_iter().chain(lack).take(left as usize) {
            holder.share += 1;
            left -= 1;
        }
    }
    holders.into_iter().filter(|h| h.share > 0).map(|h| (h.id.clone(), h.share)).collect()
}

/// What `maxinstances` leaves. Those of a lost node count until it leaves: they may run on.
fn beside_running<'a>(component: &Component, nodes: impl IntoIterator<Item = &'a Candidate>) -> u32 {
    let running = nodes.into_iter().map(|node| node.target(&component.name)).fold(0, u32::saturating_add);
    component.scaling.max_instances.map_or(u32::MAX, |max| max.get().saturating_sub(running))
}

// === impl Candidate ===

impl Candidate {
    /// `reserve_mib` tells what an instance of a component reserves.
    pub fn new(state: NodeState, reserve_mib: impl Fn(&ComponentName) -> u64) -> Self {
        let view = &state.view;
        let instances = view.targets.iter().chain(&view.standby);
        let reserved = instances
            .map(|(name, count)| u64::from(*count).saturating_mul(reserve_mib(name)))
            .fold(view.other_memory_mib, u64::saturating_add);
        Self { free_mib: view.total_memory_mib.saturating_sub(reserved), state }
    }

    pub fn state(&self) -> &NodeState {
        &self.state
    }

    fn holds(&self) -> bool {
        !self.state.view.draining && self.state.silent_for.is_none_or(|silent| silent < LOST_AFTER)
    }

    fn target(&self, component: &ComponentName) -> u32 {
        self.state.view.targets.get(component).copied().unwrap_or(0)
    }
}

// === impl Holder ===

impl<'a> Holder<'a> {
    fn new(node: &'a Candidate, component: &Component) -> Self {
        let view = &node.state.view;
        let held = view.standby.get(&component.name).copied().unwrap_or(0);
        let more = node.free_mib / component.docker.reserve_memory_mib.max(1);
        let memory = held.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        let per_node = component.scaling.max_instances_per_node.map_or(u32::MAX, NonZeroU32::get);
        let room = memory.min(per_node.saturating_sub(node.target(&component.name)));
        Self { id: &view.id, held, room, share: 0 }
    }
}

#[cfg(test)]
mod tests;
