//! Nodes whose machines are taken away, by whatever the cloud has for that, under load: no request is lost, the
//! action that holds the machine is completed, and nothing of it is left behind.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use maelstrom_tests::{
    hosts::{Cluster, Plan},
    load::Job,
    wait::{self, LONG},
};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Loads, mix, on, serve, tell};

/// Longer than any drain here takes; an action that had to wait for it was not completed.
const HOLD: Duration = Duration::from_secs(300);
/// What the daemon says when its machine goes.
const TERMINATED: Option<i32> = Some(3);
const POLLER: &str = "aws-terminate-poller";

/// Three machines of a group. Load balancers get a moment to notice what the health check says.
pub(crate) fn group() -> Plan {
    Cluster::plan(3).in_group(8, HOLD).set("MAEL_SHUTDOWN_PAUSE_SECONDS", "1")
}

/// As a load balancer sees it.
async fn refuses_load(cluster: &Cluster, host: usize) -> Result<()> {
    wait::until("the health check to say no", LONG, || async {
        let status = cluster[host].public().get("/_mael_health_check").await?.status;
        Ok((status == 503).then_some(()))
    })
    .await
}

/// What the log says of the drain, a line each.
fn timeline(cluster: &Cluster, host: usize) -> String {
    let log = cluster[host].whole_log();
    let lines = log.lines().filter(|line| line.contains("kind=\"drain\"") || line.contains("kind=drain"));
    lines.map(|line| format!("  {line}\n")).collect()
}

/// The machine is gone, and nothing waits for it any more.
pub(crate) async fn is_gone(cluster: &Cluster, host: usize) -> Result<()> {
    wait::until("the end of the machine", LONG, || async {
        let state = cluster.cloud()?.state(host)?;
        ensure!(state.is_none(), "it is {state:?}");
        let (visible, received) = cluster.cloud()?.messages()?;
        ensure!((visible, received) == (0, 0), "{visible} and {received} messages are left");
        Ok(Some(()))
    })
    .await
}

/// Under load on all hosts, with a balancer before the one that goes, `how` has its machine taken away; nothing
/// is lost. Returns how long the daemon took to end.
pub(crate) async fn goes(
    cluster: &mut Cluster,
    victim: usize,
    how: impl AsyncFnOnce(&mut Cluster) -> Result<()>,
) -> Result<Duration> {
    let all = 0..cluster.hosts().len();
    let others: Vec<usize> = all.filter(|host| *host != victim && cluster[*host].is_running()).collect();
    let loads = Loads::start(cluster, &others, &mix(4));
    let balanced = Loads::start(cluster, &[victim], &mix(4));
    loads.go_on(50).await?;
    let told = Instant::now();
    how(cluster).await?;
    refuses_load(cluster, victim).await?;
    balanced.finish().await.expect_none_lost(20)?;
    let status = cluster[victim].wait_exit(LONG * 2).await?;
    let took = told.elapsed();
    tell(&format!("{} ended after {took:?}\n{}", cluster[victim].node(), timeline(cluster, victim)));
    let active = cluster.wait_active("web", 3).await?;
    ensure!(active[victim] == 0, "{active:?}");
    loads.go_on(50).await?;
    loads.finish().await.expect_none_lost(200)?;
    ensure!(status.code() == TERMINATED, "{status}");
    ensure!(cluster[victim].containers("web").await?.is_empty(), "it left containers");
    Ok(took)
}

