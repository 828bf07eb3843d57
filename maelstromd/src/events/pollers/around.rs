//! What the plan needs to know of the cluster: which nodes take pollers, and how many instances serve.

use std::sync::Arc;

use maelstrom_core::{
    names::{ComponentName, NodeId},
    wire::NodeStatus,
};

use super::plan::Serving;
use crate::{cluster::Peers, node::Node};

/// The nodes of the cluster as this one knows them.
pub trait Around: Send + Sync {
    /// Those that can take roles; this node among them unless it leaves.
    fn nodes(&self) -> Vec<NodeId>;

    /// Instances that serve, on all nodes.
    fn serving(&self) -> Serving;
}

/// The real ones.
pub struct NodeAndPeers {
    pub node: Arc<Node>,
    pub peers: Arc<Peers>,
}

impl Around for NodeAndPeers {
    fn nodes(&self) -> Vec<NodeId> {
        let stays = |status: &NodeStatus| status.draining != Some(true);
        let peers = self.peers.view();
        let peers = peers.iter().filter(|peer| peer.silent_since.is_none()).map(|peer| &*peer.status);
        let own = self.node.status();
        let all = peers.chain([&own]).filter(|status| stays(status));
        all.map(|status| NodeId::new(status.node_id.as_str())).collect()
    }

    fn serving(&self) -> Serving {
        let mut serving = Serving::new();
        let peers = self.peers.view();
        let own = self.node.status();
        for status in peers.iter().map(|peer| &*peer.status).chain([&own]) {
            let instances = status.running_components.iter();
            for one in instances.filter(|one| one.status == "active" && one.standby != Some(true)) {
                if let Ok(name) = ComponentName::parse(&one.component_name) {
                    *serving.entry(name).or_default() += 1;
                }
            }
        }
        serving
    }
}
