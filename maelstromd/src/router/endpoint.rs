//! Where an instance is reached.

use std::net::SocketAddr;

use maelstrom_core::{
    component::HttpProtocol,
    names::{ComponentName, InstanceId},
    time::WallTime,
};

use crate::upstream::Connections;

/// An instance that can take requests, with the connections kept open to it.
#[derive(Debug)]
pub struct Endpoint {
    pub id: InstanceId,
    pub component: ComponentName,
    /// Version of the component that the instance was made from.
    pub version: i64,
    pub connections: Connections,
    pub started_at: WallTime,
}

// === impl Endpoint ===

impl Endpoint {
    pub fn new(
        id: InstanceId,
        component: ComponentName,
        version: i64,
        address: SocketAddr,
        protocol: HttpProtocol,
        started_at: WallTime,
    ) -> Self {
        Self { id, component, version, connections: Connections::new(address, protocol), started_at }
    }

    pub fn address(&self) -> SocketAddr {
        self.connections.address()
    }

    pub fn protocol(&self) -> HttpProtocol {
        self.connections.protocol()
    }
}
