//! Nodes with clocks of their own, a store that is slow, forgets answers and does writes late, and nodes
//! that are suspended or restarted in the middle of anything: there is never a moment with two owners,
//! and when the trouble ends there is one.

use std::{cmp::Reverse, collections::BinaryHeap};

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::{
    ports::store::{Entity, Store, StoreError, StoreResult},
    testing::store::MemoryStore,
    time::WallTime,
};

const SETTINGS: LeaseSettings =
    LeaseSettings { duration: Duration::from_secs(10), margin: Duration::from_millis(250) };
const NODES: usize = 3;
/// Milliseconds of trouble, then of peace.
const TROUBLE: u64 = 180_000;
const PEACE: u64 = 60_000;
const BEAT_EVERY: u64 = 2_500;
const LOOK_EVERY: u64 = 1_000;
/// When a node gives up waiting for an answer. The write may be done much later.
const GIVE_UP: u64 = 4_000;

#[derive(Clone, Debug)]
enum Call {
    Beat(u64),
    Roles,
    Heartbeats { roles: Vec<RoleRecord>, asked: Moment },
    Bid(Bid),
}

#[derive(Clone, Debug)]
enum Answer {
    Done,
    Refused(u64),
    Failed,
    Roles(Vec<RoleRecord>),
    Heartbeats(Vec<Heartbeat>),
}

#[derive(Debug)]
enum Happening {
    BeatTime,
    LookTime,
    /// The store does what was asked, and answers after a while unless that is lost.
    Arrives {
        call: Call,
        number: u64,
        answer_in: Option<u64>,
    },
    Answered {
        call: Call,
        number: u64,
        answer: Answer,
    },
    Suspended(u64),
    Restarted,
}

struct Node {
    lease: Lease,
    run: u64,
    /// Nanoseconds of its clock per real millisecond, and at real time zero.
    speed: u64,
    offset: u64,
    asleep_until: u64,
    /// Calls that it still waits for, by number.
    waiting: Vec<u64>,
}

