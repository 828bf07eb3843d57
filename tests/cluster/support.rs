//! What the tests of clusters share: a cluster that tells its logs when a test fails, and probes that time
//! each request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use maelstrom_core::wire::JournalEvent;
use maelstrom_tests::{
    client::Client,
    hosts::{self, Cluster, Plan},
    load::{Job, Load, Report},
};
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinSet, time::timeout};

/// Between two requests of a worker.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Starts a cluster, waits until its nodes know each other, and runs a test on it.
pub(crate) async fn on(plan: Plan, test: impl AsyncFnOnce(&mut Cluster) -> Result<()>) -> Result<()> {
    let _turn = hosts::alone().await?;
    let mut cluster = plan.start().await?;
    let settled = cluster.settle_placement().await.context("the nodes did not find each other");
    let done = match settled {
        Ok(()) => test(&mut cluster).await,
        error => error,
    };
    if done.is_err() {
        cluster.keep_logs();
    }
    done
}

/// Three nodes.
pub(crate) async fn on_three(test: impl AsyncFnOnce(&mut Cluster) -> Result<()>) -> Result<()> {
    on(Cluster::plan(3), test).await
}

/// A component behind `/`, with so many instances on all nodes together.
pub(crate) async fn serve(
    cluster: &Cluster,
    name: &str,
    instances: usize,
    fields: Value,
) -> Result<Vec<usize>> {
    let mut all =
        json!({ "minInstances": instances, "maxInstances": instances.max(1), "maxConcurrency": 20 });
    if let (Value::Object(all), Value::Object(fields)) = (&mut all, fields) {
        all.extend(fields);
    }
    let api = cluster[0].api();
    api.put_component(name, all, json!({})).await?;
    api.put_route(&format!("{name}-all"), name, json!({ "pathPrefix": "/" })).await?;
    let spread = cluster.wait_active(name, instances).await?;
    for host in cluster.hosts() {
        routed(&host.public(), host.node()).await?;
    }
    Ok(spread)
}

/// Waits until a node knows the route.
async fn routed(client: &Client, node: &str) -> Result<()> {
    maelstrom_tests::wait::until(&format!("{node} to route"), maelstrom_tests::wait::LONG, || async {
        let answer = client.get("/counter").await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(Some(()))
    })
    .await
}

/// GETs and POSTs with bodies, small and larger.
pub(crate) fn mix(workers: usize) -> Vec<Job> {
    let jobs =
        [Job::Get("/sleep?ms=5".into()), Job::Echo(100), Job::Get("/bytes?n=5000".into()), Job::Echo(50_000)];
    jobs.iter().cycle().take(workers).cloned().collect()
}

/// Load on the gateways of these hosts, so many workers on each.
pub(crate) struct Loads(Vec<Load>);

impl Loads {
    pub(crate) fn start(cluster: &Cluster, hosts: &[usize], jobs: &[Job]) -> Self {
        let load = |host: &usize| Load::start(&cluster[*host].public(), jobs.to_vec(), PAUSE);
        Self(hosts.iter().map(load).collect())
    }

    /// Waits until so many more requests were sent on each gateway.
    pub(crate) async fn go_on(&self, count: u64) -> Result<()> {
        let before: Vec<u64> = self.0.iter().map(Load::sent).collect();
        maelstrom_tests::wait::until("more load", maelstrom_tests::wait::LONG, || async {
            let enough = self.0.iter().zip(&before).all(|(load, before)| load.sent() >= before + count);
            Ok(enough.then_some(()))
        })
        .await
    }

    /// What was sent and what failed, of all together.
    pub(crate) async fn finish(self) -> Report {
        let mut all = Report { sent: 0, failures: Vec::new() };
        for load in self.0 {
            let report = load.finish().await;
            all.sent += report.sent;
            all.failures.extend(report.failures);
        }
        all
    }
}

/// Small requests to each of some nodes, one after the other, each timed.
pub(crate) struct Probes {
    tasks: JoinSet<()>,
    seen: Arc<Mutex<Vec<Probe>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    /// The instance that answered, or what went wrong.
    pub(crate) outcome: Result<String, String>,
}

impl Probes {
    pub(crate) fn start(cluster: &Cluster, hosts: &[usize], path: &str) -> Self {
        const LIMIT: Duration = Duration::from_secs(30);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for &host in hosts {
            let (client, seen, path) = (cluster[host].public(), Arc::clone(&seen), path.to_owned());
            tasks.spawn(async move {
                loop {
                    let began = Instant::now();
                    let outcome = match timeout(LIMIT, client.get(&path)).await {
                        Ok(Ok(answer)) if answer.status == 200 => {
                            Ok(answer.header("x-app-instance").unwrap_or_default().to_owned())
                        }
                        Ok(Ok(answer)) => Err(format!("{} {}", answer.status, answer.text().trim())),
                        Ok(Err(error)) => Err(format!("{error:#}")),
                        Err(_) => Err(format!("nothing within {LIMIT:?}")),
                    };
                    seen.lock().await.push(Probe { began, took: began.elapsed(), outcome });
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self { tasks, seen }
    }

    pub(crate) async fn finish(mut self) -> Vec<Probe> {
        self.tasks.shutdown().await;
        std::mem::take(&mut *self.seen.lock().await)
    }
}

/// From `since` on, until when probes failed or took long.
pub(crate) fn trouble(probes: &[Probe], since: Instant, long: Duration) -> Duration {
    let troubled = probes.iter().filter(|probe| probe.began + probe.took > since);
    let troubled = troubled.filter(|probe| probe.outcome.is_err() || probe.took > long);
    troubled.map(|probe| probe.began.saturating_duration_since(since)).max().unwrap_or_default()
}

/// Numbers that people want to see; the test runner shows them with `--no-capture`, and always on failure.
#[allow(clippy::print_stderr)]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

/// What a node wrote of its drain, with the milliseconds since it began.
pub(crate) async fn drain_timeline(cluster: &Cluster, host: usize) -> Result<String> {
    let events = cluster[host].api().events(&["drain"]).await?;
    let line = |event: &JournalEvent| {
        let took = event.data.get("tookMs").map_or_else(String::new, |took| format!(" ({took} ms)"));
        let why = event.reasons.join("; ");
        format!("{:>7} ms  {}{took}  {why}\n", event.data["ms"], event.message)
    };
    Ok(format!("{}:\n{}", cluster[host].node(), events.iter().map(line).collect::<String>()))
}

/// The share that is `of` hundred, of numbers in any order.
pub(crate) fn percentile(numbers: &mut [Duration], of: usize) -> Duration {
    numbers.sort();
    numbers.get((numbers.len() * of / 100).min(numbers.len().saturating_sub(1))).copied().unwrap_or_default()
}
