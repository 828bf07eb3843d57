//! One component's slots and waiters, as tables and properties.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

const NOW: Moment = Moment::from_millis(1_000);

fn limits(max_concurrency: u32, concurrency: ConcurrencyLimit) -> Limits {
    Limits { max_concurrency, concurrency, queue_len: 100, queue_bytes: 1_000 }
}

fn hard(max_concurrency: u32) -> Limits {
    limits(max_concurrency, ConcurrencyLimit::Hard)
}

fn id(name: &str) -> InstanceId {
    InstanceId::new(name)
}

/// Members are called like their instances, waiters are numbers.
type TestPool = Pool<&'static str, u32>;

fn pool(limits: Limits, instances: &[&'static str]) -> TestPool {
    let mut pool = TestPool::new(limits, NOW);
    for name in instances {
        assert!(pool.add(&id(name), *name, NOW).is_empty());
    }
    pool
}

fn take(pool: &mut TestPool) -> Grant<&'static str> {
    pool.take(None, NOW).expect("there is room")
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
    assert_eq!(pool.take(None, NOW), None);
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
    pool.wait(1, 0, NOW).unwrap();
    pool.wait(2, 0, NOW).unwrap();
    let given = pool.give_back(a.seat, NOW);
    assert_eq!(served(&[given.handover.unwrap()]), [(1, "a")]);
    // The next one free is for 2, who waits already.
    assert_eq!(pool.take(None, NOW), None);
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
    assert_eq!(empty.take(None, NOW), None);
    for waiter in 0..50 {
        empty.wait(waiter, 0, NOW).unwrap();
    }
    assert_eq!(empty.add(&id("a"), "a", NOW).len(), 50);
}

#[test]
fn who_avoids_an_instance_gets_another_or_else_that_one() {
    let mut pool = pool(hard(2), &["a", "b"]);
    assert_eq!(pool.take(Some(&id("a")), NOW).unwrap().member, "b");
    assert_eq!(pool.take(Some(&id("a")), NOW).unwrap().member, "b");
    assert_eq!(pool.take(Some(&id("a")), NOW).unwrap().member, "a");
    assert_eq!(pool.take(Some(&id("gone")), NOW).unwrap().member, "a");
}

#[test]
fn a_suspect_gets_nothing_until_it_was_checked() {
    let mut pool = pool(hard(2), &["a"]);
    let running = take(&mut pool);
    assert!(pool.hold(&id("a")));
    assert!(!pool.hold(&id("a")), "it is held already");
    assert!(pool.has_instances());
    assert_eq!(pool.take(None, NOW), None);
    pool.wait(1, 0, NOW).unwrap();
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
    assert_eq!(pool.take(None, NOW), None);
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
        pool.wait(waiter, 0, NOW).unwrap();
    }
    assert_eq!(served(&pool.add(&id("a"), "a", NOW)), [(1, "a")]);
    assert_eq!(pool.give_back(running.seat, NOW).handover.unwrap().waiter, 2);
}

