//! The node's methods and those that explain it on raw JSON, on an engine in memory.

use std::net::SocketAddr;

use maelstrom_core::{
    component::DockerSpec,
    decide::{
        drain::{Limits, Phase},
        health::Probe,
    },
    ports::{BoxFuture, clock::Clock, engine::EngineResult},
    testing::{
        cloud::MemoryCloud, engine::FakeEngine, monitoring::MemoryMonitoring, queue::MemoryQueues,
        store::MemoryStore,
    },
};
use serde_json::{Value, json};

use super::*;
use crate::{
    access::PeerSecret,
    api::{DrainService, History, Insight, Live, MaelstromService, Observer},
    clock::SystemClock,
    cloud::{Cloud, CloudParts, CloudSettings},
    cluster::{PeersParts, PeersSettings, Roles, RolesSettings},
    drain::Drainer,
    journal::Journal,
    node::{Checker, Images, LocalPermits, NodeParts, NodeSettings, Occasion},
    router::Router,
    tasks::Tasks,
};

/// Every check passes, every image is there.
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

pub(in crate::api) struct World {
    registry: Registry,
    router: Arc<Router>,
    configuration: Arc<ConfigurationCache>,
    pub(in crate::api) live: Arc<Live>,
    drainer: Arc<Drainer>,
    tasks: Tasks,
}

impl World {
    /// A node that runs; nothing scales it but what a test asks for.
    pub(in crate::api) async fn new() -> Self {
        Self::on_machine(None).await
    }

    /// On a machine of a cloud, by its id.
    async fn on_machine(machine: Option<&str>) -> Self {
        let id = NodeId::new("n1");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let journal = Arc::new(Journal::new(id.clone()));
        let configuration =
            ConfigurationCache::load(Arc::new(MemoryStore::new()), journal.clone()).await.unwrap();
        let router = Router::new(journal.clone());
        let engine = FakeEngine::new(clock.clone());
        engine.add_image("i:1");
        let parts = NodeParts {
            engine: Arc::new(engine),
            images: Arc::new(Fine),
            checker: Arc::new(Fine),
            permits: Arc::new(LocalPermits::default()),
            router: router.clone(),
            journal: journal.clone(),
            clock: clock.clone(),
            roles: Arc::new(Default::default),
        };
        let settings = NodeSettings {
            incarnation: "1".into(),
            total_memory_mib: 1_000,
            private_url: "http://10.0.0.1:8374".into(),
            peer_url: "http://10.0.0.1:8374".into(),
            listens: Duration::ZERO,
            parallel_starts: 2,
        };
        let node = Node::new(id.clone(), parts, settings);
        let control = Control::new(router.clone(), node.clone(), journal.clone());
        let told = node.clone();
        let peers_parts = PeersParts {
            status: Arc::new(move || told.status()),
            routing: router.clone(),
            store: Arc::new(MemoryStore::exclusive()),
            commits: configuration.commits(),
            journal: journal.clone(),
            clock: clock.clone(),
        };
        let peers_settings = PeersSettings {
            node: id.clone(),
            liveness: Duration::from_secs(300),
            secret: PeerSecret::default(),
        };
        let peers = Peers::new(peers_settings, peers_parts);
        let (in_place, routed) = (configuration.clone(), router.clone());
        let maelstrom = Arc::new(MaelstromService {
            node: id.clone(),
            configuration: configuration.clone(),
            clock: clock.clone(),
            put_in_place: Arc::new(move || routed.configure(&in_place.current())),
        });
        let insight = Arc::new(Insight {
            id: id.clone(),
            configuration: configuration.clone(),
            journal: journal.clone(),
            node: node.clone(),
            control: control.clone(),
            router: router.clone(),
            roles: Roles::new(
                Arc::new(MemoryStore::exclusive()),
                Arc::new(Journal::new(id.clone())),
                Arc::new(SystemClock),
                RolesSettings::new(id.clone(), "1".into(), "http://10.0.0.1:8374".into()),
                Vec::new(),
            ),
            peers: peers.clone(),
        });
        let history = History::new(router.clone(), clock.clone());
        let (own_journal, live_clock) = (journal.clone(), clock.clone());
        let observer = Arc::new(Observer {
            configuration: configuration.clone(),
            journal,
            node: node.clone(),
            peers: peers.clone(),
            history: history.clone(),
        });
        let live = Live::new(id.clone(), observer.clone(), clock);
        let machines = MemoryCloud::new(live_clock.clone(), "web", 4);
        let limits = Limits { pause: Duration::ZERO, requests: Duration::from_secs(10) };
        let drainer = Drainer::new(limits, own_journal.clone(), live_clock.clone(), None);
        let cloud = Cloud::new(
            CloudSettings { instance: machine.map(ToOwned::to_owned), ..CloudSettings::default() },
            CloudParts {
                node_id: id.clone(),
                metadata: Arc::new(machines.metadata("i-1")),
                scaling: Arc::new(machines),
                queues: Arc::new(MemoryQueues::new(live_clock.clone())),
                monitoring: Arc::new(MemoryMonitoring::default()),
                images: Arc::new(Fine),
                configuration: configuration.clone(),
                drainer: drainer.clone(),
                node: node.clone(),
                control: control.clone(),
                peers: peers.clone(),
                roles: insight.roles.clone(),
                journal: own_journal,
                clock: live_clock,
            },
        );
        let drains = Arc::new(DrainService {
            id: id.clone(),
            drainer: drainer.clone(),
            node: node.clone(),
            peers: peers.clone(),
            cloud: cloud.clone(),
        });
        let service = Arc::new(NodeService {
            id,
            node: node.clone(),
            control,
            configuration: configuration.clone(),
            peers,
        });
        let registry = insight.register(service.register(maelstrom.register(Registry::new())));
        let registry = drains.register(observer.register(registry));
        let tasks = Tasks::new();
        cloud.launch(&tasks, &tasks);
        tasks.spawn_cancellable("history", history.run());
        tasks.spawn("live", live.clone().run(tasks.token().clone()));
        tasks.spawn("node", node.run(configuration.subscribe(), tasks.token().clone()));
        let world = Self { registry, router, configuration, live, drainer, tasks };
        let web = json!({"component": {"name": "web", "maxConcurrency": 1,
            "docker": {"image": "i:1", "reserveMemoryMiB": 100}}});
        world.result("MaelstromService.PutComponent", web).await;
        world
    }

