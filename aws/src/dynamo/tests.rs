mod commits;
mod cost;
mod crashes;
mod failures;
mod harness;
mod tables;

use std::sync::Arc;

use maelstrom_core::ports::store::Store;

use harness::Fixture;

async fn fresh() -> (Arc<dyn Store>, Fixture) {
    let fixture = Fixture::new().await;
    (Arc::new(fixture.open().await), fixture)
}

maelstrom_core::store_conformance!(fresh);
