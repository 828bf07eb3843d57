//! Instances that fail: what costs the client nothing, and what it is told otherwise.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use crate::{
    backend::{Backend, ok},
    world::{Raw, World, ask},
};

/// Takes the request and closes without a word.
async fn closing() -> Backend {
    Backend::start(|mut connection| async move {
        connection.more().await;
    })
    .await
}

/// A port where nobody listens.
async fn nobody() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_refused_connection_costs_the_client_nothing() {
    let good = Backend::echo().await;
    for method in ["GET", "POST"] {
        let world = World::new().await;
        let pool = world.web(nobody().await).await;
        world.add(&pool, "two", good.address);
        let mut client = Raw::connect(world.public).await;
        // Enough to meet the bad one, whichever is first.
        for _ in 0..4 {
            client.send(format!("{method} / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody")).await;
            let answer = client.response().await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("body"), "{answer}");
        }
        assert_eq!(pool.suspects().iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["one"]);
    }
}

#[tokio::test]
async fn idempotent_requests_go_to_another_instance_with_their_body_and_others_say_why_not() {
    for (method, replayed) in
        [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false)]
    {
        let (bad, good) = (closing().await, Backend::echo().await);
        let world = World::new().await;
        let pool = world.web(bad.address).await;
        let mut client = Raw::connect(world.public).await;
        let request = format!("{method} / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody");
        if replayed {
            world.add(&pool, "two", good.address);
            for _ in 0..4 {
                client.send(&request).await;
                let answer = client.response().await;
                assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("body"), "{method}: {answer}");
            }
        } else {
            client.send(&request).await;
            let answer = client.response().await;
            assert!(answer.starts_with("HTTP/1.1 502 "), "{method}: {answer}");
            assert!(answer.contains("gateway: component web failed the request"), "{answer}");
            assert!(answer.contains("it was not sent again"), "{answer}");
            assert_eq!(bad.connections.load(SeqCst), 1, "{method} was sent once");
        }
    }
}

#[tokio::test]
async fn a_large_body_that_was_partly_sent_is_not_repeated() {
    let bad = Backend::start(|mut connection| async move {
        connection.exactly(200 * 1024).await;
    })
    .await;
    let world = World::new().await;
    world.web(bad.address).await;
    let mut client = Raw::connect(world.public).await;
    const SIZE: usize = 400 * 1024;
    client.send(format!("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    client.send(vec![b'x'; 300 * 1024]).await;
    let answer = client.response().await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

/// A kept-open connection that the container has closed meanwhile.
#[tokio::test]
async fn a_stale_connection_is_noticed_and_costs_nothing() {
    let backend = Backend::start(|mut connection| async move {
        // Each connection serves one request and then goes, without saying so.
        let request = connection.request().await.unwrap_or_default();
        connection.send(&ok(&request)).await;
    })
    .await;
    let world = World::new().await;
    let pool = world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    for method in ["GET", "POST", "GET", "POST", "PUT", "POST"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nab")).await;
        let answer = client.response().await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ab"), "{answer}");
        // Long enough for the close to arrive: what comes at the very same moment is another test's.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(pool.suspects().is_empty(), "an idle time-out says nothing about the instance");
}

/// The close arrives while the request is under way.
#[tokio::test]
async fn a_connection_that_closes_under_the_request_is_replaced_for_what_may_be_repeated() {
    let backend = Backend::start(|mut connection| async move {
        let request = connection.request().await.unwrap_or_default();
        connection.send(&ok(&request)).await;
        // Takes the second and closes.
        connection.request().await;
    })
    .await;
    let world = World::new().await;
    let pool = world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    for _ in 0..6 {
        client.send("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nab").await;
        assert!(client.response().await.ends_with("ab"));
    }
    assert!(pool.suspects().is_empty());
}

#[tokio::test]
async fn a_component_whose_instances_all_fail_is_502_after_a_few_tries() {
    let world = World::new().await;
    let pool = world.component("web", |component| component.max_duration = Duration::from_secs(5));
    world.source("web", "web", None, false);
    for id in ["a", "b", "c", "d", "e", "f"] {
        world.add(&pool, id, nobody().await);
    }
    let answer = ask(world.public, "GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 502 ") && answer.contains("gateway: component web failed"),
        "{answer}"
    );
}

/// Answers that can't be trusted: never passed on, and their connections never used again.
#[tokio::test]
async fn malformed_answers_are_502() {
    for (what, answer) in [
        (
            "length and chunks (CVE-2026-2835)",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunks in HTTP/1.0 (CVE-2026-2835)",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("differing lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
        (
            "an unasked upgrade (CVE-2026-2833)",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
        ("a folded header", "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
        ("noise", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("a control byte", "HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let backend = Backend::answering(answer).await;
        let world = World::new().await;
        world.web(backend.address).await;
        let mut client = Raw::connect(world.public).await;
        client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n").await;
        let got = client.response().await;
        assert!(got.starts_with("HTTP/1.1 502 ") && got.contains("\r\n\r\ngateway: "), "{what}: {got}");
    }
}

/// CVE-2025-4366: what is left of one exchange must never be taken for the next.
#[tokio::test]
async fn a_connection_with_anything_left_on_it_is_not_used_again() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let backend = Backend::start(move |mut connection| {
        let log = Arc::clone(&log);
        async move {
            while let Some(head) = connection.head().await {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                log.lock().unwrap().push((connection.number, path.clone()));
                let answer = match path.as_str() {
                    // Answers before the body has come.
                    "/early" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".to_vec(),
                    // Sends more than it says.
                    "/more" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison".to_vec(),
                    "/close" => b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec(),
                    "/old" => b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
                    _ => ok("fine"),
                };
                connection.send(&answer).await;
            }
        }
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    for path in ["/early", "/more", "/close", "/old"] {
        let mut client = Raw::connect(world.public).await;
        let length = if path == "/early" { 500_000 } else { 0 };
        client.send(format!("POST {path} HTTP/1.1\r\nHost: web\r\nContent-Length: {length}\r\n\r\n")).await;
        assert!(client.response().await.starts_with("HTTP/1.1 200"), "{path}");
        let next = ask(world.public, "GET /next HTTP/1.1\r\nHost: web\r\n\r\n").await;
        assert!(next.ends_with("fine"), "after {path}: {next}");
    }
    let seen = seen.lock().unwrap().clone();
    for pair in seen.windows(2).filter(|pair| pair[0].1 != "/next") {
        assert_ne!(pair[0].0, pair[1].0, "{} left its connection to {}", pair[0].1, pair[1].1);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_off_for_the_client_too() {
    let seen = Arc::new(tokio::sync::Notify::new());
    let clients = Arc::clone(&seen);
    let backend = Backend::start(move |mut connection| {
        let go = Arc::clone(&clients);
        async move {
            let request = connection.request().await.unwrap_or_default();
            let head: &[u8] = if request.contains("/sized") {
                b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"
            } else {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"
            };
            connection.send(head).await;
            go.notified().await;
        }
    })
    .await;
    let world = World::new().await;
    let pool = world.web(backend.address).await;
    for path in ["/sized", "/chunked"] {
        let mut client = Raw::connect(world.public).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: web\r\n\r\n")).await;
        let mut answer = client.until("part").await;
        seen.notify_one();
        answer.push_str(&client.rest().await);
        assert!(answer.contains("part") && !answer.ends_with("0\r\n\r\n"), "{answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "nothing is appended: {answer:?}");
    }
    crate::world::eventually("slots are free", || {
        pool.reading(maelstromd::clock::now()).load.demand.in_flight == 0
    })
    .await;
}
