//! Tables for the order of steps, and properties over random histories with failures.

use proptest::prelude::*;

use super::{
    plan::{apply, settle},
    *,
};
use crate::wire;

const NOW: Moment = Moment::from_millis(1_000);

fn desired(count: u32) -> Desired {
    Desired {
        count,
        standby: 0,
        limit: None,
        restart_order: RestartOrder::StartStop,
        starts: Starts::Parallel,
        not_before: Moment::ZERO,
    }
}

fn instance(serial: u64, state: State) -> Observed {
    Observed { serial, current: true, state, in_flight: 0, since: Moment::from_millis(serial) }
}

fn old(serial: u64, state: State) -> Observed {
    Observed { current: false, ..instance(serial, state) }
}

fn check(desired: &Desired, observed: &[Observed], expected: &[&str]) {
    let steps: Vec<String> = plan(desired, observed, NOW).iter().map(ToString::to_string).collect();
    assert_eq!(steps, expected);
}

const START: &str = "start an instance";
const PREPARE: &str = "prepare a standby instance";

fn stop_old(serial: u64) -> String {
    format!("stop instance #{serial}: its version or image is not the current one")
}

fn surplus(serial: u64) -> String {
    format!("stop instance #{serial}: fewer instances are wanted")
}

#[test]
fn nothing_to_do_is_done_at_once() {
    check(&desired(0), &[], &[]);
    check(&desired(2), &[instance(1, State::Serving), instance(2, State::Serving)], &[]);
}

#[test]
fn filling_up_is_parallel() {
    let goal = desired(3);
    let mut node = Vec::new();
    for _ in 0..3 {
        assert_eq!(next(&goal, &node, NOW), Step::Start(Purpose::Serve));
        apply(&mut node, &Step::Start(Purpose::Serve), NOW);
    }
    assert_eq!(next(&goal, &node, NOW), wait(Idle::Starting));
}

#[test]
fn startstop_replaces_one_at_a_time_and_starts_first() {
    let olds = [old(1, State::Serving), old(2, State::Serving)];
    let (one, two) = (stop_old(2), stop_old(1));
    check(&desired(2), &olds, &[START, &one, START, &two]);
}

#[test]
fn stopstart_replaces_one_at_a_time_and_stops_first() {
    let goal = Desired { restart_order: RestartOrder::StopStart, ..desired(2) };
    let olds = [old(1, State::Serving), old(2, State::Serving)];
    let (one, two) = (stop_old(2), stop_old(1));
    check(&goal, &olds, &[&one, START, &two, START]);
}

#[test]
fn stopstart_waits_until_the_old_one_is_gone() {
    let goal = Desired { restart_order: RestartOrder::StopStart, ..desired(1) };
    assert_eq!(next(&goal, &[old(1, State::Stopping)], NOW), wait(Idle::Stopping));
}

#[test]
fn scaling_down_stops_the_least_busy_then_the_youngest() {
    let busy = Observed { in_flight: 3, ..instance(3, State::Serving) };
    let node = [instance(1, State::Serving), instance(2, State::Serving), busy];
    check(&desired(1), &node, &[&surplus(2), &surplus(1)]);
}

#[test]
fn scaling_down_takes_the_outdated_first() {
    let busy_old = Observed { in_flight: 9, ..old(1, State::Serving) };
    check(&desired(1), &[busy_old, instance(2, State::Serving)], &[&stop_old(1)]);
}

#[test]
fn a_start_that_nobody_needs_any_more_is_given_up() {
    check(&desired(0), &[instance(1, State::Starting(Purpose::Serve))], &[&surplus(1)]);
}

#[test]
fn a_standby_instance_is_resumed_and_then_replaced() {
    let goal = Desired { standby: 1, ..desired(1) };
    check(&goal, &[instance(4, State::Standby)], &["resume standby instance #4", PREPARE]);
}

#[test]
fn a_standby_instance_is_resumed_while_starts_back_off() {
    let goal = Desired { not_before: NOW + std::time::Duration::from_secs(9), ..desired(1) };
    assert_eq!(next(&goal, &[instance(4, State::Standby)], NOW), Step::Resume(4));
    assert_eq!(next(&goal, &[], NOW), Step::Wait { until: Some(goal.not_before), why: Idle::BackOff });
}

