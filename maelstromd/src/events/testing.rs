//! What the tests of pollers share: nodes on one store with queues and activities in memory, a component that
//! does as it is told, and a clock that jumps.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use maelstrom_core::{
    journal::Kind,
    names::{ComponentName, EventSourceName, NodeId},
    ports::{BoxFuture, clock::Clock, store::Op, store::Store},
    testing::{activity::MemoryActivities, queue::MemoryQueues, store::MemoryStore},
    wire::{self, JournalEvent, ListEventsInput},
};
use parking_lot::Mutex;

use super::{Around, Dispatch, Pollers, PollersParts};
use crate::{
    clock::PausedClock,
    cluster::{ConfigurationCache, Roles, RolesSettings},
    gateway::Body,
    journal::Journal,
    tasks::Tasks,
};

/// How the component answers.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) after: Duration,
}

/// What it was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) body: String,
    pub(super) headers: HeaderMap,
    pub(super) target: String,
    /// Since the test began.
    pub(super) at: Duration,
}

type Behaviour = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// A component of all nodes.
pub(super) struct Component {
    began: tokio::time::Instant,
    behaviour: Mutex<Behaviour>,
    asked: Mutex<Vec<Asked>>,
    answered: Mutex<Vec<String>>,
    in_flight: Mutex<(usize, usize)>,
}

/// The cluster as the plan sees it.
#[derive(Clone, Default)]
pub(super) struct FakeAround {
    nodes: Arc<Mutex<Vec<NodeId>>>,
    serving: Arc<Mutex<u32>>,
}

/// See the module.
pub(super) struct World {
    pub(super) clock: PausedClock,
    pub(super) queues: MemoryQueues,
    pub(super) activities: MemoryActivities,
    pub(super) component: Arc<Component>,
    pub(super) around: FakeAround,
    store: MemoryStore,
}

pub(super) struct Node {
    pub(super) pollers: Arc<Pollers>,
    pub(super) roles: Arc<Roles>,
    journal: Arc<Journal>,
    configuration: Arc<ConfigurationCache>,
    base: Tasks,
    events: Tasks,
}

// === impl Answer ===

impl Answer {
    pub(super) fn ok() -> Self {
        Self::status(200)
    }

    pub(super) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), after: Duration::ZERO }
    }

    pub(super) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn body(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }
}

// === impl Component ===

impl Component {
    pub(super) fn behaves(&self, behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) {
        *self.behaviour.lock() = Arc::new(behaviour);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    pub(super) fn bodies(&self) -> Vec<String> {
        self.asked.lock().iter().map(|asked| asked.body.clone()).collect()
    }

    /// Bodies in the order in which their answers went out.
    pub(super) fn answered(&self) -> Vec<String> {
        self.answered.lock().clone()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.lock().0
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.in_flight.lock().1
    }
}

impl Dispatch for Component {
    fn call<'a>(
        &'a self,
        _component: &'a ComponentName,
        request: Request<Full<Bytes>>,
    ) -> BoxFuture<'a, Response<Body>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let asked = Asked {
                body: String::from_utf8(body.to_vec()).unwrap(),
                headers: parts.headers,
                target: parts.uri.to_string(),
                at: self.began.elapsed(),
            };
            self.asked.lock().push(asked.clone());
            let behaviour = self.behaviour.lock().clone();
            let answer = behaviour(&asked);
            let in_flight = InFlight::enter(&self.in_flight);
            tokio::time::sleep(answer.after).await;
            drop(in_flight);
            self.answered.lock().push(asked.body);
            let mut response = Response::new(Body::full(Bytes::from(answer.body)));
            *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
            for (name, value) in answer.headers {
                let value = HeaderValue::from_str(&value).unwrap();
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
            response
        })
    }
}

struct InFlight<'a>(&'a Mutex<(usize, usize)>);

impl<'a> InFlight<'a> {
    fn enter(counts: &'a Mutex<(usize, usize)>) -> Self {
        let mut both = counts.lock();
        both.0 += 1;
        both.1 = both.1.max(both.0);
        Self(counts)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.lock().0 -= 1;
    }
}

// === impl FakeAround ===

impl FakeAround {
    /// Instances that serve the component.
    pub(super) fn serve(&self, instances: u32) {
        *self.serving.lock() = instances;
    }

    pub(super) fn leaves(&self, node: &str) {
        self.nodes.lock().retain(|known| known.as_str() != node);
    }
}

impl Around for FakeAround {
    fn nodes(&self) -> Vec<NodeId> {
        self.nodes.lock().clone()
    }

    fn serving(&self) -> std::collections::HashMap<ComponentName, u32> {
        [(ComponentName::parse("web").unwrap(), *self.serving.lock())].into()
    }
}

// === impl World ===

impl World {
    pub(super) fn new() -> Self {
        Self::on(MemoryStore::exclusive())
    }

    /// On a store that several nodes share.
    pub(super) fn shared() -> Self {
        Self::on(MemoryStore::new())
    }

    fn on(store: MemoryStore) -> Self {
        let clock = PausedClock::new();
        let component = Component {
            began: tokio::time::Instant::now(),
            behaviour: Mutex::new(Arc::new(|_: &Asked| Answer::ok())),
            asked: Mutex::default(),
            answered: Mutex::default(),
            in_flight: Mutex::default(),
        };
        Self {
            clock,
            queues: MemoryQueues::new(Arc::new(clock)),
            activities: MemoryActivities::new(Arc::new(clock)),
            component: Arc::new(component),
            around: FakeAround::default(),
            store,
        }
    }

