//! The configuration: root and pages read as one, and commits.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use maelstrom_core::{
    ports::store::{Configuration, Entity, Op, Revision, StoreResult, Unreadable},
    wire,
};
use serde::de::DeserializeOwned;
use ulid::Ulid;

use super::{
    DynamoStore,
    edit::{edit, entity_of},
    item::Item,
    page::{self, Entry, Packed, Page},
    root::{self, Root},
    table::{Condition, Written},
    usage::Call,
};

/// A page that was replaced stays until the node that replaced it commits again, so that few readers ever
/// need a second look at the root; each further one means that a node has committed twice meanwhile.
const LOOKS: usize = 10;
/// Requests of one call under way at once: a large configuration is read and written in few round trips,
/// and a partition's write limit (1 MB/s) is not met at once.
const AT_ONCE: usize = 8;
/// Between attempts of commits that lose against others: about what one of them takes, times up to two.
const LOST_PAUSE: Duration = Duration::from_millis(8);

/// A configuration as it is stored, of one revision. Never changes.
#[derive(Debug)]
pub(super) struct View {
    root: Root,
    pages: Vec<Arc<Page>>,
}

// === impl DynamoStore ===

impl DynamoStore {
    /// The root as it is now; it has to be of the table that was opened.
    pub(super) async fn root(&self, call: Call) -> StoreResult<Root> {
        let place = &self.table.place;
        let Some(item) = self.table.get(call, root::key()).await? else {
            return Err(place.unavailable(
                "has lost its root (the item pk=configuration, sk=root); put it back by restoring the table, or \
                 restart maelstromd to begin with an empty configuration",
            ));
        };
        let root = Root::decode(&item, place)?;
        if root.store != self.store {
            return Err(place.unavailable(
                "is another one than when this daemon started; restart maelstromd to use what is there now",
            ));
        }
        Ok(root)
    }

    /// Root and pages, of one revision. Only pages that are not known yet are read.
    pub(super) async fn view(&self, call: Call) -> StoreResult<Arc<View>> {
        let mut missing = None;
        for _ in 0..LOOKS {
            let root = self.root(call).await?;
            if missing.as_ref().is_some_and(|(revision, _)| *revision == root.revision) {
                break;
            }
            let known = self.known.lock().clone();
            if let Some(known) = known.as_ref().filter(|known| known.root == root) {
                return Ok(known.clone());
            }
            let mut pages: HashMap<String, Arc<Page>> = match &known {
                None => self.all_pages(call, &root).await?,
                Some(known) => known.pages.iter().map(|page| (page.id.clone(), page.clone())).collect(),
            };
            self.read_pages(call, &root, &mut pages).await?;
            let found: Result<Vec<_>, &String> =
                root.pages.iter().map(|id| pages.remove(id).ok_or(id)).collect();
            match found {
                Ok(pages) => {
                    let view = Arc::new(View { root, pages });
                    *self.known.lock() = Some(view.clone());
                    return Ok(view);
                }
                Err(id) => missing = Some((root.revision, id.clone())),
            }
        }
        let (revision, id) = missing.unwrap_or_default();
        Err(self.table.place.broken(format_args!(
            "is damaged: the item pk=page, sk={id} is missing, and revision {} needs it; restore the table to a \
             point in time when it was there",
            revision.0
        )))
    }

    /// Everything at once, for a start. What no revision can refer to any more is found on the way: pages of
    /// commits that were cut off.
    async fn all_pages(&self, call: Call, root: &Root) -> StoreResult<HashMap<String, Arc<Page>>> {
        let mut pages = HashMap::new();
        for item in self.table.query(call, page::PK).await? {
            let Some(page) = Page::decode(&item) else { continue };
            if root.pages.contains(&page.id) {
                pages.insert(page.id.clone(), Arc::new(page));
            } else if page::revision_of(&page.id).is_some_and(|revision| revision <= root.revision) {
                self.garbage.lock().push(page.id);
            }
        }
        Ok(pages)
    }

    /// Adds those that the root has and `pages` lacks; one that is not there is left out.
    async fn read_pages(
        &self,
        call: Call,
        root: &Root,
        pages: &mut HashMap<String, Arc<Page>>,
    ) -> StoreResult<()> {
        let mut unknown = root.pages.clone();
        unknown.retain(|id| !pages.contains_key(id));
        let reads = unknown.into_iter().map(|id| async move {
            let Some(item) = self.table.get(call, page::key(&id)).await? else { return Ok(None) };
            let page = Page::decode(&item).ok_or_else(|| {
                let damage =
                    format!("is damaged: the item pk=page, sk={id} has no entries; restore the table");
                self.table.place.broken(damage)
            })?;
            Ok(Some(Arc::new(page)))
        });
        let read: Vec<Option<Arc<Page>>> =
            stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
        pages.extend(read.into_iter().flatten().map(|page| (page.id.clone(), page)));
        Ok(())
    }

