//! Limits that hold over all nodes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use maelstrom_tests::{
    hosts::{Cluster, witness::InstanceWatch},
    load::Job,
    wait::{self, LONG},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Loads, on, on_three, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_maxconcurrency_1_no_instance_sees_two_requests_whatever_nodes_they_come_from() -> Result<()> {
    on_three(async |cluster| {
        serve(cluster, "one", 2, json!({ "maxConcurrency": 1 })).await?;
        let mut workers = JoinSet::new();
        for client in cluster.clients() {
            for _ in 0..12 {
                let client = client.clone();
                workers.spawn(async move {
                    let mut most = 0;
                    for _ in 0..12 {
                        let answer = client.get("/inflight?ms=3").await?;
                        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
                        most = most.max(answer.json()?["max"].as_u64().context("no max")?);
                    }
                    Ok(most)
                });
            }
        }
        let mut served = 0;
        while let Some(most) = workers.join_next().await {
            ensure!(most?? == 1, "an instance worked on two requests at once");
            served += 1;
        }
        ensure!(served == 36);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_place_is_given_out_once_when_all_nodes_ask_for_it() -> Result<()> {
    on_three(async |cluster| {
        let watch = InstanceWatch::start(cluster, "cold").await?;
        let api = cluster[0].api();
        api.put_component("cold", json!({ "maxInstances": 1, "maxConcurrency": 50 }), json!({})).await?;
        api.put_route("cold-all", "cold", json!({ "pathPrefix": "/" })).await?;
        let mut asks = JoinSet::new();
        for client in cluster.clients().into_iter().cycle().take(30) {
            asks.spawn(async move {
                wait::until("an answer", LONG, || async {
                    Ok((client.get("/counter").await?.status == 200).then_some(()))
                })
                .await
            });
        }
        while let Some(asked) = asks.join_next().await {
            asked??;
        }
        let most = watch.finish().await;
        ensure!(most == 1, "{most} instances ran at one time");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_maxinstances_2_there_are_never_3_while_nodes_die_and_load_grows() -> Result<()> {
    // What a silent node ran counts until it leaves: it may run on.
    on(Cluster::plan(3).set("MAEL_NODE_LIVENESS_SECONDS", "10"), async |cluster| {
        let watch = InstanceWatch::start(cluster, "two").await?;
        let fields = json!({ "minInstances": 1, "maxInstances": 2, "maxConcurrency": 2 });
        serve_growing(cluster, fields).await?;
        let loads = Loads::start(cluster, &[0, 1, 2], &vec![Job::Get("/sleep?ms=50".into()); 6]);
        cluster.wait_active("two", 2).await?;
        for _ in 0..2 {
            // The whole host with the most of them; what ran there is gone with it.
            let active = cluster.active("two").await;
            let victim = (0..3).max_by_key(|host| active[*host]).unwrap_or(0);
            cluster.power_off(victim)?;
            cluster.wait_active("two", 2).await?;
            cluster.power_on(victim).await?;
            cluster.settle().await?;
            // And the daemon alone: its containers run on, and are taken over or replaced.
            let active = cluster.active("two").await;
            let victim = (0..3).max_by_key(|host| active[*host]).unwrap_or(0);
            cluster[victim].kill9().await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
            cluster[victim].start().await?;
            cluster.settle().await?;
            cluster.wait_active("two", 2).await?;
        }
        loads.finish().await;
        let most = watch.finish().await;
        ensure!(most <= 2, "{most} instances ran at one time");
        Ok(())
    })
    .await
}

async fn serve_growing(cluster: &Cluster, fields: serde_json::Value) -> Result<()> {
    let api = cluster[0].api();
    api.put_component("two", fields, json!({})).await?;
    api.put_route("two-all", "two", json!({ "pathPrefix": "/" })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_spread_and_maxinstancespernode_holds() -> Result<()> {
    on_three(async |cluster| {
        let spread = serve(cluster, "web", 3, json!({})).await?;
        ensure!(spread == [1, 1, 1], "{spread:?}");
        let fields = json!({ "minInstances": 6, "maxInstances": 6, "maxInstancesPerNode": 1 });
        cluster[1].api().put_component("few", fields, json!({})).await?;
        cluster.wait_active("few", 3).await?;
        // Nothing more comes.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let spread = cluster.active("few").await;
        ensure!(spread == [1, 1, 1], "{spread:?}");
        Ok(())
    })
    .await
}

/// From idle to a load that needs four instances: as a multiple of one cold start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_instances_serve_soon_after_a_load_that_needs_them() -> Result<()> {
    on_three(async |cluster| {
        let api = cluster[0].api();
        let fields = json!({ "maxInstances": 1, "maxConcurrency": 1 });
        api.put_component("bare", fields, json!({})).await?;
        let bare = std::time::Instant::now();
        ensure!(cluster[0].private().component("bare", "/counter").await?.status == 200);
        let bare = bare.elapsed();
        let fields = json!({ "maxInstances": 4, "maxConcurrency": 2 });
        api.put_component("web", fields, json!({})).await?;
        api.put_route("web-all", "web", json!({ "pathPrefix": "/" })).await?;
        let begun = std::time::Instant::now();
        let loads = Loads::start(cluster, &[0, 1, 2], &vec![Job::Get("/sleep?ms=200".into()); 5]);
        cluster.wait_active("web", 4).await?;
        let four = begun.elapsed();
        loads.finish().await;
        let times = four.as_secs_f64() / bare.as_secs_f64();
        crate::support::tell(&format!(
            "one cold start {bare:?}; the fourth serves after {four:?}: {times:.1} times"
        ));
        ensure!(four < Duration::from_secs(15), "{times:.1} times a cold start");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_standby_is_one_on_all_nodes_together_and_is_resumed_for_any_of_them() -> Result<()> {
    on_three(async |cluster| {
        let api = cluster[0].api();
        let fields = json!({ "standby": 1, "maxInstances": 3, "maxConcurrency": 10 });
        api.put_component("ready", fields, json!({})).await?;
        api.put_route("ready-all", "ready", json!({ "pathPrefix": "/" })).await?;
        let (holder, first) = standing_by(cluster).await?;
        // No other one comes.
        tokio::time::sleep(Duration::from_secs(3)).await;
        ensure!(standing_by(cluster).await? == (holder, first.clone()), "it has moved");

        let begun = std::time::Instant::now();
        let asked = (holder + 1) % 3;
        wait::until("the route", LONG, || async {
            Ok((cluster[asked].public().get("/counter").await?.status == 200).then_some(()))
        })
        .await?;
        let resumed = begun.elapsed();
        let serving = cluster[holder].api().instances("ready").await?;
        let serves = |i: &serde_json::Value| i["instanceId"] == first.as_str() && i["standby"] != true;
        ensure!(serving.iter().any(serves), "not resumed: {serving:?}");

        // Its place was taken, maybe elsewhere.
        let (holder, second) = standing_by(cluster).await?;
        ensure!(second != first);
        let died = std::time::Instant::now();
        cluster.power_off(holder)?;
        let (heir, third) = standing_by(cluster).await?;
        crate::support::tell(&format!(
            "a request to another node was served in {resumed:?}; {:?} after its host died another one stood by",
            died.elapsed()
        ));
        ensure!(heir != holder && third != second);
        // What comes back has none, or takes it over.
        cluster.power_on(holder).await?;
        cluster.settle().await?;
        standing_by(cluster).await?;
        Ok(())
    })
    .await
}

/// Waits until exactly one container of all hosts is paused; tells its host and its id.
async fn standing_by(cluster: &Cluster) -> Result<(usize, String)> {
    wait::until("one paused container on all hosts together", LONG, || async {
        let mut paused = Vec::new();
        for (index, host) in cluster.hosts().iter().enumerate().filter(|(_, host)| host.has_power()) {
            let found = host.containers("ready").await?.into_iter();
            paused.extend(found.filter(|(_, state)| state == "paused").map(|(id, _)| (index, id)));
        }
        ensure!(paused.len() == 1, "paused are {paused:?}");
        Ok(paused.pop())
    })
    .await
}
