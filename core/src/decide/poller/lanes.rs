//! Which received messages may begin: of a FIFO group one at a time, and when one fails, what follows it in
//! its group must not overtake it. Messages without a group wait for nobody.

use std::collections::{HashSet, VecDeque};

use crate::ports::queue::{Message, is_fifo};

/// Received messages that have not begun, in order. `T` is what else is known of each.
#[derive(Debug)]
pub struct Lanes<T> {
    waiting: VecDeque<(Message, T)>,
    /// Queue and group of each FIFO message that is worked on.
    busy: HashSet<(String, String)>,
}

/// Which lane a message is in; none without a group.
pub type Lane = Option<(String, String)>;

/// Groups of other queues share them fairly and keep no order.
fn lane(queue: &str, message: &Message) -> Lane {
    let group = message.group.as_ref().filter(|_| is_fifo(queue));
    group.map(|group| (queue.to_owned(), group.clone()))
}

// === impl Lanes ===

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), busy: HashSet::new() }
    }
}

impl<T: AsRef<str>> Lanes<T> {
    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A message was received; `about` begins with its queue's name.
    pub fn push(&mut self, message: Message, about: T) {
        self.waiting.push_back((message, about));
    }

    /// The next that may begin together: of one queue, in order, whole groups as far as they are here. Each
    /// with its lane, to be given to [`Self::ended`].
    pub fn begin(&mut self, most: usize) -> Vec<(Message, T, Lane)> {
        let mut batch: Vec<(Message, T, Lane)> = Vec::new();
        let mut stay = VecDeque::new();
        for (message, about) in std::mem::take(&mut self.waiting) {
            let lane = lane(about.as_ref(), &message);
            let free = lane.as_ref().is_none_or(|lane| !self.busy.contains(lane));
            let fits = batch.first().is_none_or(|(_, first, _)| first.as_ref() == about.as_ref());
            if batch.len() < most && free && fits {
                batch.push((message, about, lane));
            } else {
                stay.push_back((message, about));
            }
        }
        self.waiting = stay;
        self.busy.extend(batch.iter().filter_map(|(_, _, lane)| lane.clone()));
        batch
    }

    /// Those that are not `held` any more, and those behind them in their groups, which must not overtake
    /// them. They are not to begin.
    pub fn lose(&mut self, held: impl Fn(&Message) -> bool) -> Vec<(Message, T)> {
        let mut lost_lanes = HashSet::new();
        let is_lost = |(message, about): &(Message, T)| {
            let lane = lane(about.as_ref(), message);
            let lost = !held(message) || lane.as_ref().is_some_and(|lane| lost_lanes.contains(lane));
            if lost {
                lost_lanes.extend(lane);
            }
            lost
        };
        let (lost, stay) = std::mem::take(&mut self.waiting).into_iter().partition::<VecDeque<_>, _>(is_lost);
        self.waiting = stay;
        lost.into()
    }

