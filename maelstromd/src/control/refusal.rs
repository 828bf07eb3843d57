//! Turning waiters away when their component has no place, with growing pauses between the tries that
//! requests may cause. The loop itself looks again each second and ends a refusal as soon as there is
//! room.

use std::time::Duration;

use maelstrom_core::{decide::placement::Unplaceable, time::Moment};

use crate::router::StartFailure;

/// First pause, doubled with each refusal in a row.
const FIRST: Duration = Duration::from_secs(1);
/// Room is found by the loop, not by requests, so a long pause keeps nobody out.
const LONGEST: Duration = Duration::from_secs(30);
/// No place for it: Service Unavailable.
const STATUS: u16 = 503;

/// The refusals in a row of one component.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    count: u32,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn next(&mut self, unplaceable: &Unplaceable, now: Moment) -> StartFailure {
        let pause = FIRST.saturating_mul(1 << self.count.min(8)).min(LONGEST);
        self.count = self.count.saturating_add(1);
        StartFailure {
            status: STATUS,
            reason: unplaceable.to_string(),
            retry_after: pause,
            until: now + pause,
        }
    }

    /// There is a place. True if there had been refusals.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(&mut self.count) > 0
    }
}
