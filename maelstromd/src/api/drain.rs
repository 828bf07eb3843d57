//! Emptying a node by hand, and taking it back: on any node, which passes it on to the one that is meant; and
//! ending one for its cloud.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::drain::{Heard, NotUndrained, Signal},
    names::NodeId,
    nearest::nearest,
    rpc::{CallError, Registry, RpcError, code},
    wire::{self, Method},
};

use crate::{
    cloud::{Cloud, action_of},
    cluster::{PeerError, Peers},
    control::Targets as _,
    drain::Drainer,
    node::Node,
};

/// A node answers at once: what follows takes its time afterwards.
const RELAY_LIMIT: Duration = Duration::from_secs(5);
/// Peers and placement hear of it before the caller does.
const TELL_LIMIT: Duration = Duration::from_secs(1);

/// What the methods need.
pub struct DrainService {
    pub id: NodeId,
    pub drainer: Arc<Drainer>,
    pub node: Arc<Node>,
    pub peers: Arc<Peers>,
    pub cloud: Arc<Cloud>,
}

type Answer = Result<wire::DrainNodeOutput, RpcError>;

// === impl DrainService ===

impl DrainService {
    /// Adds the service's methods to `registry`.
    pub fn register(self: &Arc<Self>, registry: Registry) -> Registry {
        let (drain, undrain, end) = (self.clone(), self.clone(), self.clone());
        registry
            .on(wire::TerminateNode, move |input| std::future::ready(Ok(end.terminate(input))))
            .on(wire::DrainNode, move |input| {
                let this = drain.clone();
                async move {
                    match this.is_for_this_node(&input)? {
                        true => this.drain(input.surplus == Some(true)).await,
                        false => this.relay(wire::DrainNode, input).await,
                    }
                }
            })
            .on(wire::UndrainNode, move |input| {
                let this = undrain.clone();
                async move {
                    match this.is_for_this_node(&input)? {
                        true => this.undrain(input.surplus == Some(true)).await,
                        false => this.relay(wire::UndrainNode, input).await,
                    }
                }
            })
    }

    /// Only a cloud's lifecycle hook for this very machine ends the node.
    fn terminate(&self, input: wire::TerminateNodeInput) -> wire::TerminateNodeOutput {
        let instance_id = self.cloud.identity().instance;
        let hook = input.aws_lifecycle_hook.filter(|hook| Some(&hook.instance_id) == instance_id.as_ref());
        let accepted_message = hook.is_some();
        if let Some(hook) = hook {
            let (action, letter) = action_of(hook);
            self.drainer.signal(Signal::Hook { action, letter });
        }
        wire::TerminateNodeOutput { accepted_message, node_id: Some(self.id.to_string()), instance_id }
    }

    fn is_for_this_node(&self, input: &wire::DrainNodeInput) -> Result<bool, RpcError> {
        let here = input.node_id == self.id.as_str();
        if !here && input.delegated == Some(true) {
            return Err(self.unknown(&input.node_id));
        }
        Ok(here)
    }

    async fn drain(&self, surplus: bool) -> Answer {
        let drains = self.drainer.info(false).is_some();
        if !drains && !self.peers.others_stay() {
            let message = format!(
                "nodeId: no other node could take what runs on '{}'; add one first, or stop its daemon to end all",
                self.id
            );
            return Err(RpcError::new(code::OTHER, message));
        }
        let heard = self.drainer.signal(if surplus { Signal::Surplus } else { Signal::Hand });
        Ok(self.told(heard != Heard::Known).await)
    }

    async fn undrain(&self, surplus: bool) -> Answer {
        let undone = if surplus { self.drainer.needed() } else { self.drainer.undrain() };
        match undone {
            Ok(()) => Ok(self.told(true).await),
            Err(NotUndrained::Serves) => Ok(self.told(false).await),
            Err(leaves) => Err(RpcError::new(
                code::OTHER,
                format!("nodeId: '{}' can't be taken back: {leaves}", self.id),
            )),
        }
    }

    /// As the node is when what follows the drain has followed.
    async fn told(&self, changed: bool) -> wire::DrainNodeOutput {
        let followed = || self.node.status().drain.is_some() == self.drainer.info(false).is_some();
        let mut changes = self.node.changes();
        let _ = tokio::time::timeout(TELL_LIMIT, changes.wait_for(|_| followed())).await;
        wire::DrainNodeOutput { changed, node: self.node.status() }
    }

    async fn relay<M>(&self, method: M, mut input: wire::DrainNodeInput) -> Answer
    where
        M: Method<Input = wire::DrainNodeInput, Output = wire::DrainNodeOutput>,
    {
        let node = NodeId::new(input.node_id.as_str());
        input.delegated = Some(true);
        match self.peers.call(&node, method, &input, RELAY_LIMIT).await {
            Ok(output) => Ok(output),
            Err(PeerError::Unknown(node)) => Err(self.unknown(node.as_str())),
            Err(PeerError::Call { error: CallError::Refused { error, .. }, .. }) => Err(error),
            Err(error) => Err(RpcError::new(code::OTHER, format!("nodeId: {error}"))),
        }
    }

    fn unknown(&self, given: &str) -> RpcError {
        let peers = self.peers.view();
        let mut known: Vec<&str> = peers.iter().map(|peer| peer.status.node_id.as_str()).collect();
        known.push(self.id.as_str());
        known.sort_unstable();
        let mut error = RpcError::not_found(format_args!("nodeId: node '{}'", given.escape_debug()));
        let meant = match nearest(given, &known) {
            Some(name) => format!("; did you mean '{name}'?"),
            None => format!("; there are: {}", known.join(", ")),
        };
        error.message.push_str(&meant);
        error
    }
}
