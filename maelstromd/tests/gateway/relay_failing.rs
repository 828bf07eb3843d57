//! Peers that fail, lie or have just lost their instance: what costs the client nothing, and what it is
//! told otherwise.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use maelstrom_core::{
    decide::pool::Standing,
    names::{InstanceId, NodeId},
};
use maelstromd::{clock, gateway::encode_metrics, router::ComponentPool};

use crate::{
    backend::{Backend, ok},
    relay::{GET, Two, in_flight, node, relayed, web},
    world::{Raw, World, ask, eventually},
};

const POST: &str = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody";
const NOT_HERE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nMAELSTROM-NOT-HERE: 1\r\nContent-Length: 2\r\n\r\nno";

/// Where nobody listens.
async fn nobody() -> std::net::SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn standing(pool: &ComponentPool, node: &str) -> Option<Standing> {
    let reading = pool.reading(clock::now());
    reading.peers.iter().find(|peer| peer.node.as_str() == node).map(|peer| peer.standing)
}

/// A peer that takes heads and closes without a word; tells how many bytes of bodies it got.
async fn dying() -> (Backend, Arc<AtomicUsize>) {
    let bodies = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&bodies);
    let backend = Backend::start(move |mut connection| {
        let count = Arc::clone(&count);
        async move {
            let _ = connection.head().await;
            if let Ok(Some(body)) =
                tokio::time::timeout(Duration::from_millis(50), connection.exactly(1)).await
            {
                count.fetch_add(body.len(), SeqCst);
            }
        }
    })
    .await;
    (backend, bodies)
}

#[tokio::test]
async fn a_peer_that_dies_before_it_answers_costs_nothing_and_gets_no_more() {
    for request in [GET, POST, "PUT / HTTP/1.1\r\nHost: web\r\n\r\n"] {
        for dead in [false, true] {
            let good = Backend::echo().await;
            let two = Two::serving(good.address).await;
            let other = two.front.component("other", |_| {});
            let (peer, bodies) = dying().await;
            let address = if dead { nobody().await } else { peer.address };
            // More instances, so that it is asked first.
            two.front.peer("n3", address, &[("web", 9), ("other", 1)]);
            let mut suspected = two.front.router.peer_suspected();
            let mut clients = tokio::task::JoinSet::new();
            for _ in 0..20 {
                clients.spawn(ask(two.front.public, request));
            }
            for answer in clients.join_all().await {
                assert!(answer.starts_with("HTTP/1.1 200"), "{request}: {answer}");
            }
            assert_eq!(bodies.load(SeqCst), 0, "{request}");
            assert_eq!(two.front.router.suspect_peers(), [NodeId::new("n3")]);
            assert!(suspected.has_changed().unwrap());
            suspected.mark_unchanged();
            // Held at once for all components, until somebody says that it is well.
            assert_eq!(standing(&two.here, "n3"), Some(Standing::Held));
            assert_eq!(standing(&other, "n3"), Some(Standing::Held));
            assert_eq!(standing(&two.here, "n2"), Some(Standing::InRotation));
            two.front.peer("n3", address, &[("web", 9), ("other", 1)]);
            assert_eq!(standing(&two.here, "n3"), Some(Standing::Held), "a status is no probe");
            let before = peer.connections.load(SeqCst);
            for _ in 0..4 {
                assert!(ask(two.front.public, request).await.starts_with("HTTP/1.1 200"));
            }
            assert_eq!(peer.connections.load(SeqCst), before);
            two.front.router.resume_peer(&NodeId::new("n3"));
            assert!(two.front.router.suspect_peers().is_empty());
            assert_eq!(standing(&other, "n3"), Some(Standing::InRotation));
            let text = encode_metrics(&two.front.router);
            let line =
                text.lines().find(|line| line.starts_with("maelstrom_peer_failures_total{node=\"n3\"}"));
            assert!(line.is_some_and(|line| !line.ends_with("} 0")), "{text}");
        }
    }
}

