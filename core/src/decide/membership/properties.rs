//! Whatever arrives in whatever order: nothing moves backwards, who left stays away, and nobody is asked
//! without end or forgotten.

use proptest::prelude::*;

use super::{
    tests::{heartbeat, status},
    *,
};

const LIVENESS: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
enum Event {
    Heard { node: u8, run: u8, version: i64, observed: i64 },
    Answered { node: u8, back: u64 },
    Failed { node: u8, back: u64 },
    Suspect { node: u8 },
    Doubt { node: u8 },
    Leaves { node: u8, run: u8 },
    Beat { node: u8, run: u8, beat: u64 },
    Sweep,
}

fn event() -> impl Strategy<Value = Event> {
    let node = 0..3_u8;
    let run = 1..4_u8;
    prop_oneof![
        (node.clone(), run.clone(), 1..6_i64, 0..4_i64)
            .prop_map(|(node, run, version, observed)| Event::Heard { node, run, version, observed }),
        (node.clone(), 0..500_u64).prop_map(|(node, back)| Event::Answered { node, back }),
        (node.clone(), 0..500_u64).prop_map(|(node, back)| Event::Failed { node, back }),
        node.clone().prop_map(|node| Event::Suspect { node }),
        node.clone().prop_map(|node| Event::Doubt { node }),
        (node.clone(), run.clone()).prop_map(|(node, run)| Event::Leaves { node, run }),
        (node, run, 0..4_u64).prop_map(|(node, run, beat)| Event::Beat { node, run, beat }),
        Just(Event::Sweep),
    ]
}

fn name(node: u8) -> NodeId {
    NodeId::new(["b", "c", "d"][usize::from(node)])
}

type Age = (String, i64, i64);

fn age(members: &Membership, node: &NodeId) -> Option<Age> {
    let status = members.get(node)?.status;
    Some((run_of(&status).to_owned(), status.version, status.observed_at))
}

fn apply(members: &mut Membership, event: &Event, now: Moment) -> Vec<Change> {
    let before = |back: u64| now - Duration::from_millis(back);
    match event {
        Event::Heard { node, run, version, observed } => {
            members.heard(status(name(*node).as_str(), &run.to_string(), *version, *observed), now)
        }
        Event::Answered { node, back } => members.answered(&name(*node), None, before(*back), now),
        Event::Failed { node, back } => members.failed(&name(*node), before(*back), now),
        Event::Suspect { node } => members.suspect(&name(*node), now),
        Event::Doubt { node } => {
            members.doubt(&name(*node), now);
            Vec::new()
        }
        Event::Leaves { node, run } => members.leaves(&name(*node), Some(&run.to_string()), now),
        Event::Beat { node, run, beat } => {
            let read = [heartbeat(name(*node).as_str(), &run.to_string(), *beat)];
            // Late: a restart under an older name is not what this is about.
            members.heartbeats(&read, false, Moment::ZERO, now)
        }
        Event::Sweep => members.sweep(now),
    }
}

proptest! {
    #[test]
    fn nothing_moves_backwards(events in proptest::collection::vec((event(), 1..2_000_u64), 1..80)) {
        let mut members = Membership::new(NodeId::new("a"), LIVENESS);
        let mut now = Moment::from_millis(3_600_000);
        let mut gone: BTreeMap<NodeId, String> = BTreeMap::new();
        let mut reachable: BTreeMap<NodeId, bool> = BTreeMap::new();
        for (event, pause) in events {
            now = now + Duration::from_millis(pause);
            let before: BTreeMap<NodeId, Age> =
                members.nodes().filter_map(|node| Some((node.clone(), age(&members, node)?))).collect();
            for change in apply(&mut members, &event, now) {
                match change {
                    Change::Joined(node) => drop(reachable.insert(node, false)),
                    Change::Reached(node) => prop_assert_eq!(reachable.insert(node, true), Some(false)),
                    Change::Silent(node) => prop_assert_eq!(reachable.insert(node, false), Some(true)),
                    Change::Lost(node) => prop_assert_eq!(reachable.get(&node), Some(&false)),
                    Change::Status(node) => prop_assert!(members.get(&node).is_some()),
                    Change::Left(node, why) => {
                        prop_assert!(reachable.remove(&node).is_some());
                        if why == Leaving::Told {
                            let Event::Leaves { run, .. } = &event else { unreachable!("told without telling") };
                            gone.insert(node.clone(), run.to_string());
                        }
                    }
                }
            }
            for (node, old) in &before {
                if let Some(new) = age(&members, node) {
                    prop_assert!(new >= *old, "{node}: {old:?} → {new:?} by {event:?}");
                }
            }
            for (node, run) in &gone {
                if let Some((now_run, ..)) = age(&members, node) {
                    prop_assert!(now_run > *run, "{node}: run {run} left and {now_run} is there");
                }
            }
            // The changes told everything, and each peer is asked again in bounded time.
            let view: BTreeMap<NodeId, bool> =
                members.nodes().map(|node| (node.clone(), members.is_reachable(node))).collect();
            prop_assert_eq!(&view, &reachable);
            for node in members.nodes() {
                let (due, _) = members.next_contact(node).unwrap();
                prop_assert!(due <= now + QUIET.max(PROBE_MAX));
            }
        }
    }

    #[test]
    fn a_peer_that_never_answers_is_asked_in_vain_a_bounded_number_of_times(
        doubts in proptest::collection::vec(0..30_000_u64, 0..100),
    ) {
        let mut members = Membership::new(NodeId::new("a"), LIVENESS);
        let begin = Moment::from_millis(3_600_000);
        members.heard(status("b", "1", 1, 1), begin);
        let (node, mut asked, mut now) = (NodeId::new("b"), 0, begin);
        let mut doubts = doubts;
        doubts.sort_unstable();
        while members.get(&node).is_some() {
            let (due, _) = members.next_contact(&node).unwrap();
            let doubt = doubts.first().map(|at| begin + Duration::from_millis(*at));
            match doubt.filter(|doubt| *doubt < due) {
                Some(doubt) => {
                    doubts.remove(0);
                    now = now.max(doubt);
                    members.doubt(&node, now);
                }
                None => {
                    now = now.max(due);
                    asked += 1;
                    members.failed(&node, now, now);
                }
            }
            members.sweep(now);
        }
        prop_assert!(now.since(begin) >= LIVENESS && now.since(begin) <= LIVENESS + PROBE_MAX);
        prop_assert!(asked <= 30 * 4 + 1, "{asked} times");
    }
}
