//! What everything else stands on: the store with this node's name beside it, the configuration read from
//! it, the journal, the clock. Without these there is nothing to serve.

use std::sync::Arc;

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
    store,
};

/// What a node's name is kept under, in the folder for that, when its store is elsewhere.
const NAME_FILE: &str = "maelstrom";

/// See the module.
pub(super) struct Ground {
    pub(super) id: NodeId,
    /// Which store it is, for people.
    pub(super) place: String,
    pub(super) store: Arc<dyn Store>,
    pub(super) journal: Arc<Journal>,
    pub(super) configuration: Arc<ConfigurationCache>,
    pub(super) clock: Arc<dyn Clock>,
}

// === impl Ground ===

impl Ground {
    /// Opens the store first: who holds it may read and make the node's name.
    pub(super) async fn open(settings: &Settings) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = store::open(&settings.store, &clock).await?;
        let id = node_id(settings)?;
        let journal = Arc::new(Journal::new(id.clone()));
        let configuration = ConfigurationCache::load(store.clone(), journal.clone()).await?;
        Ok(Self { id, place: settings.store.to_string(), store, journal, configuration, clock })
    }
}

fn node_id(settings: &Settings) -> Result<NodeId, IdentityError> {
    match (&settings.node_id, &settings.store) {
        (Some(name), _) => Ok(NodeId::new(name.as_str())),
        (None, StoreSetting::Sqlite(path)) => identity::node_id(path),
        (None, StoreSetting::DynamoDb(_)) => identity::node_id(&settings.state_dir.join(NAME_FILE)),
    }
}
