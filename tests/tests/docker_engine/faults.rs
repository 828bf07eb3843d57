//! What goes wrong is told apart, and says what to do.

use std::time::Duration;

use futures_util::StreamExt;
use maelstrom_core::{
    ports::engine::{ContainerState, EngineError, EngineEvent, EngineResult},
    wire::VolumeMount,
};

use crate::{
    fields::free_port,
    harness::{bench, get, soon, spec},
};

/// Refused, and the text holds each of `signs`.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: EngineResult<T>, signs: &[&str]) {
    let Err(error @ EngineError::Refused { .. }) = answer else { panic!("{answer:?}") };
    for sign in signs {
        assert!(error.to_string().contains(sign), "'{sign}' is missing in: {error}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_a_way_out() {
    let bench = bench("port").await;
    let port = free_port();
    let docker = spec(|docker| docker.ports = Some(vec![format!("{port}:8080")]));
    bench.run("first", docker.clone()).await;
    let second = bench.create("second", docker, &[]).await.expect("create");
    assert_refused(bench.engine.start(second).await, &[&port.to_string(), "'ports'"]);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let taken = listener.local_addr().expect("its address").port();
    let docker = spec(|docker| docker.ports = Some(vec![format!("127.0.0.1:{taken}:8080")]));
    let third = bench.create("third", docker, &[]).await.expect("create");
    assert_refused(bench.engine.start(third).await, &[&taken.to_string(), "'ports'"]);
}

#[tokio::test]
async fn what_the_node_lacks_is_named_with_a_way_out() {
    let bench = bench("lacks").await;
    let network = spec(|docker| docker.network_name = Some("no-such-network".into()));
    let id = bench.create("network", network, &[]).await.expect("create");
    let started = bench.engine.start(id).await;
    assert_refused(started, &["no-such-network", "docker network create", "'networkname'"]);

    let program = spec(|docker| docker.entrypoint = Some(vec!["/no/such/program".into()]));
    let id = bench.create("program", program, &[]).await.expect("create");
    assert_refused(bench.engine.start(id).await, &["/no/such/program", "'entrypoint'"]);

    let bind = VolumeMount { source: "/no/such/folder".into(), target: "/data".into(), ..Default::default() };
    let folder = spec(|docker| docker.volumes = Some(vec![bind]));
    assert_refused(bench.create("folder", folder, &[]).await, &["/no/such/folder", "'volumes'"]);

    let user = spec(|docker| docker.user = Some("nobody-of-that-name".into()));
    let id = bench.create("user", user, &[]).await.expect("create");
    assert_refused(bench.engine.start(id).await, &["nobody-of-that-name", "'user'"]);

    let driver = spec(|docker| docker.log_driver = Some("no-such-driver".into()));
    assert_refused(bench.create("driver", driver, &[]).await, &["no-such-driver", "'logdriver'"]);
}

#[tokio::test]
async fn running_out_of_memory_is_told_and_kept() {
    let bench = bench("oom").await;
    let mut events = bench.engine.events();
    assert_eq!(soon("the subscription", events.next()).await, Some(EngineEvent::Resubscribed));
    let docker = spec(|docker| {
        docker.reserve_memory_mib = Some(16);
        docker.limit_memory_mib = Some(16);
    });
    let started = bench.run("a", docker).await;
    let address = std::net::SocketAddr::new(started.address.expect("an address"), 8080);
    get(address, "/").await;
    let eat = tokio::spawn(async move { get(address, "/memory?mib=64").await });
    let mut told = Vec::new();
    soon("the death", async {
        loop {
            match events.next().await.expect("events never end") {
                EngineEvent::OutOfMemory { id } if id == started.id => told.push("oom"),
                EngineEvent::Died { id, .. } if id == started.id => break,
                _ => {}
            }
        }
    })
    .await;
    eat.abort();
    assert!(told.contains(&"oom"), "{told:?}");
    let seen = bench.engine.inspect(started.id).await.expect("inspect");
    assert_eq!(seen.state, ContainerState::Exited { code: 137, oom_killed: true });
}

#[tokio::test]
async fn a_command_that_hangs_is_given_up() {
    let bench = bench("exec").await;
    // What runs inside starts as slowly as the service itself.
    let started = bench.run_with("a", spec(|_| {}), &[("APP_LISTEN_AFTER_MS", "600000")]).await;
    let limit = Duration::from_secs(1);
    let hangs = bench.engine.exec(started.id.clone(), vec!["/mael-app".into()], limit);
    assert_refused(soon("the limit", hangs).await, &["/mael-app", "1 s"]);

    let missing = vec!["/no/such/program".to_owned()];
    let output = soon("an end", bench.engine.exec(started.id, missing, Duration::from_secs(30))).await;
    match output {
        Ok(output) => assert_ne!(output.exit_code, 0, "{output:?}"),
        refused => assert_refused(refused, &["/no/such/program"]),
    }
}
