//! Who holds what is paused, as tables and properties.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{decide::placement::NodeView, wire};

const MIB: u64 = 128;

fn name(text: &str) -> ComponentName {
    ComponentName::parse(text).unwrap()
}

fn component(text: &str, standby: u32) -> Component {
    let docker = wire::DockerComponent {
        image: "i:1".into(),
        reserve_memory_mib: Some(128),
        ..wire::DockerComponent::default()
    };
    let wire = wire::Component { name: text.into(), docker: Some(docker), ..wire::Component::default() };
    let mut component = Component::parse(&wire).unwrap();
    component.scaling.standby = standby;
    component
}

/// With room for so many instances.
fn node(id: &str, instances: u64) -> NodeState {
    NodeState::new(NodeView {
        id: NodeId::new(id),
        version: 1,
        total_memory_mib: instances * MIB,
        other_memory_mib: 0,
        targets: BTreeMap::new(),
        standby: BTreeMap::new(),
        draining: false,
        load: 0.0,
    })
}

fn three() -> Vec<NodeState> {
    ["a", "b", "c"].map(|id| node(id, 8)).into()
}

fn candidate(node: &NodeState) -> Candidate {
    Candidate::new(node.clone(), |_| MIB)
}

fn of(component: &Component, nodes: &[NodeState]) -> BTreeMap<NodeId, u32> {
    let candidates: Vec<Candidate> = nodes.iter().map(candidate).collect();
    shares(component, &candidates)
}

/// The one node that holds the one.
fn only(shares: &BTreeMap<NodeId, u32>) -> &str {
    let shares: Vec<_> = shares.iter().collect();
    assert_eq!((shares.len(), *shares[0].1), (1, 1), "{shares:?}");
    shares[0].0.as_str()
}

fn find<'a>(nodes: &'a mut [NodeState], id: &str) -> &'a mut NodeState {
    nodes.iter_mut().find(|node| node.view.id.as_str() == id).unwrap()
}

/// All nodes do as they find.
fn follow(component: &Component, nodes: &mut [NodeState]) {
    let shares = of(component, nodes);
    for node in nodes {
        let share = shares.get(&node.view.id).copied().unwrap_or(0);
        node.view.standby.insert(component.name.clone(), share);
    }
}

#[test]
fn one_is_held_by_one_node_and_components_spread() {
    let nodes = three();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..60 {
        let shares = of(&component(&format!("web-{index}"), 1), &nodes);
        *counts.entry(only(&shares).to_owned()).or_default() += 1;
    }
    assert!(counts.len() == 3 && counts.values().all(|count| (10..=32).contains(count)), "{counts:?}");
}

