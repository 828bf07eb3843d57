//! How many instances are wanted, as tables and properties.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::component::ConcurrencyLimit;

fn scaling() -> Scaling {
    Scaling {
        min_instances: 0,
        max_instances: None,
        max_instances_per_node: None,
        max_concurrency: NonZeroU32::new(4).unwrap(),
        concurrency_limit: ConcurrencyLimit::Hard,
        scale_up: 0.75,
        scale_down: 0.25,
        standby: 0,
        max_queue: 10_000,
        idle_timeout: Duration::from_secs(300),
    }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `load` requests at a time for ten minutes.
fn constant(load: u32) -> Demand {
    let window = Window { average: f64::from(load), peak: load };
    Demand {
        in_flight: load,
        waiting: 0,
        waiting_for: Duration::ZERO,
        stable: window,
        panic: window,
        last_request: (load > 0).then_some(Duration::ZERO),
        observed: secs(600),
    }
}

fn input(scaling: &Scaling, current: u32, demand: Demand) -> Input<'_> {
    Input { scaling, current, in_rotation: current, demand, since_panic: None }
}

fn scale(scaling: &Scaling, current: u32, demand: Demand) -> Scale {
    decide(&input(scaling, current, demand)).value
}

#[test]
fn load_decides_the_count_by_the_formula() {
    let scaling = scaling();
    // 0.75 of 4 is 3 requests an instance.
    for (load, current, expected) in [
        (3, 1, 1),
        (4, 1, 2),
        (6, 2, 2),
        (7, 2, 3),
        (30, 2, 10),
        // Down only under a quarter of the capacity.
        (10, 10, 10),
        (9, 10, 3),
        (1, 10, 1),
        (1, 1, 1),
    ] {
        assert_eq!(scale(&scaling, current, constant(load)).instances, expected, "{load} on {current}");
    }
}

#[test]
fn the_panic_window_scales_up_at_once_and_forbids_down() {
    let scaling = scaling();
    let burst = Demand { stable: Window { average: 1.0, peak: 12 }, ..constant(12) };
    assert_eq!(scale(&scaling, 1, burst), Scale { instances: 4, panic: true });
    let calm = Demand { stable: Window { average: 0.5, peak: 1 }, panic: Window::default(), ..constant(0) };
    let calm = Demand { last_request: Some(secs(10)), ..calm };
    let after =
        |age| decide(&Input { since_panic: Some(secs(age)), ..input(&scaling, 4, calm) }).value.instances;
    assert_eq!(after(59), 4);
    assert_eq!(after(60), 1);
}

/// Defect: the queue was no signal, and a hard limit let a component grow by a third per minute.
#[test]
fn a_queue_scales_up_at_once_to_what_waits() {
    let mut scaling = scaling();
    scaling.max_concurrency = NonZeroU32::MIN;
    let queue = Demand {
        in_flight: 1,
        waiting: 29,
        waiting_for: QUEUE_PATIENCE,
        stable: Window { average: 0.2, peak: 30 },
        panic: Window { average: 0.5, peak: 30 },
        ..constant(0)
    };
    assert_eq!(scale(&scaling, 1, queue), Scale { instances: 40, panic: true });
    let young = Demand { waiting_for: QUEUE_PATIENCE / 2, ..queue };
    assert_eq!(scale(&scaling, 1, young).instances, 1, "a burst that may be worked off in no time");
}

#[test]
fn a_queue_before_the_first_instance_serves_starts_a_handful() {
    let mut scaling = scaling();
    scaling.max_concurrency = NonZeroU32::new(2).unwrap();
    let cold = |current, waiting, waited| {
        let demand = Demand { waiting, waiting_for: waited, ..constant(0) };
        decide(&Input { in_rotation: 0, ..input(&scaling, current, demand) }).value
    };
    assert_eq!(cold(1, 8, COLD_PATIENCE), Scale { instances: 4, panic: true });
    assert_eq!(cold(1, 3, COLD_PATIENCE).instances, 2);
    assert_eq!(cold(1, 2, Duration::from_secs(20)).instances, 1, "the one that starts is enough");
    assert_eq!(cold(1, 1_000, Duration::from_secs(20)).instances, 4, "it may only be slow to start");
    assert_eq!(cold(1, 8, COLD_PATIENCE / 2).instances, 1, "more may still come, or be gone");
    assert_eq!(cold(9, 1_000, COLD_PATIENCE).instances, 9, "nothing is taken back");
    scaling.max_concurrency = NonZeroU32::MIN;
    let one = Demand { waiting: 1, waiting_for: Duration::from_secs(20), ..constant(0) };
    assert_eq!(decide(&Input { in_rotation: 0, ..input(&scaling, 1, one) }).value.instances, 1);
}

