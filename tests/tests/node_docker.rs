//! A node beside the real engine: what the one in memory can't show. Times are compared with the engine's
//! own, in seconds, since machines that run tests are busy.

#![expect(clippy::print_stdout, reason = "a test's measurements, shown when asked for")]

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    query_parameters::{
        InspectContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use maelstrom_core::{
    component::Component,
    decide::pool::{Place, Reach},
    names::{ComponentName, NodeId},
    ports::engine::{ContainerEngine, LABEL_NODE},
    wire,
};
use maelstrom_tests::image;
use maelstromd::{
    clock::{self, SystemClock},
    cluster::Snapshot,
    control::{Target, Targets},
    docker::DockerEngine,
    images::Pulls,
    journal::Journal,
    node::{Containers, HttpChecker, LocalPermits, Node, NodeParts, NodeSettings},
    router::{AcquireError, Ask, Router, Slot},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    id: NodeId,
    docker: Docker,
    node: Arc<Node>,
    router: Arc<Router>,
    journal: Arc<Journal>,
    configuration: watch::Sender<Arc<Snapshot>>,
}

impl Rig {
    async fn new(case: &str, component: Arc<Component>) -> Self {
        let docker = Docker::connect_with_defaults().expect("a Docker engine: tests/setup/docker starts one");
        image::prepare(&docker).await.expect("the test image");
        Self::beside(docker, NodeId::new(format!("node-{}-{case}", std::process::id())), component)
    }

    /// A daemon that starts, whatever its last one left behind.
    fn beside(docker: Docker, id: NodeId, component: Arc<Component>) -> Self {
        let journal = Arc::new(Journal::new(id.clone()));
        let router = Router::new(journal.clone());
        let engine: Arc<dyn ContainerEngine> = Arc::new(DockerEngine::new(None));
        let clock = Arc::new(SystemClock);
        let parts = NodeParts {
            engine: engine.clone(),
            images: Arc::new(Pulls::new(engine, journal.clone(), clock.clone())),
            checker: Arc::new(HttpChecker),
            permits: Arc::new(LocalPermits::default()),
            router: router.clone(),
            journal: journal.clone(),
            clock,
            roles: Arc::new(Default::default),
        };
        let settings = NodeSettings {
            incarnation: "1".into(),
            total_memory_mib: 4_096,
            private_url: "http://172.17.0.1:1".into(),
            peer_url: String::new(),
            listens: Duration::ZERO,
            parallel_starts: 2,
        };
        let node = Node::new(id.clone(), parts, settings);
        let snapshot = Arc::new(Snapshot {
            components: HashMap::from([(component.name.clone(), component)]),
            ..Default::default()
        });
        router.configure(&snapshot);
        let (configuration, changes) = watch::channel(snapshot);
        tokio::spawn(node.clone().run(changes, CancellationToken::new()));
        Self { id, docker, node, router, journal, configuration }
    }

    fn target(&self, count: u32) {
        let target = Target { component: name(), count, reasons: Vec::new() };
        self.node.set_targets(None, None, &[target]).expect("no version was expected");
    }

    async fn request(&self) -> Result<Slot, AcquireError> {
        let now = clock::now();
        let pool = self.router.component("web").expect("configured");
        pool.acquire(Ask {
            now,
            deadline: now + PATIENCE,
            bytes_held: 0,
            avoid: None,
            reach: Reach::Anywhere,
        })
        .await
    }

    /// Waits until the node's instances are as `condition` says.
    async fn until(&self, what: &str, condition: impl Fn(&[wire::ComponentInfo]) -> bool) {
        let mut changes = self.node.changes();
        let told = changes.wait_for(|_| condition(&self.node.status().running_components));
        let outcome = tokio::time::timeout(PATIENCE, told).await.map(drop);
        assert!(outcome.is_ok(), "never: {what}\n{}", self.story());
    }

    fn story(&self) -> String {
        let events = self.journal.list(&wire::ListEventsInput::default());
        events.iter().map(|e| format!("{} {} {:?} {:?}\n", e.kind, e.message, e.reasons, e.data)).collect()
    }

    async fn containers(&self) -> Vec<String> {
        let label = format!("{LABEL_NODE}={}", self.id);
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await.expect("list");
        listed.into_iter().filter_map(|container| container.id).collect()
    }

    /// Kills the container's first process itself, as the kernel would.
    async fn kill(&self, id: &str) {
        let inspected =
            self.docker.inspect_container(id, None::<InspectContainerOptions>).await.expect("inspect");
        let pid = inspected.state.and_then(|state| state.pid).and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, Signal::KILL).expect("tests run as the engine's user");
    }

    async fn done(self) {
        self.target(0);
        self.node.stop(Containers::Stop).await;
        for id in self.containers().await {
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            let _ = self.docker.remove_container(&id, Some(options)).await;
        }
    }
}

fn name() -> ComponentName {
    ComponentName::parse("web").expect("a good name")
}

