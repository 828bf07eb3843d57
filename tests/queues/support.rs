//! What these tests share: a daemon that finds LocalStack, event sources, and what the component tells of
//! its work.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use maelstrom_tests::{
    api::Api,
    aws::Aws,
    client::Client,
    daemon::Daemon,
    hosts::{self, Cluster, Plan},
    wait,
};
use serde_json::{Value, json};

/// The component of these tests: one instance, so that what it counts is all there is.
pub(crate) const COMPONENT: &str = "worker";

/// A daemon that finds AWS at `aws`, with the component.
pub(crate) async fn daemon(aws: SocketAddr) -> Result<Daemon> {
    let mut daemon = Daemon::prepare().await?;
    for (name, value) in Aws::environment(aws) {
        daemon.set(name, &value);
    }
    daemon.start().await?;
    put_component(&daemon.api()).await?;
    Ok(daemon)
}

/// The host that runs the component; the others only relay and may die.
pub(crate) const KEEPER: usize = 0;

/// Three nodes, of which one can run the component.
pub(crate) fn three() -> Plan {
    Cluster::plan(3).memory(1, 0).memory(2, 0)
}

/// Runs a test on nodes that know each other.
pub(crate) async fn on(plan: Plan, test: impl AsyncFnOnce(&mut Cluster) -> Result<()>) -> Result<()> {
    let _turn = hosts::alone().await?;
    let mut cluster = plan.start().await?;
    let done = match cluster.settle_placement().await.context("the nodes did not find each other") {
        Ok(()) => test(&mut cluster).await,
        error => error,
    };
    if done.is_err() {
        cluster.keep_logs();
    }
    done
}

pub(crate) async fn put_component(api: &Api) -> Result<()> {
    let fields = json!({
        "minInstances": 1, "maxInstances": 1, "maxConcurrency": 1_000, "softConcurrencyLimit": true,
    });
    api.put_component(COMPONENT, fields, json!({})).await?;
    Ok(())
}

/// Puts an event source of the component, new or changed.
pub(crate) async fn put_source(api: &Api, name: &str, kind: &str, settings: Value) -> Result<()> {
    let current = api.rpc("MaelstromService.GetEventSource", json!({ "name": name })).await;
    let version = current.map_or(json!(0), |found| found["eventSource"]["version"].clone());
    let mut source = json!({ "name": name, "componentName": COMPONENT, "version": version });
    source[kind] = settings;
    api.rpc("MaelstromService.PutEventSource", json!({ "eventSource": source })).await?;
    Ok(())
}

/// What the component tells of messages.
#[derive(Debug)]
pub(crate) struct Work {
    /// In order.
    pub(crate) begun: Vec<String>,
    /// Answered with 200, in order.
    pub(crate) done: Vec<String>,
    /// In flight at a time, of each queue by its name.
    pub(crate) most: BTreeMap<String, usize>,
}

pub(crate) async fn work(private: &Client) -> Result<Work> {
    let told = private.component(COMPONENT, "/work/report").await?.json()?;
    let list = |name: &str| serde_json::from_value(told[name].clone());
    Ok(Work {
        begun: list("begun")?,
        done: list("done")?,
        most: serde_json::from_value(told["most"].clone())?,
    })
}

pub(crate) async fn done(private: &Client) -> Result<usize> {
    let told = private.component(COMPONENT, "/work/count").await?;
    told.text().trim().parse().with_context(|| told.text())
}

/// Waits until the component has done so many messages.
pub(crate) async fn wait_done(private: &Client, count: usize, limit: Duration) -> Result<Work> {
    wait::until(&format!("{count} messages done"), limit, || async {
        let done = done(private).await?;
        ensure!(done >= count, "{done} are");
        Ok(Some(()))
    })
    .await?;
    work(private).await
}

/// The journal's words about pollers, with reasons.
pub(crate) async fn told(api: &Api) -> Result<Vec<String>> {
    let events = api.events(&["poller"]).await?;
    Ok(events.into_iter().map(|event| format!("{}: {}", event.message, event.reasons.join("; "))).collect())
}
