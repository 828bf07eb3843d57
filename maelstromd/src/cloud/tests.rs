//! A machine of a group in memory: what its cloud tells becomes a drain, what holds it is kept alive and
//! completed, and its poller looks after all machines of the group.

use std::net::SocketAddr;

use maelstrom_core::{
    component::DockerSpec,
    decide::{
        drain::{Limits, Phase},
        health::Probe,
    },
    lifecycle::Transition,
    names::Role,
    ports::{
        BoxFuture,
        autoscaling::Verdict,
        engine::EngineResult,
        metadata::{Notices, SpotNotice},
        monitoring::MonitoringError,
    },
    testing::{
        cloud::MemoryCloud, engine::FakeEngine, monitoring::MemoryMonitoring, queue::MemoryQueues,
        store::MemoryStore,
    },
};

use super::*;
use crate::{
    access::PeerSecret,
    clock::PausedClock,
    cluster::{PeersParts, PeersSettings, RolesSettings},
    node::{Checker, LocalPermits, NodeParts, NodeSettings, Occasion},
    router::Router,
};

const QUEUE: &str = "http://queue/leave";
/// Virtual time after which a test gives up waiting.
const PATIENCE: Duration = Duration::from_secs(1_200);
const TIMEOUT: Duration = Duration::from_secs(60);

struct Fine;

impl Checker for Fine {
    fn check(&self, _: SocketAddr, _: &DockerSpec, _: Duration) -> BoxFuture<'static, Probe> {
        Box::pin(async { Probe::Passed })
    }

    fn accepts(&self, _: SocketAddr, _: Duration) -> BoxFuture<'static, Probe> {
        Box::pin(async { Probe::Passed })
    }
}

impl Images for Fine {
    fn ensure(&self, _: &DockerSpec, _: Occasion) -> BoxFuture<'static, EngineResult<()>> {
        Box::pin(async { Ok(()) })
    }
}

struct World {
    group: MemoryCloud,
    queues: MemoryQueues,
    monitoring: MemoryMonitoring,
    drainer: Arc<Drainer>,
    cloud: Arc<Cloud>,
    own: String,
    other: String,
    base: Tasks,
    events: Tasks,
}

impl World {
    /// Two machines of a group with a hook; the node runs on the first, the other one is no node.
    async fn new(settings: CloudSettings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::new());
        let group = MemoryCloud::new(clock.clone(), "web", 4);
        group.put_hook("leave", Transition::Terminating, TIMEOUT);
        let (own, other) = (group.launch(), group.launch());
        Self::on(clock, group, own, other, settings).await
    }

    async fn on(
        clock: Arc<dyn Clock>,
        group: MemoryCloud,
        own: String,
        other: String,
        settings: CloudSettings,
    ) -> Self {
        let id = NodeId::new("n1");
        let journal = Arc::new(Journal::new(id.clone()));
        let store = Arc::new(MemoryStore::exclusive());
        let configuration = ConfigurationCache::load(store.clone(), journal.clone()).await.unwrap();
        let router = Router::new(journal.clone());
        let parts = NodeParts {
            engine: Arc::new(FakeEngine::new(clock.clone())),
            images: Arc::new(Fine),
            checker: Arc::new(Fine),
            permits: Arc::new(LocalPermits::default()),
            router: router.clone(),
            journal: journal.clone(),
            clock: clock.clone(),
            roles: Arc::new(Default::default),
        };
        let url = "http://10.0.0.1:8374".to_owned();
        let node = Node::new(
            id.clone(),
            parts,
            NodeSettings {
                incarnation: "1".into(),
                total_memory_mib: 1_000,
                private_url: url.clone(),
                peer_url: url.clone(),
                listens: Duration::ZERO,
                parallel_starts: 2,
            },
        );
        let told = node.clone();
        let peers = Peers::new(
            PeersSettings { node: id.clone(), liveness: PATIENCE, secret: PeerSecret::default() },
            PeersParts {
                status: Arc::new(move || told.status()),
                routing: router.clone(),
                store: store.clone(),
                commits: configuration.commits(),
                journal: journal.clone(),
                clock: clock.clone(),
            },
        );
        let roles = RolesSettings::new(id.clone(), "1".into(), url);
        let roles = Roles::new(store, journal.clone(), clock.clone(), roles, Vec::new());
        let limits = Limits { pause: Duration::ZERO, requests: Duration::from_secs(10) };
        let drainer = Drainer::new(limits, journal.clone(), clock.clone(), None);
        let queues = MemoryQueues::new(clock.clone());
        queues.create(QUEUE);
        let monitoring = MemoryMonitoring::default();
        let cloud = Cloud::new(
            settings,
            CloudParts {
                node_id: id,
                metadata: Arc::new(group.metadata(&own)),
                scaling: Arc::new(group.clone()),
                queues: Arc::new(queues.clone()),
                monitoring: Arc::new(monitoring.clone()),
                images: Arc::new(Fine),
                configuration: configuration.clone(),
                drainer: drainer.clone(),
                node: node.clone(),
                control: Control::new(router.clone(), node.clone(), journal.clone()),
                peers,
                roles: roles.clone(),
                journal,
                clock,
            },
        );
        let (base, events) = (Tasks::new(), Tasks::new());
        base.spawn("roles", roles.run(base.token().clone()));
        base.spawn("node", node.run(configuration.subscribe(), base.token().clone()));
        cloud.launch(&base, &events);
        Self { group, queues, monitoring, drainer, cloud, own, other, base, events }
    }

    /// The group ends a machine; its hook writes into the queue.
    fn terminate(&self, instance: &str) {
        for body in self.group.terminate(instance) {
            self.queues.send(QUEUE, &body);
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let so = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, so).await.is_ok(), "{what} does not come");
    }

    async fn stop(self) {
        self.events.stop(PATIENCE).await;
        self.base.stop(Duration::from_secs(5)).await;
    }
}

