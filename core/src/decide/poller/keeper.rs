//! Keeps what is worked on invisible to other receivers: a message that is held for half its visibility
//! time-out gets it anew, again and again, until the queue allows no more.

use std::{collections::HashMap, time::Duration};

use crate::{
    ports::queue::{MAX_BATCH, MAX_VISIBILITY},
    time::Moment,
};

/// After an extension that was not made.
const RETRY: Duration = Duration::from_secs(1);

/// The queue's clock began earlier than the one here.
const MARGIN: Duration = Duration::from_secs(1);

/// Messages held by one poller, by receipt.
#[derive(Clone, Debug, Default)]
pub struct Keeper {
    held: HashMap<String, Held>,
}

#[derive(Clone, Debug)]
struct Held {
    queue: String,
    received: Moment,
    visibility: Duration,
    /// It is surely invisible to others until then.
    until: Moment,
    /// `None`: never again.
    due: Option<Moment>,
}

/// Extensions that are due, of one queue, as one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    pub queue: String,
    pub changes: Vec<(String, Duration)>,
}

// === impl Keeper ===

impl Keeper {
    /// A message was received and will be worked on.
    pub fn hold(&mut self, receipt: &str, queue: &str, visibility: Duration, now: Moment) {
        let until = now + visibility;
        let mut held = Held { queue: queue.to_owned(), received: now, visibility, until, due: None };
        held.due = held.next(now);
        self.held.insert(receipt.to_owned(), held);
    }

    /// It was answered, or given back.
    pub fn release(&mut self, receipt: &str) {
        self.held.remove(receipt);
    }

    /// Nobody else has it, and nobody gets it in a moment: it may begin.
    pub fn is_held(&self, receipt: &str, now: Moment) -> bool {
        self.held.get(receipt).is_some_and(|held| held.until > now + MARGIN.min(held.visibility / 4))
    }

    /// How long it stays invisible to others, if nobody changes that.
    pub fn remaining(&self, receipt: &str, now: Moment) -> Duration {
        self.held.get(receipt).map_or(Duration::ZERO, |held| held.until.since(now))
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Moment> {
        self.held.values().filter_map(|held| held.due).min()
    }

    /// What to extend now, one batch at a time; the messages in it count as extended from now on.
    pub fn take_due(&mut self, now: Moment) -> Option<Extension> {
        let is_due = |held: &Held| held.due.is_some_and(|due| due <= now);
        let first = self.held.iter().filter(|(_, held)| is_due(held)).min_by_key(|(_, held)| held.due)?;
        let queue = first.1.queue.clone();
        let mut due: Vec<(&String, &mut Held)> =
            self.held.iter_mut().filter(|(_, held)| held.queue == queue && is_due(held)).collect();
        due.sort_unstable_by(|a, b| (a.1.due, a.0).cmp(&(b.1.due, b.0)));
        let changes = due
            .into_iter()
            .take(MAX_BATCH)
            .map(|(receipt, held)| {
                let to = held.extension(now);
                held.due = held.next(now);
                (receipt.clone(), to)
            })
            .collect();
        Some(Extension { queue, changes })
    }

    /// It was made, by a call that began at `asked`.
    pub fn extended(&mut self, receipt: &str, to: Duration, asked: Moment) {
        if let Some(held) = self.held.get_mut(receipt) {
            held.until = asked + to;
        }
    }

    /// The call failed: nothing of it was done, or nobody knows.
    pub fn failed(&mut self, extension: &Extension, now: Moment) {
        for (receipt, _) in &extension.changes {
            if let Some(held) = self.held.get_mut(receipt) {
                held.due = Some(now + RETRY.min(held.visibility / 4));
            }
        }
    }

    /// The queue refuses to extend this one: it is gone, or was received again by somebody else.
    pub fn refused(&mut self, receipt: &str) {
        if let Some(held) = self.held.get_mut(receipt) {
            held.due = None;
            held.until = held.received;
        }
    }
}

// === impl Held ===

impl Held {
    /// What an extension at `now` may ask for.
    fn extension(&self, now: Moment) -> Duration {
        // A second less than the limit: the queue's clock began earlier.
        let left = MAX_VISIBILITY.saturating_sub(now.since(self.received) + Duration::from_secs(1));
        self.visibility.min(left)
    }

