//! One request's way through the product.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use hyper::Method;
use maelstrom_tests::{
    client::{self, Client},
    daemon::Daemon,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test]
async fn a_request_starts_what_it_needs_and_is_answered() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    daemon.put_route("web-all", "web", json!({ "pathPrefix": "/" })).await?;
    assert_eq!(daemon.instances("web").await?.len(), 0);
    let answer = daemon.public().get("/counter").await?;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "1"));
    daemon.wait_instances("web", 1).await?;
    // The journal tells the cold start with its phases.
    let events = daemon
        .rpc("MaelstromService.ListEvents", json!({ "componentName": "web", "kinds": ["cold-start"] }))
        .await?;
    assert_eq!(events["events"].as_array().map(Vec::len), Some(1), "{events}");
    assert!(events["events"][0]["data"].as_object().is_some_and(|data| data.len() >= 3), "{events}");
    Ok(())
}

#[tokio::test]
async fn hosts_and_paths_choose_the_component() -> Result<()> {
    let daemon = Daemon::run().await?;
    for name in ["one", "two"] {
        daemon.put_component(name, json!({}), json!({})).await?;
    }
    daemon.put_route("r1", "one", json!({ "hostname": "One.example" })).await?;
    daemon
        .put_route(
            "r2",
            "two",
            json!({ "hostname": "*.example", "pathPrefix": "/deep", "stripPrefix": true }),
        )
        .await?;
    let component = |answer: &client::Answer| answer.json().map(|seen| seen.to_string());
    let seen = daemon.public().host("one.EXAMPLE:8080").get("/process").await?;
    assert!(
        component(&seen)?.contains("MAELSTROM_COMPONENT_NAME=one") || component(&seen)?.contains("\"one\""),
        "{seen:?}"
    );
    // The prefix goes, the query stays byte for byte.
    let seen = daemon.public().host("x.example").get("/deep/echo?a=%2F&b=c+d").await?;
    assert_eq!(seen.status, 200);
    let line = seen.headers.iter().map(|(n, v)| format!("{n}: {v:?}")).collect::<Vec<_>>().join("\n");
    assert!(line.contains("/echo?a=%2F&b=c+d") && !line.contains("/deep"), "{line}");
    // Not at a segment's end, no such host: nothing matches.
    for (host, path) in [("x.example", "/deeper"), ("example", "/"), ("other.test", "/")] {
        let answer = daemon.public().host(host).get(path).await?;
        assert_eq!(answer.status, 404, "{host}{path}");
        assert_eq!(answer.text().trim(), "No component matches the request");
    }
    Ok(())
}

#[tokio::test]
async fn components_call_each_other_through_the_private_gateway() -> Result<()> {
    let daemon = Daemon::run().await?;
    for name in ["front", "back"] {
        daemon.put_component(name, json!({}), json!({})).await?;
    }
    daemon.put_route("front-all", "front", json!({ "pathPrefix": "/" })).await?;
    let answer = daemon.public().get("/call?component=back&path=/headers").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    daemon.wait_instances("back", 1).await?;
    // An unknown one is a clear 404.
    let answer =
        daemon.private().send(Method::GET, "/", &[("MAELSTROM-COMPONENT", "nobody")], Bytes::new()).await?;
    assert_eq!(answer.status, 404);
    Ok(())
}