fn polling() -> CloudSettings {
    CloudSettings { queue: Some(QUEUE.into()), max_age: Duration::from_secs(600), ..CloudSettings::default() }
}

fn watching() -> CloudSettings {
    CloudSettings { poll: Some(Duration::from_secs(60)), ..CloudSettings::default() }
}

#[tokio::test(start_paused = true)]
async fn a_message_for_this_machine_begins_its_drain_and_the_farewell_ends_the_action() {
    let world = World::new(polling()).await;
    world.terminate(&world.own);
    world.until("the drain", || world.drainer.phase() == Phase::Leaving).await;
    let actions = world.drainer.actions();
    assert_eq!((actions.len(), actions[0].0.hook.as_str()), (1, "leave"));
    // Longer than the hook waits without a sign of life.
    tokio::time::sleep(5 * TIMEOUT).await;
    assert_eq!((world.group.held(&world.own), world.queues.len(QUEUE)), (1, 1));
    world.cloud.complete().await;
    assert_eq!(world.group.state_of(&world.own), None, "the machine may go");
    world.cloud.delete_letters().await;
    assert!(world.queues.is_empty(QUEUE));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_no_node_is_let_go_without_waiting_for_the_time_out() {
    let world = World::new(polling()).await;
    let began = world.cloud.parts.clock.now();
    world.terminate(&world.other);
    world.until("the end of the machine", || world.group.state_of(&world.other).is_none()).await;
    let took = world.cloud.parts.clock.now().since(began);
    assert!(took >= Duration::from_secs(30) && took < TIMEOUT, "{took:?}");
    assert!(world.group.beats() >= 2, "it was kept alive in case its node came");
    world.until("an empty queue", || world.queues.is_empty(QUEUE)).await;
    assert_eq!(world.drainer.phase(), Phase::Serving);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_mean_nothing_end_nothing_and_hold_nothing_up() {
    let world = World::new(polling()).await;
    let stale = world.group.terminate(&world.other).remove(0);
    let over =
        Action { group: "web".into(), hook: "leave".into(), instance: world.other.clone(), token: None };
    world.cloud.parts.scaling.complete(over, Verdict::Continue).await.unwrap();
    let foreign = stale.replace("\"web\"", "\"elsewhere\"");
    let launch = stale.replace(&world.other, &world.own).replace("TERMINATING", "LAUNCHING");
    let test = r#"{"Event": "autoscaling:TEST_NOTIFICATION"}"#;
    for body in ["nonsense", "{}", test, &stale, &foreign, &launch] {
        world.queues.send(QUEUE, body);
    }
    world.until("the end of what is over", || world.queues.len(QUEUE) == 3).await;
    assert_eq!(world.drainer.phase(), Phase::Serving, "no node ends for a launch or an old message");
    world.terminate(&world.own);
    world.until("the drain", || world.drainer.phase() == Phase::Leaving).await;
    // What can't be read goes with its time; what is another group's stays.
    world.until("the end of nonsense", || world.queues.len(QUEUE) == 2).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_no_message_told_is_found_by_the_sweep() {
    let world = World::new(polling()).await;
    let _lost = world.group.terminate(&world.own);
    world.until("the drain", || world.drainer.phase() == Phase::Leaving).await;
    assert_eq!(world.drainer.actions()[0].1, None);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_stops_polling_leaves_the_messages_to_the_next_one_at_once() {
    let world = World::new(polling()).await;
    world.terminate(&world.other);
    world.until("the message to be looked after", || world.group.beats() > 0).await;
    world.events.stop(PATIENCE).await;
    let receive = maelstrom_core::ports::queue::Receive {
        most: 1,
        wait: Duration::ZERO,
        visibility: Duration::from_secs(1),
    };
    let received = world.cloud.parts.queues.receive(QUEUE.into(), receive).await.unwrap();
    assert_eq!(received.messages.len(), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_spot_notice_is_seen_within_five_seconds_whatever_period_is_set() {
    let world = World::new(watching()).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(world.drainer.phase(), Phase::Serving);
    let time = world.cloud.parts.clock.wall() + Duration::from_secs(120);
    let spot = SpotNotice { action: "terminate".into(), time: Some(time) };
    world.group.notice(&world.own, Notices { spot: Some(spot), ..Notices::default() });
    let noticed = world.cloud.parts.clock.now();
    world.until("the drain", || world.drainer.phase() == Phase::Leaving).await;
    assert!(world.cloud.parts.clock.now().since(noticed) <= Duration::from_secs(6));
    assert_eq!(world.drainer.info(false).unwrap().deadline, Some(time.as_millis()));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_target_state_alone_is_enough_to_complete_the_action() {
    let world = World::new(watching()).await;
    world.until("the machine's name", || world.cloud.identity().instance.is_some()).await;
    let _nobody_reads_it = world.group.terminate(&world.own);
    world.group.notice(&world.own, Notices { terminates: true, ..Notices::default() });
    world.until("the action", || !world.drainer.actions().is_empty()).await;
    tokio::time::sleep(3 * TIMEOUT).await;
    assert_eq!(world.group.held(&world.own), 1, "it gives signs of life");
    world.cloud.complete().await;
    assert_eq!(world.group.state_of(&world.own), None);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_refuses_for_a_while_is_asked_again() {
    let world = World::new(polling()).await;
    for action in ["autoscaling:RecordLifecycleActionHeartbeat", "autoscaling:CompleteLifecycleAction"] {
        world.group.set_failing(action, true);
    }
    world.terminate(&world.own);
    world.until("the drain", || world.drainer.phase() == Phase::Leaving).await;
    let completing = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.group.set_failing("autoscaling:CompleteLifecycleAction", false);
    };
    tokio::join!(world.cloud.complete(), completing);
    assert_eq!(world.group.state_of(&world.own), None);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_launch_is_completed_when_the_node_is_of_use() {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new());
    let group = MemoryCloud::new(clock.clone(), "web", 4);
    group.put_hook("come", Transition::Launching, Duration::from_secs(300));
    let (own, other) = (group.launch(), group.launch());
    assert_eq!(group.state_of(&own).as_deref(), Some("Pending:Wait"));
    let world = World::on(clock, group, own, other, watching()).await;
    world.until("service", || world.group.state_of(&world.own).as_deref() == Some("InService")).await;
    assert_eq!(world.group.state_of(&world.other).as_deref(), Some("Pending:Wait"), "that is its own node's");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_operators_command_is_run_and_bounded_by_whoever_waits() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("written");
    let command = Some(format!("echo gone > {}; echo said", written.display()));
    let world = World::new(CloudSettings { command, ..watching() }).await;
    world.cloud.run_command().await;
    assert_eq!(std::fs::read_to_string(&written).unwrap(), "gone\n");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_places_sends_the_capacity_in_numbers_once_a_minute() {
    let world = World::new(CloudSettings { metrics: true, ..CloudSettings::default() }).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.monitoring.seen(), [], "another node places");
    let _places = world.cloud.parts.roles.want_one(Role::new(crate::control::ROLE));
    world.until("numbers", || world.monitoring.seen().len() == 1).await;
    let (group, samples) = world.monitoring.seen().remove(0);
    let names: Vec<(&str, f64)> = samples.iter().map(|sample| (sample.name, sample.value)).collect();
    let expected =
        [("Nodes", 1.0), ("MemoryReserved", 0.0), ("MemoryWanted", 0.0), ("InstancesWithoutRoom", 0.0)];
    assert_eq!((group.as_str(), &names[..]), ("web", &expected[..]));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.monitoring.seen().len(), 6);
    world.monitoring.refuse(Some(MonitoringError::Denied { reason: "not you".into() }));
    tokio::time::sleep(Duration::from_secs(300)).await;
    world.monitoring.refuse(None);
    world.until("numbers again", || world.monitoring.seen().len() == 7).await;
    world.stop().await;
}
