//! When to try a queue or an activity again after trouble: at growing distances with a cap and jitter, so
//! that pollers that failed together don't come back together.

use std::time::Duration;

use crate::time::Moment;

pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A queue that was made meanwhile is found within this time.
pub const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Failures in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    failures: u32,
    until: Moment,
}

// === impl Patience ===

impl Patience {
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// No try before this moment.
    pub fn until(&self) -> Moment {
        self.until
    }

    pub fn is_waiting(&self, now: Moment) -> bool {
        now < self.until
    }

    /// `jitter` is between 0 and 1: the pause is between half and all of what the failures ask for.
    pub fn failed(&mut self, now: Moment, jitter: f64) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8));
        self.failures = self.failures.saturating_add(1);
        self.until = now + doubled.min(LAST_PAUSE).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    }

    pub fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_cap_and_end_with_success() {
        let now = Moment::from_millis(5_000_000);
        let mut patience = Patience::default();
        assert!(!patience.is_waiting(now));
        let mut pauses = Vec::new();
        for _ in 0..20 {
            patience.failed(now, 1.0);
            pauses.push(patience.until().since(now).as_secs());
        }
        assert_eq!(pauses[..6], [1, 2, 4, 8, 16, 30]);
        assert_eq!(pauses[19], 30);
        patience.failed(now, 0.0);
        assert_eq!(patience.until().since(now), Duration::from_secs(15));
        patience.succeeded();
        assert!(!patience.is_waiting(now) && patience.failures() == 0);
    }
}
