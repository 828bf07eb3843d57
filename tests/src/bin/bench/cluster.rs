//! Several nodes on one store: how soon nodes know of each other's instances, how soon a load that needs four
//! has them, and what an idle node asks of DynamoDB.
//!
//! The hosts run the programs beside this one, not `MAELSTROMD`. The price is that of a cluster that nobody
//! uses: requests to components cost nothing at the store.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use maelstrom_core::wire;
use maelstrom_tests::{
    hosts::Cluster,
    load::{Job, Load},
};
use serde_json::json;

use crate::{
    options::Options,
    report::{Goal, Report, say},
    stats::{median, percentile},
};

const STATUS_ROUNDS: usize = 50;
const SCALE_ROUNDS: usize = 5;
/// Requests that four instances of two requests each have to do with.
const LOAD: [usize; 2] = [4, 4];
/// Longer than any period in which nodes look at the store.
const IDLE: Duration = Duration::from_secs(60);
/// What the README gives the price for.
const MANY_NODES: usize = 35;
/// DynamoDB on demand in us-east-1, dollars per million request units (<https://aws.amazon.com/dynamodb/pricing/on-demand/>,
/// in force since November 2024).
const DOLLARS_PER_MILLION: [(&str, f64); 2] = [("read", 0.125), ("write", 0.625)];
const MINUTES_PER_MONTH: f64 = 730.0 * 60.0;

pub(crate) async fn measure(options: &Options, report: &mut Report) -> Result<()> {
    measure_status(options, report).await?;
    measure_scale_out(options, report).await?;
    measure_idle(report).await
}

/// Of three nodes one has room. A request at another one starts an instance there, and goes through as soon as
/// it is known to be healthy: the time between, the answer's way included.
async fn measure_status(options: &Options, report: &mut Report) -> Result<()> {
    let rounds = options.rounds(STATUS_ROUNDS);
    say(&format!("\nhealthy on one node → served through another, three nodes: {rounds} rounds"));
    let mut cluster = Cluster::plan(3).memory(0, 0).memory(2, 0).start().await?;
    cluster.settle_placement().await?;
    let mut times = Vec::new();
    for round in 0..rounds {
        let name = format!("status-{round}");
        let api = cluster[0].api();
        api.put_component(&name, json!({ "maxInstances": 1 }), json!({})).await?;
        let answer = cluster[0].private().component(&name, "/counter").await?;
        let answered = SystemTime::now().duration_since(UNIX_EPOCH)?;
        ensure!(answer.status == 200, "{name}: {} {}", answer.status, answer.text());
        let events = cluster[1].api().events(&["instance-started"]).await?;
        let started = events.iter().rfind(|event| event.component_name.as_deref() == Some(&name));
        let healthy = Duration::from_millis(started.context("no start was told")?.time.unsigned_abs());
        times.push(milliseconds(answered.saturating_sub(healthy)));
        api.call(wire::RemoveComponent, &wire::NameInput { name }).await?;
    }
    let p99 = percentile(&times, 0.99);
    say(&format!("  median {:.0} ms  p99 {p99:.0} ms", median(&times)));
    let goal = Goal::AtMost { must: 100.0, target: 50.0 };
    report.add("healthy there → served here, p99", p99, "ms", goal);
    Ok(())
}

/// From idle to a load that needs four instances on two nodes, as a multiple of a cold start on one of them.
async fn measure_scale_out(options: &Options, report: &mut Report) -> Result<()> {
    let rounds = options.rounds(SCALE_ROUNDS);
    say(&format!("\nidle → four instances on two nodes: {rounds} rounds"));
    let mut cluster = Cluster::start(LOAD.len()).await?;
    cluster.settle_placement().await?;
    let (mut singles, mut fours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let api = cluster[0].api();
        let name = format!("single-{round}");
        api.put_component(&name, json!({ "maxInstances": 1 }), json!({})).await?;
        let begun = Instant::now();
        let answer = cluster[0].private().component(&name, "/counter").await?;
        let single = milliseconds(begun.elapsed());
        ensure!(answer.status == 200, "{name}: {} {}", answer.status, answer.text());
        api.call(wire::RemoveComponent, &wire::NameInput { name: name.clone() }).await?;
        gone(&cluster, &name).await?;

        let name = format!("step-{round}");
        api.put_component(&name, json!({ "maxInstances": 4, "maxConcurrency": 2 }), json!({})).await?;
        api.put_route(&name, &name, json!({ "pathPrefix": "/" })).await?;
        for host in cluster.hosts() {
            known(host, &name).await?;
        }
        // Routes follow the configuration; asking for them with a request would be a start.
        tokio::time::sleep(ROUTED).await;
        let begun = Instant::now();
        let loads: Vec<Load> = LOAD
            .iter()
            .enumerate()
            .map(|(host, workers)| {
                let jobs = vec![Job::Get("/sleep?ms=200".into()); *workers];
                Load::start(&cluster[host].public(), jobs, Duration::ZERO)
            })
            .collect();
        let spread = cluster.wait_active(&name, 4).await?;
        let four = milliseconds(begun.elapsed());
        for load in loads {
            load.finish().await.expect_none_lost(1)?;
        }
        ensure!(spread == [2, 2], "the four run as {spread:?}");
        let removed = wire::NameInput { name: name.clone() };
        api.call(wire::RemoveEventSource, &removed).await?;
        api.call(wire::RemoveComponent, &wire::NameInput { name: name.clone() }).await?;
        gone(&cluster, &name).await?;
        singles.push(single);
        fours.push(four);
        ratios.push(four / single);
    }
    say(&format!(
        "  one cold start {:.0} ms  the fourth serves after {:.0} ms",
        median(&singles),
        median(&fours)
    ));
    let goal = Goal::AtMost { must: 3.0, target: 2.0 };
    report.add("idle → four instances on two nodes", median(&ratios), "× cold start", goal);
    Ok(())
}

