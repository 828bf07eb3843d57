//! Requests that arrive at one node and are served on another.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use maelstrom_tests::hosts::Cluster;
use serde_json::json;

use crate::support::{on, on_three, percentile, serve, tell};

/// Only the second node has room for containers.
fn one_with_room() -> maelstrom_tests::hosts::Plan {
    Cluster::plan(3).memory(0, 0).memory(2, 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_any_node_reaches_a_component_on_another() -> Result<()> {
    on(one_with_room(), async |cluster| {
        let spread = serve(cluster, "web", 1, json!({})).await?;
        ensure!(spread == [0, 1, 0], "{spread:?}");
        let mut instances = BTreeSet::new();
        for host in cluster.hosts() {
            for size in [0, 100, 300_000] {
                let body = vec![b'x'; size];
                let answer = host.public().post("/echo?a=1", body.clone()).await?;
                ensure!(answer.status == 200, "{}: {} {}", host.node(), answer.status, answer.text());
                ensure!(answer.body == body, "{}: another body came back", host.node());
                ensure!(answer.header("maelstrom-load").is_none(), "an internal header left the cluster");
                instances.extend(answer.header("x-app-instance").map(str::to_owned));
            }
        }
        ensure!(instances.len() == 1, "{instances:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_start_is_asked_for_at_any_node_and_served_there() -> Result<()> {
    on(one_with_room(), async |cluster| {
        serve(cluster, "web", 0, json!({})).await?;
        ensure!(cluster.active("web").await == [0, 1, 0]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_a_relayed_request_are_those_of_its_client() -> Result<()> {
    on(one_with_room(), async |cluster| {
        serve(cluster, "web", 1, json!({})).await?;
        let headers = [("x-request-id", "mine"), ("maelstrom-relay-path", "nowhere"), ("te", "trailers")];
        let send = async |host: usize| {
            let client = cluster[host].public().host("shop.example:80");
            let answer =
                client.send(hyper::Method::GET, "/headers?x=%2F", &headers, Default::default()).await?;
            anyhow::Ok(answer.json()?)
        };
        let (there, here) = (send(0).await?, send(1).await?);
        for name in ["host", "x-request-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] {
            ensure!(there[name] == here[name], "{name}: relayed {}, direct {}", there[name], here[name]);
        }
        ensure!(!there.to_string().contains("nowhere"), "{there}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_travels_with_a_relayed_request() -> Result<()> {
    on(one_with_room(), async |cluster| {
        serve(cluster, "web", 1, json!({ "maxDurationSeconds": 2 })).await?;
        let begun = Instant::now();
        let answer = cluster[0].public().get("/sleep?ms=20000").await?;
        ensure!(answer.status == 504, "{} {}", answer.status, answer.text());
        ensure!((1..10).contains(&begun.elapsed().as_secs()), "took {:?}", begun.elapsed());
        Ok(())
    })
    .await
}

/// From the moment that an instance is healthy on one node until a request that waits for it on another
/// has its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_route_to_an_instance_soon_after_it_is_healthy() -> Result<()> {
    on(one_with_room(), async |cluster| {
        let mut took = Vec::new();
        for round in 0..25 {
            let name = format!("web{round}");
            let docker = json!({ "idleTimeoutSeconds": 5 });
            cluster[0].api().put_component(&name, json!({ "maxInstances": 1 }), docker).await?;
            let answer = cluster[0].private().component(&name, "/counter").await?;
            let answered = std::time::SystemTime::now();
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
            let events = cluster[1].api().events(&["instance-started"]).await?;
            let started = events.iter().rfind(|event| event.component_name.as_ref() == Some(&name));
            let healthy = Duration::from_millis(started.context("no start told")?.time.unsigned_abs());
            let answered = answered.duration_since(std::time::UNIX_EPOCH)?;
            took.push(answered.saturating_sub(healthy));
        }
        let (half, most) = (percentile(&mut took, 50), percentile(&mut took, 99));
        tell(&format!("healthy there → served here: p50 {half:?}, p99 {most:?}"));
        ensure!(half <= Duration::from_millis(100), "p50 {half:?}, p99 {most:?}");
        ensure!(most <= Duration::from_secs(1), "p50 {half:?}, p99 {most:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_with_other_clocks_serve_each_other() -> Result<()> {
    use maelstrom_tests::hosts::Clocks;
    let plan = one_with_room()
        .clocks(0, Clocks { up_seconds: 100_000, wall_seconds: -600 })
        .clocks(2, Clocks { up_seconds: 50, wall_seconds: 600 });
    on(plan, async |cluster| {
        // An absolute deadline of ten minutes ago, or one that never comes, would show.
        serve(cluster, "web", 1, json!({ "maxDurationSeconds": 3 })).await?;
        for host in [0, 1, 2] {
            let answer = cluster[host].public().get("/sleep?ms=500").await?;
            ensure!(answer.status == 200, "host {host}: {} {}", answer.status, answer.text());
            let begun = Instant::now();
            let answer = cluster[host].public().get("/sleep?ms=20000").await?;
            ensure!(answer.status == 504, "host {host}: {} {}", answer.status, answer.text());
            ensure!(begun.elapsed() < Duration::from_secs(10), "host {host}: {:?}", begun.elapsed());
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_calls_another_one_on_another_node() -> Result<()> {
    on_three(async |cluster| {
        serve(cluster, "web", 3, json!({})).await?;
        cluster[0]
            .api()
            .put_component("inner", json!({ "minInstances": 1, "maxInstances": 1 }), json!({}))
            .await?;
        cluster.wait_active("inner", 1).await?;
        for host in cluster.hosts() {
            let answer = host.public().get("/call?component=inner&path=/counter").await?;
            ensure!(answer.status == 200, "{}: {} {}", host.node(), answer.status, answer.text());
        }
        Ok(())
    })
    .await
}
