//! What the scheduler says, as tables. Nodes do at once what they are told; instances become healthy when a
//! test says so.

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

use super::*;
use crate::{
    decide::{activity::Window, autoscale::Demand, placement::NodeView},
    names::NodeId,
    wire,
};

fn name(text: &str) -> ComponentName {
    ComponentName::parse(text).unwrap()
}

/// With 128 MiB an instance, and one request at a time.
pub(super) fn component(text: &str, change: impl FnOnce(&mut Component)) -> Arc<Component> {
    let docker = wire::DockerComponent {
        image: "i:1".into(),
        reserve_memory_mib: Some(128),
        ..wire::DockerComponent::default()
    };
    let wire = wire::Component { name: text.into(), docker: Some(docker), ..wire::Component::default() };
    let mut component = Component::parse(&wire).unwrap();
    change(&mut component);
    Arc::new(component)
}

fn limited(text: &str, max: u32) -> Arc<Component> {
    component(text, |component| component.scaling.max_instances = NonZeroU32::new(max))
}

fn node(id: &str, targets: &[(&str, u32)]) -> NodeState {
    let view = NodeView {
        id: NodeId::new(id),
        version: 1,
        total_memory_mib: 1_024,
        other_memory_mib: 0,
        targets: targets.iter().map(|(component, count)| (name(component), *count)).collect(),
        standby: BTreeMap::new(),
        draining: false,
        load: 0.0,
    };
    let mut state = NodeState::new(view);
    for (component, count) in targets {
        state.instances.insert(name(component), Instances { serving: *count, ..Instances::default() });
    }
    state
}

/// A component that `load` requests at a time ask for.
fn asked(component: Arc<Component>, load: u32) -> ComponentState {
    let window = Window { average: f64::from(load), peak: load };
    let demand = Demand {
        in_flight: load,
        stable: window,
        panic: window,
        last_request: (load > 0).then_some(Duration::ZERO),
        observed: Duration::from_secs(600),
        ..Demand::default()
    };
    ComponentState { component, demand, in_rotation: 1, starving: false }
}

struct Cluster {
    world: World,
    scheduler: Scheduler,
    now: Moment,
}

impl Cluster {
    fn new(components: Vec<ComponentState>, nodes: Vec<NodeState>) -> Self {
        let world = World { term: Term(1), components, nodes, ..World::default() };
        Self { world, scheduler: Scheduler::default(), now: Moment::from_millis(1_000_000) }
    }

    fn node(&mut self, id: &str) -> &mut NodeState {
        self.world.nodes.iter_mut().find(|node| node.view.id.as_str() == id).unwrap()
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// A second later: a pass, and each node does what it is told.
    fn pass(&mut self) -> Vec<String> {
        self.wait(1);
        let plan = self.scheduler.pass(&self.world, self.now);
        self.carry_out(&plan)
    }

    fn carry_out(&mut self, plan: &Plan) -> Vec<String> {
        let mut lines = Vec::new();
        for order in &plan.orders {
            lines.extend(lines_of(order));
            let made: Vec<ComponentName> = order.changes.iter().map(|c| c.component.clone()).collect();
            let node = self.node(order.node.as_str());
            assert_eq!(node.view.version, order.base);
            for change in &order.changes {
                assert!(!change.reasons.is_empty(), "{order:?}");
                node.view.targets.insert(change.component.clone(), change.to);
                node.stop_surplus(&change.component);
            }
            node.view.version += 1;
            self.scheduler.answered(order.id, &Outcome::Done(&made));
        }
        lines
    }

    /// A second later: a pass, and of none of its orders anything is heard again.
    fn lose(&mut self) -> Vec<String> {
        self.wait(1);
        let plan = self.scheduler.pass(&self.world, self.now);
        for order in &plan.orders {
            self.scheduler.answered(order.id, &Outcome::Lost);
        }
        plan.orders.iter().flat_map(lines_of).collect()
    }

    /// All instances that are to run are healthy, and none is ending.
    fn settle(&mut self) {
        for node in &mut self.world.nodes {
            let healthy = |(name, count): (&ComponentName, &u32)| {
                (name.clone(), Instances { serving: *count, ..Instances::default() })
            };
            node.instances = node.view.targets.iter().map(healthy).collect();
            node.view.version += 1;
        }
    }

    /// Passes until nothing changes any more, each with healthy instances.
    fn rest(&mut self) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        loop {
            let lines = self.pass();
            if lines.is_empty() {
                return all;
            }
            all.push(lines);
            assert!(all.len() < 50, "no rest: {all:?}");
            self.settle();
        }
    }

