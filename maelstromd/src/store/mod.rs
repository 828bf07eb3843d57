//! The store that the settings name: an SQLite file for one node, a DynamoDB table for a cluster.

pub mod metrics;
pub mod sqlite;

use std::sync::Arc;

use maelstrom_aws::{Account, DynamoStore};
use maelstrom_core::ports::{
    clock::Clock,
    store::{Store, StoreResult},
};

use self::sqlite::SqliteStore;
use crate::config::StoreSetting;

/// Opens it. A file is made if it isn't there; a table has to be.
pub async fn open(setting: &StoreSetting, clock: &Arc<dyn Clock>) -> StoreResult<Arc<dyn Store>> {
    Ok(match setting {
        StoreSetting::Sqlite(path) => Arc::new(SqliteStore::open(path).await?),
        StoreSetting::DynamoDb(table) => {
            let account = Account::from_environment().await?;
            Arc::new(DynamoStore::open(&account, table, clock.clone()).await?)
        }
    })
}
