//! Streams and upgrades: what flows, flows at once, and ends when either side ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use maelstromd::{clock, gateway::GatewaySettings};
use tokio::{io::AsyncWriteExt as _, sync::Notify};

use crate::{
    backend::Backend,
    world::{PATIENCE, Raw, World, eventually},
};

#[tokio::test]
async fn events_flow_at_once_and_end_with_the_client() {
    let (next, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (more, gone) = (Arc::clone(&next), Arc::clone(&left));
    let backend = Backend::start(move |mut connection| {
        let (more, gone) = (Arc::clone(&more), Arc::clone(&gone));
        async move {
            connection.request().await;
            connection
                .send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
            for number in 0..3 {
                more.notified().await;
                let event = format!("data: {number}\n\n");
                connection.send(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await;
            }
            connection.closed().await;
            gone.notify_one();
        }
    })
    .await;
    let world = World::new().await;
    let pool = world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("GET /events HTTP/1.1\r\nHost: web\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    for number in 0..3 {
        // Each is asked for only after the one before has arrived.
        next.notify_one();
        client.until(&format!("data: {number}\n\n")).await;
    }
    assert_eq!(pool.reading(clock::now()).load.demand.in_flight, 1, "an open stream is activity");
    drop(client);
    tokio::time::timeout(PATIENCE, left.notified()).await.expect("the container hears that the client left");
    eventually("the slot is free", || pool.reading(clock::now()).load.demand.in_flight == 0).await;
}

#[tokio::test]
async fn a_slow_reader_holds_the_container_back_and_not_the_memory() {
    const CHUNK: usize = 64 * 1024;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let backend = Backend::start(move |mut connection| {
        let count = Arc::clone(&count);
        async move {
            connection.request().await;
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let chunk = vec![b'x'; CHUNK];
            while connection.stream.write_all(&chunk).await.is_ok() {
                count.fetch_add(CHUNK, SeqCst);
            }
        }
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    // Until the sockets' buffers are full nothing stops; then everything does.
    let mut last = usize::MAX;
    eventually("the container is held back", || {
        let now = sent.load(SeqCst);
        let still = now == last;
        last = now;
        std::thread::sleep(Duration::from_millis(100));
        still && now > 0
    })
    .await;
    assert!(last < 64 * 1024 * 1024, "{last} bytes were taken");
}

#[tokio::test]
async fn request_and_response_bodies_flow_at_the_same_time() {
    let backend = Backend::start(|mut connection| async move {
        connection.head().await;
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for _ in 0..3 {
            // Size line, one byte, line end.
            let chunk = connection.exactly(6).await.unwrap();
            connection.send(&chunk).await;
        }
        assert_eq!(connection.exactly(5).await.unwrap(), b"0\r\n\r\n");
        connection.send(b"0\r\n\r\n").await;
        connection.closed().await;
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    for byte in ["a", "b", "c"] {
        client.send(format!("1\r\n{byte}\r\n")).await;
        client.until(&format!("1\r\n{byte}\r\n")).await;
    }
    client.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
}

/// Sends back what it gets after a 101, with a first word right behind the 101.
pub async fn upgrading() -> Backend {
    Backend::start(|mut connection| async move {
        let Some(head) = connection.head().await else { return };
        if !head.contains("upgrade: echo\r\n") || !head.contains("connection: upgrade\r\n") {
            connection
                .send(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: echo\r\nContent-Length: 0\r\n\r\n")
                .await;
            return;
        }
        connection
            .send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nwelcome ")
            .await;
        while let Some(byte) = connection.exactly(1).await {
            connection.send(&byte).await;
        }
        connection.send(b" bye").await;
    })
    .await
}

pub const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways_and_holds_its_slot() {
    let backend = upgrading().await;
    let world = World::new().await;
    let pool = world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send(UPGRADE).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: echo\r\n"), "{head}");
    assert!(head.contains("connection: upgrade\r\n"), "{head}");
    client.until("welcome ").await;
    client.send("\0\x01 GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.until("chunked\r\n\r\n").await;
    assert_eq!(pool.reading(clock::now()).load.demand.in_flight, 1);
    // One direction may end before the other.
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, " bye");
    eventually("the slot is free", || pool.reading(clock::now()).load.demand.in_flight == 0).await;
}

#[tokio::test]
async fn an_upgrade_ends_for_both_when_the_client_vanishes_or_nothing_moves() {
    let backend = upgrading().await;
    let world = World::with(GatewaySettings {
        tunnel_idle_timeout: Duration::from_millis(300),
        ..GatewaySettings::default()
    })
    .await;
    let pool = world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send(UPGRADE).await;
    client.until("welcome ").await;
    assert_eq!(client.rest().await, "");
    eventually("the slot is free", || pool.reading(clock::now()).load.demand.in_flight == 0).await;
}

#[tokio::test]
async fn what_the_container_does_not_upgrade_stays_http() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    for _ in 0..2 {
        client.send(UPGRADE).await;
        assert!(client.response().await.ends_with("\r\n\r\nok"));
    }
    // Without `Connection: upgrade` there is no upgrade.
    let other = upgrading().await;
    let world = World::new().await;
    world.web(other.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("GET / HTTP/1.1\r\nHost: web\r\nUpgrade: echo\r\n\r\n").await;
    assert!(client.response().await.starts_with("HTTP/1.1 426 "));
}

#[tokio::test]
async fn half_closed_clients_are_gone_clients() {
    let backend = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.closed().await;
    })
    .await;
    let world = World::new().await;
    let pool = world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    eventually("it is served", || pool.reading(clock::now()).load.demand.in_flight == 1).await;
    client.stream.shutdown().await.unwrap();
    eventually("the slot is free", || pool.reading(clock::now()).load.demand.in_flight == 0).await;
}

#[tokio::test]
async fn a_body_that_stops_coming_ends_in_408() {
    let backend = Backend::echo().await;
    let world = World::with(GatewaySettings {
        read_timeout: Duration::from_millis(300),
        ..GatewaySettings::default()
    })
    .await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 9\r\n\r\npart").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_stream_that_stops_moving_is_ended() {
    let backend = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").await;
        connection.closed().await;
    })
    .await;
    let world = World::with(GatewaySettings {
        write_timeout: Duration::from_millis(300),
        ..GatewaySettings::default()
    })
    .await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(client.rest().await.ends_with("2\r\nab\r\n"));
}

#[tokio::test]
async fn stopping_lets_finish_what_is_under_way_and_takes_nothing_new() {
    let finish = Arc::new(Notify::new());
    let go = Arc::clone(&finish);
    let backend = Backend::start(move |mut connection| {
        let go = Arc::clone(&go);
        async move {
            connection.request().await;
            go.notified().await;
            connection.send(&crate::backend::ok("done")).await;
        }
    })
    .await;
    let mut world =
        World::with(GatewaySettings { drain: Duration::from_secs(15), ..GatewaySettings::default() }).await;
    let pool = world.web(backend.address).await;
    let mut idle = Raw::connect(world.public).await;
    idle.send("GET /none HTTP/1.1\r\nHost: nobody\r\n\r\n").await;
    idle.response().await;
    let mut busy = Raw::connect(world.public).await;
    busy.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    eventually("it is served", || pool.reading(clock::now()).load.demand.in_flight == 1).await;
    world.stop.cancel();
    assert_eq!(idle.rest().await, "", "idle connections are closed soon");
    finish.notify_one();
    let answer = busy.rest().await;
    assert!(answer.ends_with("done") && answer.contains("connection: close"), "{answer}");
    for served in world.served.drain(..) {
        tokio::time::timeout(PATIENCE, served).await.expect("the gateway ends").unwrap();
    }
}

/// The defect this prevents: the connection closes behind an answer that said nothing of it, and the next
/// request on it is lost.
#[tokio::test]
async fn an_answer_before_the_end_of_a_small_body_keeps_the_clients_connection() {
    let backend = Backend::start(|mut connection| async move {
        let head = connection.head().await.unwrap_or_default();
        connection.send(&crate::backend::ok("answer")).await;
        // Like many servers: behind an answer to a body that it did not read it closes.
        if head.starts_with("GET") {
            connection.closed().await;
        }
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    for _ in 0..20 {
        client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        client.send("late").await;
        let answer = client.response().await;
        assert!(answer.ends_with("answer") && !answer.contains("close"), "{answer}");
    }
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(client.response().await.ends_with("answer"));
}

#[tokio::test]
async fn an_answer_before_the_end_of_a_large_body_says_that_the_connection_ends() {
    let backend = Backend::start(|mut connection| async move {
        connection.head().await;
        connection.send(&crate::backend::ok("early")).await;
        connection.closed().await;
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1000000\r\n\r\nsome").await;
    let answer = client.response().await;
    assert!(answer.ends_with("early") && answer.contains("connection: close"), "{answer}");
}

/// The defect this prevents: a request that is on its way while the gateway stops is lost.
#[tokio::test]
async fn requests_on_their_way_while_the_gateway_stops_are_served() {
    let backend = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.send(&crate::backend::ok("done")).await;
    })
    .await;
    let mut world = World::new().await;
    world.web(backend.address).await;
    let mut between_two = Raw::connect(world.public).await;
    between_two.send("GET /none HTTP/1.1\r\nHost: nobody\r\n\r\n").await;
    between_two.response().await;
    let mut connected = Raw::connect(world.public).await;
    world.stop.cancel();
    for client in [&mut between_two, &mut connected] {
        client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
        let answer = client.rest().await;
        assert!(answer.ends_with("done") && answer.contains("connection: close"), "{answer}");
    }
    for served in world.served.drain(..) {
        tokio::time::timeout(PATIENCE, served).await.expect("the gateway ends").unwrap();
    }
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off_when_stopping() {
    let backend = upgrading().await;
    let mut world = World::with(GatewaySettings {
        tunnel_drain: Duration::from_millis(300),
        ..GatewaySettings::default()
    })
    .await;
    let pool = world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send(UPGRADE).await;
    client.until("welcome ").await;
    world.stop.cancel();
    client.rest().await;
    for served in world.served.drain(..) {
        tokio::time::timeout(PATIENCE, served).await.expect("the gateway ends").unwrap();
    }
    assert_eq!(pool.reading(clock::now()).load.demand.in_flight, 0);
}
