//! The root: the one small item that says what the configuration consists of. Nodes read it each second;
//! replacing it is what a commit is.

use aws_sdk_dynamodb::types::AttributeValue;
use maelstrom_core::ports::store::{Revision, StoreResult};

use super::{
    failure::Place,
    item::{Item, Key, item, number, number_of, text, text_of, texts, texts_of},
    table::Condition,
};

/// Raised when a program that knows only older ones could not work on the table.
const FORMAT: u64 = 1;

/// Commits that are remembered by name. A commit looks for its own when its answer was lost; far fewer fit
/// into the seconds that it may take.
const RECENT: usize = 16;

/// As of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Made with the table's first root: a table made anew under the same name has another.
    pub(super) store: String,
    pub(super) revision: Revision,
    /// In the order of their entities.
    pub(super) pages: Vec<String>,
    /// The newest last.
    recent: Vec<String>,
}

pub(super) fn key() -> Key {
    Key { pk: "configuration", sk: "root".to_owned() }
}

// === impl Root ===

impl Root {
    /// Of an empty configuration.
    pub(super) fn first(store: String) -> Self {
        Self { store, revision: Revision(0), pages: Vec::new(), recent: Vec::new() }
    }

    /// What follows this one when `commit` has succeeded.
    pub(super) fn after(&self, commit: &str, pages: Vec<String>) -> Self {
        let mut recent = self.recent.clone();
        recent.push(commit.to_owned());
        recent.drain(..recent.len().saturating_sub(RECENT));
        Self { store: self.store.clone(), revision: self.next(), pages, recent }
    }

    pub(super) fn next(&self) -> Revision {
        Revision(self.revision.0 + 1)
    }

    pub(super) fn includes(&self, commit: &str) -> bool {
        self.recent.iter().any(|recent| recent == commit)
    }

    /// Whether it knows all commits since `revision`.
    pub(super) fn remembers_after(&self, revision: Revision) -> bool {
        self.revision.0 <= revision.0 + RECENT as u64
    }

    /// That this is still the root.
    pub(super) fn unchanged(&self) -> Condition {
        Condition::new(
            "#revision = :revision AND #store = :store",
            [(":revision", number(self.revision.0)), (":store", text(&self.store))],
        )
    }

    pub(super) fn encode(&self) -> Item {
        let attributes: [(&str, AttributeValue); 5] = [
            ("format", number(FORMAT)),
            ("store", text(&self.store)),
            ("revision", number(self.revision.0)),
            ("pages", texts(self.pages.iter().cloned())),
            ("recent", texts(self.recent.iter().cloned())),
        ];
        item(key(), attributes)
    }

    pub(super) fn decode(item: &Item, place: &Place) -> StoreResult<Self> {
        let format: u64 = number_of(item, "format").unwrap_or_default();
        if format > FORMAT {
            return Err(place.broken(format_args!(
                "was written by a newer maelstromd (format {format}, this one knows up to {FORMAT}); use that \
                 version"
            )));
        }
        let decoded = || {
            Some(Self {
                store: text_of(item, "store")?.to_owned(),
                revision: Revision(number_of(item, "revision")?),
                pages: texts_of(item, "pages")?,
                recent: texts_of(item, "recent")?,
            })
        };
        decoded().ok_or_else(|| {
            place.broken(
                "is damaged: the item pk=configuration, sk=root lacks attributes; restore the table to a \
                 point in time before that",
            )
        })
    }
}
