//! Routing, header rules and plain exchanges.

use std::sync::atomic::Ordering::SeqCst;

use crate::{
    backend::{Backend, ok},
    world::{Raw, World, ask},
};

/// The lines of a head, lower-cased names, as the container got them.
pub fn header<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let lines = request.split("\r\n\r\n").next().unwrap_or_default().lines();
    lines.filter_map(|line| line.split_once(": ")).filter(|(n, _)| *n == name).map(|(_, v)| v).collect()
}

#[tokio::test]
async fn a_request_reaches_its_component_and_its_answer_the_client() {
    let backend = Backend::answering(ok("hello")).await;
    let world = World::new().await;
    world.web(backend.address).await;
    let answer = ask(world.public, "GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn what_no_component_matches_is_404_with_the_agreed_text() {
    let world = World::new().await;
    let answer = ask(world.public, "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nNo component matches the request"), "{answer}");
}

#[tokio::test]
async fn the_private_gateway_goes_by_component_header_then_management_then_event_sources() {
    let (web, api) = (Backend::answering(ok("web")).await, Backend::answering(ok("api")).await);
    let world = World::new().await;
    world.web(web.address).await;
    let pool = world.component("shop_api", |_| {});
    world.add(&pool, "api", api.address);
    let get = async |path: &str, host: &str, more: &str| {
        ask(
            world.private,
            &format!(
                "GET {path} HTTP/1.1
Host: {host}
{more}
"
            ),
        )
        .await
    };
    assert!(get("/", "web", "MAELSTROM-COMPONENT: Shop_API\r\n").await.ends_with("api"));
    assert!(get("/_mael/v1", "web", "MAELSTROM-COMPONENT: shop_api\r\n").await.ends_with("api"));
    let unknown = get("/", "web", "MAELSTROM-COMPONENT: nobody\r\n").await;
    assert!(unknown.starts_with("HTTP/1.1 404") && unknown.contains("gateway: there is no component nobody"));
    assert!(get("/_mael/v1", "web", "").await.ends_with("management"));
    assert!(get("/", "web", "").await.ends_with("web"));
    // The public side knows neither the header nor the management.
    let public =
        ask(world.public, "GET /_mael/v1 HTTP/1.1\r\nHost: x\r\nMAELSTROM-COMPONENT: shop_api\r\n\r\n").await;
    assert!(public.starts_with("HTTP/1.1 404"), "{public}");
}

#[tokio::test]
async fn the_node_answers_its_health_check_and_says_when_it_leaves() {
    let world = World::new().await;
    let check = "GET /_mael_health_check HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(ask(world.public, check).await.starts_with("HTTP/1.1 200"));
    world.gateway.set_draining(true);
    assert!(ask(world.public, check).await.starts_with("HTTP/1.1 503"));
    assert!(ask(world.private, check).await.starts_with("HTTP/1.1 200"));
    world.gateway.set_draining(false);
    assert!(ask(world.public, check).await.starts_with("HTTP/1.1 200"), "it stays after all");
}

#[tokio::test]
async fn headers_of_one_hop_stay_and_the_clients_address_is_added() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let request = "GET /p?q=%20 HTTP/1.1\r\nHost: web:81\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
        Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nProxy: evil\r\nX-Forwarded-For: 1.2.3.4\r\n\
        X-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: forged\r\nX-Forwarded-Port: 9\r\n\
        X-Kept: a\r\nX-Kept: b\r\n\r\n";
    let public = ask(world.public, request).await;
    let got = public.split_once("\r\n\r\n").unwrap().1;
    assert!(got.starts_with("GET /p?q=%20 HTTP/1.1\r\nhost: web:81\r\n"), "{got}");
    for gone in ["connection", "x-mine", "keep-alive", "proxy-connection", "te", "proxy", "upgrade"] {
        assert!(header(got, gone).is_empty(), "{gone} in {got}");
    }
    assert_eq!(header(got, "x-kept"), ["a", "b"]);
    assert_eq!(header(got, "x-forwarded-for"), ["1.2.3.4, 5.6.7.8, 127.0.0.1"]);
    assert_eq!(header(got, "x-forwarded-proto"), ["http"]);
    assert_eq!(header(got, "x-forwarded-host"), ["web:81"]);
    assert_eq!(header(got, "x-forwarded-port"), ["81"]);
    let private = ask(world.private, request).await;
    let got = private.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(header(got, "x-forwarded-for"), ["1.2.3.4, 5.6.7.8, 127.0.0.1"]);
    assert_eq!(header(got, "x-forwarded-proto"), ["https"]);
    assert_eq!(header(got, "x-forwarded-host"), ["forged"]);
    assert_eq!(header(got, "x-forwarded-port"), ["9"]);
}

