use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { pause: Duration::from_secs(3), requests: Duration::from_secs(310) };
const ALL_HERE: View = View { others: true, keeps_containers: false };
const ALONE: View = View { others: false, keeps_containers: false };

fn at(millis: u64) -> Moment {
    Moment::from_millis(1_000_000 + millis)
}

fn drain() -> Drain {
    Drain::new(LIMITS)
}

fn hook(receipt: Option<&str>) -> Signal {
    let text = ToOwned::to_owned;
    Signal::Hook {
        action: Action {
            group: text("web"),
            hook: text("leave"),
            instance: text("i-1"),
            token: receipt.map(|receipt| format!("token of {receipt}")),
        },
        letter: receipt.map(|receipt| Letter { queue: text("http://q"), receipt: text(receipt) }),
    }
}

fn spot(seconds: u64) -> Signal {
    let millis = i64::try_from(seconds).unwrap() * 1000;
    Signal::Spot { time: WallTime::from_millis(millis), at: at(seconds * 1000) }
}

/// All steps from here on, each ended at once.
fn steps(drain: &mut Drain, view: View) -> (Vec<Step>, End) {
    let mut done = Vec::new();
    loop {
        match drain.next(view, at(0)) {
            Next::Do(step) => done.push(step),
            Next::End(end) => return (done, end),
            Next::Stay => panic!("it does not leave"),
        }
    }
}

#[test]
fn each_way_of_leaving_has_its_steps() {
    use Step::*;
    let all = [Signal::Stop];
    let of = |signals: &[Signal], view| {
        let mut drain = drain();
        for signal in signals {
            drain.signal(signal.clone(), at(0));
        }
        steps(&mut drain, view)
    };
    let stop = [Tell, Move, Pause, Pollers, Close, Public, Private, Containers, Goodbye, Loops, Heartbeat];
    assert_eq!(of(&all, ALL_HERE), (stop.to_vec(), End::Stopped));
    let without_moves: Vec<Step> = stop.into_iter().filter(|step| ![Move, Close].contains(step)).collect();
    assert_eq!(of(&all, ALONE), (without_moves.clone(), End::Stopped), "nobody is there to take anything");
    let keeps = View { others: true, keeps_containers: true };
    assert_eq!(of(&all, keeps), (without_moves, End::Stopped), "what is kept does not move");
    let restart = vec![Pollers, Public, Private, Containers, Loops];
    assert_eq!(of(&[Signal::Restart], ALL_HERE), (restart, End::Restarted));
    let with = |more: &[Step]| stop.iter().chain(more).copied().collect::<Vec<Step>>();
    assert_eq!(of(&[hook(Some("r"))], ALL_HERE), (with(&[Complete, Letters, Command]), End::Terminated));
    assert_eq!(of(&[hook(None)], ALL_HERE), (with(&[Complete, Command]), End::Terminated));
    assert_eq!(of(&[spot(120)], ALL_HERE), (with(&[Command]), End::Terminated));
    assert_eq!(of(&[Signal::Target], ALL_HERE), (with(&[Command]), End::Terminated));
}

#[test]
fn a_node_that_is_emptied_stays_until_it_is_taken_back() {
    let mut drain = drain();
    assert_eq!((drain.phase(), drain.undrain()), (Phase::Serving, Err(NotUndrained::Serves)));
    assert_eq!(drain.signal(Signal::Hand, at(0)), Heard::Began);
    assert_eq!(drain.signal(Signal::Hand, at(1)), Heard::Known);
    assert_eq!((drain.phase(), drain.next(ALL_HERE, at(2))), (Phase::Emptying, Next::Stay));
    assert_eq!(drain.undrain(), Ok(()));
    assert_eq!((drain.phase(), drain.began(), drain.why().len()), (Phase::Serving, None, 0));
    assert_eq!(drain.signal(Signal::Hand, at(3)), Heard::Began, "and can be emptied again");
}

#[test]
fn a_node_that_is_needed_after_all_stays_empty_for_whoever_else_wants_it_so() {
    let mut drain = drain();
    assert_eq!(drain.needed(), Err(NotUndrained::Serves));
    drain.signal(Signal::Surplus, at(0));
    assert!(drain.is_surplus());
    assert_eq!(drain.signal(Signal::Hand, at(1)), Heard::Added);
    drain.needed().unwrap();
    assert_eq!((drain.phase(), drain.is_surplus()), (Phase::Emptying, false));
    drain.undrain().unwrap();
    drain.signal(Signal::Surplus, at(2));
    drain.needed().unwrap();
    assert_eq!(drain.phase(), Phase::Serving);
}

#[test]
fn what_ends_the_node_can_not_be_taken_back() {
    for signal in [Signal::Stop, Signal::Restart, Signal::Target, spot(120), hook(None)] {
        let mut drain = drain();
        drain.signal(Signal::Hand, at(0));
        assert_eq!(drain.signal(signal.clone(), at(5)), Heard::Leaves, "{signal}");
        assert!(matches!(drain.undrain(), Err(NotUndrained::Leaves(why)) if why.len() == 2), "{signal}");
        assert_eq!(drain.began(), Some(at(0)), "the timeline begins with the first signal");
    }
}