#[test]
fn idle_components_go_to_zero_and_not_before_their_timeout() {
    let scaling = scaling();
    let quiet = |age| Demand { last_request: Some(secs(age)), ..constant(0) };
    assert_eq!(scale(&scaling, 1, quiet(299)).instances, 1);
    assert_eq!(scale(&scaling, 1, quiet(300)).instances, 0);
    assert_eq!(scale(&scaling, 3, quiet(300)).instances, 0);
    // The demand is there before the instance.
    assert_eq!(scale(&scaling, 0, quiet(1)).instances, 1);
    assert_eq!(scale(&scaling, 0, constant(0)).instances, 0);
    let warm = Scaling { min_instances: 2, ..scaling };
    assert_eq!(scale(&warm, 0, constant(0)).instances, 2);
    assert_eq!(scale(&warm, 5, quiet(300)).instances, 2);
}

/// Defect: a long request counted as idle, and its instance was stopped under it.
#[test]
fn a_request_that_runs_for_an_hour_keeps_its_instance() {
    let scaling = Scaling { idle_timeout: secs(5), ..scaling() };
    assert_eq!(scale(&scaling, 1, constant(1)).instances, 1);
}

#[test]
fn a_daemon_that_has_just_started_takes_nothing_down() {
    let scaling = scaling();
    let fresh = |age| Demand { observed: secs(age), last_request: None, ..constant(0) };
    assert_eq!(scale(&scaling, 4, fresh(0)).instances, 4);
    assert_eq!(scale(&scaling, 4, fresh(59)).instances, 4);
    assert_eq!(scale(&scaling, 4, fresh(60)).instances, 1);
    assert_eq!(scale(&scaling, 1, fresh(299)).instances, 1);
    assert_eq!(scale(&scaling, 1, fresh(300)).instances, 0);
    let busy = Demand { observed: secs(30), ..constant(1) };
    assert_eq!(scale(&scaling, 4, busy).instances, 4);
}

#[test]
fn limits_have_the_last_word_at_once() {
    let scaling = Scaling { max_instances: NonZeroU32::new(3), min_instances: 2, ..scaling() };
    assert_eq!(scale(&scaling, 2, constant(100)).instances, 3);
    assert_eq!(scale(&scaling, 9, constant(30)).instances, 3);
    assert_eq!(scale(&scaling, 0, constant(0)).instances, 2);
}

#[test]
fn reasons_carry_the_numbers() {
    let scaling = Scaling { max_instances: NonZeroU32::new(3), ..scaling() };
    let why = decide(&input(&scaling, 2, constant(30))).reasons;
    assert_eq!(
        why,
        [
            "30.00 requests at a time over 6 s are more than 75 % of the capacity of 2 instances: one for each 3.00",
            "10 would be right, but maxinstances is 3",
        ]
    );
    let quiet = Demand { last_request: Some(secs(300)), ..constant(0) };
    let why = decide(&input(&scaling, 1, quiet)).reasons;
    assert_eq!(why, ["the last request was 300 s ago, the idle timeout is 300 s"]);
}

fn any_scaling() -> impl Strategy<Value = Scaling> {
    (0_u32..5, 0_u32..20, 1_u32..20, 0.05_f64..1.0, 0.0_f64..1.0, 1_u64..400).prop_map(
        |(min, more, max_concurrency, up, down, idle)| Scaling {
            min_instances: min,
            max_instances: NonZeroU32::new(if more == 0 { 0 } else { min + more }),
            max_concurrency: NonZeroU32::new(max_concurrency).unwrap(),
            scale_up: up,
            scale_down: down * up * 0.99,
            idle_timeout: secs(idle),
            ..scaling()
        },
    )
}

