//! A clock whose hands a test turns: nothing sleeps for real, and nothing moves unless told.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    ports::{BoxFuture, clock::Clock},
    time::{Moment, WallTime},
};

/// Clones share the hands.
#[derive(Clone, Debug)]
pub struct SimulatedClock {
    hands: Arc<Mutex<Hands>>,
}

#[derive(Debug)]
struct Hands {
    now: Moment,
    wall: WallTime,
    /// By time, then by age: who waits to be woken.
    sleepers: BTreeMap<(Moment, u64), Waker>,
    next_key: u64,
}

/// Ends when the hands have reached its moment.
struct Sleep {
    hands: Arc<Mutex<Hands>>,
    until: Moment,
    key: Option<u64>,
}

// === impl SimulatedClock ===

impl SimulatedClock {
    /// An hour after boot, on the first of January 2026: far from zero in both directions, so that
    /// subtractions behave as they do in life.
    pub fn new() -> Self {
        let hands = Hands {
            now: Moment::from_millis(3_600_000),
            wall: WallTime::from_millis(1_767_225_600_000),
            sleepers: BTreeMap::new(),
            next_key: 0,
        };
        Self { hands: Arc::new(Mutex::new(hands)) }
    }

    /// Turns both clocks and wakes everyone whose moment has come, the earliest first.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut hands = self.hands.lock();
            hands.now = hands.now + by;
            hands.wall = hands.wall + by;
            hands.take_due()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Turns the hands to the next moment that somebody waits for and tells how far that was; `None`
    /// when nobody waits.
    pub fn advance_to_next(&self) -> Option<Duration> {
        let by = {
            let hands = self.hands.lock();
            hands.sleepers.keys().next()?.0.since(hands.now)
        };
        self.advance(by);
        Some(by)
    }

    /// Sets the wall clock, in any direction; the monotonic one stays, as when an operator or NTP
    /// corrects a machine's time.
    pub fn set_wall(&self, wall: WallTime) {
        self.hands.lock().wall = wall;
    }

    /// How many futures wait for time to pass.
    pub fn sleepers(&self) -> usize {
        self.hands.lock().sleepers.len()
    }
}

impl Default for SimulatedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Moment {
        self.hands.lock().now
    }

    fn wall(&self) -> WallTime {
        self.hands.lock().wall
    }

    fn sleep_until(&self, until: Moment) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { hands: self.hands.clone(), until, key: None })
    }
}

// === impl Hands ===

impl Hands {
    fn take_due(&mut self) -> Vec<Waker> {
        let later = self.sleepers.split_off(&(self.now + Duration::from_nanos(1), 0));
        std::mem::replace(&mut self.sleepers, later).into_values().collect()
    }
}

// === impl Sleep ===

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.hands.clone();
        let mut hands = shared.lock();
        if hands.now >= self.until {
            return Poll::Ready(());
        }
        let key = *self.key.get_or_insert_with(|| {
            hands.next_key += 1;
            hands.next_key
        });
        hands.sleepers.insert((self.until, key), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.hands.lock().sleepers.remove(&(self.until, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn sleepers_wake_when_the_hands_reach_them_and_not_before() {
        let clock = SimulatedClock::new();
        let mut sleep = clock.sleep_until(clock.now() + Duration::from_secs(2));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_millis(1_999));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_millis(1));
        assert!((&mut sleep).now_or_never().is_some());
    }

    #[test]
    fn the_hands_jump_from_alarm_to_alarm() {
        let clock = SimulatedClock::new();
        let mut far = clock.sleep_until(clock.now() + Duration::from_secs(60));
        let mut near = clock.sleep_until(clock.now() + Duration::from_secs(1));
        assert!((&mut far).now_or_never().is_none());
        assert!((&mut near).now_or_never().is_none());
        assert_eq!(clock.advance_to_next(), Some(Duration::from_secs(1)));
        assert!(near.now_or_never().is_some());
        drop(far);
        assert_eq!(clock.advance_to_next(), None, "a dropped sleep waits no more");
    }

    #[test]
    fn correcting_the_wall_clock_moves_no_deadline() {
        let clock = SimulatedClock::new();
        let now = clock.now();
        clock.set_wall(WallTime::from_millis(0));
        assert_eq!((clock.now(), clock.wall()), (now, WallTime::from_millis(0)));
    }
}