#[tokio::test]
async fn a_peer_that_dies_with_a_body_in_its_hands_is_502_by_name() {
    let peer = Backend::start(|mut connection| async move {
        connection.head().await;
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        connection.exactly(4).await;
    })
    .await;
    let good = Backend::echo().await;
    let world = node("n1").await;
    let pool = web(&world);
    world.peer("n2", peer.address, &[("web", 1)]);
    let answer = ask(world.public, POST).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains("gateway: node n2, which serves component web, failed the request"), "{answer}");
    assert!(answer.contains("it was not sent again"), "{answer}");
    assert_eq!(standing(&pool, "n2"), Some(Standing::Held));
    // What may be repeated is.
    world.router.resume_peer(&NodeId::new("n2"));
    world.add(&pool, "one", good.address);
    let large = "x".repeat(20_000);
    let put = format!("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 20000\r\n\r\n{large}");
    for _ in 0..4 {
        let answer = ask(world.public, &put).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&large));
    }
}

#[tokio::test]
async fn requests_under_way_at_a_node_that_dies_are_served_elsewhere() {
    let hanging = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.closed().await;
    })
    .await;
    let good = Backend::echo().await;
    let Two { front, back, here, there } = Two::serving(hanging.address).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..10 {
        clients.spawn(ask(front.public, GET));
    }
    eventually("they are served there", || in_flight(&there) == 10).await;
    let mut waiting = Raw::connect(front.public).await;
    drop(back);
    eventually("the node is suspect", || !front.router.suspect_peers().is_empty()).await;
    eventually("they wait", || here.load(clock::now()).demand.waiting == 10).await;
    assert!(here.is_starving(), "whoever places instances is to know");
    waiting.send(POST).await;
    front.add(&here, "one", good.address);
    for answer in clients.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(waiting.response().await.ends_with("body"));
}

#[tokio::test]
async fn a_connection_that_a_peer_closed_meanwhile_says_nothing_about_it() {
    let peer = Backend::start(|mut connection| async move {
        let request = connection.request().await.unwrap_or_default();
        connection.send(&ok(&request)).await;
        // Takes the second and closes.
        connection.request().await;
    })
    .await;
    let world = node("n1").await;
    web(&world);
    world.peer("n2", peer.address, &[("web", 1)]);
    let mut client = Raw::connect(world.public).await;
    for _ in 0..6 {
        client.send("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nab").await;
        assert!(client.response().await.ends_with("ab"));
    }
    assert!(world.router.suspect_peers().is_empty());
}

#[tokio::test]
async fn a_node_that_has_no_instance_sends_the_request_elsewhere() {
    let good = Backend::echo().await;
    for request in [GET, POST] {
        let two = Two::serving(good.address).await;
        let empty = node("n3").await;
        web(&empty);
        let stranger = node("n4").await;
        two.front.peer("n3", empty.private, &[("web", 9)]);
        two.front.peer("n4", stranger.private, &[("web", 9)]);
        let mut client = Raw::connect(two.front.public).await;
        for _ in 0..4 {
            client.send(request).await;
            let answer = client.response().await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(!answer.split_once("\r\n\r\n").unwrap().0.contains("maelstrom"), "{answer}");
        }
        assert_eq!(standing(&two.here, "n3"), None, "until its next status");
        assert_eq!(standing(&two.here, "n4"), None);
        assert!(two.front.router.suspect_peers().is_empty(), "they have answered");
        two.front.peer("n3", empty.private, &[("web", 9)]);
        assert_eq!(standing(&two.here, "n3"), Some(Standing::InRotation));
    }
}

#[tokio::test]
async fn a_request_that_finds_no_instance_after_all_waits_for_one() {
    let good = Backend::echo().await;
    let two = Two::new().await;
    two.front.peer("n2", two.back.private, &[("web", 1)]);
    let mut clients = Vec::new();
    for request in [GET, POST] {
        let mut client = Raw::connect(two.front.public).await;
        client.send(request).await;
        clients.push(client);
    }
    eventually("both wait", || two.here.load(clock::now()).demand.waiting == 2).await;
    assert!(two.here.is_starving() && two.here.cold_start().is_some());
    two.back.add(&two.there, "two", good.address);
    two.front.peer("n2", two.back.private, &[("web", 1)]);
    for client in &mut clients {
        assert!(client.response().await.starts_with("HTTP/1.1 200"));
    }
    assert!(two.here.cold_start().is_none());
}

