//! When a cluster is ready for a test: not when its daemons run, but when they know and obey each other.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use maelstrom_core::wire;
use serde_json::json;

use super::{cluster::Cluster, host::Host};
use crate::wait::{self, LONG};

/// A component of its own, on every node for a moment.
const PROBE: &str = "is-everybody-here";
/// A node that does not answer in this time has not settled.
const PATIENCE: Duration = Duration::from_secs(1);

impl Cluster {
    /// Waits until all nodes that run know each other and one of them decides.
    pub async fn settle(&mut self) -> Result<()> {
        let running: Vec<bool> = self.hosts_mut().iter_mut().map(Host::is_running).collect();
        let running: Vec<&Host> =
            self.hosts().iter().zip(running).filter_map(|(host, runs)| runs.then_some(host)).collect();
        let all: BTreeSet<&str> = running.iter().map(|host| host.node()).collect();
        wait::until("all nodes to know each other", LONG, || async {
            for host in &running {
                let known = host.api().call(wire::ListNodeStatus, &Default::default()).await?;
                let nodes: BTreeSet<&str> = known.nodes.iter().map(|node| node.node_id.as_str()).collect();
                ensure!(nodes == all, "{} knows {nodes:?}", host.node());
                let looking = known.nodes.iter().find(|node| node.adopting == Some(true));
                ensure!(looking.is_none(), "{looking:?} has not looked at its engine yet");
            }
            self.owner("placement").await.map(Some)
        })
        .await?;
        Ok(())
    }

    /// Waits until the node that decides places on every one that has memory for it, which nothing but an
    /// instance on each of them shows: who comes to a cluster is asked first whether it takes orders.
    pub async fn settle_placement(&mut self) -> Result<()> {
        self.settle().await?;
        let mut each = Vec::new();
        for host in self.hosts() {
            each.push(usize::from(host.api().status().await?.total_memory_mib > 0));
        }
        let fields = json!({ "minInstances": each.iter().sum::<usize>(), "maxInstancesPerNode": 1 });
        self[0].api().put_component(PROBE, fields, json!({})).await?;
        wait::until("an instance on each of them", LONG, || async {
            let active = self.active(PROBE).await;
            ensure!(active == each, "there are {active:?}");
            Ok(Some(()))
        })
        .await?;
        self[0].api().call(wire::RemoveComponent, &wire::NameInput { name: PROBE.into() }).await?;
        wait::until("nothing to be left of it", LONG, || async {
            for host in self.hosts() {
                let left = tokio::time::timeout(PATIENCE, host.api().instances(PROBE)).await??;
                ensure!(left.is_empty(), "{} still has {left:?}", host.node());
            }
            Ok(Some(()))
        })
        .await
    }
}