/// The original got this wrong: it believed DEADLINE, START and RELAY-PATH of anybody.
#[tokio::test]
async fn forged_internal_headers_from_outside_reach_nobody() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let forged = "GET / HTTP/1.1\r\nHost: web\r\nMAELSTROM-DEADLINE-NANO: 1\r\nMaelstrom-Start-Nano: 2\r\n\
        MAELSTROM-RELAY-PATH: a|b\r\nMAELSTROM-TIMEOUT-MS: 0\r\nMAELSTROM_ANYTHING: 3\r\nMAELSTROM-X: 4\r\n\r\n";
    let answer = ask(world.public, forged).await;
    let got = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for gone in ["maelstrom-relay-path", "maelstrom-timeout-ms", "maelstrom_anything", "maelstrom-x"] {
        assert!(header(got, gone).is_empty(), "{gone} in {got}");
    }
    let start: u64 = header(got, "maelstrom-start-nano").concat().parse().unwrap();
    let deadline: u64 = header(got, "maelstrom-deadline-nano").concat().parse().unwrap();
    assert!(start > 1_500_000_000_000_000_000, "{start}");
    assert_eq!((deadline - start) / 1_000_000_000, 300);
    let inside = ask(
        world.private,
        "GET / HTTP/1.1\r\nHost: web\r\nMAELSTROM-START-NANO: 7\r\nMAELSTROM-X: 4\r\n\r\n",
    )
    .await;
    let got = inside.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(header(got, "maelstrom-start-nano"), ["7"]);
    assert_eq!(header(got, "maelstrom-x"), ["4"]);
}

#[tokio::test]
async fn traces_and_request_ids_are_passed_on_or_begun() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let with = format!("GET / HTTP/1.1\r\nHost: web\r\ntraceparent: {trace}\r\nX-Request-Id: mine\r\n\r\n");
    let answer = ask(world.public, &with).await;
    let got = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!((header(got, "traceparent"), header(got, "x-request-id")), (vec![trace], vec!["mine"]));
    let broken = ask(world.public, "GET / HTTP/1.1\r\nHost: web\r\ntraceparent: nonsense\r\n\r\n").await;
    let got = broken.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(header(got, "traceparent").concat().len(), 55);
    assert_eq!(header(got, "x-request-id").concat().len(), 32);
}

