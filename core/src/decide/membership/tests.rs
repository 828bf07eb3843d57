//! Peers that greet, fall silent, restart, move and leave.

use super::*;

const LIVENESS: Duration = Duration::from_secs(300);

fn at(millis: u64) -> Moment {
    Moment::from_millis(3_600_000 + millis)
}

fn b() -> NodeId {
    NodeId::new("b")
}

fn membership() -> Membership {
    Membership::new(NodeId::new("a"), LIVENESS)
}

pub(super) fn status(node: &str, run: &str, version: i64, observed: i64) -> NodeStatus {
    NodeStatus {
        node_id: node.into(),
        incarnation: Some(run.into()),
        version,
        observed_at: observed,
        peer_url: format!("http://{node}:8374"),
        ..NodeStatus::default()
    }
}

pub(super) fn heartbeat(node: &str, run: &str, beat: u64) -> Heartbeat {
    Heartbeat {
        node: NodeId::new(node),
        incarnation: run.into(),
        beat,
        duration: Duration::from_secs(20),
        peer_url: format!("http://{node}:8374"),
        written_at: crate::time::WallTime::default(),
    }
}

/// Known and reachable since `at(0)`.
fn reachable() -> Membership {
    let mut members = membership();
    assert_eq!(members.heard(status("b", "1", 1, 0), at(0)), [Change::Joined(b())]);
    let changes = members.answered(&b(), Some(status("b", "1", 1, 1)), at(0), at(0));
    assert_eq!(changes, [Change::Status(b()), Change::Reached(b())]);
    members
}

fn version(members: &Membership) -> (String, i64) {
    let status = members.get(&b()).unwrap().status;
    (status.incarnation.clone().unwrap(), status.version)
}

#[test]
fn who_greets_is_asked_at_once_and_used_once_it_answers() {
    let mut members = membership();
    assert_eq!(members.heard(status("b", "1", 1, 0), at(0)), [Change::Joined(b())]);
    assert!(!members.is_reachable(&b()));
    let (due, contact) = members.next_contact(&b()).unwrap();
    assert!(due <= at(0) && contact == Contact::Exchange);
    members.answered(&b(), Some(status("b", "1", 1, 0)), at(0), at(5));
    assert!(members.is_reachable(&b()));
    assert_eq!(members.url(&b()), Some("http://b:8374"));
}

#[test]
fn a_status_never_goes_backwards() {
    for (run, new, observed, taken) in [
        ("1", 2, 0, true),
        ("1", 1, 2, true),
        ("1", 1, 1, false),
        ("1", 0, 9, false),
        ("2", 0, 0, true),
        ("0", 9, 9, false),
    ] {
        let mut members = reachable();
        let changes = members.heard(status("b", run, new, observed), at(10));
        assert_eq!(!changes.is_empty(), taken, "{run} {new} {observed}");
        // The same as an answer, asked for before the last sign of the run that is known.
        let mut members = reachable();
        members.heard(status("b", "1", 1, 1), at(10));
        let changes = members.answered(&b(), Some(status("b", run, new, observed)), at(9), at(20));
        assert_eq!(!changes.is_empty(), taken, "{run} {new} {observed} as an answer");
    }
}

#[test]
fn a_silent_peer_is_lost_once_until_it_answers_again() {
    let mut members = reachable();
    assert_eq!(members.next_sweep(&b()), None);
    for round in 0..2 {
        let begin = round * 20_000;
        assert_eq!(members.failed(&b(), at(begin + 100), at(begin + 1_000)), [Change::Silent(b())]);
        assert_eq!(members.next_sweep(&b()), Some(at(begin + 1_000) + LOST_AFTER));
        assert_eq!(members.sweep(at(begin + 3_999)), []);
        members.failed(&b(), at(begin + 3_000), at(begin + 3_999));
        assert_eq!(members.sweep(at(begin + 4_000)), [Change::Lost(b())], "since the first failure");
        assert_eq!((members.sweep(at(begin + 5_000)), members.next_sweep(&b())), (vec![], None));
        assert_eq!(
            members.answered(&b(), None, at(begin + 9_000), at(begin + 9_000)),
            [Change::Reached(b())]
        );
    }
}

/// The original evicted a peer after one check that failed.
#[test]
fn a_silent_peer_is_asked_with_growing_pauses_and_leaves_at_liveness() {
    let mut members = reachable();
    assert_eq!(members.failed(&b(), at(1_000), at(1_000)), [Change::Silent(b())]);
    let mut now = at(1_000);
    let mut pauses = Vec::new();
    while now < at(0) + LIVENESS - PROBE_MAX {
        let (due, contact) = members.next_contact(&b()).unwrap();
        assert_eq!(contact, Contact::Exchange);
        pauses.push(due.since(now).as_millis());
        now = due;
        let swept = members.sweep(now);
        assert!(swept.iter().all(|change| *change == Change::Lost(b())), "{swept:?}: it is still hoped for");
        assert!(members.failed(&b(), now, now).is_empty());
    }
    assert_eq!(pauses[..5], [250, 500, 1_000, 2_000, 2_000]);
    assert_eq!(members.get(&b()).unwrap().silent_since, Some(at(1_000)));
    let left = members.sweep(at(0) + LIVENESS);
    assert_eq!(left, [Change::Left(b(), Leaving::Dead { incarnation: "1".into() })]);
    assert_eq!(members.view(), []);
    // What it wrote last still lies in the store.
    let read = |members: &mut Membership, beat| {
        let asked = at(0) + LIVENESS + Duration::from_secs(beat);
        members.heartbeats(&[heartbeat("b", "1", beat)], true, asked, asked)
    };
    assert_eq!(read(&mut members, 0), [Change::Joined(b())], "no beat was seen before it left");
}