fn web(change: impl FnOnce(&mut wire::Component)) -> Arc<Component> {
    let docker = wire::DockerComponent { image: image::APP.into(), ..Default::default() };
    let mut web = wire::Component {
        name: "web".into(),
        version: 1,
        max_concurrency: 8,
        docker: Some(docker),
        ..Default::default()
    };
    change(&mut web);
    Arc::new(Component::parse(&web).expect("a good component"))
}

fn active(infos: &[wire::ComponentInfo]) -> usize {
    infos.iter().filter(|info| info.status == "active" && info.standby.is_none()).count()
}

fn standing_by(infos: &[wire::ComponentInfo]) -> usize {
    infos.iter().filter(|info| info.status == "active" && info.standby.is_some()).count()
}

#[tokio::test]
async fn a_cold_start_serves_and_a_killed_instance_is_replaced_at_once() {
    let rig = Rig::new("kill", web(|_| {})).await;
    let began = Instant::now();
    rig.target(1);
    let slot = rig.request().await.expect("an instance");
    println!("cold start: {:?}", began.elapsed());
    let Place::Here(first) = slot.endpoint().place.clone() else { panic!("there is no other node") };
    drop(slot);

    rig.kill(first.as_str()).await;
    let began = Instant::now();
    rig.until("the killed one is out of rotation", |infos| {
        infos.iter().all(|info| info.instance_id.as_deref() != Some(first.as_str()))
    })
    .await;
    println!("death noticed: {:?} after the kill", began.elapsed());
    let slot = rig.request().await.expect("another instance");
    println!("replaced: {:?}", began.elapsed());
    assert_ne!(slot.endpoint().place, Place::Here(first.clone()));
    drop(slot);
    rig.done().await;
}

#[tokio::test]
async fn a_standby_instance_is_resumed_within_a_fraction_of_a_start() {
    let rig = Rig::new("standby", web(|web| web.standby = Some(1))).await;
    rig.until("one stands by", |infos| standing_by(infos) == 1).await;
    let began = Instant::now();
    rig.target(1);
    let slot = rig.request().await.expect("an instance");
    println!("resumed: {:?}", began.elapsed());
    drop(slot);
    rig.until("it is replaced", |infos| active(infos) == 1 && standing_by(infos) == 1).await;
    assert_eq!(rig.containers().await.len(), 2);
    rig.done().await;
}

#[tokio::test]
async fn an_image_that_exits_at_once_is_told_with_its_code() {
    let component = web(|web| {
        web.environment = vec![wire::NameValue { name: "APP_EXIT".into(), value: "3".into() }];
    });
    let rig = Rig::new("exits", component).await;
    rig.target(1);
    match rig.request().await {
        Err(AcquireError::StartFailed(failure)) => {
            println!("{}", failure.reason);
            assert!(failure.status == 502 && failure.reason.contains("code 3"), "{}", failure.reason);
        }
        other => panic!("a failed start was expected, not {other:?}"),
    }
    rig.done().await;
}

#[tokio::test]
async fn a_program_that_does_not_exist_and_an_image_that_does_not_are_told() {
    let component = web(|web| {
        let docker = web.docker.as_mut().expect("set above");
        docker.entrypoint = Some(vec!["/no/such/program".into()]);
    });
    let rig = Rig::new("entrypoint", component).await;
    rig.target(1);
    let Err(AcquireError::StartFailed(failure)) = rig.request().await else { panic!("a failure expected") };
    println!("{}", failure.reason);
    assert!(failure.reason.contains("/no/such/program"), "{}", failure.reason);
    let component = web(|web| {
        web.version = 2;
        web.docker.as_mut().expect("set above").image = "maelstrom-test/no-such-image:1".into();
    });
    let snapshot = Arc::new(Snapshot {
        components: HashMap::from([(component.name.clone(), component)]),
        ..Default::default()
    });
    rig.router.configure(&snapshot);
    rig.configuration.send_replace(snapshot);
    let Err(AcquireError::StartFailed(failure)) = rig.request().await else { panic!("a failure expected") };
    println!("{}", failure.reason);
    assert!(failure.reason.contains("no-such-image"), "{}", failure.reason);
    rig.done().await;
}

#[tokio::test]
async fn a_new_daemon_takes_over_what_runs_and_what_stands_by() {
    let component = web(|web| web.standby = Some(1));
    let rig = Rig::new("adopt", component.clone()).await;
    rig.target(1);
    rig.until("all is there", |infos| active(infos) == 1 && standing_by(infos) == 1).await;
    let mut before = rig.containers().await;
    rig.node.stop(Containers::Keep).await;

    let next = Rig::beside(rig.docker.clone(), rig.id.clone(), component);
    next.until("all is taken over", |infos| active(infos) == 1 && standing_by(infos) == 1).await;
    assert!(next.request().await.is_ok());
    let mut after = next.containers().await;
    before.sort();
    after.sort();
    assert_eq!(before, after, "{}", next.story());
    next.done().await;
}
