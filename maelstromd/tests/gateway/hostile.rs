//! Requests that mean harm: each refused with the right status on a raw socket, and the connection closed.

use std::time::Duration;

use maelstromd::gateway::GatewaySettings;

use crate::{
    backend::Backend,
    world::{Raw, World},
};

/// What is sent, and the status that refuses it.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "length and chunks",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "chunks and length",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "chunks and length in other case",
        "POST / HTTP/1.1\r\nHost: web\r\ntRANSFER-eNCODING: Chunked\r\ncONTENT-lENGTH: 4\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        "400",
    ),
    ("two lengths in one", "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4, 5\r\n\r\nabcd", "400"),
    ("a length with a sign", "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: +4\r\n\r\nabcd", "400"),
    ("a length that is none", "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 0x4\r\n\r\nabcd", "400"),
    (
        "a length beyond all numbers",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "400",
    ),
    ("an unknown encoding", "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: gzip\r\n\r\n", "400"),
    (
        "chunked not last",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "chunked and more",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "an encoding with a vertical tab",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    (
        "an encoding in HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    ),
    ("a folded header", "GET / HTTP/1.1\r\nHost: web\r\nX-A: b\r\n c\r\n\r\n", "400"),
    ("a space before the colon", "GET / HTTP/1.1\r\nHost: web\r\nX-A : b\r\n\r\n", "400"),
    ("a header without a colon", "GET / HTTP/1.1\r\nHost: web\r\nnonsense\r\n\r\n", "400"),
    ("a control byte in a value", "GET / HTTP/1.1\r\nHost: web\r\nX-A: b\x01c\r\n\r\n", "400"),
    ("a null in a value", "GET / HTTP/1.1\r\nHost: web\r\nX-A: b\0c\r\n\r\n", "400"),
    ("a bare carriage return", "GET / HTTP/1.1\r\nHost: web\r\nX-A: b\rX-B: c\r\n\r\n", "400"),
    ("a control byte in a name", "GET / HTTP/1.1\r\nHost: web\r\nX\x02A: b\r\n\r\n", "400"),
    ("no host", "GET / HTTP/1.1\r\nX-A: b\r\n\r\n", "400"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: web\r\nHost: web\r\n\r\n", "400"),
    ("a host that is a list", "GET / HTTP/1.1\r\nHost: web, other\r\n\r\n", "400"),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: web/path\r\n\r\n", "400"),
    ("a target for another host", "GET http://other/ HTTP/1.1\r\nHost: web\r\n\r\n", "400"),
    ("no protocol version", "GET /\r\nHost: web\r\n\r\n", "400"),
    ("an unknown version", "GET / HTTP/3.7\r\nHost: web\r\n\r\n", "400"),
    ("noise", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\r\n\r\n", "400"),
    ("a tunnel", "CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n", "501"),
    (
        "a bad chunk size",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        "400",
    ),
    (
        "a chunk size with a sign",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
        "400",
    ),
    (
        "a chunk that is longer than it says",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
        "400",
    ),
    (
        "a chunk size beyond all numbers",
        "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "400",
    ),
];

/// Reads a request and answers only once it is whole, as containers do.
async fn patient() -> Backend {
    Backend::start(|mut connection| async move {
        while let Some(request) = connection.request().await {
            assert!(!request.contains("smuggled"), "{request}");
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await
}

#[tokio::test]
async fn ambiguous_and_malformed_requests_are_refused_and_the_connection_closed() {
    let backend = patient().await;
    let world = World::new().await;
    world.web(backend.address).await;
    for (what, request, status) in REFUSED {
        let mut client = Raw::connect(world.public).await;
        client.send(request).await;
        client.send("GET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n").await;
        let answer = client.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer:?}");
        let answers = ["HTTP/1.1 2", "HTTP/1.1 4", "HTTP/1.1 5"].map(|start| answer.matches(start).count());
        assert_eq!(answers.iter().sum::<usize>(), 1, "{what}: {answer:?}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn the_same_in_single_bytes_and_behind_a_good_request_is_refused_too() {
    let backend = patient().await;
    let world = World::new().await;
    world.web(backend.address).await;
    for (what, request, status) in REFUSED {
        let mut client = Raw::connect(world.public).await;
        client.send("GET /good HTTP/1.1\r\nHost: web\r\n\r\n").await;
        // The gateway may have refused before the last byte is written.
        for byte in request.as_bytes() {
            use tokio::io::AsyncWriteExt as _;
            if client.stream.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{what}: {answer:?}");
        assert!(answer.contains(&format!("HTTP/1.1 {status} ")), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn the_refusal_of_both_lengths_says_so() {
    let world = World::new().await;
    let mut client = Raw::connect(world.public).await;
    client.send(REFUSED[0].1).await;
    let answer = client.rest().await;
    assert!(
        answer.ends_with("gateway: a request must not have both Content-Length and Transfer-Encoding"),
        "{answer}"
    );
}

#[tokio::test]
async fn sound_bodies_that_look_like_attacks_pass() {
    let backend = patient().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    let inner = "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
    for _ in 0..3 {
        client
            .send(format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()))
            .await;
        assert!(client.response().await.starts_with("HTTP/1.1 200"));
        client
            .send(format!("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()))
            .await;
        assert!(client.response().await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn heads_have_a_size_and_a_count() {
    let backend = patient().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let big = format!("GET / HTTP/1.1\r\nHost: web\r\nX-A: {}\r\n\r\n", "a".repeat(80 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: web\r\n{}\r\n", "X-A: b\r\n".repeat(150));
    for request in [big, many] {
        let mut client = Raw::connect(world.public).await;
        client.send(&request).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let fits = format!("GET / HTTP/1.1\r\nHost: web\r\nX-A: {}\r\n\r\n", "a".repeat(32 * 1024));
    let mut client = Raw::connect(world.public).await;
    client.send(&fits).await;
    assert!(client.response().await.starts_with("HTTP/1.1 200"));
    let long = format!("GET /{} HTTP/1.1\r\nHost: web\r\n\r\n", "a".repeat(66 * 1024));
    let mut client = Raw::connect(world.public).await;
    client.send(&long).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn slow_heads_end_in_408_and_silence_in_a_close() {
    let world = World::with(GatewaySettings {
        head_timeout: Duration::from_millis(300),
        ..GatewaySettings::default()
    })
    .await;
    for piece in
        ["G", "GET / HTTP/1.1\r\nHos", "GET / HTTP/1.1\r\nHost: web\r\n", "GET / HTTP/1.1\r\nHost: web\r\n\r"]
    {
        let mut client = Raw::connect(world.public).await;
        client.send(piece).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("gateway: "), "{piece:?}: {answer:?}");
    }
    let mut silent = Raw::connect(world.public).await;
    assert_eq!(silent.rest().await, "");
    // Between requests there is no head to wait for.
    let mut client = Raw::connect(world.public).await;
    let request = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
    client.send(request).await;
    client.response().await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.send(request).await;
    assert!(client.response().await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn connections_without_requests_are_closed_after_their_time() {
    let world = World::with(GatewaySettings {
        idle_timeout: Duration::from_millis(300),
        ..GatewaySettings::default()
    })
    .await;
    let mut client = Raw::connect(world.public).await;
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    client.response().await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn memory_stays_flat_under_bad_requests() {
    let backend = patient().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let round = async |count: usize| {
        for i in 0..count {
            let (_, request, _) = REFUSED[i % REFUSED.len()];
            let mut client = Raw::connect(world.public).await;
            client.send(request).await;
            client.rest().await;
        }
    };
    round(1_000).await;
    let before = resident_kib();
    round(9_000).await;
    let after = resident_kib();
    assert!(after < before + 8 * 1024, "{before} KiB before, {after} KiB after");
}

fn resident_kib() -> u64 {
    procfs::process::Process::myself().unwrap().status().unwrap().vmrss.unwrap()
}
