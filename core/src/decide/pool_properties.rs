//! Whatever happens in whatever order: the pool against a reference that is kept in the plainest way.

use super::*;

/// Members 0 to 5 are instances of this node, 6 to 8 peers.
const PEERS: u8 = 6;
const MEMBERS: u8 = 9;

#[derive(Clone, Debug)]
enum Step {
    Come { reach: Reach, bytes: usize, avoid: Option<u8> },
    End(prop::sample::Index),
    Leave(prop::sample::Index),
    Add { member: u8, instances: u32, held: bool },
    Retire(u8),
    Hold(u8),
    Resume(u8),
    Tell { peer: u8, in_flight: u32, instances: u32 },
    Limit(u32, bool),
    TurnAway,
    TurnAwayHere,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let member = 0_u8..MEMBERS;
    let reach = prop_oneof![2 => Just(Reach::Anywhere), 1 => Just(Reach::Here)];
    let step = prop_oneof![
        9 => (reach, 0_usize..60, prop::option::of(member.clone()))
            .prop_map(|(reach, bytes, avoid)| Step::Come { reach, bytes, avoid }),
        7 => any::<prop::sample::Index>().prop_map(Step::End),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        4 => (member.clone(), 1_u32..4, prop::bool::weighted(0.2))
            .prop_map(|(member, instances, held)| Step::Add { member, instances, held }),
        1 => member.clone().prop_map(Step::Retire),
        1 => member.clone().prop_map(Step::Hold),
        2 => member.prop_map(Step::Resume),
        2 => (PEERS..MEMBERS, 0_u32..30, 0_u32..4)
            .prop_map(|(peer, in_flight, instances)| Step::Tell { peer, in_flight, instances }),
        1 => (1_u32..5, any::<bool>()).prop_map(|(max, soft)| Step::Limit(max, soft)),
        1 => Just(Step::TurnAway),
        1 => Just(Step::TurnAwayHere),
        1 => (0_u64..1_500).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..250)
}

#[derive(Clone, Copy, Debug)]
struct Expected {
    standing: Standing,
    instances: u32,
    /// Requests of others, their instances, and until when that counts.
    told: Option<(u32, u32, Moment)>,
}

/// What the pool should be like.
struct Reference {
    pool: Pool<u8, u32>,
    limits: Limits,
    now: Moment,
    running: Vec<Grant<u8>>,
    line: VecDeque<(u32, Reach, Ticket)>,
    members: HashMap<u8, Expected>,
    next: u32,
}

fn place(member: u8) -> Place {
    let name = member.to_string();
    if member < PEERS { id(&name) } else { node(&name) }
}

impl Reference {
    fn new() -> Self {
        let limits = Limits { queue_len: 20, ..hard(2) };
        Self {
            pool: Pool::new(limits, NOW),
            limits,
            now: NOW,
            running: Vec::new(),
            line: VecDeque::new(),
            members: HashMap::new(),
            next: 0,
        }
    }

    fn level(&self, member: u8) -> u32 {
        u32::try_from(self.running.iter().filter(|grant| grant.member == member).count()).unwrap()
    }

    /// Requests per instance, in 256ths.
    fn load(&self, member: u8) -> u32 {
        let expected = self.members[&member];
        let told = expected.told.filter(|(_, _, until)| *until > self.now);
        let (others, instances) = told.map_or((0, expected.instances), |(others, on, _)| (others, on.max(1)));
        (self.level(member) + others) * 256 / instances
    }

    fn has_room(&self, member: u8) -> bool {
        let all = self.limits.max_concurrency * self.members[&member].instances;
        self.limits.concurrency == ConcurrencyLimit::Soft || self.level(member) < all
    }

    fn free(&self, reach: Reach) -> Vec<u8> {
        let rotation = self.members.iter().filter(|(_, expected)| expected.standing == Standing::InRotation);
        rotation
            .map(|(member, _)| *member)
            .filter(|member| *member < PEERS || reach == Reach::Anywhere)
            .filter(|member| self.has_room(*member))
            .collect()
    }

