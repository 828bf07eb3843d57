//! The work of queues: some messages fail at first, some are slow. All that was begun and done is remembered
//! in order, and how many of each queue were worked on at a time.
//!
//! Which ones is a matter of the message's text alone, so that a test that runs again sees the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::query::Query;

#[derive(Default)]
pub(crate) struct Work {
    begun: Mutex<Vec<String>>,
    done: Mutex<Vec<String>>,
    flights: Mutex<BTreeMap<String, Flights>>,
    /// Outlives the instance, unlike what it remembers.
    ledger: Option<PathBuf>,
}

/// Messages of a queue that are worked on: now, and at most so far.
#[derive(Clone, Copy, Default)]
struct Flights {
    now: usize,
    most: usize,
}

/// One of them, until it is dropped: answered, or its client is gone.
pub(crate) struct Flight<'a> {
    work: &'a Work,
    queue: String,
}

/// How a message is to be answered.
pub(crate) struct Order {
    pub(crate) fails: bool,
    pub(crate) takes: Duration,
}

impl Work {
    pub(crate) fn new(ledger: Option<PathBuf>) -> Self {
        Self { ledger, ..Self::default() }
    }

    pub(crate) fn enter(&self, queue: &str) -> Flight<'_> {
        let mut flights = self.flights.lock().expect("nothing panics under this lock");
        let of_queue = flights.entry(queue.to_owned()).or_default();
        of_queue.now += 1;
        of_queue.most = of_queue.most.max(of_queue.now);
        Flight { work: self, queue: queue.to_owned() }
    }

    /// `fail` and `slow` are of a hundred messages, `ms` what each takes, `slowms` what a slow one takes.
    /// What has failed once succeeds.
    pub(crate) fn begin(&self, message: &str, again: bool, query: &Query<'_>) -> Order {
        note(&self.begun, message);
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        let place = hasher.finish() % 100;
        let slow = place >= 100 - query.number("slow", 0).min(100);
        let millis = if slow { query.number("slowms", 2_000) } else { query.number("ms", 0) };
        Order { fails: !again && place < query.number("fail", 0), takes: Duration::from_millis(millis) }
    }

    /// Before the answer: who is told that a message is done finds it noted.
    pub(crate) fn done(&self, message: &str) -> io::Result<()> {
        if let Some(ledger) = &self.ledger {
            // One write to the end of the file: lines of several instances don't mix.
            File::options()
                .create(true)
                .append(true)
                .open(ledger)?
                .write_all(format!("{message}\n").as_bytes())?;
        }
        note(&self.done, message);
        Ok(())
    }

    /// How many were done: what a test may ask often.
    pub(crate) fn count(&self) -> usize {
        self.done.lock().expect("nothing panics under this lock").len()
    }

    pub(crate) fn report(&self) -> Value {
        let flights = self.flights.lock().expect("nothing panics under this lock").clone();
        let most: BTreeMap<String, usize> =
            flights.into_iter().map(|(queue, flights)| (queue, flights.most)).collect();
        json!({ "begun": all(&self.begun), "done": all(&self.done), "most": most })
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = self.work.flights.lock().expect("nothing panics under this lock");
        if let Some(of_queue) = flights.get_mut(&self.queue) {
            of_queue.now -= 1;
        }
    }
}

fn note(list: &Mutex<Vec<String>>, message: &str) {
    list.lock().expect("nothing panics under this lock").push(message.to_owned());
}

fn all(list: &Mutex<Vec<String>>) -> Vec<String> {
    list.lock().expect("nothing panics under this lock").clone()
}
