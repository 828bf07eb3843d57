//! What a new configuration changed, as the journal tells it.

use maelstrom_core::{journal::Kind, names::ComponentName};

use super::Snapshot;
use crate::journal::Entry;

/// Changes told one by one; a project of hundreds must not push everything else out of the journal.
const TOLD: usize = 20;

/// One entry per component or event source that was put, removed or switched, and one for the rest if
/// there are many.
pub(super) fn between(old: &Snapshot, new: &Snapshot) -> Vec<Entry> {
    let mut entries = components(old, new);
    entries.extend(event_sources(old, new));
    if entries.len() > TOLD {
        let rest = entries.split_off(TOLD - 1).len();
        entries.push(entry(format!("{rest} more components and event sources changed")));
    }
    let revision = new.revision.0;
    entries.into_iter().map(|entry| entry.data("revision", revision)).collect()
}

fn entry(message: String) -> Entry {
    Entry::new(Kind::Configuration, message)
}

fn components(old: &Snapshot, new: &Snapshot) -> Vec<Entry> {
    let mut names: Vec<&ComponentName> = old.components.keys().chain(new.components.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let told = names.into_iter().filter_map(|name| {
        let change = match (old.components.get(name), new.components.get(name)) {
            (Some(before), Some(now)) if before == now => return None,
            (_, Some(now)) => format!("component put, version {}", now.version),
            (_, None) => "component removed".to_owned(),
        };
        Some(entry(change).component(name))
    });
    told.collect()
}

fn event_sources(old: &Snapshot, new: &Snapshot) -> Vec<Entry> {
    let find = |snapshot: &Snapshot, name: &str| {
        let index = snapshot.event_sources.binary_search_by(|s| s.source.name.as_str().cmp(name)).ok();
        index.map(|index| snapshot.event_sources[index].clone())
    };
    let put = new.event_sources.iter().filter_map(|now| {
        let name = &now.source.name;
        let switch = if now.enabled { "enabled" } else { "disabled" };
        let change = match find(old, name.as_str()) {
            Some(before) if before == *now => return None,
            Some(before) if before.source == now.source => format!("event source '{name}' {switch}"),
            _ => format!("event source '{name}' put, version {}, {switch}", now.source.version),
        };
        Some(entry(change).component(&now.source.component))
    });
    let removed = old.event_sources.iter().filter(|before| find(new, before.source.name.as_str()).is_none());
    let removed = removed.map(|before| {
        entry(format!("event source '{}' removed", before.source.name)).component(&before.source.component)
    });
    put.chain(removed).collect()
}