#[tokio::test]
async fn who_waits_at_a_node_that_loses_its_last_instance_is_served_elsewhere() {
    let held = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.closed().await;
    })
    .await;
    let good = Backend::echo().await;
    let (front, back) = (node("n1").await, node("n2").await);
    for world in [&front, &back] {
        world.component("web", |_| {});
        world.source("web", "web", None, false);
    }
    let (here, there) = (front.router.component("web").unwrap(), back.router.component("web").unwrap());
    back.add(&there, "two", held.address);
    front.peer("n2", back.private, &[("web", 3)]);
    let mut clients = Vec::new();
    for request in [GET, GET, POST] {
        let mut client = Raw::connect(front.public).await;
        client.send(request).await;
        clients.push(client);
        let count = u32::try_from(clients.len()).unwrap();
        eventually("it has come", || {
            let demand = there.load(clock::now()).demand;
            demand.waiting + demand.in_flight == count
        })
        .await;
    }
    front.add(&here, "one", good.address);
    there.retire(&InstanceId::new("two"));
    for client in &mut clients[1..] {
        assert!(client.response().await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(relayed(&here), 1, "the one that is being served goes on");
    // A node that stops sends away whoever waits there.
    back.add(&there, "two", held.address);
    front.peer("n2", back.private, &[("web", 3)]);
    let busy = Raw::connect(front.public).await;
    drop(busy);
    back.router.close();
    let asked: Vec<_> = (0..3).map(|_| tokio::spawn(ask(front.public, GET))).collect();
    for answer in asked {
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_peer_that_tells_one_thing_and_does_another_is_given_up_in_the_end() {
    let asked = Arc::new(AtomicUsize::new(0));
    let world = Arc::new(node("n1").await);
    web(&world);
    let (count, told) = (Arc::clone(&asked), Arc::downgrade(&world));
    let peer = Arc::new(Mutex::new(None));
    let own = Arc::clone(&peer);
    let backend = Backend::start(move |mut connection| {
        let (count, told, own) = (Arc::clone(&count), told.clone(), Arc::clone(&own));
        async move {
            while connection.request().await.is_some() {
                count.fetch_add(1, SeqCst);
                if let (Some(world), Some(address)) = (told.upgrade(), *own.lock().unwrap()) {
                    let world: Arc<World> = world;
                    world.peer("n2", address, &[("web", 1)]);
                }
                connection.send(NOT_HERE).await;
            }
        }
    })
    .await;
    *peer.lock().unwrap() = Some(backend.address);
    world.peer("n2", backend.address, &[("web", 1)]);
    let answer = ask(world.public, GET).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("gateway: node n2 was to serve component web, but has no instance"), "{answer}");
    assert_eq!(asked.load(SeqCst), 20);
    assert_eq!(backend.connections.load(SeqCst), 1, "a refusal leaves the connection as it was");
}

#[tokio::test]
async fn a_body_that_the_peer_does_not_want_leaves_the_clients_connection_open() {
    let peer = Backend::start(|mut connection| async move {
        while connection.head().await.is_some() {
            connection.send(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy").await;
        }
    })
    .await;
    let world = node("n1").await;
    web(&world);
    world.peer("n2", peer.address, &[("web", 1)]);
    let mut client = Raw::connect(world.public).await;
    for request in [POST, POST, GET] {
        client.send(request).await;
        let answer = client.response().await;
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.ends_with("busy"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_to_a_peer_in_a_black_hole_is_not_waited_for() {
    // Its queue is full and nobody accepts: the kernel answers no more.
    let listener = rustix_listener();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    for _ in 0..8 {
        let filler =
            tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(address));
        filling.push(filler.await);
    }
    let good = Backend::echo().await;
    let two = Two::serving(good.address).await;
    two.front.peer("n3", address, &[("web", 9)]);
    let asked = clock::now();
    for _ in 0..2 {
        assert!(ask(two.front.public, POST).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(two.front.router.suspect_peers(), [NodeId::new("n3")]);
    assert!(clock::now().since(asked) < Duration::from_secs(10));
}

/// A listener with room for one connection.
fn rustix_listener() -> std::net::TcpListener {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&socket, 0).unwrap();
    socket.into()
}
