//! Firing, claiming, skipping and catching up.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use maelstrom_core::{
    names::{ComponentName, NodeId},
    ports::{BoxFuture, store::Op},
    testing::store::MemoryStore,
    wire::{self, JournalEvent, ListEventsInput},
};
use parking_lot::Mutex;

use super::*;
use crate::{clock::PausedClock, cluster::RolesSettings, events::Dispatch, gateway::Body, tasks::Tasks};

/// A component that notes what it is asked and answers as told.
#[derive(Default)]
struct Component {
    asked: Mutex<Vec<(String, Request<Bytes>)>>,
    answer: Mutex<(u16, Duration)>,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
}

impl Component {
    fn answers(&self, status: u16, after: Duration) {
        *self.answer.lock() = (status, after);
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

impl Dispatch for Component {
    fn call<'a>(
        &'a self,
        component: &'a ComponentName,
        request: Request<Full<Bytes>>,
    ) -> BoxFuture<'a, Response<Body>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            self.asked.lock().push((component.to_string(), Request::from_parts(parts, body)));
            self.most_in_flight.fetch_max(self.in_flight.fetch_add(1, Relaxed) + 1, Relaxed);
            let (status, after) = *self.answer.lock();
            tokio::time::sleep(after).await;
            self.in_flight.fetch_sub(1, Relaxed);
            let mut response = Response::new(Body::full(Bytes::from_static(b"because of\nreasons")));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        })
    }
}

/// A node with the role, from midnight on.
struct Node {
    cron: Arc<Cron>,
    tasks: Tasks,
}

struct World {
    store: MemoryStore,
    component: Arc<Component>,
    clock: PausedClock,
}

impl World {
    fn new() -> Self {
        let component = Arc::new(Component::default());
        component.answers(200, Duration::ZERO);
        Self { store: MemoryStore::exclusive(), component, clock: PausedClock::new() }
    }

    async fn node(&self, name: &str) -> Node {
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        let journal = Arc::new(Journal::new(NodeId::new(name)));
        let clock: Arc<dyn Clock> = Arc::new(self.clock);
        let configuration = ConfigurationCache::load(store.clone(), journal.clone()).await.unwrap();
        let settings = RolesSettings::new(NodeId::new(name), "1".into(), String::new());
        let wanted = vec![Role::new(ROLE)];
        let roles = Roles::new(store.clone(), journal.clone(), clock.clone(), settings, wanted);
        roles.acquire().await.unwrap();
        let cron = Arc::new(Cron {
            store,
            configuration: configuration.clone(),
            roles,
            dispatch: self.component.clone(),
            journal,
            clock,
            claimant: name.to_owned(),
            counts: CronCounts::default(),
        });
        let tasks = Tasks::new();
        tasks.spawn("configuration", configuration.run(tasks.token().clone()));
        tasks.spawn("cron", cron.clone().run(tasks.token().clone()));
        Node { cron, tasks }
    }

    fn put(&self, name: &str, schedule: &str, based_on: i64) -> Op {
        let http = wire::CronHttpRequest {
            method: "post".into(),
            path: "/tick?a=b".into(),
            data: Some("payload".into()),
            headers: Some(vec![wire::NameValue { name: "X-Rule".into(), value: "yes".into() }]),
        };
        let event_source = Box::new(wire::EventSource {
            name: name.into(),
            component_name: "web".into(),
            modified_at: self.clock.wall().as_millis(),
            cron: Some(wire::CronEventSource { schedule: schedule.into(), http }),
            ..Default::default()
        });
        Op::PutEventSource { event_source, based_on }
    }
}

impl Node {
    fn told(&self) -> Vec<JournalEvent> {
        let kinds = Some(vec![Kind::Cron.name().to_owned()]);
        self.cron.journal.list(&ListEventsInput { kinds, limit: Some(1_000), ..Default::default() })
    }

    fn messages(&self) -> Vec<String> {
        self.told().into_iter().map(|event| event.message).collect()
    }

