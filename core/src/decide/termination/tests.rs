use proptest::prelude::*;
use serde_json::json;

use super::*;

const MAX_AGE: Duration = Duration::from_secs(600);
const QUEUE: &str = "http://queue";
const WALL: WallTime = WallTime::from_millis(10_000_000);

fn at(seconds: u64) -> Moment {
    Moment::from_millis(1_000_000 + seconds * 1_000)
}

fn body(instance: &str, group: &str, way: &str) -> String {
    json!({
        "LifecycleHookName": "leave", "AutoScalingGroupName": group, "EC2InstanceId": instance,
        "LifecycleTransition": format!("autoscaling:EC2_INSTANCE_{way}"), "LifecycleActionToken": "t",
    })
    .to_string()
}

fn letter(receipt: &str) -> Letter {
    Letter { queue: QUEUE.into(), receipt: receipt.into() }
}

/// Sent so many seconds ago.
fn message(id: &str, body: String, age: i64) -> Received {
    let sent_at = Some(WallTime::from_millis(WALL.as_millis() - age * 1_000));
    Received { id: id.into(), letter: letter(&format!("{id}#1")), body, sent_at }
}

fn seat(node: &str, silent: Option<u64>) -> Seat {
    Seat { node: NodeId::new(node), silent_for: silent.map(Duration::from_secs) }
}

fn world(seats: &[(&str, Seat)]) -> World {
    let nodes = seats.iter().map(|(instance, seat)| ((*instance).to_owned(), seat.clone())).collect();
    World { nodes, group: Some("web".into()) }
}

fn action() -> Action {
    let text = ToOwned::to_owned;
    Action { group: text("web"), hook: text("leave"), instance: text("i-1"), token: Some(text("t")) }
}

struct Poller {
    terminations: Terminations,
    now: Moment,
}

impl Poller {
    fn new() -> Self {
        Self { terminations: Terminations::new(MAX_AGE), now: at(0) }
    }

    fn receive(&mut self, message: Received) -> Sorted {
        self.terminations.receive(message, Some("web"), self.now, WALL)
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now + Duration::from_secs(seconds);
        self
    }

    /// The one thing that is to be done.
    fn order(&mut self, world: &World) -> Option<Order> {
        let mut orders = self.terminations.next(world, self.now);
        assert!(orders.len() < 2, "{orders:?}");
        orders.pop()
    }

    /// Does it.
    fn does(&mut self, world: &World, outcome: Outcome) -> What {
        let order = self.order(world).expect("nothing is to be done");
        self.terminations.done(&order, &outcome, self.now);
        order.what
    }

    fn is_empty(&self) -> bool {
        self.terminations.held.is_empty()
    }
}

const OPEN: Outcome = Outcome::Standing(Standing::Open);
const OVER: Outcome = Outcome::Standing(Standing::Over);

#[test]
fn messages_are_sorted() {
    for (body, age, expected) in [
        (body("i-1", "web", "TERMINATING"), 0, "Kept"),
        (body("i-1", "web", "TERMINATING"), 5_000, "Kept"),
        (body("i-1", "web", "LAUNCHING"), 0, "Delete"),
        (body("i-1", "other", "TERMINATING"), 0, "Leave"),
        (body("i-1", "other", "TERMINATING"), 5_000, "Leave"),
        (json!({ "Event": "autoscaling:TEST_NOTIFICATION" }).to_string(), 0, "Delete"),
        ("nonsense".into(), 0, "Leave"),
        ("nonsense".into(), 601, "Delete"),
    ] {
        let sorted = format!("{:?}", Poller::new().receive(message("m", body.clone(), age)));
        assert!(sorted.starts_with(expected), "{body}, {age} s: {sorted}");
    }
}

#[test]
fn an_action_is_handed_to_its_node_once_and_its_message_kept_until_it_is_over() {
    let (mut poller, here) = (Poller::new(), world(&[("i-1", seat("n1", None))]));
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 0));
    assert_eq!(poller.does(&here, OPEN), What::Beat(action()));
    let hand = What::Hand { node: NodeId::new("n1"), action: action(), letter: Some(letter("m#1")) };
    assert_eq!(poller.does(&here, Outcome::Accepted), hand);
    assert_eq!(poller.order(&here), None, "the node sends the signs of life");
    for _ in 0..10 {
        let what = poller.after(20).does(&here, Outcome::Done);
        assert!(matches!(what, What::Extend { .. }), "{what:?}");
    }
    // The node completed it, deleted the message and left.
    let gone = world(&[]);
    assert_eq!(poller.does(&gone, OVER), What::Beat(action()));
    assert!(matches!(poller.does(&gone, Outcome::Gone), What::Delete { .. }));
    assert!(poller.is_empty());
}

