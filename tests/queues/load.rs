//! Many messages of several queues over a cluster, while one node is killed and another one leaves.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Result, ensure};
use maelstrom_tests::{
    api::Api,
    aws::Aws,
    hosts::Cluster,
    wait::{self, LONG},
};
use serde_json::json;

use crate::support::{COMPONENT, KEEPER, Work, on, put_component, put_source, three, wait_done, work};

/// With what may be in flight of each.
const QUEUES: [(&str, usize); 3] = [("red", 12), ("green", 12), ("blue", 12)];
const MESSAGES: usize = 20_000;
/// Failed messages come back after this.
const VISIBILITY: u64 = 10;

fn messages() -> usize {
    std::env::var("MAEL_TEST_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(MESSAGES)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_several_queues_are_done_while_a_node_is_killed_and_one_drains() -> Result<()> {
    let each = messages() / QUEUES.len();
    let aws = Aws::new()?;
    for (queue, _) in QUEUES {
        aws.create_queue(queue).await?;
    }
    on(three().aws(aws.address()), async |cluster| run(cluster, &aws, each).await).await
}

async fn run(cluster: &mut Cluster, aws: &Aws, each: usize) -> Result<()> {
    let (api, private) = (cluster[KEEPER].api(), cluster[KEEPER].private());
    put_component(&api).await?;
    let spread = cluster.wait_active(COMPONENT, 1).await?;
    ensure!(spread[KEEPER] == 1, "{spread:?}");
    for (queue, most) in QUEUES {
        let settings = json!({
            "queueName": aws.name(queue), "path": "/work?fail=5&slow=1&ms=20&slowms=3000",
            "maxConcurrency": most, "messagesPerPoll": 4, "concurrencyPerPoller": 2,
            "visibilityTimeout": VISIBILITY,
        });
        put_source(&api, queue, "sqs", settings).await?;
    }
    wait::until("pollers on several nodes", LONG, || async {
        let nodes = nodes(&api).await?;
        let all: usize = QUEUES.iter().map(|(_, most)| most / 2).sum();
        ensure!(nodes.values().sum::<usize>() == all && nodes.len() > 1, "of {all} there are {nodes:?}");
        Ok(Some(()))
    })
    .await?;

    let total = each * QUEUES.len();
    let faults = async {
        wait_done(&private, total / 10, LONG).await?;
        cluster[1].kill9().await?;
        wait_done(&private, total / 4, LONG * 5).await?;
        cluster[2].stop().await
    };
    tokio::try_join!(send(aws, each), faults)?;
    let begun = Instant::now();
    wait::until("all messages", LONG * 10, || async {
        for (queue, _) in QUEUES {
            let numbers = aws.numbers(queue).await?;
            ensure!(numbers.visible + numbers.invisible == 0, "{queue}: {numbers:?}, {:?}", begun.elapsed());
        }
        Ok(Some(()))
    })
    .await?;
    let work = work(&private).await?;
    for (queue, most) in QUEUES {
        let seen = work.most.get(&aws.name(queue)).copied().unwrap_or_default();
        ensure!((2..=most).contains(&seen), "{seen} of {queue} were in flight, {most} are allowed");
    }
    account(&work, each)?;
    let after = nodes(&api).await?;
    ensure!(after.keys().all(|node| node == cluster[KEEPER].node()), "{after:?}");
    Ok(())
}

/// To all queues in turn.
async fn send(aws: &Aws, each: usize) -> Result<()> {
    const AT_ONCE: usize = 40;
    for first in (0..each).step_by(AT_ONCE) {
        for (queue, _) in QUEUES {
            let numbers = first..each.min(first + AT_ONCE);
            let bodies: Vec<String> = numbers.map(|number| format!("{queue} {number}")).collect();
            aws.send_all(queue, &bodies, None).await?;
        }
    }
    Ok(())
}

/// All messages were done; those done twice were redelivered.
fn account(work: &Work, each: usize) -> Result<()> {
    let mut times = BTreeMap::<&str, usize>::new();
    for body in &work.done {
        *times.entry(body).or_default() += 1;
    }
    for (queue, _) in QUEUES {
        let missing: Vec<String> = (0..each)
            .map(|number| format!("{queue} {number}"))
            .filter(|body| !times.contains_key(body.as_str()))
            .collect();
        ensure!(missing.is_empty(), "{} of {queue} were never done: {missing:?}", missing.len());
    }
    // Answered, and not deleted yet when their node was killed: at most what one node can have in hand.
    let again = times.values().filter(|count| **count > 1).count();
    ensure!(again <= 60, "{again} were done more than once");
    ensure!(work.begun.len() > work.done.len(), "nothing failed, which proves little");
    Ok(())
}

/// How many pollers each node works as.
async fn nodes(api: &Api) -> Result<BTreeMap<String, usize>> {
    let mut nodes = BTreeMap::new();
    for (queue, _) in QUEUES {
        let told = api.rpc("MaelstromService.DescribeEventSource", json!({ "name": queue })).await?;
        let pollers = told["pollers"].as_array().into_iter().flatten();
        for node in pollers.filter_map(|one| one["nodeId"].as_str()) {
            *nodes.entry(node.to_owned()).or_default() += 1;
        }
    }
    Ok(nodes)
}
