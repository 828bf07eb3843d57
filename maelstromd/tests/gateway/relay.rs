//! Requests that reach an instance of another node: real gateways that know each other.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use maelstrom_core::names::{ComponentName, NodeId};
use maelstromd::{
    clock,
    gateway::{GatewaySettings, encode_metrics},
    router::ComponentPool,
};
use tokio::sync::Notify;

use crate::{
    backend::{Backend, ok},
    basics::header,
    limits::counting,
    world::{PATIENCE, Raw, World, ask, eventually},
};

pub const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

/// Two nodes that both know the component `web`; only `back` has room for an instance.
pub struct Two {
    pub front: World,
    pub back: World,
    /// Of the component.
    pub here: Arc<ComponentPool>,
    pub there: Arc<ComponentPool>,
}

impl Two {
    pub async fn new() -> Self {
        let (front, back) = (node("n1").await, node("n2").await);
        let (here, there) = (web(&front), web(&back));
        Self { front, back, here, there }
    }

    /// With one instance on the second node, of which the first one knows.
    pub async fn serving(address: std::net::SocketAddr) -> Self {
        let two = Self::new().await;
        two.back.add(&two.there, "two", address);
        two.front.peer("n2", two.back.private, &[("web", 1)]);
        two
    }
}

pub async fn node(name: &str) -> World {
    World::node(name, GatewaySettings::default()).await
}

/// Room for many requests at a time.
pub fn web(world: &World) -> Arc<ComponentPool> {
    let pool =
        world.component("web", |component| component.scaling.max_concurrency = 100.try_into().unwrap());
    world.source("web", "web", None, false);
    pool
}

pub fn in_flight(pool: &ComponentPool) -> u32 {
    pool.load(clock::now()).demand.in_flight
}

/// Requests that this node has under way at peers.
pub fn relayed(pool: &ComponentPool) -> u32 {
    pool.reading(clock::now()).peers.iter().map(|peer| peer.in_flight).sum()
}

#[tokio::test]
async fn a_request_reaches_an_instance_of_another_node() {
    let backend = Backend::answering(ok("there")).await;
    let two = Two::serving(backend.address).await;
    let mut client = Raw::connect(two.front.public).await;
    for _ in 0..3 {
        client.send(GET).await;
        let answer = client.response().await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("there"), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("maelstrom"), "{answer}");
    }
    assert_eq!(backend.connections.load(SeqCst), 1);
    let counted = |world: &World, direction: &str| {
        let wanted =
            format!("maelstrom_relayed_requests_total{{component=\"web\",direction=\"{direction}\"}} 3\n");
        let text = encode_metrics(&world.router);
        assert!(text.contains(&wanted), "{text}");
    };
    counted(&two.front, "out");
    counted(&two.back, "in");
    eventually("nothing is under way", || relayed(&two.here) + in_flight(&two.there) == 0).await;
}

#[tokio::test]
async fn what_is_relayed_is_demand_of_the_node_that_serves_it() {
    let backend = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.closed().await;
    })
    .await;
    let two = Two::serving(backend.address).await;
    let mut client = Raw::connect(two.front.public).await;
    client.send(GET).await;
    eventually("it is served there", || in_flight(&two.there) == 1).await;
    let load = two.here.load(clock::now());
    assert_eq!((load.in_rotation, load.demand.in_flight, load.demand.waiting), (0, 0, 0));
    assert_eq!(load.demand.last_request, None);
    assert_eq!(relayed(&two.here), 1);
    assert!(!two.here.is_starving());
    drop(client);
    eventually("both have heard that the client left", || relayed(&two.here) + in_flight(&two.there) == 0)
        .await;
}

#[tokio::test]
async fn an_instance_can_not_tell_a_relayed_request_from_a_direct_one() {
    let backend = Backend::echo().await;
    let two = Two::serving(backend.address).await;
    let fixed =
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\nX-Request-Id: mine\r\n";
    let body = "Content-Length: 4\r\n\r\nbody";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    for request in [
        format!("GET /p/%41?q=%20&x HTTP/1.1\r\nHost: web:81\r\n{fixed}\r\n"),
        format!(
            "POST / HTTP/1.1\r\nHost: web\r\n{fixed}X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n{body}"
        ),
        format!(
            "PUT / HTTP/1.1\r\nHost: web\r\n{fixed}X-Forwarded-Proto: https\r\nConnection: X-Mine\r\nX-Mine: 1\r\n{body}"
        ),
        format!(
            "PATCH / HTTP/1.1\r\nHost: web\r\n{fixed}Cookie: a\r\nCookie: b\r\nTE: trailers\r\n{chunked}"
        ),
        format!("POST / HTTP/1.1\r\nHost: web\r\n{fixed}MAELSTROM-START-NANO: 7\r\nMAELSTROM-X: 4\r\n\r\n"),
        format!("DELETE / HTTP/1.0\r\nHost: web\r\n{fixed}\r\n"),
        format!("OPTIONS * HTTP/1.1\r\nHost: web\r\n{fixed}\r\n"),
    ] {
        for side in [|world: &World| world.public, |world: &World| world.private] {
            let mut direct = seen(&ask(side(&two.back), &request).await);
            let mut relayed = seen(&ask(side(&two.front), &request).await);
            let (of_direct, of_relayed) = (nano(&mut direct), nano(&mut relayed));
            assert!(of_relayed.abs_diff(of_direct) < 5_000_000_000, "one deadline: {of_direct} {of_relayed}");
            assert_eq!(relayed, direct, "{request}");
        }
    }
    assert!(relayed_out(&two.front) > 10, "it was another gateway that answered");
}