    fn granted(&mut self, grant: Grant<u8>, reach: Reach, avoid: Option<u8>) {
        let free = self.free(reach);
        assert!(free.contains(&grant.member), "{grant:?} went where it may not: {free:?}");
        let choice: Vec<u8> = free.iter().copied().filter(|member| Some(*member) != avoid).collect();
        let choice = if choice.is_empty() { free } else { choice };
        assert!(choice.contains(&grant.member), "avoided for nothing");
        let least = choice.iter().map(|member| (self.load(*member), *member >= PEERS)).min();
        assert_eq!(Some((self.load(grant.member), grant.member >= PEERS)), least, "not the least busy");
        self.running.push(grant);
    }

    /// The first of all in line, or, if that one has to stay here, perhaps the first that may leave.
    fn handed_over(&mut self, handovers: impl IntoIterator<Item = Handover<u8, u32>>) {
        for handover in handovers {
            let first = self
                .line
                .iter()
                .position(|(_, reach, _)| !self.free(*reach).is_empty())
                .expect("somebody waited for it");
            let (waiter, reach, _) = self.line.remove(first).unwrap();
            assert_eq!(handover.waiter, waiter, "first come, first served");
            self.granted(handover.grant, reach, None);
        }
    }

    fn left(&mut self, member: u8) {
        assert_eq!(self.members.remove(&member).map(|left| left.standing), Some(Standing::Retired));
        assert_eq!(self.level(member), 0);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Come { reach, bytes, avoid } => self.come(*reach, *bytes, *avoid),
            Step::End(index) if !self.running.is_empty() => {
                self.end(index.index(self.running.len()));
            }
            Step::Leave(index) if !self.line.is_empty() => {
                let (waiter, _, ticket) = self.line.remove(index.index(self.line.len())).unwrap();
                assert_eq!(self.pool.leave(ticket, self.now), Some(waiter));
                assert_eq!(self.pool.leave(ticket, self.now), None);
            }
            Step::Add { member, instances, held } => self.add(*member, *instances, *held),
            Step::Retire(member) => {
                if let Some(expected) = self.members.get_mut(member) {
                    expected.standing = Standing::Retired;
                }
                if let Some(member) = self.pool.retire(&place(*member)) {
                    self.left(member);
                }
            }
            Step::Hold(member) => {
                let expected = self.members.get_mut(member).filter(|m| m.standing == Standing::InRotation);
                assert_eq!(self.pool.hold(&place(*member)), expected.is_some());
                if let Some(expected) = expected {
                    expected.standing = Standing::Held;
                }
            }
            Step::Resume(member) => {
                if let Some(expected) = self.members.get_mut(member).filter(|m| m.standing == Standing::Held)
                {
                    expected.standing = Standing::InRotation;
                }
                let handovers = self.pool.resume(&place(*member), self.now);
                self.handed_over(handovers);
            }
            Step::Tell { peer, in_flight, instances } => {
                let others = in_flight.saturating_sub(self.level(*peer));
                if let Some(expected) = self.members.get_mut(peer) {
                    expected.told = Some((others, *instances, self.now + TOLD_LIFE));
                }
                self.pool.tell(&place(*peer), *in_flight, *instances, self.now);
            }
            Step::Limit(max, soft) => {
                let concurrency = if *soft { ConcurrencyLimit::Soft } else { ConcurrencyLimit::Hard };
                self.limits = Limits { max_concurrency: *max, concurrency, ..self.limits };
                let handovers = self.pool.set_limits(self.limits, self.now);
                self.handed_over(handovers);
            }
            Step::TurnAway => {
                let away = self.pool.turn_away(self.now);
                assert_eq!(away, self.line.drain(..).map(|(waiter, ..)| waiter).collect::<Vec<_>>());
            }
            Step::TurnAwayHere => {
                let away = self.pool.turn_away_here(self.now);
                let here: Vec<u32> = self
                    .line
                    .iter()
                    .filter(|(_, reach, _)| *reach == Reach::Here)
                    .map(|(waiter, ..)| *waiter)
                    .collect();
                assert_eq!(away, here);
                self.line.retain(|(_, reach, _)| *reach == Reach::Anywhere);
            }
            Step::Pass(millis) => self.now = self.now + Duration::from_millis(*millis),
            Step::End(_) | Step::Leave(_) => {}
        }
    }

    fn add(&mut self, member: u8, instances: u32, held: bool) {
        let instances = if member < PEERS { 1 } else { instances };
        let standing = if held { Standing::Held } else { Standing::InRotation };
        let told = self.members.get(&member).and_then(|expected| expected.told);
        self.members.insert(member, Expected { standing, instances, told });
        if held {
            self.pool.add_held(&place(member), member, instances, self.now);
        } else {
            let handovers = self.pool.add(&place(member), member, instances, self.now);
            self.handed_over(handovers);
        }
    }

    fn end(&mut self, index: usize) {
        let grant = self.running.swap_remove(index);
        let given = self.pool.give_back(grant.seat, self.now);
        if let Some(member) = given.left {
            self.left(member);
        }
        self.handed_over(given.handover);
    }

    fn come(&mut self, reach: Reach, bytes: usize, avoid: Option<u8>) {
        let could =
            self.line.iter().any(|(_, waiting, _)| *waiting == Reach::Anywhere || reach == Reach::Here);
        let avoided = avoid.map(place);
        if let Some(grant) = self.pool.take(reach, avoided.as_ref(), self.now) {
            assert!(!could, "a newcomer overtook");
            return self.granted(grant, reach, avoid);
        }
        self.next += 1;
        match self.pool.wait(self.next, reach, bytes, self.now) {
            Ok(ticket) => self.line.push_back((self.next, reach, ticket)),
            Err(QueueFull::Count { waiting }) => assert_eq!(waiting, self.limits.queue_len),
            Err(QueueFull::Bytes { bytes: held }) => assert!(held + bytes > self.limits.queue_bytes),
        }
    }

    fn check(&mut self) {
        let stuck = self.line.iter().find(|(_, reach, _)| !self.free(*reach).is_empty());
        assert!(stuck.is_none(), "{stuck:?} waits while a slot that it may take is free");
        let first = self.line.front().map(|(waiter, ..)| *waiter);
        assert_eq!(self.pool.first_waiter().copied(), first);
        let here = self.running.iter().filter(|grant| grant.member < PEERS).count();
        assert_eq!(self.pool.waiting() as usize, self.line.len());
        assert_eq!(self.pool.in_flight() as usize, here);
        assert_eq!(self.pool.demand().level() as usize, here + self.line.len());
        assert_eq!(self.pool.waiting_since().is_some(), !self.line.is_empty());
        let any = |matches: fn(u8, Standing) -> bool| {
            self.members.iter().any(|(member, expected)| matches(*member, expected.standing))
        };
        let has = any(|_, standing| standing != Standing::Retired);
        let has_here = any(|member, standing| member < PEERS && standing != Standing::Retired);
        let served = any(|member, standing| {
            standing == Standing::InRotation || (member < PEERS && standing == Standing::Held)
        });
        assert_eq!(self.pool.has_instances(), has);
        assert_eq!(self.pool.has_instances_here(), has_here);
        assert_eq!(self.pool.is_deserted(), !served);
        let mut seen = 0;
        let levels: Vec<(u8, u32)> = self.pool.members().map(|m| (*m.member, m.in_flight)).collect();
        for (member, level) in levels {
            assert_eq!(level, self.level(member));
            seen += 1;
        }
        assert_eq!(seen, self.members.len());
        // The keys are kept, never computed for the search: they must be what computing makes of them.
        for (key, seat) in self.pool.keys.iter().zip(&self.pool.seats) {
            assert_eq!(*key, seat.as_ref().map_or(OUT, |occupant| occupant.key(&self.limits)));
        }
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
        let members: Vec<u8> = reference.members.keys().copied().collect();
        for member in members {
            reference.step(&Step::Retire(member));
        }
        prop_assert_eq!(reference.pool.members().count(), 0);
        prop_assert_eq!(reference.pool.line.bytes(), 0);
    }
}