#[test]
fn several_spread_and_fill_what_there_is() {
    let of = |standby, nodes: &[NodeState]| -> Vec<u32> {
        let mut counts: Vec<u32> = of(&component("web", standby), nodes).into_values().collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(of(0, &three()), [0; 0]);
    assert_eq!(of(3, &three()), [1, 1, 1]);
    assert_eq!(of(5, &three()), [1, 2, 2]);
    assert_eq!(of(9, &[node("a", 1), node("b", 3), node("c", 0)]), [1, 3]);
    assert_eq!(of(2, &[node("a", 8)]), [2], "a node alone holds all");
    assert_eq!(of(2, &[]), [0; 0]);
}

#[test]
fn maxinstances_leaves_what_is_not_to_run_anywhere() {
    let mut web = component("web", 2);
    web.scaling.max_instances = NonZeroU32::new(3);
    let mut nodes = three();
    nodes[0].view.targets.insert(name("web"), 1);
    nodes[2].view.targets.insert(name("web"), 1);
    assert_eq!(of(&web, &nodes).values().sum::<u32>(), 1);
    // A lost node may still run its own.
    nodes[0].silent_for = Some(LOST_AFTER);
    assert_eq!(of(&web, &nodes).values().sum::<u32>(), 1);
    nodes[1].view.targets.insert(name("web"), 1);
    assert_eq!(of(&web, &nodes), BTreeMap::new());
}

#[test]
fn what_one_node_may_not_have_another_has() {
    let web = component("web", 1);
    let mut limited = web.clone();
    limited.scaling.max_instances_per_node = NonZeroU32::new(1);
    let mut nodes = three();
    let first = only(&of(&web, &nodes)).to_owned();
    let unlike_first = |change: &dyn Fn(&mut NodeState), component: &Component| {
        let mut nodes = nodes.clone();
        change(find(&mut nodes, &first));
        assert_ne!(only(&of(component, &nodes)), first);
    };
    unlike_first(&|node| node.view.draining = true, &web);
    unlike_first(&|node| node.silent_for = Some(LOST_AFTER), &web);
    unlike_first(&|node| node.view.other_memory_mib = 7 * MIB + 1, &web);
    let runs = |component, count| {
        move |node: &mut NodeState| {
            node.view.targets.insert(name(component), count);
        }
    };
    unlike_first(&runs("other", 8), &web);
    unlike_first(&runs("web", 1), &limited);
    // A moment's silence moves nothing.
    find(&mut nodes, &first).silent_for = Some(LOST_AFTER.saturating_sub(Duration::from_millis(1)));
    assert_eq!(only(&of(&web, &nodes)), first);
}

#[test]
fn a_node_that_comes_back_moves_nothing() {
    let web = component("web", 1);
    let mut nodes = three();
    follow(&web, &mut nodes);
    let first = only(&of(&web, &nodes)).to_owned();
    let (gone, mut rest): (Vec<_>, Vec<_>) =
        nodes.into_iter().partition(|node| node.view.id.as_str() == first);
    follow(&web, &mut rest);
    let second = only(&of(&web, &rest)).to_owned();
    // It lost what it held, or has it still: then the one that ranks higher keeps its own.
    let empty = gone.iter().cloned().map(|node| NodeState { view: emptied(node.view), ..node });
    let all: Vec<_> = rest.iter().cloned().chain(empty).collect();
    assert_eq!(only(&of(&web, &all)), second);
    let all: Vec<_> = rest.into_iter().chain(gone).collect();
    assert_eq!(only(&of(&web, &all)), first);
}

fn emptied(view: NodeView) -> NodeView {
    NodeView { standby: BTreeMap::new(), ..view }
}

fn any_nodes() -> impl Strategy<Value = Vec<NodeState>> {
    let machine =
        (0_u64..6, 0_u64..300, 0_u32..3, 0_u32..3, 0_u32..3, prop::bool::weighted(0.2), 0_u64..20_000);
    prop::collection::vec(machine, 0..6).prop_map(|machines| {
        let machines = machines.into_iter().enumerate();
        let state = |(index, (room, other, run, paused, others, draining, silent))| {
            let mut state = node(&format!("n{index}"), room);
            state.view.other_memory_mib = other;
            state.view.targets = BTreeMap::from([(name("web"), run), (name("other"), others)]);
            state.view.standby = BTreeMap::from([(name("web"), paused)]);
            state.view.draining = draining;
            state.silent_for = (silent < 6_000).then_some(Duration::from_millis(silent));
            state
        };
        machines.map(state).collect()
    })
}

fn any_component() -> impl Strategy<Value = Component> {
    (0_u32..8, 0_u32..8, 0_u32..4).prop_map(|(standby, max, per_node)| {
        let mut web = component("web", standby);
        web.scaling.max_instances = NonZeroU32::new(max);
        web.scaling.max_instances_per_node = NonZeroU32::new(per_node);
        web
    })
}

proptest! {
    #[test]
    fn no_limit_is_exceeded_and_nothing_possible_is_missing((web, nodes) in (any_component(), any_nodes())) {
        let shares = of(&web, &nodes);
        let total: u32 = shares.values().sum();
        let running: u32 = nodes.iter().map(|node| candidate(node).target(&web.name)).sum();
        let allowed = web.scaling.max_instances.map_or(u32::MAX, |max| max.get().saturating_sub(running));
        prop_assert!(total <= web.scaling.standby.min(allowed));
        let mut more = false;
        for node in &nodes {
            let share = shares.get(&node.view.id).copied().unwrap_or(0);
            let candidate = candidate(node);
            let Holder { held, room, .. } = Holder::new(&candidate, &web);
            prop_assert!(share <= room && (share == 0 || candidate.holds()), "{share} {node:?}");
            // Beyond what it has there must be memory.
            let others: u32 = node.view.targets.values().sum();
            let reserved = u64::from(others + share) * MIB + node.view.other_memory_mib;
            prop_assert!(share <= held || reserved <= node.view.total_memory_mib, "{share} {node:?}");
            more |= candidate.holds() && share < room;
        }
        prop_assert!(total == web.scaling.standby.min(allowed) || !more, "{shares:?}");
    }

    #[test]
    fn when_all_have_done_it_nothing_is_left_to_do((web, mut nodes) in (any_component(), any_nodes())) {
        for node in &mut nodes {
            // More than it has memory for stays until something ends; that is no matter of places.
            let reserved: u32 = node.view.targets.values().chain(node.view.standby.values()).sum();
            node.view.total_memory_mib += u64::from(reserved) * MIB + node.view.other_memory_mib;
        }
        let first = of(&web, &nodes);
        follow(&web, &mut nodes);
        prop_assert_eq!(first, of(&web, &nodes));
    }

    #[test]
    fn the_order_of_the_nodes_does_not_matter((web, mut nodes) in (any_component(), any_nodes())) {
        let first = of(&web, &nodes);
        nodes.reverse();
        prop_assert_eq!(first, of(&web, &nodes));
    }

    /// Each node acts on what it knew of the others some time ago; when they tell each other, it ends.
    #[test]
    fn old_news_does_no_lasting_harm(
        web in any_component(),
        nodes in any_nodes(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut nodes: Vec<NodeState> =
            nodes.into_iter().map(|node| NodeState { view: NodeView { total_memory_mib: 8_192, ..node.view }, ..node }).collect();
        let old = nodes.clone();
        for index in order.iter().filter(|_| !old.is_empty()) {
            let me = index.index(nodes.len());
            // Itself it knows as it is.
            let mut known = old.clone();
            known[me] = nodes[me].clone();
            let share = of(&web, &known).get(&nodes[me].view.id).copied().unwrap_or(0);
            nodes[me].view.standby.insert(web.name.clone(), share);
        }
        follow(&web, &mut nodes);
        let shares = of(&web, &nodes);
        let held = nodes.iter().map(|node| (node.view.id.clone(), node.view.standby[&web.name]));
        prop_assert_eq!(held.filter(|(_, held)| *held > 0).collect::<BTreeMap<_, _>>(), shares);
    }
}
