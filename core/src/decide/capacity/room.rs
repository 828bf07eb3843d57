//! Whether everything has room, with some machines more or one less: placement is asked.

use std::collections::BTreeMap;

use crate::{
    decide::placement::{self, NodeView, Obstacle, Placement, Wanted},
    names::{ComponentName, NodeId},
};

/// Machines that it takes for all that is wanted to have room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    pub machines: u32,
    pub reasons: Vec<String>,
}

/// The fewest more machines, of the size that most nodes have, with which as much as possible of what is wanted
/// has room, and `headroom_mib` stay free on some node. What is too large for any of them asks for none.
pub fn lacking(nodes: &[NodeView], wanted: &[Wanted], headroom_mib: u64, most: u32) -> Lacking {
    let size = usual_size(nodes);
    let now = Short::of(nodes, wanted, headroom_mib);
    let Some(size) = size.filter(|_| !now.is_nothing()) else { return Lacking::default() };
    let mut best = (0, now.clone());
    for machines in 1..=most {
        let short = Short::of(&with(nodes, machines, size), wanted, headroom_mib);
        if short.amount() < best.1.amount() {
            best = (machines, short.clone());
        }
        if short.is_nothing() {
            break;
        }
        // The last of them brought nothing: what is left is not a matter of room.
        if best.0 < machines {
            break;
        }
    }
    match best.0 {
        0 => Lacking::default(),
        machines => Lacking { machines, reasons: now.reasons },
    }
}

/// The node that is best done without: everything has room on the others, and `headroom_mib` stay free there.
pub fn spare(
    candidates: &[NodeId],
    nodes: &[NodeView],
    wanted: &[Wanted],
    headroom_mib: u64,
) -> Option<NodeId> {
    let reserves: BTreeMap<&ComponentName, u64> = reserves(wanted);
    let mut candidates: Vec<(u64, &NodeId)> = nodes
        .iter()
        .filter(|node| candidates.contains(&node.id))
        .map(|node| (used(node, &reserves), &node.id))
        .collect();
    candidates.sort_unstable();
    let fits = |without: &NodeId| {
        let others: Vec<NodeView> = nodes.iter().filter(|node| node.id != *without).cloned().collect();
        let can_take = others.iter().any(|node| !node.draining && node.total_memory_mib > 0);
        can_take && Short::of(&others, wanted, headroom_mib).is_nothing()
    };
    candidates.into_iter().map(|(_, node)| node).find(|node| fits(node)).cloned()
}

/// Instances that have no room.
pub(super) struct WithoutRoom {
    /// Those that would have some on a machine more.
    pub(super) instances: u32,
    /// Those that fit on no machine there is.
    pub(super) too_large: BTreeMap<ComponentName, u32>,
}

pub(super) fn without_room(nodes: &[NodeView], wanted: &[Wanted]) -> WithoutRoom {
    let (mut instances, mut too_large) = (0_u32, BTreeMap::new());
    for missing in placement::place(nodes, wanted).unplaceable {
        match missing.obstacle {
            Obstacle::TooLarge => drop(too_large.insert(missing.component, missing.missing)),
            _ => instances = instances.saturating_add(missing.missing),
        }
    }
    WithoutRoom { instances, too_large }
}

/// What has no room.
#[derive(Clone, Debug)]
struct Short {
    instances: u32,
    headroom: bool,
    reasons: Vec<String>,
}

// === impl Short ===

impl Short {
    fn of(nodes: &[NodeView], wanted: &[Wanted], headroom_mib: u64) -> Self {
        let placement = placement::place(nodes, wanted);
        let missing =
            || placement.unplaceable.iter().filter(|missing| missing.obstacle != Obstacle::TooLarge);
        let free = most_free(nodes, &placement, wanted);
        let headroom = headroom_mib > 0 && free < headroom_mib;
        let mut reasons: Vec<String> = missing().map(ToString::to_string).collect();
        if headroom {
            reasons.push(format!("{free} MiB at most are free on a node, {headroom_mib} should be"));
        }
        Self { instances: missing().map(|missing| missing.missing).sum(), headroom, reasons }
    }

    fn is_nothing(&self) -> bool {
        self.amount() == 0
    }

    fn amount(&self) -> u32 {
        self.instances.saturating_add(u32::from(self.headroom))
    }
}

/// The size that most nodes have, the larger of two; `None`: no node is for containers.
fn usual_size(nodes: &[NodeView]) -> Option<u64> {
    let mut counts = BTreeMap::<u64, u32>::new();
    for node in nodes.iter().filter(|node| node.total_memory_mib > 0) {
        *counts.entry(node.total_memory_mib).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(size, count)| (*count, *size)).map(|(size, _)| size)
}

fn with(nodes: &[NodeView], machines: u32, size: u64) -> Vec<NodeView> {
    let empty = |index: u32| NodeView {
        // Sorts behind all that are there.
        id: NodeId::new(format!("~{index}")),
        version: 0,
        total_memory_mib: size,
        other_memory_mib: 0,
        targets: BTreeMap::new(),
        standby: BTreeMap::new(),
        draining: false,
        load: 0.0,
    };
    nodes.iter().cloned().chain((0..machines).map(empty)).collect()
}

fn reserves(wanted: &[Wanted]) -> BTreeMap<&ComponentName, u64> {
    wanted.iter().map(|wanted| (&wanted.component, wanted.reserve_memory_mib)).collect()
}

fn used(node: &NodeView, reserves: &BTreeMap<&ComponentName, u64>) -> u64 {
    let of =
        |(name, count): (&ComponentName, &u32)| reserves.get(name).copied().unwrap_or(0) * u64::from(*count);
    node.other_memory_mib + node.targets.iter().map(of).sum::<u64>()
}

/// After a placement, on nodes that take instances. Standby instances give way.
fn most_free(nodes: &[NodeView], placement: &Placement, wanted: &[Wanted]) -> u64 {
    let reserves = reserves(wanted);
    let free = |node: &NodeView| {
        let mut node = node.clone();
        for change in placement.changes.iter().filter(|change| change.node == node.id) {
            node.targets.insert(change.component.clone(), change.to);
        }
        node.total_memory_mib.saturating_sub(used(&node, &reserves))
    };
    nodes.iter().filter(|node| !node.draining).map(free).max().unwrap_or(0)
}
