//! Bodies, streams and upgrades over two nodes: what flows, flows at once, and nobody holds up another.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use maelstrom_core::component::HttpProtocol;
use tokio::{io::AsyncWriteExt as _, sync::Notify};

use crate::{
    backend::Backend,
    http2::{connect, grpc_like, post},
    relay::{Two, in_flight, node, relayed},
    streams::{UPGRADE, upgrading},
    world::{PATIENCE, Raw, World, eventually},
};

#[tokio::test]
async fn events_flow_at_once_over_two_nodes_and_end_with_the_client() {
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
    let two = Two::serving(backend.address).await;
    let mut client = Raw::connect(two.front.public).await;
    client.send("GET /events HTTP/1.1\r\nHost: web\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    for number in 0..3 {
        next.notify_one();
        client.until(&format!("data: {number}\n\n")).await;
    }
    assert_eq!((relayed(&two.here), in_flight(&two.there)), (1, 1), "an open stream is activity");
    drop(client);
    tokio::time::timeout(PATIENCE, left.notified()).await.expect("the instance hears that the client left");
    eventually("the slots are free", || relayed(&two.here) + in_flight(&two.there) == 0).await;
}

#[tokio::test]
async fn an_upgraded_connection_goes_over_two_nodes() {
    let backend = upgrading().await;
    let two = Two::serving(backend.address).await;
    let mut client = Raw::connect(two.front.public).await;
    client.send(UPGRADE).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: echo\r\n"), "{head}");
    assert!(!head.contains("maelstrom"), "{head}");
    client.until("welcome ").await;
    client.send("\0\x01 GET / HTTP/1.1\r\n\r\n").await;
    client.until("HTTP/1.1\r\n\r\n").await;
    assert_eq!((relayed(&two.here), in_flight(&two.there)), (1, 1));
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, " bye");
    eventually("the slots are free", || relayed(&two.here) + in_flight(&two.there) == 0).await;
}

#[tokio::test]
async fn http2_goes_over_two_nodes_with_trailers_both_ways() {
    let (address, _task) = grpc_like().await;
    let h2c = |world: &World| {
        let pool = world.component("web", |component| {
            component.scaling.max_concurrency = 100.try_into().unwrap();
            component.docker.http_protocol = HttpProtocol::H2c;
        });
        world.source("web", "web", None, false);
        pool
    };
    let (front, back) = (node("n1").await, node("n2").await);
    let (here, there) = (h2c(&front), h2c(&back));
    back.add_protocol(&there, "two", address, HttpProtocol::H2c);
    front.peer("n2", back.private, &[("web", 1)]);
    let stream = tokio::net::TcpStream::connect(front.public).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let trailers =
            HeaderMap::from_iter([(http::HeaderName::from_static("x-asked"), "7".parse().unwrap())]);
        let frames = [
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"ping"))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let request =
            http::Request::post("http://web/svc/Method").header("te", "trailers").body(body).unwrap();
        let answered = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        let response = answered.expect("it is answered").unwrap();
        assert!(response.headers().keys().all(|name| !name.as_str().starts_with("maelstrom")));
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(
            (trailers["grpc-status"].as_bytes(), trailers["x-asked"].as_bytes()),
            (&b"0"[..], &b"7"[..])
        );
        let got = String::from_utf8(collected.to_bytes().to_vec()).unwrap();
        assert_eq!(got, "POST http://web/svc/Method HTTP/2.0 te=Some(\"trailers\") ping");
    }
    // The peer has no instance any more: with its body the request goes elsewhere.
    there.retire(&maelstrom_core::names::InstanceId::new("two"));
    front.add_protocol(&here, "one", address, HttpProtocol::H2c);
    let busy: Vec<_> = {
        let (mut sender, _connection) = connect(&front).await;
        (0..2).map(|_| tokio::spawn(sender.send_request(post("/a", "small")))).collect()
    };
    for answer in busy {
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("it is answered");
        assert_eq!(answer.unwrap().unwrap().status(), 200);
    }
    eventually("the slots are free", || relayed(&here) + in_flight(&here) + in_flight(&there) == 0).await;
}

#[tokio::test]
async fn many_http2_requests_that_wait_with_their_bodies_are_all_served() {
    const CLIENTS: usize = 300;
    const SIZE: usize = 100 * 1024;
    let (address, _task) = grpc_like().await;
    let (front, back) = (node("n1").await, node("n2").await);
    for world in [&front, &back] {
        world.component("web", |component| component.docker.http_protocol = HttpProtocol::H2c);
        world.source("web", "web", None, false);
    }
    let there = back.router.component("web").unwrap();
    back.add_protocol(&there, "two", address, HttpProtocol::H2c);
    front.peer("n2", back.private, &[("web", 1_000)]);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        // One after the other: the kernel keeps few of them in its queue.
        let mut client = Raw::connect(front.public).await;
        asked.spawn(async move {
            client.send(format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: {SIZE}\r\n\r\n")).await;
            client.send(vec![b'x'; SIZE]).await;
            client.until("0\r\n\r\n").await
        });
    }
    for answer in asked.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..100.min(answer.len())]);
    }
}

#[tokio::test]
async fn large_bodies_pass_two_nodes_unchanged_however_slow_their_reader_is() {
    const SIZE: usize = 12 * 1024 * 1024 + 17;
    let body: Vec<u8> = (0..SIZE).map(|i| (i * 31 % 251) as u8).collect();
    let expected = body.clone();
    let backend = Backend::start(move |mut connection| {
        let expected = expected.clone();
        async move {
            connection.head().await;
            // Long enough for every buffer on the way to be full, and for a kernel to lose its patience.
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            let got = connection.exactly(SIZE).await.unwrap();
            assert!(got == expected);
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes()).await;
            connection.send(&got).await;
        }
    })
    .await;
    let two = Two::serving(backend.address).await;
    let mut client = Raw::connect(two.front.public).await;
    client.send(format!("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: {SIZE}\r\n\r\n")).await;
    client.send(&body).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    while client.received.len() < SIZE {
        use tokio::io::AsyncReadExt as _;
        assert!(client.stream.read_buf(&mut client.received).await.unwrap() > 0);
    }
    assert!(client.received == body);
}

#[tokio::test]
async fn an_early_answer_comes_back_over_two_nodes() {
    let backend = Backend::start(|mut connection| async move {
        connection.head().await;
        connection.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
        connection.closed().await;
    })
    .await;
    let two = Two::serving(backend.address).await;
    let mut client = Raw::connect(two.front.public).await;
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 500000\r\n\r\nonly the beginning").await;
    let answer = client.response().await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("big"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}