    /// Decides on what is stored, writes new pages, and puts the root that lists them in the place of the one
    /// that was decided on. If somebody else was first with that, all begins again.
    pub(super) async fn try_commit(&self, ops: &[Op]) -> StoreResult<Revision> {
        // Of two commits of this node at the same time one would have to begin again.
        let _alone = self.commits.lock().await;
        loop {
            let view = self.view(Call::Commit).await?;
            let changes = edit(view.root.revision, &view.pages, ops)?;
            if changes.is_empty() {
                return Ok(view.root.revision);
            }
            let commit = Ulid::generate();
            let name = || page::id(view.root.next(), &Ulid::generate().to_string());
            let packed = page::pack(&view.pages, changes, name);
            if self.write(&view.root, commit, packed).await? {
                return Ok(view.root.next());
            }
            let pause = LOST_PAUSE.mul_f64(1.0 + f64::from(commit.random() as u8) / 255.0);
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether the commit succeeded: if not, another one did.
    async fn write(&self, before: &Root, commit: Ulid, packed: Packed) -> StoreResult<bool> {
        let items: Vec<Item> = packed.new.iter().map(|page| page.encode()).collect();
        let writes = items.into_iter().map(|item| self.table.put(Call::Commit, item, Condition::absent()));
        // A name that is taken is ours: the request was made twice.
        let _: Vec<Written> = stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await?;

        let commit = commit.to_string();
        let pages = packed.pages.iter().map(|page| page.id.clone()).collect();
        let root = before.after(&commit, pages);
        let done = match self.table.put(Call::Commit, root.encode(), before.unchanged()).await? {
            Written::Done => {
                *self.known.lock() = Some(Arc::new(View { root, pages: packed.pages }));
                true
            }
            Written::Refused(item) => self.was_done_before(before, &commit, &packed.new, &item)?,
        };
        if done {
            self.garbage.lock().extend(packed.replaced);
        }
        Ok(done)
    }

    /// A root that was refused since another one is there may have been written all the same: the request is
    /// sent again when its answer is lost.
    fn was_done_before(
        &self,
        before: &Root,
        commit: &str,
        new: &[Arc<Page>],
        current: &Item,
    ) -> StoreResult<bool> {
        let place = &self.table.place;
        let current = Root::decode(current, place)?;
        if current.includes(commit) || new.iter().any(|page| current.pages.contains(&page.id)) {
            return Ok(true);
        }
        if !current.remembers_after(before.revision) {
            return Err(place.unavailable(
                "took long to answer, and so much was committed meanwhile that it can't be told whether this \
                 was done; look, and try again if not",
            ));
        }
        self.garbage.lock().extend(new.iter().map(|page| page.id.clone()));
        Ok(false)
    }

    /// Removes pages that no revision has any more. What fails is left for later: the next commit, or the
    /// next start of a daemon.
    pub(super) async fn remove(&self, garbage: Vec<String>) {
        let remove = |id: String| async move {
            let there = Condition::new("attribute_exists(#pk)", []);
            if let Err(error) = self.table.delete(Call::Commit, page::key(&id), there).await {
                tracing::debug!(%error, page = id, "a page that is garbage is left for later");
                self.garbage.lock().push(id);
            }
        };
        stream::iter(garbage).for_each_concurrent(AT_ONCE, remove).await;
    }
}

// === impl View ===

impl View {
    pub(super) fn configuration(&self) -> Configuration {
        let mut read = Configuration { revision: self.root.revision, ..Configuration::default() };
        for (key, entry) in self.pages.iter().flat_map(|page| &page.entries) {
            match entity_of(key) {
                Some((Entity::Component, name)) => {
                    if let Some(component) = decode(Entity::Component, name, entry, &mut read) {
                        read.components.push(wire::Component { version: entry.version, ..component });
                    }
                }
                Some((entity, name)) => {
                    if let Some(source) = decode::<wire::EventSource>(entity, name, entry, &mut read) {
                        let event_source = wire::EventSource { version: entry.version, ..source };
                        let enabled = entry.enabled;
                        read.event_sources.push(wire::EventSourceWithStatus { event_source, enabled });
                    }
                }
                None => {}
            }
        }
        read
    }
}

/// One damaged entity must not take the others with it.
fn decode<T: DeserializeOwned>(
    entity: Entity,
    name: &str,
    entry: &Entry,
    read: &mut Configuration,
) -> Option<T> {
    match serde_json::from_str(&entry.body) {
        Ok(decoded) => Some(decoded),
        Err(error) => {
            let (name, version, reason) = (name.to_owned(), entry.version, error.to_string());
            read.unreadable.push(Unreadable { entity, name, version, reason });
            None
        }
    }
}