#[test]
fn limits_change_under_running_requests() {
    let mut pool = pool(hard(1), &["a"]);
    let first = take(&mut pool);
    for waiter in 1..=4 {
        pool.wait(waiter, 0, NOW).unwrap();
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
    let first = pool.wait(1, 8, NOW).unwrap();
    assert_eq!(pool.wait(2, 3, NOW), Err(QueueFull::Bytes { bytes: 8 }));
    pool.wait(2, 2, NOW).unwrap();
    assert_eq!(pool.wait(3, 0, NOW), Err(QueueFull::Count { waiting: 2 }));
    assert_eq!(pool.leave(first, NOW), Some(1));
    assert_eq!(pool.leave(first, NOW), None, "a ticket is good once");
    pool.wait(3, 8, NOW).unwrap();
    assert_eq!(pool.turn_away(NOW), [2, 3]);
    assert_eq!((pool.waiting(), pool.demand().level()), (0, 0));
}

#[test]
fn an_old_ticket_never_takes_anothers_place() {
    let mut queue = Queue::new();
    let tickets: Vec<_> = (0..5_000).map(|waiter| queue.push(waiter, 1)).collect();
    while queue.pop().is_some() {}
    assert_eq!(queue.bytes(), 0);
    for waiter in 0..5_000 {
        queue.push(waiter, 1);
    }
    assert!(tickets.into_iter().all(|ticket| queue.leave(ticket).is_none()));
    assert_eq!(queue.len(), 5_000);
}

#[test]
fn waiting_starts_anew_with_each_instance_that_comes_to_help() {
    let mut pool = pool(hard(1), &[]);
    let at = |millis: u64| Moment::from_millis(1_000 + millis);
    for waiter in 1..=3 {
        pool.wait(waiter, 0, at(0)).unwrap();
    }
    assert_eq!(pool.waiting_since(), Some(at(0)));
    pool.add(&id("a"), "a", at(300));
    assert_eq!((pool.waiting(), pool.waiting_since()), (2, Some(at(300))));
    pool.add(&id("b"), "b", at(400));
    pool.add(&id("c"), "c", at(500));
    assert_eq!((pool.waiting(), pool.waiting_since()), (0, None));
}

#[derive(Clone, Debug)]
enum Step {
    Come { bytes: usize, avoid: Option<u8> },
    End(prop::sample::Index),
    Leave(prop::sample::Index),
    Add(u8),
    Retire(u8),
    Hold(u8),
    Resume(u8),
    Limit(u32, bool),
    TurnAway,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let instance = 0_u8..6;
    let step = prop_oneof![
        8 => (0_usize..60, prop::option::of(instance.clone()))
            .prop_map(|(bytes, avoid)| Step::Come { bytes, avoid }),
        7 => any::<prop::sample::Index>().prop_map(Step::End),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => instance.clone().prop_map(Step::Add),
        1 => instance.clone().prop_map(Step::Retire),
        1 => instance.clone().prop_map(Step::Hold),
        2 => instance.prop_map(Step::Resume),
        1 => (1_u32..5, any::<bool>()).prop_map(|(max, soft)| Step::Limit(max, soft)),
        1 => Just(Step::TurnAway),
    ];
    prop::collection::vec(step, 1..250)
}

/// What the pool should be like, kept in the plainest way.
struct Reference {
    pool: Pool<u8, u32>,
    limits: Limits,
    running: Vec<Grant<u8>>,
    line: VecDeque<(u32, Ticket)>,
    standing: HashMap<u8, Standing>,
    next: u32,
}

impl Reference {
    fn new() -> Self {
        let limits = Limits { queue_len: 20, ..hard(2) };
        Self {
            pool: Pool::new(limits, NOW),
            limits,
            running: Vec::new(),
            line: VecDeque::new(),
            standing: HashMap::new(),
            next: 0,
        }
    }

    fn load(&self, member: u8) -> u32 {
        u32::try_from(self.running.iter().filter(|grant| grant.member == member).count()).unwrap()
    }

    fn has_room(&self, member: u8) -> bool {
        self.limits.concurrency == ConcurrencyLimit::Soft || self.load(member) < self.limits.max_concurrency
    }

    fn free(&self) -> Vec<u8> {
        let rotation = self.standing.iter().filter(|(_, standing)| **standing == Standing::InRotation);
        rotation.map(|(member, _)| *member).filter(|member| self.has_room(*member)).collect()
    }

    fn granted(&mut self, grant: Grant<u8>, avoid: Option<u8>) {
        let free = self.free();
        assert!(free.contains(&grant.member), "{grant:?} went to an instance without room: {free:?}");
        let choice: Vec<u8> = free.iter().copied().filter(|member| Some(*member) != avoid).collect();
        let choice = if choice.is_empty() { free } else { choice };
        let least = choice.iter().map(|member| self.load(*member)).min();
        assert_eq!(Some(self.load(grant.member)), least, "not the least busy");
        assert!(choice.contains(&grant.member), "avoided for nothing");
        self.running.push(grant);
    }

    fn handed_over(&mut self, handovers: impl IntoIterator<Item = Handover<u8, u32>>) {
        for handover in handovers {
            let (first, _) = self.line.pop_front().expect("somebody waited");
            assert_eq!(handover.waiter, first, "first come, first served");
            self.granted(handover.grant, None);
        }
    }

    fn left(&mut self, member: u8) {
        assert_eq!(self.standing.remove(&member), Some(Standing::Retired));
        assert_eq!(self.load(member), 0);
    }

    fn step(&mut self, step: &Step) {
        let name = |member: &u8| id(&member.to_string());
        match step {
            Step::Come { bytes, avoid } => self.come(*bytes, *avoid),
            Step::End(index) if !self.running.is_empty() => {
                self.end(index.index(self.running.len()));
            }
            Step::Leave(index) if !self.line.is_empty() => {
                let (waiter, ticket) = self.line.remove(index.index(self.line.len())).unwrap();
                assert_eq!(self.pool.leave(ticket, NOW), Some(waiter));
                assert_eq!(self.pool.leave(ticket, NOW), None);
            }
            Step::Add(member) => {
                self.standing.insert(*member, Standing::InRotation);
                let handovers = self.pool.add(&name(member), *member, NOW);
                self.handed_over(handovers);
            }
            Step::Retire(member) => {
                if let Some(standing) = self.standing.get_mut(member) {
                    *standing = Standing::Retired;
                }
                if let Some(member) = self.pool.retire(&name(member)) {
                    self.left(member);
                }
            }
            Step::Hold(member) => {
                let held = self.pool.hold(&name(member));
                assert_eq!(held, self.standing.get(member) == Some(&Standing::InRotation));
                if held {
                    self.standing.insert(*member, Standing::Held);
                }
            }
            Step::Resume(member) => {
                if self.standing.get(member) == Some(&Standing::Held) {
                    self.standing.insert(*member, Standing::InRotation);
                }
                let handovers = self.pool.resume(&name(member), NOW);
                self.handed_over(handovers);
            }
            Step::Limit(max, soft) => {
                let concurrency = if *soft { ConcurrencyLimit::Soft } else { ConcurrencyLimit::Hard };
                self.limits = Limits { max_concurrency: *max, concurrency, ..self.limits };
                let handovers = self.pool.set_limits(self.limits, NOW);
                self.handed_over(handovers);
            }
            Step::TurnAway => {
                let away = self.pool.turn_away(NOW);
                assert_eq!(away, self.line.drain(..).map(|(waiter, _)| waiter).collect::<Vec<_>>());
            }
            Step::End(_) | Step::Leave(_) => {}
        }
    }

    fn end(&mut self, index: usize) {
        let grant = self.running.swap_remove(index);
        let given = self.pool.give_back(grant.seat, NOW);
        if let Some(member) = given.left {
            self.left(member);
        }
        self.handed_over(given.handover);
    }

    fn come(&mut self, bytes: usize, avoid: Option<u8>) {
        let avoided = avoid.map(|member| id(&member.to_string()));
        if let Some(grant) = self.pool.take(avoided.as_ref(), NOW) {
            assert!(self.line.is_empty(), "a newcomer overtook");
            return self.granted(grant, avoid);
        }
        self.next += 1;
        match self.pool.wait(self.next, bytes, NOW) {
            Ok(ticket) => self.line.push_back((self.next, ticket)),
            Err(QueueFull::Count { waiting }) => assert_eq!(waiting, self.limits.queue_len),
            Err(QueueFull::Bytes { bytes: held }) => assert!(held + bytes > self.limits.queue_bytes),
        }
    }

    fn check(&mut self) {
        assert!(self.line.is_empty() || self.free().is_empty(), "somebody waits while a slot is free");
        assert_eq!(self.pool.waiting() as usize, self.line.len());
        assert_eq!(self.pool.in_flight() as usize, self.running.len());
        assert_eq!(self.pool.waiting_since().is_some(), !self.line.is_empty());
        let here = self.standing.values().any(|standing| *standing != Standing::Retired);
        assert_eq!(self.pool.has_instances(), here);
        let expected: Vec<u32> = {
            let members: Vec<u8> = self.pool.members().map(|member| *member.member).collect();
            assert_eq!(members.len(), self.standing.len());
            members.into_iter().map(|member| self.load(member)).collect()
        };
        let levels: Vec<u32> = self.pool.members().map(|member| member.activity.level()).collect();
        assert_eq!(levels, expected);
    }
}

proptest! {
    #[test]
    fn whatever_happens_limits_order_and_counts_hold(steps in steps()) {
        let mut reference = Reference::new();
        for step in &steps {
            reference.step(step);
            reference.check();
        }
        reference.step(&Step::TurnAway);
        while !reference.running.is_empty() {
            reference.end(0);
        }
        reference.check();
        prop_assert_eq!((reference.pool.in_flight(), reference.pool.demand().level()), (0, 0));
        let members: Vec<u8> = reference.standing.keys().copied().collect();
        for member in members {
            reference.step(&Step::Retire(member));
        }
        prop_assert_eq!(reference.pool.members().count(), 0);
        prop_assert_eq!(reference.pool.queue.bytes(), 0);
    }
}
