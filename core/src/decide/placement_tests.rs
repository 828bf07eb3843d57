//! Where instances go, as tables and properties.

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> ComponentName {
    ComponentName::parse(text).unwrap()
}

fn node(id: &str, total_memory_mib: u64, targets: &[(&str, u32)]) -> NodeView {
    NodeView {
        id: NodeId::new(id),
        version: 1,
        total_memory_mib,
        other_memory_mib: 0,
        targets: targets.iter().map(|(component, count)| (name(component), *count)).collect(),
        standby: BTreeMap::new(),
        draining: false,
        load: 0.0,
    }
}

fn wanted(component: &str, count: u32, reserve_memory_mib: u64) -> Wanted {
    Wanted { component: name(component), count, min_instances: 0, max_per_node: None, reserve_memory_mib }
}

/// `node component from→to`, one a line.
fn changes(placement: &Placement) -> Vec<String> {
    let line =
        |change: &Change| format!("{} {} {}→{}", change.node, change.component, change.from, change.to);
    placement.changes.iter().map(line).collect()
}

#[test]
fn an_exact_fit_fits() {
    let nodes = [node("n1", 1024, &[("web", 1)])];
    let placement = place(&nodes, &[wanted("web", 2, 512)]);
    assert_eq!(changes(&placement), ["n1 web 1→2"]);
    assert_eq!(placement.unplaceable, []);
    let placement = place(&nodes, &[wanted("web", 3, 512)]);
    assert_eq!(changes(&placement), ["n1 web 1→2"]);
    assert_eq!((placement.unplaceable[0].wanted, placement.unplaceable[0].missing), (3, 1));
}

#[test]
fn spread_then_room_then_load_then_id_decide() {
    let web = [wanted("web", 1, 128), wanted("other", 4, 128)];
    let spread = [node("a", 4096, &[("web", 1), ("other", 0)]), node("b", 1024, &[("other", 4)])];
    assert_eq!(changes(&place(&spread, &[wanted("web", 2, 128), web[1].clone()])), ["b web 0→1"]);
    let emptier = [node("a", 1024, &[("other", 3)]), node("b", 1024, &[("other", 1)])];
    assert_eq!(changes(&place(&emptier, &web)), ["b web 0→1"]);
    let mut loads = [node("a", 1024, &[("other", 2)]), node("b", 1024, &[("other", 2)])];
    loads[0].load = 0.5;
    assert_eq!(changes(&place(&loads, &web)), ["b web 0→1"]);
    loads[0].load = 0.0;
    assert_eq!(changes(&place(&loads, &web)), ["a web 0→1"]);
}

