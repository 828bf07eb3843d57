//! Queues: each message becomes a request, and the answer says what becomes of the message.
//!
//! ```text
//!   order ──look──► receive ──► lanes ──begin──► request ──► verdict ──► settle: delete, or come back
//!     ▲  which queue  │ hold      │ not begun                  │
//!     └── patience ◄──┘ keep      └──────── give back ◄────────┘ a failure in a FIFO group; the end
//! ```
//! A message is deleted only after its component has answered 2xx; whatever else happens, it comes back.
//! What is held stays invisible to others ([`Keeper`](maelstrom_core::decide::poller::Keeper)): also what was
//! answered and could not be deleted yet.

mod flight;
mod names;
mod poller;
mod request;
mod settle;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use maelstrom_core::{
    event_source::{EventSource, SqsSource},
    journal::Kind,
    ports::{BoxFuture, clock::Clock, queue::Queues},
};

pub(super) use self::request::{Delivery, Origin};
use self::{names::Names, poller::Poller};
use super::{
    Dispatch,
    complaints::Complaints,
    pollers::{Poll, Turn},
};
use crate::journal::{Entry, Journal};

/// What the pollers of queues stand on.
pub(super) struct Sqs {
    pub(super) queues: Arc<dyn Queues>,
    pub(super) dispatch: Arc<dyn Dispatch>,
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Arc<dyn Clock>,
    names: Names,
    complaints: Complaints,
}

// === impl Sqs ===

impl Sqs {
    pub(super) fn new(
        queues: Arc<dyn Queues>,
        dispatch: Arc<dyn Dispatch>,
        journal: Arc<Journal>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let names = Names::new(queues.clone(), clock.clone());
        Self { queues, dispatch, journal, clock, names, complaints: Complaints::default() }
    }

    /// A queue, or all of a prefix, can't be used: told once, whatever number of pollers meets it.
    fn troubled(&self, source: &EventSource, place: &str, kind: &'static str, why: &str) {
        if self.complaints.failed(&key(source, place), kind, self.clock.now()) {
            let message = format!("event source '{}' can't use queue '{place}'", source.name);
            self.journal.record(entry(source, message).because(why).data("queue", place).warning());
        }
    }

    fn untroubled(&self, source: &EventSource, place: &str) {
        if self.complaints.succeeded(&key(source, place)) {
            let message = format!("event source '{}' can use queue '{place}' again", source.name);
            self.journal.record(entry(source, message).data("queue", place));
        }
    }

    fn message_failed(&self, source: &EventSource, queue: &str, why: &str) {
        if let Some(count) = self.complaints.message_failed(source.name.as_str(), self.clock.now()) {
            let many = if count == 1 { "a message" } else { "messages" };
            let message = format!("{many} of event source '{}' failed", source.name);
            let entry = entry(source, message).because(why).data("queue", queue).data("failed", count);
            self.journal.record(entry.warning());
        }
    }
}

impl Poll for Sqs {
    fn poll(self: Arc<Self>, turn: Turn) -> BoxFuture<'static, ()> {
        Box::pin(Poller::new(self, turn).run())
    }
}

fn key(source: &EventSource, place: &str) -> String {
    format!("{}\n{place}", source.name)
}

fn entry(source: &EventSource, message: String) -> Entry {
    Entry::new(Kind::Poller, message).component(&source.component).data("source", source.name.as_str())
}

/// What the queues of an event source are called together, for people.
fn place(source: &SqsSource) -> String {
    if source.name_as_prefix { format!("{}*", source.queue_name) } else { source.queue_name.clone() }
}