#[test]
fn a_recommendation_that_somebody_waived_does_not_come_back_but_a_new_one_does() {
    let mut drain = drain();
    let recommended = |since| Signal::Rebalance { since: WallTime::from_millis(since) };
    assert_eq!(drain.signal(recommended(1), at(0)), Heard::Began);
    drain.undrain().unwrap();
    assert_eq!(drain.signal(recommended(1), at(5_000)), Heard::Known);
    assert_eq!(drain.phase(), Phase::Serving);
    assert_eq!(drain.signal(recommended(2), at(9_000)), Heard::Began);
}

#[test]
fn a_second_signal_adds_to_the_drain_and_does_not_start_it_over() {
    let mut drain = drain();
    assert_eq!(drain.signal(Signal::Target, at(0)), Heard::Began);
    assert_eq!(drain.next(ALL_HERE, at(0)), Next::Do(Step::Tell));
    assert_eq!(drain.next(ALL_HERE, at(10)), Next::Do(Step::Move));
    assert_eq!(drain.signal(hook(Some("r1")), at(20)), Heard::Added);
    assert_eq!(drain.signal(hook(Some("r1")), at(30)), Heard::Known);
    assert_eq!(drain.signal(Signal::Stop, at(40)), Heard::Added);
    assert_eq!(drain.next(ALL_HERE, at(50)), Next::Do(Step::Pause));
    // Found again by the next poller.
    assert_eq!(drain.signal(hook(Some("r2")), at(60)), Heard::Added);
    let actions = drain.actions();
    assert_eq!((actions.len(), actions[0].1.as_ref().unwrap().receipt.as_str()), (1, "r2"));
    // Found by the node itself, without a message: what is known of it stays.
    assert_eq!(drain.signal(hook(None), at(70)), Heard::Known);
    let (rest, end) = steps(&mut drain, ALL_HERE);
    assert_eq!((rest.first(), end), (Some(&Step::Pollers), End::Terminated));
    assert!(rest.contains(&Step::Letters));
}

#[test]
fn sigterm_before_the_cloud_speaks_still_completes_the_action() {
    let mut drain = drain();
    drain.signal(Signal::Stop, at(0));
    drain.next(ALL_HERE, at(0));
    drain.signal(hook(Some("r")), at(5));
    let (rest, end) = steps(&mut drain, ALL_HERE);
    assert!(rest.contains(&Step::Complete));
    assert_eq!(end, End::Terminated);
}

#[test]
fn a_restart_in_place_is_not_turned_into_anything_else() {
    let mut drain = drain();
    drain.signal(Signal::Restart, at(0));
    for signal in [Signal::Stop, hook(None), spot(120), Signal::Restart] {
        assert_eq!(drain.signal(signal, at(1)), Heard::Known);
    }
    assert_eq!(steps(&mut drain, ALL_HERE).1, End::Restarted);
    let mut drain = Drain::new(LIMITS);
    drain.signal(Signal::Stop, at(0));
    assert_eq!(drain.signal(Signal::Restart, at(1)), Heard::Known);
    assert_eq!(steps(&mut drain, ALL_HERE).1, End::Stopped);
}

#[test]
fn steps_have_their_usual_limits_where_nothing_presses() {
    let mut drain = drain();
    drain.signal(hook(None), at(0));
    let mut limits = Vec::new();
    while let Next::Do(step) = drain.next(ALL_HERE, at(0)) {
        limits.push((step, drain.until().unwrap().since(at(0)).as_secs()));
    }
    assert_eq!(limits[1], (Step::Move, 45));
    assert_eq!(limits[2], (Step::Pause, 4));
    assert_eq!(limits[5], (Step::Public, 320));
    assert_eq!(drain.until(), None, "all is done");
}

#[test]
fn a_spot_notice_leaves_time_for_what_comes_last() {
    let mut drain = drain();
    drain.signal(spot(120), at(0));
    drain.signal(hook(Some("r")), at(0));
    let mut now = at(0);
    // Everything takes as long as it may.
    while let Next::Do(step) = drain.next(ALL_HERE, now) {
        let until = drain.until().unwrap();
        if step == Step::Public {
            assert!(until.since(now) > Duration::from_secs(10), "requests have {:?}", until.since(now));
        }
        now = until;
    }
    assert!(
        now <= at(110_000) && now > at(90_000),
        "most of it, and none of the margin: {:?}",
        now.since(at(0))
    );
}

#[test]
fn a_spot_notice_in_the_middle_cuts_the_step_that_runs() {
    let mut drain = drain();
    drain.signal(Signal::Stop, at(0));
    while drain.next(ALL_HERE, at(0)) != Next::Do(Step::Public) {}
    assert_eq!(drain.until(), Some(at(320_000)));
    drain.signal(spot(120), at(1_000));
    let until = drain.until().unwrap();
    assert!(until < at(100_000) && until > at(30_000), "{:?}", until.since(at(0)));
    // No notice gives back what another one took.
    drain.signal(spot(500), at(2_000));
    assert_eq!(drain.until(), Some(until));
}

