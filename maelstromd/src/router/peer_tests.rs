//! Peers in the pools: seats that come and go, those who wait for them, and whose demand it is.

use std::time::Duration;

use maelstrom_core::{
    component::HttpProtocol,
    decide::pool::{Place, Reach, Standing},
    names::{InstanceId, NodeId},
    wire,
};

use super::{tests::*, *};
use crate::clock;

fn n(name: &str) -> NodeId {
    NodeId::new(name)
}

fn there(name: &str) -> Place {
    Place::There(n(name))
}

fn id(name: &str) -> InstanceId {
    InstanceId::new(name)
}

fn serving(components: &[(&str, u32)]) -> Vec<PeerServing> {
    let serving = |(component, instances): &(&str, u32)| PeerServing {
        component: ComponentName::parse(component).unwrap(),
        instances: *instances,
    };
    components.iter().map(serving).collect()
}

fn tell(router: &Router, node: &str, components: &[(&str, u32)]) {
    router.set_peer(&n(node), "127.0.0.1:9".parse().unwrap(), serving(components));
}

fn world(components: &[&str]) -> Arc<Router> {
    let components: Vec<_> = components.iter().map(|name| component(name, |_| ())).collect();
    router(&components)
}

fn pool(router: &Router, name: &str) -> Arc<ComponentPool> {
    router.component(name).unwrap()
}

fn peers(pool: &ComponentPool) -> Vec<(String, Standing, u32, u32)> {
    let peers = pool.reading(clock::now()).peers.into_iter();
    peers.map(|peer| (peer.node.to_string(), peer.standing, peer.instances, peer.in_flight)).collect()
}

fn relayed() -> Ask {
    Ask { reach: Reach::Here, ..ask() }
}

