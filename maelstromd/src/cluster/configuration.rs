//! The configuration in memory: everything on the node reads it here, nothing waits for the store.
//!
//! * It is served as it was while the store is away, for as long as that takes.
//! * A change made on this node is visible when its commit returns; a change by another is seen within
//!   [`WATCH_INTERVAL`]. Both end in the same refresh, so a lost notification costs that time at most.
//! * A stored entity that can't be parsed is left out and logged once; the others work on.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use maelstrom_core::{
    component::Component,
    event_source::EventSource,
    journal::Kind,
    names::ComponentName,
    ports::store::{Configuration, Entity, Op, Revision, Store, StoreError, StoreResult},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::changes;
use crate::journal::{Entry, Journal};

/// How often the store's revision is read: changes by others must take effect within 2 s.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Decisions taken again because somebody else committed in between. Each loss means that another
/// commit went through, so this many in a row mean a stampede that the caller should hear of.
const MAX_DECISIONS: usize = 20;

/// The configuration as of one revision, parsed. Never changes; a new one replaces it.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub revision: Revision,
    pub components: HashMap<ComponentName, Arc<Component>>,
    /// Sorted by name.
    pub event_sources: Vec<Arc<Source>>,
    /// As stored, the entities that don't parse included.
    pub wire: Configuration,
}

/// An event source and whether it is switched on.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub source: EventSource,
    pub enabled: bool,
}

/// The node's copy of the configuration, and the way to change it.
pub struct ConfigurationCache {
    store: Arc<dyn Store>,
    journal: Arc<Journal>,
    current: ArcSwap<Snapshot>,
    changes: watch::Sender<Arc<Snapshot>>,
    /// The last commit by this node.
    commits: watch::Sender<Revision>,
    /// One refresh at a time, so that an older reading can't replace a newer one.
    refresh: tokio::sync::Mutex<Refresh>,
}

#[derive(Default)]
struct Refresh {
    /// What was logged as unreadable, so that it is logged once.
    complained: HashSet<(Entity, String, i64)>,
}

/// Why [`ConfigurationCache::update`] changed nothing.
#[derive(Debug)]
pub enum UpdateError<E> {
    /// The decision itself refused.
    Refused(E),
    Store(StoreError),
}

// === impl Snapshot ===

impl Snapshot {
    /// Parses what is stored; entities that can't be are left out and told in the second value.
    fn parse(wire: Configuration) -> (Self, Vec<Unparsed>) {
        let mut unparsed: Vec<Unparsed> = wire
            .unreadable
            .iter()
            .map(|u| Unparsed { id: (u.entity, u.name.clone(), u.version), reason: u.reason.clone() })
            .collect();
        let mut components = HashMap::with_capacity(wire.components.len());
        for stored in &wire.components {
            match Component::parse(stored) {
                Ok(component) => drop(components.insert(component.name.clone(), Arc::new(component))),
                Err(problems) => unparsed.push(Unparsed {
                    id: (Entity::Component, stored.name.clone(), stored.version),
                    reason: problems.to_string(),
                }),
            }
        }
        let mut event_sources = Vec::with_capacity(wire.event_sources.len());
        for stored in &wire.event_sources {
            let enabled = stored.enabled;
            match EventSource::parse(&stored.event_source) {
                Ok(source) => event_sources.push(Arc::new(Source { source, enabled })),
                Err(problems) => unparsed.push(Unparsed {
                    id: (Entity::EventSource, stored.event_source.name.clone(), stored.event_source.version),
                    reason: problems.to_string(),
                }),
            }
        }
        (Self { revision: wire.revision, components, event_sources, wire }, unparsed)
    }
}

struct Unparsed {
    id: (Entity, String, i64),
    reason: String,
}

// === impl ConfigurationCache ===

impl ConfigurationCache {
    /// Reads the store once; without a first configuration there is nothing to serve.
    pub async fn load(store: Arc<dyn Store>, journal: Arc<Journal>) -> StoreResult<Arc<Self>> {
        let empty = Arc::new(Snapshot::default());
        let cache = Self {
            store,
            journal,
            current: ArcSwap::new(empty.clone()),
            changes: watch::Sender::new(empty),
            commits: watch::Sender::default(),
            refresh: tokio::sync::Mutex::default(),
        };
        let (snapshot, unparsed) = Snapshot::parse(cache.store.configuration().await?);
        cache.refresh.lock().await.complain(unparsed);
        cache.publish(Arc::new(snapshot));
        Ok(Arc::new(cache))
    }