    fn targets(&mut self, component: &str) -> Vec<u32> {
        let target = |node: &NodeState| node.view.targets.get(component).copied().unwrap_or(0);
        self.world.nodes.iter().map(target).collect()
    }
}

impl NodeState {
    /// What is too many is ending.
    fn stop_surplus(&mut self, component: &ComponentName) {
        let target = self.view.targets[component];
        let instances = self.instances.entry(component.clone()).or_default();
        let surplus = instances.serving.saturating_sub(target);
        instances.serving -= surplus;
        instances.ending += surplus;
    }
}

/// `node component from→to`.
fn lines_of(order: &Order) -> Vec<String> {
    let line = |c: &TargetChange| format!("{} {} {}→{}", order.node, c.component, c.from, c.to);
    order.changes.iter().map(line).collect()
}

#[test]
fn a_draining_node_empties_after_its_replacements_serve() {
    let web = asked(component("web", |_| ()), 1);
    let mut cluster = Cluster::new(vec![web], vec![node("a", &[("web", 2)]), node("b", &[])]);
    cluster.node("a").view.draining = true;
    assert_eq!(cluster.pass(), ["b web 0→2"]);
    assert_eq!(cluster.pass(), [""; 0], "they are not healthy yet");
    cluster.node("b").instances.insert(name("web"), Instances { serving: 1, starting: 1, ending: 0 });
    assert_eq!(cluster.pass(), ["a web 2→1"]);
    assert_eq!(cluster.pass(), [""; 0]);
    cluster.settle();
    assert_eq!(cluster.pass(), ["a web 1→0"]);
    cluster.settle();
    assert_eq!(cluster.rest(), [[""; 0]; 0]);
}

#[test]
fn a_draining_node_keeps_what_no_other_can_take() {
    let web = asked(component("web", |c| c.docker.reserve_memory_mib = 600), 1);
    let full = asked(component("full", |c| c.docker.reserve_memory_mib = 600), 1);
    let mut cluster =
        Cluster::new(vec![full, web], vec![node("a", &[("web", 1)]), node("b", &[("full", 1)])]);
    cluster.node("a").view.draining = true;
    assert_eq!(cluster.rest(), [[""; 0]; 0]);
    // Nothing new goes there either.
    cluster.world.components[1] = asked(component("web", |c| c.docker.reserve_memory_mib = 100), 4);
    assert_eq!(cluster.pass(), ["b web 0→4"]);
}

#[test]
fn where_maxinstances_leaves_no_room_the_old_one_ends_first() {
    let mut cluster =
        Cluster::new(vec![asked(limited("web", 1), 1)], vec![node("a", &[("web", 1)]), node("b", &[])]);
    cluster.node("a").view.draining = true;
    assert_eq!(cluster.pass(), ["a web 1→0"]);
    assert_eq!(cluster.pass(), [""; 0], "it is still ending");
    cluster.settle();
    assert_eq!(cluster.pass(), ["b web 0→1"]);
    // With nowhere to go it stays.
    let mut alone = Cluster::new(vec![asked(limited("web", 1), 1)], vec![node("a", &[("web", 1)])]);
    alone.node("a").view.draining = true;
    assert_eq!(alone.rest(), [[""; 0]; 0]);
}

/// Defect: any empty node set a migration off each minute, for ever.
#[test]
fn a_draining_node_empties_though_a_lost_one_may_run_the_rest_of_what_is_allowed() {
    let three = component("web", |component| {
        component.scaling.min_instances = 3;
        component.scaling.max_instances = NonZeroU32::new(5);
    });
    let lost = NodeState { silent_for: Some(Duration::from_secs(10)), ..node("a", &[("web", 2)]) };
    let nodes = vec![lost, node("b", &[("web", 1)]), node("c", &[("web", 1)])];
    let mut cluster = Cluster::new(vec![asked(three, 3)], nodes);
    cluster.node("b").view.draining = true;
    cluster.rest();
    assert_eq!(cluster.targets("web"), [2, 0, 3]);
    // With no room for a replacement even then, it serves on.
    let mut cluster = Cluster { scheduler: Scheduler::default(), ..cluster };
    let state = cluster.node("a");
    (state.beats, state.fenced) = (true, false);
    cluster.node("b").view.targets.insert(name("web"), 1);
    cluster.settle();
    cluster.rest();
    assert_eq!(cluster.targets("web")[1], 1);
}

