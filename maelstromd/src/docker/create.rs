//! A component's part and the node's additions as Docker's create request.
//!
//! Fields of newer API versions are not used: the oldest engine served speaks 1.41.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding, ResourcesUlimits,
};
use maelstrom_core::{
    component::{DockerSpec, Volume, VolumeKind},
    ports::engine::{ContainerSpec, LABEL_COMPONENT, LABEL_LOG, LABEL_NODE, LABEL_VERSION, LOG_INTO_DAEMON},
};

/// `logdriver: maelstrom` keeps lines in this driver of Docker: small, rotating, readable, from where
/// the daemon follows them.
const DRIVER_BEHIND_MAELSTROM: &str = "local";
const MIB: u64 = 1024 * 1024;

pub(super) fn request(spec: &ContainerSpec) -> ContainerCreateBody {
    let docker = &spec.docker;
    let environment = spec.environment.iter().map(|(name, value)| format!("{name}={value}"));
    ContainerCreateBody {
        image: Some(docker.image.clone()),
        cmd: docker.command.clone(),
        entrypoint: docker.entrypoint.clone(),
        env: Some(environment.collect()),
        hostname: docker.hostname.clone(),
        domainname: docker.domainname.clone(),
        user: docker.user.clone(),
        exposed_ports: filled(docker.ports.iter().map(port_key).collect()),
        labels: Some(labels(spec)),
        host_config: Some(host(docker)),
        ..Default::default()
    }
}

fn labels(spec: &ContainerSpec) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        (LABEL_NODE.to_owned(), spec.node.to_string()),
        (LABEL_COMPONENT.to_owned(), spec.component.to_string()),
        (LABEL_VERSION.to_owned(), spec.version.to_string()),
    ]);
    if spec.docker.log_driver.as_deref() == Some(LOG_INTO_DAEMON) {
        labels.insert(LABEL_LOG.to_owned(), LOG_INTO_DAEMON.to_owned());
    }
    labels
}

fn host(docker: &DockerSpec) -> HostConfig {
    let limit = docker.limit_memory_mib.map(bytes);
    HostConfig {
        network_mode: docker.network.clone(),
        port_bindings: (!docker.ports.is_empty()).then(|| ports(docker)),
        mounts: filled(docker.volumes.iter().map(mount).collect()),
        log_config: log(docker),
        cpu_shares: docker.cpu_shares.map(i64::from),
        memory: limit,
        // The limit is one of memory and swap together, or it would be double what was asked for.
        memory_swap: limit,
        memory_reservation: Some(bytes(docker.reserve_memory_mib)),
        dns: filled(docker.dns.clone()),
        dns_options: filled(docker.dns_options.clone()),
        dns_search: filled(docker.dns_search.clone()),
        ulimits: filled(docker.ulimits.iter().map(ulimit).collect()),
        init: docker.init.then_some(true),
        cap_add: filled(docker.cap_add.clone()),
        cap_drop: filled(docker.cap_drop.clone()),
        ..Default::default()
    }
}

