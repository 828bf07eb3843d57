//! What tests stand on: DynamoDB Local, a table of its own for each test, and a client whose requests can
//! be cut off.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
            BeforeTransmitInterceptorContextRef,
        },
    },
    error::BoxError,
};
use maelstrom_core::{
    ports::store::{Configuration, Op},
    testing::clock::SimulatedClock,
    wire,
};
use tokio::sync::OnceCell;
use ulid::Ulid;

pub(super) use crate::localstack::account_at;
use crate::{
    Account, DynamoStore,
    dynamo::{
        create_table,
        failure::{Endpoint, Place},
        table::Table,
        usage::Counts,
    },
    localstack,
};

/// A table that goes with it.
pub(super) struct Fixture {
    pub(super) account: Account,
    pub(super) table: String,
}

/// Lets requests through until it has none left, then fails them: before they are sent, or once their
/// answers have come.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    left: Arc<AtomicI64>,
    answers: bool,
    met: Arc<AtomicBool>,
}

/// Has something done right before one of the requests is sent, perhaps after sending it once already.
#[derive(Clone)]
pub(super) struct Between {
    left: Arc<AtomicI64>,
    twice: bool,
    work: Arc<dyn Fn() + Send + Sync>,
}

/// DynamoDB Local.
async fn endpoint() -> &'static str {
    static ENDPOINT: OnceCell<String> = OnceCell::const_new();
    ENDPOINT.get_or_init(|| localstack::endpoint("AWS_ENDPOINT_URL_DYNAMODB", "dynamodb")).await
}

/// Ahead of every real clock, so that nothing expires under a test.
pub(super) fn clock() -> Arc<SimulatedClock> {
    let clock = SimulatedClock::new();
    clock.advance(Duration::from_secs(100 * 365 * 24 * 3600));
    Arc::new(clock)
}

// === impl Fixture ===

impl Fixture {
    pub(super) async fn new() -> Self {
        let fixture =
            Self { account: account_at(endpoint().await), table: format!("test-{}", Ulid::generate()) };
        create_table(&fixture.account, &fixture.table).await.unwrap();
        fixture
    }

    /// As a daemon that starts.
    pub(super) async fn open(&self) -> DynamoStore {
        DynamoStore::open(&self.account, &self.table, clock()).await.unwrap()
    }

    /// A daemon with something between it and the table.
    pub(super) async fn open_with(&self, intercept: &(impl Intercept + Clone + 'static)) -> DynamoStore {
        let config = aws_sdk_dynamodb::config::Builder::from(self.account.config());
        let config = config.interceptor(intercept.clone()).build();
        let place =
            Place { table: self.table.clone(), region: "us-east-1".into(), endpoint: Endpoint::default() };
        let table = Table { client: Client::from_conf(config), place, counts: Counts::default() };
        DynamoStore::with(table, clock()).await.unwrap()
    }

    /// The SDK's own client, to look and to do damage.
    pub(super) fn client(&self) -> Client {
        Client::new(self.account.config())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let (client, table) = (self.client(), self.table.clone());
        let deletion = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _ = runtime.block_on(client.delete_table().table_name(table).send());
        });
        let _ = deletion.join();
    }
}

// === impl Cut ===

impl Cut {
    /// After `requests` more, no request leaves.
    pub(super) fn requests() -> Self {
        Self { left: Arc::new(AtomicI64::new(i64::MAX)), answers: false, met: Arc::default() }
    }

    /// After `requests` more, requests are done and their answers are lost.
    pub(super) fn answers() -> Self {
        Self { answers: true, ..Self::requests() }
    }

    pub(super) fn after(&self, requests: i64) {
        self.left.store(requests, SeqCst);
        self.met.store(false, SeqCst);
    }

    /// Whether a request was cut off since.
    pub(super) fn was_met(&self) -> bool {
        self.met.load(SeqCst)
    }

    fn pass(&self) -> Result<(), BoxError> {
        if self.left.fetch_sub(1, SeqCst) > 0 {
            return Ok(());
        }
        self.met.store(true, SeqCst);
        Err("cut off".into())
    }
}

impl Intercept for Cut {
    fn name(&self) -> &'static str {
        "cut"
    }

    fn modify_before_transmit(
        &self,
        _: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.answers { Ok(()) } else { self.pass() }
    }

    fn modify_before_deserialization(
        &self,
        _: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.answers { self.pass() } else { Ok(()) }
    }
}

// === impl Between ===

impl Between {
    pub(super) fn new(work: impl Fn() + Send + Sync + 'static) -> Self {
        Self { left: Arc::new(AtomicI64::new(i64::MAX)), twice: false, work: Arc::new(work) }
    }

    /// The request is sent, then `work` is done, then it is sent as if it had not been.
    pub(super) fn twice(work: impl Fn() + Send + Sync + 'static) -> Self {
        Self { twice: true, ..Self::new(work) }
    }

    /// Lets `requests` more pass and meets the next one.
    pub(super) fn before(&self, requests: i64) {
        self.left.store(requests, SeqCst);
    }

    pub(super) fn was_met(&self) -> bool {
        self.left.load(SeqCst) < 0
    }

    fn send(context: &BeforeTransmitInterceptorContextRef<'_>) {
        let request = context.request();
        let (_, host) = request.uri().split_once("//").unwrap();
        let mut head = "POST / HTTP/1.1\r\nconnection: close\r\n".to_owned();
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !head.contains("host:") {
            head.push_str(&format!("host: {}\r\n", host.trim_end_matches('/')));
        }
        let mut stream = std::net::TcpStream::connect(host.trim_end_matches('/')).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"\r\n").unwrap();
        stream.write_all(request.body().bytes().unwrap()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl std::fmt::Debug for Between {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Between")
    }
}

impl Intercept for Between {
    fn name(&self) -> &'static str {
        "between"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.left.fetch_sub(1, SeqCst) == 0 {
            tokio::task::block_in_place(|| {
                if self.twice {
                    Self::send(context);
                }
                // On a thread of its own, as another node would.
                std::thread::scope(|scope| scope.spawn(|| (self.work)()).join()).unwrap();
            });
        }
        Ok(())
    }
}

/// A component whose stored form takes about `bytes`.
pub(super) fn component(name: &str, bytes: usize) -> wire::Component {
    wire::Component {
        name: name.into(),
        environment: vec![wire::NameValue { name: "FILL".into(), value: "x".repeat(bytes) }],
        docker: Some(wire::DockerComponent { image: "i:1".into(), ..Default::default() }),
        ..Default::default()
    }
}

pub(super) fn put(name: &str, based_on: i64, bytes: usize) -> Op {
    Op::PutComponent { component: Box::new(component(name, bytes)), based_on }
}

/// A project of `count` components, each based on `based_on`.
pub(super) fn project(count: usize, based_on: i64, bytes: usize) -> Vec<Op> {
    (0..count).map(|n| put(&format!("c{n:03}"), based_on, bytes)).collect()
}

/// The versions of all components, each once.
pub(super) fn versions(configuration: &Configuration) -> Vec<i64> {
    let mut versions: Vec<i64> = configuration.components.iter().map(|component| component.version).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}