/// The original could strip a path to something without a leading slash.
#[tokio::test]
async fn a_stripped_path_keeps_its_slash_query_and_encoding() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    let pool = world.component("web", |_| {});
    world.source("web", "", Some("/shop"), true);
    world.add(&pool, "one", backend.address);
    for (path, expected) in [
        ("/shop", "/"),
        ("/shop?a=%2F&b", "/?a=%2F&b"),
        ("/shop/", "/"),
        ("/shop/%41%2fb;c?d=//", "/%41%2fb;c?d=//"),
    ] {
        let answer = ask(world.public, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert!(answer.contains(&format!("\r\n\r\nGET {expected} HTTP/1.1\r\n")), "{path}: {answer}");
    }
    assert!(ask(world.public, "GET /shopping HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn bodies_travel_in_both_framings_and_connections_are_used_again() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhello").await;
    let sized = client.response().await;
    assert!(sized.ends_with("\r\ncontent-length: 5\r\n\r\nhello"), "{sized}");
    client.send("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").await;
    let chunked = client.response().await;
    assert!(
        chunked.contains("transfer-encoding: chunked\r\n") && !chunked.contains("content-length: 5"),
        "{chunked}"
    );
    assert!(chunked.ends_with("0\r\n\r\n") && chunked.contains("abc"), "{chunked}");
    client.send("POST / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(client.response().await.contains("\r\ncontent-length: 0\r\n\r\n"));
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    assert!(!client.response().await[20..].contains("content-length: 0"));
    assert_eq!(backend.connections.load(SeqCst), 1, "one connection to the container serves all");
}

#[tokio::test]
async fn answers_without_a_body_are_not_waited_for() {
    let backend = Backend::start(|mut connection| async move {
        while let Some(request) = connection.request().await {
            let answer: &[u8] = match request.split(' ').nth(1) {
                Some("/204") => b"HTTP/1.1 204 No Content\r\n\r\n",
                Some("/304") => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: x\r\n\r\n",
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
            };
            connection.send(answer).await;
        }
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    for (request, status) in
        [("GET /204", "204"), ("GET /304", "304"), ("HEAD /", "200"), ("GET /204", "204")]
    {
        client.send(format!("{request} HTTP/1.1\r\nHost: web\r\n\r\n")).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
    }
    assert_eq!(backend.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let backend = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.send(b"HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nuntil the end").await;
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client.send("GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(
        answer.contains("transfer-encoding: chunked\r\n") && answer.contains("until the end"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    // An HTTP/1.0 client gets no chunks.
    let mut old = Raw::connect(world.public).await;
    old.send("GET / HTTP/1.0\r\nHost: web\r\n\r\n").await;
    assert!(old.rest().await.ends_with("\r\n\r\nuntil the end"));
}

#[tokio::test]
async fn trailers_travel_both_ways() {
    let backend = Backend::start(|mut connection| async move {
        while let Some(request) = connection.request().await {
            let wire = request.split_once("\r\n\r\n").unwrap().1;
            assert_eq!(wire, "3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n");
            connection
                .send(b"HTTP/1.1 200 OK\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Check: 7\r\nHost: no\r\n\r\n")
                .await;
        }
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    client
        .send("POST / HTTP/1.1\r\nHost: web\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\nMAELSTROM-X: 1\r\nContent-Length: 4\r\n\r\n")
        .await;
    let answer = client.until("x-check: 7\r\n\r\n").await;
    assert!(answer.contains("2\r\nok\r\n0\r\n") && !answer.contains("host: no"), "{answer}");
}

#[tokio::test]
async fn large_bodies_pass_unchanged() {
    const SIZE: usize = 3 * 1024 * 1024 + 17;
    let body: Vec<u8> = (0..SIZE).map(|i| (i * 31 % 251) as u8).collect();
    let expected = body.clone();
    let backend = Backend::start(move |mut connection| {
        let expected = expected.clone();
        async move {
            while let Some(head) = connection.head().await {
                assert!(head.contains(&format!("content-length: {SIZE}\r\n")));
                let got = connection.exactly(SIZE).await.unwrap();
                assert!(got == expected);
                connection
                    .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())
                    .await;
                connection.send(&got).await;
            }
        }
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    for _ in 0..2 {
        client.send(format!("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: {SIZE}\r\n\r\n")).await;
        client.send(&body).await;
        client.until("\r\n\r\n").await;
        while client.received.len() < SIZE {
            use tokio::io::AsyncReadExt as _;
            assert!(client.stream.read_buf(&mut client.received).await.unwrap() > 0);
        }
        assert!(client.received == body);
        client.received.clear();
    }
    assert_eq!(backend.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn the_container_decides_about_expect_continue() {
    let backend = Backend::start(|mut connection| async move {
        while let Some(head) = connection.head().await {
            assert!(head.contains("expect: 100-continue\r\n"), "{head}");
            if head.starts_with("POST /no ") {
                connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
                connection.closed().await;
                return;
            }
            connection
                .send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
                .await;
            let body = connection.exactly(4).await.unwrap();
            connection.send(&ok(&String::from_utf8(body).unwrap())).await;
        }
    })
    .await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    };
    client.send(head("/yes")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert!(client.response().await.ends_with("\r\n\r\nbody"));
    client.send(head("/no")).await;
    let refused = client.rest().await;
    assert!(refused.starts_with("HTTP/1.1 403") && refused.ends_with("no"), "{refused}");
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_order() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let mut client = Raw::connect(world.public).await;
    let requests: String = (0..20).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: web\r\n\r\n")).collect();
    client.send(requests).await;
    for i in 0..20 {
        assert!(client.response().await.contains(&format!("\r\n\r\nGET /{i} HTTP/1.1")));
    }
}

#[tokio::test]
async fn event_sources_take_the_same_path() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    let pool = world.web(backend.address).await;
    let request =
        http::Request::post("/jobs?x=1").header("x-a", "b").body(bytes::Bytes::from("data").into()).unwrap();
    let response = world.gateway.call(pool.name(), request).await;
    assert_eq!(response.status(), 200);
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let got = String::from_utf8_lossy(&body);
    assert!(got.starts_with("POST /jobs?x=1 HTTP/1.1\r\n") && got.ends_with("\r\n\r\ndata"), "{got}");
    assert!(header(&got, "x-forwarded-for").is_empty() && header(&got, "traceparent").len() == 1, "{got}");
    let nobody = maelstrom_core::names::ComponentName::parse("nobody").unwrap();
    let missing =
        world.gateway.call(&nobody, http::Request::get("/").body(bytes::Bytes::new().into()).unwrap()).await;
    assert_eq!(missing.status(), 404);
}
