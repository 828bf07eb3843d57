//! What is wrong with queues and activities, told once when it begins and once when it ends, however many
//! pollers meet it; and failed messages, told by number.

use std::{collections::HashMap, time::Duration};

use maelstrom_core::time::Moment;
use parking_lot::Mutex;

/// The same thing is not told again within this time.
const QUIET: Duration = Duration::from_secs(60);
/// Places that are remembered; beyond it all are told again sooner.
const MOST: usize = 10_000;

/// Trouble by place: an event source and its queue or activity.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, Place>>);

#[derive(Debug, Default)]
struct Place {
    /// What is wrong now, and whether that was told.
    now: Option<(&'static str, bool)>,
    /// When each kind of trouble was told last.
    told: HashMap<&'static str, Moment>,
    failures: u64,
    failures_told: Option<Moment>,
}

// === impl Complaints ===

impl Complaints {
    /// Whether to tell it.
    pub(super) fn failed(&self, place: &str, kind: &'static str, now: Moment) -> bool {
        self.at(place, |place| {
            if place.now.is_some_and(|(known, _)| known == kind) {
                return false;
            }
            let tell = place.told.get(kind).is_none_or(|told| now.since(*told) >= QUIET);
            if tell {
                place.told.insert(kind, now);
            }
            place.now = Some((kind, tell));
            tell
        })
    }

    /// Whether to tell that it is over.
    pub(super) fn succeeded(&self, place: &str) -> bool {
        let mut places = self.0.lock();
        places.get_mut(place).and_then(|place| place.now.take()).is_some_and(|(_, told)| told)
    }

    /// A message or a task failed. How many did since it was told last, when it is time to tell.
    pub(super) fn message_failed(&self, place: &str, now: Moment) -> Option<u64> {
        self.at(place, |place| {
            place.failures += 1;
            if place.failures_told.is_some_and(|told| now.since(told) < QUIET) {
                return None;
            }
            place.failures_told = Some(now);
            Some(std::mem::take(&mut place.failures))
        })
    }

    fn at<T>(&self, place: &str, act: impl FnOnce(&mut Place) -> T) -> T {
        let mut places = self.0.lock();
        if places.len() >= MOST && !places.contains_key(place) {
            places.clear();
        }
        act(places.entry(place.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(1_000_000) + Duration::from_secs(seconds)
    }

    #[test]
    fn trouble_is_told_when_it_begins_and_when_it_ends() {
        let complaints = Complaints::default();
        assert!(!complaints.succeeded("q"));
        assert!(complaints.failed("q", "missing", at(0)));
        for second in 1..300 {
            assert!(!complaints.failed("q", "missing", at(second)), "{second}");
        }
        assert!(complaints.failed("other", "missing", at(0)));
        assert!(complaints.failed("q", "denied", at(300)), "another kind is news");
        assert!(complaints.succeeded("q") && !complaints.succeeded("q"));
    }

    #[test]
    fn trouble_that_comes_and_goes_is_told_once_a_minute() {
        let complaints = Complaints::default();
        let (mut told, mut over) = (0, 0);
        for second in 0..120 {
            told += usize::from(complaints.failed("q", "throttled", at(second)));
            over += usize::from(complaints.succeeded("q"));
        }
        assert_eq!((told, over), (2, 2));
    }

    #[test]
    fn failed_messages_are_told_by_number() {
        let complaints = Complaints::default();
        assert_eq!(complaints.message_failed("s", at(0)), Some(1));
        for second in 1..60 {
            assert_eq!(complaints.message_failed("s", at(second)), None);
        }
        assert_eq!(complaints.message_failed("s", at(60)), Some(60));
    }
}
