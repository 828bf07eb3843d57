//! What the node decided and why: a bounded list in memory that `maelctl events`, `maelctl explain` and
//! the dashboard read. Each entry is logged, too.

use std::{collections::VecDeque, fmt::Write as _};

use maelstrom_core::{
    journal::Kind,
    names::{ComponentName, NodeId},
    wire::{JournalEvent, ListEventsInput},
};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::clock;

/// About an hour of a busy node; at some 500 bytes an event 2 MB of memory.
const CAPACITY: usize = 4_096;
const DEFAULT_LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// The journal of this node.
#[derive(Debug)]
pub struct Journal {
    node: NodeId,
    events: Mutex<VecDeque<JournalEvent>>,
    newest: watch::Sender<i64>,
}

/// An event being written: `Entry::new(kind, "what").component(…).because(…).number("ms", 12)`.
#[derive(Clone, Debug)]
pub struct Entry {
    kind: Kind,
    component: Option<ComponentName>,
    message: String,
    reasons: Vec<String>,
    data: Map<String, Value>,
    /// Something went wrong that somebody should look at, although its kind is no bad news as such.
    warning: bool,
}

// === impl Journal ===

impl Journal {
    pub fn new(node: NodeId) -> Self {
        Self { node, events: Mutex::default(), newest: watch::Sender::new(0) }
    }

    pub fn record(&self, entry: Entry) {
        log(&entry);
        let sequence = {
            let mut events = self.events.lock();
            let sequence = events.back().map_or(1, |last| last.sequence + 1);
            if events.len() == CAPACITY {
                events.pop_front();
            }
            events.push_back(JournalEvent {
                sequence,
                time: clock::wall().as_millis(),
                node_id: self.node.to_string(),
                kind: entry.kind.name().to_owned(),
                component_name: entry.component.map(|name| name.to_string()),
                message: entry.message,
                reasons: entry.reasons,
                data: entry.data,
            });
            sequence
        };
        self.newest.send_replace(sequence);
    }

    /// The newest events that match, oldest first.
    pub fn list(&self, query: &ListEventsInput) -> Vec<JournalEvent> {
        let limit =
            query.limit.map_or(DEFAULT_LIMIT, |n| usize::try_from(n).unwrap_or(1).clamp(1, MAX_LIMIT));
        let matches = |event: &&JournalEvent| {
            query.component_name.as_ref().is_none_or(|name| event.component_name.as_ref() == Some(name))
                && query.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
                && query.since.is_none_or(|since| event.time >= since)
                && query.after_sequence.is_none_or(|after| event.sequence > after)
        };
        let events = self.events.lock();
        let mut found: Vec<JournalEvent> = events.iter().rev().filter(matches).take(limit).cloned().collect();
        found.reverse();
        found
    }

    /// Follows the newest sequence number.
    pub fn watch(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }
}

fn log(entry: &Entry) {
    // What there is nothing to say of is left out of the line.
    let component = entry.component.as_ref().map(tracing::field::display);
    let mut why = String::new();
    for reason in &entry.reasons {
        let _ = write!(why, "{}{reason}", if why.is_empty() { "" } else { "; " });
    }
    let why = (!why.is_empty()).then_some(why.as_str());
    let data = (!entry.data.is_empty()).then(|| tracing::field::display(Value::Object(entry.data.clone())));
    let kind = entry.kind.name();
    if entry.warning {
        tracing::warn!(kind, component, why, data, "{}", entry.message);
    } else {
        tracing::info!(kind, component, why, data, "{}", entry.message);
    }
}

// === impl Entry ===

impl Entry {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            component: None,
            message: message.into(),
            reasons: Vec::new(),
            data: Map::new(),
            warning: matches!(kind, Kind::StartFailed | Kind::Unplaceable | Kind::Restart),
        }
    }

    pub fn component(mut self, name: &ComponentName) -> Self {
        self.component = Some(name.clone());
        self
    }

    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reasons.push(reason.into());
        self
    }

    pub fn reasons(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        self.reasons.extend(reasons);
        self
    }

    /// Is logged as a warning.
    pub fn warning(mut self) -> Self {
        self.warning = true;
        self
    }

    /// Adds a number (or text) for programs.
    pub fn data(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_keeps_the_newest_and_filters() {
        let journal = Journal::new(NodeId::new("n1"));
        let web = ComponentName::parse("web").unwrap();
        for index in 0..CAPACITY + 10 {
            let entry = Entry::new(if index % 2 == 0 { Kind::Scale } else { Kind::Cron }, format!("{index}"));
            journal.record(if index % 3 == 0 { entry.component(&web) } else { entry });
        }
        let all = journal.list(&ListEventsInput { limit: Some(5_000), ..Default::default() });
        assert_eq!(all.len(), MAX_LIMIT);
        assert_eq!(all.last().map(|event| event.sequence), Some(CAPACITY as i64 + 10));
        let query = ListEventsInput {
            component_name: Some("web".into()),
            kinds: Some(vec!["cron".into()]),
            ..Default::default()
        };
        let some = journal.list(&query);
        assert!(!some.is_empty());
        assert!(some.iter().all(|e| e.component_name.as_deref() == Some("web") && e.kind == "cron"));
        let after = ListEventsInput { after_sequence: Some(CAPACITY as i64 + 8), ..Default::default() };
        assert_eq!(journal.list(&after).len(), 2);
    }
}