#[test]
fn a_new_version_replaces_the_standby_instances_too() {
    let goal = Desired { standby: 1, ..desired(0) };
    check(&goal, &[old(1, State::Standby)], &[&stop_old(1), PREPARE]);
}

#[test]
fn standby_instances_count_in_the_limit() {
    let goal = Desired { standby: 2, limit: Some(2), ..desired(1) };
    check(&goal, &[instance(1, State::Serving)], &[PREPARE]);
    let goal = Desired { count: 2, ..goal };
    let node = [instance(1, State::Serving), instance(2, State::Standby)];
    check(&goal, &node, &["resume standby instance #2"]);
}

#[test]
fn standby_instances_are_prepared_after_those_that_somebody_waits_for() {
    let goal = Desired { standby: 1, ..desired(1) };
    let starting = [instance(1, State::Starting(Purpose::Serve))];
    assert_eq!(next(&goal, &starting, NOW), wait(Idle::Starting));
}

#[test]
fn one_by_one_waits_for_each_start() {
    let goal = Desired { starts: Starts::OneByOne, ..desired(3) };
    let starting = [instance(1, State::Starting(Purpose::Serve))];
    assert_eq!(next(&goal, &starting, NOW), wait(Idle::Starting));
    check(&goal, &[], &[START, START, START]);
}

/// The original stopped the old version although the new one never became healthy.
#[test]
fn a_new_version_that_never_gets_healthy_leaves_the_old_one_serving() {
    let mut node = vec![old(1, State::Serving)];
    for _ in 0..5 {
        let step = next(&desired(1), &node, NOW);
        assert_eq!(step, Step::Start(Purpose::Serve));
        apply(&mut node, &step, NOW);
        assert_eq!(next(&desired(1), &node, NOW), wait(Idle::Starting));
        node.retain(|instance| !instance.current);
    }
    assert_eq!(node, [old(1, State::Serving)]);
}

// --- random histories ---

#[derive(Clone, Debug)]
enum Happening {
    Settle(prop::sample::Index),
    Die(prop::sample::Index),
    FailChecks(prop::sample::Index),
    Busy(prop::sample::Index, u32),
    NewVersion,
    Retarget(u32, u32),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        8 => any::<prop::sample::Index>().prop_map(Settle),
        2 => any::<prop::sample::Index>().prop_map(Die),
        1 => any::<prop::sample::Index>().prop_map(FailChecks),
        2 => (any::<prop::sample::Index>(), 0..5_u32).prop_map(|(i, n)| Busy(i, n)),
        1 => Just(NewVersion),
        1 => (0..6_u32, 0..3_u32).prop_map(|(count, standby)| Retarget(count, standby)),
    ]
}

fn goal() -> impl Strategy<Value = Desired> {
    let order = prop_oneof![Just(RestartOrder::StartStop), Just(RestartOrder::StopStart)];
    let starts = prop_oneof![Just(Starts::Parallel), Just(Starts::OneByOne)];
    (0..6_u32, 0..3_u32, prop::option::of(1..6_u32), order, starts).prop_map(
        |(count, standby, limit, restart_order, starts)| Desired {
            count,
            standby,
            limit,
            restart_order,
            starts,
            not_before: Moment::ZERO,
        },
    )
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Starting(Purpose::Serve)),
        Just(State::Starting(Purpose::Standby)),
        Just(State::Serving),
        Just(State::Failed),
        Just(State::Standby),
        Just(State::Stopping),
    ]
}

fn any_node() -> impl Strategy<Value = Vec<Observed>> {
    prop::collection::vec((any_state(), any::<bool>(), 0..4_u32), 0..8).prop_map(|instances| {
        let numbered = (1..).zip(instances);
        numbered
            .map(|(serial, (state, current, in_flight))| Observed {
                current,
                in_flight,
                ..instance(serial, state)
            })
            .collect()
    })
}

fn serving(node: &[Observed]) -> usize {
    node.iter().filter(|instance| instance.state == State::Serving).count()
}

