//! What everything else stands on: the store with this node's name beside it, the configuration read from
//! it, the journal, the clock. Without these there is nothing to serve.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use maelstrom_core::{
    names::NodeId,
    ports::{clock::Clock, store::Store},
};

use super::{
    StartError,
    identity::{self, IdentityError},
};
use crate::{
    clock::SystemClock,
    cluster::ConfigurationCache,
    config::{Settings, StoreSetting},
    journal::Journal,
    store::sqlite::SqliteStore,
};

/// See the module.
pub(super) struct Ground {
    pub(super) id: NodeId,
    pub(super) path: PathBuf,
    pub(super) store: Arc<dyn Store>,
    pub(super) journal: Arc<Journal>,
    pub(super) configuration: Arc<ConfigurationCache>,
    pub(super) clock: Arc<dyn Clock>,
}

// === impl Ground ===

impl Ground {
    /// Opens the store first: who holds it may read and make the node's name.
    pub(super) async fn open(settings: &Settings) -> Result<Self, StartError> {
        let path = match &settings.store {
            StoreSetting::Sqlite(path) => path.clone(),
            StoreSetting::DynamoDb(table) => return Err(StartError::NoSuchStore { table: table.clone() }),
        };
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await?);
        let id = node_id(settings, &path)?;
        let journal = Arc::new(Journal::new(id.clone()));
        let configuration = ConfigurationCache::load(store.clone(), journal.clone()).await?;
        Ok(Self { id, path, store, journal, configuration, clock: Arc::new(SystemClock) })
    }
}

fn node_id(settings: &Settings, store: &Path) -> Result<NodeId, IdentityError> {
    match &settings.node_id {
        Some(name) => Ok(NodeId::new(name.as_str())),
        None => identity::node_id(store),
    }
}
