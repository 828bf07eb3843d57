//! Nodes that can't reach each other, or not the store, and what they may not do then: own a role twice,
//! fire a cron rule twice, stop serving what is warm.

use std::time::Duration;

use anyhow::{Result, ensure};
use maelstrom_tests::{
    hosts::{
        Cluster, Severed,
        witness::{OutputWatch, RoleWatch, fired},
    },
    load::Job,
    wait::{self, LONG},
};
use serde_json::json;

use crate::support::{Loads, on, on_three, serve};

/// Longer than a lease: what was owned is somebody else's by then.
const CUT: Duration = Duration::from_secs(25);
const TICK: &str = "tick";

/// A rule that fires each second and whose component writes a line each time.
async fn cron(cluster: &Cluster) -> Result<()> {
    let api = cluster[0].api();
    api.put_component("clock", json!({ "minInstances": 1, "maxInstances": 1 }), json!({})).await?;
    let http = json!({ "method": "GET", "path": format!("/log?line={TICK}") });
    let cron = json!({ "schedule": "@every 1s", "http": http });
    let source =
        json!({ "name": "rule", "componentName": "clock", "version": 0, "modifiedAt": 0, "cron": cron });
    api.rpc("MaelstromService.PutEventSource", json!({ "eventSource": source })).await?;
    wait::until("the rule to fire", LONG, || async {
        Ok((!fired(cluster, "rule").await?.is_empty()).then_some(()))
    })
    .await
}

/// Cuts the owner of the roles off, waits, heals, and judges.
async fn cut_off(cluster: &mut Cluster, severed: Severed) -> Result<()> {
    let output = OutputWatch::start(cluster);
    cron(cluster).await?;
    serve(cluster, "web", 3, json!({})).await?;
    let victim = cluster.owner("cron").await?;
    let roles = RoleWatch::start(cluster);
    let gets = vec![Job::Get("/sleep?ms=5".into()), Job::Get("/bytes?n=5000".into())];
    let loads = Loads::start(cluster, &[0, 1, 2], &gets);
    loads.go_on(50).await?;

    cluster.partition(&[victim], severed)?;
    tokio::time::sleep(CUT).await;
    if severed != Severed::Peers {
        // It can't prove any more that it owns anything.
        let owner = cluster.owner("cron").await?;
        ensure!(owner != victim, "the node that is cut off still owns 'cron'");
    }
    // Both sides serve what is warm.
    loads.go_on(20).await?;

    cluster.heal()?;
    cluster.settle().await?;
    cluster.wait_active("web", 3).await?;
    let before = fired(cluster, "rule").await?.len();
    wait::until("the rule to fire on", LONG, || async {
        Ok((fired(cluster, "rule").await?.len() >= before + 3).then_some(()))
    })
    .await?;
    loads.go_on(20).await?;

    let report = loads.finish().await;
    roles.finish().await?;
    cluster[0]
        .api()
        .rpc("MaelstromService.ToggleEventSources", json!({ "enabled": false, "namePrefix": "rule" }))
        .await?;
    // What is under way ends.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let due = fired(cluster, "rule").await?.len();
    let ticks = output.finish(TICK).await;
    ensure!(ticks <= due, "the component was called {ticks} times for {due} due times");
    ensure!(ticks >= 5, "the component was called {ticks} times only");
    report.expect_none_lost(300)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_its_peers() -> Result<()> {
    on_three(async |cluster| cut_off(cluster, Severed::Peers).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_the_store() -> Result<()> {
    on_three(async |cluster| cut_off(cluster, Severed::Store).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_both() -> Result<()> {
    on_three(async |cluster| cut_off(cluster, Severed::Both).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_answers_are_lost() -> Result<()> {
    on_three(async |cluster| cut_off(cluster, Severed::StoreAnswers).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_both_while_clocks_differ() -> Result<()> {
    use maelstrom_tests::hosts::Clocks;
    let plan = Cluster::plan(3)
        .clocks(0, Clocks { up_seconds: 90_000, wall_seconds: 0 })
        .clocks(1, Clocks { up_seconds: 30, wall_seconds: 0 });
    on(plan, async |cluster| cut_off(cluster, Severed::Both).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_loses_packets_loses_no_request() -> Result<()> {
    on_three(async |cluster| {
        serve(cluster, "web", 2, json!({ "maxConcurrency": 4 })).await?;
        let roles = RoleWatch::start(cluster);
        cluster.lose(0.05)?;
        let loads = Loads::start(cluster, &[0, 1, 2], &vec![Job::Get("/sleep?ms=5".into()); 4]);
        tokio::time::sleep(Duration::from_secs(15)).await;
        cluster.heal()?;
        loads.go_on(20).await?;
        roles.finish().await?;
        loads.finish().await.expect_none_lost(200)
    })
    .await
}