pub(crate) fn spot_notice(seconds: u64) -> Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let ahead = i64::try_from((now + Duration::from_secs(seconds)).as_secs())?;
    let time =
        maelstrom_tests::command::run(&["date", "-u", "-d", &format!("@{ahead}"), "+%Y-%m-%dT%H:%M:%SZ"])?;
    Ok(json!({ "action": "terminate", "time": time.trim() }).to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_its_group_terminates_costs_nothing() -> Result<()> {
    on(group(), async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        let victim = cluster.owner("placement").await?;
        let took = goes(cluster, victim, async |cluster| cluster.cloud()?.terminate(victim)).await?;
        is_gone(cluster, victim).await?;
        ensure!(took < LONG, "it took {took:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_poller_that_is_terminated_itself_costs_nothing() -> Result<()> {
    on(group(), async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        let victim =
            wait::until("a poller", LONG, || async { cluster.owner(POLLER).await.map(Some) }).await?;
        goes(cluster, victim, async |cluster| cluster.cloud()?.terminate(victim)).await?;
        is_gone(cluster, victim).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spot_notice_and_a_target_state_end_nodes_in_time() -> Result<()> {
    on(group(), async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        let took = goes(cluster, 0, async |cluster| {
            cluster.cloud()?.notice(0, "spot/instance-action", &spot_notice(120)?)
        })
        .await?;
        ensure!(took < Duration::from_secs(110), "it took {took:?}");
        goes(cluster, 1, async |cluster| {
            cluster.cloud()?.notice(1, "autoscaling/target-lifecycle-state", "Terminated")
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_that_come_together_are_one_drain() -> Result<()> {
    on(group(), async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        let victim = cluster.owner("placement").await?;
        goes(cluster, victim, async |cluster| {
            cluster.cloud()?.notice(victim, "spot/instance-action", &spot_notice(120)?)?;
            cluster.cloud()?.terminate(victim)?;
            cluster[victim].signal(Signal::TERM)?;
            cluster.cloud()?.notice(victim, "autoscaling/target-lifecycle-state", "Terminated")?;
            refuses_load(cluster, victim).await?;
            cluster[victim].signal(Signal::TERM)
        })
        .await?;
        is_gone(cluster, victim).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_requests_are_answered_before_their_machine_goes() -> Result<()> {
    on(group(), async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        let victim = cluster.owner("placement").await?;
        let mut long = JoinSet::new();
        // Some of them run on the machine that goes.
        for index in 0..9 {
            let client = cluster[index % 3].public();
            long.spawn(async move { client.get("/sleep?ms=12000").await });
        }
        goes(cluster, victim, async |cluster| cluster.cloud()?.terminate(victim)).await?;
        while let Some(answer) = long.join_next().await {
            let answer = answer??;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        }
        is_gone(cluster, victim).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_that_dies_in_the_middle_is_followed_by_the_next_one() -> Result<()> {
    on(group(), async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 5 })).await?;
        let poller =
            wait::until("a poller", LONG, || async { cluster.owner(POLLER).await.map(Some) }).await?;
        let victim = (poller + 1) % 3;
        let third = (poller + 2) % 3;
        // What may be sent again is, when a node dies.
        let loads =
            Loads::start(cluster, &[third], &[Job::Get("/sleep?ms=5".into()), Job::Get("/counter".into())]);
        loads.go_on(50).await?;
        cluster.cloud()?.terminate(victim)?;
        refuses_load(cluster, victim).await?;
        cluster[poller].kill9().await?;
        let status = cluster[victim].wait_exit(LONG * 2).await?;
        ensure!(status.code() == TERMINATED, "{status}");
        tell(&timeline(cluster, victim));
        loads.go_on(50).await?;
        loads.finish().await.expect_none_lost(100)?;
        is_gone(cluster, victim).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_takes_the_work_over_and_dies_holds_no_drain_up() -> Result<()> {
    on(group(), async |cluster| {
        // Two to spare, which the dead one may have.
        serve(cluster, "web", 3, json!({ "maxInstances": 5 })).await?;
        let victim = cluster.owner("placement").await?;
        cluster.cloud()?.terminate(victim)?;
        let taker = wait::until("somebody to take its instance over", LONG, || async {
            let mut targets = Vec::new();
            for host in cluster.hosts() {
                let status = host.api().status().await?;
                targets
                    .push(status.targets.iter().find(|t| t.component_name == "web").map(|t| t.target_count));
            }
            Ok(targets.iter().position(|target| *target == Some(2)))
        })
        .await?;
        cluster[taker].kill9().await?;
        let died = Instant::now();
        let status = cluster[victim].wait_exit(LONG * 2).await?;
        let took = died.elapsed();
        tell(&format!("left {took:?} after that\n{}", timeline(cluster, victim)));
        ensure!(status.code() == TERMINATED, "{status}");
        // The taker may have been the one that decides: that one's lease ends first.
        ensure!(took < Duration::from_secs(40), "it took {took:?}");
        is_gone(cluster, victim).await?;
        let left = 3 - victim - taker;
        wait::until("all work on the last one", LONG, || async {
            let active = cluster.active("web").await;
            ensure!(active[left] == 3, "{active:?}");
            Ok(Some(()))
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_action_of_a_node_that_dies_in_the_middle_is_completed_in_its_place() -> Result<()> {
    on(group(), async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 5 })).await?;
        let poller =
            wait::until("a poller", LONG, || async { cluster.owner(POLLER).await.map(Some) }).await?;
        let victim = (poller + 1) % 3;
        cluster.cloud()?.terminate(victim)?;
        refuses_load(cluster, victim).await?;
        cluster[victim].kill9().await?;
        let died = Instant::now();
        is_gone(cluster, victim).await?;
        tell(&format!("completed in its place {:?} after its death", died.elapsed()));
        let active = cluster.wait_active("web", 3).await?;
        ensure!(active[victim] == 0, "{active:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_mean_nothing_end_no_node_and_hold_nothing_up() -> Result<()> {
    let plan = group().set("MAEL_AWS_TERMINATE_MAX_AGE_SECONDS", "5");
    on(plan, async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        let cloud = cluster.cloud()?;
        let stale = cloud.message(cloud.instance(1), "00000000-0000-0000-0000-000000000000");
        let launch = stale.replace("TERMINATING", "LAUNCHING");
        let gone = cloud.message("i-00000000000000000", "00000000-0000-0000-0000-000000000000");
        for body in
            ["nonsense", "{}", "[1]", r#"{"Event": "autoscaling:TEST_NOTIFICATION"}"#, &stale, &launch, &gone]
        {
            cloud.send(body)?;
        }
        goes(cluster, 0, async |cluster| cluster.cloud()?.terminate(0)).await?;
        let states: Vec<Option<String>> =
            (1..3).map(|host| cluster.cloud()?.state(host)).collect::<Result<_>>()?;
        ensure!(states.iter().all(|state| state.as_deref() == Some("InService")), "{states:?}");
        for host in 1..3 {
            ensure!(cluster[host].api().status().await?.drain.is_none(), "a stale message drains a node");
        }
        // What can't be read comes back after a minute, too old by then.
        wait::until("an empty queue", LONG * 2, || async {
            let left = cluster.cloud()?.messages()?;
            ensure!(left == (0, 0), "{left:?}");
            Ok(Some(()))
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_machines_are_replaced_one_after_the_other_under_load() -> Result<()> {
    on(group(), async |cluster| {
        serve(cluster, "web", 3, json!({ "maxInstances": 4 })).await?;
        let begun = Instant::now();
        for old in 0..3 {
            let new = cluster.join().await?;
            wait::until("work for the new node", LONG, || async {
                Ok((cluster.active("web").await.iter().sum::<usize>() >= 3).then_some(()))
            })
            .await?;
            goes(cluster, old, async |cluster| cluster.cloud()?.terminate(old)).await?;
            is_gone(cluster, old).await?;
            ensure!(cluster[new].public().get("/counter").await?.status == 200);
        }
        tell(&format!("three machines were replaced in {:?}", begun.elapsed()));
        Ok(())
    })
    .await
}
