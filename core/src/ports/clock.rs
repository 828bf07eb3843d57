//! Time as the product sees it.

use super::BoxFuture;
use crate::time::{Moment, WallTime};

/// Reads and awaits time. The real one reads `CLOCK_BOOTTIME`, so that a suspended node knows that its
/// leases ran out; tests turn the hands themselves.
pub trait Clock: Send + Sync {
    /// Never goes back.
    fn now(&self) -> Moment;

    /// May jump.
    fn wall(&self) -> WallTime;

    /// Ends at `moment` or soon after, at once if it has passed.
    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()>;
}
