//! Limits hold, whatever clients do.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use maelstrom_tests::{
    client::{Answer, Client},
    daemon::Daemon,
    wait::{self, LONG},
};
use serde_json::json;
use tokio::task::JoinSet;

/// Sends `path` from so many clients, each so many times, and returns all answers.
async fn crowd(client: &Client, clients: usize, times: usize, path: &str) -> Result<Vec<Answer>> {
    let mut workers = JoinSet::new();
    for _ in 0..clients {
        let (client, path) = (client.clone(), path.to_owned());
        workers.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..times {
                answers.push(client.get(&path).await?);
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = Vec::new();
    while let Some(worker) = workers.join_next().await {
        answers.extend(worker??);
    }
    Ok(answers)
}

fn most_at_once(answers: &[Answer]) -> Result<u64> {
    let mut most = 0;
    for answer in answers {
        ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.text());
        most = most.max(answer.json()?["max"].as_u64().context("no max")?);
    }
    Ok(most)
}

#[tokio::test]
async fn with_maxconcurrency_1_an_instance_never_sees_two_requests() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("one", json!({ "maxConcurrency": 1, "maxInstances": 2 }), json!({})).await?;
    daemon.put_route("one-all", "one", json!({ "pathPrefix": "/" })).await?;
    let answers = crowd(&daemon.public(), 50, 8, "/inflight?ms=3").await?;
    assert_eq!(answers.len(), 400);
    assert_eq!(most_at_once(&answers)?, 1);
    Ok(())
}

#[tokio::test]
async fn a_soft_limit_lets_more_in() -> Result<()> {
    let daemon = Daemon::run().await?;
    let fields = json!({ "maxConcurrency": 1, "maxInstances": 1, "softConcurrencyLimit": true });
    daemon.put_component("soft", fields, json!({})).await?;
    daemon.put_route("soft-all", "soft", json!({ "pathPrefix": "/" })).await?;
    daemon.public().get("/counter").await?;
    let answers = crowd(&daemon.public(), 20, 2, "/inflight?ms=50").await?;
    assert!(most_at_once(&answers)? >= 2);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_answers_503_with_retry_after() -> Result<()> {
    let daemon = Daemon::run().await?;
    let fields = json!({ "maxConcurrency": 1, "maxInstances": 1, "maxQueue": 3, "maxDurationSeconds": 20 });
    daemon.put_component("tight", fields, json!({})).await?;
    daemon.put_route("tight-all", "tight", json!({ "pathPrefix": "/" })).await?;
    daemon.public().get("/counter").await?;
    let answers = crowd(&daemon.public(), 12, 1, "/sleep?ms=600").await?;
    let refused: Vec<&Answer> = answers.iter().filter(|a| a.status == 503).collect();
    let served = answers.iter().filter(|a| a.status == 200).count();
    assert_eq!((refused.len(), served), (8, 4), "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    assert!(refused.iter().all(|a| a.header("retry-after").is_some()));
    Ok(())
}

#[tokio::test]
async fn load_scales_up_to_the_limit_and_quiet_scales_to_zero() -> Result<()> {
    let daemon = Daemon::run().await?;
    let fields = json!({ "maxConcurrency": 2, "maxInstances": 3 });
    daemon.put_component("elastic", fields, json!({ "idleTimeoutSeconds": 2 })).await?;
    daemon.put_route("elastic-all", "elastic", json!({ "pathPrefix": "/" })).await?;
    let client = daemon.public();
    let load = tokio::spawn(async move { crowd(&client, 12, 40, "/inflight?ms=150").await });
    daemon.wait_instances("elastic", 3).await?;
    let answers = load.await??;
    assert!(most_at_once(&answers)? <= 2);
    let explained = daemon.rpc("MaelstromService.ExplainComponent", json!({ "name": "elastic" })).await?;
    assert!(explained["targetReasons"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{explained}");
    // Scaling down waits for a stable window of quiet.
    let idle = wait::until("no instance", LONG * 3, || async {
        Ok(daemon.instances("elastic").await?.is_empty().then_some(()))
    });
    idle.await?;
    ensure!(daemon.containers().await?.is_empty(), "containers are left");
    Ok(())
}

#[tokio::test]
async fn waiting_clients_that_go_away_are_no_demand_any_more() -> Result<()> {
    let daemon = Daemon::run().await?;
    let fields = json!({ "maxConcurrency": 1, "maxInstances": 1 });
    daemon.put_component("gone", fields, json!({})).await?;
    daemon.put_route("gone-all", "gone", json!({ "pathPrefix": "/" })).await?;
    daemon.public().get("/counter").await?;
    let client = daemon.public();
    let holder = tokio::spawn(async move { client.get("/sleep?ms=8000").await });
    wait::until("the holder's request", LONG, || async {
        Ok((daemon.instances("gone").await?[0]["inFlight"] == 1).then_some(()))
    })
    .await?;
    let waiting = || async {
        let explained = daemon.rpc("MaelstromService.ExplainComponent", json!({ "name": "gone" })).await?;
        anyhow::Ok(explained["waiting"].as_i64().unwrap_or(-1))
    };
    let mut waiters = JoinSet::new();
    for _ in 0..5 {
        let client = Client::new(daemon.public_address());
        waiters.spawn(async move { client.get("/counter").await });
    }
    wait::until("five waiters", LONG, || async { Ok((waiting().await? == 5).then_some(())) }).await?;
    waiters.abort_all();
    wait::until("no waiter", Duration::from_secs(2), || async { Ok((waiting().await? == 0).then_some(())) })
        .await?;
    assert_eq!(holder.await??.status, 200);
    Ok(())
}

#[tokio::test]
async fn standby_instances_are_resumed_first_and_replaced() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("ready", json!({ "standby": 1, "maxInstances": 2 }), json!({})).await?;
    daemon.put_route("ready-all", "ready", json!({ "pathPrefix": "/" })).await?;
    let daemon = Arc::new(daemon);
    let standby = |count: usize| {
        let daemon = Arc::clone(&daemon);
        async move {
            wait::until("a paused standby", LONG, || async {
                let paused = daemon.containers().await?.iter().filter(|(_, state)| state == "paused").count();
                Ok((paused == count).then_some(()))
            })
            .await
        }
    };
    standby(1).await?;
    let before: Vec<String> = daemon.containers().await?.into_iter().map(|(id, _)| id).collect();
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    // The one that waited serves; a new one takes its place.
    standby(1).await?;
    let serving = daemon.instances("ready").await?;
    let active: Vec<&str> =
        serving.iter().filter(|i| i["standby"] != true).filter_map(|i| i["instanceId"].as_str()).collect();
    assert_eq!(active, [before[0].as_str()]);
    Ok(())
}
