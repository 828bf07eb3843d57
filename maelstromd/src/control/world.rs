//! What the scheduler looks at, taken from this node's pools and targets and from what peers told.

use std::time::Duration;

use maelstrom_core::{
    decide::scheduler::{ComponentState, NodeState, Reading, World},
    names::NodeId,
    time::Moment,
};

use super::{Cluster, Control, Memory, lead::Lead};
use crate::{cluster::PeerView, router::ComponentPool};

// === impl Control ===

impl Control {
    /// `None`: another node decides, not all nodes were fenced yet, or this one has not looked yet at what
    /// its last run left.
    pub(super) fn world(&self, memory: &mut Memory, now: Moment) -> Option<World> {
        let Some(cluster) = &self.cluster else {
            let components = self.router.pools().iter().map(|pool| alone(pool, now)).collect();
            let nodes = vec![NodeState::new(self.targets.view())];
            return Some(World { components, nodes, ..World::default() });
        };
        let lead = memory.lead.as_mut().filter(|lead| lead.roster.is_ready())?;
        // Asked each time: the right to act ends by itself.
        let term = cluster.roles.owns(&super::role()).filter(|term| *term == lead.term)?;
        let peers = cluster.fleet.peers();
        let ids: Vec<NodeId> = peers.iter().map(|peer| NodeId::new(peer.status.node_id.as_str())).collect();
        lead.reports.look(&ids, now);
        let components = self.router.pools().iter().map(|pool| with_reports(pool, lead, now)).collect();
        let nodes = self.nodes(cluster, lead, &peers, now)?;
        let confirmed_ago = cluster.roles.confirmed_at().map_or(Duration::MAX, |at| now.since(at));
        Some(World { term, confirmed_ago, components, nodes })
    }

    fn nodes(
        &self,
        cluster: &Cluster,
        lead: &mut Lead,
        peers: &[PeerView],
        now: Moment,
    ) -> Option<Vec<NodeState>> {
        let mut own = self.targets.state();
        if own.adopting {
            return None;
        }
        own.view.id = cluster.node.clone();
        let mut nodes = vec![own];
        nodes.extend(peers.iter().map(|peer| lead.roster.state_of(peer, now)));
        Some(nodes)
    }
}

fn alone(pool: &ComponentPool, now: Moment) -> ComponentState {
    let load = pool.load(now);
    ComponentState {
        component: pool.component(),
        demand: load.demand,
        in_rotation: load.in_rotation,
        starving: pool.is_starving(),
    }
}

fn with_reports(pool: &ComponentPool, lead: &Lead, now: Moment) -> ComponentState {
    let Reading { demand, in_rotation, starving } = lead.reports.total(pool.name(), reading(pool, now), now);
    ComponentState { component: pool.component(), demand, in_rotation, starving }
}

/// What this node is asked for.
pub(super) fn reading(pool: &ComponentPool, now: Moment) -> Reading {
    let load = pool.load(now);
    Reading { demand: load.demand, in_rotation: load.in_rotation, starving: pool.is_starving() }
}