    /// One of that lane has ended. After a failure: those behind it, to be given back.
    pub fn ended(&mut self, lane: Lane, failed: bool) -> Vec<(Message, T)> {
        let Some(key) = &lane else { return Vec::new() };
        self.busy.remove(key);
        if !failed {
            return Vec::new();
        }
        let (back, stay) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(message, about)| self::lane(about.as_ref(), message) == lane);
        self.waiting = stay;
        back.into()
    }

    /// Those that could begin, to be given back. What follows one that is worked on waits for its end: given
    /// back before it, somebody might begin it beside it.
    pub fn take_free(&mut self) -> Vec<(Message, T)> {
        let waiting = std::mem::take(&mut self.waiting);
        let is_free = |(message, about): &(Message, T)| {
            lane(about.as_ref(), message).is_none_or(|lane| !self.busy.contains(&lane))
        };
        let (free, stay) = waiting.into_iter().partition::<VecDeque<_>, _>(is_free);
        self.waiting = stay;
        free.into()
    }

    /// All that have not begun, to be given back.
    pub fn take_all(&mut self) -> Vec<(Message, T)> {
        std::mem::take(&mut self.waiting).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, group: &str) -> Message {
        let group = (!group.is_empty()).then(|| group.to_owned());
        Message { id: id.into(), group, ..Message::default() }
    }

    fn lanes(messages: &[(&str, &str)]) -> Lanes<&'static str> {
        let mut lanes = Lanes::default();
        for (id, group) in messages {
            lanes.push(message(id, group), "q.fifo");
        }
        lanes
    }

    #[test]
    fn groups_go_one_at_a_time_and_others_at_once() {
        let mut lanes = lanes(&[("a1", "a"), ("a2", "a"), ("b1", "b"), ("x", ""), ("y", "")]);
        let mut begun = Vec::new();
        while let [(message, ..)] = lanes.begin(1).as_slice() {
            begun.push(message.id.clone());
        }
        assert_eq!(begun, ["a1", "b1", "x", "y"]);
        let lane = Some(("q.fifo".to_owned(), "a".to_owned()));
        assert!(lanes.ended(lane, false).is_empty());
        assert_eq!(lanes.begin(1)[0].0.id, "a2");
    }

    #[test]
    fn what_follows_a_failure_in_its_group_goes_back() {
        let mut lanes = lanes(&[("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")]);
        let lane = lanes.begin(1)[0].2.clone();
        let back: Vec<String> = lanes.ended(lane, true).into_iter().map(|(message, _)| message.id).collect();
        assert_eq!(back, ["a2", "a3"]);
        assert_eq!(lanes.begin(1)[0].0.id, "b1");
        assert!(lanes.is_empty());
    }

    #[test]
    fn what_follows_a_lost_one_in_its_group_is_lost_with_it() {
        let mut lanes = lanes(&[("a1", "a"), ("b1", "b"), ("a2", "a"), ("x", ""), ("b2", "b")]);
        let lost = lanes.lose(|message| !["b1", "x"].contains(&message.id.as_str()));
        let lost: Vec<String> = lost.into_iter().map(|(message, _)| message.id).collect();
        assert_eq!(lost, ["b1", "x", "b2"]);
        assert_eq!((lanes.begin(1)[0].0.id.as_str(), lanes.len()), ("a1", 1));
    }

    #[test]
    fn what_follows_one_that_is_worked_on_is_given_back_after_it() {
        let mut lanes = lanes(&[("a1", "a"), ("a2", "a"), ("b1", "b"), ("x", "")]);
        let lane = lanes.begin(1)[0].2.clone();
        let mut given_back =
            || -> Vec<String> { lanes.take_free().into_iter().map(|(message, _)| message.id).collect() };
        assert_eq!(given_back(), ["b1", "x"]);
        assert!(given_back().is_empty());
        lanes.ended(lane, false);
        assert_eq!(lanes.take_free()[0].0.id, "a2");
    }

    #[test]
    fn a_batch_takes_groups_in_order_and_the_next_one_none_of_them() {
        let mut lanes = lanes(&[("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("c1", "c")]);
        let ids = |batch: Vec<(Message, &str, Lane)>| -> Vec<String> {
            batch.into_iter().map(|(message, _, _)| message.id).collect()
        };
        assert_eq!(ids(lanes.begin(3)), ["a1", "b1", "a2"]);
        assert_eq!(ids(lanes.begin(3)), ["c1"]);
        lanes.ended(Some(("q.fifo".to_owned(), "a".to_owned())), false);
        assert_eq!(ids(lanes.begin(3)), ["a3"]);
    }

    #[test]
    fn groups_of_a_queue_without_order_wait_for_nobody() {
        let mut lanes = Lanes::default();
        lanes.push(message("1", "a"), "q");
        lanes.push(message("2", "a"), "q");
        assert_eq!((lanes.begin(1).len(), lanes.begin(1).len()), (1, 1));
    }

    #[test]
    fn one_group_of_two_queues_are_two() {
        let mut lanes = Lanes::default();
        lanes.push(message("1", "a"), "q.fifo");
        lanes.push(message("2", "a"), "p.fifo");
        assert_eq!((lanes.begin(1).len(), lanes.begin(1).len()), (1, 1));
        assert_eq!(lanes.len(), 0);
        assert!(lanes.take_all().is_empty());
    }
}