    /// When the one after a receiving or an extension at `now` is due.
    fn next(&self, now: Moment) -> Option<Moment> {
        let next = now + self.visibility / 2;
        (self.extension(next) > Duration::from_secs(1)).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::from_millis(1_000_000);

    fn at(seconds: u64) -> Moment {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn half_the_time_out_later_it_is_extended_and_again() {
        let mut keeper = Keeper::default();
        keeper.hold("r", "q", Duration::from_secs(30), START);
        assert_eq!(keeper.take_due(at(14)), None);
        assert_eq!(keeper.next(), Some(at(15)));
        let extension = keeper.take_due(at(15)).unwrap();
        assert_eq!(extension.changes, [("r".to_owned(), Duration::from_secs(30))]);
        assert_eq!(keeper.take_due(at(29)), None);
        assert!(keeper.take_due(at(30)).is_some());
        keeper.release("r");
        assert_eq!((keeper.next(), keeper.take_due(at(99))), (None, None));
    }

    #[test]
    fn batches_have_ten_of_one_queue() {
        let mut keeper = Keeper::default();
        for index in 0..25 {
            let queue = if index < 12 { "a" } else { "b" };
            keeper.hold(&format!("{queue}{index:02}"), queue, Duration::from_secs(30), START);
        }
        let mut sizes: Vec<(String, usize)> =
            std::iter::from_fn(|| keeper.take_due(at(16))).map(|e| (e.queue, e.changes.len())).collect();
        sizes.sort();
        let expected = [("a", 2), ("a", 10), ("b", 3), ("b", 10)].map(|(q, n)| (q.to_owned(), n));
        assert_eq!(sizes, expected);
    }

    #[test]
    fn what_failed_is_tried_again_soon_and_what_is_refused_is_not() {
        let mut keeper = Keeper::default();
        keeper.hold("r", "q", Duration::from_secs(30), START);
        let extension = keeper.take_due(at(15)).unwrap();
        keeper.failed(&extension, at(15));
        assert_eq!(keeper.next(), Some(at(16)));
        keeper.refused("r");
        assert_eq!(keeper.next(), None);
    }

    #[test]
    fn what_others_may_have_is_not_held() {
        let mut keeper = Keeper::default();
        keeper.hold("r", "q", Duration::from_secs(30), START);
        assert!(keeper.is_held("r", at(28)) && !keeper.is_held("r", at(29)));
        keeper.extended("r", Duration::from_secs(30), at(15));
        assert!(keeper.is_held("r", at(43)) && !keeper.is_held("r", at(44)));
        assert_eq!(keeper.remaining("r", at(40)), Duration::from_secs(5));
        assert_eq!(keeper.remaining("r", at(50)), Duration::ZERO);
        keeper.refused("r");
        assert!(!keeper.is_held("r", at(16)) && !keeper.is_held("unknown", START));
    }

    #[test]
    fn twelve_hours_are_the_end() {
        let mut keeper = Keeper::default();
        let visibility = Duration::from_secs(3_600 * 8);
        keeper.hold("r", "q", visibility, START);
        let first = keeper.take_due(at(3_600 * 4)).unwrap();
        assert_eq!(first.changes[0].1, Duration::from_secs(3_600 * 8 - 1));
        let second = keeper.take_due(at(3_600 * 8)).unwrap();
        assert_eq!(second.changes[0].1, Duration::from_secs(3_600 * 4 - 1));
        assert_eq!(keeper.next(), None, "no more can be asked for");
    }

    #[test]
    fn the_longest_time_out_needs_no_extension() {
        let mut keeper = Keeper::default();
        keeper.hold("r", "q", MAX_VISIBILITY, START);
        let asked = keeper.take_due(at(21_600)).unwrap().changes[0].1;
        assert!(asked < MAX_VISIBILITY / 2);
    }
}
