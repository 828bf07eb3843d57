//! The cluster at one moment as the stream tells it, each thing as its JSON under its name, and what
//! differs between two moments. What is the same shares its text, so that a view per client costs little.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use maelstrom_core::wire::{JournalEvent, MissingNode};
use serde::Serialize;

/// Events that a client gets when it comes, and that one which is slow may miss.
const EVENTS: usize = 500;

pub(super) type Section = BTreeMap<String, Arc<str>>;
/// Time, node, sequence.
type EventKey = (i64, String, i64);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Unix ms.
    pub(super) time: i64,
    pub(super) node: String,
    pub(super) nodes: Section,
    pub(super) instances: Section,
    pub(super) components: Section,
    pub(super) loads: Section,
    pub(super) sources: Section,
    pub(super) events: BTreeMap<EventKey, Arc<str>>,
    pub(super) missing: Vec<MissingNode>,
}

/// Adds a thing under its name; shares the text with `before` when it is the same.
pub(super) fn put(section: &mut Section, before: Option<&Section>, key: String, thing: &impl Serialize) {
    // Structures of text and numbers can be written.
    let text = serde_json::to_string(thing).unwrap_or_default();
    let same = before.and_then(|before| before.get(&key)).filter(|known| ***known == *text).cloned();
    section.insert(key, same.unwrap_or_else(|| text.into()));
}

// === impl View ===

impl View {
    /// Keeps the newest.
    pub(super) fn add_events(&mut self, events: &[JournalEvent]) {
        for event in events {
            let key = (event.time, event.node_id.clone(), event.sequence);
            self.events.entry(key).or_insert_with(|| serde_json::to_string(event).unwrap_or_default().into());
        }
        while self.events.len() > EVENTS {
            self.events.pop_first();
        }
    }

    /// As a server-sent event: what differs from `before`, or everything.
    pub(super) fn told(&self, before: Option<&View>) -> String {
        let name = if before.is_some() { "change" } else { "snapshot" };
        let mut text = format!("event: {name}\ndata: {{\"time\":{}", self.time);
        if before.is_none() {
            let version = env!("CARGO_PKG_VERSION");
            let _ = write!(text, ",\"node\":{},\"version\":\"{version}\"", json(&self.node));
        }
        let sections: [(&str, &Section, Option<&Section>); 5] = [
            ("nodes", &self.nodes, before.map(|view| &view.nodes)),
            ("instances", &self.instances, before.map(|view| &view.instances)),
            ("components", &self.components, before.map(|view| &view.components)),
            ("loads", &self.loads, before.map(|view| &view.loads)),
            ("sources", &self.sources, before.map(|view| &view.sources)),
        ];
        for (name, now, then) in sections {
            difference(&mut text, name, now, then);
        }
        let known = |key: &EventKey| before.is_some_and(|before| before.events.contains_key(key));
        let fresh = self.events.iter().filter(|(key, _)| !known(key)).map(|(_, event)| &**event);
        let fresh: Vec<&str> = fresh.collect();
        if !fresh.is_empty() {
            let _ = write!(text, ",\"events\":[{}]", fresh.join(","));
        }
        if before.is_none_or(|before| before.missing != self.missing) {
            let _ = write!(text, ",\"missing\":{}", json(&self.missing));
        }
        text += "}\n\n";
        text
    }
}

fn json(thing: &impl Serialize) -> String {
    serde_json::to_string(thing).unwrap_or_default()
}

fn difference(text: &mut String, name: &str, now: &Section, then: Option<&Section>) {
    let known = |key: &String| then.and_then(|then| then.get(key));
    let put: Vec<String> = now
        .iter()
        .filter(|(key, thing)| known(key).is_none_or(|known| !Arc::ptr_eq(known, thing) && known != *thing))
        .map(|(key, thing)| format!("{}:{thing}", json(key)))
        .collect();
    let gone: Vec<&String> =
        then.into_iter().flat_map(BTreeMap::keys).filter(|key| !now.contains_key(*key)).collect();
    if put.is_empty() && gone.is_empty() {
        return;
    }
    let _ = write!(text, ",\"{name}\":{{");
    if !put.is_empty() {
        let _ = write!(text, "\"put\":{{{}}}", put.join(","));
    }
    if !gone.is_empty() {
        let comma = if put.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}\"gone\":{}", json(&gone));
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(time: i64, loads: &[(&str, i64)]) -> View {
        let mut view = View { time, node: "n\"1".into(), ..View::default() };
        for (name, load) in loads {
            put(&mut view.loads, None, (*name).to_owned(), &json!({ "inFlight": load }));
        }
        view
    }

    fn data(told: &str) -> Value {
        let (head, data) = told.split_once("\ndata: ").unwrap();
        assert!(head.starts_with("event: ") && data.ends_with("\n\n") && data.matches('\n').count() == 2);
        serde_json::from_str(data.trim_end()).unwrap()
    }

    #[test]
    fn the_first_tells_all_and_the_next_what_differs() {
        let first = view(1, &[("a", 1), ("b", 2)]);
        let told = first.told(None);
        assert!(told.starts_with("event: snapshot\n"), "{told}");
        let told = data(&told);
        assert_eq!(told["loads"]["put"], json!({ "a": { "inFlight": 1 }, "b": { "inFlight": 2 } }));
        assert_eq!((&told["node"], &told["missing"]), (&json!("n\"1"), &json!([])));

        let mut second = view(2, &[("b", 3), ("c\n", 4)]);
        let told = data(&second.told(Some(&first)));
        let expected = json!({ "time": 2, "loads": {
            "put": { "b": { "inFlight": 3 }, "c\n": { "inFlight": 4 } }, "gone": ["a"] } });
        assert_eq!(told, expected);

        let before = second.clone();
        second.time = 3;
        assert_eq!(data(&second.told(Some(&before))), json!({ "time": 3 }));
    }

    #[test]
    fn events_are_told_once_and_the_newest_are_kept() {
        let event =
            |sequence| JournalEvent { sequence, time: sequence, node_id: "n1".into(), ..Default::default() };
        let mut first = view(1, &[]);
        first.add_events(&(0..600).map(event).collect::<Vec<_>>());
        assert_eq!(data(&first.told(None))["events"].as_array().map(Vec::len), Some(EVENTS));
        let mut second = first.clone();
        second.add_events(&[event(599), event(600)]);
        let told = data(&second.told(Some(&first)));
        assert_eq!(told["events"].as_array().map(Vec::len), Some(1), "{told}");
        assert_eq!(second.events.len(), EVENTS);
    }
}
