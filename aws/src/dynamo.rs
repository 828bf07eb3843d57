//! The store of a cluster: one DynamoDB table, paid by use.
//!
//! | `pk` | `sk` | attributes |
//! |---|---|---|
//! | `configuration` | `root` | `revision`; `pages`: names in order; `recent`: the last commits; `store`, `format` |
//! | `page` | name | `entries`: `KIND/NAME` → `version`, `body` (JSON), `enabled` if false |
//! | `heartbeat` | node | `incarnation`, `beat`, `duration_ms`, `peer_url`, `written_at`, `expires` |
//! | `role` | role | `owner` or `expires`, `incarnation`, `term`, `version` |
//! | `fire` | rule | `due`, `claimant` |
//!
//! * Pages never change. A commit reads the root, decides in memory, writes the pages that its changes touch
//!   under new names, and replaces the root under the condition that it is still the one that was decided
//!   on: that one write is the commit, whatever its size. Who reads the root reads one revision.
//! * A commit that is cut off before has written pages that nobody refers to. A page's name begins with the
//!   revision that it was made for: when that has come without it, it is garbage, whatever any clock says.
//!   The next start finds it while it reads all pages anyway, the next commit removes it.
//! * Replaced pages are removed by the next commit of the node that replaced them: who still reads them has
//!   that long. Who comes too late finds them missing, and the root changed.
//! * A commit whose answer was lost finds its own name in the root when the write is sent again.
//! * `expires` is the table's TTL attribute: heartbeats of nodes that are gone, roles that nobody wants.
//! * The root is small (under 1 KiB for configurations up to about 1 MB, under 4 KiB up to 6 MB), so that
//!   each node's look at it each second is one read unit. Pages that a node knows already are not read again.

mod cluster;
mod configuration;
mod edit;
mod failure;
mod item;
mod page;
mod root;
mod schema;
mod table;
mod usage;

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::{Client, config};
use maelstrom_core::{
    names::NodeId,
    ports::{
        BoxFuture,
        clock::Clock,
        store::{Configuration, Heartbeat, Op, Revision, RoleRecord, Store, StoreResult, Usage},
    },
    time::WallTime,
};
use parking_lot::Mutex;
use ulid::Ulid;

use self::{
    configuration::View,
    failure::{Endpoint, Place},
    root::Root,
    table::{Condition, Table, Written},
    usage::{Call, Counts},
};
use crate::Account;

pub use schema::create_table;

/// After this a caller hears that the store is not available. A quarter of the usual lease, so that a
/// node that can't write hears of it while it still may act; above the limit of one request, so that the
/// request's own error comes first.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How much of that a commit leaves for what comes after it has succeeded or failed.
const CLEANING_LIMIT: Duration = Duration::from_millis(500);

/// A handle to the table. Takes nothing with it when it is dropped.
pub struct DynamoStore {
    table: Table,
    clock: Arc<dyn Clock>,
    /// Which table this is, should another one come in its place.
    store: String,
    /// What was read or written last.
    known: Mutex<Option<Arc<View>>>,
    /// Names of pages to let go of.
    garbage: Mutex<Vec<String>>,
    commits: tokio::sync::Mutex<()>,
}

// === impl DynamoStore ===

impl DynamoStore {
    /// Opens a table that [`create_table`] or somebody else has made. Errors say what is wrong with which
    /// table and what to do. `clock` tells when what nodes leave
    /// behind may expire, nothing else.
    pub async fn open(account: &Account, table: &str, clock: Arc<dyn Clock>) -> StoreResult<Self> {
        let endpoint = Endpoint::default();
        let config = config::Builder::from(account.config()).interceptor(endpoint.clone()).build();
        let place = Place { table: table.to_owned(), region: account.region().to_owned(), endpoint };
        Self::with(Table { client: Client::from_conf(config), place, counts: Counts::default() }, clock).await
    }

