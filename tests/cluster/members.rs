//! Nodes that come, leave, die, freeze.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use maelstrom_tests::{
    hosts::{Cluster, Part, witness::RoleWatch},
    load::Report,
    wait::{self, LONG},
};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Loads, Probes, mix, on, on_three, serve, tell, trouble};

/// How long a role is a dead node's at most: a lease, and the time until its last beat is first seen.
const LEASE: Duration = Duration::from_secs(20);
/// A look at the store, and a busy machine.
const SLACK: Duration = Duration::from_secs(8);
const ROLES: [&str; 3] = ["autoscale", "cron", "placement"];

/// Waits until another host than `victim` owns all roles; tells how long that took.
async fn successor(cluster: &Cluster, victim: usize, since: Instant) -> Result<Duration> {
    wait::until("new owners of the roles", LONG, || async {
        let owners = futures_util::future::join_all(ROLES.map(|role| cluster.owner(role))).await;
        for (role, owner) in ROLES.into_iter().zip(owners) {
            ensure!(owner? != victim, "'{role}' is the dead node's");
        }
        Ok(Some(()))
    })
    .await?;
    Ok(since.elapsed())
}

/// No request failed but those that the dead node was answering: at most one per worker that sends what
/// may not be sent twice, and only at the time of the death.
fn lost_only_what_was_there(report: &Report, posts: usize) -> Result<()> {
    ensure!(report.failures.len() <= posts, "{} failed: {:#?}", report.failures.len(), report.failures);
    for failure in &report.failures {
        ensure!(failure.method == hyper::Method::POST, "a GET failed: {failure:?}");
    }
    Ok(())
}

enum Death {
    Daemon,
    Host,
}

impl Death {
    /// A dead daemon's kernel refuses what comes at once; a host without power says nothing, and its
    /// silence has to last before it means anything.
    fn noticed_within(&self) -> Duration {
        match self {
            Self::Daemon => Duration::from_secs(1),
            Self::Host => Duration::from_secs(3),
        }
    }
}

