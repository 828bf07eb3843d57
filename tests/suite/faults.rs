//! What breaks around the product, and how it says so and recovers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use maelstrom_tests::{
    daemon::Daemon,
    disk::SmallDisk,
    engine::OwnEngine,
    image,
    load::{Job, Load},
    wait::{self, LONG},
};
use serde_json::{Value, json};

async fn routed(name: &str, fields: Value, docker: Value) -> Result<Daemon> {
    let daemon = Daemon::run().await?;
    daemon.put_component(name, fields, docker).await?;
    daemon.put_route("all", name, json!({ "pathPrefix": "/" })).await?;
    Ok(daemon)
}

/// The request fails clearly and soon, says each of `words`, and so does `explain`.
async fn fails_clearly(daemon: &Daemon, name: &str, words: &[&str]) -> Result<()> {
    let begun = Instant::now();
    let answer = daemon.public().get("/").await?;
    ensure!([502, 503].contains(&answer.status.as_u16()), "{} {}", answer.status, answer.text());
    ensure!(begun.elapsed() < Duration::from_secs(30), "took {:?}", begun.elapsed());
    let explained = daemon.rpc("MaelstromService.ExplainComponent", json!({ "name": name })).await?;
    let failure = explained["lastFailure"].as_str().unwrap_or_default().to_owned();
    for word in words {
        ensure!(answer.text().contains(word), "'{word}' is not in the answer: {}", answer.text());
        ensure!(failure.contains(word), "'{word}' is not in the explanation: {explained}");
        ensure!(daemon.whole_log().contains(word), "'{word}' is not in the log");
    }
    Ok(())
}

/// Starts are tried again with growing pauses, not in a spin.
async fn does_not_spin(daemon: &Daemon, name: &str) -> Result<()> {
    let tries = || async {
        let query = json!({ "componentName": name, "kinds": ["start-failed", "unplaceable"], "limit": 1000 });
        let events = daemon.rpc("MaelstromService.ListEvents", query).await?;
        anyhow::Ok(events["events"].as_array().map_or(0, Vec::len))
    };
    let client = daemon.public();
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        client.get("/").await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let tries = tries().await?;
    ensure!((1..=8).contains(&tries), "{tries} tries in four seconds under load");
    Ok(())
}