#[test]
fn a_dead_node_s_last_heartbeat_does_not_bring_it_back_and_a_further_one_does() {
    let mut members = membership();
    assert_eq!(members.heartbeats(&[heartbeat("b", "1", 7)], true, at(0), at(0)), [Change::Joined(b())]);
    members.failed(&b(), at(0), at(1_000));
    let end = at(0) + LIVENESS;
    assert_eq!(members.sweep(end).len(), 1);
    assert_eq!(members.heartbeats(&[heartbeat("b", "1", 7)], true, end, end), []);
    let joined = [Change::Joined(b())];
    assert_eq!(members.heartbeats(&[heartbeat("b", "1", 8)], true, end, end), joined);
}

#[test]
fn one_that_can_not_be_reached_but_beats_stays() {
    let mut members = membership();
    let mut now = at(0);
    for beat in 1..200 {
        members.heartbeats(&[heartbeat("b", "1", beat)], true, now, now);
        members.failed(&b(), now, now);
        now = now + Duration::from_secs(5);
        assert_eq!(members.sweep(now), []);
    }
    assert_eq!(members.get(&b()).unwrap().silent_since, Some(at(0)));
}

#[test]
fn who_leaves_is_gone_at_once_and_no_older_status_brings_it_back() {
    let mut members = reachable();
    assert_eq!(members.leaves(&b(), Some("1"), at(10)), [Change::Left(b(), Leaving::Told)]);
    for run in ["0", "1"] {
        assert_eq!(members.heard(status("b", run, 99, 99), at(11)), []);
    }
    assert_eq!(members.heartbeats(&[heartbeat("b", "1", 3)], true, at(11), at(12)), []);
    assert_eq!(members.answered(&b(), Some(status("b", "1", 99, 99)), at(9), at(12)), []);
    assert_eq!(members.heard(status("b", "2", 1, 0), at(13)), [Change::Joined(b())]);
    assert_eq!(members.leaves(&b(), Some("1"), at(14)), [], "that was another run");
}

#[test]
fn a_leaving_that_is_told_before_anything_else_counts_as_well() {
    let mut members = membership();
    assert_eq!(members.leaves(&b(), Some("1"), at(0)), []);
    assert_eq!(members.heard(status("b", "1", 5, 5), at(1)), []);
    assert_eq!(members.heard(status("b", "2", 1, 5), at(1)), [Change::Joined(b())]);
}

#[test]
fn a_restarted_daemon_replaces_its_last_run_at_once() {
    let mut members = reachable();
    members.failed(&b(), at(100), at(100));
    members.failed(&b(), at(400), at(400));
    assert_eq!(members.heard(status("b", "2", 1, 0), at(410)), [Change::Status(b())]);
    assert_eq!(version(&members), ("2".into(), 1));
    assert!(members.next_contact(&b()).unwrap().0 <= at(410), "asked at once");
    // The same, found in the store.
    let mut members = reachable();
    let changes = members.heartbeats(&[heartbeat("b", "2", 1)], true, at(400), at(410));
    assert_eq!(changes, [Change::Status(b())]);
    assert_eq!(version(&members), ("2".into(), 0));
    assert_eq!(members.next_contact(&b()).unwrap().1, Contact::Exchange);
}

/// A run's name sorts by its host's clock.
#[test]
fn a_restart_with_the_clock_put_back_is_believed_when_it_answers() {
    let mut members = reachable();
    assert_eq!(members.heard(status("b", "0", 1, 0), at(50)), [], "may be old");
    assert_eq!(
        members.answered(&b(), Some(status("b", "0", 1, 0)), at(60), at(70)),
        [Change::Status(b())],
        "asked for after the last sign of run 1"
    );
    let mut members = reachable();
    let read = |members: &mut Membership, beat, asked| {
        members.heartbeats(&[heartbeat("b", "0", beat)], true, at(asked), at(asked + 10))
    };
    assert_eq!(read(&mut members, 1, 60), [], "left in the store by a run before, maybe");
    let (due, contact) = members.next_contact(&b()).unwrap();
    assert!(due <= at(60) + PROBE_MIN && contact == Contact::Exchange, "so it is asked");
    assert_eq!(read(&mut members, 2, 5_060), [Change::Status(b())], "it beats");
    let mut members = reachable();
    members.leaves(&b(), Some("1"), at(10));
    assert_eq!(members.heartbeats(&[heartbeat("b", "0", 1)], true, at(9), at(70)), []);
    assert_eq!(members.heartbeats(&[heartbeat("b", "0", 1)], true, at(60), at(70)), [Change::Joined(b())]);
}

