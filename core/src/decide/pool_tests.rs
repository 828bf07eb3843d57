//! One component's slots and waiters, as tables and properties.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::{queue::Queue, *};
use crate::names::{InstanceId, NodeId};

const NOW: Moment = Moment::from_millis(1_000);

fn limits(max_concurrency: u32, concurrency: ConcurrencyLimit) -> Limits {
    Limits { max_concurrency, concurrency, queue_len: 100, queue_bytes: 1_000 }
}

fn hard(max_concurrency: u32) -> Limits {
    limits(max_concurrency, ConcurrencyLimit::Hard)
}

fn id(name: &str) -> Place {
    Place::Here(InstanceId::new(name))
}

fn node(name: &str) -> Place {
    Place::There(NodeId::new(name))
}

/// Members are called like their instances, waiters are numbers.
type TestPool = Pool<&'static str, u32>;

fn pool(limits: Limits, instances: &[&'static str]) -> TestPool {
    let mut pool = TestPool::new(limits, NOW);
    for name in instances {
        assert!(pool.add(&id(name), *name, 1, NOW).is_empty());
    }
    pool
}

fn take(pool: &mut TestPool) -> Grant<&'static str> {
    pool.take(Reach::Anywhere, None, NOW).expect("there is room")
}

fn served(handovers: &[Handover<&'static str, u32>]) -> Vec<(u32, &'static str)> {
    handovers.iter().map(|handover| (handover.waiter, handover.grant.member)).collect()
}

#[test]
fn equally_busy_instances_take_turns_and_the_least_busy_comes_first() {
    let mut pool = pool(hard(3), &["a", "b", "c"]);
    let grants: Vec<_> = (0..9).map(|_| take(&mut pool)).collect();
    let order: Vec<_> = grants.iter().map(|grant| grant.member).collect();
    assert_eq!(order, ["a", "b", "c", "a", "b", "c", "a", "b", "c"]);
    assert_eq!(pool.take(Reach::Anywhere, None, NOW), None);
    let b = grants.iter().find(|grant| grant.member == "b").unwrap();
    pool.give_back(b.seat, NOW);
    pool.give_back(b.seat, NOW);
    pool.give_back(grants[0].seat, NOW);
    assert_eq!([take(&mut pool).member, take(&mut pool).member], ["b", "a"]);
}

#[test]
fn a_newcomer_never_overtakes_a_waiter() {
    let mut pool = pool(hard(1), &["a", "b"]);
    let a = take(&mut pool);
    let b = take(&mut pool);
    pool.wait(1, Reach::Anywhere, 0, NOW).unwrap();
    pool.wait(2, Reach::Anywhere, 0, NOW).unwrap();
    let given = pool.give_back(a.seat, NOW);
    assert_eq!(served(&[given.handover.unwrap()]), [(1, "a")]);
    // The next one free is for 2, who waits already.
    assert_eq!(pool.take(Reach::Anywhere, None, NOW), None);
    assert_eq!(pool.give_back(b.seat, NOW).handover.unwrap().waiter, 2);
}

#[test]
fn a_soft_limit_never_makes_wait_while_there_is_an_instance() {
    let mut pool = pool(limits(1, ConcurrencyLimit::Soft), &["a", "b"]);
    for _ in 0..1_000 {
        take(&mut pool);
    }
    assert_eq!(pool.in_flight(), 1_000);
    let mut empty = TestPool::new(limits(1, ConcurrencyLimit::Soft), NOW);
    assert_eq!(empty.take(Reach::Anywhere, None, NOW), None);
    for waiter in 0..50 {
        empty.wait(waiter, Reach::Anywhere, 0, NOW).unwrap();
    }
    assert_eq!(empty.add(&id("a"), "a", 1, NOW).len(), 50);
}

#[test]
fn who_avoids_an_instance_gets_another_or_else_that_one() {
    let mut pool = pool(hard(2), &["a", "b"]);
    assert_eq!(pool.take(Reach::Anywhere, Some(&id("a")), NOW).unwrap().member, "b");
    assert_eq!(pool.take(Reach::Anywhere, Some(&id("a")), NOW).unwrap().member, "b");
    assert_eq!(pool.take(Reach::Anywhere, Some(&id("a")), NOW).unwrap().member, "a");
    assert_eq!(pool.take(Reach::Anywhere, Some(&id("gone")), NOW).unwrap().member, "a");
}

#[test]
fn a_suspect_gets_nothing_until_it_was_checked() {
    let mut pool = pool(hard(2), &["a"]);
    let running = take(&mut pool);
    assert!(pool.hold(&id("a")));
    assert!(!pool.hold(&id("a")), "it is held already");
    assert!(pool.has_instances());
    assert_eq!(pool.take(Reach::Anywhere, None, NOW), None);
    pool.wait(1, Reach::Anywhere, 0, NOW).unwrap();
    assert_eq!(pool.give_back(running.seat, NOW), GivenBack { handover: None, left: None });
    assert_eq!(served(&pool.resume(&id("a"), NOW)), [(1, "a")]);
    assert!(pool.resume(&id("a"), NOW).is_empty());
}

#[test]
fn a_retired_instance_leaves_with_its_last_request() {
    let mut pool = pool(hard(2), &["a", "b"]);
    let (a, b) = (take(&mut pool), take(&mut pool));
    assert_eq!(pool.retire(&id("a")), None);
    assert_eq!(take(&mut pool).member, "b");
    assert_eq!(pool.take(Reach::Anywhere, None, NOW), None);
    assert_eq!(pool.give_back(a.seat, NOW).left, Some("a"));
    assert_eq!(pool.retire(&id("a")), None, "it has left");
    assert_eq!(pool.retire(&id("b")), None);
    assert!(!pool.has_instances());
    pool.give_back(b.seat, NOW);
    assert_eq!(pool.give_back(b.seat, NOW).left, Some("b"));
    assert_eq!(pool.members().count(), 0);
    assert_eq!(pool.in_flight(), 0);
}

#[test]
fn an_idle_instance_leaves_as_it_is_retired() {
    let mut pool = pool(hard(2), &["a"]);
    assert_eq!(pool.retire(&id("a")), Some("a"));
}

#[test]
fn a_retired_instance_can_come_back_with_what_it_serves() {
    let mut pool = pool(hard(2), &["a"]);
    let running = take(&mut pool);
    pool.retire(&id("a"));
    for waiter in 1..=2 {
        pool.wait(waiter, Reach::Anywhere, 0, NOW).unwrap();
    }
    assert_eq!(served(&pool.add(&id("a"), "a", 1, NOW)), [(1, "a")]);
    assert_eq!(pool.give_back(running.seat, NOW).handover.unwrap().waiter, 2);
}

#[test]
fn limits_change_under_running_requests() {
    let mut pool = pool(hard(1), &["a"]);
    let first = take(&mut pool);
    for waiter in 1..=4 {
        pool.wait(waiter, Reach::Anywhere, 0, NOW).unwrap();
    }
    assert_eq!(served(&pool.set_limits(hard(3), NOW)), [(1, "a"), (2, "a")]);
    assert!(pool.set_limits(hard(1), NOW).is_empty());
    assert_eq!(pool.give_back(first.seat, NOW).handover, None);
    assert_eq!(pool.give_back(first.seat, NOW).handover, None);
    assert_eq!(pool.give_back(first.seat, NOW).handover.unwrap().waiter, 3);
}

#[test]
fn the_queue_is_bounded_in_count_and_in_bytes() {
    let mut pool = TestPool::new(Limits { queue_len: 2, queue_bytes: 10, ..hard(1) }, NOW);
    let first = pool.wait(1, Reach::Anywhere, 8, NOW).unwrap();
    assert_eq!(pool.wait(2, Reach::Anywhere, 3, NOW), Err(QueueFull::Bytes { bytes: 8 }));
    pool.wait(2, Reach::Anywhere, 2, NOW).unwrap();
    assert_eq!(pool.wait(3, Reach::Anywhere, 0, NOW), Err(QueueFull::Count { waiting: 2 }));
    assert_eq!(pool.leave(first, NOW), Some(1));
    assert_eq!(pool.leave(first, NOW), None, "a ticket is good once");
    pool.wait(3, Reach::Anywhere, 8, NOW).unwrap();
    assert_eq!(pool.turn_away(NOW), [2, 3]);
    assert_eq!((pool.waiting(), pool.demand().level()), (0, 0));
}

#[test]
fn an_old_ticket_never_takes_anothers_place() {
    let mut queue = Queue::new();
    let tickets: Vec<_> = (0..5_000).map(|waiter| queue.push(waiter, 1, waiter)).collect();
    while queue.pop().is_some() {}
    assert_eq!(queue.bytes(), 0);
    for waiter in 0..5_000 {
        queue.push(waiter, 1, 5_000 + waiter);
    }
    assert!(tickets.into_iter().all(|ticket| queue.leave(ticket).is_none()));
    assert_eq!(queue.len(), 5_000);
}

#[test]
fn waiting_starts_anew_with_each_instance_that_comes_to_help() {
    let mut pool = pool(hard(1), &[]);
    let at = |millis: u64| Moment::from_millis(1_000 + millis);
    for waiter in 1..=3 {
        pool.wait(waiter, Reach::Anywhere, 0, at(0)).unwrap();
    }
    assert_eq!(pool.waiting_since(), Some(at(0)));
    pool.add(&id("a"), "a", 1, at(300));
    assert_eq!((pool.waiting(), pool.waiting_since()), (2, Some(at(300))));
    pool.add(&id("b"), "b", 1, at(400));
    pool.add(&id("c"), "c", 1, at(500));
    assert_eq!((pool.waiting(), pool.waiting_since()), (0, None));
}

fn peer(pool: &mut TestPool, name: &'static str, instances: u32) -> Vec<(u32, &'static str)> {
    served(&pool.add(&node(name), name, instances, NOW))
}

#[test]
fn least_busy_per_instance_comes_first_and_here_before_there() {
    let mut pool = pool(hard(2), &["a"]);
    peer(&mut pool, "n2", 2);
    peer(&mut pool, "n3", 1);
    let order: Vec<_> = (0..8).map(|_| take(&mut pool).member).collect();
    // Loads as they are met: nothing anywhere; n2 0, n3 0; n2 a half; then all have one each.
    assert_eq!(order, ["a", "n2", "n3", "n2", "a", "n2", "n3", "n2"]);
    assert_eq!(pool.take(Reach::Anywhere, None, NOW), None, "all limits are reached");
    assert_eq!((pool.in_flight(), pool.demand().level()), (2, 2), "what runs at peers is their demand");
}

#[test]
fn what_a_peer_told_of_others_counts_for_a_second() {
    let mut pool = pool(hard(10), &["a"]);
    peer(&mut pool, "n2", 2);
    let a = take(&mut pool);
    assert_eq!(take(&mut pool).member, "n2");
    // Seven there in all, six of them not from here: more per instance than here.
    pool.tell(&node("n2"), 7, 2, NOW);
    assert_eq!([take(&mut pool).member, take(&mut pool).member], ["a", "a"]);
    let late = NOW + TOLD_LIFE;
    assert_eq!(pool.take(Reach::Anywhere, None, late).unwrap().member, "n2");
    // It counts by the number of instances that it was told with.
    pool.tell(&node("n2"), 8, 8, late);
    assert_eq!(pool.take(Reach::Anywhere, None, late).unwrap().member, "n2");
    pool.tell(&node("nobody"), 8, 8, late);
    pool.tell(&id("a"), 8, 8, late);
    pool.give_back(a.seat, late);
    // What was told never opens or closes a peer: its own limit does.
    pool.tell(&node("n2"), 10_000, 1, late);
    let all = std::iter::from_fn(|| pool.take(Reach::Anywhere, None, late)).count();
    assert_eq!(all, (10 - 2) + (20 - 3));
}

#[test]
fn a_slot_here_goes_to_the_first_and_one_there_to_the_first_who_may_leave() {
    let mut pool = pool(hard(1), &["a"]);
    peer(&mut pool, "n2", 1);
    let (here, there) = (take(&mut pool), take(&mut pool));
    assert_eq!([here.member, there.member], ["a", "n2"]);
    pool.wait(1, Reach::Here, 0, NOW).unwrap();
    pool.wait(2, Reach::Anywhere, 0, NOW).unwrap();
    pool.wait(3, Reach::Here, 0, NOW).unwrap();
    pool.wait(4, Reach::Anywhere, 0, NOW).unwrap();
    assert_eq!(pool.first_waiter(), Some(&1));
    let given = pool.give_back(there.seat, NOW).handover.unwrap();
    assert_eq!(served(std::slice::from_ref(&given)), [(2, "n2")]);
    assert_eq!(served(&[pool.give_back(here.seat, NOW).handover.unwrap()]), [(1, "a")]);
    assert_eq!(served(&[pool.give_back(here.seat, NOW).handover.unwrap()]), [(3, "a")]);
    assert_eq!(served(&[pool.give_back(here.seat, NOW).handover.unwrap()]), [(4, "a")]);
    assert_eq!(pool.demand().level(), 1);
    pool.give_back(here.seat, NOW);
    pool.give_back(given.grant.seat, NOW);
    assert_eq!((pool.waiting(), pool.demand().level()), (0, 0));
}

#[test]
fn who_may_leave_passes_those_who_must_stay() {
    let mut pool = pool(hard(1), &["a"]);
    let _here = take(&mut pool);
    pool.wait(1, Reach::Here, 0, NOW).unwrap();
    assert!(peer(&mut pool, "n2", 1).is_empty());
    assert_eq!(pool.take(Reach::Here, None, NOW), None);
    assert_eq!(take(&mut pool).member, "n2");
    assert_eq!(pool.take(Reach::Anywhere, None, NOW), None);
    pool.wait(2, Reach::Anywhere, 0, NOW).unwrap();
    // The peer has another instance now.
    assert_eq!(peer(&mut pool, "n2", 2), [(2, "n2")]);
    assert_eq!(pool.turn_away_here(NOW), [1]);
    assert_eq!((pool.waiting(), pool.waiting_since()), (0, None));
}

#[test]
fn who_was_relayed_here_never_leaves() {
    let mut pool = TestPool::new(hard(1), NOW);
    peer(&mut pool, "n2", 5);
    assert_eq!(pool.take(Reach::Here, None, NOW), None);
    assert_eq!(pool.take(Reach::Here, Some(&node("n2")), NOW), None);
    assert!(pool.has_instances() && !pool.has_instances_here());
    pool.add(&id("a"), "a", 1, NOW);
    assert_eq!(pool.take(Reach::Here, Some(&id("a")), NOW).unwrap().member, "a");
    assert_eq!(pool.take(Reach::Here, None, NOW), None);
}

#[test]
fn a_peer_has_room_for_what_its_instances_take_under_any_limits() {
    let mut pool = TestPool::new(hard(2), NOW);
    peer(&mut pool, "n2", 2);
    let grants: Vec<_> = (0..4).map(|_| take(&mut pool)).collect();
    assert_eq!(pool.take(Reach::Anywhere, None, NOW), None);
    for waiter in 1..=3 {
        pool.wait(waiter, Reach::Anywhere, 0, NOW).unwrap();
    }
    assert_eq!(served(&pool.set_limits(hard(3), NOW)), [(1, "n2"), (2, "n2")]);
    assert!(peer(&mut pool, "n2", 1).is_empty(), "it has lost an instance");
    for _ in 0..3 {
        assert_eq!(pool.give_back(grants[0].seat, NOW).handover, None);
    }
    assert_eq!(pool.give_back(grants[0].seat, NOW).handover.unwrap().waiter, 3);
    pool.set_limits(limits(1, ConcurrencyLimit::Soft), NOW);
    for _ in 0..100 {
        take(&mut pool);
    }
}

#[test]
fn a_peer_that_is_held_or_gone_gets_nothing_and_is_no_reason_to_wait() {
    let mut pool = TestPool::new(hard(1), NOW);
    assert!(pool.is_deserted());
    peer(&mut pool, "n2", 2);
    let running = take(&mut pool);
    assert!(pool.hold(&node("n2")));
    assert!(pool.is_deserted() && pool.has_instances());
    pool.wait(1, Reach::Anywhere, 0, NOW).unwrap();
    pool.add_held(&node("n2"), "n2", 3, NOW);
    assert_eq!(served(&pool.resume(&node("n2"), NOW)), [(1, "n2")]);
    assert_eq!(pool.retire(&node("n2")), None, "two requests are under way there");
    assert!(pool.is_deserted() && !pool.has_instances());
    assert_eq!(pool.give_back(running.seat, NOW).left, None);
    assert_eq!(pool.give_back(running.seat, NOW).left, Some("n2"));
    assert_eq!(pool.members().count(), 0);
    pool.add_held(&node("n3"), "n3", 1, NOW);
    assert_eq!(pool.take(Reach::Anywhere, None, NOW), None);
    let suspect = pool.add(&id("a"), "a", 1, NOW);
    assert!(suspect.is_empty());
    pool.hold(&id("a"));
    assert!(!pool.is_deserted(), "the node is about to check its own");
}

#[test]
fn a_peer_that_is_told_of_again_helps_only_with_more_instances() {
    let mut pool = TestPool::new(hard(1), NOW);
    peer(&mut pool, "n2", 1);
    take(&mut pool);
    let at = |millis: u64| Moment::from_millis(1_000 + millis);
    for waiter in 1..=3 {
        pool.wait(waiter, Reach::Anywhere, 0, at(0)).unwrap();
    }
    pool.add(&node("n2"), "n2", 1, at(100));
    assert_eq!((pool.waiting(), pool.waiting_since()), (3, Some(at(0))));
    pool.add(&node("n2"), "n2", 2, at(200));
    assert_eq!((pool.waiting(), pool.waiting_since()), (2, Some(at(200))));
}

#[test]
fn a_load_beyond_all_bounds_is_still_a_load() {
    let mut pool = TestPool::new(limits(1, ConcurrencyLimit::Soft), NOW);
    peer(&mut pool, "n2", 1);
    pool.tell(&node("n2"), u32::MAX, 0, NOW);
    assert_eq!(take(&mut pool).member, "n2");
    pool.add(&id("a"), "a", 1, NOW);
    assert_eq!(take(&mut pool).member, "a");
    let members: Vec<_> = pool.members().map(|m| (m.place.clone(), m.instances, m.in_flight)).collect();
    assert_eq!(members, [(node("n2"), 1, 1), (id("a"), 1, 1)]);
}

#[path = "pool_properties.rs"]
mod properties;
