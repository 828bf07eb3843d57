//! The store is away for all: what is warm goes on, what needs it is refused clearly, and all resumes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use maelstrom_tests::{
    hosts::{Cluster, Conduct, witness::RoleWatch},
    wait::{self, LONG},
};
use serde_json::json;

use crate::support::{Loads, mix, on_three, serve};

/// Longer than a lease. `MAEL_TEST_STORE_AWAY_SECONDS=300` makes it five minutes.
fn away() -> Duration {
    let asked = std::env::var("MAEL_TEST_STORE_AWAY_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(25))
}

async fn instances(cluster: &Cluster) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for host in cluster.hosts() {
        let all = host.api().instances("web").await?;
        found.extend(all.iter().filter_map(|i| i["instanceId"].as_str().map(str::to_owned)));
    }
    found.sort();
    Ok(found)
}

async fn is_away(conduct: Conduct) -> Result<()> {
    on_three(async |cluster| {
        serve(cluster, "web", 3, json!({})).await?;
        let before = instances(cluster).await?;
        let roles = RoleWatch::start(cluster);
        let loads = Loads::start(cluster, &[0, 1, 2], &mix(4));
        loads.go_on(50).await?;
        cluster.store(conduct);
        let end = Instant::now() + away();
        // A write is refused soon, and says what is wrong.
        let begun = Instant::now();
        let refused = cluster[1].api().put_component("other", json!({}), json!({})).await.err();
        let refused = format!("{:#}", refused.context("a write was accepted")?);
        ensure!(begun.elapsed() < Duration::from_secs(20), "refused after {:?}", begun.elapsed());
        ensure!(refused.contains("-32001") && refused.contains("DynamoDB"), "{refused}");
        while Instant::now() < end {
            loads.go_on(20).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        ensure!(instances(cluster).await? == before, "instances were touched");
        cluster.store(Conduct::Pass);
        wait::until("a write to be accepted", LONG, || async {
            cluster[1].api().put_component("other", json!({ "maxInstances": 1 }), json!({})).await.map(Some)
        })
        .await?;
        cluster.settle().await?;
        let cold = cluster[2].private().component("other", "/counter").await?;
        ensure!(cold.status == 200, "{} {}", cold.status, cold.text());
        ensure!(instances(cluster).await? == before, "instances were touched");
        loads.go_on(20).await?;
        roles.finish().await?;
        loads.finish().await.expect_none_lost(500)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_under_load() -> Result<()> {
    is_away(Conduct::Refuse).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_under_load() -> Result<()> {
    is_away(Conduct::Silent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_under_load() -> Result<()> {
    on_three(async |cluster| {
        serve(cluster, "web", 3, json!({})).await?;
        let roles = RoleWatch::start(cluster);
        let loads = Loads::start(cluster, &[0, 1, 2], &mix(4));
        cluster.store(Conduct::Delay(Duration::from_millis(300)));
        tokio::time::sleep(Duration::from_secs(25)).await;
        // Slow is not away: writes work, and owners stay.
        cluster[1].api().put_component("other", json!({}), json!({})).await?;
        cluster.owner("placement").await?;
        let owners = roles.finish().await?;
        ensure!(owners.iter().all(|tenure| tenure.term == 1), "{owners:?}");
        loads.finish().await.expect_none_lost(300)
    })
    .await
}
