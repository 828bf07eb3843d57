//! Work of a queue while machines are taken away: each message is done, none is left, none goes to the dead
//! letters, and no request beside them is lost.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use maelstrom_tests::{
    aws::{Aws, Numbers},
    hosts::Cluster,
    wait::{self, LONG},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    support::{on, serve, tell},
    terminations::{goes, group, is_gone, spot_notice},
};

const JOBS: &str = "jobs";
const DEAD: &str = "dead";
const WORKER: &str = "worker";
/// Some are in flight for longer than peers and load balancers take to turn away from a machine that goes.
const PATH: &str = "/work?ms=20&slow=3&slowms=4000";
/// As containers see the folder that all hosts share.
const LEDGER: &str = "/ledger";
/// A message that is received more often is dead; one that a leaving node gives back is received twice.
const RECEIVES: u32 = 3;

/// Messages that come steadily, until somebody says otherwise.
struct Flow {
    stop: CancellationToken,
    task: JoinSet<Result<usize>>,
}

// === impl Flow ===

impl Flow {
    fn start(aws: &Aws) -> Self {
        const PAUSE: Duration = Duration::from_millis(200);
        const BATCH: usize = 10;
        let (aws, stop) = (aws.clone(), CancellationToken::new());
        let (told, mut task) = (stop.clone(), JoinSet::new());
        task.spawn(async move {
            let mut sent = 0;
            while !told.is_cancelled() {
                let bodies: Vec<String> = (sent..sent + BATCH).map(body).collect();
                aws.send_all(JOBS, &bodies, None).await?;
                sent += BATCH;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(sent)
        });
        Self { stop, task }
    }

    /// How many there were.
    async fn finish(mut self) -> Result<usize> {
        self.stop.cancel();
        self.task.join_next().await.context("it was finished")??
    }
}

fn body(number: usize) -> String {
    format!("message {number}")
}

/// What the component notes of messages that it has done, wherever it runs: instances end, the file stays.
struct Ledger(PathBuf);

// === impl Ledger ===

impl Ledger {
    fn create(cluster: &Cluster) -> Result<Self> {
        let folder = cluster[0].folder().join("ledger");
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn mount(&self) -> Value {
        json!({ "volumes": [{ "type": "bind", "source": self.0.display().to_string(), "target": LEDGER }] })
    }

    /// How often each message was done.
    fn read(&self) -> Result<BTreeMap<String, usize>> {
        let mut times = BTreeMap::new();
        let text = fs::read_to_string(self.0.join("done"));
        for line in text.context("no message was ever done")?.lines() {
            *times.entry(line.to_owned()).or_default() += 1;
        }
        Ok(times)
    }
}

/// The component, its queue, and pollers on all nodes.
async fn work(cluster: &Cluster, aws: &Aws, ledger: &Ledger) -> Result<()> {
    let api = cluster[0].api();
    let fields = json!({
        "minInstances": 3, "maxInstances": 4, "maxConcurrency": 20,
        "environment": [{ "name": "APP_LEDGER", "value": format!("{LEDGER}/done") }],
    });
    api.put_component(WORKER, fields, ledger.mount()).await?;
    cluster.wait_active(WORKER, 3).await?;
    let source = json!({
        "name": JOBS, "componentName": WORKER, "version": 0, "modifiedAt": 0,
        "sqs": {
            "queueName": aws.name(JOBS), "path": PATH, "maxConcurrency": 12, "messagesPerPoll": 2,
            "concurrencyPerPoller": 2, "visibilityTimeout": 30,
        },
    });
    api.rpc("MaelstromService.PutEventSource", json!({ "eventSource": source })).await?;
    wait::until("pollers on all nodes", LONG, || async {
        let told = api.rpc("MaelstromService.DescribeEventSource", json!({ "name": JOBS })).await?;
        let pollers = told["pollers"].as_array().into_iter().flatten();
        let mut nodes: Vec<&str> = pollers.filter_map(|one| one["nodeId"].as_str()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        ensure!(nodes.len() == cluster.hosts().len(), "{nodes:?}");
        Ok(Some(()))
    })
    .await
}

/// A machine is taken away, by `how`, while messages come in and requests do.
async fn loses_no_message(how: impl AsyncFnOnce(&mut Cluster, usize) -> Result<()>) -> Result<()> {
    let aws = Aws::new()?;
    for queue in [JOBS, DEAD] {
        aws.create_queue(queue).await?;
    }
    aws.set_redrive(JOBS, DEAD, RECEIVES).await?;
    on(group(), async |cluster| {
        let ledger = Ledger::create(cluster)?;
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        work(cluster, &aws, &ledger).await?;
        let flow = Flow::start(&aws);
        let done = |least: usize| ledger.read().map(|times| (times.len() >= least).then_some(()));
        wait::until("messages that are done", LONG, || async { done(100) }).await?;
        let victim = cluster.owner("placement").await?;
        how(cluster, victim).await?;
        ensure!(cluster[victim].containers(WORKER).await?.is_empty(), "it left containers");
        // Work goes on without it.
        let before = ledger.read()?.len();
        wait::until("more messages that are done", LONG, || async { done(before + 100) }).await?;
        let sent = flow.finish().await?;
        account(&aws, &ledger, sent).await
    })
    .await
}

async fn account(aws: &Aws, ledger: &Ledger, sent: usize) -> Result<()> {
    aws.wait_empty(JOBS, LONG).await?;
    let dead = aws.numbers(DEAD).await?;
    ensure!(dead == Numbers { visible: 0, invisible: 0 }, "dead letters: {dead:?}");
    let times = ledger.read()?;
    let missing: Vec<String> = (0..sent).map(body).filter(|body| !times.contains_key(body)).collect();
    ensure!(missing.is_empty(), "{} of {sent} were never done: {missing:?}", missing.len());
    let again = times.values().filter(|count| **count > 1).count();
    tell(&format!("{sent} messages were done, {again} of them more than once"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_with_a_machine_that_its_group_terminates() -> Result<()> {
    loses_no_message(async |cluster, victim| {
        goes(cluster, victim, async |cluster| cluster.cloud()?.terminate(victim)).await?;
        is_gone(cluster, victim).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_with_a_machine_that_ec2_takes_back() -> Result<()> {
    loses_no_message(async |cluster, victim| {
        let notice = async |cluster: &mut Cluster| {
            cluster.cloud()?.notice(victim, "spot/instance-action", &spot_notice(120)?)
        };
        goes(cluster, victim, notice).await.map(drop)
    })
    .await
}
