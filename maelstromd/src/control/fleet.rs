//! The seam between deciding and the other nodes: what they told, and what they are asked. Whoever decides
//! or asks goes through it, so that tests need no network.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    names::NodeId,
    ports::BoxFuture,
    rpc::{CallError, RpcError, code},
    wire::{self, NodeStatus},
};
use tokio::sync::watch;

use crate::cluster::{PeerError, PeerView, Peers};

/// The other nodes of the cluster.
pub trait Fleet: Send + Sync {
    /// All of them, sorted by id.
    fn peers(&self) -> Vec<PeerView>;

    /// Changes whenever a status or who can be reached does.
    fn changes(&self) -> watch::Receiver<u64>;

    /// A status that came with an answer.
    fn observe(&self, status: NodeStatus);

    fn get_status(
        &self,
        node: NodeId,
        input: wire::GetStatusInput,
        limit: Duration,
    ) -> Asked<wire::GetStatusOutput>;

    fn start_stop(
        &self,
        node: NodeId,
        input: wire::StartStopComponentsInput,
        limit: Duration,
    ) -> Asked<wire::StartStopComponentsOutput>;

    fn place(
        &self,
        node: NodeId,
        input: wire::PlaceComponentInput,
        limit: Duration,
    ) -> Asked<wire::PlaceComponentOutput>;

    fn report(
        &self,
        node: NodeId,
        input: wire::ReportDemandInput,
        limit: Duration,
    ) -> Asked<wire::ReportDemandOutput>;
}

pub type Asked<T> = BoxFuture<'static, Result<T, FleetError>>;

/// Why a peer did not do what it was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FleetError {
    /// It said no.
    #[error("{0}")]
    Refused(RpcError),
    /// There is no answer; it may have done it.
    #[error("{0}")]
    Unanswered(String),
}

// === impl FleetError ===

impl FleetError {
    /// It takes no orders of this term any more.
    pub fn is_old_term(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code == code::OLD_TERM)
    }
}

impl From<PeerError> for FleetError {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Call { error: CallError::Refused { error, .. }, .. } => Self::Refused(error),
            other => Self::Unanswered(other.to_string()),
        }
    }
}

// === impl Peers ===

/// The real fleet.
pub struct PeerFleet(pub Arc<Peers>);

impl PeerFleet {
    fn call<M: wire::Method + Send + Sync + 'static>(
        &self,
        node: NodeId,
        method: M,
        input: M::Input,
        limit: Duration,
    ) -> Asked<M::Output>
    where
        M::Input: Sync,
    {
        let peers = self.0.clone();
        Box::pin(async move { Ok(peers.call(&node, method, &input, limit).await?) })
    }
}

impl Fleet for PeerFleet {
    fn peers(&self) -> Vec<PeerView> {
        self.0.view()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes()
    }

    fn observe(&self, status: NodeStatus) {
        self.0.observe(status);
    }

    fn get_status(
        &self,
        node: NodeId,
        input: wire::GetStatusInput,
        limit: Duration,
    ) -> Asked<wire::GetStatusOutput> {
        self.call(node, wire::GetStatus, input, limit)
    }

    fn start_stop(
        &self,
        node: NodeId,
        input: wire::StartStopComponentsInput,
        limit: Duration,
    ) -> Asked<wire::StartStopComponentsOutput> {
        self.call(node, wire::StartStopComponents, input, limit)
    }

    fn place(
        &self,
        node: NodeId,
        input: wire::PlaceComponentInput,
        limit: Duration,
    ) -> Asked<wire::PlaceComponentOutput> {
        self.call(node, wire::PlaceComponent, input, limit)
    }

    fn report(
        &self,
        node: NodeId,
        input: wire::ReportDemandInput,
        limit: Duration,
    ) -> Asked<wire::ReportDemandOutput> {
        self.call(node, wire::ReportDemand, input, limit)
    }
}
