//! A real state machine whose task is an activity.

use std::time::Duration;

use anyhow::{Result, ensure};
use maelstrom_tests::{
    aws::Aws,
    wait::{self, LONG},
};
use serde_json::{Value, json};

use crate::support::{COMPONENT, daemon, put_source, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_machines_task_succeeds_fails_beats_and_times_out() -> Result<()> {
    let aws = Aws::new()?;
    let daemon = daemon(aws.address()).await?;
    let api = daemon.api();
    let tasks = |path: &str, activity: &str| json!({ "activityName": aws.name(activity), "path": path, "maxConcurrency": 2 });
    let failing = "/status?code=422&step-func-error=Order.Invalid&step-func-cause=no+amount";
    for (name, path) in [
        ("echo", "/echo"),
        ("refuse", failing),
        ("plain", "/status?code=500"),
        ("long", "/sleep?ms=9000"),
        ("forever", "/sleep?ms=20000"),
    ] {
        put_source(&api, name, "awsstepfunc", tasks(path, name)).await?;
    }
    // Made by the event sources.
    wait::until("five activities", LONG, || async {
        let listed = aws.states("ListActivities", json!({ "maxResults": 1_000 })).await?;
        let names = listed["activities"].as_array().cloned().unwrap_or_default();
        let own = names.iter().filter_map(|one| one["name"].as_str());
        Ok((own.filter(|name| name.starts_with(&aws.name(""))).count() == 5).then_some(()))
    })
    .await?;
    let run = async |activity: &str, fields: Value, input: Value| -> Result<Value> {
        let machine = aws.create_state_machine(activity, activity, fields).await?;
        aws.execute(&machine, &input).await
    };
    let (succeeded, refused, plain, long, late) = tokio::try_join!(
        run("echo", json!({}), json!({ "order": 7 })),
        run("refuse", json!({}), json!({})),
        run("plain", json!({}), json!({})),
        // Alive only because of heartbeats.
        run("long", json!({ "HeartbeatSeconds": 5 }), json!({})),
        run("forever", json!({ "TimeoutSeconds": 3 }), json!({})),
    )?;
    ensure!(succeeded["status"] == "SUCCEEDED", "{succeeded}");
    let output: Value = serde_json::from_str(succeeded["output"].as_str().unwrap_or_default())?;
    ensure!(output == json!({ "order": 7 }), "{output}");
    ensure!(refused["status"] == "FAILED" && refused["error"] == "Order.Invalid", "{refused}");
    ensure!(refused["cause"] == "no amount", "{refused}");
    ensure!(plain["error"] == "maelstrom_500" && plain["cause"] == "Internal Server Error", "{plain}");
    ensure!(long["status"] == "SUCCEEDED", "{long}");
    ensure!(late["status"] == "FAILED" || late["status"] == "TIMED_OUT", "{late}");

    // What came too late is nobody's failure, and the next task is taken.
    wait::until("the late answer", LONG, || async {
        let idle = daemon.private().component(COMPONENT, "/inflight").await?.json()?;
        Ok((idle["now"] == 1).then_some(()))
    })
    .await?;
    ensure!(!told(&api).await?.iter().any(|line| line.contains("'forever'")), "{:?}", told(&api).await?);
    put_source(&api, "forever", "awsstepfunc", tasks("/echo", "forever")).await?;
    let machine = aws.create_state_machine("again", "forever", json!({})).await?;
    let again = tokio::time::timeout(Duration::from_secs(30), aws.execute(&machine, &json!({}))).await??;
    ensure!(again["status"] == "SUCCEEDED", "{again}");
    Ok(())
}
