//! Versions and start orders over all nodes.

use anyhow::{Result, ensure};
use maelstrom_tests::{
    hosts::witness::InstanceWatch,
    image,
    wait::{self, LONG},
};
use serde_json::json;

use crate::support::{Loads, mix, on_three, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_over_all_nodes_under_load_loses_no_request() -> Result<()> {
    on_three(async |cluster| {
        let fields = json!({ "minInstances": 3, "maxInstances": 3, "RestartOrder": "startstop" });
        serve(cluster, "web", 3, fields.clone()).await?;
        let loads = Loads::start(cluster, &[0, 1, 2], &mix(4));
        loads.go_on(30).await?;
        let version =
            cluster[1].api().put_component("web", fields, json!({ "image": image::APP_NEXT })).await?;
        wait::until("three instances of the new version", LONG, || async {
            let mut new = 0;
            for host in cluster.hosts() {
                let all = host.api().instances("web").await?;
                ensure!(all.iter().all(|i| i["componentVersion"] == version), "{}: {all:?}", host.node());
                new += all.iter().filter(|i| i["status"] == "active").count();
            }
            ensure!(new == 3, "{new} are active");
            Ok(Some(()))
        })
        .await?;
        loads.go_on(30).await?;
        for host in cluster.hosts() {
            let answer = host.public().get("/counter").await?;
            ensure!(answer.header("x-app-version") == Some("2"), "{}", host.node());
        }
        loads.finish().await.expect_none_lost(300)
    })
    .await
}

/// Unix nanoseconds when each began; the first of them until it was healthy takes `ready_ms`.
async fn starts(parallelism: &str, ready_ms: u64) -> Result<Vec<i64>> {
    let mut begun = Vec::new();
    on_three(async |cluster| {
        let watch = InstanceWatch::start(cluster, "web").await?;
        let fields = json!({
            "minInstances": 3, "maxInstances": 3, "startParallelism": parallelism,
            "environment": [{ "name": "APP_READY_AFTER_MS", "value": ready_ms.to_string() }],
        });
        cluster[0].api().put_component("web", fields, json!({})).await?;
        let spread = cluster.wait_active("web", 3).await?;
        ensure!(spread == [1, 1, 1], "{spread:?}");
        begun = watch.begun().await;
        Ok(())
    })
    .await?;
    ensure!(begun.len() == 3, "{begun:?}");
    Ok(begun)
}

/// Between starts, in milliseconds.
fn gaps(begun: &[i64]) -> Vec<i64> {
    begun.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_starts_one_instance_after_the_other_over_all_nodes() -> Result<()> {
    let gaps = gaps(&starts("series", 1_500).await?);
    ensure!(gaps.iter().all(|gap| *gap >= 1_400), "started {gaps:?} ms after each other");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seriesfirst_starts_the_others_when_the_first_is_healthy() -> Result<()> {
    let gaps = gaps(&starts("seriesfirst", 3_000).await?);
    ensure!(gaps[0] >= 2_900 && gaps[1] < 2_900, "started {gaps:?} ms after each other");
    Ok(())
}
