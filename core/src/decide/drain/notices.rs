//! From what the cloud tells the machine to signals.

use std::time::Duration;

use super::Signal;
use crate::{
    ports::metadata::Notices,
    time::{Moment, WallTime},
};

/// From notice to end: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>
const SPOT_WARNING: Duration = Duration::from_secs(120);

/// The signals that notices mean, seen at `now` and `wall`; recommendations only where they are asked for.
///
/// A clock that is wrong can make a deadline nearer, and never farther than any notice gives.
pub fn signals(notices: &Notices, follow_rebalance: bool, now: Moment, wall: WallTime) -> Vec<Signal> {
    let mut signals = Vec::new();
    if notices.terminates {
        signals.push(Signal::Target);
    }
    if let Some(spot) = &notices.spot {
        let left = spot.time.map_or(SPOT_WARNING, |time| {
            let millis = u64::try_from(time.as_millis() - wall.as_millis()).unwrap_or(0);
            Duration::from_millis(millis).min(SPOT_WARNING)
        });
        signals.push(Signal::Spot { time: spot.time.unwrap_or(wall + left), at: now + left });
    }
    if let Some(since) = notices.rebalance.filter(|_| follow_rebalance) {
        signals.push(Signal::Rebalance { since });
    }
    signals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::metadata::SpotNotice;

    const NOW: Moment = Moment::from_millis(5_000);
    const WALL: WallTime = WallTime::from_millis(1_000_000);

    fn spot(time: Option<i64>) -> Signal {
        let spot = SpotNotice { action: "terminate".into(), time: time.map(WallTime::from_millis) };
        let notices = Notices { spot: Some(spot), ..Notices::default() };
        signals(&notices, false, NOW, WALL).remove(0)
    }

    #[test]
    fn the_end_of_a_spot_machine_is_reckoned_on_its_own_clock() {
        for (time, left) in [
            (Some(1_090_000), 90),
            (Some(1_120_000), 120),
            (Some(9_000_000), 120),
            (Some(900_000), 0),
            (None, 120),
        ] {
            let Signal::Spot { at, .. } = spot(time) else { panic!("no notice") };
            assert_eq!(at.since(NOW), Duration::from_secs(left), "{time:?}");
        }
    }

    #[test]
    fn recommendations_are_followed_where_somebody_wants_that() {
        let since = WallTime::from_millis(7);
        let notices = Notices { rebalance: Some(since), terminates: true, spot: None };
        assert_eq!(signals(&notices, false, NOW, WALL), [Signal::Target]);
        assert_eq!(signals(&notices, true, NOW, WALL), [Signal::Target, Signal::Rebalance { since }]);
    }
}
