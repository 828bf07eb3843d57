//! Load goes on while the product changes, and no request fails.

use std::time::Duration;

use anyhow::{Result, ensure};
use maelstrom_tests::{
    daemon::{Daemon, docker},
    image,
    load::{Job, Load},
    wait::{self, LONG},
};
use serde_json::json;

/// GETs and POSTs with bodies, small and larger.
fn mix(workers: usize) -> Vec<Job> {
    let jobs = [
        Job::Get("/sleep?ms=5".into()),
        Job::Echo(100),
        Job::Get("/bytes?n=5000".into()),
        Job::Echo(100_000),
    ];
    jobs.iter().cycle().take(workers).cloned().collect()
}

const PAUSE: Duration = Duration::from_millis(5);

async fn served(name: &str, fields: serde_json::Value) -> Result<Daemon> {
    let daemon = Daemon::run().await?;
    daemon.put_component(name, fields, json!({})).await?;
    daemon.put_route("all", name, json!({ "pathPrefix": "/" })).await?;
    daemon.public().get("/counter").await?;
    Ok(daemon)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_loses_no_request() -> Result<()> {
    let fields = json!({ "minInstances": 2, "maxInstances": 2, "RestartOrder": "startstop" });
    let daemon = served("web", fields.clone()).await?;
    daemon.wait_instances("web", 2).await?;
    let load = Load::start(&daemon.public(), mix(12), PAUSE);
    let version = daemon.put_component("web", fields, json!({ "image": image::APP_NEXT })).await?;
    wait::until("two instances of the new version", LONG, || async {
        let all = daemon.instances("web").await?;
        let new = all.iter().filter(|i| i["componentVersion"] == version && i["status"] == "active").count();
        // Never fewer than were running.
        ensure!(all.iter().filter(|i| i["status"] == "active").count() >= 2, "under two active: {all:?}");
        Ok((new == 2 && all.len() == 2).then_some(()))
    })
    .await?;
    let answer = daemon.public().get("/counter").await?;
    assert_eq!(answer.header("x-app-version"), Some("2"));
    load.finish().await.expect_none_lost(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaling_from_1_to_4_and_back_loses_no_request() -> Result<()> {
    let daemon = served("web", json!({ "minInstances": 1, "maxInstances": 4, "maxConcurrency": 20 })).await?;
    let load = Load::start(&daemon.public(), mix(8), PAUSE);
    daemon
        .put_component(
            "web",
            json!({ "minInstances": 4, "maxInstances": 4, "maxConcurrency": 20 }),
            json!({}),
        )
        .await?;
    daemon.wait_instances("web", 4).await?;
    daemon
        .put_component(
            "web",
            json!({ "minInstances": 1, "maxInstances": 1, "maxConcurrency": 20 }),
            json!({}),
        )
        .await?;
    daemon.wait_instances("web", 1).await?;
    load.finish().await.expect_none_lost(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stop_that_races_with_requests_loses_none() -> Result<()> {
    let daemon = Daemon::run().await?;
    // Idle after one second; a request each 0.9 to 1.1 s hits all moments of the stop.
    daemon.put_component("nap", json!({ "maxInstances": 1 }), json!({ "idleTimeoutSeconds": 1 })).await?;
    daemon.put_route("nap-all", "nap", json!({ "pathPrefix": "/" })).await?;
    let mut instances = std::collections::BTreeSet::new();
    for round in 0..16u64 {
        for job in [Job::Get("/counter".into()), Job::Echo(1000)] {
            let load = Load::start(&daemon.public(), vec![job], Duration::from_secs(1));
            wait::until("a request", LONG, || async { Ok((load.sent() > 0).then_some(())) }).await?;
            load.finish().await.expect_none_lost(1)?;
        }
        let answer = daemon.public().get("/counter").await?;
        instances.extend(answer.header("x-app-instance").map(str::to_owned));
        tokio::time::sleep(Duration::from_millis(900 + round * 60)).await;
    }
    ensure!(instances.len() >= 2, "it never stopped: {instances:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_one_of_two_instances_fails_only_posts_that_it_was_answering() -> Result<()> {
    let daemon = served("web", json!({ "minInstances": 2, "maxInstances": 2, "maxConcurrency": 20 })).await?;
    let instances = daemon.wait_instances("web", 2).await?;
    let workers = 12;
    let load = Load::start(&daemon.public(), mix(workers), PAUSE);
    wait::until("load", LONG, || async { Ok((load.sent() > 200).then_some(())) }).await?;
    let victim = instances[0]["instanceId"].as_str().unwrap_or_default().to_owned();
    docker()?.kill_container(&victim, None).await?;
    wait::until("a replacement", LONG, || async {
        let all = daemon.instances("web").await?;
        let healthy = all.iter().filter(|i| i["status"] == "active").count() == 2;
        Ok((healthy && all.iter().all(|i| i["instanceId"] != victim.as_str())).then_some(()))
    })
    .await?;
    let report = load.finish().await;
    ensure!(report.sent > 300, "only {} requests", report.sent);
    // Each worker has one request at a time: more failures than POST workers can't be the victim's.
    let posts = workers / 2;
    ensure!(report.failures.len() <= posts, "{} failures: {:#?}", report.failures.len(), report.failures);
    for failure in &report.failures {
        ensure!(failure.method == hyper::Method::POST, "a GET failed: {failure:?}");
        // An answer that had begun when the instance died is cut; one that had not is a clear 502.
        ensure!(!failure.what.starts_with("504"), "{failure:?}");
    }
    Ok(())
}

/// Under load the daemon is told to go and another run takes its place: no request fails, and the
/// instance that served before serves after.
async fn restart_under_load(
    daemon: &mut Daemon,
    restart: impl AsyncFnOnce(&mut Daemon) -> Result<()>,
) -> Result<()> {
    daemon
        .put_component(
            "web",
            json!({ "minInstances": 1, "maxInstances": 1, "maxConcurrency": 20 }),
            json!({}),
        )
        .await?;
    daemon.put_route("all", "web", json!({ "pathPrefix": "/" })).await?;
    let before = daemon.wait_instances("web", 1).await?;
    let began = started_at(daemon).await?;
    let load = Load::start(&daemon.public(), mix(8), PAUSE);
    wait::until("load", LONG, || async { Ok((load.sent() > 100).then_some(())) }).await?;
    restart(daemon).await?;
    wait::until("the next run", LONG, || async { Ok((started_at(daemon).await? > began).then_some(())) })
        .await?;
    let sent = load.sent();
    wait::until("more load", LONG, || async { Ok((load.sent() > sent + 100).then_some(())) }).await?;
    let after = daemon.wait_instances("web", 1).await?;
    assert_eq!(after[0]["instanceId"], before[0]["instanceId"]);
    load.finish().await.expect_none_lost(200)
}

async fn started_at(daemon: &Daemon) -> Result<i64> {
    let status = daemon.rpc("NodeService.GetStatus", json!({})).await?;
    Ok(status["status"]["startedAt"].as_i64().unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_place_loses_no_request() -> Result<()> {
    let mut daemon = Daemon::run().await?;
    restart_under_load(&mut daemon, async |daemon| daemon.signal("HUP")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_and_a_start_on_passed_sockets_lose_no_request() -> Result<()> {
    let mut daemon = Daemon::prepare().await?;
    daemon.set("MAEL_KEEP_CONTAINERS", "true");
    daemon.hold_sockets()?;
    daemon.start().await?;
    restart_under_load(&mut daemon, async |daemon| {
        let status = daemon.stop().await?;
        ensure!(status.success(), "{status}: {}", daemon.log());
        daemon.spawn()
    })
    .await
}
