//! Placing a component because somebody says so: a node whose requests wait for it, or a person.

use std::time::Duration;

use maelstrom_core::{
    decide::{placement::Unplaceable, scheduler::Runs},
    names::{ComponentName, NodeId},
    rpc::RpcError,
    wire::{NodeStatus, PlaceComponentInput},
};

use super::{Control, FleetError, follow::ASK_LIMIT};
use crate::clock;

/// For the node that was chosen to take its order.
const LIMIT: Duration = Duration::from_secs(3);
/// What became of an order wakes; this is for what doesn't.
const STEP: Duration = Duration::from_millis(50);

/// Where a component runs, or is about to.
#[derive(Clone, Debug, PartialEq)]
pub enum Placed {
    Here,
    /// With the node's status as it is known.
    There(Box<NodeStatus>),
}

/// Why a component was not placed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlaceError {
    #[error("there is no component '{0}'")]
    NoSuchComponent(String),
    #[error("{why}")]
    Unplaceable { why: Unplaceable, retry_after: Duration },
    #[error(
        "the targets of nodes were changed by others at the same time, or a node did not answer; try again"
    )]
    Contended,
    #[error("no node is known to act in role 'placement'; try again")]
    NoDecider,
    #[error("this node does not act in role 'placement'")]
    NotHere,
    /// As the node said that decides.
    #[error("{0}")]
    Told(RpcError),
}

// === impl Control ===

impl Control {
    /// Sees to it that the component has an instance, as if a request had come for it, and tells where.
    /// `delegated`: another node asks, and this one doesn't ask on.
    pub async fn place(&self, component: &str, delegated: bool) -> Result<Placed, PlaceError> {
        let pool = self.router.component(component);
        let pool = pool.ok_or_else(|| PlaceError::NoSuchComponent(component.to_owned()))?;
        if !self.decides() {
            return if delegated { Err(PlaceError::NotHere) } else { self.delegate(pool.name()).await };
        }
        let ends = clock::now() + LIMIT;
        loop {
            let now = clock::now();
            pool.touch(now);
            self.pass(now);
            match self.runs(pool.name())? {
                Runs::On(node) => return Ok(self.placed(&node)),
                Runs::Ordered | Runs::Nowhere if self.cluster.is_none() || now >= ends => {
                    return Err(PlaceError::Contended);
                }
                Runs::Ordered | Runs::Nowhere => {
                    let _ = tokio::time::timeout(STEP, self.answers.notified()).await;
                }
            }
        }
    }

    fn decides(&self) -> bool {
        self.cluster.is_none() || self.leads()
    }

    fn runs(&self, component: &ComponentName) -> Result<Runs, PlaceError> {
        let now = clock::now();
        let mut memory = self.memory.lock();
        let Some(world) = self.world(&mut memory, now) else {
            // It may be fencing.
            return if memory.lead.is_some() { Ok(Runs::Nowhere) } else { Err(PlaceError::NotHere) };
        };
        let runs = memory.scheduler.runs(component, &world, now);
        match memory.scheduler.refusal(component, now) {
            Some(refused) if runs == Runs::Nowhere => {
                Err(PlaceError::Unplaceable { why: refused.why, retry_after: refused.retry_after })
            }
            _ => Ok(runs),
        }
    }

    fn placed(&self, node: &NodeId) -> Placed {
        let peers = self.cluster.as_ref().map(|cluster| cluster.fleet.peers()).unwrap_or_default();
        let there = peers.into_iter().find(|peer| peer.status.node_id == node.as_str());
        there.map_or(Placed::Here, |peer| Placed::There(Box::new(NodeStatus::clone(&peer.status))))
    }

    async fn delegate(&self, component: &ComponentName) -> Result<Placed, PlaceError> {
        let Some(cluster) = &self.cluster else { return Err(PlaceError::NotHere) };
        let decider = self.decider(cluster).ok_or(PlaceError::NoDecider)?;
        let input = PlaceComponentInput { component_name: component.to_string(), delegated: Some(true) };
        match cluster.fleet.place(decider, input, ASK_LIMIT).await {
            Ok(answer) if answer.node.node_id == cluster.node.as_str() => Ok(Placed::Here),
            Ok(answer) => Ok(Placed::There(Box::new(answer.node))),
            Err(FleetError::Refused(error)) => Err(PlaceError::Told(error)),
            Err(FleetError::Unanswered(_)) => Err(PlaceError::Contended),
        }
    }
}
