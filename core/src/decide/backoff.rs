//! When a component whose starts fail, or whose instances die, may start again: at growing distances
//! with a cap, and at once for an instance that had worked.

use std::time::Duration;

use crate::time::Moment;

/// First pause after a failed start; doubles with each failure in a row.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest pause: a repaired image is found within a minute without a new put.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// An instance that was healthy for so long proves that starts work.
pub const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Failures in a row of one component on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    failed_at: Moment,
    until: Moment,
}

// === impl Backoff ===

impl Backoff {
    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// No start before this moment; [`Moment::ZERO`] while all is well.
    pub fn until(&self) -> Moment {
        self.until
    }

    /// An instance never became healthy.
    pub fn start_failed(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        self.until = now + pause(self.failures);
    }

    /// An instance that had been healthy since `healthy_since` died or failed its checks. The first one
    /// is replaced at once; a component that keeps dying young backs off.
    pub fn instance_lost(&mut self, healthy_since: Moment, now: Moment) {
        self.healthy(healthy_since, now);
        self.until = now + pause(self.failures);
        self.failed_at = now;
        self.failures = self.failures.saturating_add(1);
    }

    /// What stood in the way is gone: a new version, or the container engine is back.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// An instance has been healthy since `healthy_since`. One that became so after the last failure and
    /// stayed so proves that starts work again; one that is older proves nothing about them.
    pub fn healthy(&mut self, healthy_since: Moment, now: Moment) {
        if healthy_since >= self.failed_at && now.since(healthy_since) >= STABLE_AFTER {
            self.forget();
        }
    }
}

/// 0, 1, 2, 4 … s.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => BACKOFF_FIRST.saturating_mul(1 << doublings.min(16)).min(BACKOFF_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    #[test]
    fn failed_starts_back_off_with_a_cap() {
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            backoff.start_failed(at(100));
            pauses.push(backoff.until().since(at(100)).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.forget();
        assert_eq!(backoff.until(), Moment::ZERO);
    }

    /// The original restarted a crashing container without any pause.
    #[test]
    fn a_crash_loop_has_back_off() {
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..4 {
            backoff.instance_lost(at(100), at(100));
            pauses.push(backoff.until().since(at(100)).as_secs());
        }
        assert_eq!(pauses, [0, 1, 2, 4]);
        backoff.instance_lost(at(110), at(170));
        assert_eq!(backoff.until(), at(170), "one that had worked is replaced at once");
    }

    #[test]
    fn an_old_instance_that_serves_on_does_not_end_the_back_off_of_a_broken_version() {
        let mut backoff = Backoff::default();
        backoff.start_failed(at(1_000));
        backoff.healthy(at(0), at(1_000));
        assert_eq!(backoff.failures(), 1);
        backoff.healthy(at(1_001), at(1_061));
        assert_eq!(backoff.failures(), 0);
    }
}
