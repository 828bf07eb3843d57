//! Which queue a poller looks at next when its event source names several by a prefix.
//!
//! * The first in name order is drained before the second is looked at: a queue counts as drained when a
//!   look that waits has brought nothing (a look that doesn't wait asks only some of SQS's servers).
//!   So each empty queue costs a second on the way to the first that has something.
//! * At least each [`FRONT_EVERY`] the poller sweeps over what comes before the queue that it is at, with
//!   looks that don't wait, so that a hundred empty queues delay nobody.
//! * When all are empty, looks wait longer, as long as a whole round takes no longer than that.
//! * A queue that is in trouble is passed over until its pause is over.

use std::time::Duration;

use crate::time::Moment;

/// Between two looks at the front.
pub const FRONT_EVERY: Duration = Duration::from_secs(10);
/// The longest a look waits. SQS allows 20 s; a look is awaited before a poller ends, so this is also what
/// a shutdown may have to wait.
const LONGEST: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(1);

/// A look at one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its place among the names.
    pub queue: usize,
    pub wait: Duration,
}

/// One poller's way over its queues.
#[derive(Clone, Debug, Default)]
pub struct Order {
    queues: usize,
    /// Where it works.
    at: usize,
    /// Where in a sweep over those before `at` it is.
    sweep: Option<usize>,
    front_looked_at: Option<Moment>,
    /// Looks in a row that waited and brought nothing.
    empty: usize,
}

// === impl Order ===

impl Order {
    /// The names have changed; the queue at `at` of the old ones stands at `now_at` of the new ones.
    pub fn set_queues(&mut self, queues: usize, now_at: Option<usize>) {
        self.queues = queues;
        self.at = now_at.filter(|at| *at < queues).unwrap_or(0);
        self.sweep = None;
    }

    /// Where it works.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What to look at; `None` while there is no queue, or all are `troubled`.
    pub fn next(&mut self, now: Moment, troubled: impl Fn(usize) -> bool) -> Option<Look> {
        if (0..self.queues).all(&troubled) {
            return None;
        }
        let due = self.front_looked_at.is_none_or(|looked| now.since(looked) >= FRONT_EVERY);
        if self.sweep.is_none() && self.at > 0 && due {
            self.sweep = Some(0);
            self.front_looked_at = Some(now);
        }
        while let Some(queue) = self.sweep {
            if queue >= self.at {
                self.sweep = None;
            } else if troubled(queue) {
                self.sweep = Some(queue + 1);
            } else {
                return Some(Look { queue, wait: Duration::ZERO });
            }
        }
        while troubled(self.at) {
            self.step();
        }
        if self.at == 0 {
            self.front_looked_at = Some(now);
        }
        Some(Look { queue: self.at, wait: self.wait() })
    }

    /// A look has brought so many messages.
    pub fn looked(&mut self, look: Look, messages: usize) {
        if messages > 0 {
            self.empty = 0;
            self.sweep = None;
            // The names may have changed meanwhile.
            if look.queue < self.queues {
                self.at = look.queue;
            }
        } else if self.sweep == Some(look.queue) {
            self.sweep = Some(look.queue + 1);
        } else if look.queue == self.at {
            self.empty = self.empty.saturating_add(1);
            self.step();
        }
    }

    fn step(&mut self) {
        self.at = if self.at + 1 < self.queues { self.at + 1 } else { 0 };
    }

    fn wait(&self) -> Duration {
        let queues = u32::try_from(self.queues).unwrap_or(u32::MAX).max(1);
        if self.queues == 1 {
            return LONGEST;
        }
        if self.empty < self.queues {
            return SHORTEST;
        }
        Duration::from_secs((FRONT_EVERY / queues).as_secs()).clamp(SHORTEST, LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Queues with so many messages each, looked at one message at a time, each taking a second's tenth.
    struct World {
        order: Order,
        backlog: Vec<u32>,
        now: Moment,
    }

    impl World {
        fn new(backlog: &[u32]) -> Self {
            let mut order = Order::default();
            order.set_queues(backlog.len(), None);
            Self { order, backlog: backlog.to_vec(), now: Moment::from_millis(1_000_000) }
        }

        /// The queue a message was taken from.
        fn look(&mut self) -> Option<usize> {
            let look = self.order.next(self.now, |_| false).unwrap();
            let found = self.backlog[look.queue] > 0;
            self.now = self.now + if found { Duration::from_millis(100) } else { look.wait };
            self.backlog[look.queue] -= u32::from(found);
            self.order.looked(look, usize::from(found));
            found.then_some(look.queue)
        }
    }

    #[test]
    fn a_single_queue_is_waited_at() {
        let mut world = World::new(&[0]);
        for _ in 0..3 {
            assert_eq!(world.order.next(world.now, |_| false), Some(Look { queue: 0, wait: LONGEST }));
            world.look();
        }
    }

    #[test]
    fn the_first_is_drained_before_the_second_is_looked_at() {
        let mut world = World::new(&[3, 2, 1]);
        let taken: Vec<usize> = std::iter::from_fn(|| Some(world.look())).take(12).flatten().collect();
        assert_eq!(taken, [0, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn only_a_look_that_waits_says_that_a_queue_is_drained() {
        let mut world = World::new(&[0, 1_000]);
        let look = world.order.next(world.now, |_| false).unwrap();
        assert!(look.queue == 0 && look.wait >= SHORTEST);
    }

    #[test]
    fn idle_queues_are_asked_rarely_and_still_within_the_time() {
        let mut world = World::new(&[0, 0]);
        let begin = world.now;
        let mut looks = 0;
        while world.now.since(begin) < Duration::from_secs(600) {
            world.look();
            looks += 1;
        }
        assert!(looks < 140, "{looks} looks in ten minutes");
        world.backlog[1] = 1;
        let sent = world.now;
        while world.look().is_none() {}
        assert!(world.now.since(sent) <= Duration::from_secs(15));
    }

    #[test]
    fn a_queue_in_trouble_is_passed_over() {
        let mut world = World::new(&[0, 0, 0]);
        let look = world.order.next(world.now, |queue| queue == 0).unwrap();
        assert_eq!(look.queue, 1);
        assert_eq!(world.order.next(world.now, |_| true), None);
        assert_eq!(Order::default().next(world.now, |_| false), None);
    }

    #[test]
    fn names_that_change_leave_it_where_it_is() {
        let mut order = Order::default();
        order.set_queues(3, None);
        order.looked(Look { queue: 2, wait: SHORTEST }, 1);
        order.set_queues(4, Some(3));
        assert_eq!(order.at(), 3);
        order.looked(Look { queue: 7, wait: SHORTEST }, 1);
        order.set_queues(1, None);
        assert_eq!(order.at(), 0);
    }

    proptest! {
        /// However many queues are busy or empty, a message that comes to the front while others have a
        /// backlog without end is taken within 15 s.
        #[test]
        fn the_front_is_never_forgotten(
            queues in 2usize..60, busy in 1usize..60, front in 0usize..60, looks_before in 0usize..400,
        ) {
            let busy = busy % queues;
            let front = front % busy.max(1);
            let mut backlog = vec![0; queues];
            backlog[busy.max(1)] = u32::MAX;
            let mut world = World::new(&backlog);
            // However many are empty, the one with a backlog is found first.
            while world.look().is_none() {}
            for _ in 0..looks_before {
                world.look();
            }
            world.backlog[front] += 1;
            let sent = world.now;
            while world.look() != Some(front) {
                prop_assert!(world.now.since(sent) <= Duration::from_secs(15), "{:?}", world.now.since(sent));
            }
        }
    }
}
