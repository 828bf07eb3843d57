//! The shell: lines, hand-overs and cancellations, on a paused clock and under real threads.

use std::{
    collections::HashMap,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use maelstrom_core::{
    component::{Component, HttpProtocol},
    decide::pool::{Place, Reach, Standing},
    names::{InstanceId, NodeId},
    time::{Moment, WallTime},
    wire,
};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    clock,
    cluster::{Snapshot, Source},
};

pub(crate) fn component(name: &str, edit: impl FnOnce(&mut wire::Component)) -> Arc<Component> {
    let mut wire = wire::Component {
        name: name.into(),
        docker: Some(wire::DockerComponent { image: "web:1".into(), ..Default::default() }),
        version: 1,
        ..Default::default()
    };
    edit(&mut wire);
    Arc::new(Component::parse(&wire).unwrap())
}

pub(crate) fn snapshot(components: &[Arc<Component>]) -> Snapshot {
    let components = components.iter().map(|component| (component.name.clone(), Arc::clone(component)));
    Snapshot { components: components.collect(), ..Snapshot::default() }
}

pub(crate) fn endpoint(component: &str, id: &str) -> Arc<Endpoint> {
    let address = "127.0.0.1:9".parse().unwrap();
    let name = ComponentName::parse(component).unwrap();
    Arc::new(Endpoint::new(
        InstanceId::new(id),
        name,
        1,
        address,
        HttpProtocol::Http1,
        WallTime::from_millis(0),
    ))
}

pub(crate) fn router(components: &[Arc<Component>]) -> Arc<Router> {
    let router = Router::new(Arc::new(Journal::new(NodeId::new("n1"))));
    router.configure(&snapshot(components));
    router
}

fn web(max_concurrency: i64) -> Arc<ComponentPool> {
    let web = component("web", |wire| wire.max_concurrency = max_concurrency);
    router(&[web]).component("web").unwrap()
}

fn id(name: &str) -> InstanceId {
    InstanceId::new(name)
}

pub(super) fn ask() -> Ask {
    let now = clock::now();
    Ask {
        now,
        deadline: now + Duration::from_secs(300),
        bytes_held: 100,
        avoid: None,
        reach: Reach::Anywhere,
    }
}

pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Slot, AcquireError>> + Send>>;

/// Asks and gets in line. Unconstrained: a test polls thousands of them in one task.
pub(super) fn line_up(pool: &Arc<ComponentPool>) -> Asking {
    let pool = Arc::clone(pool);
    let mut asking: Asking = Box::pin(tokio::task::unconstrained(async move { pool.acquire(ask()).await }));
    assert!(poll(&mut asking).is_none(), "there was a slot at once");
    asking
}

