//! One node, its router and its engine; and the words in which tests speak of them.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use maelstrom_core::{
    component::{Component, DockerSpec},
    decide::{converge::State, health::Probe, pool::Reach},
    names::{ComponentName, InstanceId, NodeId},
    ports::{
        BoxFuture,
        clock::Clock,
        engine::{Container, ContainerEngine, ContainerState, EngineResult},
    },
    testing::{
        clock::SimulatedClock,
        engine::{FakeEngine, Operation},
    },
    time::Moment,
    wire,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    cluster::Snapshot,
    control::{Target, Targets},
    journal::Journal,
    node::{Checker, Images, LocalPermits, Node, NodeParts, NodeSettings, Occasion, instance::Instance},
    router::{AcquireError, Ask, ComponentPool, Router, Slot},
};

/// Virtual time after which a test gives up waiting.
const PATIENCE: Duration = Duration::from_secs(900);
/// Far more polls than any chain of tasks here needs until it waits for time.
const POLLS: usize = 60;

pub(super) struct World {
    pub(super) clock: SimulatedClock,
    pub(super) engine: FakeEngine,
    pub(super) router: Arc<Router>,
    pub(super) journal: Arc<Journal>,
    pub(super) checker: Arc<FakeChecker>,
    pub(super) node: Arc<Node>,
    configuration: watch::Sender<Arc<Snapshot>>,
    running: tokio::task::JoinHandle<()>,
    token: CancellationToken,
}

/// Answers checks as told; without being told, every check passes.
#[derive(Default)]
pub(super) struct FakeChecker {
    pub(super) answer: Mutex<Option<Probe>>,
    pub(super) asked: AtomicUsize,
}

struct EngineImages(FakeEngine);

impl Checker for FakeChecker {
    fn check(&self, _: SocketAddr, _: &DockerSpec, _: Duration) -> BoxFuture<'static, Probe> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.lock().clone().unwrap_or(Probe::Passed);
        Box::pin(async { answer })
    }

    fn accepts(&self, address: SocketAddr, patience: Duration) -> BoxFuture<'static, Probe> {
        let _ = (address, patience);
        Box::pin(async { Probe::Passed })
    }
}

impl Images for EngineImages {
    fn ensure(&self, docker: &DockerSpec, _: Occasion) -> BoxFuture<'static, EngineResult<()>> {
        let (engine, docker) = (self.0.clone(), docker.clone());
        Box::pin(async move { engine.pull(docker.image, docker.pull).await })
    }
}

/// Component `web` of image `app`, which a test changes as it needs.
pub(super) fn web(change: impl FnOnce(&mut wire::Component)) -> Arc<Component> {
    let docker = wire::DockerComponent { image: "app".into(), ..Default::default() };
    let mut web =
        wire::Component { name: "web".into(), version: 1, docker: Some(docker), ..Default::default() };
    change(&mut web);
    Arc::new(Component::parse(&web).expect("a test's component is valid"))
}

pub(super) fn docker(web: &mut wire::Component) -> &mut wire::DockerComponent {
    web.docker.as_mut().expect("set above")
}

pub(super) fn name() -> ComponentName {
    ComponentName::parse("web").unwrap()
}

// === impl World ===

impl World {
    /// A running node that knows `component`, with image `app` on its engine.
    pub(super) async fn new(component: Arc<Component>) -> Self {
        let clock = SimulatedClock::new();
        let engine = FakeEngine::new(Arc::new(clock.clone()));
        engine.add_image("app");
        Self::on(clock, engine, component).await
    }

    /// The same beside an engine that is there already.
    pub(super) async fn on(clock: SimulatedClock, engine: FakeEngine, component: Arc<Component>) -> Self {
        Self::listening(clock, engine, component, Duration::ZERO).await
    }

    /// One that may have peers and waits so long to hear of them.
    pub(super) async fn listening(
        clock: SimulatedClock,
        engine: FakeEngine,
        component: Arc<Component>,
        listens: Duration,
    ) -> Self {
        let id = NodeId::new("n1");
        let journal = Arc::new(Journal::new(id.clone()));
        let router = Router::new(journal.clone());
        let checker = Arc::new(FakeChecker::default());
        let parts = NodeParts {
            engine: Arc::new(engine.clone()),
            images: Arc::new(EngineImages(engine.clone())),
            checker: checker.clone(),
            permits: Arc::new(LocalPermits::default()),
            router: router.clone(),
            journal: journal.clone(),
            clock: Arc::new(clock.clone()),
            roles: Arc::new(Default::default),
        };
        let settings = NodeSettings {
            incarnation: "1".into(),
            total_memory_mib: 4_096,
            private_url: "http://172.17.0.1:8374".into(),
            peer_url: "http://10.0.0.1:8374".into(),
            listens,
            parallel_starts: 2,
        };
        let node = Node::new(id, parts, settings);
        let (configuration, changes) = watch::channel(Arc::new(Snapshot::default()));
        let world = |running, token| Self {
            clock,
            engine,
            router,
            journal,
            checker,
            node: node.clone(),
            configuration,
            running,
            token,
        };
        let token = CancellationToken::new();
        let mut world = world(tokio::spawn(async {}), token.clone());
        world.configure([component]);
        world.running = tokio::spawn(node.run(changes, token));
        world.settle().await;
        world
    }

