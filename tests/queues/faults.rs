//! AWS that refuses, forgets, or is away: told clearly and once, asked ever more rarely, recovered from, and
//! no other queue's trouble.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Result, ensure};
use maelstrom_tests::{
    api::Api,
    aws::Aws,
    aws_fault::{Faulty, Refusal},
    client::Client,
    hosts::{Conduct, Relay},
    wait::{self, LONG},
};
use serde_json::json;

use crate::support::{daemon, put_source, told, work};

async fn put(api: &Api, aws: &Aws, queue: &str) -> Result<()> {
    let settings = json!({
        "queueName": aws.name(queue), "path": "/work", "messagesPerPoll": 5, "maxConcurrency": 10,
        "visibilityTimeout": 30,
    });
    put_source(api, queue, "sqs", settings).await
}

async fn begun(private: &Client, body: &str) -> Result<()> {
    wait::until(&format!("message '{body}'"), LONG, || async {
        Ok(work(private).await?.begun.iter().any(|begun| begun == body).then_some(()))
    })
    .await
}

/// Waits until the journal says all of `words` in one line; how many lines do then.
async fn says(api: &Api, words: &[&str]) -> Result<usize> {
    wait::until(&format!("the journal to say {words:?}"), LONG, || async {
        let lines = told(api).await?;
        let found = lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count();
        ensure!(found > 0, "it says {lines:#?}");
        Ok(Some(found))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_queue_is_told_once_and_leaves_others_alone() -> Result<()> {
    let aws = Aws::new()?;
    let faulty = Faulty::start(aws.address()).await?;
    let daemon = daemon(faulty.address()).await?;
    let (api, private) = (daemon.api(), daemon.private());
    for queue in ["sick", "fine"] {
        aws.create_queue(queue).await?;
        put(&api, &aws, queue).await?;
        aws.send(queue, &format!("{queue} first")).await?;
        begun(&private, &format!("{queue} first")).await?;
    }
    for (status, code, words) in [
        (403, "AccessDenied", ["sqs:ReceiveMessage", "not permitted", "IAM role"]),
        (400, "RequestThrottled", ["'sick'", "asked for too much", "RequestThrottled"]),
    ] {
        faulty.refuse(Some(Refusal { word: aws.name("sick"), status, code }));
        let times = says(&api, &words).await?;
        ensure!(times == 1, "{words:?} {times} times");
        let message = format!("fine {code}");
        aws.send("fine", &message).await?;
        tokio::time::timeout(Duration::from_secs(10), begun(&private, &message)).await??;
        let message = format!("sick {code}");
        aws.send("sick", &message).await?;
        faulty.refuse(None);
        begun(&private, &message).await?;
    }
    says(&api, &["can use queue", &aws.name("sick"), "again"]).await?;
    for queue in ["sick", "fine"] {
        aws.wait_empty(queue, LONG).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_named_and_found_when_it_is_made_again() -> Result<()> {
    let aws = Aws::new()?;
    let daemon = daemon(aws.address()).await?;
    let (api, private) = (daemon.api(), daemon.private());
    for queue in ["gone", "here"] {
        aws.create_queue(queue).await?;
        put(&api, &aws, queue).await?;
        aws.send(queue, queue).await?;
        begun(&private, queue).await?;
    }
    aws.delete_queue("gone").await?;
    says(&api, &[&format!("queue '{}' does not exist", aws.name("gone")), "create it"]).await?;
    aws.send("here", "meanwhile").await?;
    begun(&private, "meanwhile").await?;
    aws.create_queue("gone").await?;
    aws.send("gone", "back").await?;
    begun(&private, "back").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_that_is_away_is_waited_for_and_http_goes_on() -> Result<()> {
    let away = std::env::var("MAEL_TEST_AWS_AWAY_SECONDS").ok().and_then(|text| text.parse().ok());
    let away = Duration::from_secs(away.unwrap_or(8));
    let aws = Aws::new()?;
    let relay = Relay::start(Ipv4Addr::LOCALHOST, aws.address()).await?;
    let daemon = daemon(relay.address()).await?;
    let (api, private) = (daemon.api(), daemon.private());
    aws.create_queue("jobs").await?;
    put(&api, &aws, "jobs").await?;
    api.put_route("all", crate::support::COMPONENT, json!({ "pathPrefix": "/" })).await?;
    aws.send("jobs", "before").await?;
    begun(&private, "before").await?;
    relay.set(Conduct::Refuse);
    says(&api, &["can't be reached", "AWS_ENDPOINT_URL_SQS"]).await?;
    aws.send("jobs", "meanwhile").await?;
    let end = std::time::Instant::now() + away;
    while std::time::Instant::now() < end {
        let answer = daemon.public().get("/counter").await?;
        ensure!(answer.status == 200, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let attempts = daemon.whole_log().lines().filter(|line| line.contains("can't be reached")).count();
    ensure!(attempts <= 3, "it was told {attempts} times");
    relay.set(Conduct::Pass);
    begun(&private, "meanwhile").await?;
    says(&api, &["can use queue", "again"]).await?;
    aws.wait_empty("jobs", LONG).await
}