fn ports(docker: &DockerSpec) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &docker.ports {
        let binding = PortBinding {
            host_ip: port.host_address.clone(),
            // Docker picks one for an empty text.
            host_port: Some(port.host_port.map(|port| port.to_string()).unwrap_or_default()),
        };
        bindings.entry(port_key(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

fn port_key(port: &maelstrom_core::component::PortBinding) -> String {
    format!("{}/{}", port.container_port, port.protocol)
}

fn mount(volume: &Volume) -> Mount {
    let typ = match volume.kind {
        VolumeKind::Bind => MountType::BIND,
        VolumeKind::Volume => MountType::VOLUME,
        VolumeKind::Tmpfs => MountType::TMPFS,
    };
    Mount {
        typ: Some(typ),
        target: Some(volume.target.clone()),
        // Docker refuses a source for tmpfs; an empty one makes a volume anonymous.
        source: (volume.kind != VolumeKind::Tmpfs && !volume.source.is_empty())
            .then(|| volume.source.clone()),
        read_only: Some(volume.read_only),
        ..Default::default()
    }
}

fn log(docker: &DockerSpec) -> Option<HostConfigLogConfig> {
    if docker.log_driver.is_none() && docker.log_options.is_empty() {
        return None;
    }
    let typ = match docker.log_driver.as_deref() {
        Some(LOG_INTO_DAEMON) => Some(DRIVER_BEHIND_MAELSTROM.to_owned()),
        driver => driver.map(str::to_owned),
    };
    Some(HostConfigLogConfig { typ, config: Some(docker.log_options.iter().cloned().collect()) })
}

fn ulimit(ulimit: &maelstrom_core::component::Ulimit) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(ulimit.name.clone()), soft: Some(ulimit.soft), hard: Some(ulimit.hard) }
}

fn bytes(mib: u64) -> i64 {
    i64::try_from(mib.saturating_mul(MIB)).unwrap_or(i64::MAX)
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use maelstrom_core::{
        component::Component,
        names::{ComponentName, NodeId},
        wire,
    };
    use serde_json::json;

    use super::*;

    fn request_for(docker: serde_json::Value) -> serde_json::Value {
        let component = wire::Component {
            name: "web".into(),
            docker: Some(serde_json::from_value(docker).unwrap()),
            ..Default::default()
        };
        let spec = ContainerSpec {
            name: "mael-web-1".into(),
            node: NodeId::new("n1"),
            component: ComponentName::parse("web").unwrap(),
            version: 3,
            environment: vec![("A".into(), "1=2".into())],
            docker: Component::parse(&component).unwrap().docker,
        };
        serde_json::to_value(request(&spec)).unwrap()
    }

    #[test]
    fn a_plain_component_asks_for_nothing_unusual() {
        let expected = json!({
            "Image": "web:1",
            "Env": ["A=1=2"],
            "Labels": {"maelstrom.node": "n1", "maelstrom.component": "web", "maelstrom.version": "3"},
            "HostConfig": {"MemoryReservation": 128 << 20},
        });
        let docker = json!({"image": "web:1", "httpPort": 8080, "httpHealthCheckPath": "/"});
        assert_eq!(request_for(docker), expected);
    }

    #[test]
    fn every_field_of_a_component_reaches_docker() {
        let docker = json!({
            "image": "web:1", "httpPort": 8080, "httpHealthCheckPath": "/",
            "command": ["serve", "-v"], "entrypoint": ["/bin/web"], "hostname": "web", "domainname": "lan",
            "user": "1000:1000", "init": true, "networkName": "shop", "cpuShares": 512,
            "reserveMemoryMiB": 64, "limitMemoryMiB": 256, "dns": ["10.0.0.2"], "dnsOptions": ["ndots:1"],
            "dnsSearch": ["lan"], "ulimits": ["nofile:1024:2048"], "capadd": ["NET_ADMIN"],
            "capdrop": ["ALL"], "ports": ["127.0.0.1:80:8080", "9000/udp", "81:8080"],
            "volumes": [
                {"source": "/srv", "target": "/data", "readOnly": true},
                {"type": "volume", "source": "cache", "target": "/cache"},
                {"type": "volume", "source": "", "target": "/anonymous"},
                {"type": "tmpfs", "source": "", "target": "/tmp"}],
            "logDriver": "json-file", "logDriverOptions": [{"name": "max-size", "value": "10m"}],
        });
        let request = request_for(docker);
        assert_eq!(request["Cmd"], json!(["serve", "-v"]));
        assert_eq!(request["Entrypoint"], json!(["/bin/web"]));
        assert_eq!(request["Hostname"], "web");
        assert_eq!(request["Domainname"], "lan");
        assert_eq!(request["User"], "1000:1000");
        assert_eq!(request["ExposedPorts"], json!({"8080/tcp": {}, "9000/udp": {}}));
        let host = json!({
            "NetworkMode": "shop", "CpuShares": 512, "Init": true,
            "Memory": 256 << 20, "MemorySwap": 256 << 20, "MemoryReservation": 64 << 20,
            "Dns": ["10.0.0.2"], "DnsOptions": ["ndots:1"], "DnsSearch": ["lan"],
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
            "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"],
            "PortBindings": {
                "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}, {"HostPort": "81"}],
                "9000/udp": [{"HostPort": ""}]},
            "Mounts": [
                {"Type": "bind", "Source": "/srv", "Target": "/data", "ReadOnly": true},
                {"Type": "volume", "Source": "cache", "Target": "/cache", "ReadOnly": false},
                {"Type": "volume", "Target": "/anonymous", "ReadOnly": false},
                {"Type": "tmpfs", "Target": "/tmp", "ReadOnly": false}],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
        });
        assert_eq!(request["HostConfig"], host);
    }

    #[test]
    fn logs_into_the_daemon_are_kept_where_it_can_follow_them() {
        let docker = json!({
            "image": "web:1", "httpPort": 1, "httpHealthCheckPath": "/", "logDriver": "maelstrom"});
        let request = request_for(docker);
        assert_eq!(request["HostConfig"]["LogConfig"]["Type"], "local");
        assert_eq!(request["Labels"]["maelstrom.log"], "maelstrom");
    }
}
