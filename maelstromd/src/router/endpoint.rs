//! Where a slot leads: to an instance of this node, or to a peer that serves the component.

use std::{net::SocketAddr, sync::Arc};

use maelstrom_core::{
    component::HttpProtocol,
    decide::pool::Place,
    names::{ComponentName, InstanceId},
    time::WallTime,
};

use super::Peer;
use crate::upstream::Connections;

/// Something that can take requests, with the connections kept open to it.
#[derive(Debug)]
pub struct Endpoint {
    pub place: Place,
    pub component: ComponentName,
    /// Version of the component that the instance was made from. `None`: at a peer, which may have several.
    pub version: Option<i64>,
    pub started_at: Option<WallTime>,
    connections: Arc<Connections>,
    peer: Option<Arc<Peer>>,
}

// === impl Endpoint ===

impl Endpoint {
    /// An instance of this node.
    pub fn new(
        id: InstanceId,
        component: ComponentName,
        version: i64,
        address: SocketAddr,
        protocol: HttpProtocol,
        started_at: WallTime,
    ) -> Self {
        Self {
            place: Place::Here(id),
            component,
            version: Some(version),
            started_at: Some(started_at),
            connections: Arc::new(Connections::new(address, protocol)),
            peer: None,
        }
    }

    /// What a peer has of a component, on the connections that all components share.
    pub(super) fn at_peer(peer: Arc<Peer>, component: ComponentName, protocol: HttpProtocol) -> Self {
        Self {
            place: Place::There(peer.node().clone()),
            component,
            version: None,
            started_at: None,
            connections: Arc::clone(peer.connections(protocol)),
            peer: Some(peer),
        }
    }

    #[inline]
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The peer that it leads to; `None`: an instance of this node.
    #[inline]
    pub fn peer(&self) -> Option<&Arc<Peer>> {
        self.peer.as_ref()
    }

    pub fn address(&self) -> SocketAddr {
        self.connections.address()
    }

    pub fn protocol(&self) -> HttpProtocol {
        self.connections.protocol()
    }
}
