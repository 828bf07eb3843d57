//! Relayed requests between nodes that share a secret: who has none can't pass for a node, and no instance gets
//! to see what proves one.

use std::sync::{Arc, Mutex};

use maelstromd::{
    access::{PeerSecret, Secret},
    gateway::GatewaySettings,
};

use crate::{
    backend::{Backend, ok},
    relay::{GET, Two, web},
    world::{Raw, World, ask},
};

const SECRET: &str = "cluster-0123456789abcdef";
const NEXT: &str = "cluster-fedcba9876543210";

fn secret(list: &str) -> PeerSecret {
    PeerSecret::new(&Secret::list(list).unwrap())
}

async fn two(front: &str, back: &str, instance: std::net::SocketAddr) -> Two {
    let node = async |name, list: &str| {
        World::node(name, GatewaySettings { peers: secret(list), ..GatewaySettings::default() }).await
    };
    let (front, back) = (node("n1", front).await, node("n2", back).await);
    let (here, there) = (web(&front), web(&back));
    let two = Two { front, back, here, there };
    two.back.add(&two.there, "two", instance);
    two.front.peer("n2", two.back.private, &[("web", 1)]);
    two
}

/// An instance that keeps the heads that it gets.
async fn listening() -> (Backend, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    let backend = Backend::start(move |mut connection| {
        let kept = Arc::clone(&kept);
        async move {
            while let Some(head) = connection.request().await {
                kept.lock().unwrap().push(head.to_ascii_lowercase());
                connection.send(&ok("there")).await;
            }
        }
    })
    .await;
    (backend, heads)
}

#[tokio::test]
async fn nodes_with_a_secret_in_common_serve_each_other_while_it_is_rotated() {
    for (front, back) in [
        (SECRET.to_owned(), SECRET.to_owned()),
        (SECRET.to_owned(), format!("{NEXT},{SECRET}")),
        (format!("{NEXT},{SECRET}"), format!("{SECRET},{NEXT}")),
    ] {
        let (backend, heads) = listening().await;
        let two = two(&front, &back, backend.address).await;
        let answer = ask(two.front.public, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("there"), "{answer}");
        let heads = heads.lock().unwrap();
        assert!(heads.iter().all(|head| !head.contains("maelstrom-peer")), "{heads:?}");
        assert_eq!(heads.len(), 1);
    }
}

#[tokio::test]
async fn who_proves_nothing_is_no_node() {
    let (backend, heads) = listening().await;
    let two = two(SECRET, SECRET, backend.address).await;
    let proof = |list| secret(list).proof().unwrap().to_str().unwrap().to_owned();
    let relayed = |more: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: web\r\nMAELSTROM-COMPONENT: web\r\nMAELSTROM-RELAY-PATH: n7\r\n{more}\r\n"
        )
    };
    for more in [
        String::new(),
        "MAELSTROM-PEER: \r\n".to_owned(),
        format!("MAELSTROM-PEER: {SECRET}\r\n"),
        format!("MAELSTROM-PEER: {}\r\n", proof(NEXT)),
        format!("MAELSTROM-PEER: {}\r\nMAELSTROM-PEER: x\r\n", proof(SECRET)),
        format!("Authorization: Bearer {}\r\n", proof(SECRET)),
    ] {
        let mut client = Raw::connect(two.back.private).await;
        client.send(relayed(&more)).await;
        let answer = client.response().await;
        assert!(
            answer.starts_with("HTTP/1.1 403") && answer.contains("MAEL_CLUSTER_SECRET"),
            "{more}: {answer}"
        );
    }
    assert!(heads.lock().unwrap().is_empty());

    let answer = ask(two.back.private, &relayed(&format!("MAELSTROM-PEER: {}\r\n", proof(SECRET)))).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A service's own call needs no proof, and one that it sends goes no further.
    let call = "GET / HTTP/1.1\r\nHost: web\r\nMAELSTROM-COMPONENT: web\r\nMAELSTROM-PEER: x\r\n\r\n";
    let answer = ask(two.back.private, call).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // From outside none of it is even looked at.
    let answer = ask(two.back.public, &relayed("MAELSTROM-PEER: x\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 3);
    assert!(heads.iter().all(|head| !head.contains("maelstrom-peer")), "{heads:?}");
}

#[tokio::test]
async fn a_node_with_another_secret_is_passed_over() {
    let (backend, heads) = listening().await;
    let two = two(NEXT, SECRET, backend.address).await;
    let (own, own_heads) = listening().await;
    let mut client = Raw::connect(two.front.public).await;
    client.send(GET).await;
    // The peer does nothing; what comes up here serves the request.
    two.front.add(&two.here, "one", own.address);
    let answer = client.response().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(heads.lock().unwrap().is_empty());
    assert_eq!(own_heads.lock().unwrap().len(), 1);
}
