//! Where containers on the engine's default network find this machine.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use bollard::models::IpamConfig;
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
        let gateway = |part: IpamConfig| match part.gateway {
            Some(gateway) => gateway.parse().ok(),
            None => first_of(&part.subnet?),
        };
        Ok(configured.into_iter().find_map(gateway))
    }
}

/// The engine gives itself a subnet's first address unless it is told another, and old engines then don't
/// say so.
fn first_of(subnet: &str) -> Option<IpAddr> {
    let network: Ipv4Addr = subnet.split('/').next()?.parse().ok()?;
    Some(Ipv4Addr::from_bits(network.to_bits().checked_add(1)?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_a_subnet_is_the_bridges_own() {
        assert_eq!(first_of("172.17.0.0/16"), Some(Ipv4Addr::new(172, 17, 0, 1).into()));
        for bad in ["", "x/16", "fd00::/64", "255.255.255.255/32"] {
            assert_eq!(first_of(bad), None, "{bad}");
        }
    }
}
