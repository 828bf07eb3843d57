//! Where containers on the engine's default network find this machine.

use std::{net::IpAddr, time::Duration};

use maelstrom_core::ports::engine::EngineResult;

use super::{DockerEngine, errors::Subject};

/// The engine's name for its default network.
const BRIDGE: &str = "bridge";
/// A lookup in the engine's memory.
const LIMIT: Duration = Duration::from_secs(5);

impl DockerEngine {
    /// The address of this machine on the default bridge; `None` where there is no such bridge.
    pub async fn bridge_gateway(&self) -> EngineResult<Option<IpAddr>> {
        let found = self
            .connection
            .call(LIMIT, "looking at the default network", Subject::Engine, async |docker| {
                docker.inspect_network(BRIDGE, None).await
            })
            .await?;
        let configured = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Ok(configured.into_iter().filter_map(|part| part.gateway?.parse().ok()).next())
    }
}