    pub(super) fn configure(&self, components: impl IntoIterator<Item = Arc<Component>>) {
        let components: HashMap<_, _> = components.into_iter().map(|c| (c.name.clone(), c)).collect();
        let snapshot = Arc::new(Snapshot { components, ..Default::default() });
        self.router.configure(&snapshot);
        self.configuration.send_replace(snapshot);
    }

    pub(super) fn target(&self, count: u32) {
        let target = Target { component: name(), count, reasons: vec!["a test".into()] };
        self.node.set_targets(None, None, &[target]).unwrap();
    }

    /// Lets all tasks run until they wait for time or for somebody.
    pub(super) async fn settle(&self) {
        for _ in 0..POLLS {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass until `condition` holds.
    pub(super) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = self.clock.now() + PATIENCE;
        loop {
            self.settle().await;
            if condition(self) {
                return;
            }
            assert!(self.clock.now() < deadline, "never: {what}; {}", self.story());
            assert!(
                self.clock.advance_to_next().is_some(),
                "nobody waits, yet never: {what}; {}",
                self.story()
            );
        }
    }

    /// Lets `time` pass, looking at `always` whenever something may have changed.
    pub(super) async fn pass(&self, time: Duration, always: impl Fn(&Self)) {
        let end = self.clock.now() + time;
        // An alarm of its own, so that time doesn't jump past the end.
        let mut alarm = self.clock.sleep_until(end);
        let _ = (&mut alarm).now_or_never();
        self.settle().await;
        while self.clock.now() < end {
            always(self);
            self.clock.advance_to_next();
            self.settle().await;
        }
        always(self);
    }

    pub(super) async fn serving(&self, count: usize) {
        self.until(&format!("{count} serve"), |world| {
            world.count(State::Serving) == count && world.instances().len() == count
        })
        .await;
    }

    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        self.node.context.unit(&name()).map(|unit| unit.instances()).unwrap_or_default()
    }

    pub(super) fn count(&self, state: State) -> usize {
        self.instances().iter().filter(|instance| instance.state() == state).count()
    }

    pub(super) fn ids(&self) -> Vec<InstanceId> {
        self.instances().iter().filter_map(|instance| instance.id()).collect()
    }

    pub(super) fn pool(&self) -> Arc<ComponentPool> {
        self.router.component("web").expect("the component is configured")
    }

    /// A request comes; its slot, or why it gets none.
    pub(super) fn request(&self) -> tokio::task::JoinHandle<Result<Slot, AcquireError>> {
        let now = clock::now();
        let ask = Ask {
            now,
            deadline: now + Duration::from_secs(600),
            bytes_held: 0,
            avoid: None,
            reach: Reach::Anywhere,
        };
        let pool = self.pool();
        tokio::spawn(async move { pool.acquire(ask).await })
    }

    pub(super) fn running(&self) -> Vec<Container> {
        self.engine.containers().into_iter().filter(|c| c.state == ContainerState::Running).collect()
    }

    pub(super) fn paused(&self) -> Vec<Container> {
        self.engine.containers().into_iter().filter(|c| c.state == ContainerState::Paused).collect()
    }

    pub(super) fn creates(&self) -> usize {
        self.engine.count(Operation::Create)
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The journal as lines, for messages and for searching.
    pub(super) fn story(&self) -> String {
        let events = self.journal.list(&wire::ListEventsInput::default());
        let lines = events.iter().map(|e| format!("\n{} {} {:?} {:?}", e.kind, e.message, e.reasons, e.data));
        lines.collect()
    }

    /// The daemon ends at once and leaves everything as it is.
    pub(super) async fn crash(self) -> (SimulatedClock, FakeEngine) {
        self.token.cancel();
        let _ = self.running.await;
        (self.clock, self.engine)
    }
}
