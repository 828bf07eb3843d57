//! Which instance a step means. Ties end with the serial number, so that the same input always gives
//! the same answer.

use std::cmp::Reverse;

use super::{Observed, Purpose, State};

/// The one of `state` that is missed least: outdated, then least busy, then youngest.
pub(super) fn to_stop(observed: &[Observed], state: State) -> Option<&Observed> {
    observed
        .iter()
        .filter(|instance| instance.state == state)
        .min_by_key(|i| (i.current, i.in_flight, Reverse(i.since), Reverse(i.serial)))
}

/// The standby instance that can serve soonest: a paused one before one in preparation, then the oldest.
pub(super) fn to_resume(observed: &[Observed]) -> Option<&Observed> {
    let standby = |state: State| matches!(state, State::Standby | State::Starting(Purpose::Standby));
    observed
        .iter()
        .filter(|instance| instance.current && standby(instance.state))
        .min_by_key(|i| (i.state != State::Standby, i.since, i.serial))
}