#[test]
fn an_empty_node_gets_work_within_a_few_passes_and_then_there_is_rest() {
    let web = asked(component("web", |_| ()), 4);
    let api = asked(component("api", |_| ()), 1);
    let mut cluster = Cluster::new(vec![api, web], vec![node("a", &[("web", 6), ("api", 2)])]);
    assert_eq!(cluster.rest(), [[""; 0]; 0]);
    let mut new = node("b", &[]);
    new.known_for = Duration::from_secs(1);
    cluster.world.nodes.push(new);
    assert_eq!(cluster.pass(), [""; 0], "it may go as it came");
    cluster.node("b").known_for = Duration::from_secs(2);
    assert_eq!(cluster.pass(), ["b api 0→1", "b web 0→1"]);
    cluster.settle();
    assert_eq!(cluster.pass(), ["a api 2→1", "a web 6→5"]);
    cluster.settle();
    let passes = cluster.rest();
    assert_eq!((cluster.targets("web"), cluster.targets("api")), (vec![3, 3], vec![1, 1]));
    assert_eq!(passes.len(), 4, "{passes:?}");
}

#[test]
fn components_with_one_instance_move_for_memory_but_not_to_and_fro() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let components = names.map(|text| asked(component(text, |_| ()), 1)).to_vec();
    let mut cluster = Cluster::new(components, vec![node("n1", &names.map(|text| (text, 2)))]);
    for state in &mut cluster.world.components {
        state.component = component(state.component.name.as_str(), |c| c.scaling.max_instances = None);
        state.demand = asked(state.component.clone(), 0).demand;
        state.demand.last_request = Some(Duration::ZERO);
    }
    // One of each is enough.
    cluster.rest();
    assert_eq!(names.map(|text| cluster.targets(text)[0]), [1; 6]);
    cluster.world.nodes.push(node("n2", &[]));
    cluster.rest();
    let moved = names.iter().filter(|text| cluster.targets(text)[1] == 1).count();
    assert!((2..=3).contains(&moved), "{moved}");
    // At maxinstances nothing is moved.
    let one = names.map(|text| asked(limited(text, 1), 1)).to_vec();
    let mut cluster = Cluster::new(one, vec![node("n1", &names.map(|text| (text, 1))), node("n2", &[])]);
    assert_eq!(cluster.rest(), [[""; 0]; 0]);
}

#[test]
fn a_move_that_fails_is_taken_back_and_not_tried_again_at_once() {
    let mut cluster = Cluster::new(
        vec![asked(component("web", |_| ()), 1)],
        vec![node("a", &[("web", 2)]), node("b", &[])],
    );
    assert_eq!(cluster.pass(), ["b web 0→1"]);
    cluster.node("b").failing = BTreeSet::from([name("web")]);
    assert_eq!(cluster.pass(), ["b web 1→0"]);
    cluster.node("b").failing.clear();
    cluster.settle();
    assert_eq!(cluster.pass(), [""; 0]);
    cluster.wait(60);
    assert_eq!(cluster.pass(), ["b web 0→1"]);
    // Neither healthy nor failing: given up after its limit.
    cluster.wait(300);
    assert_eq!(cluster.pass(), ["b web 1→0"]);
}

#[test]
fn a_component_that_can_not_be_started_on_one_node_is_tried_on_another() {
    let mut cluster =
        Cluster::new(vec![asked(component("web", |_| ()), 1)], vec![node("a", &[]), node("b", &[])]);
    assert_eq!(cluster.pass(), ["a web 0→1", "b web 0→1"]);
    cluster.settle();
    cluster.node("a").instances.clear();
    cluster.node("a").failing = BTreeSet::from([name("web")]);
    assert_eq!(cluster.pass(), ["b web 1→2"]);
    cluster.settle();
    cluster.node("a").instances.clear();
    assert_eq!(cluster.pass(), ["a web 1→0"]);
    // Where there is no other it is tried on.
    let mut alone = Cluster::new(vec![asked(component("web", |_| ()), 1)], vec![node("a", &[("web", 2)])]);
    alone.node("a").instances.clear();
    alone.node("a").failing = BTreeSet::from([name("web")]);
    assert_eq!(alone.rest(), [[""; 0]; 0]);
}

