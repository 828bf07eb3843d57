//! The order in which messages begin.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use maelstrom_tests::{
    aws::Aws,
    wait::{self, LONG},
};
use serde_json::json;

use crate::support::{daemon, put_source, wait_done, work};

fn bodies(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number:04}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_queue_of_a_prefix_begins_after_the_first_is_empty() -> Result<()> {
    const EACH: usize = 100;
    let aws = Aws::new()?;
    for queue in ["q-0", "q-1"] {
        aws.create_queue(queue).await?;
        aws.send_all(queue, &bodies(queue, EACH), None).await?;
    }
    let daemon = daemon(aws.address()).await?;
    let settings = json!({
        "queueName": aws.name("q-"), "nameAsPrefix": true, "path": "/work?ms=20", "maxConcurrency": 5,
        "messagesPerPoll": 5, "concurrencyPerPoller": 5, "visibilityTimeout": 60,
    });
    put_source(&daemon.api(), "jobs", "sqs", settings).await?;
    let done = wait_done(&daemon.private(), 2 * EACH, LONG).await?;
    let first_of_second = done.begun.iter().position(|body| body.starts_with("q-1")).unwrap_or_default();
    // What is received and has not begun yet is in the queue no more: at most a poll's worth.
    ensure!(first_of_second >= EACH - 5, "q-1 began after {first_of_second} of q-0");

    // The second has a backlog again; what comes to the first is not forgotten.
    aws.send_all("q-1", &bodies("q-1 again", 2_000), None).await?;
    wait_done(&daemon.private(), 2 * EACH + 20, LONG).await?;
    aws.send("q-0", "late").await?;
    let sent = Instant::now();
    wait::until("the late message", LONG, || async {
        let begun = work(&daemon.private()).await?.begun;
        Ok(begun.iter().any(|body| body == "late").then_some(()))
    })
    .await?;
    ensure!(sent.elapsed() <= Duration::from_secs(15), "taken after {:?}", sent.elapsed());
    ensure!(aws.numbers("q-1").await?.visible > 0, "the second queue was empty, which proves nothing");
    let most = work(&daemon.private()).await?.most;
    ensure!(most.values().all(|most| *most <= 5), "{most:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_groups_keep_their_order_over_failures() -> Result<()> {
    const EACH: usize = 40;
    let aws = Aws::new()?;
    aws.create_queue("orders.fifo").await?;
    for group in ["a", "b", "c"] {
        aws.send_all("orders.fifo", &bodies(group, EACH), Some(group)).await?;
    }
    let daemon = daemon(aws.address()).await?;
    let settings = json!({
        "queueName": aws.name("orders.fifo"), "path": "/work?ms=5&fail=10", "maxConcurrency": 6,
        "messagesPerPoll": 10, "concurrencyPerPoller": 3, "visibilityTimeout": 3,
    });
    put_source(&daemon.api(), "orders", "sqs", settings).await?;
    let done = wait_done(&daemon.private(), 3 * EACH, LONG).await?;
    ensure!(done.begun.len() > done.done.len(), "nothing failed, which proves little");
    for group in ["a", "b", "c"] {
        let of_group: Vec<&String> = done.done.iter().filter(|body| body.starts_with(group)).collect();
        ensure!(of_group == bodies(group, EACH).iter().collect::<Vec<_>>(), "{group}: {of_group:?}");
    }
    aws.wait_empty("orders.fifo", LONG).await
}
