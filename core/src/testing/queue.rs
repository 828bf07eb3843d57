//! Queues in memory with the visibility, order and redrive rules of SQS, on a clock that a test turns, and
//! trouble on demand. Clones share the queues, so that a test can act as another node.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    ports::{
        BoxFuture,
        clock::Clock,
        queue::{
            MAX_BATCH, Message, NotDone, QueueAttributes, QueueError, QueueResult, Queues, Receive, Received,
            is_fifo,
        },
    },
    time::Moment,
};

/// How often a receive that waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub struct MemoryQueues {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<BTreeMap<String, Queue>>>,
    calls: Arc<Mutex<Calls>>,
}

/// Requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub receives: u64,
    pub deletes: u64,
    pub changes: u64,
    pub lists: u64,
}

#[derive(Default)]
struct Queue {
    messages: Vec<Stored>,
    sent: u64,
    redrive: Option<(String, u32)>,
    trouble: Option<QueueError>,
}

struct Stored {
    message: Message,
    visible_at: Moment,
    /// Counts receivings; part of the receipt.
    receiving: u64,
}

// === impl MemoryQueues ===

impl MemoryQueues {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default(), calls: Arc::default() }
    }

    pub fn create(&self, queue: &str) {
        self.state.lock().entry(queue.to_owned()).or_default();
    }

    pub fn remove(&self, queue: &str) {
        self.state.lock().remove(queue);
    }

    /// Messages received `most` times go to `to`.
    pub fn set_redrive(&self, queue: &str, to: &str, most: u32) {
        if let Some(queue) = self.state.lock().get_mut(queue) {
            queue.redrive = Some((to.to_owned(), most));
        }
    }

    /// From now on each call for the queue fails so; `None`: no more.
    pub fn set_trouble(&self, queue: &str, trouble: Option<QueueError>) {
        if let Some(queue) = self.state.lock().get_mut(queue) {
            queue.trouble = trouble;
        }
    }

    /// Puts a message into the queue; returns its id.
    pub fn send(&self, queue: &str, body: &str) -> String {
        self.send_message(queue, Message { body: body.to_owned(), ..Message::default() })
    }

    /// In a FIFO queue.
    pub fn send_to_group(&self, queue: &str, group: &str, body: &str) -> String {
        let message = Message { body: body.to_owned(), group: Some(group.to_owned()), ..Message::default() };
        self.send_message(queue, message)
    }

    pub fn send_message(&self, queue: &str, mut message: Message) -> String {
        let mut state = self.state.lock();
        let stored = state.entry(queue.to_owned()).or_default();
        stored.sent += 1;
        message.id = format!("{queue}#{}", stored.sent);
        message.sent_at = Some(self.clock.wall());
        message.sequence = is_fifo(queue).then(|| format!("{:020}", stored.sent));
        let id = message.id.clone();
        stored.messages.push(Stored { message, visible_at: self.clock.now(), receiving: 0 });
        id
    }

    /// Messages that are there, visible or not.
    pub fn len(&self, queue: &str) -> usize {
        self.state.lock().get(queue).map_or(0, |queue| queue.messages.len())
    }

    pub fn is_empty(&self, queue: &str) -> bool {
        self.len(queue) == 0
    }

    pub fn calls(&self) -> Calls {
        *self.calls.lock()
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Queue, Moment) -> T) -> QueueResult<T> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let Some(queue) = state.get_mut(name) else {
            return Err(QueueError::NoSuchQueue { queue: name.to_owned(), place: String::new() });
        };
        match &queue.trouble {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(act(queue, now)),
        }
    }

    fn take(&self, name: &str, receive: Receive) -> QueueResult<Vec<Message>> {
        let clock = self.clock.clone();
        let (taken, dead) = self.with(name, |queue, now| queue.take(name, receive, now, &*clock))?;
        let mut state = self.state.lock();
        for (to, stored) in dead {
            state.entry(to).or_default().messages.push(stored);
        }
        Ok(taken)
    }
}

impl Queues for MemoryQueues {
    fn list(&self, prefix: String) -> BoxFuture<'_, QueueResult<Vec<String>>> {
        self.calls.lock().lists += 1;
        let found: Vec<String> =
            self.state.lock().keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn receive(&self, queue: String, receive: Receive) -> BoxFuture<'_, QueueResult<Received>> {
        self.calls.lock().receives += 1;
        Box::pin(async move {
            assert!((1..=MAX_BATCH as u32).contains(&receive.most), "{receive:?}");
            let end = self.clock.now() + receive.wait;
            loop {
                let messages = self.take(&queue, receive)?;
                let now = self.clock.now();
                if !messages.is_empty() || now >= end {
                    let arn = format!("arn:aws:sqs:test:1:{queue}");
                    return Ok(Received { messages, arn, region: "test".into() });
                }
                self.clock.sleep_until((now + LOOK_EVERY).min(end)).await;
            }
        })
    }

    fn delete(&self, queue: String, receipts: Vec<String>) -> BoxFuture<'_, QueueResult<NotDone>> {
        self.calls.lock().deletes += 1;
        assert!((1..=MAX_BATCH).contains(&receipts.len()), "{} deletes", receipts.len());
        let done = self.with(&queue, |queue, _| {
            queue.messages.retain(|stored| !receipts.contains(&stored.message.receipt));
            Vec::new()
        });
        Box::pin(std::future::ready(done))
    }

    fn change_visibility(
        &self,
        queue: String,
        changes: Vec<(String, Duration)>,
    ) -> BoxFuture<'_, QueueResult<NotDone>> {
        self.calls.lock().changes += 1;
        assert!((1..=MAX_BATCH).contains(&changes.len()), "{} changes", changes.len());
        let done = self.with(&queue, |queue, now| {
            let mut not_done = Vec::new();
            for (receipt, to) in changes {
                let found = queue
                    .messages
                    .iter_mut()
                    .find(|stored| stored.message.receipt == receipt && stored.visible_at > now);
                match found {
                    Some(stored) => stored.visible_at = now + to,
                    None => not_done.push((receipt, "not in flight".to_owned())),
                }
            }
            not_done
        });
        Box::pin(std::future::ready(done))
    }

    fn attributes(&self, queue: String) -> BoxFuture<'_, QueueResult<QueueAttributes>> {
        let found = self.with(&queue, |queue, now| {
            let visible = |stored: &&Stored| stored.visible_at <= now;
            let depth = queue.messages.iter().filter(visible).count() as u64;
            QueueAttributes {
                depth,
                in_flight: queue.messages.len() as u64 - depth,
                delayed: 0,
                redrive: queue.redrive.clone(),
            }
        });
        Box::pin(std::future::ready(found))
    }
}