/// A decider that has just been started may find a node that it can't reach, and that lives.
#[test]
fn a_node_of_which_nothing_is_known_may_run_all_that_is_limited() {
    let web = component("web", |c| c.scaling.max_concurrency = NonZeroU32::new(10).unwrap());
    let components = vec![asked(limited("few", 3), 1), asked(web, 1)];
    let mut cluster = Cluster::new(components, vec![node("a", &[]), node("b", &[])]);
    cluster.node("b").adopting = true;
    cluster.node("b").silent_for = Some(Duration::from_secs(60));
    assert_eq!(cluster.pass(), ["a web 0→1"]);
    cluster.node("b").adopting = false;
    // One request at a time, and no more than three quarters of that.
    assert_eq!(cluster.pass(), ["a few 0→2"]);
}

/// Cut off from this one, it may have heard the owner before.
#[test]
fn a_silent_node_that_lives_may_run_all_that_is_limited_unless_it_heard_this_owner() {
    let web = component("web", |c| c.scaling.max_concurrency = NonZeroU32::new(10).unwrap());
    let components = vec![asked(limited("few", 3), 1), asked(web, 1)];
    let mut cluster = Cluster::new(components, vec![node("a", &[]), node("b", &[])]);
    let b = cluster.node("b");
    (b.silent_for, b.beats, b.fenced) = (Some(Duration::from_secs(60)), true, false);
    assert_eq!(cluster.pass(), ["a web 0→1"]);
    // By now only this owner can have told it anything.
    cluster.node("b").fenced = true;
    assert_eq!(cluster.pass(), ["a few 0→2"]);
}

/// Who is silent for this owner may be the next one, and knows nothing of what is begun here.
#[test]
fn after_somebody_fell_silent_nothing_limited_is_added_before_the_right_to_it_is_confirmed() {
    let web = component("web", |c| c.scaling.max_concurrency = NonZeroU32::new(10).unwrap());
    let components = vec![asked(limited("few", 3), 1), asked(web, 1)];
    let nodes = vec![node("a", &[("few", 1)]), node("b", &[("few", 1)]), node("c", &[])];
    let mut cluster = Cluster::new(components, nodes);
    cluster.node("b").silent_for = Some(LOST_AFTER);
    cluster.world.confirmed_ago = LOST_AFTER + Duration::from_millis(1);
    let lines = cluster.pass();
    assert!(lines.len() == 1 && lines[0].contains("web 0→1"), "{lines:?}");
    cluster.world.confirmed_ago = LOST_AFTER;
    assert_eq!(cluster.pass(), ["c few 0→1"]);
}

#[test]
fn what_a_lost_node_ran_starts_elsewhere_but_not_beyond_maxinstances() {
    let web = component("web", |c| c.scaling.max_concurrency = NonZeroU32::new(10).unwrap());
    let components = vec![asked(limited("few", 1), 1), asked(web, 1)];
    let nodes = vec![node("a", &[("few", 1), ("web", 1)]), node("b", &[])];
    let mut cluster = Cluster::new(components, nodes);
    cluster.node("a").silent_for = Some(Duration::from_secs(2));
    assert_eq!(cluster.pass(), [""; 0], "it may be a hiccup");
    cluster.node("a").silent_for = Some(LOST_AFTER);
    assert_eq!(cluster.pass(), ["b web 0→1"]);
    // It comes back: what is too many goes when the burst is over.
    cluster.settle();
    cluster.wait(60);
    cluster.node("a").silent_for = None;
    assert_eq!(cluster.pass(), ["a web 1→0"], "the fuller one");
    cluster.settle();
    // It has left.
    cluster.world.nodes.remove(0);
    assert_eq!(cluster.pass(), ["b few 0→1"]);
}