#[test]
fn a_stale_message_ends_no_node() {
    let (mut poller, here) = (Poller::new(), world(&[("i-1", seat("n1", None))]));
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 3_000));
    poller.does(&here, OVER);
    let delete = What::Delete { id: "m".into(), letter: letter("m#1") };
    assert_eq!(poller.does(&here, Outcome::Done), delete);
    assert!(poller.is_empty());
    // Whether it is open can't be found out: an old one is dropped, a new one is believed.
    for (age, handed) in [(3_000, false), (3, true)] {
        let mut poller = Poller::new();
        poller.receive(message("m", body("i-1", "web", "TERMINATING"), age));
        poller.does(&here, Outcome::Failed("AccessDenied".into()));
        let what = poller.order(&here).unwrap().what;
        assert_eq!(matches!(what, What::Hand { .. }), handed, "{what:?}");
    }
}

#[test]
fn a_stale_message_says_nothing_of_the_same_hooks_new_action() {
    let (mut poller, here) = (Poller::new(), world(&[("i-1", seat("n1", None))]));
    let stale = body("i-1", "web", "TERMINATING").replace("\"t\"", "\"older\"");
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 0));
    poller.receive(message("old", stale, 300));
    for order in poller.terminations.next(&here, poller.now) {
        let What::Beat(action) = &order.what else { panic!("{order:?}") };
        let outcome = if action.token.as_deref() == Some("t") { OPEN } else { OVER };
        poller.terminations.done(&order, &outcome, poller.now);
    }
    let mut whats: Vec<What> =
        poller.terminations.next(&here, poller.now).into_iter().map(|order| order.what).collect();
    whats.sort_by_key(|what| matches!(what, What::Delete { .. }));
    assert!(
        matches!(&whats[..], [What::Hand { action, .. }, What::Delete { id, .. }]
        if action.token.as_deref() == Some("t") && id == "old"),
        "{whats:?}"
    );
}

#[test]
fn an_old_message_whose_action_is_open_is_followed() {
    let (mut poller, here) = (Poller::new(), world(&[("i-1", seat("n1", None))]));
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 3_000));
    poller.does(&here, OPEN);
    assert!(matches!(poller.does(&here, Outcome::Accepted), What::Hand { .. }));
}

#[test]
fn what_never_joined_is_completed_after_a_while_of_signs_of_life() {
    let (mut poller, nobody) = (Poller::new(), world(&[]));
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 0));
    poller.does(&nobody, OPEN);
    let mut beats = 0;
    let completed = loop {
        poller.after(1);
        for order in poller.terminations.next(&nobody, poller.now) {
            let outcome = match order.what {
                What::Beat(_) => OPEN,
                What::Complete(_) => OVER,
                _ => Outcome::Done,
            };
            poller.terminations.done(&order, &outcome, poller.now);
            match order.what {
                What::Beat(_) => beats += 1,
                What::Delete { .. } => assert!(poller.is_empty()),
                _ => {}
            }
        }
        if poller.is_empty() {
            break poller.now.since(at(0));
        }
    };
    assert!(beats >= 2, "{beats}");
    assert!(
        completed >= UNKNOWN_GRACE && completed < UNKNOWN_GRACE + Duration::from_secs(5),
        "{completed:?}"
    );
}

#[test]
fn a_node_that_comes_late_is_handed_its_action() {
    let mut poller = Poller::new();
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 0));
    poller.does(&world(&[]), OPEN);
    poller.order(&world(&[]));
    let joined = world(&[("i-1", seat("n1", None))]);
    assert!(matches!(
        poller.after(15).terminations.next(&joined, at(15))[..],
        [Order { what: What::Hand { .. }, .. }]
    ));
}

#[test]
fn a_silent_node_keeps_its_action_for_a_while_and_a_dead_one_loses_it() {
    let (mut poller, here) = (Poller::new(), world(&[("i-1", seat("n1", None))]));
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 0));
    poller.does(&here, OPEN);
    poller.does(&here, Outcome::Accepted);
    let silent = |seconds| world(&[("i-1", seat("n1", Some(seconds)))]);
    assert_eq!(poller.after(10).does(&silent(3), OPEN), What::Beat(action()), "in its place");
    assert_eq!(poller.order(&silent(4)), None);
    // It answers again: it still drains.
    assert_eq!(poller.order(&here), None);
    assert_eq!(poller.after(8).does(&silent(30), OVER), What::Complete(action()));
    assert!(matches!(poller.does(&silent(31), Outcome::Done), What::Delete { .. }));
    assert!(poller.is_empty());
}

#[test]
fn a_message_that_came_anew_is_handed_over_anew() {
    let (mut poller, here) = (Poller::new(), world(&[("i-1", seat("n1", None))]));
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 0));
    poller.does(&here, OPEN);
    poller.does(&here, Outcome::Accepted);
    let again = Received { letter: letter("m#2"), ..message("m", body("i-1", "web", "TERMINATING"), 0) };
    poller.after(1).receive(again);
    let what = poller.does(&here, Outcome::Accepted);
    assert!(matches!(what, What::Hand { letter: Some(letter), .. } if letter.receipt == "m#2"));
    assert_eq!(poller.order(&here), None);
}