// === impl Queue ===

impl Queue {
    /// What is received, and what goes to a dead-letter queue instead.
    fn take(
        &mut self,
        name: &str,
        receive: Receive,
        now: Moment,
        clock: &dyn Clock,
    ) -> (Vec<Message>, Vec<(String, Stored)>) {
        let mut dead = Vec::new();
        if let Some((to, most)) = &self.redrive {
            let stored = std::mem::take(&mut self.messages);
            for mut stored in stored {
                if stored.visible_at <= now && stored.message.receive_count >= *most {
                    stored.message.receive_count = 0;
                    dead.push((to.clone(), stored));
                } else {
                    self.messages.push(stored);
                }
            }
        }
        // A group with a message in flight is blocked, and so is what comes after one that isn't taken.
        let mut blocked: Vec<String> = Vec::new();
        if is_fifo(name) {
            let in_flight = self.messages.iter().filter(|stored| stored.visible_at > now);
            blocked = in_flight.filter_map(|stored| stored.message.group.clone()).collect();
        }
        let mut taken = Vec::new();
        for stored in &mut self.messages {
            let free = stored.message.group.as_ref().is_none_or(|group| !blocked.contains(group));
            if stored.visible_at > now || !free || taken.len() == receive.most as usize {
                continue;
            }
            stored.receiving += 1;
            stored.visible_at = now + receive.visibility;
            stored.message.receive_count += 1;
            stored.message.first_received_at.get_or_insert(clock.wall());
            stored.message.receipt = format!("{}@{}", stored.message.id, stored.receiving);
            taken.push(stored.message.clone());
        }
        (taken, dead)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::testing::clock::SimulatedClock;

    const VISIBLE: Duration = Duration::from_secs(30);

    fn receive(queues: &MemoryQueues, queue: &str, most: u32) -> Vec<Message> {
        let receive = Receive { most, wait: Duration::ZERO, visibility: VISIBLE };
        let received = queues.receive(queue.to_owned(), receive).now_or_never().unwrap();
        received.unwrap().messages
    }

    #[test]
    fn a_message_comes_back_until_it_is_deleted_and_then_goes_to_its_end() {
        let clock = SimulatedClock::new();
        let queues = MemoryQueues::new(Arc::new(clock.clone()));
        queues.create("q");
        queues.set_redrive("q", "dead", 2);
        queues.send("q", "x");
        let first = receive(&queues, "q", 10);
        assert_eq!((first.len(), first[0].receive_count), (1, 1));
        assert!(receive(&queues, "q", 10).is_empty());
        clock.advance(VISIBLE);
        let second = receive(&queues, "q", 10);
        assert_eq!(second[0].receive_count, 2);
        // The first receipt is worth nothing any more.
        queues.delete("q".into(), vec![first[0].receipt.clone()]).now_or_never().unwrap().unwrap();
        assert_eq!(queues.len("q"), 1);
        clock.advance(VISIBLE);
        assert!(receive(&queues, "q", 10).is_empty());
        assert_eq!((queues.len("q"), queues.len("dead")), (0, 1));
    }

    #[test]
    fn a_group_is_blocked_while_one_of_it_is_in_flight() {
        let clock = SimulatedClock::new();
        let queues = MemoryQueues::new(Arc::new(clock.clone()));
        for body in ["1", "2"] {
            queues.send_to_group("q.fifo", "a", body);
        }
        queues.send_to_group("q.fifo", "b", "3");
        let first = receive(&queues, "q.fifo", 1);
        assert_eq!(first[0].body, "1");
        let second = receive(&queues, "q.fifo", 10);
        assert_eq!(second.len(), 1, "only the other group");
        let give_back = vec![(first[0].receipt.clone(), Duration::ZERO)];
        queues.change_visibility("q.fifo".into(), give_back).now_or_never().unwrap().unwrap();
        let bodies: Vec<String> = receive(&queues, "q.fifo", 10).into_iter().map(|m| m.body).collect();
        assert_eq!(bodies, ["1", "2"]);
    }
}