struct World {
    seed: u64,
    now: u64,
    store: MemoryStore,
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: HashMap<u64, (usize, u64, Happening)>,
    count: u64,
    /// The highest term anybody acted in, and who.
    newest: (Term, usize, u64),
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            seed: seed | 1,
            now: 0,
            store: MemoryStore::new(),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            count: 0,
            newest: (Term(0), 0, 0),
        };
        for node in 0..NODES {
            // Clocks differ by hours and run up to 0.2 % apart.
            let speed = 1_000_000 + world.random(2_000) - 1_000;
            let offset = world.random(1 << 44);
            world.nodes.push(Node {
                lease: Self::lease(node, 0),
                run: 0,
                speed,
                offset,
                asleep_until: 0,
                waiting: Vec::new(),
            });
            world.start(node);
            for _ in 0..3 {
                let (at, nap) = (world.random(TROUBLE), world.random(30_000));
                world.plan(at, node, Happening::Suspended(nap));
            }
            let at = world.random(TROUBLE * 2);
            world.plan(at.min(TROUBLE - 1), node, Happening::Restarted);
        }
        world
    }

    fn lease(node: usize, run: u64) -> Lease {
        Lease::new(NodeId::new(format!("n{node}")), format!("run{run}"), Tenure::Contended, SETTINGS)
    }

    /// xorshift64: the same seed, the same story.
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    fn peaceful(&self) -> bool {
        self.now >= TROUBLE
    }

    fn clock(&self, node: usize) -> Moment {
        let node = &self.nodes[node];
        Moment::from_nanos(node.offset + self.now * node.speed)
    }

    fn plan(&mut self, delay: u64, node: usize, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse((self.now + delay, self.count)));
        self.happenings.insert(self.count, (node, self.nodes[node].run, happening));
    }

    fn start(&mut self, node: usize) {
        self.plan(1, node, Happening::BeatTime);
        self.plan(2, node, Happening::LookTime);
    }

    fn delay(&mut self) -> u64 {
        let slow = !self.peaceful() && self.random(20) == 0;
        1 + if slow { self.random(15_000) } else { self.random(60) }
    }

    fn call(&mut self, node: usize, call: Call) {
        let lost = |world: &mut Self| !world.peaceful() && world.random(12) == 0;
        let number = self.count + 1;
        self.nodes[node].waiting.push(number);
        let (arrives_in, back) = (self.delay(), self.delay());
        let answer_in = (!lost(self)).then_some(back);
        if lost(self) {
            self.count += 1;
        } else {
            self.plan(arrives_in, node, Happening::Arrives { call: call.clone(), number, answer_in });
        }
        self.plan(GIVE_UP, node, Happening::Answered { call, number, answer: Answer::Failed });
    }

    fn run(&mut self) {
        while let Some(Reverse((at, id))) = self.queue.pop() {
            if at > TROUBLE + PEACE {
                break;
            }
            self.now = at;
            let Some((node, run, happening)) = self.happenings.remove(&id) else { continue };
            if let Happening::Arrives { call, number, answer_in } = happening {
                self.arrive(node, run, call, number, answer_in);
                continue;
            }
            if self.nodes[node].run != run {
                continue;
            }
            if self.nodes[node].asleep_until > self.now {
                // It hears of it when it wakes.
                self.happenings.insert(id, (node, run, happening));
                self.queue.push(Reverse((self.nodes[node].asleep_until, id)));
                continue;
            }
            self.happen(node, happening);
            self.check();
        }
        let owners = (0..NODES).filter(|node| self.owns(*node).is_some()).count();
        assert_eq!(owners, 1, "after the trouble somebody acts");
    }

    fn happen(&mut self, node: usize, happening: Happening) {
        match happening {
            Happening::BeatTime => {
                let now = self.clock(node);
                let beat = self.nodes[node].lease.holder().send(now);
                self.call(node, Call::Beat(beat));
            }
            Happening::LookTime => self.call(node, Call::Roles),
            Happening::Arrives { .. } => unreachable!("stores have no naps"),
            Happening::Answered { call, number, answer } => {
                let waiting = &mut self.nodes[node].waiting;
                if let Some(index) = waiting.iter().position(|waiting| *waiting == number) {
                    waiting.swap_remove(index);
                    self.answered(node, call, answer);
                }
            }
            Happening::Suspended(nap) => self.nodes[node].asleep_until = self.now + nap,
            Happening::Restarted => {
                let run = self.nodes[node].run + 1;
                let state = &mut self.nodes[node];
                (state.run, state.waiting) = (run, Vec::new());
                state.lease = Self::lease(node, run);
                self.start(node);
            }
        }
    }

    fn arrive(&mut self, node: usize, run: u64, call: Call, number: u64, answer_in: Option<u64>) {
        let answer = self.at_store(node, run, &call);
        if let Some(answer_in) = answer_in.filter(|_| self.nodes[node].run == run) {
            self.plan(answer_in, node, Happening::Answered { call, number, answer });
        }
    }

    fn at_store(&self, node: usize, run: u64, call: &Call) -> Answer {
        fn now<T>(call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
            call.now_or_never().expect("the store in memory answers at once")
        }
        let told = |done: StoreResult<()>| match done {
            Ok(()) => Answer::Done,
            Err(StoreError::Conflict { entity: Entity::Heartbeat, current, .. }) => {
                Answer::Refused(current.unsigned_abs())
            }
            Err(_) => Answer::Failed,
        };
        match call {
            Call::Beat(beat) => told(now(self.store.beat(Heartbeat {
                node: NodeId::new(format!("n{node}")),
                incarnation: format!("run{run}"),
                beat: *beat,
                duration: SETTINGS.duration,
                peer_url: String::new(),
                written_at: WallTime::default(),
            }))),
            Call::Roles => Answer::Roles(now(self.store.roles()).unwrap()),
            Call::Heartbeats { .. } => Answer::Heartbeats(now(self.store.heartbeats()).unwrap()),
            Call::Bid(bid) => told(now(self.store.write_role(bid.record.clone(), bid.seen))),
        }
    }

    fn answered(&mut self, node: usize, call: Call, answer: Answer) {
        let now = self.clock(node);
        let lease = &mut self.nodes[node].lease;
        match (call, answer) {
            (Call::Beat(_), answer) => {
                match answer {
                    Answer::Done => lease.holder().answered(now),
                    Answer::Refused(current) => lease.holder().refused(current),
                    _ => {}
                }
                self.plan(BEAT_EVERY, node, Happening::BeatTime);
            }
            (Call::Roles, Answer::Roles(roles)) => self.call(node, Call::Heartbeats { roles, asked: now }),
            (Call::Heartbeats { roles, asked }, Answer::Heartbeats(heartbeats)) => {
                let bids = lease.bids(&[Role::new("cron")], &roles, &heartbeats, asked, now);
                match bids.into_iter().next() {
                    Some(bid) => self.call(node, Call::Bid(bid)),
                    None => self.plan(LOOK_EVERY, node, Happening::LookTime),
                }
            }
            (Call::Bid(bid), answer) => {
                if matches!(answer, Answer::Done) {
                    lease.won(&bid);
                }
                self.plan(LOOK_EVERY, node, Happening::LookTime);
            }
            _ => self.plan(LOOK_EVERY, node, Happening::LookTime),
        }
    }

    fn owns(&self, node: usize) -> Option<Term> {
        self.nodes[node].lease.owns(&Role::new("cron"), self.clock(node))
    }

    /// Suspended nodes count: what they do next when they wake is decided by the same clock.
    fn check(&mut self) {
        let owners: Vec<(usize, Term)> =
            (0..NODES).filter_map(|node| Some((node, self.owns(node)?))).collect();
        assert!(owners.len() <= 1, "two owners at {} ms: {owners:?}", self.now);
        if let Some((node, term)) = owners.first() {
            let run = self.nodes[*node].run;
            let (newest, who, which) = self.newest;
            assert!(term >= &newest, "term {term:?} after {newest:?}");
            assert!(*term > newest || (who, which) == (*node, run), "{term:?} has two owners");
            self.newest = (*term, *node, run);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn there_are_never_two_owners_and_in_peace_there_is_one(seed in any::<u64>()) {
        World::new(seed).run();
    }
}