#[test]
fn roles_go_first_where_there_is_somebody_to_take_them() {
    let mut drain = drain();
    assert!(!drain.leaves_roles(true));
    drain.signal(Signal::Hand, at(0));
    assert!(drain.leaves_roles(true) && !drain.leaves_roles(false));
    drain.undrain().unwrap();
    assert!(!drain.leaves_roles(true));
    drain.signal(Signal::Restart, at(0));
    assert!(!drain.leaves_roles(true), "the next daemon wants them in a moment");
    let mut drain = Drain::new(LIMITS);
    drain.signal(Signal::Hand, at(0));
    drain.signal(Signal::Restart, at(1));
    assert!(drain.leaves_roles(true), "the next daemon is as empty as this one");
}

#[test]
fn signs_of_life_come_three_times_in_a_time_out_and_twice_a_minute() {
    for (timeout, every) in [(30, 10), (90, 30), (3600, 30)] {
        assert_eq!(heartbeat_every(Duration::from_secs(timeout)), Duration::from_secs(every));
    }
}

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        Just(Signal::Hand),
        Just(Signal::Surplus),
        (0..3i64).prop_map(|since| Signal::Rebalance { since: WallTime::from_millis(since) }),
        Just(Signal::Stop),
        Just(Signal::Restart),
        Just(Signal::Target),
        (1..200u64).prop_map(spot),
        prop::option::of("[ab]").prop_map(|receipt| hook(receipt.as_deref())),
    ]
}

#[derive(Clone, Debug)]
enum Happens {
    Signal(Signal),
    Undrain,
    /// The running step ends after this share of its time, in percent.
    Ends(u64),
}

fn happenings() -> impl Strategy<Value = Vec<(Happens, View)>> {
    let happens = prop_oneof![
        3 => signals().prop_map(Happens::Signal),
        1 => Just(Happens::Undrain),
        4 => (0..=100u64).prop_map(Happens::Ends),
    ];
    let view = (any::<bool>(), any::<bool>());
    let view = view.prop_map(|(others, keeps_containers)| View { others, keeps_containers });
    prop::collection::vec((happens, view), 1..60)
}

proptest! {
    #[test]
    fn steps_only_go_on_and_limits_only_shrink(happenings in happenings()) {
        let mut drain = drain();
        let mut now = at(0);
        let mut last: Option<Step> = None;
        for (happens, view) in happenings {
            let (phase, until, deadline) = (drain.phase(), drain.until(), drain.deadline());
            match happens {
                Happens::Signal(signal) => {
                    drain.signal(signal, now);
                    prop_assert!(phase != Phase::Leaving || drain.phase() == Phase::Leaving);
                    if let (Some(before), Some(after)) = (until, drain.until()) {
                        prop_assert!(after <= before, "a signal gave time");
                    }
                    if let Some(before) = deadline.filter(|_| phase == Phase::Leaving) {
                        prop_assert!(drain.deadline().is_some_and(|after| after <= before));
                    }
                }
                Happens::Undrain => {
                    let undone = drain.undrain();
                    prop_assert_eq!(undone.is_ok(), phase == Phase::Emptying);
                    prop_assert!(undone.is_err() || drain.phase() == Phase::Serving);
                }
                Happens::Ends(share) => {
                    if let Some(until) = until {
                        now = now + until.since(now) * u32::try_from(share).unwrap() / 100;
                    }
                    if let Next::Do(step) = drain.next(view, now) {
                        prop_assert!(last.is_none_or(|last| last < step), "{step} after {last:?}");
                        prop_assert!(drain.until().is_some_and(|until| until >= now));
                        last = Some(step);
                    }
                }
            }
        }
    }

    #[test]
    fn a_drain_ends_in_time_and_completes_what_waits_for_it(
        happenings in happenings(),
        seconds in 1..200u64,
        receipt in prop::option::of("[ab]"),
    ) {
        let mut drain = drain();
        let mut now = at(0);
        drain.signal(hook(receipt.as_deref()), now);
        drain.signal(spot(seconds), now);
        let mut more = happenings.into_iter();
        let mut done = Vec::new();
        let end = loop {
            match drain.next(ALL_HERE, now) {
                Next::Do(step) => done.push(step),
                Next::End(end) => break end,
                Next::Stay => panic!("it leaves"),
            }
            if let Some((Happens::Signal(signal), _)) = more.next() {
                // Notices of other times are another test's.
                if !matches!(signal, Signal::Spot { .. }) {
                    drain.signal(signal, now);
                }
            }
            now = drain.until().unwrap();
        };
        prop_assert_eq!(end, End::Terminated);
        prop_assert!(done.contains(&Step::Complete) && done.contains(&Step::Containers));
        // What each step gets at least may exceed a deadline that is too near.
        let least: Duration = Step::ALL.iter().map(|step| step.least()).sum();
        let in_time = Duration::from_secs(seconds).saturating_sub(SPOT_MARGIN).max(least);
        // A message may come when only the last steps are left.
        let in_time = at(0) + in_time + Step::Letters.least();
        prop_assert!(now <= in_time, "{:?}", now.since(at(0)));
    }
}