fn happen(goal: &mut Desired, node: &mut Vec<Observed>, happening: &Happening) {
    match happening {
        Happening::NewVersion => node.iter_mut().for_each(|instance| instance.current = false),
        Happening::Retarget(count, standby) => {
            goal.count = *count;
            goal.standby = *standby;
        }
        _ if node.is_empty() => {}
        Happening::Settle(index) => {
            let at = index.index(node.len());
            let mut one = vec![node.remove(at)];
            settle(&mut one);
            node.append(&mut one);
        }
        Happening::Die(index) => drop(node.remove(index.index(node.len()))),
        Happening::FailChecks(index) => {
            let at = index.index(node.len());
            if node[at].state == State::Serving {
                node[at].state = State::Failed;
            }
        }
        Happening::Busy(index, requests) => {
            let at = index.index(node.len());
            node[at].in_flight = *requests;
        }
    }
}

/// Takes steps until there is nothing to do; `verify` sees node and step before each.
fn run(goal: &Desired, node: &mut Vec<Observed>, mut verify: impl FnMut(&[Observed], &Step)) {
    for _ in 0..200 {
        let step = next(goal, node, NOW);
        if matches!(step, Step::Wait { .. }) {
            return;
        }
        verify(node, &step);
        apply(node, &step, NOW);
    }
    panic!("no end of steps: {goal:?} {node:?}");
}

proptest! {
    #[test]
    fn converges_from_any_state_once_failures_end(
        mut goal in goal(), mut node in any_node(), history in prop::collection::vec(happening(), 0..60),
    ) {
        for happening in &history {
            run(&goal, &mut node, |_, _| {});
            happen(&mut goal, &mut node, happening);
        }
        for _ in 0..100 {
            run(&goal, &mut node, |_, _| {});
            if !settle(&mut node) {
                break;
            }
        }
        let count = goal.limit.map_or(goal.count, |limit| limit.min(goal.count));
        let standby = goal.limit.map_or(goal.standby, |limit| goal.standby.min(limit - count));
        prop_assert!(node.iter().all(|instance| instance.current), "{:?}", node);
        prop_assert_eq!(serving(&node), count as usize);
        prop_assert_eq!(node.len(), (count + standby) as usize);
        prop_assert_eq!(next(&goal, &node, NOW), wait(Idle::Converged));
    }

    #[test]
    fn starts_never_exceed_the_limit_by_more_than_one_replacement(
        mut goal in goal(), limit in 1..6_u32, history in prop::collection::vec(happening(), 0..80),
    ) {
        goal.limit = Some(limit);
        let mut node = Vec::new();
        for happening in &history {
            run(&goal, &mut node, |_, _| {});
            let replacing = node.iter().any(|i| !i.current || i.state == State::Stopping);
            let over = usize::from(goal.restart_order == RestartOrder::StartStop && replacing);
            prop_assert!(node.len() <= limit as usize + over, "{:?} {:?}", goal, node);
            happen(&mut goal, &mut node, happening);
        }
    }

    #[test]
    fn a_startstop_deploy_never_drops_under_the_running_count(
        count in 1..6_u32, standby in 0..3_u32, limited in any::<bool>(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..100),
        failures in prop::collection::vec(any::<bool>(), 0..100),
    ) {
        let limit = limited.then_some(count + standby);
        let mut goal = Desired { standby, limit, ..desired(count) };
        let mut node: Vec<Observed> = (1..=u64::from(count)).map(|n| old(n, State::Serving)).collect();
        for (index, fails) in order.iter().zip(failures) {
            run(&goal, &mut node, |_, _| {});
            prop_assert!(serving(&node) >= count as usize, "{:?}", node);
            let at = index.index(node.len());
            if fails && matches!(node[at].state, State::Starting(_)) {
                node.remove(at);
            } else {
                happen(&mut goal, &mut node, &Happening::Settle(*index));
            }
        }
    }

    /// With `startstop`, what is stopped as outdated leaves at least the count serving behind it.
    #[test]
    fn the_last_healthy_one_is_never_stopped_for_an_unhealthy_new_version(
        mut goal in goal(), mut node in any_node(), history in prop::collection::vec(happening(), 0..60),
    ) {
        goal.restart_order = RestartOrder::StartStop;
        for happening in &history {
            let floor = goal.limit.map_or(goal.count, |limit| limit.min(goal.count)) as usize;
            run(&goal, &mut node, |before, step| {
                if let Step::Stop(serial, StopReason::Outdated | StopReason::Surplus) = step
                    && before.iter().any(|i| i.serial == *serial && i.state == State::Serving)
                {
                    assert!(serving(before) > floor, "{before:?} {step:?}");
                }
            });
            happen(&mut goal, &mut node, happening);
        }
    }

    #[test]
    fn stopstart_never_runs_more_than_the_count(
        mut goal in goal(), history in prop::collection::vec(happening(), 0..80),
    ) {
        goal.restart_order = RestartOrder::StopStart;
        let mut node = Vec::new();
        for happening in &history {
            run(&goal, &mut node, |before, step| {
                let active = before.iter().filter(|i| !matches!(
                    i.state, State::Standby | State::Starting(Purpose::Standby))).count();
                if matches!(step, Step::Start(Purpose::Serve) | Step::Resume(_))
                    && before.iter().any(|i| i.state == State::Stopping)
                {
                    assert!(active < goal.count as usize, "{before:?} {step:?}");
                }
            });
            happen(&mut goal, &mut node, happening);
        }
    }

    #[test]
    fn deciding_again_is_the_same(goal in goal(), node in any_node()) {
        prop_assert_eq!(next(&goal, &node, NOW), next(&goal, &node, NOW));
    }
}