    /// A node that starts.
    pub(super) async fn node(&self, name: &str) -> Node {
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        let journal = Arc::new(Journal::new(NodeId::new(name)));
        let clock: Arc<dyn Clock> = Arc::new(self.clock);
        let configuration = ConfigurationCache::load(store.clone(), journal.clone()).await.unwrap();
        let settings = RolesSettings::new(NodeId::new(name), "1".into(), String::new());
        let roles = Roles::new(store, journal.clone(), clock.clone(), settings, Vec::new());
        roles.acquire().await.unwrap();
        self.around.nodes.lock().push(NodeId::new(name));
        let parts = PollersParts {
            node: NodeId::new(name),
            configuration: configuration.clone(),
            roles: roles.clone(),
            around: Arc::new(self.around.clone()),
            clock,
        };
        let dispatch: Arc<dyn Dispatch> = self.component.clone();
        let (queues, activities) = (Arc::new(self.queues.clone()), Arc::new(self.activities.clone()));
        let pollers = super::pollers(parts, queues, activities, &dispatch, &journal);
        let (base, events) = (Tasks::new(), Tasks::new());
        base.spawn("configuration", configuration.clone().run(base.token().clone()));
        base.spawn("roles", roles.clone().run(base.token().clone()));
        events.spawn("pollers", pollers.clone().run(events.token().clone()));
        Node { pollers, roles, journal, configuration, base, events }
    }
}

// === impl Node ===

impl Node {
    pub(super) async fn commit(&self, ops: Vec<Op>) {
        self.configuration.commit(ops).await.unwrap();
    }

    /// A component without a hard limit, so that instances do not count.
    pub(super) async fn put_component(&self, max_concurrency: i64, soft: bool) {
        let current = self.configuration.current();
        let based_on = current.wire.component_version("web");
        let component = Box::new(wire::Component {
            name: "web".into(),
            max_concurrency,
            soft_concurrency_limit: soft.then_some(true),
            docker: Some(wire::DockerComponent { image: "i:1".into(), ..Default::default() }),
            ..Default::default()
        });
        self.commit(vec![Op::PutComponent { component, based_on }]).await;
    }

    pub(super) async fn put_sqs(&self, sqs: wire::SqsEventSource) {
        self.put(wire::EventSource { sqs: Some(sqs), ..Default::default() }).await;
    }

    pub(super) async fn put_tasks(&self, tasks: wire::AwsStepFunctionEventSource) {
        self.put(wire::EventSource { awsstepfunc: Some(tasks), ..Default::default() }).await;
    }

    async fn put(&self, source: wire::EventSource) {
        let name = if source.sqs.is_some() { "jobs" } else { "tasks" };
        let current = self.configuration.current();
        if current.wire.component_version("web") == 0 {
            self.put_component(1_000, true).await;
        }
        let based_on = current.wire.event_source_version(name);
        let event_source =
            Box::new(wire::EventSource { name: name.into(), component_name: "web".into(), ..source });
        self.commit(vec![Op::PutEventSource { event_source, based_on }]).await;
    }

    pub(super) async fn enable(&self, name: &str, enabled: bool) {
        self.commit(vec![Op::EnableEventSource { name: name.into(), enabled }]).await;
    }

    /// What its journal says of pollers, with the reasons.
    pub(super) fn told(&self) -> Vec<String> {
        let kinds = Some(vec![Kind::Poller.name().to_owned()]);
        let query = ListEventsInput { kinds, limit: Some(1_000), ..Default::default() };
        let all = self.journal.list(&query);
        let line = |event: JournalEvent| format!("{}: {}", event.message, event.reasons.join("; "));
        all.into_iter().map(line).collect()
    }

    /// Pollers of the queue's event source that this node works as: role and share.
    pub(super) fn working(&self) -> BTreeMap<String, i64> {
        let reports = self.pollers.report(&EventSourceName::parse("jobs").unwrap());
        reports.into_iter().map(|info| (info.role, info.share)).collect()
    }

    /// The end of its shutdown's part: as the daemon does it.
    pub(super) async fn stop(self) {
        self.events.stop(Duration::from_secs(600)).await;
        self.roles.give_back().await.unwrap();
        self.base.stop(Duration::from_secs(10)).await;
    }

    /// It is gone from one moment to the next.
    pub(super) async fn kill(self) {
        self.events.join(Duration::ZERO).await;
        self.base.join(Duration::ZERO).await;
    }
}

/// An event source of the queue `q` for POST `/work`, ten at a time by one poller.
pub(super) fn sqs() -> wire::SqsEventSource {
    wire::SqsEventSource {
        queue_name: "q".into(),
        path: "/work".into(),
        max_concurrency: Some(10),
        messages_per_poll: Some(10),
        visibility_timeout: Some(30),
        ..Default::default()
    }
}

pub(super) async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

/// Waits until it is so, for so many seconds at most.
pub(super) async fn within(limit: u64, what: &str, so: impl Fn() -> bool) {
    for _ in 0..limit * 100 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within {limit} s: {what}");
}