#[test]
fn a_hung_node_gets_nothing_new_and_delays_nobody() {
    let mut cluster =
        Cluster::new(vec![asked(component("web", |_| ()), 0)], vec![node("a", &[]), node("b", &[])]);
    let starve = |cluster: &mut Cluster, components: Vec<Arc<Component>>| {
        cluster.world.components =
            components.into_iter().map(|c| ComponentState { starving: true, ..asked(c, 1) }).collect();
        let plan = cluster.scheduler.answer_demand(&cluster.world, cluster.now);
        let lines: Vec<String> = plan.orders.iter().flat_map(lines_of).collect();
        (lines, plan)
    };
    let web = component("web", |_| ());
    let (lines, plan) = starve(&mut cluster, vec![web.clone()]);
    assert_eq!((lines, plan.look_again), (vec!["a web 0→1".to_owned()], Some(SLOW_AFTER)));
    // The order to a is under way: it gets no other, and counts as carried out.
    let more = vec![component("api", |_| ()), web.clone()];
    let (lines, _) = starve(&mut cluster, more.clone());
    assert_eq!(lines, ["b api 0→1"]);
    cluster.now = cluster.now + SLOW_AFTER;
    let (lines, _) = starve(&mut cluster, vec![component("job", |_| ()), web.clone()]);
    assert_eq!(lines, [""; 0], "b is busy now");
    assert_eq!(cluster.scheduler.answered(2, &Outcome::Done(&[name("api")])).len(), 1);
    cluster.node("b").view.version += 1;
    let (lines, _) = starve(&mut cluster, vec![component("job", |_| ()), web.clone()]);
    assert_eq!(lines, ["b job 0→1"]);
    // Without an answer for a second it is in doubt: web is started elsewhere, unless that could be too many.
    cluster.scheduler.answered(3, &Outcome::Refused);
    cluster.now = cluster.now + DOUBT_AFTER;
    let (lines, _) = starve(&mut cluster, vec![limited("web", 1)]);
    assert_eq!(lines, [""; 0]);
    let (lines, _) = starve(&mut cluster, vec![web.clone()]);
    assert_eq!(lines, ["b web 0→1"]);
}

#[test]
fn an_order_in_doubt_is_settled_by_what_the_node_shows() {
    let mut cluster = Cluster::new(vec![asked(limited("web", 1), 1)], vec![node("a", &[]), node("b", &[])]);
    let plan = cluster.scheduler.pass(&cluster.world, cluster.now);
    assert_eq!(lines_of(&plan.orders[0]), ["a web 0→1"]);
    cluster.scheduler.answered(plan.orders[0].id, &Outcome::Lost);
    cluster.node("a").silent_for = Some(LOST_AFTER);
    assert_eq!(cluster.pass(), [""; 0], "it may run there");
    cluster.node("a").silent_for = None;
    cluster.node("a").view.draining = true;
    assert_eq!(cluster.pass(), [""; 0], "it may still be carried out");
    // Its version went on, and there is no web: the order was refused.
    cluster.node("a").view.version += 1;
    assert_eq!(cluster.pass(), ["b web 0→1"]);
}

/// A node to which nothing else happens never tells a newer version, which would settle the doubt.
#[test]
fn what_a_lost_order_was_to_do_for_a_move_is_ordered_again() {
    let web = asked(component("web", |_| ()), 1);
    let mut cluster = Cluster::new(vec![web], vec![node("a", &[("web", 2)]), node("b", &[])]);
    cluster.node("a").view.draining = true;
    assert_eq!(cluster.lose(), ["b web 0→2"]);
    assert_eq!(cluster.pass(), ["b web 0→2"]);
    cluster.settle();
    assert_eq!(cluster.lose(), ["a web 2→0"]);
    assert_eq!(cluster.pass(), ["a web 2→0"]);
    assert_eq!(cluster.rest(), [[""; 0]; 0]);
    assert_eq!(cluster.targets("web"), [0, 2]);
}

#[test]
fn a_move_ends_once_though_its_lost_order_was_carried_out() {
    let web = asked(component("web", |_| ()), 1);
    let mut cluster = Cluster::new(vec![web], vec![node("a", &[("web", 2)]), node("b", &[])]);
    assert_eq!(cluster.pass(), ["b web 0→1"]);
    cluster.settle();
    assert_eq!(cluster.lose(), ["a web 2→1"]);
    // Before it can be ordered again.
    cluster.node("a").silent_for = Some(Duration::from_secs(1));
    assert_eq!(cluster.pass(), [""; 0]);
    let a = cluster.node("a");
    a.silent_for = None;
    a.view.targets.insert(name("web"), 1);
    a.view.version += 1;
    assert_eq!(cluster.pass(), [""; 0]);
    cluster.settle();
    assert_eq!(cluster.rest(), [[""; 0]; 0]);
    assert_eq!(cluster.targets("web"), [1, 1]);
}