fn relayed_out(world: &World) -> u64 {
    let text = encode_metrics(&world.router);
    let line = "maelstrom_relayed_requests_total{component=\"web\",direction=\"out\"} ";
    text.lines().find_map(|found| found.strip_prefix(line)).unwrap().parse().unwrap()
}

/// The request as the echoing instance saw it: its lines in any order.
fn seen(answer: &str) -> Vec<String> {
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"), "{answer}");
    let mut lines: Vec<String> =
        answer.split_once("\r\n\r\n").unwrap().1.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Takes the clock times out, and tells the deadline.
fn nano(lines: &mut Vec<String>) -> u64 {
    let deadline = lines.iter().find_map(|line| line.strip_prefix("maelstrom-deadline-nano: ")).unwrap();
    let deadline = deadline.parse().unwrap();
    lines.retain(|line| {
        !line.starts_with("maelstrom-deadline-nano: ") && !line.starts_with("maelstrom-start-nano: 1")
    });
    deadline
}

#[tokio::test]
async fn a_node_without_peers_adds_nothing_to_a_request() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let answer = ask(world.public, "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody").await;
    assert!(!answer.split_once("\r\n\r\n").unwrap().0.contains("maelstrom"), "{answer}");
    let mut names: Vec<String> = seen(&answer)
        .iter()
        .filter_map(|line| line.split_once(": ").map(|(name, _)| name.to_owned()))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "content-length",
            "host",
            "maelstrom-deadline-nano",
            "maelstrom-start-nano",
            "traceparent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-request-id"
        ]
    );
}

