//! The loop against a node that only remembers what it was told.

use std::{
    collections::BTreeMap, future::poll_fn, pin::pin, sync::atomic::AtomicU32, task::Poll, time::Duration,
};

use maelstrom_core::{
    component::Component,
    decide::{autoscale, lease::Term, placement::NodeView, pool::Reach, scheduler::NodeState},
    names::NodeId,
    wire::{self, JournalEvent, ListEventsInput},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::router::{
    AcquireError, Ask, ComponentPool, Slot,
    tests::{component, endpoint, router, snapshot},
};

struct TestNode {
    view: Mutex<NodeView>,
    version: watch::Sender<i64>,
    /// So many calls find that somebody else was faster.
    interference: AtomicU32,
    calls: AtomicU32,
}

impl TestNode {
    fn new(total_memory_mib: u64) -> Arc<Self> {
        let view = NodeView {
            id: NodeId::new("n1"),
            version: 0,
            total_memory_mib,
            other_memory_mib: 0,
            targets: BTreeMap::new(),
            standby: BTreeMap::new(),
            draining: false,
            load: 0.0,
        };
        Arc::new(Self {
            view: Mutex::new(view),
            version: watch::Sender::new(0),
            interference: AtomicU32::new(0),
            calls: AtomicU32::new(0),
        })
    }

    fn target(&self, component: &str) -> u32 {
        self.view.lock().targets.get(component).copied().unwrap_or(0)
    }

    fn change(&self, change: impl FnOnce(&mut NodeView)) {
        let mut view = self.view.lock();
        change(&mut view);
        view.version += 1;
        self.version.send_replace(view.version);
    }

    /// Somebody else sets a target.
    fn set(&self, component: &str, count: u32) {
        self.change(|view| {
            view.targets.insert(ComponentName::parse(component).unwrap(), count);
        });
    }

    fn calls(&self) -> u32 {
        self.calls.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Targets for TestNode {
    fn view(&self) -> NodeView {
        self.view.lock().clone()
    }

    fn state(&self) -> NodeState {
        NodeState::new(self.view())
    }

    fn fence(&self, _: Term) -> Result<(), OldTerm> {
        Ok(())
    }

    fn set_targets(
        &self,
        _: Option<Term>,
        expected: Option<i64>,
        targets: &[Target],
    ) -> Result<Vec<Delta>, NotSet> {
        use std::sync::atomic::Ordering::SeqCst;
        self.calls.fetch_add(1, SeqCst);
        if self.interference.try_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            self.change(|_| ());
        }
        let current = self.view.lock().version;
        if let Some(expected) = expected.filter(|expected| *expected != current) {
            return Err(VersionMismatch { node: NodeId::new("n1"), expected, current }.into());
        }
        let mut deltas = Vec::new();
        self.change(|view| {
            for Target { component, count, reasons } in targets {
                assert!(!reasons.is_empty(), "{component}");
                let from = view.targets.insert(component.clone(), *count).unwrap_or(0);
                deltas.push(Delta { component: component.clone(), from, to: *count });
            }
        });
        Ok(deltas)
    }

    fn changes(&self) -> watch::Receiver<i64> {
        self.version.subscribe()
    }
}

struct World {
    node: Arc<TestNode>,
    router: Arc<Router>,
    control: Arc<Control>,
    journal: Arc<Journal>,
}

impl World {
    fn new(total_memory_mib: u64, components: &[Arc<Component>]) -> Self {
        let (node, router) = (TestNode::new(total_memory_mib), router(components));
        let journal = Arc::new(Journal::new(NodeId::new("n1")));
        let control =
            Control::new(Arc::clone(&router), Arc::clone(&node) as Arc<dyn Targets>, Arc::clone(&journal));
        Self { node, router, control, journal }
    }

    fn pool(&self, name: &str) -> Arc<ComponentPool> {
        self.router.component(name).unwrap()
    }

    fn told(&self, kind: &str) -> Vec<JournalEvent> {
        let all = self.journal.list(&ListEventsInput::default());
        all.into_iter().filter(|event| event.kind == kind).collect()
    }
}

fn sized(name: &str, reserve_memory_mib: i64) -> Arc<Component> {
    component(name, |wire: &mut wire::Component| {
        wire.docker.as_mut().unwrap().reserve_memory_mib = Some(reserve_memory_mib);
    })
}

fn ask() -> Ask {
    let now = clock::now();
    Ask { now, deadline: now + Duration::from_secs(300), bytes_held: 0, avoid: None, reach: Reach::Anywhere }
}

type Asking = tokio::task::JoinHandle<Result<Slot, AcquireError>>;

/// Asks and waits until it stands in line.
async fn line_up(pool: &Arc<ComponentPool>) -> Asking {
    let before = pool.load(clock::now()).demand.waiting;
    let asking = {
        let pool = Arc::clone(pool);
        tokio::spawn(async move { pool.acquire(ask()).await })
    };
    while pool.load(clock::now()).demand.waiting == before {
        assert!(!asking.is_finished());
        tokio::task::yield_now().await;
    }
    asking
}

#[tokio::test]
async fn the_first_waiter_gets_an_instance_placed_by_the_pass_for_demand() {
    let world = World::new(1024, &[sized("web", 128), sized("other", 128)]);
    let asking = line_up(&world.pool("web")).await;
    world.control.answer_demand(clock::now());
    assert_eq!((world.node.target("web"), world.node.target("other")), (1, 0));
    world.control.answer_demand(clock::now());
    assert_eq!(world.node.calls(), 1, "single flight: it is placed already");
    // The whole pass finds it right.
    world.control.pass(clock::now());
    assert_eq!((world.node.target("web"), world.node.calls()), (1, 1));
    let placed = world.told("placement");
    assert_eq!(placed.len(), 1);
    assert!(placed[0].reasons[0].contains("1024 of 1024 MiB free"), "{:?}", placed[0].reasons);
    assert!(world.pool("web").cold_start().unwrap().phases().len() == 1);
    world.pool("web").add(endpoint("web", "a"));
    drop(asking.await.unwrap().unwrap());
}

#[tokio::test]
async fn before_the_first_configuration_nothing_is_unwanted() {
    let world = World::new(1024, &[]);
    world.node.set("web", 2);
    let router = Router::new(Arc::clone(&world.journal));
    let control = Control::new(
        Arc::clone(&router),
        Arc::clone(&world.node) as Arc<dyn Targets>,
        Arc::clone(&world.journal),
    );
    control.pass(clock::now());
    assert_eq!(world.node.target("web"), 2);
    // The component is known: adopted instances stay while little is known of their load.
    router.configure(&snapshot(&[sized("web", 128)]));
    control.pass(clock::now());
    assert_eq!(world.node.target("web"), 2);
    // It is known to be gone.
    router.configure(&snapshot(&[]));
    control.pass(clock::now());
    assert_eq!(world.node.target("web"), 0);
}

#[tokio::test]
async fn minimums_are_met_and_idle_ones_go_to_zero() {
    let warm = component("warm", |wire| wire.min_instances = Some(2));
    let short = component("short", |wire| wire.docker.as_mut().unwrap().idle_timeout_seconds = Some(5));
    let world = World::new(4096, &[warm, short]);
    let _asking = line_up(&world.pool("short")).await;
    let now = clock::now();
    world.control.pass(now);
    assert_eq!((world.node.target("warm"), world.node.target("short")), (2, 1));
    world.control.pass(now + Duration::from_secs(4));
    assert_eq!(world.node.target("short"), 1);
    // Nobody waits any more; that was 4 s after now by the passes' clock, which never goes back.
    let pool = world.pool("short");
    pool.refuse(crate::router::StartFailure {
        status: 503,
        reason: String::new(),
        retry_after: Duration::ZERO,
        until: now,
    });
    world.control.pass(clock::now() + Duration::from_secs(10));
    assert_eq!((world.node.target("warm"), world.node.target("short")), (2, 0));
    let scaled = world.told("scale");
    assert!(scaled.last().unwrap().reasons[0].contains("the idle timeout is 5 s"), "{scaled:?}");
}

#[tokio::test]
async fn what_has_no_place_is_refused_with_the_numbers_told_once_and_retried() {
    let world = World::new(1024, &[sized("big", 4096), sized("web", 128)]);
    let big = world.pool("big");
    let asking = line_up(&big).await;
    world.control.answer_demand(clock::now());
    let Err(AcquireError::StartFailed(failure)) = asking.await.unwrap() else { panic!("it was not refused") };
    assert_eq!(failure.status, 503);
    assert!(failure.reason.contains("asks for 4096 MiB, the largest node has 1024 MiB"), "{failure:?}");
    assert_eq!(failure.retry_after, Duration::from_secs(1));
    // Who comes too early is answered at once; the passes that follow tell nothing new.
    assert!(matches!(big.acquire(ask()).await, Err(AcquireError::StartFailed(_))));
    (0..5).for_each(|_| world.control.pass(clock::now()));
    assert_eq!((world.told("unplaceable").len(), world.node.calls()), (1, 0));
    let why = world.control.target(big.name()).unwrap();
    assert_eq!(why.value, 1);
    assert!(why.reasons.iter().any(|reason| reason.contains("4096 MiB")), "{why:?}");
    assert!(matches!(world.control.place("big", false).await, Err(PlaceError::Unplaceable { .. })));
    // The machine grew: it is placed, and who comes waits.
    world.node.change(|view| view.total_memory_mib = 8192);
    world.control.pass(clock::now());
    assert_eq!(world.node.target("big"), 1);
    let asking = line_up(&big).await;
    big.add(endpoint("big", "b"));
    drop(asking.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_change_by_others_is_looked_at_and_tried_again() {
    use std::sync::atomic::Ordering::SeqCst;
    let world = World::new(1024, &[component("web", |wire| wire.min_instances = Some(1))]);
    world.node.interference.store(2, SeqCst);
    world.control.pass(clock::now());
    assert_eq!((world.node.target("web"), world.node.calls()), (1, 3));
    // A change that never ends is left to the next tick.
    world.node.interference.store(u32::MAX, SeqCst);
    world.router.configure(&snapshot(&[component("web", |wire| wire.min_instances = Some(2))]));
    world.control.pass(clock::now());
    assert_eq!((world.node.target("web"), world.node.calls()), (1, 7));
    assert_eq!(world.told("placement").len(), 1);
}

#[tokio::test]
async fn a_queue_scales_up_after_its_patience_to_the_maximum() {
    let web = component("web", |wire| wire.max_instances = Some(4));
    let world = World::new(4096, &[web]);
    let pool = world.pool("web");
    pool.add(endpoint("web", "a"));
    let _busy = pool.acquire(ask()).await.unwrap();
    let mut line = Vec::new();
    for _ in 0..9 {
        line.push(line_up(&pool).await);
    }
    world.control.pass(clock::now());
    assert_eq!(world.node.target("web"), 1);
    let now = clock::now();
    let left = world.control.patience(now).expect("the loop looks again soon");
    assert!(left <= autoscale::QUEUE_PATIENCE);
    world.control.pass(now + autoscale::QUEUE_PATIENCE);
    assert_eq!(world.node.target("web"), 4);
    let scaled = world.told("scale");
    let reasons = &scaled.last().unwrap().reasons;
    assert!(reasons[0].starts_with("9 requests wait"), "{reasons:?}");
    assert!(reasons[1].contains("maxinstances is 4"), "{reasons:?}");
    // Told once, though it stays so.
    world.control.pass(clock::now() + Duration::from_secs(1));
    assert_eq!(world.told("scale").len(), scaled.len());
}

#[tokio::test]
async fn placing_by_hand_counts_as_a_request() {
    let world = World::new(1024, &[sized("web", 128)]);
    assert_eq!(world.control.place("WEB", false).await, Ok(Placed::Here));
    assert_eq!(world.node.target("web"), 1);
    world.control.pass(clock::now() + Duration::from_secs(10));
    assert_eq!(world.node.target("web"), 1, "it stays for the idle timeout");
    assert!(matches!(world.control.place("nope", false).await, Err(PlaceError::NoSuchComponent(_))));
}

#[tokio::test(start_paused = true)]
async fn the_loop_wakes_for_demand_configuration_and_the_node_and_ends_by_its_token() {
    let world = World::new(1024, &[sized("web", 128)]);
    let token = CancellationToken::new();
    let mut running = pin!(Arc::clone(&world.control).run(token.clone()));
    // Everything happens in one instant of the paused clock: no tick comes to help.
    let mut run_until = async |condition: &dyn Fn() -> bool| {
        poll_fn(|context| {
            assert!(running.as_mut().poll(context).is_pending());
            if condition() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    };
    run_until(&|| world.control.memory.lock().generation == 1).await;
    let asking = line_up(&world.pool("web")).await;
    run_until(&|| world.node.target("web") == 1).await;
    world
        .router
        .configure(&snapshot(&[sized("web", 128), component("warm", |wire| wire.min_instances = Some(1))]));
    run_until(&|| world.node.target("warm") == 1).await;
    world.node.set("gone", 3);
    run_until(&|| world.node.target("gone") == 0).await;
    asking.abort();
    token.cancel();
    running.await;
}