/// The owner of the roles dies under load on the other two.
async fn dies(death: Death) -> Result<()> {
    on_three(async |cluster| {
        // What a silent node ran counts until it leaves: without one to spare there is no replacement before.
        let spread = serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        ensure!(spread == [1, 1, 1], "{spread:?}");
        let victim = cluster.owner("placement").await?;
        let others: Vec<usize> = (0..3).filter(|host| *host != victim).collect();
        let roles = RoleWatch::start(cluster);
        let loads = Loads::start(cluster, &others, &mix(8));
        let probes = Probes::start(cluster, &others, "/counter");
        loads.go_on(100).await?;
        let died = Instant::now();
        match death {
            Death::Daemon => cluster[victim].kill9().await?,
            Death::Host => cluster.power_off(victim)?,
        }
        let moved = successor(cluster, victim, died).await?;
        let replaced = cluster.wait_active("web", 3).await?;
        ensure!(replaced[victim] == 0, "{replaced:?}");
        let replaced = died.elapsed();
        loads.go_on(50).await?;
        let probes = probes.finish().await;
        let routed = trouble(&probes, died, Duration::from_secs(1));
        tell(&format!(
            "requests in trouble began until {routed:?} after the death, roles moved in {moved:?}, \
             instances were replaced in {replaced:?}"
        ));
        lost_only_what_was_there(&loads.finish().await, 2 * 4)?;
        ensure!(routed <= death.noticed_within(), "it was routed to for {routed:?}");
        ensure!(moved <= LEASE + SLACK, "roles moved in {moved:?}");
        roles.finish().await?;
        // It comes back as one of three.
        match death {
            Death::Daemon => cluster[victim].start().await?,
            Death::Host => cluster.power_on(victim).await?,
        }
        cluster.settle().await?;
        ensure!(cluster[victim].public().get("/counter").await?.status == 200);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_a_daemon_under_load_costs_only_what_it_was_answering() -> Result<()> {
    dies(Death::Daemon).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_loses_power_under_load_costs_only_what_it_was_answering() -> Result<()> {
    dies(Death::Host).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_owner_that_goes_on_after_its_lease_does_not_act() -> Result<()> {
    on_three(async |cluster| {
        serve(cluster, "web", 3, json!({})).await?;
        let victim = cluster.owner("placement").await?;
        let others: Vec<usize> = (0..3).filter(|host| *host != victim).collect();
        let roles = RoleWatch::start(cluster);
        let loads = Loads::start(cluster, &others, &mix(4));
        cluster[victim].freeze(Part::Daemon)?;
        let frozen = Instant::now();
        let moved = successor(cluster, victim, frozen).await?;
        cluster[victim].thaw(Part::Daemon)?;
        cluster.settle().await?;
        loads.go_on(50).await?;
        lost_only_what_was_there(&loads.finish().await, 2 * 2)?;
        ensure!(moved <= LEASE + SLACK, "roles moved in {moved:?}");
        roles.finish().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_engine_keeps_its_instances_in_rotation() -> Result<()> {
    on_three(async |cluster| {
        serve(cluster, "web", 3, json!({})).await?;
        let loads = Loads::start(cluster, &[0, 1, 2], &mix(4));
        cluster[1].freeze(Part::Engine)?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        ensure!(cluster.active("web").await[1] == 1, "{:?}", cluster.active("web").await);
        cluster[1].thaw(Part::Engine)?;
        loads.go_on(50).await?;
        loads.finish().await.expect_none_lost(300)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_go_under_load_loses_nothing() -> Result<()> {
    on_three(async |cluster| {
        serve(cluster, "web", 3, json!({})).await?;
        let victim = cluster.owner("placement").await?;
        let others: Vec<usize> = (0..3).filter(|host| *host != victim).collect();
        let roles = RoleWatch::start(cluster);
        let loads = Loads::start(cluster, &others, &mix(8));
        loads.go_on(50).await?;
        let told = Instant::now();
        cluster[victim].signal(Signal::TERM)?;
        let status = cluster[victim].wait_exit(LONG).await?;
        ensure!(status.success(), "{status}");
        let moved = successor(cluster, victim, told).await?;
        let gone = told.elapsed();
        let replaced = cluster.wait_active("web", 3).await?;
        ensure!(replaced[victim] == 0, "{replaced:?}");
        loads.go_on(50).await?;
        loads.finish().await.expect_none_lost(300)?;
        roles.finish().await?;
        tell(&format!("it ended, and its roles moved, in {gone:?}, {moved:?}"));
        // Given back, not run out.
        ensure!(moved < LEASE, "roles moved in {moved:?}");
        ensure!(cluster[victim].containers("web").await?.is_empty(), "it left containers");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_gets_work_within_seconds_and_no_request_is_lost() -> Result<()> {
    on(Cluster::plan(2), async |cluster| {
        // One to spare: nothing moves without its replacement serving first.
        let spread = serve(cluster, "web", 6, json!({ "maxInstances": 7 })).await?;
        ensure!(spread == [3, 3], "{spread:?}");
        let loads = Loads::start(cluster, &[0, 1], &mix(4));
        let new = cluster.join().await?;
        let joined = Instant::now();
        wait::until("work for the new node", LONG, || async {
            Ok((cluster.active("web").await[new] >= 1).then_some(()))
        })
        .await?;
        let first = joined.elapsed();
        wait::until("an even spread", LONG, || async {
            let active = cluster.active("web").await;
            ensure!(active == [2, 2, 2], "{active:?}");
            Ok(Some(()))
        })
        .await?;
        tell(&format!("first instance after {first:?}, an even spread after {:?}", joined.elapsed()));
        // And it stays so.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let active = cluster.active("web").await;
        ensure!(active == [2, 2, 2], "{active:?}");
        ensure!(cluster[new].public().get("/counter").await?.status == 200);
        loads.finish().await.expect_none_lost(100)?;
        ensure!(first < Duration::from_secs(15), "the first came after {first:?}");
        Ok(())
    })
    .await
}