    /// The newest configuration known. Cheap.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Follows every change; holds the current configuration at once.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.changes.subscribe()
    }

    /// Follows what this node commits: other nodes may be told.
    pub fn commits(&self) -> watch::Receiver<Revision> {
        self.commits.subscribe()
    }

    /// Applies all `ops` or none. When it returns, [`Self::current`] includes them.
    pub async fn commit(&self, ops: Vec<Op>) -> StoreResult<Arc<Snapshot>> {
        let revision = self.store.commit(ops).await?;
        self.commits.send_replace(revision);
        self.refresh().await.map_err(|error| match error {
            StoreError::Unavailable { reason } => StoreError::Unavailable {
                reason: format!("the change is stored, but could not be read back yet: {reason}"),
            },
            other => other,
        })
    }

    /// Decides on the current configuration and commits the decision while that is current: on a change
    /// by somebody else in between it decides again. `decide` gives the steps and whatever the caller
    /// wants to tell of them.
    pub async fn update<T, E>(
        &self,
        decide: impl Fn(&Snapshot) -> Result<(Vec<Op>, T), E>,
    ) -> Result<T, UpdateError<E>> {
        let mut last = None;
        for _ in 0..MAX_DECISIONS {
            let snapshot = self.current();
            let (mut ops, told) = decide(&snapshot).map_err(UpdateError::Refused)?;
            if ops.is_empty() {
                return Ok(told);
            }
            ops.insert(0, Op::ExpectRevision { revision: snapshot.revision });
            match self.commit(ops).await {
                Ok(_) => return Ok(told),
                Err(error) if error.is_outdated_revision() => {
                    self.refresh().await.map_err(UpdateError::Store)?;
                    last = Some(error);
                }
                Err(error) => return Err(UpdateError::Store(error)),
            }
        }
        let reason = last.map_or_else(String::new, |error| error.to_string());
        Err(UpdateError::Store(StoreError::Unavailable {
            reason: format!("the configuration changed {MAX_DECISIONS} times meanwhile, try again: {reason}"),
        }))
    }

    /// Follows changes by others and repairs what was missed, until `token` fires.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        let mut tick = tokio::time::interval(WATCH_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut away = false;
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                _ = tick.tick() => {}
            }
            let looked = tokio::select! {
                () = token.cancelled() => return,
                looked = self.look() => looked,
            };
            self.tell_reachability(&mut away, looked.err());
        }
    }

    /// Reads the store's revision and takes in what changed.
    pub async fn look(&self) -> StoreResult<()> {
        if self.store.revision().await? != self.current().revision {
            self.refresh().await?;
        }
        Ok(())
    }

    async fn refresh(&self) -> StoreResult<Arc<Snapshot>> {
        let mut refresh = self.refresh.lock().await;
        let wire = self.store.configuration().await?;
        let current = self.current();
        if wire.revision == current.revision {
            return Ok(current);
        }
        let (snapshot, unparsed) = Snapshot::parse(wire);
        refresh.complain(unparsed);
        let snapshot = Arc::new(snapshot);
        for entry in changes::between(&current, &snapshot) {
            self.journal.record(entry);
        }
        self.publish(snapshot.clone());
        Ok(snapshot)
    }

    fn publish(&self, snapshot: Arc<Snapshot>) {
        self.current.store(snapshot.clone());
        self.changes.send_replace(snapshot);
    }

    /// Once when the store goes away and once when it is back, however long that takes.
    fn tell_reachability(&self, away: &mut bool, error: Option<StoreError>) {
        let entry = match (&error, *away) {
            (Some(error), false) => {
                Entry::new(Kind::Dependency, "the store went away; the configuration is served from memory")
                    .because(error.to_string())
            }
            (None, true) => Entry::new(Kind::Dependency, "the store is back"),
            _ => return,
        };
        *away = error.is_some();
        self.journal.record(entry);
    }
}

// === impl Refresh ===

impl Refresh {
    fn complain(&mut self, unparsed: Vec<Unparsed>) {
        // What was repaired or removed may break anew, and the set stays as small as the trouble.
        self.complained.retain(|id| unparsed.iter().any(|found| found.id == *id));
        for Unparsed { id, reason } in unparsed {
            if self.complained.insert(id.clone()) {
                let (entity, name, version) = id;
                tracing::error!(
                    %entity, name, version, reason,
                    "a stored entity can't be used and is left out; put or remove it to repair this"
                );
            }
        }
    }
}

// === impl UpdateError ===

impl<E> From<StoreError> for UpdateError<E> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests;
