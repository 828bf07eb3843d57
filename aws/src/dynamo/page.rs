//! Pages: the configuration in pieces that fit into items. A page is written once and never changed; a
//! change writes the pages that it touches anew, under new names. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use aws_sdk_dynamodb::types::AttributeValue;
use maelstrom_core::ports::store::Revision;

use super::item::{Item, Key, item, number, number_of, text, text_of};

pub(super) const PK: &str = "page";
const ENTRIES: &str = "entries";

/// A page is split beyond this. Small, since a change of one entity pays for its whole page (one write unit
/// for each KiB); large enough that the root, which lists the pages, stays under one read unit (4 KB) for
/// configurations of some megabytes.
const MOST_BYTES: usize = 64 * 1024;
/// A changed page under this joins its neighbour, if both together are still well under [`MOST_BYTES`].
const FEW_BYTES: usize = MOST_BYTES / 4;
/// What an entry takes beside name and body.
const ENTRY_BYTES: usize = 32;
/// The most that one entity may take: DynamoDB holds 400 KiB an item, the page's own attributes included.
pub(super) const MOST_ENTRY_BYTES: usize = 390 * 1024;

/// An entity as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) version: i64,
    /// Always set for components.
    pub(super) enabled: bool,
    /// JSON.
    pub(super) body: String,
}

/// By `KIND/NAME`, so that they sort by kind and name.
pub(super) type Entries = BTreeMap<String, Entry>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) id: String,
    pub(super) entries: Entries,
}

/// What becomes of a configuration's pages.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// All, in order.
    pub(super) pages: Vec<Arc<Page>>,
    /// Those of them that are still to be written.
    pub(super) new: Vec<Arc<Page>>,
    /// Names of those that are no longer among them.
    pub(super) replaced: Vec<String>,
}

/// The name of a page that only the commit to `revision` can make part of the configuration: once that
/// revision has come without it, it is garbage for good.
pub(super) fn id(revision: Revision, unique: &str) -> String {
    format!("{:016}-{unique}", revision.0)
}

/// The revision that a page was made for.
pub(super) fn revision_of(id: &str) -> Option<Revision> {
    id.split_once('-')?.0.parse().ok().map(Revision)
}

pub(super) fn key(id: &str) -> Key {
    Key { pk: PK, sk: id.to_owned() }
}

// === impl Entry ===

impl Entry {
    pub(super) fn bytes(&self, key: &str) -> usize {
        key.len() + self.body.len() + ENTRY_BYTES
    }

    fn encode(&self) -> AttributeValue {
        let mut attributes = HashMap::from([
            ("version".to_owned(), number(self.version)),
            ("body".to_owned(), text(&self.body)),
        ]);
        if !self.enabled {
            attributes.insert("enabled".to_owned(), AttributeValue::Bool(false));
        }
        AttributeValue::M(attributes)
    }

    /// Something edited by hand beyond recognition becomes an entry without a body, which nobody can read
    /// and anybody can replace.
    fn decode(value: &AttributeValue) -> Self {
        let none = HashMap::new();
        let attributes = value.as_m().unwrap_or(&none);
        Self {
            version: number_of(attributes, "version").unwrap_or_default(),
            enabled: attributes
                .get("enabled")
                .and_then(|value| value.as_bool().ok())
                .is_none_or(|flag| *flag),
            body: text_of(attributes, "body").unwrap_or_default().to_owned(),
        }
    }
}

// === impl Page ===

impl Page {
    pub(super) fn encode(&self) -> Item {
        let entries = self.entries.iter().map(|(key, entry)| (key.clone(), entry.encode())).collect();
        item(key(&self.id), [(ENTRIES, AttributeValue::M(entries))])
    }

    /// `None` if it is no page.
    pub(super) fn decode(item: &Item) -> Option<Self> {
        let entries = item.get(ENTRIES)?.as_m().ok()?;
        let entries = entries.iter().map(|(key, value)| (key.clone(), Entry::decode(value))).collect();
        Some(Self { id: text_of(item, super::item::SK)?.to_owned(), entries })
    }
}

