//! The size of the group follows demand.

use std::time::Duration;

use anyhow::{Result, ensure};
use maelstrom_core::wire::{ExplainComponent, ExplainComponentInput};
use maelstrom_tests::{
    hosts::{Cluster, Plan},
    wait::{self, LONG},
};
use serde_json::json;

use crate::{support::on, terminations::group};

/// Three machines with room for two instances of `web` each.
fn following() -> Plan {
    group().set("MAEL_AWS_CAPACITY", "true")
}

/// So many instances are to run, each of which takes 400 of 1,024 MiB.
async fn want(cluster: &Cluster, instances: u32) -> Result<()> {
    let fields = json!({ "minInstances": instances, "maxInstances": instances });
    cluster[0].api().put_component("web", fields, json!({ "reserveMemoryMiB": 400 })).await.map(drop)
}

async fn wait_desired(cluster: &Cluster, machines: usize) -> Result<()> {
    wait::until("a larger group", LONG, || async {
        let desired = cluster.cloud()?.desired()?;
        ensure!(desired <= machines, "{desired} machines are more than are needed");
        Ok((desired == machines).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_room_brings_as_many_machines_as_it_needs_and_no_more() -> Result<()> {
    on(following(), async |cluster| {
        want(cluster, 8).await?;
        wait_desired(cluster, 4).await?;
        // It is not there yet, and is counted as coming.
        cluster.wait_active("web", 6).await?;
        tokio::time::sleep(Duration::from_secs(30)).await;
        ensure!(cluster.cloud()?.desired()? == 4, "asked for twice");
        let new = cluster.join().await?;
        let active = cluster.wait_active("web", 8).await?;
        ensure!(active[new] == 2 && cluster.cloud()?.desired()? == 4, "{active:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_can_launch_nothing_is_told_of_and_asked_no_more() -> Result<()> {
    const WHY: &str = "We currently do not have sufficient t3.micro capacity (InsufficientInstanceCapacity)";
    on(following(), async |cluster| {
        cluster.cloud()?.fail_launches(Some(WHY))?;
        want(cluster, 8).await?;
        wait_desired(cluster, 4).await?;
        let owner = cluster[cluster.owner("placement").await?].api();
        let said = async |words: &str| -> Result<usize> {
            let events = owner.events(&["capacity"]).await?;
            Ok(events.iter().filter(|event| event.message.contains(words)).count())
        };
        wait::until("the failure to be told", LONG, || async {
            Ok((said("could not start a machine").await? > 0).then_some(()))
        })
        .await?;
        let input = ExplainComponentInput { name: "web".into(), ..Default::default() };
        let explained = cluster[0].api().call(ExplainComponent, &input).await?;
        let reasons = explained.target_reasons.join("; ");
        ensure!(reasons.contains("could not start a machine") && reasons.contains(WHY), "{reasons}");

        // More is wanted, and has to wait; the group itself tries on.
        want(cluster, 10).await?;
        tokio::time::sleep(Duration::from_secs(15)).await;
        ensure!(cluster.cloud()?.desired()? == 4, "it was asked for more");
        ensure!(said("could not start a machine").await? == 1, "it is told again and again");
        cluster.cloud()?.fail_launches(None)?;
        wait_desired(cluster, 5).await?;
        ensure!(said("has the machines that it is to have").await? == 1, "the end is not told");
        Ok(())
    })
    .await
}
