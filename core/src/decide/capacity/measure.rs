//! The cluster's capacity in numbers, for scaling policies of its group that raise and lower it instead.
//!
//! A policy that tracks a target divides: at twice the target it wants twice the machines. So the number that
//! it follows is in proportion to need over capacity, falls when less is wanted, and is over 100 exactly when
//! more machines would help – also where the memory would do and is only in pieces too small.

use super::room::{lacking, without_room};
use crate::{
    decide::placement::{NodeView, Wanted},
    ports::monitoring::{Sample, Unit},
};

/// Nothing takes instances and some are wanted: twice as many as none is the least that makes a policy act.
const NO_CAPACITY: f64 = 200.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    /// Nodes that take instances.
    pub nodes: u32,
    /// Memory that instances on them reserve, in percent of theirs.
    pub memory_reserved: f64,
    /// The same for all that should run, whether it has room or not: what policies follow.
    pub memory_wanted: f64,
    /// Instances that more machines would have room for.
    pub without_room: u32,
}

/// What is too large for any machine counts for nothing here: no number of them would help it.
pub fn measure(nodes: &[NodeView], wanted: &[Wanted]) -> Measures {
    let taking = || nodes.iter().filter(|node| !node.draining && node.total_memory_mib > 0);
    let count = u32::try_from(taking().count()).unwrap_or(u32::MAX);
    let total: u64 = taking().map(|node| node.total_memory_mib).sum();
    let foreign: u64 = taking().map(|node| node.other_memory_mib).sum();
    let reserve = |name: &_| {
        let of = wanted.iter().find(|wanted| wanted.component == *name);
        of.map_or(0, |wanted| wanted.reserve_memory_mib)
    };
    let placed = taking().flat_map(|node| &node.targets);
    let reserved: u64 = placed.map(|(name, target)| reserve(name) * u64::from(*target)).sum();
    let short = without_room(nodes, wanted);
    let asked: u64 = wanted
        .iter()
        .map(|wanted| {
            let hopeless = short.too_large.get(&wanted.component).copied().unwrap_or(0);
            wanted.reserve_memory_mib * u64::from(wanted.count.saturating_sub(hopeless))
        })
        .sum();
    // Each machine more has room for at least one of them.
    let more = lacking(nodes, wanted, 0, short.instances).machines;
    Measures {
        nodes: count,
        memory_reserved: percent(reserved + foreign, total),
        memory_wanted: match (total, asked) {
            (0, 0) => 0.0,
            (0, _) => NO_CAPACITY,
            _ => percent(asked + foreign, total).max(needed(count, more)),
        },
        without_room: short.instances,
    }
}

/// The machines that it takes in percent of those that are there; nothing when those do.
fn needed(nodes: u32, more: u32) -> f64 {
    match more {
        0 => 0.0,
        more => percent(u64::from(nodes) + u64::from(more), u64::from(nodes)),
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

// === impl Measures ===

impl Measures {
    pub fn samples(self) -> Vec<Sample> {
        let sample = |name, value, unit| Sample { name, value, unit };
        vec![
            sample("Nodes", f64::from(self.nodes), Unit::Count),
            sample("MemoryReserved", self.memory_reserved, Unit::Percent),
            sample("MemoryWanted", self.memory_wanted, Unit::Percent),
            sample("InstancesWithoutRoom", f64::from(self.without_room), Unit::Count),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::names::{ComponentName, NodeId};

    const SIZE: u64 = 1_000;

    fn name(text: &str) -> ComponentName {
        ComponentName::parse(text).unwrap()
    }

    /// A node of the size that runs so many instances of `web`.
    fn node(index: usize, web: u32) -> NodeView {
        NodeView {
            id: NodeId::new(format!("n{index}")),
            version: 1,
            total_memory_mib: SIZE,
            other_memory_mib: 0,
            targets: BTreeMap::from([(name("web"), web)]),
            standby: BTreeMap::new(),
            draining: false,
            load: 0.0,
        }
    }

    fn web(count: u32, reserve_memory_mib: u64) -> Wanted {
        Wanted { component: name("web"), count, min_instances: 0, max_per_node: None, reserve_memory_mib }
    }

    #[test]
    fn numbers_say_what_is_used_and_what_is_wanted() {
        let nodes = |each: &[u32]| each.iter().enumerate().map(|(i, web)| node(i, *web)).collect::<Vec<_>>();
        for (what, each, wanted, expected) in [
            ("quiet", &[0, 0][..], web(0, 250), (2, 0.0, 0.0, 0)),
            ("half", &[2, 2], web(4, 250), (2, 50.0, 50.0, 0)),
            ("less is wanted than runs", &[4, 4], web(2, 250), (2, 100.0, 25.0, 0)),
            ("full", &[4, 4], web(8, 250), (2, 100.0, 100.0, 0)),
            ("four too many", &[4, 4], web(12, 250), (2, 100.0, 150.0, 4)),
            ("twice of what there is", &[4], web(8, 250), (1, 100.0, 200.0, 4)),
            // Half of each node is free and nothing fits there: 75 %, and one machine is lacking.
            ("pieces that are too small", &[1, 1], web(3, 600), (2, 60.0, 150.0, 1)),
            ("too large for any machine", &[0, 0], web(3, 1_500), (2, 0.0, 0.0, 0)),
            ("no node", &[], web(0, 250), (0, 0.0, 0.0, 0)),
        ] {
            let found = measure(&nodes(each), &[wanted]);
            let (nodes, memory_reserved, memory_wanted, without_room) = expected;
            let expected = Measures { nodes, memory_reserved, memory_wanted, without_room };
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn nodes_that_drain_or_only_relay_are_no_capacity() {
        let mut nodes = vec![node(0, 2), node(1, 2), node(2, 0)];
        nodes[1].draining = true;
        nodes[2].total_memory_mib = 0;
        let found = measure(&nodes, &[web(4, 250)]);
        assert_eq!((found.nodes, found.memory_reserved, found.memory_wanted), (1, 50.0, 100.0));
        nodes[0].draining = true;
        assert_eq!(measure(&nodes, &[web(4, 250)]).memory_wanted, NO_CAPACITY);
        assert_eq!(measure(&nodes, &[]).memory_wanted, 0.0);
    }

    #[test]
    fn a_limit_for_each_node_is_a_need_for_nodes() {
        let spread = Wanted { max_per_node: std::num::NonZeroU32::new(1), ..web(3, 100) };
        let found = measure(&[node(0, 1), node(1, 1)], &[spread]);
        assert_eq!((found.memory_wanted, found.without_room), (150.0, 1));
    }

    proptest! {
        #[test]
        fn it_is_over_100_exactly_when_more_machines_would_help(
            each in prop::collection::vec(0..4u32, 1..6), count in 0..40u32, reserve in 1..1_200u64,
        ) {
            let nodes: Vec<NodeView> = each.iter().enumerate().map(|(i, _)| node(i, 0)).collect();
            let found = measure(&nodes, &[web(count, reserve)]);
            prop_assert_eq!(found.memory_wanted > 100.0, found.without_room > 0, "{:?}", found);
            prop_assert!(found.memory_reserved <= 100.0);
            let fewer = measure(&nodes, &[web(count / 2, reserve)]);
            prop_assert!(fewer.memory_wanted <= found.memory_wanted);
            let mut more = nodes;
            more.push(node(9, 0));
            prop_assert!(measure(&more, &[web(count, reserve)]).memory_wanted <= found.memory_wanted);
        }
    }
}