    async fn stop(self) {
        self.tasks.stop(Duration::from_secs(600)).await;
    }
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_put_now_fires_at_its_next_due_time_with_its_request() {
    let world = World::new();
    let node = world.node("a").await;
    seconds(30).await;
    node.cron.configuration.commit(vec![world.put("tick", "* * * * *", 0)]).await.unwrap();
    seconds(29).await;
    assert_eq!(world.component.asked(), 0);
    seconds(2).await;
    assert_eq!(world.component.asked(), 1);
    let (component, request) = world.component.asked.lock().pop().unwrap();
    assert_eq!(component, "web");
    assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", "/tick?a=b"));
    assert_eq!(
        (&request.headers()["x-rule"], &request.headers()["host"]),
        (&"yes".parse().unwrap(), &"web".parse().unwrap())
    );
    assert_eq!(request.body(), "payload");
    let told = node.told().pop().unwrap();
    assert_eq!(told.message, "cron rule 'tick' answered 200");
    assert_eq!(told.component_name.as_deref(), Some("web"));
    assert_eq!(told.data["status"], 200);
    assert!(told.data["late_ms"].as_i64().unwrap() < 100, "{:?}", told.data);
    let disable = Op::EnableEventSource { name: "tick".into(), enabled: false };
    node.cron.configuration.commit(vec![disable]).await.unwrap();
    seconds(600).await;
    assert_eq!(node.messages().len(), 1, "switched off");
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_whose_run_goes_on_is_skipped_and_counted() {
    let world = World::new();
    let node = world.node("a").await;
    world.component.answers(200, Duration::from_secs(130));
    node.cron.configuration.commit(vec![world.put("slow", "* * * * *", 0)]).await.unwrap();
    seconds(230).await;
    assert_eq!(world.component.asked(), 1);
    assert_eq!(node.cron.counts.skipped.load(Relaxed), 2);
    assert!(node.messages().contains(&"cron rule 'slow' skipped".to_owned()));
    seconds(12).await;
    assert_eq!(world.component.asked(), 2, "the next due time after its end");
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_success_is_told_with_the_rules_name() {
    let world = World::new();
    let node = world.node("a").await;
    world.component.answers(503, Duration::ZERO);
    node.cron.configuration.commit(vec![world.put("bad", "* * * * *", 0)]).await.unwrap();
    seconds(61).await;
    let told = node.told().pop().unwrap();
    assert_eq!(told.message, "cron rule 'bad' failed with 503");
    assert_eq!(told.reasons, ["because of\\nreasons"]);
    assert_eq!(node.cron.counts.failed.load(Relaxed), 1);
    node.stop().await;
}

/// The original fired twice when its database failed.
#[tokio::test(start_paused = true)]
async fn without_the_store_nothing_fires_and_with_it_the_latest_is_made_up_for_once() {
    let world = World::new();
    let node = world.node("a").await;
    node.cron.configuration.commit(vec![world.put("tick", "* * * * *", 0)]).await.unwrap();
    seconds(30).await;
    world.store.set_away(true);
    seconds(180).await;
    assert_eq!(world.component.asked(), 0);
    world.store.set_away(false);
    seconds(5).await;
    assert_eq!(world.component.asked(), 1);
    seconds(60).await;
    assert_eq!(world.component.asked(), 2);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_fires_once() {
    let world = World::new();
    let node = world.node("a").await;
    node.cron.configuration.commit(vec![world.put("tick", "* * * * *", 0)]).await.unwrap();
    seconds(30).await;
    world.store.lose_answers(1);
    seconds(50).await;
    assert_eq!(world.component.asked(), 1);
    node.stop().await;
}

/// Two nodes that both believe to own the role: the claims still make it once.
#[tokio::test(start_paused = true)]
async fn each_due_time_is_fired_by_one_node() {
    let world = World::new();
    let (a, b) = (world.node("a").await, world.node("b").await);
    a.cron.configuration.commit(vec![world.put("tick", "* * * * *", 0)]).await.unwrap();
    seconds(600 + 1).await;
    assert_eq!(world.component.asked(), 10);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_owner_fires_what_fell_due_while_there_was_none() {
    let world = World::new();
    let first = world.node("a").await;
    first.cron.configuration.commit(vec![world.put("tick", "*/10 * * * *", 0)]).await.unwrap();
    seconds(595).await;
    first.stop().await;
    seconds(120).await;
    let second = world.node("b").await;
    seconds(1).await;
    assert_eq!(world.component.asked(), 1);
    second.stop().await;
    let third = world.node("c").await;
    seconds(1).await;
    assert_eq!(world.component.asked(), 1, "once");
    third.stop().await;
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_what_runs_is_awaited_and_nothing_begins() {
    let world = World::new();
    let node = world.node("a").await;
    world.component.answers(200, Duration::from_secs(90));
    node.cron.configuration.commit(vec![world.put("tick", "* * * * *", 0)]).await.unwrap();
    seconds(61).await;
    let cron = node.cron.clone();
    node.stop().await;
    assert_eq!(cron.counts.fired.load(Relaxed), 1);
    assert_eq!(world.component.asked(), 1);
    assert_eq!(world.component.in_flight.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_never_ends_is_cut_off_at_the_deadline() {
    let world = World::new();
    let node = world.node("a").await;
    world.component.answers(200, Duration::from_secs(1_000_000));
    let web = wire::Component {
        name: "web".into(),
        max_duration_seconds: Some(20),
        docker: Some(wire::DockerComponent { image: "i".into(), ..Default::default() }),
        ..Default::default()
    };
    let put = Op::PutComponent { component: Box::new(web), based_on: 0 };
    node.cron.configuration.commit(vec![put, world.put("tick", "* * * * *", 0)]).await.unwrap();
    seconds(60 + 26).await;
    let told = node.told().pop().unwrap();
    assert_eq!(told.message, "cron rule 'tick' failed");
    assert!(told.reasons[0].contains("deadline"));
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_rules_at_once_are_fired_in_bounded_numbers() {
    let world = World::new();
    let node = world.node("a").await;
    world.component.answers(200, Duration::from_secs(10));
    let rules = (0..MAX_RUNNING + 50).map(|n| world.put(&format!("rule-{n}"), "@hourly", 0)).collect();
    node.cron.configuration.commit(rules).await.unwrap();
    seconds(3_600 + 30).await;
    assert_eq!(world.component.asked(), MAX_RUNNING + 50);
    assert_eq!(world.component.most_in_flight.load(Relaxed), MAX_RUNNING as u64);
    node.stop().await;
}
