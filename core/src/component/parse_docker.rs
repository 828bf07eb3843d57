//! The `docker` part of a component.

use super::{choice, count, environment, seconds};
use crate::{component::*, problem::Problems, wire};

pub(super) fn parse(wire: &wire::DockerComponent, problems: &mut Problems) -> DockerSpec {
    let mut found = Problems::default();
    let spec = checked(wire, &mut found);
    problems.nest("docker", found);
    spec
}

fn checked(wire: &wire::DockerComponent, problems: &mut Problems) -> DockerSpec {
    if wire.image.trim().is_empty() {
        problems.add("image", "is missing: it says which image to run");
    }
    let reserve_memory_mib = match wire.reserve_memory_mib {
        None | Some(0) => DEFAULT_RESERVE_MEMORY_MIB,
        given => u64::from(count(given, 0, "reserveMemoryMiB", problems)),
    };
    let limit_memory_mib = wire
        .limit_memory_mib
        .filter(|limit| *limit != 0)
        .map(|limit| u64::from(count(Some(limit), 0, "limitMemoryMiB", problems)));
    if let Some(limit) = limit_memory_mib
        && limit < reserve_memory_mib
    {
        problems
            .add("limitMemoryMiB", format!("is {limit}, less than reserveMemoryMiB, {reserve_memory_mib}"));
    }
    let protocols = [(HttpProtocol::Http1, "http1"), (HttpProtocol::H2c, "h2c")];
    if wire.pull_password.as_deref() == Some(wire::VEILED) {
        problems.add("pullPassword", wire::VEILED_PUT);
    }
    DockerSpec {
        image: wire.image.trim().to_owned(),
        command: non_empty(&wire.command),
        entrypoint: non_empty(&wire.entrypoint),
        http_port: port(wire.http_port, problems),
        http_protocol: choice(
            wire.http_protocol.as_deref(),
            &protocols,
            HttpProtocol::Http1,
            "httpProtocol",
            problems,
        ),
        health: health(wire, problems),
        pull: PullSpec {
            command: non_empty(&wire.pull_command),
            username: wire.pull_username.clone().filter(|text| !text.is_empty()),
            password: wire.pull_password.clone().filter(|text| !text.is_empty()),
            on_put: wire.pull_image_on_put.unwrap_or(false),
            on_start: wire.pull_image_on_start.unwrap_or(false),
        },
        ports: listed(&wire.ports, "ports", problems, port_binding),
        volumes: volumes(wire.volumes.as_deref().unwrap_or_default(), problems),
        network: wire.network_name.clone().filter(|text| !text.is_empty()),
        log_driver: wire.log_driver.clone().filter(|text| !text.is_empty()),
        log_options: environment(
            wire.log_driver_options.as_deref().unwrap_or_default(),
            "logDriverOptions",
            problems,
        ),
        cpu_shares: wire.cpu_shares.filter(|n| *n != 0).map(|n| count(Some(n), 0, "cpuShares", problems)),
        reserve_memory_mib,
        limit_memory_mib,
        dns: wire.dns.clone().unwrap_or_default(),
        dns_options: wire.dns_options.clone().unwrap_or_default(),
        dns_search: wire.dns_search.clone().unwrap_or_default(),
        ulimits: listed(&wire.ulimits, "ulimits", problems, ulimit),
        init: wire.init.unwrap_or(false),
        hostname: wire.hostname.clone().filter(|text| !text.is_empty()),
        domainname: wire.domainname.clone().filter(|text| !text.is_empty()),
        user: wire.user.clone().filter(|text| !text.is_empty()),
        cap_add: wire.capadd.clone().unwrap_or_default(),
        cap_drop: wire.capdrop.clone().unwrap_or_default(),
    }
}

fn health(wire: &wire::DockerComponent, problems: &mut Problems) -> HealthSpec {
    let path = match wire.http_health_check_path.as_str() {
        "" => DEFAULT_HEALTH_CHECK_PATH,
        path => path,
    };
    if !path.starts_with('/') || path.chars().any(|c| c.is_control() || c == ' ') {
        problems.add(
            "httpHealthCheckPath",
            format!("is '{}'; it must be a path that begins with '/'", path.escape_debug()),
        );
    }
    let start = match wire.http_start_health_check_seconds {
        Some(given) if given < 0 => None,
        given => Some(seconds(given, DEFAULT_START_HEALTH_CHECK, 1, "httpStartHealthCheckSeconds", problems)),
    };
    let interval = match wire.http_health_check_seconds {
        Some(given) if given < 0 => None,
        given => Some(seconds(given, DEFAULT_HEALTH_CHECK_INTERVAL, 1, "httpHealthCheckSeconds", problems)),
    };
    let max_failures = count(
        wire.http_health_check_max_failures,
        DEFAULT_HEALTH_CHECK_MAX_FAILURES,
        "httpHealthCheckMaxFailures",
        problems,
    )
    .max(1);
    HealthSpec {
        path: path.to_owned(),
        start,
        interval,
        max_failures,
        failed_command: non_empty(&wire.health_check_failed_command),
    }
}

