//! Holder and contender, alone and in a simulated cluster.

use super::*;
use crate::time::WallTime;

const SETTINGS: LeaseSettings =
    LeaseSettings { duration: Duration::from_millis(10_000), margin: Duration::from_millis(500) };

fn ms(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn lease(node: &str, tenure: Tenure) -> Lease {
    Lease::new(NodeId::new(node), format!("{node}-run"), tenure, SETTINGS)
}

fn cron() -> Role {
    Role::new("cron")
}

fn record(owner: Option<&str>, run: &str, term: u64, version: u64) -> RoleRecord {
    RoleRecord { role: cron(), owner: owner.map(NodeId::new), incarnation: run.into(), term, version }
}

fn heartbeat(node: &str, run: &str, beat: u64) -> Heartbeat {
    Heartbeat {
        node: NodeId::new(node),
        incarnation: run.into(),
        beat,
        duration: SETTINGS.duration,
        peer_url: String::new(),
        written_at: WallTime::default(),
    }
}

/// A beat sent and answered.
fn beat(lease: &mut Lease, sent: u64, answered: u64) -> u64 {
    let beat = lease.holder().send(ms(sent));
    lease.holder().answered(ms(answered));
    beat
}

fn take(lease: &mut Lease, roles: &[RoleRecord], now: u64) -> Vec<Bid> {
    let bids = lease.bids(&[cron()], roles, &[], ms(now), ms(now));
    for bid in &bids {
        lease.won(bid);
    }
    bids
}

#[test]
fn an_owner_stops_by_itself_before_others_may_take_its_role() {
    let mut a = lease("a", Tenure::Contended);
    beat(&mut a, 1_000, 1_100);
    take(&mut a, &[], 1_200);
    // 10 s − 2 × 100 ms − 500 ms after the stamp.
    assert_eq!(a.holder().acts_until(), Some(ms(10_300)));
    assert_eq!(a.owns(&cron(), ms(10_299)), Some(Term(1)));
    assert_eq!(a.owns(&cron(), ms(10_300)), None);
}

#[test]
fn nothing_is_bid_for_without_a_heartbeat() {
    let mut a = lease("a", Tenure::Contended);
    assert_eq!(a.bids(&[cron()], &[], &[], ms(1), ms(1)), []);
    assert_eq!(a.owns(&cron(), ms(1)), None);
}

#[test]
fn a_beat_whose_answer_was_lost_is_sent_again_and_counts_from_its_first_sending() {
    let mut a = lease("a", Tenure::Contended);
    assert_eq!(beat(&mut a, 1_000, 1_000), 1);
    assert_eq!(a.holder().send(ms(3_000)), 2);
    assert_eq!(a.holder().send(ms(5_000)), 2, "again, as it may have been written");
    a.holder().answered(ms(5_000));
    assert_eq!(a.holder().acts_until(), Some(ms(12_500)));
    assert_eq!(a.holder().send(ms(6_000)), 3);
}

/// A suspended node's clock has moved on when it wakes; a late answer must not make it owner again.
#[test]
fn an_answer_after_the_lapse_does_not_revive_roles() {
    let mut a = lease("a", Tenure::Contended);
    beat(&mut a, 0, 0);
    take(&mut a, &[], 10);
    beat(&mut a, 60_000, 60_010);
    assert!(a.holder().is_acting(ms(60_010)));
    assert_eq!(a.owns(&cron(), ms(60_010)), None);
    let own = record(Some("a"), "a-run", 1, 1);
    let bids = take(&mut a, &[own], 60_020);
    assert_eq!((bids[0].seen, bids[0].record.version, bids[0].record.term), (1, 2, 2));
    assert_eq!(a.owns(&cron(), ms(60_030)), Some(Term(2)));
}

#[test]
fn a_bid_sent_before_a_lapse_and_won_after_it_owns_nothing() {
    let mut a = lease("a", Tenure::Contended);
    beat(&mut a, 0, 0);
    let bids = a.bids(&[cron()], &[], &[], ms(10), ms(10));
    beat(&mut a, 60_000, 60_000);
    a.won(&bids[0]);
    assert_eq!(a.owns(&cron(), ms(60_000)), None);
    assert_eq!(take(&mut a, &[record(Some("a"), "a-run", 1, 1)], 60_001).len(), 1);
}

#[test]
fn a_contender_steals_only_after_a_whole_duration_of_silence_on_its_own_clock() {
    let mut b = lease("b", Tenure::Contended);
    let roles = [record(Some("a"), "a-run", 4, 9)];
    let mut look = |beat_of_a: u64, asked: u64, now: u64| {
        beat(&mut b, asked, asked);
        b.bids(&[cron()], &roles, &[heartbeat("a", "a-run", beat_of_a)], ms(asked), ms(now))
    };
    assert_eq!(look(1, 100, 200), []);
    assert_eq!(look(1, 10_199, 10_300), [], "asked before the duration was over");
    assert_eq!(look(2, 10_300, 10_400), [], "alive");
    assert_eq!(look(2, 20_399, 20_500), []);
    let bids = look(2, 20_400, 20_500);
    assert_eq!(bids[0].record, RoleRecord { version: 10, term: 5, ..record(Some("b"), "b-run", 0, 0) });
    assert_eq!(bids[0].seen, 9);
}

#[test]
fn a_late_owner_is_doubted_until_it_beats_or_is_called_dead() {
    let mut b = lease("b", Tenure::Contended);
    let roles = [record(Some("a"), "a-run", 4, 9)];
    let mut look = |beat_of_a: u64, now: u64| {
        beat(&mut b, now, now);
        b.bids(&[], &roles, &[heartbeat("a", "a-run", beat_of_a)], ms(now), ms(now));
        [4_999, 5_000].map(|later| b.waits_for_heartbeats(&[], &roles, ms(now + later)))
    };
    assert_eq!(look(1, 0), [false, true]);
    assert_eq!(look(1, 5_000), [true, true]);
    assert_eq!(look(2, 6_000), [false, true], "it lives");
    assert_eq!(look(2, 16_000), [false, false], "it is dead, and nobody waits for it");
    assert!(b.waits_for_heartbeats(&[cron()], &roles, ms(16_001)), "somebody does");
}

#[test]
fn a_missing_heartbeat_is_silence_and_a_new_run_is_not_the_old_owner() {
    let mut b = lease("b", Tenure::Contended);
    let roles = [record(Some("a"), "old-run", 1, 1)];
    for (now, expected) in [(0, 0), (9_999, 0), (10_000, 1)] {
        beat(&mut b, now, now);
        let bids = b.bids(&[cron()], &roles, &[heartbeat("a", "new-run", now)], ms(now), ms(now));
        assert_eq!(bids.len(), expected, "at {now}");
    }
}

#[test]
fn what_is_free_given_back_or_left_from_an_own_earlier_run_is_taken_at_once() {
    for roles in [vec![], vec![record(None, "a-run", 3, 7)], vec![record(Some("b"), "earlier", 3, 7)]] {
        let mut b = lease("b", Tenure::Contended);
        beat(&mut b, 0, 0);
        assert_eq!(take(&mut b, &roles, 1).len(), 1, "{roles:?}");
    }
}

#[test]
fn a_sole_node_takes_all_at_once_and_keeps_it_without_a_store() {
    let mut a = lease("a", Tenure::Sole);
    let bids = take(&mut a, &[record(Some("somebody"), "before", 3, 7)], 1);
    assert_eq!((bids[0].record.term, bids[0].seen), (4, 7));
    assert_eq!(a.owns(&cron(), ms(1_000_000_000)), Some(Term(4)));
}

#[test]
fn a_role_that_another_holds_by_now_is_not_owned() {
    let mut a = lease("a", Tenure::Contended);
    beat(&mut a, 0, 0);
    take(&mut a, &[], 1);
    let stolen = [record(Some("b"), "b-run", 2, 2)];
    assert_eq!(a.bids(&[cron()], &stolen, &[heartbeat("b", "b-run", 1)], ms(2), ms(2)), []);
    assert_eq!(a.owns(&cron(), ms(3)), None);
}

#[test]
fn what_is_given_back_is_not_owned_from_then_on() {
    let mut a = lease("a", Tenure::Contended);
    beat(&mut a, 0, 0);
    take(&mut a, &[], 1);
    let back = a.give_back();
    assert_eq!(a.owns(&cron(), ms(2)), None);
    assert_eq!((back[0].record.owner.as_ref(), back[0].seen, back[0].record.version), (None, 1, 2));
    assert_eq!(back[0].record.term, 1);
}

/// Its bid was written and the answer lost; by the next reading the node may want it no more.
#[test]
fn a_role_that_was_won_unheard_is_given_back_when_nobody_wants_it() {
    let mut a = lease("a", Tenure::Contended);
    beat(&mut a, 0, 0);
    let unheard = a.bids(&[cron()], &[], &[], ms(1), ms(1)).remove(0).record;
    let stored = [unheard.clone()];
    assert_eq!(a.bids_for_vacant(&[], &stored, ms(2)), []);
    let back = a.strays(&[], &stored);
    let vacated = RoleRecord { owner: None, version: 2, ..unheard };
    assert_eq!((back[0].seen, &back[0].record, back.len()), (1, &vacated, 1));
    // Who wants it bids again, and what is held or another's is left alone.
    assert_eq!(a.strays(&[cron()], &stored), []);
    let again = take(&mut a, &stored, 3).remove(0).record;
    assert_eq!(a.strays(&[], &[again]), []);
    assert_eq!(a.strays(&[], &[record(Some("b"), "b-run", 3, 3)]), []);
}

#[test]
fn a_store_that_went_back_in_time_starts_a_new_epoch() {
    let mut a = lease("a", Tenure::Contended);
    for now in 0..5 {
        beat(&mut a, now, now);
    }
    take(&mut a, &[], 6);
    a.holder().send(ms(7));
    a.holder().refused(2);
    assert_eq!(a.owns(&cron(), ms(8)), None);
    assert_eq!(beat(&mut a, 9, 9), 3);
    assert!(a.holder().is_acting(ms(10)));
}