    async fn with(table: Table, clock: Arc<dyn Clock>) -> StoreResult<Self> {
        let limit = table.place.unavailable(slow());
        let opened = async {
            schema::check(&table).await?;
            first_root(&table).await
        };
        let root = tokio::time::timeout(CALL_LIMIT, opened).await.unwrap_or(Err(limit))?;
        Ok(Self {
            table,
            clock,
            store: root.store,
            known: Mutex::default(),
            garbage: Mutex::default(),
            commits: tokio::sync::Mutex::default(),
        })
    }

    /// Ends in bounded time, whatever its requests do.
    fn bounded<'a, T: Send + 'a>(
        &'a self,
        call: impl Future<Output = StoreResult<T>> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move {
            let done = tokio::time::timeout(CALL_LIMIT, call).await;
            done.unwrap_or_else(|_| Err(self.table.place.unavailable(slow())))
        })
    }
}

fn slow() -> String {
    format!("did not do what was asked within {} s; it is overloaded or far away", CALL_LIMIT.as_secs())
}

/// The root that is there; in a new table the first one, which one of many that start at once makes.
async fn first_root(table: &Table) -> StoreResult<Root> {
    if let Some(item) = table.get(Call::Open, root::key()).await? {
        return Root::decode(&item, &table.place);
    }
    let root = Root::first(Ulid::generate().to_string());
    match table.put(Call::Open, root.encode(), Condition::absent()).await? {
        Written::Done => Ok(root),
        Written::Refused(item) => Root::decode(&item, &table.place),
    }
}

impl Store for DynamoStore {
    fn usage(&self) -> Vec<Usage> {
        self.table.counts.usage()
    }

    fn revision(&self) -> BoxFuture<'_, StoreResult<Revision>> {
        self.bounded(async { Ok(self.root(Call::Revision).await?.revision) })
    }

    fn configuration(&self) -> BoxFuture<'_, StoreResult<Configuration>> {
        self.bounded(async { Ok(self.view(Call::Configuration).await?.configuration()) })
    }

    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, StoreResult<Revision>> {
        Box::pin(async move {
            // Of earlier commits: what this one replaces is still being read. What is forgotten of it when a
            // caller gives up is found by the next start.
            let garbage = std::mem::take(&mut *self.garbage.lock());
            let time = CALL_LIMIT - CLEANING_LIMIT;
            let committed = tokio::time::timeout(time, self.try_commit(&ops)).await;
            let committed = committed.unwrap_or_else(|_| Err(self.table.place.unavailable(slow())));
            // Garbage has time; an answer hasn't.
            let _ = tokio::time::timeout(CLEANING_LIMIT, self.remove(garbage)).await;
            committed
        })
    }

    fn beat(&self, heartbeat: Heartbeat) -> BoxFuture<'_, StoreResult<()>> {
        self.bounded(self.write_heartbeat(heartbeat))
    }

    fn heartbeats(&self) -> BoxFuture<'_, StoreResult<Vec<Heartbeat>>> {
        self.bounded(self.read_heartbeats())
    }

    fn remove_heartbeat(&self, node: NodeId, incarnation: String) -> BoxFuture<'_, StoreResult<()>> {
        self.bounded(self.delete_heartbeat(node, incarnation))
    }

    fn roles(&self) -> BoxFuture<'_, StoreResult<Vec<RoleRecord>>> {
        self.bounded(self.read_roles())
    }

    fn write_role(&self, record: RoleRecord, seen: u64) -> BoxFuture<'_, StoreResult<()>> {
        self.bounded(self.put_role(record, seen))
    }

    fn claim_fire(&self, rule: String, due: WallTime, claimant: String) -> BoxFuture<'_, StoreResult<bool>> {
        self.bounded(self.put_fire(rule, due, claimant))
    }

    fn last_fires(&self) -> BoxFuture<'_, StoreResult<Vec<(String, WallTime)>>> {
        self.bounded(self.read_fires())
    }

    fn forget_fires(&self, rules: Vec<String>) -> BoxFuture<'_, StoreResult<()>> {
        self.bounded(self.delete_fires(rules))
    }
}

#[cfg(test)]
mod tests;
