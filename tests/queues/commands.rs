//! `maelctl es` against a daemon with real queues.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use maelstrom_tests::{
    aws::Aws,
    daemon::{Daemon, program},
    wait::{self, LONG},
};
use serde_json::{Value, json};

use crate::support::{daemon, put_source, wait_done};

/// Runs it with `input` on its standard input; what it said, if it ended well.
fn maelctl(daemon: &Daemon, args: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program("maelctl")?)
        .args(args)
        .env("MAELSTROM_PRIVATE_URL", format!("http://{}", daemon.private_address()))
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "maelctl {args:?}: {}\n{said}{complained}", output.status);
    Ok(said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_source_is_put_looked_at_tried_and_removed() -> Result<()> {
    let aws = Aws::new()?;
    for queue in ["jobs", "dead"] {
        aws.create_queue(queue).await?;
    }
    aws.set_redrive("jobs", "dead", 5).await?;
    let daemon = daemon(aws.address()).await?;
    let queue = aws.name("jobs");
    let file = format!(
        "name: jobs\ncomponent: worker\nsqs:\n  queuename: {queue}\n  path: /work?ms=3000\n  maxconcurrency: 4\n  \
         messagesperpoll: 2\n"
    );
    let said = maelctl(&daemon, &["es", "put", "--file", "-"], &file)?;
    ensure!(said == "Event source saved: jobs version 1\n", "{said}");

    let bodies: Vec<String> = (0..8).map(|number| format!("m{number}")).collect();
    aws.send_all("jobs", &bodies, None).await?;
    wait::until("pollers at work", LONG, || async {
        let told: Value = serde_json::from_str(&maelctl(&daemon, &["es", "get", "jobs", "-o", "json"], "")?)?;
        let queue = &told["queues"][0];
        let in_flight: i64 =
            told["pollers"].as_array().into_iter().flatten().filter_map(|one| one["inFlight"].as_i64()).sum();
        let node = &told["pollers"][0]["nodeId"];
        ensure!(told["pollers"].as_array().map(Vec::len) == Some(2) && node == daemon.node(), "{told}");
        ensure!(in_flight == 4 && queue["inFlight"].as_i64() >= Some(4), "{told}");
        ensure!(queue["oldestAgeSeconds"].is_i64() && queue["maxReceives"] == 5, "{told}");
        Ok(Some(()))
    })
    .await?;
    let text = maelctl(&daemon, &["es", "get", "jobs"], "")?;
    for word in
        ["QUEUE", "DEPTH", "POLLER", "sqs/jobs/0", daemon.node(), &aws.name("dead"), "after 5 receives"]
    {
        ensure!(text.contains(word), "'{word}' is not in\n{text}");
    }
    wait_done(&daemon.private(), 8, LONG).await?;

    // What get prints can be put as it is.
    let printed = maelctl(&daemon, &["es", "get", "jobs", "-o", "yaml"], "")?;
    let said = maelctl(&daemon, &["es", "put", "--file", "-"], &printed)?;
    ensure!(said == "Event source saved: jobs version 2\n", "{said}");
    let said = maelctl(&daemon, &["es", "rm", "jobs"], "")?;
    ensure!(said == "Event source removed: jobs\n", "{said}");
    ensure!(maelctl(&daemon, &["es", "rm", "jobs"], "").is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_of_each_type_is_tried_on_the_real_path() -> Result<()> {
    let aws = Aws::new()?;
    aws.create_queue("jobs").await?;
    let daemon = daemon(aws.address()).await?;
    let api = daemon.api();
    let cron =
        json!({ "schedule": "0 0 1 1 *", "http": { "method": "PUT", "path": "/echo", "data": "tick" } });
    let tasks = json!({ "activityName": aws.name("work"), "path": "/echo" });
    let http = json!({ "hostname": "shop.test", "pathPrefix": "/api", "stripPrefix": true });
    let queue = json!({ "queueName": aws.name("jobs"), "path": "/echo?a=b" });
    let failing = json!({ "queueName": aws.name("jobs"), "path": "/status?code=503&retry-after=7" });
    for (name, kind, settings) in [
        ("web", "http", http),
        ("clock", "cron", cron),
        ("jobs", "sqs", queue),
        ("failing", "sqs", failing),
        ("work", "awsstepfunc", tasks),
    ] {
        put_source(&api, name, kind, settings).await?;
    }
    let trials: [(&[&str], &[&str]); 5] = [
        (
            &["es", "test", "web", "--path", "/api/echo?x=1", "--method", "post", "--data", "hello"],
            &[
                "POST /echo?x=1",
                ": 200 ",
                "x-echo-target: /echo?x=1",
                "x-echo-header-host: shop.test",
                "hello",
            ],
        ),
        (&["es", "test", "clock"], &["PUT /echo", "tick", "would have succeeded"]),
        (
            &["es", "test", "jobs", "--data", "{\"n\":1}"],
            &["x-echo-header-maelstrom-sqs-receive-count: 1", "{\"n\":1}", "would be deleted"],
        ),
        (&["es", "test", "failing", "--data", "x"], &[": 503 ", "would come back after 7 s"]),
        (&["es", "test", "work", "--data", "{\"n\":2}"], &["{\"n\":2}", "would succeed"]),
    ];
    for (args, words) in trials {
        let said = maelctl(&daemon, args, "")?;
        for word in words {
            ensure!(said.contains(word), "'{word}' is not in\n{said}");
        }
    }
    // A trial touches no queue.
    let numbers = aws.numbers("jobs").await?;
    ensure!((numbers.visible, numbers.invisible) == (0, 0), "{numbers:?}");
    Ok(())
}