    pub(in crate::api) async fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": [params]});
        let answer = self.registry.handle(request.to_string().as_bytes()).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    pub(in crate::api) async fn result(&self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    /// When the status has this field.
    async fn status_with(&self, field: &str) -> Value {
        loop {
            let status = self.status().await;
            if status.get(field).is_some() {
                return status;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn status(&self) -> Value {
        self.result("NodeService.GetStatus", json!({})).await["status"].clone()
    }

    pub(in crate::api) async fn stop(self) {
        self.tasks.stop(Duration::from_secs(30)).await;
    }
}

#[tokio::test]
async fn a_status_has_every_field_of_the_contract() {
    let world = World::new().await;
    let status = world.status().await;
    for field in ["startedAt", "observedAt", "version", "totalMemoryMiB", "freeMemoryMiB", "numCPUs"] {
        assert!(status[field].is_i64(), "{field}: {status}");
    }
    for field in ["loadAvg1m", "loadAvg5m", "loadAvg15m"] {
        assert!(status[field].is_f64(), "{field}: {status}");
    }
    assert_eq!((&status["nodeId"], &status["runningComponents"]), (&json!("n1"), &json!([])));
    assert_eq!(status["peerUrl"], "http://10.0.0.1:8374");
    let all = world.result("NodeService.ListNodeStatus", json!({"forceRefresh": true})).await;
    assert_eq!((&all["respondingNodeId"], &all["nodes"][0]["nodeId"]), (&json!("n1"), &json!("n1")));
    let told = world.result("NodeService.StatusChanged", json!({"nodeId": "n2", "exiting": false})).await;
    assert_eq!(told, json!({"nodeId": "n1"}));
    world.stop().await;
}

#[tokio::test]
async fn targets_are_taken_at_the_current_version_only() {
    let world = World::new().await;
    let ask = |version: i64, count: i64| {
        json!({"clientNodeId": "n2", "targetVersion": version, "block": true, "returnStatus": true,
            "targetCounts": [{"componentName": "web", "requiredMemoryMiB": 100, "targetCount": count},
                {"componentName": "gone", "requiredMemoryMiB": 1, "targetCount": 1}]})
    };
    let version = world.status().await["version"].as_i64().unwrap();
    let stale = world.result("NodeService.StartStopComponents", ask(version + 1, 2)).await;
    assert_eq!((&stale["targetVersionMismatch"], &stale["started"]), (&json!(true), &json!([])));
    assert_eq!(stale["targetStatus"]["version"], version);

    // Meant for an earlier run, whose targets had the same version.
    let mut meant_for_another = ask(version, 2);
    meant_for_another["targetIncarnation"] = json!("0");
    let stale = world.result("NodeService.StartStopComponents", meant_for_another).await;
    assert_eq!(stale["targetVersionMismatch"], json!(true));
    let done = world.result("NodeService.StartStopComponents", ask(version, 2)).await;
    assert_eq!(done["targetVersionMismatch"], false);
    assert_eq!(done["started"], json!([{"componentName": "web", "delta": 2, "requiredMemoryMiB": 100}]));
    assert_eq!(done["stopped"], json!([]));
    assert_eq!(done["errors"][0]["componentDelta"]["componentName"], "gone");
    assert_eq!(done["errors"].as_array().unwrap().len(), 1, "{done}");
    // Blocked until they serve.
    let running = done["targetStatus"]["runningComponents"].as_array().unwrap();
    assert_eq!(running.len(), 2);
    for instance in running {
        assert_eq!((&instance["status"], &instance["componentVersion"]), (&json!("active"), &json!(1)));
        assert_eq!((&instance["lastRequestTime"], &instance["totalRequests"]), (&json!(0), &json!(0)));
        assert_eq!((&instance["maxConcurrency"], &instance["memoryReservedMiB"]), (&json!(1), &json!(100)));
        assert!(instance["activity"].is_array() && instance["startTime"].is_i64());
    }
    assert_eq!(done["targetStatus"]["freeMemoryMiB"], 800);

    let version = world.status().await["version"].as_i64().unwrap();
    let less = world.result("NodeService.StartStopComponents", ask(version, 1)).await;
    assert_eq!(less["stopped"], json!([{"componentName": "web", "delta": -1, "requiredMemoryMiB": 100}]));
    let missing = json!({"component": {"name": "missing", "docker": {"image": "nobody/has:it"}}});
    world.result("MaelstromService.PutComponent", missing).await;
    let version = world.status().await["version"].as_i64().unwrap();
    let start = json!({"clientNodeId": "n2", "targetVersion": version, "block": true,
        "targetCounts": [{"componentName": "missing", "requiredMemoryMiB": 1, "targetCount": 1}]});
    let failed = world.result("NodeService.StartStopComponents", start).await;
    assert!(failed["errors"][0]["error"].as_str().unwrap().contains("nobody/has:it"), "{failed}");
    let bad = world.call("NodeService.StartStopComponents", ask(version, -1)).await;
    assert_eq!((&bad["error"]["code"], &bad["id"]), (&json!(1001), &json!(7)));
    assert_eq!(bad["error"]["data"][0]["field"], "targetCounts[0].targetCount");
    world.stop().await;
}

#[tokio::test]
async fn placing_starts_what_nobody_asked_for_yet() {
    let world = World::new().await;
    let placed = world.result("NodeService.PlaceComponent", json!({"componentName": "WEB"})).await;
    assert_eq!((&placed["componentName"], &placed["node"]["nodeId"]), (&json!("web"), &json!("n1")));
    let gone = world.call("NodeService.PlaceComponent", json!({"componentName": "gone"})).await;
    assert_eq!(gone["error"]["code"], 1003);
    let large = json!({"component": {"name": "large", "docker": {"image": "i", "reserveMemoryMiB": 2_000}}});
    world.result("MaelstromService.PutComponent", large).await;
    let unplaced = world.call("NodeService.PlaceComponent", json!({"componentName": "large"})).await;
    let message = unplaced["error"]["message"].as_str().unwrap();
    assert_eq!(unplaced["error"]["code"], -32000);
    assert!(
        message.contains("2000") && message.contains("1000"),
        "says what was asked and what there is: {message}"
    );
    world.stop().await;
}

#[tokio::test]
async fn outside_a_cloud_no_lifecycle_hook_ends_a_node() {
    let world = World::new().await;
    let hook = json!({"QueueUrl": "q", "MessageReceiptHandle": "h", "AutoScalingGroupName": "g",
        "InstanceId": "i-1", "LifecycleActionToken": "t", "LifecycleHookName": "n"});
    for params in [json!({}), json!({"awsLifecycleHook": hook})] {
        let ended = world.result("NodeService.TerminateNode", params).await;
        assert_eq!(ended, json!({"acceptedMessage": false, "nodeId": "n1"}));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_hook_for_this_machine_ends_the_node_and_one_for_another_does_not() {
    let world = World::on_machine(Some("i-1")).await;
    world.status_with("instanceId").await;
    let hook = |instance: &str| {
        json!({"awsLifecycleHook": {"QueueUrl": "q", "MessageReceiptHandle": "h", "AutoScalingGroupName": "g",
            "InstanceId": instance, "LifecycleActionToken": "t", "LifecycleHookName": "n"}})
    };
    let other = world.result("NodeService.TerminateNode", hook("i-2")).await;
    assert_eq!(other, json!({"acceptedMessage": false, "nodeId": "n1", "instanceId": "i-1"}));
    assert_eq!(world.drainer.phase(), Phase::Serving);
    for _ in 0..2 {
        let own = world.result("NodeService.TerminateNode", hook("i-1")).await;
        assert_eq!(own, json!({"acceptedMessage": true, "nodeId": "n1", "instanceId": "i-1"}));
        assert_eq!(world.drainer.phase(), Phase::Leaving);
    }
    let (action, letter) = world.drainer.actions().remove(0);
    assert_eq!((action.hook.as_str(), letter.map(|letter| letter.receipt)), ("n", Some("h".to_owned())));
    world.stop().await;
}

#[tokio::test]
async fn a_node_alone_is_not_drained_and_one_that_serves_is_taken_back_without_a_word() {
    let world = World::new().await;
    let refused = world.call("NodeService.DrainNode", json!({"nodeId": "n1"})).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("no other node could take"), "{refused}");
    let unknown = world.call("NodeService.DrainNode", json!({"nodeId": "n2"})).await;
    assert_eq!(unknown["error"]["code"], 1003);
    assert!(unknown["error"]["message"].as_str().unwrap().contains("did you mean 'n1'?"), "{unknown}");
    let serves = world.result("NodeService.UndrainNode", json!({"nodeId": "n1"})).await;
    assert_eq!(serves["changed"], false);
    world.stop().await;
}

#[tokio::test]
async fn a_component_is_explained_with_its_events() {
    let world = World::new().await;
    let why = world.result("MaelstromService.ExplainComponent", json!({"name": "Web"})).await;
    assert_eq!((&why["componentName"], &why["componentVersion"]), (&json!("web"), &json!(1)));
    assert_eq!(
        (&why["targetInstances"], &why["inFlight"], &why["waiting"]),
        (&json!(0), &json!(0), &json!(0))
    );
    assert!(!why["targetReasons"].as_array().unwrap().is_empty(), "{why}");
    assert_eq!(why["events"][0]["kind"], "configuration");
    let gone = world.call("MaelstromService.ExplainComponent", json!({"name": "gone"})).await;
    assert_eq!(gone["error"]["code"], 1003);
    let events =
        world.result("MaelstromService.ListEvents", json!({"componentName": "WEB", "limit": 1})).await;
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    let bad = world.call("MaelstromService.ListEvents", json!({"limit": 0})).await;
    assert_eq!(bad["error"]["code"], 1001);
    let version = world.result("MaelstromService.GetVersion", json!({})).await;
    assert_eq!((&version["nodeId"], version["version"].is_string()), (&json!("n1"), true));
    assert_eq!(world.configuration.current().components.len(), world.router.pools().len());
    world.stop().await;
}

/// A peer that nobody listens for: known by what it told, and named wherever its part is missing.
#[tokio::test]
async fn peers_stand_beside_this_node_and_who_can_not_be_asked_is_named() {
    let world = World::new().await;
    let peer = |run: &str, version: i64| {
        json!({"nodeId": "n0", "incarnation": run, "startedAt": 5, "observedAt": 6, "version": version,
            "peerUrl": "http://127.0.0.1:1", "totalMemoryMiB": 7, "freeMemoryMiB": 7, "numCPUs": 1,
            "loadAvg1m": 0.0, "loadAvg5m": 0.0, "loadAvg15m": 0.0, "runningComponents": null})
    };
    world.result("NodeService.GetStatus", json!({"status": peer("1", 1)})).await;
    let told = json!({"nodeId": "n0", "exiting": false, "status": peer("1", 2)});
    world.result("NodeService.StatusChanged", told).await;
    let all = world.result("NodeService.ListNodeStatus", json!({})).await;
    assert_eq!((&all["nodes"][0]["nodeId"], &all["nodes"][0]["version"]), (&json!("n0"), &json!(2)));
    assert!(all["nodes"][0]["unreachableSince"].is_i64(), "{all}");
    assert_eq!((&all["nodes"][1]["nodeId"], all["nodes"].as_array().unwrap().len()), (&json!("n1"), 2));
    assert!(all["nodes"][1].get("unreachableSince").is_none());

    let missing = json!([{"nodeId": "n0", "reason": "it can't be reached"}]);
    let events = world.result("MaelstromService.ListEvents", json!({})).await;
    assert_eq!(events["missing"], missing);
    let why = world.result("MaelstromService.ExplainComponent", json!({"name": "web"})).await;
    assert_eq!((&why["missing"], &why["events"][0]["nodeId"]), (&missing, &json!("n1")));
    for query in [json!({"local": true}), json!({"afterSequence": 0})] {
        let here = world.result("MaelstromService.ListEvents", query).await;
        assert!(here.get("missing").is_none() && !here["events"].as_array().unwrap().is_empty());
    }

    let leaves = |run: &str| json!({"nodeId": "n0", "exiting": true, "status": peer(run, 3)});
    world.result("NodeService.StatusChanged", leaves("0")).await;
    let all = world.result("NodeService.ListNodeStatus", json!({"forceRefresh": true})).await;
    assert_eq!(all["nodes"].as_array().unwrap().len(), 2, "another run left: {all}");
    world.result("NodeService.StatusChanged", leaves("1")).await;
    let all = world.result("NodeService.ListNodeStatus", json!({})).await;
    assert_eq!(all["nodes"].as_array().unwrap().len(), 1, "{all}");
    world.stop().await;
}

#[tokio::test]
async fn every_method_of_the_contract_is_there() {
    let world = World::new().await;
    let own: Vec<&str> =
        world.registry.methods().into_iter().filter(|name| name.starts_with("NodeService.")).collect();
    let names = [
        "DrainNode",
        "GetStatus",
        "ListNodeStatus",
        "Observe",
        "PlaceComponent",
        "ReadTraffic",
        "ReportDemand",
        "StartStopComponents",
        "StatusChanged",
        "TerminateNode",
        "UndrainNode",
    ];
    assert_eq!(own, names.map(|name| format!("NodeService.{name}")));
    world.stop().await;
}