async fn known(host: &maelstrom_tests::hosts::Host, component: &str) -> Result<()> {
    maelstrom_tests::wait::until("a node to know a component", PATIENCE, || async {
        let input = wire::NameInput { name: component.to_owned() };
        host.api().call(wire::GetComponent, &input).await?;
        // Its route has the same name.
        host.api().call(wire::GetEventSource, &input).await.map(Some)
    })
    .await
    .map(drop)
}

/// Nothing of it runs any more anywhere, so that the next measurement has the machine for itself.
async fn gone(cluster: &Cluster, component: &str) -> Result<()> {
    maelstrom_tests::wait::until("instances to go", PATIENCE, || async {
        for host in cluster.hosts() {
            let left = host.containers(component).await?;
            ensure!(left.is_empty(), "{} has {left:?}", host.node());
        }
        Ok(Some(()))
    })
    .await
}

const PATIENCE: Duration = Duration::from_secs(60);
/// More than a node takes from a configuration to its routes.
const ROUTED: Duration = Duration::from_millis(250);

/// Requests and units of a node and minute with nothing to do: alone, one of three, and one among as many
/// others as a large cluster has.
async fn measure_idle(report: &mut Report) -> Result<()> {
    say(&format!("\nidle nodes at the store: {} s each", IDLE.as_secs()));
    let mut units_of_many = BTreeMap::new();
    for (nodes, others) in [(1, 0), (3, 0), (1, MANY_NODES - 1)] {
        let mut cluster = Cluster::start(nodes).await?;
        cluster.settle_placement().await?;
        cluster.pretend_nodes(others)?;
        // What a start or a newcomer costs once is over.
        tokio::time::sleep(IDLE / 4).await;
        let before = costs(&cluster).await?;
        tokio::time::sleep(IDLE).await;
        let after = costs(&cluster).await?;
        let minutes = IDLE.as_secs_f64() / 60.0 * nodes as f64;
        let spent =
            |kind: &str| (after.get(kind).unwrap_or(&0.0) - before.get(kind).unwrap_or(&0.0)) / minutes;
        let [requests, read, write] = ["requests", "read", "write"].map(spent);
        let all = nodes + others;
        say(&format!(
            "  {all:2} nodes: {requests:.1} requests, {read:.1} read and {write:.1} write units a node and minute"
        ));
        report.add(format!("requests a node and minute, {all} nodes"), requests, "", Goal::None);
        units_of_many = BTreeMap::from([("read", read), ("write", write)]);
    }
    let dollars: f64 = DOLLARS_PER_MILLION
        .iter()
        .map(|(kind, price)| units_of_many[kind] * MINUTES_PER_MONTH * MANY_NODES as f64 / 1e6 * price)
        .sum();
    report.add(format!("a month of {MANY_NODES} idle nodes"), dollars, "$", Goal::None);
    Ok(())
}

/// What the nodes have asked of the store so far: requests, and units of each kind.
async fn costs(cluster: &Cluster) -> Result<BTreeMap<&'static str, f64>> {
    let mut all = BTreeMap::new();
    for host in cluster.hosts() {
        let metrics = host.private().get("/_mael/metrics").await?.text();
        for line in metrics.lines().filter(|line| line.starts_with("maelstrom_store_")) {
            let (name, value) = line.rsplit_once(' ').context("a sample without a value")?;
            let kind = match name {
                name if name.starts_with("maelstrom_store_requests_total") => "requests",
                name if name.contains("kind=\"read\"") => "read",
                _ => "write",
            };
            *all.entry(kind).or_default() += value.parse::<f64>()?;
        }
    }
    Ok(all)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
