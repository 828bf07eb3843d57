//! The store that the settings name: an SQLite file for one node, a DynamoDB table for a cluster;
//! and what lies in it sealed.

pub mod metrics;
mod seal;
mod sealed;
pub mod sqlite;

use std::sync::Arc;

use maelstrom_aws::{Account, DynamoStore};
use maelstrom_core::ports::{
    clock::Clock,
    store::{Store, StoreError, StoreResult},
};

use self::{seal::Seal, sealed::SealedStore, sqlite::SqliteStore};
use crate::{access::Secret, config::StoreSetting};

/// Opens it. A file is made if it isn't there; a table has to be. Secrets lie in it sealed with the first of `keys`.
pub async fn open(
    setting: &StoreSetting,
    keys: &[Secret],
    clock: &Arc<dyn Clock>,
) -> StoreResult<Arc<dyn Store>> {
    let seal = Seal::new(keys).map_err(|error| StoreError::Broken { reason: error.to_string() })?;
    let store: Arc<dyn Store> = match setting {
        StoreSetting::Sqlite(path) => Arc::new(SqliteStore::open(path).await?),
        StoreSetting::DynamoDb(table) => {
            let account = Account::from_environment().await?;
            Arc::new(DynamoStore::open(&account, table, clock.clone()).await?)
        }
    };
    Ok(Arc::new(SealedStore::new(store, seal)))
}