fn failure(millis: u64) -> StartFailure {
    StartFailure {
        status: 502,
        reason: "image missing (on node n2)".into(),
        retry_after: Duration::from_millis(millis),
        until: clock::now() + Duration::from_millis(millis),
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_serves_what_it_last_told_and_nothing_else() {
    let router = world(&["web", "api"]);
    let (web, api) = (pool(&router, "web"), pool(&router, "api"));
    tell(&router, "n2", &[("web", 2), ("unknown", 1), ("api", 0)]);
    let slot = web.acquire(ask()).await.unwrap();
    assert_eq!(slot.endpoint().place, there("n2"));
    assert_eq!(peers(&web), [("n2".into(), Standing::InRotation, 2, 1)]);
    assert_eq!(peers(&api), []);
    tell(&router, "n2", &[("api", 1)]);
    assert_eq!(peers(&web), [("n2".into(), Standing::Retired, 2, 1)], "what it serves goes on");
    assert_eq!(peers(&api).len(), 1);
    drop(slot);
    assert_eq!(peers(&web), []);
    router.remove_peer(&n("n2"));
    assert_eq!(peers(&api), []);
    router.remove_peer(&n("n2"));
    router.hold_peer(&n("n2"));
    router.resume_peer(&n("n2"));
}

#[tokio::test(start_paused = true)]
async fn all_components_share_a_peers_connections_while_its_address_stays() {
    let router = world(&["web", "api"]);
    tell(&router, "n2", &[("web", 5), ("api", 5)]);
    let web = pool(&router, "web").acquire(ask()).await.unwrap();
    let api = pool(&router, "api").acquire(ask()).await.unwrap();
    assert!(std::ptr::eq(web.endpoint().connections(), api.endpoint().connections()));
    tell(&router, "n2", &[("web", 5)]);
    let again = pool(&router, "web").acquire(ask()).await.unwrap();
    assert!(Arc::ptr_eq(again.endpoint(), web.endpoint()));
    router.set_peer(&n("n2"), "127.0.0.1:10".parse().unwrap(), serving(&[("web", 5)]));
    let moved = pool(&router, "web").acquire(ask()).await.unwrap();
    assert_eq!(moved.endpoint().address().port(), 10);
    // What fails at the old address says nothing of the new one.
    web.fail();
    assert!(router.suspect_peers().is_empty());
    moved.fail();
    assert_eq!(router.suspect_peers(), [n("n2")]);
}

#[tokio::test(start_paused = true)]
async fn components_that_come_or_change_later_get_the_known_peers() {
    let router = world(&[]);
    tell(&router, "n2", &[("web", 1)]);
    tell(&router, "n3", &[("web", 1)]);
    router.hold_peer(&n("n3"));
    router.configure(&snapshot(&[component("web", |_| ())]));
    let web = pool(&router, "web");
    let mut seats = peers(&web);
    seats.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(seats, [("n2".into(), Standing::InRotation, 1, 0), ("n3".into(), Standing::Held, 1, 0)]);
    let before = web.acquire(ask()).await.unwrap();
    assert_eq!(before.endpoint().protocol(), HttpProtocol::Http1);
    router.configure(&snapshot(&[component("web", |wire| {
        wire.max_concurrency = 2;
        wire.docker = Some(wire::DockerComponent {
            image: "web:1".into(),
            http_protocol: Some("h2c".into()),
            ..Default::default()
        });
    })]));
    let after = web.acquire(ask()).await.unwrap();
    assert_eq!((&after.endpoint().place, after.endpoint().protocol()), (&there("n2"), HttpProtocol::H2c));
    assert_eq!(before.endpoint().protocol(), HttpProtocol::Http1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_to_the_peer_that_comes_up_and_is_demand_until_then() {
    let router = world(&["web"]);
    let web = pool(&router, "web");
    router.demand().notified().await;
    let mut first = line_up(&web);
    let mut second = line_up(&web);
    router.demand().notified().await;
    assert_eq!(router.starving().len(), 1);
    let cold_start = web.cold_start().unwrap();
    cold_start.mark(Phase::Placed, cold_start.arrived() + Duration::from_millis(2));
    tell(&router, "n2", &[("web", 1)]);
    let mut slot = poll(&mut first).unwrap().unwrap();
    assert!(poll(&mut second).is_none());
    assert!(router.starving().is_empty() && web.cold_start().is_none());
    assert_eq!(counts(&web), (0, 1), "the first one is demand of the peer now");
    slot.first_byte();
    let events = router.journal.list(&wire::ListEventsInput::default());
    assert_eq!((events.len(), events[0].kind.as_str()), (1, "cold-start"));
    assert_eq!(events[0].data["servedBy"], "n2");
    assert!(events[0].data.contains_key("serveMs") && events[0].data.contains_key("firstByteMs"));
    drop(slot);
    let slot = poll(&mut second).unwrap().unwrap();
    assert_eq!((counts(&web), slot.cold_start().is_none()), ((0, 0), true));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_is_held_everywhere_and_starves_who_waits() {
    let router = world(&["web", "api"]);
    let (web, api) = (pool(&router, "web"), pool(&router, "api"));
    tell(&router, "n2", &[("web", 1), ("api", 1)]);
    let mut suspected = router.peer_suspected();
    suspected.mark_unchanged();
    let slot = web.acquire(ask()).await.unwrap();
    let mut waiting = line_up(&web);
    router.demand().notified().await;
    assert!(router.starving().is_empty());
    slot.fail();
    slot.fail();
    assert!(suspected.has_changed().unwrap());
    assert_eq!(router.suspect_peers(), [n("n2")]);
    assert_eq!(router.peer_failures(), [(n("n2"), 2)]);
    assert_eq!(peers(&api), [("n2".into(), Standing::Held, 1, 0)]);
    assert_eq!(router.starving().len(), 1, "it may be gone for good");
    router.demand().notified().await;
    drop(slot);
    assert!(poll(&mut waiting).is_none());
    // What was told of it while it is held is for later.
    tell(&router, "n2", &[("web", 2)]);
    assert!(poll(&mut waiting).is_none());
    router.resume_peer(&n("n2"));
    assert!(poll(&mut waiting).unwrap().is_ok());
    assert!(router.suspect_peers().is_empty() && router.starving().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_the_instance_loses_its_seat_until_it_tells_anew() {
    let router = world(&["web"]);
    let web = pool(&router, "web");
    tell(&router, "n2", &[("web", 2)]);
    let slot = web.acquire(ask()).await.unwrap();
    let status = slot.endpoint().peer().unwrap().status();
    slot.missing(status);
    assert_eq!(peers(&web), [("n2".into(), Standing::Retired, 2, 1)]);
    drop(slot);
    // The same status once more, and then one that overtakes the answer to a request.
    tell(&router, "n2", &[("web", 2)]);
    let slot = web.acquire(ask()).await.unwrap();
    let status = slot.endpoint().peer().unwrap().status();
    tell(&router, "n2", &[("web", 1)]);
    slot.missing(status);
    assert_eq!(peers(&web), [("n2".into(), Standing::InRotation, 1, 1)]);
    drop(slot);
    let slot = web.acquire(ask()).await.unwrap();
    let status = slot.endpoint().peer().unwrap().status();
    let mut waiting = line_up(&web);
    slot.missing(status);
    assert!(web.is_starving());
    drop(slot);
    assert!(poll(&mut waiting).is_none());
    web.add(endpoint("web", "a"));
    assert_eq!(poll(&mut waiting).unwrap().unwrap().endpoint().place, Place::Here(id("a")));
}

#[tokio::test(start_paused = true)]
async fn what_was_relayed_here_is_served_here_or_not_at_all() {
    let router = world(&["web"]);
    let web = pool(&router, "web");
    tell(&router, "n2", &[("web", 5)]);
    assert_eq!(web.acquire(relayed()).await.unwrap_err(), AcquireError::NotHere);
    web.add(endpoint("web", "a"));
    let slot = web.acquire(relayed()).await.unwrap();
    assert_eq!(slot.endpoint().place, Place::Here(id("a")));
    let line_up = |ask: Ask| {
        let web = Arc::clone(&web);
        let mut asking: Asking = Box::pin(async move { web.acquire(ask).await });
        assert!(poll(&mut asking).is_none());
        asking
    };
    let mut waiting = line_up(relayed());
    assert_eq!(web.told(), (2, 1));
    // A suspect is about to be checked: worth waiting for.
    web.hold(&id("a"));
    assert_eq!(web.told(), (2, 0));
    let mut second = line_up(relayed());
    assert!(!web.is_starving());
    let retired = web.retire(&id("a"));
    assert_eq!(poll(&mut waiting).unwrap().unwrap_err(), AcquireError::NotHere);
    assert_eq!(poll(&mut second).unwrap().unwrap_err(), AcquireError::NotHere);
    assert_eq!((counts(&web), retired.in_flight()), ((1, 0), 1));
    drop(slot);
    retired.idle().await;
    assert_eq!(web.acquire(ask()).await.unwrap().endpoint().place, there("n2"));
}

#[tokio::test(start_paused = true)]
async fn a_peers_failed_start_answers_those_who_wait_unless_something_serves() {
    let router = world(&["web"]);
    let web = pool(&router, "web");
    let name = ComponentName::parse("web").unwrap();
    assert!(!router.peer_refuses(&ComponentName::parse("gone").unwrap(), failure(1_000), &n("n2")));
    let mut waiting = line_up(&web);
    assert!(router.peer_refuses(&name, failure(1_000), &n("n2")));
    assert!(matches!(poll(&mut waiting), Some(Err(AcquireError::StartFailed(_)))));
    assert!(matches!(web.acquire(ask()).await, Err(AcquireError::StartFailed(_))));
    // Another peer serves; one that is held may do so again in a moment.
    tell(&router, "n3", &[("web", 1)]);
    let slot = web.acquire(ask()).await.unwrap();
    let mut waiting = line_up(&web);
    assert!(!router.peer_refuses(&name, failure(1_000), &n("n2")));
    router.hold_peer(&n("n3"));
    assert!(!router.peer_refuses(&name, failure(1_000), &n("n2")));
    assert!(poll(&mut waiting).is_none());
    router.remove_peer(&n("n3"));
    assert!(router.peer_refuses(&name, failure(1_000), &n("n2")));
    assert!(poll(&mut waiting).unwrap().is_err());
    drop(slot);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_tells_with_its_answers_turns_requests_away_from_it() {
    let router = router(&[component("web", |wire| wire.max_concurrency = 10)]);
    let web = pool(&router, "web");
    web.add(endpoint("web", "a"));
    tell(&router, "n2", &[("web", 1)]);
    let here = web.acquire(ask()).await.unwrap();
    let busy = web.acquire(ask()).await.unwrap();
    assert_eq!([&here.endpoint().place, &busy.endpoint().place], [&Place::Here(id("a")), &there("n2")]);
    busy.heard(8, 1);
    drop(busy);
    let next = web.acquire(ask()).await.unwrap();
    assert_eq!(next.endpoint().place, Place::Here(id("a")));
    let later = Ask { now: clock::now() + Duration::from_secs(1), ..ask() };
    assert_eq!(web.acquire(later).await.unwrap().endpoint().place, there("n2"));
    assert_eq!(web.queue_patience(clock::now()), None);
}