fn non_empty(list: &Option<Vec<String>>) -> Option<Vec<String>> {
    list.clone().filter(|list| !list.is_empty())
}

fn port(given: i64, problems: &mut Problems) -> u16 {
    match u16::try_from(given) {
        Ok(0) => DEFAULT_HTTP_PORT,
        Ok(port) => port,
        Err(_) => {
            problems.add("httpPort", format!("is {given}; a port from 1 to 65535 is allowed"));
            DEFAULT_HTTP_PORT
        }
    }
}

fn listed<T>(
    list: &Option<Vec<String>>,
    field: &str,
    problems: &mut Problems,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut parsed = Vec::new();
    for text in list.iter().flatten() {
        match parse(text) {
            Ok(value) => parsed.push(value),
            Err(why) => problems.add(field, format!("'{text}' {why}")),
        }
    }
    parsed
}

/// `[[address:]host port:]container port[/protocol]`
fn port_binding(text: &str) -> Result<PortBinding, String> {
    const SHAPE: &str = "is not of the form [[address:]host-port:]container-port[/tcp|udp|sctp]";
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !["tcp", "udp", "sctp"].contains(&protocol) {
        return Err(SHAPE.into());
    }
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(SHAPE);
    let (front, container) =
        ports.rsplit_once(':').map_or((None, ports), |(front, port)| (Some(front), port));
    let container_port = number(container)?;
    let (host_address, host_port) = match front {
        None => (None, None),
        Some(front) => match front.rsplit_once(':') {
            None => (None, Some(number(front)?)),
            Some((address, "")) => (Some(address), None),
            Some((address, port)) => (Some(address), Some(number(port)?)),
        },
    };
    let host_address = match host_address.map(|a| a.trim_start_matches('[').trim_end_matches(']')) {
        None => None,
        Some(address) => {
            address.parse::<std::net::IpAddr>().map_err(|_| SHAPE)?;
            Some(address.to_owned())
        }
    };
    Ok(PortBinding { host_address, host_port, container_port, protocol: protocol.to_owned() })
}

fn ulimit(text: &str) -> Result<Ulimit, String> {
    const SHAPE: &str = "is not of the form name:soft[:hard] with whole numbers";
    let mut parts = text.split([':', '=']);
    let name = parts.next().filter(|name| !name.is_empty()).ok_or(SHAPE)?.to_owned();
    let soft = parts.next().and_then(|n| n.parse::<i64>().ok()).ok_or(SHAPE)?;
    let hard = parts.next().map_or(Ok(soft), |n| n.parse::<i64>().map_err(|_| SHAPE))?;
    if parts.next().is_some() {
        return Err(SHAPE.into());
    }
    if hard >= 0 && (soft > hard || soft < 0) {
        return Err(format!("has a soft limit, {soft}, above its hard limit, {hard}"));
    }
    Ok(Ulimit { name, soft, hard })
}

fn volumes(given: &[wire::VolumeMount], problems: &mut Problems) -> Vec<Volume> {
    let kinds = [(VolumeKind::Bind, "bind"), (VolumeKind::Volume, "volume"), (VolumeKind::Tmpfs, "tmpfs")];
    let mut parsed = Vec::new();
    for (index, mount) in given.iter().enumerate() {
        let field = format!("volumes[{index}]");
        let kind =
            choice(mount.kind.as_deref(), &kinds, VolumeKind::Bind, &format!("{field}.type"), problems);
        if !mount.target.starts_with('/') {
            problems.add(
                format!("{field}.target"),
                format!("is '{}'; it must be an absolute path", mount.target),
            );
        }
        if kind == VolumeKind::Bind && !mount.source.starts_with('/') {
            problems.add(
                format!("{field}.source"),
                format!("is '{}'; a bind mount needs an absolute path of the host", mount.source),
            );
        }
        parsed.push(Volume {
            kind,
            source: mount.source.clone(),
            target: mount.target.clone(),
            read_only: mount.read_only.unwrap_or(false),
        });
    }
    parsed
}