fn bytes(entries: &Entries) -> usize {
    entries.iter().map(|(key, entry)| entry.bytes(key)).sum()
}

/// A page as it was, or entries whose page is to be written.
enum Slot {
    Kept(Arc<Page>),
    Changed(Entries),
}

impl Slot {
    fn bytes(&self) -> usize {
        match self {
            Self::Kept(page) => bytes(&page.entries),
            Self::Changed(entries) => bytes(entries),
        }
    }

    fn into_entries(self, replaced: &mut Vec<String>) -> Entries {
        match self {
            Self::Changed(entries) => entries,
            Self::Kept(page) => {
                replaced.push(page.id.clone());
                page.entries.clone()
            }
        }
    }
}

/// The pages of a configuration after `changes` (`None`: removed). `name` gives names to new pages.
pub(super) fn pack(
    pages: &[Arc<Page>],
    changes: BTreeMap<String, Option<Entry>>,
    mut name: impl FnMut() -> String,
) -> Packed {
    let mut packed = Packed::default();
    let mut slots: Vec<Slot> = Vec::new();
    for slot in changed(pages, changes, &mut packed.replaced) {
        let joins = slots.last().is_some_and(|last| join(last, &slot));
        match slots.pop_if(|_| joins) {
            Some(last) => {
                let mut entries = last.into_entries(&mut packed.replaced);
                entries.extend(slot.into_entries(&mut packed.replaced));
                slots.push(Slot::Changed(entries));
            }
            None => slots.push(slot),
        }
    }
    for slot in slots {
        match slot {
            Slot::Kept(page) => packed.pages.push(page),
            Slot::Changed(entries) => {
                for entries in split(entries) {
                    let page = Arc::new(Page { id: name(), entries });
                    packed.pages.push(page.clone());
                    packed.new.push(page);
                }
            }
        }
    }
    packed
}

/// Whether neighbours become one page: nothing is rewritten only for that.
fn join(one: &Slot, other: &Slot) -> bool {
    let changed = matches!(one, Slot::Changed(_)) || matches!(other, Slot::Changed(_));
    let small = one.bytes() < FEW_BYTES || other.bytes() < FEW_BYTES;
    changed && small && one.bytes() + other.bytes() <= MOST_BYTES / 2
}

/// Each change in the page whose range of names it belongs to.
fn changed(
    pages: &[Arc<Page>],
    changes: BTreeMap<String, Option<Entry>>,
    replaced: &mut Vec<String>,
) -> Vec<Slot> {
    let mut slots: Vec<Slot> = pages.iter().cloned().map(Slot::Kept).collect();
    if slots.is_empty() {
        slots.push(Slot::Changed(Entries::new()));
    }
    for (key, change) in changes {
        let begins_before = |page: &Arc<Page>| page.entries.first_key_value().is_none_or(|(k, _)| *k <= key);
        let index = pages.partition_point(begins_before).saturating_sub(1);
        let slot = &mut slots[index];
        if let Slot::Kept(page) = slot {
            replaced.push(page.id.clone());
            *slot = Slot::Changed(page.entries.clone());
        }
        if let Slot::Changed(entries) = slot {
            match change {
                Some(entry) => drop(entries.insert(key, entry)),
                None => drop(entries.remove(&key)),
            }
        }
    }
    slots.retain(|slot| !matches!(slot, Slot::Changed(entries) if entries.is_empty()));
    slots
}

/// In order, each of about the same size and none over [`MOST_BYTES`], unless by a single entry.
fn split(entries: Entries) -> Vec<Entries> {
    let total = bytes(&entries);
    let parts = total.div_ceil(MOST_BYTES).max(1);
    let aim = total.div_ceil(parts);
    let mut split = vec![Entries::new()];
    let mut filled = 0;
    for (key, entry) in entries {
        let size = entry.bytes(&key);
        // Full enough, or the next one would make it too large.
        if filled > 0 && (filled >= aim || filled + size > MOST_BYTES) {
            split.push(Entries::new());
            filled = 0;
        }
        filled += size;
        if let Some(last) = split.last_mut() {
            last.insert(key, entry);
        }
    }
    split
}

#[cfg(test)]
mod tests;