fn any_demand() -> impl Strategy<Value = Demand> {
    let numbers = (0_u32..100, 0_u32..100, 0.0_f64..1.0, 0.0_f64..1.0, 0_u32..50);
    (numbers, 0_u64..1_000, prop::option::of(0_u64..600), 0_u64..900).prop_map(
        |((in_flight, waiting, stable, panic, above), waited, last, observed)| {
            let level = in_flight + waiting;
            let peak = level + above;
            Demand {
                in_flight,
                waiting,
                waiting_for: Duration::from_millis(if waiting == 0 { 0 } else { waited }),
                stable: Window { average: stable * f64::from(peak), peak },
                panic: Window { average: panic * f64::from(peak), peak },
                last_request: if level > 0 { Some(Duration::ZERO) } else { last.map(secs) },
                observed: secs(observed),
            }
        },
    )
}

proptest! {
    #[test]
    fn the_count_is_always_within_the_limits(
        scaling in any_scaling(), demand in any_demand(), current in 0_u32..60,
        panic in prop::option::of(0_u64..100),
    ) {
        let input = Input { since_panic: panic.map(secs), ..input(&scaling, current, demand) };
        let decided = decide(&input);
        let Scale { instances, .. } = decided.value;
        prop_assert!(instances >= scaling.min_instances);
        prop_assert!(scaling.max_instances.is_none_or(|max| instances <= max.get()));
        prop_assert!(instances == current || !decided.reasons.is_empty());
        if demand.last_request.is_some_and(|age| age < scaling.idle_timeout) {
            prop_assert!(instances >= 1);
        }
    }

    #[test]
    fn deciding_again_on_the_outcome_changes_nothing(
        scaling in any_scaling(), demand in any_demand(), current in 0_u32..60,
        panic in prop::option::of(0_u64..100),
    ) {
        let first = Input { since_panic: panic.map(secs), ..input(&scaling, current, demand) };
        let decided = decide(&first).value;
        let since_panic = if decided.panic { Some(Duration::ZERO) } else { first.since_panic };
        // The instances of before are in rotation still; the new ones aren't yet.
        let again = Input { current: decided.instances, since_panic, ..first };
        prop_assert_eq!(decide(&again).value.instances, decided.instances);
    }

    #[test]
    fn more_load_never_means_fewer_instances(
        scaling in any_scaling(), demand in any_demand(), current in 0_u32..60,
        panic in prop::option::of(0_u64..100), factor in 1.0_f64..5.0, more in 0_u32..50,
    ) {
        let grow = |window: Window| Window { average: window.average * factor, peak: window.peak + more };
        let larger = Demand {
            in_flight: demand.in_flight + if demand.in_flight + demand.waiting > 0 { more } else { 0 },
            stable: grow(demand.stable),
            panic: grow(demand.panic),
            ..demand
        };
        let count = |demand| {
            decide(&Input { since_panic: panic.map(secs), ..input(&scaling, current, demand) }).value.instances
        };
        prop_assert!(count(demand) <= count(larger));
    }

    #[test]
    fn a_constant_load_comes_to_rest_at_one_count(
        scaling in any_scaling(), load in 0_u32..200, start in 0_u32..60,
    ) {
        let demand = constant(load);
        let settled = scale(&scaling, start, demand).instances;
        let mut count = settled;
        for _ in 0..20 {
            count = scale(&scaling, count, demand).instances;
            prop_assert_eq!(count, settled);
        }
        // Enough for the load, unless the limit says otherwise.
        let capacity = f64::from(settled * scaling.max_concurrency.get()) * scaling.scale_up;
        let limited = scaling.max_instances.is_some_and(|max| settled == max.get());
        prop_assert!(limited || f64::from(load) <= capacity + 1e-6);
    }
}
