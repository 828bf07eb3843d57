//! How many messages a poller asks for: as many as can begin, and a few more when they begin soon, so that
//! neither the component waits for the queue nor a message for the component. Full batches cost the fewest
//! requests.

use std::time::Duration;

/// A message that waits here waits nowhere else: it should begin within this time.
const AHEAD: Duration = Duration::from_secs(1);
/// Nothing is answered faster.
const FASTEST: Duration = Duration::from_millis(1);
/// Weight of the newest in what messages take: the last ten or so count.
const NEWEST: f64 = 0.1;

/// A poller as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Hands {
    /// In flight at most.
    pub share: u32,
    pub in_flight: u32,
    /// Received and not begun.
    pub waiting: u32,
    /// In one receive at most.
    pub per_poll: u32,
}

/// What a message takes, as the last ones told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace(Option<Duration>);

/// How many to ask for; none: not now.
pub fn appetite(hands: Hands, pace: Pace) -> u32 {
    let free = hands.share.saturating_sub(hands.in_flight);
    let ahead = pace.ahead(hands.share).min(hands.per_poll);
    let wanted = (free + ahead).saturating_sub(hands.waiting).min(hands.per_poll);
    // While all are busy only a whole batch is worth a request.
    if free > 0 || wanted == hands.per_poll { wanted } else { 0 }
}

// === impl Pace ===

impl Pace {
    pub fn took(&mut self, time: Duration) {
        self.0 = Some(match self.0 {
            Some(before) => before.mul_f64(1.0 - NEWEST) + time.mul_f64(NEWEST),
            None => time,
        });
    }

    /// So many begin within [`AHEAD`]; none as long as nothing is known.
    fn ahead(self, share: u32) -> u32 {
        let Some(time) = self.0 else { return 0 };
        let each = u32::try_from(AHEAD.as_nanos() / time.max(FASTEST).as_nanos()).unwrap_or(u32::MAX);
        each.saturating_mul(share)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(millis: u64) -> Pace {
        Pace(Some(Duration::from_millis(millis)))
    }

    fn hands(share: u32, in_flight: u32, waiting: u32) -> Hands {
        Hands { share, in_flight, waiting, per_poll: 10 }
    }

    #[test]
    fn fast_messages_are_fetched_ahead_in_whole_batches_and_slow_ones_are_not() {
        for (hands, pace, expected) in [
            // Nothing is known: what can begin.
            (hands(10, 0, 0), Pace::default(), 10),
            (hands(4, 0, 0), Pace::default(), 4),
            (hands(10, 9, 0), Pace::default(), 1),
            (hands(10, 10, 0), Pace::default(), 0),
            // Fast: a batch while the one before is under way, and not two.
            (hands(10, 10, 0), pace(5), 10),
            (hands(10, 10, 1), pace(5), 0),
            (hands(1, 1, 0), pace(50), 10),
            (hands(1, 1, 3), pace(50), 0),
            // Slow: what can begin at once, and what begins within a second.
            (hands(10, 9, 0), pace(60_000), 1),
            (hands(10, 10, 0), pace(60_000), 0),
            (hands(10, 9, 0), pace(5_000), 1),
            (hands(2, 1, 0), pace(500), 5),
            // A group that waits for its turn stands in nobody's way.
            (hands(10, 1, 4), Pace::default(), 5),
        ] {
            assert_eq!(appetite(hands, pace), expected, "{hands:?} {pace:?}");
        }
    }

    #[test]
    fn the_pace_follows_what_messages_take() {
        let mut pace = Pace::default();
        pace.took(Duration::from_secs(10));
        assert_eq!(pace, Pace(Some(Duration::from_secs(10))));
        for _ in 0..100 {
            pace.took(Duration::from_millis(10));
        }
        assert!(pace.0.unwrap() < Duration::from_millis(20), "{pace:?}");
    }

    proptest! {
        #[test]
        fn hands_are_never_fuller_than_a_batch_beyond_the_share(
            share in 1u32..200, in_flight in 0u32..200, waiting in 0u32..50, per_poll in 1u32..=10,
            millis in proptest::option::of(0u64..100_000),
        ) {
            let hands = Hands { share, in_flight, waiting, per_poll };
            let wanted = appetite(hands, Pace(millis.map(Duration::from_millis)));
            prop_assert!(wanted <= per_poll);
            prop_assert!(wanted == 0 || in_flight + waiting + wanted <= share.max(in_flight) + per_poll);
        }
    }
}