pub(super) fn poll(asking: &mut Asking) -> Option<Result<Slot, AcquireError>> {
    match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

async fn slot(pool: &Arc<ComponentPool>) -> Slot {
    pool.acquire(ask()).await.unwrap()
}

pub(super) fn counts(pool: &ComponentPool) -> (u32, u32) {
    let demand = pool.load(clock::now()).demand;
    (demand.in_flight, demand.waiting)
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_the_order_they_came() {
    let pool = web(2);
    let mut line: Vec<Asking> = (0..4).map(|_| line_up(&pool)).collect();
    assert!(pool.is_starving());
    pool.add(endpoint("web", "a"));
    assert!(!pool.is_starving());
    let first = poll(&mut line[0]).unwrap().unwrap();
    let _second = poll(&mut line[1]).unwrap().unwrap();
    assert!(poll(&mut line[2]).is_none());
    drop(first);
    assert!(poll(&mut line[3]).is_none());
    assert_eq!(poll(&mut line[2]).unwrap().unwrap().endpoint().place, Place::Here(id("a")));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_goes_away_leaves_the_line_at_once() {
    let pool = web(1);
    pool.add(endpoint("web", "a"));
    let held = slot(&pool).await;
    let gone = line_up(&pool);
    let mut next = line_up(&pool);
    assert_eq!(counts(&pool), (1, 2));
    drop(gone);
    assert_eq!(counts(&pool), (1, 1));
    drop(held);
    drop(poll(&mut next).unwrap().unwrap());
    assert_eq!(counts(&pool), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slot_handed_to_a_waiter_that_just_went_goes_to_the_next() {
    let pool = web(1);
    pool.add(endpoint("web", "a"));
    let held = slot(&pool).await;
    let first = line_up(&pool);
    let second = line_up(&pool);
    let mut third = line_up(&pool);
    // The slot lies in the first one's channel; it goes before it looks.
    drop(held);
    drop(first);
    drop(second);
    let slot = poll(&mut third).unwrap().unwrap();
    assert_eq!(counts(&pool), (1, 0));
    drop(slot);
    assert_eq!(counts(&pool), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_wait() {
    let pool = web(1);
    let error = pool.acquire(ask()).await.unwrap_err();
    assert_eq!(error, AcquireError::DeadlinePassed);
    assert_eq!(counts(&pool), (0, 0));
    let late = Ask { deadline: clock::now(), now: clock::now(), ..ask() };
    assert_eq!(pool.acquire(late).await.unwrap_err(), AcquireError::DeadlinePassed);
}

#[tokio::test(start_paused = true)]
async fn the_line_is_as_long_as_maxqueue_and_no_longer() {
    let web = component("web", |wire| wire.max_queue = Some(10_000));
    let pool = router(&[web]).component("web").unwrap();
    let mut line: Vec<Asking> = (0..10_000).map(|_| line_up(&pool)).collect();
    let error = pool.acquire(ask()).await.unwrap_err();
    assert!(error.to_string().contains("10000 requests wait already"), "{error}");
    // Every other one leaves, from the middle of the line as well; the rest goes through in order.
    let mut index = 0;
    line.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    assert_eq!(counts(&pool), (0, 5_000));
    pool.add(endpoint("web", "a"));
    for asking in &mut line {
        drop(poll(asking).expect("its turn has come").unwrap());
    }
    assert_eq!(counts(&pool), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn waiting_bytes_are_bounded() {
    let pool = web(1);
    let _first = {
        let pool = Arc::clone(&pool);
        let large = Ask { bytes_held: 60 << 20, ..ask() };
        let mut asking: Asking = Box::pin(async move { pool.acquire(large).await });
        assert!(poll(&mut asking).is_none());
        asking
    };
    let large = Ask { bytes_held: 5 << 20, ..ask() };
    let error = pool.acquire(large).await.unwrap_err();
    assert!(matches!(error, AcquireError::QueueFull { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_answers_all_and_those_who_come_until_its_time_is_over() {
    let pool = web(1);
    let mut waiting = line_up(&pool);
    let now = clock::now();
    let failure = StartFailure {
        status: 502,
        reason: "image missing".into(),
        retry_after: Duration::from_secs(1),
        until: now + Duration::from_secs(1),
    };
    assert!(pool.refuse(failure.clone()));
    assert_eq!(poll(&mut waiting).unwrap().unwrap_err(), AcquireError::StartFailed(failure.clone()));
    assert_eq!(pool.acquire(ask()).await.unwrap_err(), AcquireError::StartFailed(failure.clone()));
    assert_eq!(counts(&pool), (0, 0));
    // Its time is over: who comes waits, and is demand.
    let later = now + Duration::from_secs(2);
    let late = Ask { now: later, deadline: later + Duration::from_secs(1), ..ask() };
    assert_eq!(pool.acquire(late).await.unwrap_err(), AcquireError::DeadlinePassed);
    // An instance ends it, and while there is one nobody is refused.
    pool.refuse(failure.clone());
    pool.add(endpoint("web", "a"));
    let _slot = slot(&pool).await;
    let mut waiting = line_up(&pool);
    assert!(!pool.refuse(failure));
    assert!(poll(&mut waiting).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_retired_instance_is_idle_after_its_last_request() {
    let pool = web(2);
    pool.add(endpoint("web", "a"));
    let (one, two) = (slot(&pool).await, slot(&pool).await);
    let retired = pool.retire(&id("a"));
    assert_eq!(retired.in_flight(), 2);
    drop(one);
    {
        let mut idle = pin!(retired.idle());
        let mut context = Context::from_waker(Waker::noop());
        assert!(idle.as_mut().poll(&mut context).is_pending());
        drop(two);
        assert!(idle.as_mut().poll(&mut context).is_ready());
    }
    assert_eq!(retired.in_flight(), 0);
    pool.retire(&id("unknown")).idle().await;
}

#[tokio::test(start_paused = true)]
async fn waiters_that_a_dead_instance_leaves_behind_are_demand() {
    let web = component("web", |_| ());
    let router = router(&[web]);
    let pool = router.component("WEB").unwrap();
    router.demand().notified().await;
    pool.add(endpoint("web", "a"));
    let dying = slot(&pool).await;
    let _waiting = line_up(&pool);
    assert!(router.starving().is_empty());
    pool.retire(&id("a"));
    assert_eq!(router.starving().len(), 1);
    router.demand().notified().await;
    assert!(pool.cold_start().is_some());
    drop(dying);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_is_told_to_the_node_and_gets_nothing_until_released() {
    let pool = web(1);
    let mut suspected = pool.suspected();
    pool.add(endpoint("web", "a"));
    let failed = slot(&pool).await;
    failed.fail();
    assert!(suspected.has_changed().unwrap());
    suspected.mark_unchanged();
    assert_eq!(pool.suspects(), [id("a")]);
    drop(failed);
    let mut waiting = line_up(&pool);
    assert!(!pool.is_starving(), "the node checks it; a start may not be needed");
    pool.release(&id("a"));
    assert!(poll(&mut waiting).unwrap().is_ok());
    assert_eq!(pool.suspects(), []);
}

#[tokio::test(start_paused = true)]
async fn a_pool_survives_reconfiguration_and_a_removed_one_answers() {
    let router = router(&[component("web", |_| ())]);
    let pool = router.component("web").unwrap();
    pool.add(endpoint("web", "a"));
    let _held = slot(&pool).await;
    let mut waiting = line_up(&pool);
    let mut second = line_up(&pool);
    router.configure(&snapshot(&[component("web", |wire| {
        wire.max_concurrency = 2;
        wire.version = 2;
    })]));
    assert!(Arc::ptr_eq(&pool, &router.component("web").unwrap()));
    assert_eq!(pool.component().version, 2);
    let _slot = poll(&mut waiting).unwrap().unwrap();
    assert!(poll(&mut second).is_none());
    router.configure(&snapshot(&[]));
    assert_eq!(poll(&mut second).unwrap().unwrap_err(), AcquireError::Removed);
    assert_eq!(pool.acquire(ask()).await.unwrap_err(), AcquireError::Removed);
    assert!(router.component("web").is_none());
    assert_eq!(counts(&pool), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_answers_its_waiters() {
    let router = router(&[component("web", |_| ())]);
    let pool = router.component("web").unwrap();
    let mut waiting = line_up(&pool);
    router.close();
    assert_eq!(poll(&mut waiting).unwrap().unwrap_err(), AcquireError::ShuttingDown);
}

#[test]
fn a_request_is_routed_by_the_enabled_event_sources() {
    let source = |name: &str, component: &str, prefix: &str, enabled| {
        let wire = wire::EventSource {
            name: name.into(),
            component_name: component.into(),
            http: Some(wire::HttpEventSource {
                path_prefix: Some(prefix.into()),
                strip_prefix: Some(true),
                ..Default::default()
            }),
            ..Default::default()
        };
        Arc::new(Source { source: EventSource::parse(&wire).unwrap(), enabled })
    };
    let router = Router::new(Arc::new(Journal::new(NodeId::new("n1"))));
    assert!(router.pick("x", "/a").is_none());
    assert_eq!(router.generation(), 0);
    let mut snapshot = snapshot(&[component("web", |_| ())]);
    snapshot.event_sources = vec![
        source("on", "web", "/a", true),
        source("off", "web", "/a/b", false),
        source("orphan", "gone", "/a/b/c", true),
    ];
    router.configure(&snapshot);
    let pick = router.pick("x", "/a/b/c").unwrap();
    assert_eq!((pick.pool.name().as_str(), pick.strip), ("web", 2));
    assert!(router.pick("x", "/ab").is_none());
    assert_eq!(router.explain("x", "/a/b/c").value.unwrap().as_str(), "on");
    assert_eq!(router.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_is_told_with_its_phases() {
    let journal = Arc::new(Journal::new(NodeId::new("n1")));
    let router = Router::new(Arc::clone(&journal));
    router.configure(&snapshot(&[component("web", |_| ())]));
    let pool = router.component("web").unwrap();
    let mut first = line_up(&pool);
    let mut second = line_up(&pool);
    let cold_start = pool.cold_start().unwrap();
    let at = |millis| cold_start.arrived() + Duration::from_millis(millis);
    cold_start.mark(Phase::Placed, at(2));
    cold_start.mark(Phase::Created, at(50));
    cold_start.mark(Phase::Started, at(250));
    pool.add(endpoint("web", "a"));
    cold_start.mark(Phase::Served, at(300));
    let mut slot = poll(&mut first).unwrap().unwrap();
    assert!(pool.cold_start().is_none());
    slot.first_byte();
    drop(slot);
    assert!(poll(&mut second).unwrap().unwrap().cold_start().is_none(), "one request, one story");
    let events = journal.list(&wire::ListEventsInput::default());
    assert_eq!(events.len(), 1);
    let data = &events[0].data;
    let ms = |key: &str| data[key].as_f64().unwrap();
    assert_eq!((events[0].kind.as_str(), ms("placeMs"), ms("createMs")), ("cold-start", 2.0, 48.0));
    assert_eq!((ms("startMs"), ms("serveMs")), (200.0, 50.0));
    assert!(data.contains_key("firstByteMs") && !data.contains_key("pullMs"));
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_nobody_waits_for_any_more_is_forgotten() {
    let pool = web(1);
    let waiting = line_up(&pool);
    assert!(pool.cold_start().is_some());
    drop(waiting);
    assert!(pool.cold_start().is_none());
    assert!(!pool.is_starving());
}

#[tokio::test(start_paused = true)]
async fn a_reading_tells_what_instances_do() {
    let pool = web(2);
    pool.add(endpoint("web", "a"));
    pool.add(endpoint("web", "b"));
    let slots = [slot(&pool).await, slot(&pool).await, slot(&pool).await];
    pool.hold(&id("b"));
    let reading = pool.reading(clock::now());
    assert_eq!((reading.load.in_rotation, reading.load.demand.in_flight), (1, 3));
    let instance = |name| reading.instances.iter().find(|instance| instance.id == id(name)).unwrap();
    assert_eq!((instance("a").in_flight, instance("b").in_flight), (2, 1));
    assert_eq!((instance("a").total_requests, instance("b").standing), (2, Standing::Held));
    assert_eq!(instance("a").activity[0].requests, 2);
    assert!(instance("a").last_request.is_some());
    drop(slots);
    assert!(pool.load(clock::now()).demand.last_request.is_some());
}

/// What an instance sees of its own parallel requests.
#[derive(Default)]
struct Backend {
    now: AtomicU32,
    most: AtomicU32,
}

/// Many threads ask, hold, give back and cancel at random places, while instances come, go, and are held.
/// Nobody may be lost, no instance overloaded, and in the end all counts are zero.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_threads_limits_hold_and_nothing_leaks() {
    const ASKERS: usize = 64;
    const ROUNDS: u32 = 300;
    const LIMIT: u32 = 3;
    let pool = web(i64::from(LIMIT));
    let backends: Arc<HashMap<Place, Backend>> = Arc::new(
        ["a", "b", "c"].into_iter().map(|name| (Place::Here(id(name)), Backend::default())).collect(),
    );
    pool.add(endpoint("web", "a"));
    let served = Arc::new(AtomicUsize::new(0));
    let mut askers = tokio::task::JoinSet::new();
    for asker in 0..ASKERS {
        let (pool, backends, served) = (Arc::clone(&pool), Arc::clone(&backends), Arc::clone(&served));
        askers.spawn(async move {
            for round in 0..ROUNDS {
                let asking = pool.acquire(ask());
                // Every third asker gives up after a moment, some of them as the slot is handed over.
                let slot = if asker % 3 == 0 {
                    let patience = Duration::from_micros(u64::from(round * 7 % 400));
                    match tokio::time::timeout(patience, asking).await {
                        Ok(slot) => slot.unwrap(),
                        Err(_) => continue,
                    }
                } else {
                    asking.await.unwrap()
                };
                let backend = &backends[&slot.endpoint().place];
                let level = backend.now.fetch_add(1, Ordering::SeqCst) + 1;
                backend.most.fetch_max(level, Ordering::SeqCst);
                if round % 5 != 0 {
                    tokio::task::yield_now().await;
                }
                backend.now.fetch_sub(1, Ordering::SeqCst);
                served.fetch_add(1, Ordering::Relaxed);
                drop(slot);
            }
        });
    }
    let done = Arc::new(Semaphore::new(0));
    let churn = {
        let (pool, done) = (Arc::clone(&pool), Arc::clone(&done));
        tokio::spawn(async move {
            while done.available_permits() == 0 {
                pool.add(endpoint("web", "b"));
                pool.add(endpoint("web", "c"));
                tokio::task::yield_now().await;
                pool.hold(&id("c"));
                pool.retire(&id("b")).idle().await;
                pool.release(&id("c"));
                pool.retire(&id("c")).idle().await;
            }
        })
    };
    let all = async { while askers.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("somebody waits for ever");
    done.add_permits(1);
    churn.await.unwrap();
    assert!(served.load(Ordering::Relaxed) >= ASKERS * 2 / 3 * ROUNDS as usize);
    for (instance, backend) in backends.iter() {
        let most = backend.most.load(Ordering::SeqCst);
        assert!(most <= LIMIT, "{instance} had {most} at a time");
    }
    assert_eq!(
        backends[&Place::Here(id("a"))].most.load(Ordering::SeqCst),
        LIMIT,
        "the limit was never reached"
    );
    assert_eq!(counts(&pool), (0, 0));
    let reading = pool.reading(clock::now());
    assert_eq!(reading.instances.len(), 1);
    assert_eq!(reading.oldest_waiter, None::<Moment>);
}
