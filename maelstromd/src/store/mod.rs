//! The store that the settings name: an SQLite file for one node, a DynamoDB table for a cluster.

pub mod metrics;
pub mod sqlite;

use std::sync::Arc;

use maelstrom_aws::{Account, DynamoStore, dynamo};
use maelstrom_core::ports::{
    clock::Clock,
    store::{Store, StoreError, StoreResult},
};

use self::sqlite::SqliteStore;
use crate::{clock::SystemClock, config::StoreSetting};

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

/// Makes the table of a cluster, if it isn't there, and everything that belongs to it. Tells what was found
/// and done, a line each.
pub async fn init(setting: &StoreSetting) -> StoreResult<Vec<String>> {
    let StoreSetting::DynamoDb(table) = setting else {
        let reason = format!("{setting} needs no making; name a table: maelstromd store init dynamodb:TABLE");
        return Err(StoreError::Broken { reason });
    };
    let account = Account::from_environment().await?;
    let told = dynamo::create_table(&account, table).await?;
    // The whole way, so that a daemon will find it as it should be.
    DynamoStore::open(&account, table, Arc::new(SystemClock)).await?;
    Ok(told)
}
