//! What a component asks for takes effect.

use std::net::SocketAddr;

use bollard::{
    models::NetworkCreateRequest,
    query_parameters::{InspectContainerOptions, ListVolumesOptionsBuilder},
};
use maelstrom_core::wire::VolumeMount;

use crate::harness::{bench, get, spec};

fn volume(kind: &str, source: &str, target: &str) -> VolumeMount {
    VolumeMount {
        kind: Some(kind.into()),
        source: source.into(),
        target: target.into(),
        ..Default::default()
    }
}

/// A port that nothing on this machine listens on right now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

#[tokio::test]
async fn docker_takes_every_field_and_the_process_sees_them() {
    let bench = bench("fields").await;
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let docker = spec(|docker| {
        docker.command = Some(vec!["one".into(), "two".into()]);
        docker.entrypoint = Some(vec!["/mael-app".into()]);
        docker.hostname = Some("webhost".into());
        docker.domainname = Some("lan".into());
        docker.user = Some("1000:1000".into());
        docker.init = Some(true);
        docker.ports = Some(vec![format!("127.0.0.1:{port}:8080"), "9000/udp".into()]);
        docker.volumes = Some(vec![
            volume("bind", &folder.path().display().to_string(), "/data"),
            volume("volume", "", "/anonymous"),
            volume("tmpfs", "", "/scratch"),
        ]);
        docker.log_driver = Some("json-file".into());
        docker.log_driver_options =
            Some(vec![maelstrom_core::wire::NameValue { name: "max-size".into(), value: "1m".into() }]);
        docker.cpu_shares = Some(512);
        docker.reserve_memory_mib = Some(32);
        docker.limit_memory_mib = Some(64);
        docker.dns = Some(vec!["10.9.8.7".into()]);
        docker.dns_options = Some(vec!["ndots:2".into()]);
        docker.dns_search = Some(vec!["example".into()]);
        docker.ulimits = Some(vec!["nofile:300:400".into()]);
        docker.capadd = Some(vec!["NET_ADMIN".into()]);
        docker.capdrop = Some(vec!["CHOWN".into()]);
    });
    let started = bench.run_with("a", docker, &[("GREETING", "a=b c")]).await;
    assert!(started.pid.is_some_and(|pid| pid > 1), "{started:?}");

    let address = SocketAddr::new(started.address.expect("an address"), 8080);
    assert!(get(address, "/").await.contains("mael-app"));
    let seen = get(SocketAddr::from(([127, 0, 0, 1], port)), "/process").await;
    let seen: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(seen["arguments"], serde_json::json!(["/mael-app", "one", "two"]));
    assert_eq!(seen["environment"]["GREETING"], "a=b c");
    assert_eq!(seen["status"]["Uid"], "1000\t1000\t1000\t1000");
    assert_ne!(seen["pid"], 1, "the engine's init is process 1");
    let text =
        |part: &str| seen[part].as_str().expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text("limits").contains("Max open files 300 400"), "{}", text("limits"));
    assert_eq!(text("resolv"), "search example nameserver 10.9.8.7 options ndots:2");
    for mount in [" /data ", " /anonymous ", "tmpfs /scratch tmpfs"] {
        assert!(text("mounts").contains(mount), "{mount} in {}", text("mounts"));
    }
    let bounds = seen["status"]["CapBnd"].as_str().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let (chown, net_admin) = (1 << 0, 1 << 12);
    assert_eq!(bounds.map(|bounds| bounds & (chown | net_admin)), Some(net_admin));

    let told = bench
        .docker
        .inspect_container(started.id.as_str(), None::<InspectContainerOptions>)
        .await
        .expect("inspect");
    let config = told.config.expect("a config");
    assert_eq!(config.hostname.as_deref(), Some("webhost"));
    assert_eq!(config.domainname.as_deref(), Some("lan"));
    assert_eq!(config.user.as_deref(), Some("1000:1000"));
    let host = told.host_config.expect("a host config");
    assert_eq!(host.memory, Some(64 << 20));
    assert_eq!(host.memory_reservation, Some(32 << 20));
    assert_eq!((host.cpu_shares, host.init), (Some(512), Some(true)));
    assert_eq!(host.dns, Some(vec!["10.9.8.7".into()]));
    assert_eq!(host.log_config.and_then(|log| log.typ).as_deref(), Some("json-file"));
    assert_eq!(told.mounts.map(|mounts| mounts.len()), Some(3));
}

#[tokio::test]
async fn anonymous_volumes_go_with_their_container() {
    let bench = bench("volumes").await;
    let docker = spec(|docker| docker.volumes = Some(vec![volume("volume", "", "/anonymous")]));
    let started = bench.run("a", docker).await;
    let told = bench
        .docker
        .inspect_container(started.id.as_str(), None::<InspectContainerOptions>)
        .await
        .expect("inspect");
    let name = told.mounts.and_then(|mounts| mounts.into_iter().next()?.name).expect("a volume");
    bench.engine.remove(started.id).await.expect("remove");
    let filters = std::collections::HashMap::from([("name", vec![name])]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let left = bench.docker.list_volumes(Some(options)).await.expect("list").volumes.unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_container_is_reached_on_the_network_it_asks_for() {
    let bench = bench("networks").await;
    let port = free_port();
    let host = spec(|docker| docker.network_name = Some("host".into()));
    let started = bench.run_with("host", host, &[("PORT", &port.to_string())]).await;
    let address = started.address.expect("an address");
    assert!(address.is_loopback(), "{started:?}");
    assert!(get(SocketAddr::new(address, port), "/").await.contains("mael-app"));

    let name = format!("{}-net", bench.node);
    let labels = std::collections::HashMap::from([("maelstrom.test".to_owned(), "engine".to_owned())]);
    let network = NetworkCreateRequest { name: name.clone(), labels: Some(labels), ..Default::default() };
    bench.docker.create_network(network).await.expect("a network");
    let own = spec(|docker| docker.network_name = Some(name.clone()));
    let started = bench.run("own", own).await;
    let answer = get(SocketAddr::new(started.address.expect("an address"), 8080), "/").await;
    bench.engine.remove(started.id).await.expect("remove");
    bench.docker.remove_network(&name).await.expect("remove the network");
    assert!(answer.contains("mael-app"), "{answer}");
}