#[tokio::test]
async fn internal_headers_from_outside_are_removed_and_forwarded_ones_are_set() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    daemon.put_route("web-all", "web", json!({ "pathPrefix": "/" })).await?;
    let forged = [
        ("MAELSTROM-COMPONENT", "other"),
        ("MAELSTROM-DEADLINE-NANO", "1"),
        ("MAELSTROM-RELAY-PATH", "a|b"),
        ("Maelstrom-Anything", "x"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("Connection", "x-secret"),
        ("X-Secret", "hop"),
        ("X-Kept", "yes"),
    ];
    let answer =
        daemon.public().host("shop.example").send(Method::GET, "/headers", &forged, Bytes::new()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.json()?.to_string().to_ascii_lowercase();
    for gone in ["maelstrom-component\"", "\"other\"", "a|b", "maelstrom-anything", "x-secret"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    for there in [
        "x-kept",
        "x-forwarded-for",
        "127.0.0.1",
        "x-forwarded-proto",
        "x-forwarded-host",
        "shop.example",
        "x-request-id",
        "traceparent",
    ] {
        assert!(seen.contains(there), "{there} not in {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn past_its_deadline_a_request_gets_504_and_its_slot_is_free() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon
        .put_component(
            "slow",
            json!({ "maxDurationSeconds": 1, "maxConcurrency": 1, "maxInstances": 1 }),
            json!({}),
        )
        .await?;
    daemon.put_route("slow-all", "slow", json!({ "pathPrefix": "/" })).await?;
    daemon.public().get("/counter").await?;
    let answer = daemon.public().get("/hang").await?;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.text().trim(), "gateway: Timeout proxying component: slow");
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn server_sent_events_flow_at_once() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    daemon.put_route("web-all", "web", json!({ "pathPrefix": "/" })).await?;
    daemon.public().get("/counter").await?;
    let mut stream = TcpStream::connect(daemon.public_address()).await?;
    // The second event comes after a minute: only the first can arrive in time.
    stream.write_all(b"GET /sse?chunks=2&ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let first = async {
        while !seen.contains("data: event") {
            let n = stream.read(&mut buffer).await?;
            ensure!(n > 0, "closed after {seen:?}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(20), first).await??;
    Ok(())
}

#[tokio::test]
async fn upgraded_connections_carry_bytes_both_ways_and_keep_their_slot() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({ "maxConcurrency": 1, "maxInstances": 1 }), json!({})).await?;
    daemon.put_route("web-all", "web", json!({ "pathPrefix": "/" })).await?;
    let mut stream = TcpStream::connect(daemon.public_address()).await?;
    // Bytes right behind the head belong to the upgraded connection.
    stream
        .write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly")
        .await?;
    let mut seen = String::new();
    read_until(&mut stream, &mut seen, "early").await?;
    assert!(seen.starts_with("HTTP/1.1 101"), "{seen}");
    stream.write_all(b"later").await?;
    read_until(&mut stream, &mut seen, "later").await?;
    // Its slot is taken as long as it is open.
    let busy = daemon.instances("web").await?;
    assert_eq!(busy[0]["inFlight"], 1, "{busy:?}");
    drop(stream);
    assert_eq!(daemon.public().get("/counter").await?.status, 200);
    Ok(())
}

async fn read_until(stream: &mut TcpStream, seen: &mut String, wanted: &str) -> Result<()> {
    let mut buffer = [0; 4096];
    let read = async {
        while !seen.contains(wanted) {
            let n = stream.read(&mut buffer).await?;
            ensure!(n > 0, "closed after {seen:?}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), read).await?
}

#[tokio::test]
async fn large_bodies_pass_both_ways_over_http1_and_http2() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({}), json!({})).await?;
    daemon.put_route("web-all", "web", json!({ "pathPrefix": "/" })).await?;
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    for client in [daemon.public(), Client::h2(daemon.public_address())] {
        let answer = client.post("/echo", body.clone()).await?;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{} bytes came back of {}", answer.body.len(), body.len());
    }
    Ok(())
}

#[tokio::test]
async fn an_instance_that_resets_costs_the_client_nothing_when_another_can_answer() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("web", json!({ "minInstances": 2, "maxInstances": 2 }), json!({})).await?;
    daemon.put_route("web-all", "web", json!({ "pathPrefix": "/" })).await?;
    daemon.wait_instances("web", 2).await?;
    // What was begun by a POST can't be sent twice: the client hears of it.
    let answer = daemon.public().post("/reset", "x").await?;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("web"), "{}", answer.text());
    // The instances are checked and stay in rotation: they are healthy.
    for _ in 0..20 {
        assert_eq!(daemon.public().get("/counter").await?.status, 200);
    }
    Ok(())
}

#[tokio::test]
async fn grpc_like_components_are_spoken_to_in_http2_with_trailers() -> Result<()> {
    let daemon = Daemon::run().await?;
    daemon.put_component("rpc", json!({}), json!({ "httpProtocol": "h2c" })).await?;
    daemon.put_route("rpc-all", "rpc", json!({ "pathPrefix": "/" })).await?;
    let answer = Client::h2(daemon.public_address()).post("/echo", "hello").await?;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.header("x-echo-version"), Some("HTTP/2.0"));
    let answer = Client::h2(daemon.public_address()).get("/trailers").await?;
    assert_eq!(answer.status, 200);
    Ok(())
}
