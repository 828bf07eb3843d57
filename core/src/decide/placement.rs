//! Which node runs how many instances of what: nodes and wanted counts in, counts per node out.
//!
//! What runs stays where it is; what is missing goes, one instance at a time, to a node where its memory
//! reservation fits and `maxinstancespernode` allows it: one with a standby of it first, then the one
//! with the fewest instances of the same component, then the emptier one, then the less loaded one; the
//! id breaks ties, so that all peers agree. First come components that have nothing, then those under
//! their minimum, then all others by turns.
//!
//! If nothing fits, and only for an instance that a component needs to have one or its minimum, others
//! may be displaced: of components that have more than their minimum and more than one. What was
//! displaced has no such claim, so deciding again changes nothing.
//!
//! A draining node gets nothing new and keeps only what no other node can take. What else may be known of
//! a node (it takes nothing at the moment, it can't run this component) comes as [`Notes`].

mod fit;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroU32,
};

use crate::names::{ComponentName, NodeId};
use fit::Fit;

/// A node as placement sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    pub id: NodeId,
    /// Rises with every change of the node's targets.
    pub version: i64,
    pub total_memory_mib: u64,
    /// Reserved for what stands in neither `targets` nor `standby`.
    pub other_memory_mib: u64,
    /// Instances that the node is to run.
    pub targets: BTreeMap<ComponentName, u32>,
    /// Paused instances on it that no target has claimed yet: their memory is reserved, and an instance
    /// more of their component needs no more of it.
    pub standby: BTreeMap<ComponentName, u32>,
    pub draining: bool,
    /// Load average over a minute, per CPU.
    pub load: f64,
}

/// What is known of a node beyond what it has and runs. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// It takes nothing new; what it has stays and counts.
    pub closed: bool,
    /// Of what is too many in the cluster it gives up its own first.
    pub leaving: bool,
    /// Components of which it takes no instance more.
    pub barred: BTreeSet<ComponentName>,
    /// Instances of its targets that don't serve: of what is too many they go before those that do.
    pub unserving: BTreeMap<ComponentName, u32>,
}

/// How many instances of a component are to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub component: ComponentName,
    pub count: u32,
    pub min_instances: u32,
    pub max_per_node: Option<NonZeroU32>,
    pub reserve_memory_mib: u64,
}

/// What placement says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// Only what differs from the nodes' targets, by node, then component.
    pub changes: Vec<Change>,
    /// Wanted instances that have no place.
    pub unplaceable: Vec<Unplaceable>,
}

/// A node's new target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub node: NodeId,
    pub component: ComponentName,
    pub from: u32,
    pub to: u32,
    pub reasons: Vec<String>,
}

/// Why instances have no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unplaceable {
    pub component: ComponentName,
    /// Instances that are to run, and of these the ones without a place.
    pub wanted: u32,
    pub missing: u32,
    /// What an instance reserves.
    pub asked_mib: u64,
    /// What the largest node has, and the most that any has free.
    pub largest_mib: u64,
    pub most_free_mib: u64,
    pub obstacle: Obstacle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No node takes instances: there is none, or all drain.
    NoNode,
    /// No node is large enough, however empty.
    TooLarge,
    /// All nodes with enough memory are full.
    Memory,
    /// Every node has `maxinstancespernode`.
    LimitPerNode,
}

/// Decides anew for all components at once. Targets of components that aren't wanted go to zero.
pub fn place(nodes: &[NodeView], wanted: &[Wanted]) -> Placement {
    place_noted(nodes, &BTreeMap::new(), wanted)
}

/// [`place`] with what else is known of some of the nodes.
pub fn place_noted(nodes: &[NodeView], notes: &BTreeMap<NodeId, Notes>, wanted: &[Wanted]) -> Placement {
    let mut wanted: Vec<&Wanted> = wanted.iter().collect();
    wanted.sort_by(|a, b| a.component.cmp(&b.component));
    let mut fit = Fit::new(nodes, notes, &wanted);
    fit.trim();
    fit.add_needed();
    loop {
        fit.add_rest();
        // What was just added elsewhere can be spared here, where something needed lacks room. Needed
        // instances are never displaced, so this comes to an end.
        if !fit.add_needed() {
            break;
        }
    }
    fit.keep_on_draining();
    Placement { changes: fit.changes(), unplaceable: fit.unplaceable() }
}

impl fmt::Display for Unplaceable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { component, wanted, missing, asked_mib, largest_mib, most_free_mib, .. } = self;
        match self.obstacle {
            Obstacle::NoNode => {
                write!(f, "component {component} can't be placed: no node takes instances")?;
            }
            Obstacle::TooLarge => write!(
                f,
                "component {component} can't be placed: an instance asks for {asked_mib} MiB, the largest node has {largest_mib} MiB"
            )?,
            Obstacle::Memory => write!(
                f,
                "component {component} can't be placed: an instance asks for {asked_mib} MiB, the most that a node has free is {most_free_mib} MiB"
            )?,
            Obstacle::LimitPerNode => write!(
                f,
                "component {component} can't be placed: every node runs as many instances as maxinstancespernode allows"
            )?,
        }
        if *wanted > 1 { write!(f, " ({missing} of {wanted} instances are missing)") } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
