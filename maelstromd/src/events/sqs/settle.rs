//! What becomes of messages, told to their queues in batches: deletes, and when others come back.
//!
//! A batch goes out when it is full, or when its first has waited for a moment. What can't be told now is
//! told later, and the queue is not asked for more until then: its messages would be done twice.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use maelstrom_core::{
    decide::poller::Patience,
    ports::{
        BoxFuture,
        clock::Clock,
        queue::{MAX_BATCH, QueueError, QueueResult, Queues},
    },
    time::Moment,
};

/// Requests of a fast component that run together end within this time.
const LINGER: Duration = Duration::from_millis(40);
/// Tries of a poller that ends; what is left comes back with its visibility time-out.
const LAST_TRIES: u32 = 3;
/// Tries to have a message come back sooner: later it comes by itself.
const CHANGE_TRIES: u32 = 3;

/// See the module.
pub(super) struct Settling {
    queues: Arc<dyn Queues>,
    clock: Arc<dyn Clock>,
    pending: BTreeMap<Key, Pending>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// Calls of one kind to one queue, one at a time.
type Key = (String, What);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Delete,
    ComeBack,
}

struct Pending {
    /// Receipts, and after how long each comes back, in the order in which they were said.
    items: Vec<(String, Duration)>,
    since: Moment,
    running: bool,
    patience: Patience,
}

struct Done {
    key: Key,
    items: Vec<(String, Duration)>,
    result: QueueResult<Vec<(String, String)>>,
}

/// What a call has come to.
pub(super) struct Settled {
    pub(super) queue: String,
    /// Receipts that are not held any more.
    pub(super) released: Vec<String>,
    pub(super) trouble: Option<QueueError>,
}

// === impl Settling ===

impl Settling {
    pub(super) fn new(queues: Arc<dyn Queues>, clock: Arc<dyn Clock>) -> Self {
        Self { queues, clock, pending: BTreeMap::new(), running: FuturesUnordered::new() }
    }

    pub(super) fn delete(&mut self, queue: &str, receipt: String) {
        self.add((queue.to_owned(), What::Delete), receipt, Duration::ZERO);
    }

    /// It comes back after so long from now.
    pub(super) fn come_back(&mut self, queue: &str, receipt: String, after: Duration) {
        self.add((queue.to_owned(), What::ComeBack), receipt, after);
    }

    fn add(&mut self, key: Key, receipt: String, after: Duration) {
        let now = self.clock.now();
        let pending = self.pending.entry(key).or_insert_with(|| Pending {
            items: Vec::new(),
            since: now,
            running: false,
            patience: Patience::default(),
        });
        if pending.items.is_empty() {
            pending.since = now;
        }
        pending.items.retain(|(known, _)| *known != receipt);
        pending.items.push((receipt, after));
    }

    /// Nothing is left to be told.
    pub(super) fn is_done(&self) -> bool {
        self.pending.is_empty() && self.running.is_empty()
    }

    /// The last deletes from this queue failed.
    pub(super) fn is_failing(&self, queue: &str) -> bool {
        let pending = self.pending.get(&(queue.to_owned(), What::Delete));
        pending.is_some_and(|pending| pending.patience.failures() > 0)
    }

    /// Sends what is due. In a `hurry` nothing waits for company.
    pub(super) fn send(&mut self, hurry: bool) {
        let now = self.clock.now();
        for (key, pending) in &mut self.pending {
            let due = hurry || pending.items.len() >= MAX_BATCH || now.since(pending.since) >= LINGER;
            if !due || pending.running || pending.items.is_empty() || pending.patience.is_waiting(now) {
                continue;
            }
            let count = pending.items.len().min(MAX_BATCH);
            let items: Vec<(String, Duration)> = pending.items.drain(..count).collect();
            pending.running = true;
            pending.since = now;
            self.running.push(call(self.queues.clone(), key.clone(), items));
        }
    }

    /// When something is due that is not sent yet.
    pub(super) fn next_due(&self) -> Option<Moment> {
        let idle = self.pending.values().filter(|pending| !pending.running && !pending.items.is_empty());
        idle.map(|pending| (pending.since + LINGER).max(pending.patience.until())).min()
    }

    /// Waits for a call's end; for ever when there is none. `ending` gives up on what fails again and again.
    pub(super) async fn next(&mut self, ending: bool, jitter: f64) -> Settled {
        match self.running.next().await {
            Some(done) => self.done(done, ending, jitter),
            None => std::future::pending().await,
        }
    }

    fn done(&mut self, done: Done, ending: bool, jitter: f64) -> Settled {
        let Done { key, items, result } = done;
        let now = self.clock.now();
        let queue = key.0.clone();
        let Some(pending) = self.pending.get_mut(&key) else {
            return Settled { queue, released: Vec::new(), trouble: None };
        };
        pending.running = false;
        let mut released: Vec<String> = items.iter().map(|(receipt, _)| receipt.clone()).collect();
        let trouble = match result {
            Ok(not_done) => {
                pending.patience.succeeded();
                for (receipt, why) in not_done {
                    tracing::debug!(queue, receipt, why, "a message could not be settled and may come again");
                }
                None
            }
            // With the queue its messages are gone.
            Err(error @ QueueError::NoSuchQueue { .. }) => {
                released.extend(pending.items.drain(..).map(|(receipt, _)| receipt));
                Some(error)
            }
            Err(error) => {
                pending.patience.failed(now, jitter);
                let tries = match (ending, key.1) {
                    (true, _) => LAST_TRIES,
                    (false, What::ComeBack) => CHANGE_TRIES,
                    (false, What::Delete) => u32::MAX,
                };
                if pending.patience.failures() < tries {
                    pending.items.splice(0..0, items);
                    released.clear();
                } else {
                    released.extend(pending.items.drain(..).map(|(receipt, _)| receipt));
                }
                Some(error)
            }
        };
        if pending.items.is_empty() {
            self.pending.remove(&key);
        }
        Settled { queue, released, trouble }
    }
}

fn call(queues: Arc<dyn Queues>, key: Key, items: Vec<(String, Duration)>) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        let queue = key.0.clone();
        let result = match key.1 {
            What::Delete => {
                let receipts = items.iter().map(|(receipt, _)| receipt.clone()).collect();
                queues.delete(queue, receipts).await
            }
            What::ComeBack => queues.change_visibility(queue, items.clone()).await,
        };
        Done { key, items, result }
    })
}
