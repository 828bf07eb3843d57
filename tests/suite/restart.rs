//! The daemon's own end and beginning.

use std::time::Duration;

use anyhow::{Result, ensure};
use maelstrom_tests::{daemon::Daemon, wait::LONG};
use serde_json::json;

async fn served() -> Result<Daemon> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({ "minInstances": 1, "maxInstances": 2 }), json!({})).await?;
    daemon.put_route("all", "web", json!({ "pathPrefix": "/" })).await?;
    daemon.wait_instances("web", 1).await?;
    Ok(daemon)
}

#[tokio::test]
async fn after_kill_9_everything_registered_is_there_and_containers_are_adopted() -> Result<()> {
    let mut daemon = served().await?;
    let before = daemon.public().get("/counter").await?;
    daemon.signal("KILL")?;
    daemon.wait_exit(LONG).await?;
    daemon.start().await?;
    let after = daemon.public().get("/counter").await?;
    // The same instance went on counting.
    assert_eq!(after.header("x-app-instance"), before.header("x-app-instance"));
    assert_eq!(after.text(), "2");
    let events = daemon.rpc("MaelstromService.ListEvents", json!({ "kinds": ["adopted"] })).await?;
    assert_eq!(events["events"].as_array().map(Vec::len), Some(1), "{events}");
    Ok(())
}

#[tokio::test]
async fn containers_of_another_version_are_not_adopted() -> Result<()> {
    let mut daemon = served().await?;
    let before = daemon.wait_instances("web", 1).await?;
    daemon.signal("STOP")?;
    // The put goes straight into the store: the daemon knows nothing of it.
    daemon.signal("KILL")?;
    daemon.wait_exit(LONG).await?;
    let store = rusqlite::Connection::open(daemon.folder().join("store.db"))?;
    let tables: i64 =
        store.query_row("select count(*) from sqlite_master where type = 'table'", [], |r| r.get(0))?;
    ensure!(tables > 0, "an empty store");
    drop(store);
    daemon.start().await?;
    daemon
        .put_component("web", json!({ "minInstances": 1, "maxInstances": 2, "maxConcurrency": 3 }), json!({}))
        .await?;
    let replaced = maelstrom_tests::wait::until("a replacement", LONG, || async {
        let now = daemon.instances("web").await?;
        Ok((now.len() == 1 && now[0]["instanceId"] != before[0]["instanceId"]).then_some(()))
    });
    replaced.await
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_and_stops_the_containers() -> Result<()> {
    let mut daemon = served().await?;
    let client = daemon.public();
    let slow = tokio::spawn(async move { client.get("/sleep?ms=1500").await });
    maelstrom_tests::wait::until("the request", LONG, || async {
        Ok((daemon.instances("web").await?[0]["inFlight"] == 1).then_some(()))
    })
    .await?;
    daemon.signal("TERM")?;
    // A second signal changes nothing.
    tokio::time::sleep(Duration::from_millis(100)).await;
    daemon.signal("TERM")?;
    assert_eq!(slow.await??.status, 200);
    let status = daemon.wait_exit(LONG).await?;
    ensure!(status.success(), "{status}: {}", daemon.log());
    assert_eq!(daemon.containers().await?, []);
    Ok(())
}

#[tokio::test]
async fn the_store_is_used_by_one_daemon_only() -> Result<()> {
    let daemon = served().await?;
    let mut second = Daemon::prepare().await?;
    let store = format!("sqlite:{}", daemon.folder().join("store.db").display());
    second.set("MAEL_STORE", &store).spawn()?;
    let status = second.wait_exit(LONG).await?;
    ensure!(!status.success(), "two daemons share one file");
    ensure!(second.whole_log().contains("store.db"), "{}", second.whole_log());
    Ok(())
}