#[test]
fn what_is_desired_follows_from_the_component_and_what_went_wrong() {
    fn parse(change: impl FnOnce(&mut wire::Component)) -> Component {
        let docker = wire::DockerComponent { image: "i:1".into(), ..wire::DockerComponent::default() };
        let mut wire = wire::Component {
            name: "web".into(),
            version: 7,
            docker: Some(docker),
            ..wire::Component::default()
        };
        change(&mut wire);
        Component::parse(&wire).unwrap()
    }
    let desire = |component: &Component, proven| Desired::new(component, 2, 1, proven, &Backoff::default());
    let plain = desire(&parse(|_| {}), None);
    assert_eq!((plain.count, plain.standby, plain.limit), (2, 1, None));
    assert_eq!((plain.restart_order, plain.starts), (RestartOrder::StartStop, Starts::Parallel));
    let both = parse(|wire| (wire.max_instances, wire.max_instances_per_node) = (Some(5), Some(3)));
    assert_eq!(desire(&both, None).limit, Some(3), "the lower one");

    // Ports of the machine can't be had twice.
    for ports in [vec!["8080:80".to_owned()], vec!["127.0.0.1:9:9".to_owned()]] {
        let fixed = parse(|wire| wire.docker.as_mut().unwrap().ports = Some(ports));
        assert_eq!(desire(&fixed, None).restart_order, RestartOrder::StopStart);
    }
    let picked = parse(|wire| wire.docker.as_mut().unwrap().ports = Some(vec!["80".into()]));
    assert_eq!(desire(&picked, None).restart_order, RestartOrder::StartStop);
    let host = parse(|wire| wire.docker.as_mut().unwrap().network_name = Some("host".into()));
    assert_eq!(desire(&host, None).restart_order, RestartOrder::StopStart);

    for (parallelism, proven, starts, to_prove) in [
        ("parallel", None, Starts::Parallel, None),
        ("series", Some(7), Starts::OneByOne, None),
        ("seriesfirst", None, Starts::OneByOne, Some(7)),
        ("seriesfirst", Some(6), Starts::OneByOne, Some(7)),
        ("seriesfirst", Some(7), Starts::Parallel, None),
    ] {
        let mut component = parse(|_| {});
        component.start_parallelism = match parallelism {
            "parallel" => StartParallelism::Parallel,
            "series" => StartParallelism::Series,
            _ => StartParallelism::SeriesFirst,
        };
        assert_eq!(desire(&component, proven).starts, starts, "{parallelism} {proven:?}");
        assert_eq!(unproved(&component, proven), to_prove, "{parallelism} {proven:?}");
    }

    let mut failed = Backoff::default();
    failed.start_failed(NOW);
    let trial = Desired::new(&parse(|_| {}), 2, 0, None, &failed);
    assert_eq!(trial.starts, Starts::OneByOne);
    assert!(trial.not_before > NOW, "{:?}", trial.not_before);
}
