//! Cron rules of a cluster: each due time fires once, whoever dies when.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use maelstrom_tests::{
    hosts::Cluster,
    wait::{self, LONG},
};
use serde_json::json;

use crate::support::{COMPONENT, KEEPER, on, put_component, put_source, three, work};

/// Longer than a dead owner's lease: what falls due meanwhile is still young when there is a new owner.
const PERIOD: Duration = Duration::from_secs(30);
/// The owner dies so long before a rule is due.
const BEFORE: Duration = Duration::from_secs(3);
/// A request, a look, and a busy machine.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_due_time_fires_once_while_the_rules_owner_is_killed() -> Result<()> {
    on(three(), dies_before_a_rule_is_due).await
}

async fn dies_before_a_rule_is_due(cluster: &mut Cluster) -> Result<()> {
    // The one that has the component outlives the owner of the rules.
    if cluster.owner("cron").await? == KEEPER {
        cluster[KEEPER].stop().await?;
        cluster[KEEPER].start().await?;
        cluster.settle().await?;
    }
    let owner = wait::until("an owner", LONG, || async { cluster.owner("cron").await.map(Some) }).await?;
    ensure!(owner != KEEPER, "it owns the role again");
    let (api, private) = (cluster[KEEPER].api(), cluster[KEEPER].private());
    put_component(&api).await?;
    cluster.wait_active(COMPONENT, 1).await?;

    let began = Instant::now();
    for (name, schedule) in
        [("often", "@every 1s".to_owned()), ("rare", format!("@every {}s", PERIOD.as_secs()))]
    {
        let http = json!({ "method": "POST", "path": "/work", "data": name });
        put_source(&api, name, "cron", json!({ "schedule": schedule, "http": http })).await?;
    }
    let fired = async |name: &str| -> Result<usize> {
        Ok(work(&private).await?.done.iter().filter(|done| *done == name).count())
    };
    let until = |at: Duration| tokio::time::sleep((began + at).saturating_duration_since(Instant::now()));
    until(PERIOD - BEFORE).await;
    ensure!(fired("often").await? > 10 && fired("rare").await? == 0, "{:?}", work(&private).await?);
    cluster[owner].kill9().await?;
    wait::until("what fell due while there was no owner", LONG, || async {
        Ok((fired("rare").await? > 0).then_some(()))
    })
    .await?;
    let made_up = began.elapsed();
    ensure!(made_up > PERIOD && made_up < PERIOD * 2 - SLACK, "made up for after {made_up:?}");
    until(PERIOD * 2 + SLACK).await;
    let (often, rare) = (fired("often").await?, fired("rare").await?);
    ensure!(rare == 2, "two due times fired {rare} times");
    let passed = usize::try_from(began.elapsed().as_secs())?;
    ensure!(often <= passed, "{often} firings in {passed} s of a rule that is due each second");

    // What the nodes that are left tell of the due times: each once.
    let mut times = BTreeMap::<String, usize>::new();
    for event in api.events(&["cron"]).await? {
        if event.message.contains("answered") {
            *times.entry(format!("{} {}", event.data["rule"], event.data["due"])).or_default() += 1;
        }
    }
    ensure!(times.len() > 10 && times.values().all(|count| *count == 1), "{times:?}");
    Ok(())
}
