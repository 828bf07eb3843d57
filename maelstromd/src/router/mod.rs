//! From a request to a slot of an instance, in memory alone.
//!
//! The configuration is an immutable snapshot (routes and one [`ComponentPool`] per component) that is
//! swapped as a whole; a lookup takes no lock and allocates nothing. Pools outlive the snapshots: when a
//! component is put again its pool gets the new settings, and instances and waiters stay.
//!
//! Who waits is demand. [`Router::demand`] wakes the control loop when a component without an instance
//! has a waiter; [`Router::starving`] tells which, so that a lost wake-up costs time and nothing else.
//!
//! Instances of peers are in the same pools ([`Router::set_peer`]): a slot leads to an instance here or to a
//! peer, which has the last word about its own.
//!
//! Never does I/O, and never decides how many instances run or where.

mod acquire;
mod cold_start;
mod endpoint;
mod peers;
mod pool;
mod reading;
mod slot;

#[cfg(test)]
mod peer_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;
use maelstrom_core::{
    component::Component,
    decide::{
        Decided,
        route::{Route, RouteTable},
    },
    event_source::{EventSource, EventSourceKind},
    names::{ComponentName, EventSourceName},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use acquire::{AcquireError, Ask, StartFailure};
pub use cold_start::{ColdStart, Phase};
pub use endpoint::Endpoint;
pub use peers::{Peer, PeerServing};
pub use pool::{ComponentPool, Retired};
pub use reading::{InstanceReading, Load, PeerReading, PoolReading};
pub use slot::Slot;

use self::peers::Peers;
use crate::{cluster::Snapshot, journal::Journal};

/// Routes and pools of this node.
#[derive(Debug)]
pub struct Router {
    table: ArcSwap<Table>,
    /// Configurations are put in place and peers changed one after the other, under this lock.
    peers: Mutex<Peers>,
    me: Weak<Router>,
    journal: Arc<Journal>,
    demand: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Table {
    /// Rises with every configuration, 0 = none yet.
    generation: u64,
    routes: RouteTable<Arc<ComponentPool>>,
    pools: HashMap<ComponentName, Arc<ComponentPool>>,
}

/// Where a public request goes.
#[derive(Clone, Debug)]
pub struct Pick {
    pub pool: Arc<ComponentPool>,
    /// Bytes to remove from the front of the path; if nothing remains, the path is `/`.
    pub strip: usize,
}

// === impl Router ===

impl Router {
    pub fn new(journal: Arc<Journal>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            table: ArcSwap::default(),
            peers: Mutex::default(),
            me: me.clone(),
            journal,
            demand: Arc::default(),
        })
    }

    /// Puts a configuration in place: the components and the enabled event sources. Components that are
    /// gone turn their waiters away; those that stay keep instances and waiters.
    pub fn configure(&self, snapshot: &Snapshot) {
        let peers = self.peers.lock();
        let old = self.table.load_full();
        let pools: HashMap<ComponentName, Arc<ComponentPool>> = snapshot
            .components
            .values()
            .map(|component| (component.name.clone(), self.pool(&old, component)))
            .inspect(|(_, pool)| peers.seat(pool))
            .collect();
        let enabled = snapshot.event_sources.iter().filter(|source| source.enabled);
        let routes = enabled.filter_map(|source| route(&source.source, &pools)).collect();
        self.table.store(Arc::new(Table {
            generation: old.generation + 1,
            routes: RouteTable::new(routes),
            pools,
        }));
        drop(peers);
        let new = self.table.load();
        for (_, pool) in old.pools.iter().filter(|(name, _)| !new.pools.contains_key(*name)) {
            pool.close(&AcquireError::Removed);
        }
        self.demand.notify_one();
    }

    /// Rises with every configuration; 0: none was put in place yet, so nothing is known to be unwanted.
    pub fn generation(&self) -> u64 {
        self.table.load().generation
    }

    fn pool(&self, old: &Table, component: &Arc<Component>) -> Arc<ComponentPool> {
        match old.pools.get(&component.name) {
            Some(pool) => {
                pool.configure(Arc::clone(component));
                Arc::clone(pool)
            }
            None => {
                ComponentPool::new(Arc::clone(component), Arc::clone(&self.journal), Arc::clone(&self.demand))
            }
        }
    }

    /// The component of a public request, by the enabled http event sources.
    #[inline]
    pub fn pick(&self, host: &str, path: &str) -> Option<Pick> {
        let table = self.table.load();
        let found = table.routes.find(host, path)?;
        Some(Pick { pool: Arc::clone(&found.route.target), strip: found.strip })
    }

    /// Why a public request goes where it goes.
    pub fn explain(&self, host: &str, path: &str) -> Decided<Option<EventSourceName>> {
        self.table.load().routes.explain(host, path)
    }

    /// A component by its name, whatever its case.
    pub fn component(&self, name: &str) -> Option<Arc<ComponentPool>> {
        let table = self.table.load();
        let found = table.pools.get(name);
        // Names are stored in lower case.
        found.or_else(|| table.pools.get(name.to_ascii_lowercase().as_str())).cloned()
    }

    /// All components' pools, by name.
    pub fn pools(&self) -> Vec<Arc<ComponentPool>> {
        let mut pools: Vec<_> = self.table.load().pools.values().cloned().collect();
        pools.sort_by(|a, b| a.name().cmp(b.name()));
        pools
    }

    /// Wakes one listener when a component that has no instance gets a waiter, and when a configuration
    /// was put in place. Keeps one wake-up.
    pub fn demand(&self) -> &Notify {
        &self.demand
    }

    /// Components that have waiters and nothing that serves them: neither an instance here nor a peer that
    /// answers.
    pub fn starving(&self) -> Vec<Arc<ComponentPool>> {
        self.table.load().pools.values().filter(|pool| pool.is_starving()).cloned().collect()
    }

    /// Turns away all who wait and all who come: the node stops.
    pub fn close(&self) {
        for pool in self.table.load().pools.values() {
            pool.close(&AcquireError::ShuttingDown);
        }
    }
}

/// `None`: no http event source, or its component doesn't exist.
fn route(
    source: &EventSource,
    pools: &HashMap<ComponentName, Arc<ComponentPool>>,
) -> Option<Route<Arc<ComponentPool>>> {
    let EventSourceKind::Http(http) = &source.kind else { return None };
    let target = Arc::clone(pools.get(&source.component)?);
    Some(Route { name: source.name.clone(), http: http.clone(), target })
}