#[test]
fn nothing_is_ordered_from_nodes_that_still_take_orders_of_others() {
    let mut cluster =
        Cluster::new(vec![asked(component("web", |_| ()), 1)], vec![node("a", &[]), node("b", &[])]);
    cluster.node("a").fenced = false;
    assert_eq!(cluster.pass(), ["b web 0→2"]);
}

#[test]
fn refusals_share_their_pauses_and_end_when_there_is_room() {
    let big = component("big", |c| c.docker.reserve_memory_mib = 4_096);
    let starving = ComponentState { starving: true, ..asked(big, 1) };
    let mut cluster = Cluster::new(vec![starving], vec![node("a", &[]), node("b", &[])]);
    let pauses: Vec<u128> = (0..4)
        .map(|_| {
            let plan = cluster.scheduler.answer_demand(&cluster.world, cluster.now);
            cluster.now = cluster.now + Duration::from_millis(500);
            plan.refused[0].retry_after.as_millis()
        })
        .collect();
    assert_eq!(pauses, [1_000, 500, 2_000, 1_500]);
    assert!(cluster.scheduler.obstacle(&name("big")).is_some());
    cluster.node("b").view.total_memory_mib = 8_192;
    let plan = cluster.scheduler.pass(&cluster.world, cluster.now);
    assert_eq!((plan.relieved.as_slice(), plan.orders.len()), ([name("big")].as_slice(), 1));
    assert_eq!(cluster.scheduler.obstacle(&name("big")), None);
}

#[test]
fn the_same_world_leads_to_the_same_plan_on_every_peer() {
    let components = vec![asked(component("api", |_| ()), 3), asked(limited("web", 4), 9)];
    let nodes = || vec![node("a", &[("web", 2)]), node("b", &[]), node("c", &[("api", 3)]), node("d", &[])];
    let mut one = Cluster::new(components.clone(), nodes());
    let mut other = Cluster::new(components, nodes().into_iter().rev().collect());
    for _ in 0..6 {
        assert_eq!(one.pass(), other.pass());
        one.settle();
        other.settle();
    }
}

#[test]
fn another_term_begins_with_an_empty_memory() {
    let mut cluster = Cluster::new(
        vec![asked(component("web", |_| ()), 1)],
        vec![node("a", &[("web", 2)]), node("b", &[])],
    );
    let plan = cluster.scheduler.pass(&cluster.world, cluster.now);
    assert_eq!(lines_of(&plan.orders[0]), ["b web 0→1"]);
    cluster.world.term = Term(2);
    let again = cluster.scheduler.pass(&cluster.world, cluster.now);
    assert_eq!(lines_of(&again.orders[0]), ["b web 0→1"], "nothing is under way in this term");
    assert!(again.orders[0].id > plan.orders[0].id, "a late answer means the other one");
    assert!(cluster.scheduler.answered(plan.orders[0].id, &Outcome::Done(&[name("web")])).is_empty());
}

#[test]
fn a_daemon_that_was_started_anew_is_taken_to_have_what_its_last_run_had() {
    let info = wire::ComponentInfo {
        component_name: "web".into(),
        status: "active".into(),
        ..wire::ComponentInfo::default()
    };
    let last = NodeState::of(&wire::NodeStatus {
        node_id: "n1".into(),
        version: 9,
        incarnation: Some("1".into()),
        running_components: vec![info],
        ..wire::NodeStatus::default()
    });
    assert!(!last.adopting);
    for (version, adopting) in [(0, None), (1, Some(true))] {
        let status = wire::NodeStatus {
            node_id: "n1".into(),
            version,
            adopting,
            incarnation: Some("2".into()),
            ..wire::NodeStatus::default()
        };
        let anew = NodeState::of(&status);
        assert!(anew.adopting);
        let believed = anew.with_what_runs_of(&last);
        assert_eq!((&*believed.incarnation, believed.instances), ("2", last.instances.clone()));
    }
}
