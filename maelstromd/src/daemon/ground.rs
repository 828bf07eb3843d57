//! What everything else stands on: the store with this node's name beside it, the configuration read from
//! it, the journal, the clock. Without these there is nothing to serve.

use std::{path::PathBuf, sync::Arc};

use maelstrom_core::{
    names::NodeId,
    ports::{clock::Clock, store::Store},
};

use super::{StartError, identity};
use crate::{
    clock::SystemClock,
    cluster::ConfigurationCache,
    config::{Settings, StoreSetting},
    journal::Journal,
    store,
};

/// What a node's own is kept under, in the folder for that, when its store is elsewhere.
const NAME_FILE: &str = "maelstrom";

/// See the module.
pub(super) struct Ground {
    pub(super) id: NodeId,
    /// What this node keeps of its own lies beside this path.
    pub(super) beside: PathBuf,
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
        let store = store::open(&settings.store, &settings.secrets_keys, &clock).await?;
        let beside = beside(settings);
        let id = match &settings.node_id {
            Some(name) => NodeId::new(name.as_str()),
            None => identity::node_id(&beside)?,
        };
        let journal = Arc::new(Journal::new(id.clone()));
        let configuration = ConfigurationCache::load(store.clone(), journal.clone()).await?;
        Ok(Self { id, beside, place: settings.store.to_string(), store, journal, configuration, clock })
    }
}

fn beside(settings: &Settings) -> PathBuf {
    match &settings.store {
        StoreSetting::Sqlite(path) => path.clone(),
        StoreSetting::DynamoDb(_) => settings.state_dir.join(NAME_FILE),
    }
}
