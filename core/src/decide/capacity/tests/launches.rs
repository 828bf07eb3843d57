//! Machines that were asked for and do not come.

use super::*;

#[test]
fn a_group_that_can_launch_nothing_is_asked_no_more_until_it_can() {
    let mut world = World::new(1, 10, 2, 8);
    world.barren = Some("InsufficientInstanceCapacity");
    world.run(0, 60, |_| 12);
    assert_eq!(world.steps.len(), 1);
    assert_eq!(world.told, [Launches::Fail("InsufficientInstanceCapacity".into())]);
    assert!(world.looks[0].since(world.steps[0].0) >= Duration::from_secs(30));
    // What comes on top waits; looked at ever less, told once.
    world.run(60, 3_600, |_| 24);
    assert_eq!((world.steps.len(), world.told.len()), (1, 1), "{:?}", world.steps);
    assert!((4..=9).contains(&world.looks.len()), "{:?}", world.looks);
    world.barren = Some("the launch template is gone");
    world.run(3_600, 5_000, |_| 24);
    assert_eq!(world.told[1..], [Launches::Fail("the launch template is gone".into())]);
    world.barren = None;
    world.run(5_000, 5_300, |_| 24);
    assert_eq!(world.told[2..], [Launches::Recovered]);
    assert_eq!((world.group.desired, world.steps.len(), world.missing()), (6, 2, 0), "{:?}", world.steps);
}

#[test]
fn only_the_last_launch_of_late_counts() {
    let group = Group { desired: 3, ..group(1, 5, 2) };
    let activity = |minutes: u64, state, what: &str| Activity {
        began: wall(at(0)) + Duration::from_secs(60 * minutes),
        state,
        what: what.into(),
        reason: format!("of {minutes}"),
    };
    use ActivityState::{Done, Failed, UnderWay};
    const LAUNCH: &str = "Launching a new EC2 instance";
    for (what, activities, expected) in [
        ("none", vec![], None),
        ("failed", vec![activity(100, Failed, LAUNCH)], Some("of 100")),
        ("tried again", vec![activity(101, UnderWay, LAUNCH), activity(100, Failed, LAUNCH)], Some("of 100")),
        ("fine since", vec![activity(101, Done, LAUNCH), activity(100, Failed, LAUNCH)], None),
        ("long ago", vec![activity(40, Failed, LAUNCH)], None),
        ("of another kind", vec![activity(101, Failed, "Terminating EC2 instance: i-1")], None),
    ] {
        let mut arrival = Arrival::default();
        let now = at(60 * 102);
        assert!(!arrival.watch(&group, now) && arrival.watch(&group, now + Duration::from_secs(30)));
        let told = arrival.looked(&activities, now, wall(now));
        assert_eq!(told, expected.map(|why| Launches::Fail(why.into())), "{what}");
        assert_eq!(arrival.failing(), expected, "{what}");
    }
}