#[test]
fn the_first_instance_of_each_comes_before_the_second_of_any() {
    let nodes = [node("n1", 512, &[])];
    let placement = place(&nodes, &[wanted("a", 4, 128), wanted("b", 1, 128), wanted("c", 4, 128)]);
    assert_eq!(changes(&placement), ["n1 a 0→2", "n1 b 0→1", "n1 c 0→1"]);
    assert_eq!(placement.unplaceable.iter().map(|u| u.missing).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn maxinstancespernode_holds_on_each_node() {
    let limited = |count| Wanted { max_per_node: NonZeroU32::new(2), ..wanted("web", count, 1) };
    let nodes = [node("a", 1024, &[("web", 5)]), node("b", 1024, &[])];
    let placement = place(&nodes, &[limited(6)]);
    assert_eq!(changes(&placement), ["a web 5→2", "b web 0→2"]);
    assert_eq!(placement.unplaceable[0].obstacle, Obstacle::LimitPerNode);
    assert!(placement.unplaceable[0].to_string().contains("maxinstancespernode"));
}

#[test]
fn too_large_for_every_node_says_how_much_was_asked_and_what_there_is() {
    let nodes = [node("a", 1024, &[]), node("b", 2048, &[])];
    let unplaceable = &place(&nodes, &[wanted("big", 1, 4096)]).unplaceable[0];
    assert_eq!(unplaceable.obstacle, Obstacle::TooLarge);
    assert_eq!(
        unplaceable.to_string(),
        "component big can't be placed: an instance asks for 4096 MiB, the largest node has 2048 MiB"
    );
    assert_eq!(place(&[], &[wanted("big", 1, 1)]).unplaceable[0].obstacle, Obstacle::NoNode);
}

#[test]
fn displacement_takes_what_can_be_spared_and_no_more() {
    let nodes = [node("n1", 1024, &[("fat", 1), ("many", 4)])];
    let fat = Wanted { min_instances: 0, ..wanted("fat", 1, 512) };
    let placement = place(&nodes, &[fat.clone(), wanted("many", 4, 128), wanted("new", 1, 256)]);
    assert_eq!(changes(&placement), ["n1 many 4→2", "n1 new 0→1"]);
    assert!(placement.changes[0].reasons[0].starts_with("displaced by new"), "{:?}", placement.changes);
    // Neither the last of a component nor one of its minimum.
    let many = Wanted { min_instances: 3, ..wanted("many", 4, 128) };
    let placement = place(&nodes, &[fat, many, wanted("new", 1, 256)]);
    assert_eq!(changes(&placement), [""; 0]);
    assert_eq!(placement.unplaceable[0].obstacle, Obstacle::Memory);
}

#[test]
fn a_second_instance_displaces_nobody() {
    let nodes = [node("n1", 512, &[("many", 3), ("web", 1)])];
    let placement = place(&nodes, &[wanted("many", 3, 128), wanted("web", 2, 128)]);
    assert_eq!(changes(&placement), [""; 0]);
    let web = Wanted { min_instances: 2, ..wanted("web", 2, 128) };
    let placement = place(&nodes, &[wanted("many", 3, 128), web]);
    assert_eq!(changes(&placement), ["n1 many 3→2", "n1 web 1→2"]);
}

#[test]
fn a_standby_instance_needs_no_more_memory() {
    let mut full = node("n1", 512, &[("other", 3)]);
    full.standby.insert(name("web"), 1);
    let all = [wanted("other", 3, 128), wanted("web", 1, 128)];
    assert_eq!(changes(&place(&[full.clone()], &all)), ["n1 web 0→1"]);
    let nodes = [node("n0", 4096, &[]), full];
    assert_eq!(changes(&place(&nodes, &all)), ["n1 web 0→1"]);
}

#[test]
fn what_is_not_wanted_any_more_goes() {
    let nodes = [node("n1", 512, &[("gone", 2), ("less", 3), ("stays", 1)])];
    let placement = place(&nodes, &[wanted("less", 1, 64), wanted("stays", 1, 64)]);
    assert_eq!(changes(&placement), ["n1 gone 2→0", "n1 less 3→1"]);
}

#[test]
fn a_node_that_became_too_small_loses_what_is_needed_least() {
    let nodes = [node("n1", 500, &[("one", 1), ("three", 3)])];
    let placement = place(&nodes, &[wanted("one", 1, 128), wanted("three", 3, 128)]);
    assert_eq!(changes(&placement), ["n1 three 3→2"]);
    assert_eq!(placement.unplaceable[0].missing, 1);
}

#[test]
fn a_draining_node_keeps_only_what_no_other_can_take() {
    let mut draining = node("a", 1024, &[("web", 2), ("api", 1)]);
    draining.draining = true;
    let all = [wanted("api", 1, 128), wanted("new", 1, 128), wanted("web", 2, 128)];
    let alone = place(&[draining.clone()], &all);
    assert_eq!(changes(&alone), [""; 0]);
    assert_eq!(alone.unplaceable[0].to_string(), "component new can't be placed: no node takes instances");
    let placement = place(&[draining, node("b", 384, &[])], &all);
    assert_eq!(changes(&placement), ["a api 1→0", "a web 2→1", "b api 0→1", "b new 0→1", "b web 0→1"]);
}

fn any_world() -> impl Strategy<Value = (Vec<NodeView>, Vec<Wanted>)> {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let component = (0_u32..6, 0_u32..4, 0_u32..4, prop::sample::select(vec![0, 64, 100, 128, 700]));
    let machine = (
        prop::sample::select(vec![0, 256, 500, 1024, 4096]),
        0_u64..300,
        prop::collection::vec(0_u32..4, NAMES.len() + 1),
        prop::collection::vec(0_u32..2, NAMES.len()),
        prop::bool::weighted(0.2),
        0_u8..3,
    );
    (prop::collection::vec(machine, 0..5), prop::collection::vec(component, 0..=NAMES.len())).prop_map(
        |(nodes, components)| {
            let wanted = components.iter().zip(NAMES).map(|((count, min, per_node, memory), text)| Wanted {
                min_instances: *min.min(count),
                max_per_node: NonZeroU32::new(*per_node),
                ..wanted(text, *count, *memory)
            });
            let nodes = nodes.into_iter().enumerate().map(
                |(index, (total, other, targets, standby, draining, load))| {
                    let names = NAMES.into_iter().chain(["gone"]);
                    let targets: Vec<_> = names.zip(targets).collect();
                    NodeView {
                        other_memory_mib: other,
                        standby: NAMES.into_iter().map(name).zip(standby).collect(),
                        draining,
                        load: f64::from(load),
                        ..node(&format!("n{index}"), total, &targets)
                    }
                },
            );
            (nodes.collect(), wanted.collect())
        },
    )
}

/// The nodes after the placement: counts are new, and a standby was used for what came where it was.
fn apply(nodes: &[NodeView], placement: &Placement) -> Vec<NodeView> {
    let mut nodes = nodes.to_vec();
    for change in &placement.changes {
        let node = nodes.iter_mut().find(|node| node.id == change.node).unwrap();
        assert_eq!(node.targets.get(&change.component).copied().unwrap_or(0), change.from);
        assert_ne!(change.from, change.to);
        assert!(!change.reasons.is_empty(), "{change:?}");
        node.targets.insert(change.component.clone(), change.to);
        if let Some(standby) = node.standby.get_mut(&change.component) {
            *standby = standby.saturating_sub(change.to.saturating_sub(change.from));
        }
    }
    nodes
}

fn reserved(counts: &BTreeMap<ComponentName, u32>, wanted: &[Wanted]) -> u64 {
    let reserve = |component: &ComponentName| {
        wanted.iter().find(|w| w.component == *component).map_or(0, |w| w.reserve_memory_mib)
    };
    counts.iter().map(|(component, count)| u64::from(*count) * reserve(component)).sum()
}

fn total(nodes: &[NodeView], component: &ComponentName) -> u32 {
    nodes.iter().filter_map(|node| node.targets.get(component)).sum()
}

proptest! {
    #[test]
    fn memory_and_limits_hold_on_every_node((nodes, wanted) in any_world()) {
        let placement = place(&nodes, &wanted);
        let after = apply(&nodes, &placement);
        for (before, node) in nodes.iter().zip(&after) {
            let targets = reserved(&node.targets, &wanted);
            if !node.draining {
                prop_assert!(targets <= node.total_memory_mib, "{node:?}");
            }
            let all = targets + reserved(&node.standby, &wanted) + node.other_memory_mib;
            let more = node.targets.iter().any(|(c, count)| *count > before.targets.get(c).copied().unwrap_or(0));
            prop_assert!(!more || all <= node.total_memory_mib, "{node:?}");
            prop_assert!(!more || !node.draining);
            for w in &wanted {
                let count = node.targets.get(&w.component).copied().unwrap_or(0);
                prop_assert!(node.draining || w.max_per_node.is_none_or(|limit| count <= limit.get()));
            }
        }
        for w in &wanted {
            let missing = placement.unplaceable.iter().find(|u| u.component == w.component).map_or(0, |u| u.missing);
            prop_assert_eq!(total(&after, &w.component) + missing, w.count);
        }
        prop_assert_eq!(total(&after, &name("gone")), 0);
    }

    #[test]
    fn placing_again_changes_nothing((mut nodes, wanted) in any_world()) {
        for node in &mut nodes {
            node.standby.clear();
        }
        let first = place(&nodes, &wanted);
        let again = place(&apply(&nodes, &first), &wanted);
        prop_assert_eq!(changes(&again), [""; 0], "after {:?}", changes(&first));
        let missing = |placement: &Placement| -> Vec<_> {
            placement.unplaceable.iter().map(|u| (u.component.clone(), u.missing)).collect()
        };
        prop_assert_eq!(missing(&first), missing(&again));
    }

    /// What a standby holds and a resumed one frees shows only once it is done, so it may take another
    /// look or two, but not more.
    #[test]
    fn with_standbys_it_comes_to_rest_too((mut nodes, wanted) in any_world()) {
        const LOOKS: usize = 5;
        for _ in 0..LOOKS {
            nodes = apply(&nodes, &place(&nodes, &wanted));
        }
        prop_assert_eq!(changes(&place(&nodes, &wanted)), [""; 0]);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter((mut nodes, mut wanted) in any_world()) {
        let first = place(&nodes, &wanted);
        nodes.reverse();
        wanted.reverse();
        prop_assert_eq!(first, place(&nodes, &wanted));
    }

    #[test]
    fn displacement_spares_minimums_and_last_ones((nodes, wanted) in any_world()) {
        let placement = place(&nodes, &wanted);
        let after = apply(&nodes, &placement);
        for change in &placement.changes {
            if change.reasons.iter().any(|reason| reason.starts_with("displaced")) {
                let w = wanted.iter().find(|w| w.component == change.component).unwrap();
                prop_assert!(total(&after, &w.component) >= w.min_instances.max(1));
            }
        }
    }
}
