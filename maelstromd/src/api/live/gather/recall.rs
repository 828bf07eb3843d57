//! What the journal told and the state does not hold: since when a node has a role, and what came of an
//! event source's last event.

use std::collections::HashMap;

use maelstrom_core::{
    journal::Kind,
    wire::{JournalEvent, LiveResult},
};
use serde_json::Value;

#[derive(Default)]
pub(super) struct Recall {
    /// By node, role and term.
    roles: HashMap<(String, String, i64), i64>,
    /// By event source, with the time that it was due.
    results: HashMap<String, (LiveResult, Option<i64>)>,
}

// === impl Recall ===

impl Recall {
    /// Takes in events of one node, in their order; the same may come again.
    pub(super) fn hear(&mut self, events: &[JournalEvent]) {
        for event in events {
            if event.kind == Kind::Role.name() {
                self.hear_of_role(event);
            } else if event.kind == Kind::Cron.name() {
                self.hear_of_rule(event);
            }
        }
    }

    /// The first of a term is that it was taken.
    fn hear_of_role(&mut self, event: &JournalEvent) {
        let role = event.data.get("role").and_then(Value::as_str);
        let term = event.data.get("term").and_then(Value::as_i64);
        if let (Some(role), Some(term)) = (role, term) {
            let key = (event.node_id.clone(), role.to_owned(), term);
            let since = self.roles.entry(key).or_insert(event.time);
            *since = event.time.min(*since);
        }
    }

    fn hear_of_rule(&mut self, event: &JournalEvent) {
        let Some(rule) = event.data.get("rule").and_then(Value::as_str) else { return };
        let known = self.results.get(rule);
        if known.is_some_and(|(result, _)| result.time >= event.time) {
            return;
        }
        let status = event.data.get("status").and_then(Value::as_u64);
        let ok = status.is_some_and(|status| (200..300).contains(&status));
        // "cron rule 'x' answered 200": who reads it knows which one.
        let what = event.message.rsplit_once("' ").map_or(event.message.as_str(), |(_, what)| what);
        let result = LiveResult { time: event.time, message: what.to_owned(), ok };
        let due = event.data.get("due").and_then(Value::as_i64);
        self.results.insert(rule.to_owned(), (result, due));
    }

    pub(super) fn since(&self, node: &str, role: &str, term: i64) -> Option<i64> {
        self.roles.get(&(node.to_owned(), role.to_owned(), term)).copied()
    }

    pub(super) fn result(&self, source: &str) -> Option<&LiveResult> {
        self.results.get(source).map(|(result, _)| result)
    }

    /// When the rule was due last.
    pub(super) fn due(&self, source: &str) -> Option<i64> {
        self.results.get(source).and_then(|(_, due)| *due)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(time: i64, kind: Kind, message: &str, data: Value) -> JournalEvent {
        let Value::Object(data) = data else { panic!("no object") };
        let (kind, message) = (kind.name().to_owned(), message.to_owned());
        JournalEvent { time, node_id: "n1".into(), kind, message, data, ..Default::default() }
    }

    #[test]
    fn a_role_is_held_since_it_was_taken_in_its_term() {
        let mut recall = Recall::default();
        let role = |time, term| event(time, Kind::Role, "", json!({ "role": "cron", "term": term }));
        recall.hear(&[role(10, 3), role(20, 3), role(30, 4)]);
        recall.hear(&[role(10, 3)]);
        assert_eq!(recall.since("n1", "cron", 3), Some(10));
        assert_eq!(recall.since("n1", "cron", 4), Some(30));
        assert_eq!(recall.since("n2", "cron", 3), None);
    }

    #[test]
    fn the_last_result_of_a_rule_is_told() {
        let mut recall = Recall::default();
        let fired = |time, status: u16, what: &str| {
            let data = json!({ "rule": "demo_tick", "due": time - 1, "status": status });
            event(time, Kind::Cron, &format!("cron rule 'demo_tick' {what}"), data)
        };
        recall.hear(&[fired(10, 200, "answered 200"), fired(20, 500, "failed with 500")]);
        recall.hear(&[fired(10, 200, "answered 200")]);
        let result = recall.result("demo_tick").unwrap();
        assert_eq!((result.message.as_str(), result.ok, result.time), ("failed with 500", false, 20));
        assert_eq!(recall.due("demo_tick"), Some(19));
    }
}
