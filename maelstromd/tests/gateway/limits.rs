//! Slots, queues and deadlines, through the real router.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use maelstrom_core::component::ConcurrencyLimit;
use maelstromd::{clock, router::StartFailure};
use tokio::sync::Notify;

use crate::{
    backend::{Backend, ok},
    world::{Raw, World, ask, eventually},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

/// Counts how many requests it serves at a time; each takes a moment.
pub async fn counting() -> (Backend, Arc<AtomicUsize>) {
    let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let shared = Arc::clone(&peak);
    let backend = Backend::start(move |mut connection| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&shared));
        async move {
            while connection.request().await.is_some() {
                peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::time::sleep(Duration::from_millis(3)).await;
                now.fetch_sub(1, SeqCst);
                connection.send(&ok("x")).await;
            }
        }
    })
    .await;
    (backend, peak)
}

async fn fifty_at_once(world: &World) {
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..50 {
        asked.spawn(ask(world.public, GET));
    }
    for answer in asked.join_all().await {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn an_instance_never_gets_more_than_its_limit_unless_that_is_soft() {
    for (limit, expected) in [(ConcurrencyLimit::Hard, 1..=1), (ConcurrencyLimit::Soft, 2..=50)] {
        let (backend, peak) = counting().await;
        let world = World::new().await;
        let pool = world.component("web", |component| component.scaling.concurrency_limit = limit);
        world.source("web", "web", None, false);
        world.add(&pool, "one", backend.address);
        fifty_at_once(&world).await;
        assert!(expected.contains(&peak.load(SeqCst)), "{limit:?}: {}", peak.load(SeqCst));
    }
}

#[tokio::test]
async fn waiters_are_served_when_an_instance_comes() {
    let backend = Backend::answering(ok("late")).await;
    let world = World::new().await;
    let pool = world.component("web", |_| {});
    world.source("web", "web", None, false);
    let mut client = Raw::connect(world.public).await;
    client.send(GET).await;
    eventually("the request waits", || pool.is_starving()).await;
    world.add(&pool, "one", backend.address);
    assert!(client.response().await.ends_with("late"));
}

#[tokio::test]
async fn a_waiting_client_that_leaves_is_no_demand_any_more() {
    let world = World::new().await;
    let pool = world.component("web", |_| {});
    world.source("web", "web", None, false);
    let mut client = Raw::connect(world.public).await;
    client.send(GET).await;
    eventually("the request waits", || pool.is_starving()).await;
    drop(client);
    eventually("nobody waits", || !pool.is_starving()).await;
}

/// The original ignored a caller's disconnect.
#[tokio::test]
async fn a_client_that_leaves_frees_its_slot_and_the_container_hears_of_it() {
    let left = Arc::new(Notify::new());
    let heard = Arc::clone(&left);
    let backend = Backend::start(move |mut connection| {
        let heard = Arc::clone(&heard);
        async move {
            if connection.request().await.unwrap().starts_with("GET /hang ") {
                connection.closed().await;
                heard.notify_one();
            } else {
                connection.send(&ok("free")).await;
            }
        }
    })
    .await;
    let world = World::new().await;
    let pool = world.component("web", |_| {});
    world.source("web", "web", None, false);
    world.add(&pool, "one", backend.address);
    let mut hanging = Raw::connect(world.public).await;
    hanging.send("GET /hang HTTP/1.1\r\nHost: web\r\n\r\n").await;
    eventually("it is served", || pool.reading(clock::now()).load.demand.in_flight == 1).await;
    let mut next = Raw::connect(world.public).await;
    next.send(GET).await;
    drop(hanging);
    tokio::time::timeout(crate::world::PATIENCE, left.notified()).await.expect("the container hears");
    assert!(next.response().await.ends_with("free"));
}

#[tokio::test]
async fn past_the_deadline_the_answer_is_504_with_the_agreed_text() {
    let backend = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.closed().await;
    })
    .await;
    let world = World::new().await;
    let pool = world.component("web", |component| component.max_duration = Duration::from_millis(200));
    world.source("web", "web", None, false);
    let waited = ask(world.public, GET).await;
    world.add(&pool, "one", backend.address);
    let served = ask(world.public, GET).await;
    for answer in [waited, served] {
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\ngateway: Timeout proxying component: web"), "{answer}");
    }
    let header = "GET / HTTP/1.1\r\nHost: web\r\nMAELSTROM-DEADLINE-NANO: 5\r\n\r\n";
    assert!(ask(world.private, header).await.starts_with("HTTP/1.1 504"));
    let nonsense = "GET / HTTP/1.1\r\nHost: web\r\nMAELSTROM-DEADLINE-NANO: soon\r\n\r\n";
    assert!(ask(world.private, nonsense).await.starts_with("HTTP/1.1 400"));
}

/// The original appended its 504 to answers that had begun.
#[tokio::test]
async fn an_answer_that_has_begun_is_not_cut_by_the_deadline() {
    let backend = Backend::start(|mut connection| async move {
        connection.request().await;
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n").await;
        for byte in b"stream" {
            tokio::time::sleep(Duration::from_millis(100)).await;
            connection.send(&[*byte]).await;
        }
        connection.closed().await;
    })
    .await;
    let world = World::new().await;
    let pool = world.component("web", |component| component.max_duration = Duration::from_millis(250));
    world.source("web", "web", None, false);
    world.add(&pool, "one", backend.address);
    assert!(ask(world.public, GET).await.ends_with("\r\n\r\nstream"));
}

#[tokio::test]
async fn a_full_queue_answers_503_and_when_to_come_back() {
    let world = World::new().await;
    let pool = world.component("web", |component| component.scaling.max_queue = 1);
    world.source("web", "web", None, false);
    let mut first = Raw::connect(world.public).await;
    first.send(GET).await;
    eventually("the request waits", || pool.is_starving()).await;
    let answer = ask(world.public, GET).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("\r\n\r\ngateway: the queue of component web is full"), "{answer}");
}

#[tokio::test]
async fn a_failed_start_answers_its_waiters_with_the_reason() {
    let world = World::new().await;
    let pool = world.component("web", |_| {});
    world.source("web", "web", None, false);
    let mut client = Raw::connect(world.public).await;
    client.send(GET).await;
    eventually("the request waits", || pool.is_starving()).await;
    let now = clock::now();
    pool.refuse(StartFailure {
        status: 502,
        reason: "component web: its image is missing".into(),
        retry_after: Duration::from_millis(2_500),
        until: now + Duration::from_secs(60),
    });
    let answer = client.response().await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("retry-after: 3\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ngateway: component web: its image is missing"), "{answer}");
}

#[tokio::test]
async fn what_is_counted_can_be_read() {
    let backend = Backend::answering(ok("x")).await;
    let world = World::new().await;
    world.web(backend.address).await;
    for _ in 0..3 {
        ask(world.public, GET).await;
    }
    let text = maelstromd::gateway::encode_metrics(&world.router);
    assert!(text.contains("maelstrom_requests_total{component=\"web\",class=\"2xx\"} 3\n"), "{text}");
    assert!(text.contains("maelstrom_request_duration_seconds_count{component=\"web\"} 3\n"), "{text}");
    assert!(text.contains("maelstrom_requests_in_flight{component=\"web\"} 0\n"), "{text}");
}
