//! Clients spread over workers, and what workers share.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use maelstromd::gateway::GatewaySettings;

use crate::{
    backend::{Backend, ok},
    world::{PATIENCE, Raw, WORKERS, World, eventually},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

/// A client of each worker, whose first request has been answered.
async fn one_of_each(world: &World) -> Vec<Raw> {
    let mut clients = Vec::new();
    for count in 1..=WORKERS {
        clients.push(Raw::connect(world.public).await);
        eventually("the client has its worker", || world.workers.clients().iter().sum::<usize>() == count)
            .await;
    }
    assert_eq!(world.workers.clients(), [1; WORKERS]);
    clients
}

#[tokio::test]
async fn clients_are_spread_evenly_and_leave_room_for_others() {
    let backend = Backend::answering(ok("x")).await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut clients = Vec::new();
    for _ in 0..10 * WORKERS {
        let mut client = Raw::connect(world.public).await;
        client.send(GET).await;
        assert!(client.response().await.ends_with("x"));
        clients.push(client);
    }
    assert_eq!(world.workers.clients(), [10; WORKERS]);
    drop(clients);
    eventually("they are forgotten", || world.workers.clients() == [0; WORKERS]).await;
}

#[tokio::test]
async fn a_tunnel_counts_as_long_as_it_lives() {
    let backend = Backend::start(|mut connection| async move {
        connection.head().await;
        connection
            .send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: upgrade\r\n\r\n")
            .await;
        connection.closed().await;
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut tunnels = Vec::new();
    for _ in 0..3 * WORKERS {
        let mut client = Raw::connect(world.public).await;
        client.send("GET / HTTP/1.1\r\nHost: web\r\nUpgrade: raw\r\nConnection: upgrade\r\n\r\n").await;
        assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
        tunnels.push(client);
    }
    eventually("each has as many", || world.workers.clients() == [3; WORKERS]).await;
    drop(tunnels);
    eventually("they are forgotten", || world.workers.clients() == [0; WORKERS]).await;
}

/// The defect this prevents: each worker opens a connection of its own to a server that handles one after
/// the other, and requests hang until the first is closed.
#[tokio::test]
async fn a_server_of_one_connection_at_a_time_is_never_given_a_second_one_while_the_first_is_idle() {
    let backend = Backend::answering(ok("x")).await;
    let world = World::new().await;
    let pool = world.component("web", |_| {});
    world.source("web", "web", None, false);
    world.add(&pool, "one", backend.address);
    let mut clients = one_of_each(&world).await;
    for _ in 0..20 {
        for client in &mut clients {
            client.send(GET).await;
            assert!(client.response().await.ends_with("x"));
        }
    }
    assert_eq!(backend.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn what_another_worker_left_and_the_server_closed_is_not_used() {
    // Each connection carries one request, and is closed after its answer without a word.
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let backend = Backend::start(move |mut connection| {
        let closed = Arc::clone(&count);
        async move {
            connection.request().await;
            connection.send(&ok("x")).await;
            drop(connection);
            closed.fetch_add(1, SeqCst);
        }
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut clients = one_of_each(&world).await;
    let post = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\na";
    for round in 0..20 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(post).await;
            let answer = client.response().await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let so_far = round * WORKERS + number + 1;
            eventually("the server closes", || closed.load(SeqCst) == so_far).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn management_that_takes_long_holds_up_no_worker() {
    let (began, begun) = mpsc::channel();
    let (let_go, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let management = axum::Router::new().fallback(move || async move {
        began.send(()).unwrap();
        // No await: whoever runs this does nothing else.
        held.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        "done"
    });
    let world = World::managed("test", GatewaySettings::default(), management).await;
    let backend = Backend::answering(ok("x")).await;
    world.web(backend.address).await;
    let mut manager = Raw::connect(world.private).await;
    manager.send("GET /_mael/v1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tokio::task::spawn_blocking(move || begun.recv_timeout(PATIENCE).unwrap()).await.unwrap();
    // Until the manager's worker has had one, too.
    for _ in 0..2 * WORKERS {
        let mut client = Raw::connect(world.public).await;
        client.send(GET).await;
        assert!(client.response().await.ends_with("x"));
        std::mem::forget(client);
    }
    assert!(world.workers.clients().iter().all(|clients| *clients >= 2));
    let_go.send(()).unwrap();
    assert!(manager.response().await.ends_with("done"));
}

#[tokio::test]
async fn management_that_panics_costs_one_answer() {
    let management = axum::Router::new().fallback(|| async {
        if true {
            panic!("on purpose");
        }
    });
    let world = World::managed("test", GatewaySettings::default(), management).await;
    let mut manager = Raw::connect(world.private).await;
    for _ in 0..2 {
        manager.send("GET /_mael/v1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let answer = manager.response().await;
        assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("gateway: "), "{answer}");
    }
}

#[tokio::test]
async fn workers_have_nothing_left_when_the_gateways_have_stopped() {
    let backend = Backend::answering(ok("x")).await;
    let mut world = World::new().await;
    world.web(backend.address).await;
    let mut clients = one_of_each(&world).await;
    for client in &mut clients {
        client.send(GET).await;
        assert!(client.response().await.ends_with("x"));
    }
    world.stop.cancel();
    for served in world.served.drain(..) {
        tokio::time::timeout(PATIENCE, served).await.unwrap().unwrap();
    }
    assert_eq!(world.workers.clients(), [0; WORKERS]);
    world.workers.stop(Duration::from_secs(10)).await;
    for client in &mut clients {
        assert_eq!(client.rest().await, "");
    }
}