#[tokio::test]
async fn the_limit_of_an_instance_is_kept_over_all_nodes() {
    for instances in [vec!["n2"], vec!["n1", "n3"]] {
        let worlds = [node("n1").await, node("n2").await, node("n3").await];
        let mut backends = Vec::new();
        for world in &worlds {
            let pool = world.component("web", |_| {});
            world.source("web", "web", None, false);
            if instances.contains(&world.name.as_str()) {
                let (backend, peak) = counting().await;
                world.add(&pool, "one", backend.address);
                backends.push((backend, peak));
            }
        }
        for world in &worlds {
            for peer in worlds.iter().filter(|peer| peer.name != world.name) {
                let count = u32::from(instances.contains(&peer.name.as_str()));
                world.peer(&peer.name, peer.private, &[("web", count)]);
            }
        }
        let mut asked = tokio::task::JoinSet::new();
        for client in 0..60 {
            asked.spawn(ask(worlds[client % 3].public, GET));
        }
        for answer in asked.join_all().await {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        for (_, peak) in &backends {
            assert_eq!(peak.load(SeqCst), 1, "{instances:?}");
        }
    }
}

#[tokio::test]
async fn a_body_waits_for_the_peers_word_and_the_instance_hears_nothing_of_that() {
    let sent = Arc::new(Mutex::new(String::new()));
    let (go, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (log, gate, came) = (Arc::clone(&sent), Arc::clone(&go), Arc::clone(&asked));
    // A peer that takes its time, longer than anybody waits for a container's word.
    let peer = Backend::start(move |mut connection| {
        let (log, gate, came) = (Arc::clone(&log), Arc::clone(&gate), Arc::clone(&came));
        async move {
            let Some(head) = connection.head().await else { return };
            *log.lock().unwrap() = head;
            came.notify_one();
            tokio::select! {
                biased;
                more = connection.more() => assert!(!more, "a byte of the body came unasked"),
                () = gate.notified() => {}
            }
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            let body = connection.exactly(4).await.unwrap();
            connection.send(&ok(&String::from_utf8(body).unwrap())).await;
        }
    })
    .await;
    let world = node("n1").await;
    web(&world);
    world.peer("n2", peer.address, &[("web", 1)]);
    let mut client = Raw::connect(world.public).await;
    client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody").await;
    asked.notified().await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    go.notify_one();
    assert!(client.response().await.ends_with("\r\n\r\nbody"));
    let head = sent.lock().unwrap().clone();
    assert_eq!(header(&head, "expect"), ["100-continue"]);
    assert_eq!(
        (header(&head, "maelstrom-relay-path"), header(&head, "maelstrom-component")),
        (vec!["n1"], vec!["web"])
    );
    let left: u64 = header(&head, "maelstrom-timeout-ms").concat().parse().unwrap();
    assert!((290_000..=300_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_client_that_waits_for_a_word_gets_the_instances() {
    let backend = Backend::start(|mut connection| async move {
        while let Some(head) = connection.head().await {
            assert_eq!(header(&head, "expect"), ["100-continue"], "{head}");
            if head.starts_with("POST /no ") {
                connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
                connection.closed().await;
                return;
            }
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            let body = connection.exactly(4).await.unwrap();
            connection.send(&ok(&String::from_utf8(body).unwrap())).await;
        }
    })
    .await;
    let two = Two::serving(backend.address).await;
    let mut client = Raw::connect(two.front.public).await;
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

/// Their bodies share one connection between the nodes; those that wait must not hold up the one that is
/// served, or nobody is ever served.
#[tokio::test]
async fn paths_of_the_node_itself_are_the_components_once_relayed() {
    let backend = Backend::echo().await;
    let two = Two::serving(backend.address).await;
    for world in [&two.front, &two.back] {
        world.source("web", "shop", Some("/shop"), true);
    }
    for path in ["/_mael_health_check", "/_mael/v1", "/web"] {
        let request = format!("GET /shop{path} HTTP/1.1\r\nHost: shop\r\n\r\n");
        for world in [&two.back, &two.front] {
            let answer = ask(world.public, &request).await;
            assert!(answer.contains(&format!("\r\n\r\nGET {path} HTTP/1.1\r\n")), "{answer}");
        }
    }
}

#[tokio::test]
async fn event_sources_and_clients_without_a_host_are_relayed_too() {
    let backend = Backend::echo().await;
    let two = Two::serving(backend.address).await;
    let name = ComponentName::parse("web").unwrap();
    let mut seen_by_way = Vec::new();
    for world in [&two.back, &two.front] {
        let request = http::Request::post("/jobs?x=1")
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
            .header("x-request-id", "mine")
            .body(Bytes::from("data").into())
            .unwrap();
        let response = world.gateway.call(&name, request).await;
        assert_eq!(response.status(), 200);
        assert!(response.headers().keys().all(|name| !name.as_str().starts_with("maelstrom")));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let mut lines: Vec<String> = String::from_utf8_lossy(&body).lines().map(str::to_owned).collect();
        lines.sort();
        nano(&mut lines);
        seen_by_way.push(lines);
    }
    assert_eq!(seen_by_way[0], seen_by_way[1]);
    for world in [&two.back, &two.front] {
        world.source("web", "", None, false);
        let answer = ask(world.public, "GET /old HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
}

#[tokio::test]
async fn past_the_deadline_of_the_first_node_the_answer_is_504_and_the_instance_hears_of_it() {
    let left = Arc::new(Notify::new());
    let heard = Arc::clone(&left);
    let backend = Backend::start(move |mut connection| {
        let heard = Arc::clone(&heard);
        async move {
            connection.request().await;
            connection.closed().await;
            heard.notify_one();
        }
    })
    .await;
    let front = node("n1").await;
    let back = node("n2").await;
    // The other node would wait for minutes, if it were for its own setting.
    front.component("web", |component| component.max_duration = Duration::from_millis(300));
    front.source("web", "web", None, false);
    let there = back.component("web", |_| {});
    back.add(&there, "two", backend.address);
    front.peer("n2", back.private, &[("web", 5)]);
    let asked = clock::now();
    let (served, waited) = tokio::join!(ask(front.public, GET), ask(front.public, GET));
    for answer in [served, waited] {
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\ngateway: Timeout proxying component: web"), "{answer}");
    }
    assert!(clock::now().since(asked) >= Duration::from_millis(300), "not before the deadline");
    tokio::time::timeout(PATIENCE, left.notified()).await.expect("the instance hears of it");
    eventually("nobody waits there", || there.load(clock::now()).demand.waiting == 0).await;
}

/// A frozen daemon: its kernel goes on acknowledging.
#[tokio::test]
async fn what_a_lost_peer_has_not_answered_is_made_again_elsewhere_or_ends() {
    let came = Arc::new(Notify::new());
    let heard = Arc::clone(&came);
    let silent = Backend::start(move |mut connection| {
        let heard = Arc::clone(&heard);
        async move {
            let Some(head) = connection.head().await else { return };
            if head.starts_with("POST ") {
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
                connection.exactly(4).await;
            }
            heard.notify_one();
            connection.closed().await;
        }
    })
    .await;
    let backend = Backend::answering(ok("elsewhere")).await;
    let world = node("n1").await;
    let pool = web(&world);
    world.peer("n2", silent.address, &[("web", 1)]);
    let (mut get, mut post) = (Raw::connect(world.public).await, Raw::connect(world.public).await);
    get.send(GET).await;
    came.notified().await;
    post.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody").await;
    came.notified().await;
    world.add(&pool, "one", backend.address);
    let peer = NodeId::new("n2");
    world.router.hold_peer(&peer);
    world.router.lose_peer(&peer);
    assert!(get.response().await.ends_with("elsewhere"));
    let refused = post.response().await;
    assert!(refused.starts_with("HTTP/1.1 502 "), "{refused}");
    assert!(refused.contains("node n2") && refused.contains("does not answer any more"), "{refused}");
    eventually("nothing is under way", || relayed(&pool) == 0).await;
}

#[tokio::test]
async fn a_circle_is_noticed_and_named() {
    let backend = Backend::answering(ok("served")).await;
    let two = Two::serving(backend.address).await;
    let relayed = |path: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: web\r\nMAELSTROM-COMPONENT: web\r\nMAELSTROM-RELAY-PATH: {path}\r\n\r\n"
        )
    };
    assert!(ask(two.back.private, &relayed("n1")).await.ends_with("served"));
    assert!(ask(two.back.private, &relayed("n1|n3|n4")).await.ends_with("served"));
    for path in ["n2", "n1|n2", "n1 | n2 | n3", "a|b|c|d|e|f|g|h|i"] {
        let answer = ask(two.back.private, &relayed(path)).await;
        assert!(answer.starts_with("HTTP/1.1 508 "), "{path}: {answer}");
        let text = format!(
            "gateway: a request for component web goes in a circle: it has come to node n2 by {path}"
        );
        assert!(answer.ends_with(&text), "{answer}");
    }
    // A node that takes itself for a peer, since the address was given to it.
    two.front.peer("n2", two.front.private, &[("web", 1)]);
    assert!(ask(two.front.public, GET).await.starts_with("HTTP/1.1 508 "));
    // From outside it is a word like any other.
    let answer = ask(two.front.public, &relayed("n1").replace("Host: web", "Host: nobody")).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn what_instances_say_in_the_systems_words_is_believed_by_nobody() {
    let backend = Backend::answering(
        "HTTP/1.1 503 Service Unavailable\r\nMAELSTROM-NOT-HERE: 1\r\nMaelstrom-Load: 900/1\r\nContent-Length: 4\r\n\r\nmine",
    )
    .await;
    let two = Two::serving(backend.address).await;
    for _ in 0..2 {
        let answer = ask(two.front.public, GET).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("mine"), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("maelstrom"), "{answer}");
    }
    assert_eq!(two.here.reading(clock::now()).peers.len(), 1, "the seat is still there");
}

#[tokio::test]
async fn a_relayed_request_waits_for_the_instance_in_one_line_with_those_of_the_node() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let (log, next) = (Arc::clone(&order), Arc::new(Notify::new()));
    let go = Arc::clone(&next);
    let backend = Backend::start(move |mut connection| {
        let (log, go) = (Arc::clone(&log), Arc::clone(&go));
        async move {
            while let Some(request) = connection.request().await {
                log.lock().unwrap().push(request.split(' ').nth(1).unwrap().to_owned());
                go.notified().await;
                connection.send(&ok("x")).await;
            }
        }
    })
    .await;
    let (front, back) = (node("n1").await, node("n2").await);
    for world in [&front, &back] {
        world.component("web", |_| {});
        world.source("web", "web", None, false);
    }
    let there = back.router.component("web").unwrap();
    back.add(&there, "two", backend.address);
    front.peer("n2", back.private, &[("web", 2)]);
    let mut clients = Vec::new();
    for (number, world) in [&back, &front, &back, &front].into_iter().enumerate() {
        let mut client = Raw::connect(world.public).await;
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: web\r\n\r\n")).await;
        let count = u32::try_from(number).unwrap();
        eventually("it has come", || {
            let demand = there.load(clock::now()).demand;
            demand.waiting == count && demand.in_flight == 1
        })
        .await;
        clients.push(client);
    }
    assert_eq!(front.router.component("web").unwrap().load(clock::now()).demand.waiting, 0);
    for client in &mut clients {
        next.notify_one();
        assert!(client.response().await.ends_with('x'));
    }
    assert_eq!(*order.lock().unwrap(), ["/0", "/1", "/2", "/3"]);
}
