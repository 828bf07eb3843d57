//! What Docker tells of a container, in the product's words.

use std::{collections::HashMap, net::IpAddr};

use bollard::models::{
    ContainerInspectResponse, ContainerState as DockerState, ContainerStateStatusEnum as Status,
    EndpointSettings,
};
use maelstrom_core::{
    names::InstanceId,
    ports::engine::{Container, ContainerState},
};

use super::connection::Connection;

pub(super) fn container(connection: &Connection, told: ContainerInspectResponse) -> Container {
    let state = told.state.unwrap_or_default();
    let kind = kind(&state);
    let up = matches!(kind, ContainerState::Running | ContainerState::Paused);
    let network = told.host_config.and_then(|host| host.network_mode);
    let networks = told.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = if network.as_deref() == Some("host") {
        connection.host_address()
    } else {
        address(network.as_deref(), &networks)
    };
    // A stopped container's process id is 0: that one must never be signalled or watched.
    let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
    Container {
        id: InstanceId::new(told.id.unwrap_or_default()),
        name: told.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        labels: told.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
        state: kind,
        image_id: told.image.unwrap_or_default(),
        address: address.filter(|_| up),
        pid: pid.filter(|_| up && connection.is_local()),
        started_at: started_at(state.started_at.as_deref().unwrap_or_default()),
    }
}

fn kind(state: &DockerState) -> ContainerState {
    let exited = ContainerState::Exited {
        code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
    };
    match state.status {
        Some(Status::CREATED) => ContainerState::Created,
        // Docker sets no restart policy of its own here; a container on its way up or down still runs.
        Some(Status::RUNNING | Status::RESTARTING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::EXITED) => exited,
        Some(Status::REMOVING | Status::DEAD | Status::EMPTY) | None => ContainerState::Gone,
    }
}

/// The address on the network asked for; else on any, the first by name so that it stays the same.
fn address(network: Option<&str>, networks: &HashMap<String, EndpointSettings>) -> Option<IpAddr> {
    let asked = network.and_then(|name| networks.get(name)).and_then(address_on);
    asked.or_else(|| {
        let mut names: Vec<&String> = networks.keys().collect();
        names.sort();
        names.into_iter().find_map(|name| address_on(&networks[name]))
    })
}

fn address_on(endpoint: &EndpointSettings) -> Option<IpAddr> {
    let parsed = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    parsed(&endpoint.ip_address).or_else(|| parsed(&endpoint.global_ipv6_address))
}

/// Docker writes `0001-01-01T00:00:00Z` for never.
fn started_at(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).map_or(0, |time| time.timestamp_millis().max(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(connection: &Connection, response: serde_json::Value) -> Container {
        container(connection, serde_json::from_value(response).unwrap())
    }

    fn local() -> Connection {
        Connection::new(Some("unix:///x".into()))
    }

    #[test]
    fn a_running_container_has_the_address_on_its_network() {
        let response = json!({
            "Id": "abc", "Name": "/mael-web", "Image": "sha256:1",
            "State": {"Status": "running", "Pid": 42, "StartedAt": "2026-01-01T00:00:01.5Z"},
            "HostConfig": {"NetworkMode": "shop"},
            "Config": {"Labels": {"maelstrom.node": "n1"}},
            "NetworkSettings": {"Networks": {
                "a": {"IPAddress": "172.18.0.2"}, "shop": {"IPAddress": "172.19.0.3"}}},
        });
        let seen = told(&local(), response);
        assert_eq!(seen.name, "mael-web");
        assert_eq!(seen.address, "172.19.0.3".parse().ok());
        assert_eq!(seen.pid, Some(42));
        assert_eq!(seen.started_at, 1_767_225_601_500);
        assert_eq!(seen.labels["maelstrom.node"], "n1");
    }

    #[test]
    fn the_default_bridge_goes_by_two_names() {
        let response = json!({
            "State": {"Status": "paused", "Pid": 1}, "HostConfig": {"NetworkMode": "default"},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}});
        assert_eq!(told(&local(), response).address, "172.17.0.2".parse().ok());
    }

    #[test]
    fn the_host_network_is_reached_where_the_engine_is() {
        let response = json!({
            "State": {"Status": "running", "Pid": 7}, "HostConfig": {"NetworkMode": "host"},
            "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}}});
        assert_eq!(told(&local(), response.clone()).address, "127.0.0.1".parse().ok());
        let remote = told(&Connection::new(Some("tcp://10.0.0.9:2375".into())), response);
        assert_eq!(remote.address, "10.0.0.9".parse().ok());
        assert_eq!(remote.pid, None, "a process of another machine can't be watched");
    }

    #[test]
    fn what_ended_has_no_address_and_no_process() {
        let response = json!({
            "State": {"Status": "exited", "Pid": 0, "ExitCode": 137, "OOMKilled": true,
                      "StartedAt": "0001-01-01T00:00:00Z"},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}});
        let seen = told(&local(), response);
        assert_eq!(seen.state, ContainerState::Exited { code: 137, oom_killed: true });
        assert_eq!((seen.address, seen.pid, seen.started_at), (None, None, 0));
    }
}