#[tokio::test]
async fn an_image_that_is_missing_is_named() -> Result<()> {
    let daemon = routed("web", json!({}), json!({ "image": "maelstrom-test/nowhere:9" })).await?;
    fails_clearly(&daemon, "web", &["maelstrom-test/nowhere:9"]).await?;
    does_not_spin(&daemon, "web").await?;
    // A put with a right image is served at once, without waiting for the back-off.
    daemon.put_component("web", json!({}), json!({})).await?;
    let begun = Instant::now();
    wait::until("an answer", LONG, || async {
        Ok((daemon.public().get("/counter").await?.status == 200).then_some(()))
    })
    .await?;
    ensure!(begun.elapsed() < Duration::from_secs(10), "took {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn an_image_that_exits_at_once_is_told_with_its_exit_code_and_last_words() -> Result<()> {
    let fields = json!({ "environment": [{ "name": "APP_EXIT", "value": "7" }] });
    let daemon = routed("web", fields, json!({})).await?;
    fails_clearly(&daemon, "web", &["7", "APP_EXIT"]).await?;
    does_not_spin(&daemon, "web").await
}

#[tokio::test]
async fn a_health_check_that_never_passes_is_told_with_what_it_answered() -> Result<()> {
    let fields = json!({ "environment": [{ "name": "APP_HEALTH", "value": "fail" }] });
    let daemon = routed("web", fields, json!({ "httpStartHealthCheckSeconds": 2 })).await?;
    fails_clearly(&daemon, "web", &["/health", "503"]).await?;
    ensure!(daemon.instances("web").await?.iter().all(|i| i["status"] != "active"), "it is in rotation");
    Ok(())
}

#[tokio::test]
async fn a_component_larger_than_the_machine_is_told_with_both_sizes() -> Result<()> {
    let daemon = routed("web", json!({}), json!({ "reserveMemoryMiB": 50_000 })).await?;
    fails_clearly(&daemon, "web", &["50000", "4096"]).await?;
    does_not_spin(&daemon, "web").await
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Result<()> {
    let taken = std::net::TcpListener::bind("0.0.0.0:0")?;
    let port = taken.local_addr()?.port();
    let daemon = routed("web", json!({}), json!({ "ports": [format!("{port}:8080")] })).await?;
    fails_clearly(&daemon, "web", &[&port.to_string()]).await?;
    // The port gets free: the component comes up by itself.
    drop(taken);
    wait::until("an answer", LONG, || async {
        Ok((daemon.public().get("/counter").await?.status == 200).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_listener_port_in_use_ends_the_daemon_with_a_clear_error() -> Result<()> {
    let mut daemon = Daemon::prepare().await?;
    let taken = std::net::TcpListener::bind("0.0.0.0:0")?;
    let port = taken.local_addr()?.port().to_string();
    daemon.set("MAEL_PUBLIC_PORT", &port).spawn()?;
    let status = daemon.wait_exit(LONG).await?;
    ensure!(!status.success(), "it ended with {status}");
    ensure!(daemon.whole_log().contains(&port), "{}", daemon.whole_log());
    Ok(())
}

#[tokio::test]
async fn a_died_container_is_replaced_with_back_off() -> Result<()> {
    let daemon = routed("web", json!({ "minInstances": 1 }), json!({})).await?;
    let first = daemon.wait_instances("web", 1).await?;
    // The client of the request that kills it hears of it; the next one is served.
    let answer = daemon.public().post("/crash?code=3", "x").await?;
    ensure!(answer.status == 502, "{} {}", answer.status, answer.text());
    let answer = daemon.public().get("/counter").await?;
    assert_eq!(answer.status, 200);
    let second = daemon.wait_instances("web", 1).await?;
    assert_ne!(first[0]["instanceId"], second[0]["instanceId"]);
    let events = daemon.rpc("MaelstromService.ListEvents", json!({ "kinds": ["restart"] })).await?;
    ensure!(events["events"].to_string().contains('3'), "{events}");
    Ok(())
}

#[tokio::test]
async fn an_instance_whose_checks_fail_is_replaced_after_its_command_ran() -> Result<()> {
    let docker = json!({
        "httpHealthCheckSeconds": 1, "httpHealthCheckMaxFailures": 2,
        "healthCheckFailedCommand": ["/mael-app", "mark", "sick"],
    });
    let daemon = routed("web", json!({ "minInstances": 1, "maxInstances": 1 }), docker).await?;
    let first = daemon.wait_instances("web", 1).await?;
    daemon.public().get("/health?set=fail").await?;
    wait::until("a replacement", LONG, || async {
        let now = daemon.instances("web").await?;
        let replaced =
            now.len() == 1 && now[0]["status"] == "active" && now[0]["instanceId"] != first[0]["instanceId"];
        Ok(replaced.then_some(()))
    })
    .await?;
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_retagged_image_restarts_its_instances() -> Result<()> {
    let tag = format!("maelstrom-test/retag-{}:latest", std::process::id());
    let engine = maelstrom_tests::daemon::docker()?;
    image::import_as(&engine, &tag, "old").await?;
    let daemon = routed("web", json!({ "minInstances": 1 }), json!({ "image": tag })).await?;
    daemon.wait_instances("web", 1).await?;
    image::import_as(&engine, &tag, "new").await?;
    let renewed = wait::until("the new image", LONG, || async {
        Ok((daemon.public().get("/counter").await?.header("x-app-version") == Some("new")).then_some(()))
    })
    .await;
    drop(daemon);
    let options = None::<bollard::query_parameters::RemoveImageOptions>;
    engine.remove_image(&tag, options, None).await?;
    renewed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_stopped_and_started_again_under_load_is_told_and_survived() -> Result<()> {
    let mut engine = OwnEngine::start().await?;
    let mut daemon = Daemon::prepare_with(&engine).await?;
    daemon.start().await?;
    daemon.put_component("web", json!({ "minInstances": 1, "maxDurationSeconds": 5 }), json!({})).await?;
    daemon.put_route("all", "web", json!({ "pathPrefix": "/" })).await?;
    daemon.wait_instances("web", 1).await?;
    let load = Load::start(&daemon.public(), vec![Job::Get("/counter".into()); 4], Duration::from_millis(20));
    wait::until("load", LONG, || async { Ok((load.sent() > 20).then_some(())) }).await?;
    engine.stop()?;
    // Its containers went with it: clients get clear errors, and the node says why.
    let refused = wait::until("a refusal", LONG, || async {
        let answer = daemon.public().get("/counter").await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await?;
    ensure!([502, 503, 504].contains(&refused.status.as_u16()), "{} {}", refused.status, refused.text());
    wait::until("the reason", LONG, || async {
        let explained = daemon.rpc("MaelstromService.ExplainComponent", json!({ "name": "web" })).await?;
        Ok(explained["lastFailure"].as_str().is_some_and(|why| why.contains("engine")).then_some(()))
    })
    .await?;
    let lines = daemon.whole_log().lines().count();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let spun = daemon.whole_log().lines().count() - lines;
    ensure!(spun < 60, "{spun} log lines in three seconds:\n{}", daemon.log());
    engine.start_again().await?;
    wait::until("an answer", LONG, || async {
        Ok((daemon.public().get("/counter").await?.status == 200).then_some(()))
    })
    .await?;
    load.finish().await;
    Ok(())
}

#[tokio::test]
async fn a_full_disk_refuses_writes_clearly_and_keeps_serving() -> Result<()> {
    let mut daemon = Daemon::prepare().await?;
    let disk = SmallDisk::mount(&daemon.folder().join("disk"), "1m")?;
    daemon.set("MAEL_STORE", &format!("sqlite:{}", disk.path().join("store.db").display()));
    daemon.start().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    daemon.put_route("all", "web", json!({ "pathPrefix": "/" })).await?;
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![0; 1 << 20]).err();
    // Large enough not to fit into what is left of pages already there.
    let large = json!({ "environment": [{ "name": "X", "value": "y".repeat(200_000) }] });
    let refused = daemon.put_component("big", large.clone(), json!({})).await.err().map(|e| format!("{e:#}"));
    let refused = refused.unwrap_or_default();
    ensure!(refused.contains("-32001") && refused.contains("full"), "{refused:?}");
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    std::fs::remove_file(&filler)?;
    daemon.put_component("big", large, json!({})).await?;
    drop(daemon);
    Ok(())
}

#[tokio::test]
async fn a_read_only_store_ends_the_daemon_with_a_clear_error() -> Result<()> {
    let mut daemon = Daemon::prepare().await?;
    let disk = SmallDisk::mount(&daemon.folder().join("disk"), "8m")?;
    let store = disk.path().join("store.db");
    daemon.set("MAEL_STORE", &format!("sqlite:{}", store.display()));
    daemon.start().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    daemon.stop().await?;
    disk.read_only(true)?;
    daemon.spawn()?;
    let status = daemon.wait_exit(LONG).await?;
    ensure!(!status.success(), "it ended with {status}");
    let log = daemon.whole_log();
    ensure!(log.contains("store.db") && log.contains("read-only") || log.contains("Read-only"), "{log}");
    disk.read_only(false)?;
    daemon.start().await?;
    daemon.rpc("MaelstromService.GetComponent", json!({ "name": "web" })).await?;
    Ok(())
}
