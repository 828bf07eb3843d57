//! Hours of traffic: the group follows in few steps, and not to and fro.

use proptest::prelude::*;

use super::*;

/// A day's curve in an hour with noise on it: capacity follows, in few steps, and never up and down in turns.
#[test]
fn an_hour_of_traffic_is_followed_without_flapping() {
    let noise = |second: u64| u32::try_from((second * 7_919 + second / 3 * 104_729) % 5).unwrap();
    let traffic = |second: u64| {
        let base = match second {
            0..600 => 6,
            600..1_800 => 6 + u32::try_from((second - 600) / 60).unwrap(),
            1_800..2_400 => 26,
            _ => 8,
        };
        base + noise(second)
    };
    let mut world = World::new(2, 12, 3, 6);
    let mut short = 0;
    for second in 0..7_200 {
        world.wanted = traffic(second.min(3_599));
        world.tick(at(second));
        short += u64::from(world.missing() > 0);
    }
    let raises = world.count(|step| matches!(step, Step::Raise { .. }));
    let removals = world.count(|step| matches!(step, Step::Remove { .. }));
    assert!((3..=7).contains(&raises), "{raises} raises: {:?}", world.steps);
    assert!(removals >= 3, "{removals} removals: {:?}", world.steps);
    let ups = world.steps.iter().filter(|(_, step)| matches!(step, Step::Raise { .. }));
    let last_up = ups.map(|(when, _)| *when).max().unwrap();
    let downs = world.steps.iter().filter(|(_, step)| matches!(step, Step::Remove { .. }));
    let first_down = downs.map(|(when, _)| *when).min().unwrap();
    assert!(first_down > last_up, "up after down: {:?}", world.steps);
    assert!(short < 1_000, "something had no room for {short} s");
    assert!(world.group.desired <= 4, "{}", world.group.desired);
}

/// An hour each, of traffic that tempts: how often the group may grow, shrink, and turn from one to the other.
#[test]
fn no_traffic_of_an_hour_makes_the_group_flap() {
    type Traffic = fn(u64) -> u32;
    let cases: [(&str, Traffic, usize, usize, usize); 8] = [
        ("steady", |_| 8, 0, 0, 0),
        ("one more, every other half minute", |second| 8 + u32::from(second / 30 % 2 == 1), 1, 0, 0),
        ("one more, nine minutes of eighteen", |second| 8 + u32::from(second / 540 % 2 == 1), 1, 0, 0),
        (
            "a burst of twenty seconds every five minutes",
            |second| if second % 300 < 20 { 24 } else { 4 },
            1,
            0,
            0,
        ),
        ("one burst", |second| if (600..660).contains(&second) { 24 } else { 8 }, 1, 4, 1),
        ("quiet", |second| if second < 60 { 12 } else { 1 }, 1, 3, 1),
        // Up and down within the hour, as a day has it; only the way down is slow.
        (
            "a day",
            |second| 14 - (10.0 * (second as f64 / 3_600.0 * std::f64::consts::TAU).cos()).round() as u32,
            6,
            4,
            1,
        ),
        // As quick as a machine more is let go: each turn has its reason.
        ("a burst every quarter of an hour", |second| if second % 900 < 60 { 16 } else { 8 }, 4, 4, 7),
    ];
    for (what, traffic, raises, removals, turns) in cases {
        let mut world = World::new(1, 12, 2, traffic(0));
        let peak = (0..3_600).map(traffic).max().unwrap();
        for second in 0..3_600 {
            world.wanted = traffic(second);
            world.tick(at(second));
            assert!(world.group.desired <= needed(peak).max(2), "{what}: {:?}", world.steps);
        }
        let raised = world.count(|step| matches!(step, Step::Raise { .. }));
        let removed = world.count(|step| matches!(step, Step::Remove { .. }));
        let found = (raised, removed, world.turns());
        assert!(
            raised <= raises && removed <= removals && found.2 <= turns,
            "{what}: {found:?} of {:?}: {:?}",
            (raises, removals, turns),
            world.steps
        );
        assert_eq!(raised > 0, needed(peak) > 2, "{what}");
        assert_eq!(world.looks, [], "{what}: launches succeed");
    }
}

proptest! {
    // Each case is half an hour of ticks.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn no_traffic_breaks_the_bounds(
        loads in prop::collection::vec((0..60u32, 1..200u64, any::<bool>()), 1..20),
        least in 0..4u32,
        machines in 1..6usize,
    ) {
        let mut world = World::new(least.min(u32::try_from(machines).unwrap()), 8, machines, 1);
        let mut second = 0;
        for (wanted, seconds, deploying) in loads {
            world.deploying = deploying;
            world.run(second, second + seconds, |_| wanted);
            second += seconds;
        }
        prop_assert!(world.group.desired <= 8 && world.group.desired >= world.group.least);
    }
}