/// The new run greets before it has written a heartbeat, or while it can't.
#[test]
fn what_a_run_left_in_the_store_does_not_bring_it_back() {
    // What was read before is not always the last that was written.
    for read_before in [6, 7] {
        let mut members = reachable();
        members.heartbeats(&[heartbeat("b", "1", read_before)], true, at(10), at(20));
        assert_eq!(members.heard(status("b", "2", 1, 0), at(100)), [Change::Status(b())]);
        for second in 1..20 {
            let (asked, now) = (at(second * 1_000), at(second * 1_000 + 5));
            assert_eq!(members.heartbeats(&[heartbeat("b", "1", 7)], true, asked, now), []);
            assert_eq!(version(&members), ("2".into(), 1));
        }
        // Its clock was put back: run 1 is the one that lives.
        let changes = members.heartbeats(&[heartbeat("b", "1", 8)], true, at(30_000), at(30_005));
        assert_eq!(changes, [Change::Status(b())]);
    }
}

#[test]
fn a_silent_peer_lives_if_its_heartbeats_go_on() {
    let beats = |members: &Membership| members.get(&b()).unwrap().beats;
    let mut members = reachable();
    let read = |members: &mut Membership, beat, asked| {
        members.heartbeats(&[heartbeat("b", "1", beat)], true, at(asked), at(asked + 10))
    };
    members.failed(&b(), at(1_000), at(2_000));
    read(&mut members, 3, 1_995);
    read(&mut members, 4, 2_100);
    read(&mut members, 3, 2_200);
    assert!(!beats(&members), "written before, read since");
    read(&mut members, 5, 6_100);
    assert!(beats(&members));
    members.answered(&b(), None, at(7_000), at(7_010));
    assert!(!beats(&members), "it can be reached");
}

#[test]
fn a_heartbeat_that_was_removed_ends_only_who_is_silent() {
    let mut members = reachable();
    members.heartbeats(&[heartbeat("b", "1", 1)], true, at(10), at(20));
    assert_eq!(members.heartbeats(&[], true, at(30), at(40)), []);
    members.suspect(&b(), at(50));
    assert_eq!(members.heartbeats(&[], false, at(60), at(60)), [], "not all heartbeats");
    assert_eq!(members.heartbeats(&[], true, at(5), at(60)), [], "an older reading");
    assert_eq!(members.heartbeats(&[], true, at(60), at(60)), [Change::Left(b(), Leaving::Removed)]);
    // It had only been away.
    assert_eq!(members.heard(status("b", "1", 2, 2), at(70)), [Change::Joined(b())]);
}

#[test]
fn an_address_that_another_node_has_got_is_not_the_peer() {
    let mut members = reachable();
    let changes = members.answered(&b(), Some(status("c", "5", 1, 1)), at(100), at(110));
    assert_eq!(changes, [Change::Joined(NodeId::new("c")), Change::Silent(b())]);
    assert_eq!(members.nodes().count(), 2);
}

#[test]
fn a_reachable_peer_is_asked_when_it_is_quiet_and_exchanged_with_now_and_then() {
    let mut members = reachable();
    assert_eq!(members.next_contact(&b()), Some((at(0) + QUIET, Contact::Ping)));
    members.heard(status("b", "1", 2, 2), at(1_500));
    assert_eq!(members.next_contact(&b()), Some((at(1_500) + QUIET, Contact::Ping)), "it was not quiet");
    members.answered(&b(), None, at(9_500), at(9_500));
    assert_eq!(members.next_contact(&b()), Some((at(0) + EXCHANGE_EVERY, Contact::Exchange)));
    members.doubt(&b(), at(9_600));
    let soon = at(9_500) + PROBE_MIN;
    assert_eq!(members.next_contact(&b()), Some((soon, Contact::Ping)), "but not without any pause");
}

#[test]
fn a_suspect_is_asked_at_once_and_an_older_failure_does_not_outweigh_its_answer() {
    let mut members = reachable();
    assert_eq!(members.suspect(&b(), at(10)), [Change::Silent(b())]);
    assert_eq!(members.suspect(&b(), at(11)), []);
    assert!(members.next_contact(&b()).unwrap().0 <= at(11));
    assert_eq!(members.answered(&b(), None, at(12), at(13)), [Change::Reached(b())]);
    assert_eq!(members.failed(&b(), at(9), at(1_009)), []);
    assert!(members.is_reachable(&b()));
}

#[test]
fn a_node_is_no_peer_of_itself() {
    let mut members = membership();
    assert_eq!(members.heard(status("a", "1", 1, 1), at(0)), []);
    assert_eq!(members.heartbeats(&[heartbeat("a", "1", 1)], true, at(0), at(0)), []);
    assert_eq!(members.view(), []);
}
