//! The only reader of clocks in the daemon.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maelstrom_core::{
    ports::{BoxFuture, clock::Clock},
    time::{Moment, WallTime},
};
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME`: monotonic and counting suspend, so that a node that slept knows its leases ran out.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The moment it is now, for the request path, where a call through `dyn` would be waste.
#[inline]
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    Moment::from_nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// Unix time in milliseconds.
pub fn wall() -> WallTime {
    WallTime::from_millis(i64::try_from(unix().as_millis()).unwrap_or(i64::MAX))
}

/// Unix time in nanoseconds, as the `MAELSTROM-*-NANO` headers carry it.
pub fn unix_nanos() -> u64 {
    u64::try_from(unix().as_nanos()).unwrap_or(u64::MAX)
}

/// Microseconds of `CLOCK_MONOTONIC`, as systemd asks for them.
pub fn monotonic_micros() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        now()
    }

    fn wall(&self) -> WallTime {
        wall()
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(moment.since(now())))
    }
}

/// Follows Tokio's clock, so that tests with `start_paused` move it: hand it to what takes a [`Clock`].
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct PausedClock {
    began: tokio::time::Instant,
}

#[cfg(test)]
impl PausedClock {
    pub(crate) fn new() -> Self {
        Self { began: tokio::time::Instant::now() }
    }
}

#[cfg(test)]
impl Clock for PausedClock {
    fn now(&self) -> Moment {
        // An hour after boot: subtractions behave as they do in life.
        Moment::from_millis(3_600_000) + self.began.elapsed()
    }

    fn wall(&self) -> WallTime {
        WallTime::from_millis(1_767_225_600_000) + self.began.elapsed()
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(moment.since(self.now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_paused_clock_moves_with_tokio() {
        let clock = PausedClock::new();
        let start = clock.now();
        clock.sleep_until(start + Duration::from_secs(90)).await;
        assert!(clock.now().since(start) >= Duration::from_secs(90));
    }
}
