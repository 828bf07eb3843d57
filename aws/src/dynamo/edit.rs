//! What a commit does to the stored entities, each step under its condition. Pure: what it decides is
//! written under the condition that what it was decided on still holds.

use std::{collections::BTreeMap, sync::Arc};

use maelstrom_core::{
    ports::store::{Entity, Op, Revision, StoreError, StoreResult},
    wire,
};
use serde::Serialize;

use super::page::{Entry, MOST_ENTRY_BYTES, Page};

/// Entities that differ from the stored ones; `None`: removed.
pub(super) type Changes = BTreeMap<String, Option<Entry>>;

const COMPONENT: &str = "component";
const EVENT_SOURCE: &str = "event_source";

/// The name of an entity's entry.
pub(super) fn key(entity: Entity, name: &str) -> String {
    let kind = if entity == Entity::Component { COMPONENT } else { EVENT_SOURCE };
    format!("{kind}/{name}")
}

/// Whose entry it is; `None` for what a newer program put there.
pub(super) fn entity_of(key: &str) -> Option<(Entity, &str)> {
    let (kind, name) = key.split_once('/')?;
    match kind {
        COMPONENT => Some((Entity::Component, name)),
        EVENT_SOURCE => Some((Entity::EventSource, name)),
        _ => None,
    }
}

/// What `ops` change of the configuration in `pages`, or the first condition that does not hold.
pub(super) fn edit(revision: Revision, pages: &[Arc<Page>], ops: &[Op]) -> StoreResult<Changes> {
    let mut edit = Edit { revision, pages, changes: Changes::new() };
    for op in ops {
        edit.apply(op)?;
    }
    Ok(edit.changes)
}

struct Edit<'a> {
    revision: Revision,
    pages: &'a [Arc<Page>],
    changes: Changes,
}

// === impl Edit ===

impl Edit<'_> {
    fn apply(&mut self, op: &Op) -> StoreResult<()> {
        match op {
            Op::PutComponent { component, based_on } => {
                let component = wire::Component { version: based_on + 1, ..(**component).clone() };
                self.put(Entity::Component, &component.name, *based_on, &component)
            }
            Op::PutEventSource { event_source, based_on } => {
                let event_source = wire::EventSource { version: based_on + 1, ..(**event_source).clone() };
                self.put(Entity::EventSource, &event_source.name, *based_on, &event_source)
            }
            Op::RemoveComponent { name, based_on } => self.remove(Entity::Component, name, *based_on),
            Op::RemoveEventSource { name, based_on } => self.remove(Entity::EventSource, name, *based_on),
            Op::EnableEventSource { name, enabled } => {
                self.enable(name, *enabled);
                Ok(())
            }
            Op::ExpectComponent { name, version } => self.expect(Entity::Component, name, *version),
            Op::ExpectRevision { revision } => {
                let (expected, current) = (integer(revision.0), integer(self.revision.0));
                agree(Entity::Configuration, "", expected, current)
            }
        }
    }

    fn put(&mut self, entity: Entity, name: &str, based_on: i64, value: &impl Serialize) -> StoreResult<()> {
        self.expect(entity, name, based_on)?;
        let body = serde_json::to_string(value).map_err(|error| StoreError::Broken {
            reason: format!("{entity} '{name}' can't be written as JSON: {error}"),
        })?;
        let key = key(entity, name);
        let enabled = self.stored(&key).is_none_or(|stored| stored.enabled);
        let entry = Entry { version: based_on + 1, enabled, body };
        let bytes = entry.bytes(&key);
        if bytes > MOST_ENTRY_BYTES {
            return Err(StoreError::Broken {
                reason: format!(
                    "{entity} '{name}' takes {} KiB and DynamoDB holds at most {} KiB for one; move large \
                     values out of it",
                    bytes.div_ceil(1024),
                    MOST_ENTRY_BYTES / 1024
                ),
            });
        }
        self.changes.insert(key, Some(entry));
        Ok(())
    }

    fn remove(&mut self, entity: Entity, name: &str, based_on: i64) -> StoreResult<()> {
        self.expect(entity, name, based_on)?;
        let key = key(entity, name);
        if self.stored(&key).is_some() {
            self.changes.insert(key, None);
        }
        Ok(())
    }

    fn enable(&mut self, name: &str, enabled: bool) {
        let key = key(Entity::EventSource, name);
        if let Some(stored) = self.stored(&key).filter(|stored| stored.enabled != enabled) {
            let entry = Entry { enabled, ..stored.clone() };
            self.changes.insert(key, Some(entry));
        }
    }

    fn expect(&self, entity: Entity, name: &str, expected: i64) -> StoreResult<()> {
        let current = self.stored(&key(entity, name)).map_or(0, |stored| stored.version);
        agree(entity, name, expected, current)
    }

    /// As the steps before have left it.
    fn stored(&self, key: &str) -> Option<&Entry> {
        match self.changes.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.pages.iter().find_map(|page| page.entries.get(key)),
        }
    }
}

fn agree(entity: Entity, name: &str, expected: i64, current: i64) -> StoreResult<()> {
    if expected == current {
        return Ok(());
    }
    Err(StoreError::Conflict { entity, name: name.to_owned(), expected, current })
}

/// Counters don't come near the end of signed numbers in centuries.
pub(super) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
