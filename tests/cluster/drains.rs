//! Nodes that are emptied, by whoever wants it, under load: what runs there goes on elsewhere first, and no
//! request is lost.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use maelstrom_core::wire::{DrainNode, DrainNodeInput, NodeStatus, UndrainNode};
use maelstrom_tests::{
    hosts::Cluster,
    wait::{self, LONG},
};
use serde_json::json;

use crate::support::{Loads, drain_timeline, mix, on, on_three, serve, tell};

fn named(cluster: &Cluster, host: usize) -> DrainNodeInput {
    DrainNodeInput { node_id: cluster[host].node().to_owned(), ..Default::default() }
}

/// The state of a drain as another node knows it.
async fn state(cluster: &Cluster, asked: usize, host: usize) -> Result<Option<String>> {
    let nodes =
        cluster[asked].api().call(maelstrom_core::wire::ListNodeStatus, &Default::default()).await?.nodes;
    let node: Option<NodeStatus> = nodes.into_iter().find(|node| node.node_id == cluster[host].node());
    Ok(node.and_then(|node| node.drain).map(|drain| drain.state))
}

async fn wait_state(cluster: &Cluster, asked: usize, host: usize, wanted: Option<&str>) -> Result<()> {
    let what = format!("{} to be {wanted:?}", cluster[host].node());
    wait::until(&what, LONG, || async {
        let state = state(cluster, asked, host).await?;
        ensure!(state.as_deref() == wanted, "it is {state:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_drained_by_hand_and_taken_back_under_load_and_nothing_is_lost() -> Result<()> {
    on_three(async |cluster| {
        // One to spare: a replacement starts before what it replaces ends.
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        let victim = cluster.owner("placement").await?;
        let other = (victim + 1) % 3;
        let loads = Loads::start(cluster, &[0, 1, 2], &mix(4));
        loads.go_on(100).await?;

        let told = Instant::now();
        // By another node.
        let answer = cluster[other].api().call(DrainNode, &named(cluster, victim)).await?;
        ensure!(answer.changed && answer.node.node_id == cluster[victim].node(), "{answer:?}");
        wait_state(cluster, other, victim, Some("drained")).await?;
        let drained = told.elapsed();
        let active = cluster.wait_active("web", 3).await?;
        ensure!(active[victim] == 0, "{active:?}");
        ensure!(cluster.owner("placement").await? != victim, "it still decides");
        let check = cluster[victim].public().get("/_mael_health_check").await?;
        ensure!(check.status == 503, "load balancers send there: {}", check.status);
        // It takes nothing new, and passes on what comes.
        cluster[other].api().put_component("late", json!({ "minInstances": 3 }), json!({})).await?;
        let late = cluster.wait_active("late", 3).await?;
        ensure!(late[victim] == 0, "{late:?}");
        loads.go_on(100).await?;
        let again = cluster[other].api().call(DrainNode, &named(cluster, victim)).await?;
        ensure!(!again.changed, "it was drained before");

        let undrained = Instant::now();
        ensure!(cluster[other].api().call(UndrainNode, &named(cluster, victim)).await?.changed);
        wait_state(cluster, other, victim, None).await?;
        wait::until("work for the node that was taken back", LONG, || async {
            Ok((cluster.active("web").await[victim] > 0).then_some(()))
        })
        .await?;
        let busy = undrained.elapsed();
        ensure!(cluster[victim].public().get("/_mael_health_check").await?.status == 200);
        loads.go_on(100).await?;
        loads.finish().await.expect_none_lost(600)?;
        tell(&format!("drained in {drained:?}; work again {busy:?} after it was taken back"));
        tell(&drain_timeline(cluster, victim).await?);
        ensure!(busy < Duration::from_secs(15), "work came after {busy:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_stays_so_over_a_restart_of_its_daemon() -> Result<()> {
    on(Cluster::plan(2), async |cluster| {
        serve(cluster, "web", 2, json!({ "maxInstances": 3 })).await?;
        let loads = Loads::start(cluster, &[0], &mix(4));
        cluster[1].api().call(DrainNode, &named(cluster, 1)).await?;
        wait_state(cluster, 0, 1, Some("drained")).await?;
        cluster[1].stop().await?;
        // Its public health check goes on saying no.
        cluster[1].spawn()?;
        wait::until("the next daemon", LONG, || async { cluster[1].api().status().await.map(Some) }).await?;
        cluster.settle().await?;
        wait_state(cluster, 0, 1, Some("drained")).await?;
        let active = cluster.wait_active("web", 2).await?;
        ensure!(active == [2, 0], "{active:?}");
        ensure!(cluster[0].api().call(UndrainNode, &named(cluster, 1)).await?.changed);
        wait::until("an even spread", LONG, || async {
            let active = cluster.active("web").await;
            ensure!(active == [1, 1], "{active:?}");
            Ok(Some(()))
        })
        .await?;
        loads.finish().await.expect_none_lost(100)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_node_that_could_serve_is_not_drained() -> Result<()> {
    on(Cluster::plan(2), async |cluster| {
        serve(cluster, "web", 2, json!({ "maxInstances": 3 })).await?;
        cluster[0].api().call(DrainNode, &named(cluster, 1)).await?;
        wait_state(cluster, 0, 1, Some("drained")).await?;
        let refused = cluster[1].api().call(DrainNode, &named(cluster, 0)).await;
        let error = refused.map(|_| String::new()).unwrap_or_else(|error| format!("{error:#}"));
        ensure!(error.contains("no other node could take"), "{error}");
        let nobody = DrainNodeInput { node_id: "node-9".into(), ..Default::default() };
        let unknown = cluster[0].api().call(DrainNode, &nobody).await;
        let error = unknown.map(|_| String::new()).unwrap_or_else(|error| format!("{error:#}"));
        ensure!(error.contains("node 'node-9' does not exist") && error.contains("node-1"), "{error}");
        Ok(())
    })
    .await
}
