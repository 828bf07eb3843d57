//! What one poller has in its hands, for people.

use std::collections::HashMap;

use maelstrom_core::{
    decide::lease::Term,
    names::{EventSourceName, NodeId, Role},
    time::WallTime,
    wire,
};
use parking_lot::Mutex;

/// See the module.
#[derive(Debug)]
pub(in crate::events) struct Report {
    source: EventSourceName,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    share: u32,
    in_flight: u32,
    waiting: u32,
    succeeded: u64,
    failed: u64,
    /// Messages in hand by receipt: of which queue, and when each was sent.
    sent: HashMap<String, (String, WallTime)>,
    paused_until: Option<WallTime>,
    trouble: Option<String>,
}

// === impl Report ===

impl Report {
    pub(super) fn new(source: &EventSourceName) -> Self {
        Self { source: source.clone(), state: Mutex::default() }
    }

    pub(super) fn source(&self) -> &EventSourceName {
        &self.source
    }

    pub(in crate::events) fn hands(&self, share: u32, in_flight: u32, waiting: u32) {
        let mut state = self.state.lock();
        (state.share, state.in_flight, state.waiting) = (share, in_flight, waiting);
    }

    pub(in crate::events) fn ended(&self, succeeded: u64, failed: u64) {
        let mut state = self.state.lock();
        state.succeeded += succeeded;
        state.failed += failed;
    }

    pub(in crate::events) fn took(&self, receipt: &str, queue: &str, sent_at: Option<WallTime>) {
        if let Some(sent_at) = sent_at {
            self.state.lock().sent.insert(receipt.to_owned(), (queue.to_owned(), sent_at));
        }
    }

    pub(in crate::events) fn gave(&self, receipt: &str) {
        self.state.lock().sent.remove(receipt);
    }

    pub(in crate::events) fn pauses(&self, until: Option<WallTime>) {
        self.state.lock().paused_until = until;
    }

    pub(in crate::events) fn trouble(&self, trouble: Option<String>) {
        self.state.lock().trouble = trouble;
    }

    pub(super) fn told(&self, role: &Role, node: &NodeId, term: Term, now: WallTime) -> wire::PollerInfo {
        let state = self.state.lock();
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut oldest: HashMap<&str, WallTime> = HashMap::new();
        for (queue, sent_at) in state.sent.values() {
            let known = oldest.entry(queue).or_insert(*sent_at);
            *known = (*known).min(*sent_at);
        }
        let mut oldest: Vec<wire::OldestMessage> = oldest
            .into_iter()
            .map(|(queue, sent_at)| wire::OldestMessage {
                queue_name: queue.to_owned(),
                age_seconds: (now.as_millis() - sent_at.as_millis()).max(0) / 1_000,
            })
            .collect();
        oldest.sort_by(|a, b| a.queue_name.cmp(&b.queue_name));
        wire::PollerInfo {
            role: role.to_string(),
            node_id: Some(node.to_string()),
            term: i64::try_from(term.0).ok(),
            share: i64::from(state.share),
            in_flight: i64::from(state.in_flight),
            waiting: i64::from(state.waiting),
            succeeded: number(state.succeeded),
            failed: number(state.failed),
            oldest,
            paused_until: state.paused_until.filter(|until| *until > now).map(WallTime::as_millis),
            trouble: state.trouble.clone(),
        }
    }
}