#[test]
fn a_hand_over_that_failed_is_tried_again() {
    let (mut poller, here) = (Poller::new(), world(&[("i-1", seat("n1", None))]));
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 0));
    poller.does(&here, OPEN);
    poller.does(&here, Outcome::Failed("it did not answer".into()));
    assert_eq!(poller.order(&here), None);
    assert!(matches!(poller.after(2).does(&here, Outcome::Accepted), What::Hand { .. }));
}

#[test]
fn the_sweep_finds_what_messages_lost_and_adds_nothing_to_what_they_told() {
    let (mut poller, here) = (Poller::new(), world(&[("i-1", seat("n1", None))]));
    let swept = Action { token: None, ..action() };
    poller.terminations.swept([swept.clone()], poller.now);
    poller.does(&here, OPEN);
    let hand = What::Hand { node: NodeId::new("n1"), action: swept.clone(), letter: None };
    assert_eq!(poller.does(&here, Outcome::Accepted), hand);
    poller.terminations.swept([swept], poller.now);
    assert_eq!(poller.order(&here), None);
    // Its message comes after all: who has it now deletes it.
    poller.receive(message("m", body("i-1", "web", "TERMINATING"), 0));
    poller.does(&here, OPEN);
    assert!(matches!(poller.does(&here, Outcome::Accepted), What::Hand { letter: Some(_), .. }));
}

#[test]
fn what_is_given_up_is_named() {
    let mut poller = Poller::new();
    poller.receive(message("a", body("i-1", "web", "TERMINATING"), 0));
    poller.receive(message("b", body("i-2", "web", "TERMINATING"), 0));
    assert_eq!(poller.terminations.instances().len(), 2);
    assert_eq!(poller.terminations.give_up(), [letter("a#1"), letter("b#1")]);
    assert!(poller.is_empty());
}

#[derive(Clone, Debug)]
enum Happens {
    Message {
        id: u8,
        instance: u8,
        age: i64,
    },
    /// The machine's node, or none, silent or not.
    Node {
        instance: u8,
        seat: Option<Option<u64>>,
    },
    /// What AWS says from now on, of all: open, over, no answer.
    Says(u8),
    Passes(u64),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let silent = prop::option::of(0..40u64);
    let one = prop_oneof![
        (0..4u8, 0..3u8, 0..1_000i64).prop_map(|(id, instance, age)| Happens::Message { id, instance, age }),
        (0..3u8, prop::option::of(silent)).prop_map(|(instance, seat)| Happens::Node { instance, seat }),
        (0..3u8).prop_map(Happens::Says),
        (0..30u64).prop_map(Happens::Passes),
    ];
    prop::collection::vec(one, 1..60)
}

/// AWS as the test has it.
fn answer(what: &What, says: u8) -> Outcome {
    match (what, says) {
        (_, 2) => Outcome::Failed("away".into()),
        (What::Beat(_), 0) => OPEN,
        (What::Beat(_) | What::Complete(_), _) => OVER,
        (What::Hand { .. }, _) => Outcome::Accepted,
        _ => Outcome::Done,
    }
}

proptest! {
    /// Whatever happens: nobody is handed what is known to be over, completed is only what has no living node,
    /// and once AWS answers and says that all is over, everything is let go of within a minute.
    #[test]
    fn nothing_is_ended_without_need_and_nothing_is_held_for_ever(happenings in happenings()) {
        let mut terminations = Terminations::new(MAX_AGE);
        let mut world = World { group: Some("web".into()), ..World::default() };
        let (mut now, mut says) = (at(0), 0u8);
        for happens in happenings.into_iter().chain([Happens::Says(1)]) {
            match happens {
                Happens::Message { id, instance, age } => {
                    let body = body(&format!("i-{instance}"), "web", "TERMINATING");
                    terminations.receive(message(&format!("{id}{instance}"), body, age), Some("web"), now, WALL);
                }
                Happens::Node { instance, seat: told } => {
                    let name = format!("i-{instance}");
                    world.nodes.remove(&name);
                    if let Some(silent) = told {
                        world.nodes.insert(name, seat(&format!("n{instance}"), silent));
                    }
                }
                Happens::Says(what) => says = what,
                Happens::Passes(seconds) => now = now + Duration::from_secs(seconds),
            }
            for order in terminations.next(&world, now) {
                match &order.what {
                    What::Complete(action) => {
                        let seat = world.nodes.get(&action.instance);
                        prop_assert!(seat.is_none_or(|seat| seat.silent_for.is_some_and(|s| s >= SILENT_GRACE)));
                    }
                    What::Hand { node, action, .. } => {
                        let seat = &world.nodes[&action.instance];
                        prop_assert!(seat.node == *node && seat.silent_for.is_none());
                    }
                    _ => {}
                }
                terminations.done(&order, &answer(&order.what, says), now);
            }
        }
        world.nodes.clear();
        for _ in 0..60 {
            now = now + Duration::from_secs(1);
            for order in terminations.next(&world, now) {
                terminations.done(&order, &answer(&order.what, says), now);
            }
        }
        prop_assert!(terminations.held.is_empty(), "{:?}", terminations.held);
    }
}
