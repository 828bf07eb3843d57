//! The lines of two nodes, one of them over a real connection to its private port.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router as Routes;
use maelstrom_core::{
    ports::engine::LogLine,
    rpc::Registry,
    testing::store::MemoryStore,
    wire::{self, NodeStatus},
};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    access::{Keys, Secret},
    api,
    clock::SystemClock,
    cluster::{PeersParts, PeersSettings, PeersSignals},
    journal::Journal,
    router::Router,
};

/// A node's own lines: what the test says while somebody listens.
struct Source {
    node: NodeId,
    lines: broadcast::Sender<String>,
    past: Vec<String>,
    requests: Mutex<Vec<LogRequest>>,
}

impl LogSource for Source {
    fn lines(self: Arc<Self>, request: LogRequest) -> BoxStream<'static, ComponentLine> {
        self.requests.lock().push(request.clone());
        let node = self.node.clone();
        let line = move |text: String| ComponentLine {
            node: node.clone(),
            component: ComponentName::parse("web").unwrap(),
            line: LogLine { stream: LogStream::Stderr, line: text.into() },
        };
        let past = futures_util::stream::iter(self.past.clone());
        if !request.follow {
            return past.map(line).boxed();
        }
        let lines = futures_util::stream::unfold(self.lines.subscribe(), |mut lines| async move {
            let line = lines.recv().await.ok()?;
            Some((line, lines))
        });
        past.chain(lines).map(line).boxed()
    }
}

impl Source {
    fn new(node: &str, past: &[&str]) -> Arc<Self> {
        Arc::new(Self {
            node: NodeId::new(node),
            lines: broadcast::Sender::new(100),
            past: past.iter().map(|line| (*line).to_owned()).collect(),
            requests: Mutex::default(),
        })
    }
}

/// Of all nodes here, with a token that none of them has: peers get their streams by what proves them.
fn keys() -> Keys {
    let secret = |text| vec![Secret::new(text).unwrap()];
    Keys::new(&secret("a-token-of-operators"), &[], &secret("a-secret-of-nodes"))
}

/// A peer's private port.
struct Peer {
    status: NodeStatus,
    server: JoinHandle<()>,
    stop: CancellationToken,
}

impl Peer {
    async fn new(source: Arc<Source>, at: Option<SocketAddr>) -> Self {
        let at = at.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        let listener = TcpListener::bind(at).await.unwrap();
        let status = NodeStatus {
            node_id: source.node.to_string(),
            incarnation: Some("1".into()),
            version: 1,
            peer_url: format!("http://{}", listener.local_addr().unwrap()),
            ..NodeStatus::default()
        };
        let told = status.clone();
        let node_id = status.node_id.clone();
        let registry = Registry::new()
            .on(wire::GetStatus, move |_| {
                std::future::ready(Ok(wire::GetStatusOutput { status: told.clone() }))
            })
            .on(wire::GetVersion, move |_| {
                let output = wire::GetVersionOutput { version: "1".into(), node_id: node_id.clone() };
                std::future::ready(Ok(output))
            });
        let stop = CancellationToken::new();
        let routes: Routes = api::routes(registry, source, Arc::new(String::new), stop.clone());
        let routes = api::guarded(routes, &keys());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { status, server, stop }
    }

    /// Nothing listens there any more when it returns, and streams have ended.
    async fn close(self) {
        self.stop.cancel();
        self.server.abort();
        assert!(self.server.await.unwrap_err().is_cancelled());
    }

    fn address(&self) -> SocketAddr {
        self.status.peer_url.trim_start_matches("http://").parse().unwrap()
    }
}

struct World {
    logs: Arc<ClusterLogs>,
    own: Arc<Source>,
    token: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

fn world() -> World {
    let (node, own) = (NodeId::new("here"), Source::new("here", &["h1"]));
    let journal = Arc::new(Journal::new(node.clone()));
    let status = NodeStatus { node_id: "here".into(), ..NodeStatus::default() };
    let parts = PeersParts {
        status: Arc::new(move || status.clone()),
        routing: Router::new(journal.clone()),
        store: Arc::new(MemoryStore::exclusive()),
        commits: watch::channel(Default::default()).1,
        journal,
        clock: Arc::new(SystemClock),
    };
    let settings = PeersSettings {
        node: node.clone(),
        liveness: Duration::from_secs(300),
        secret: keys().peers().clone(),
    };
    let peers = Peers::new(settings, parts);
    let token = CancellationToken::new();
    let signals = PeersSignals {
        versions: watch::channel(1).1,
        roles: watch::channel(Default::default()).1,
        readings: watch::channel(Arc::default()).1,
    };
    tokio::spawn(peers.clone().run(signals, token.clone()));
    let logs = ClusterLogs { local: own.clone(), node, peers, clock: Arc::new(SystemClock) };
    World { logs: Arc::new(logs), own, token }
}

impl World {
    async fn meet(&self, peer: &Peer) {
        let mut changes = self.logs.peers.changes();
        self.logs.peers.observe(peer.status.clone());
        let met = |_: &u64| self.logs.peers.view().iter().any(|view| view.silent_since.is_none());
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, changes.wait_for(met)).await.expect("they meet").unwrap();
    }

    fn open(&self, follow: bool) -> BoxStream<'static, ComponentLine> {
        let pairs = [("follow".to_owned(), follow.to_string()), ("components".to_owned(), "w*".to_owned())];
        self.logs.clone().lines(LogRequest::parse(&pairs).unwrap())
    }
}

async fn next(lines: &mut BoxStream<'static, ComponentLine>) -> String {
    let line = tokio::time::timeout(Duration::from_secs(20), lines.next()).await.expect("a line comes");
    show(&line.expect("the stream is open"))
}

fn show(line: &ComponentLine) -> String {
    format!("{} {}: {}", line.node, line.component, String::from_utf8_lossy(&line.line.line))
}

#[tokio::test]
async fn lines_of_all_nodes_come_as_one_stream_that_ends() {
    let world = world();
    let there = Source::new("there", &["t1", "t2"]);
    let peer = Peer::new(there.clone(), None).await;
    world.meet(&peer).await;
    let mut lines: Vec<String> = world.open(false).map(|line| show(&line)).collect().await;
    lines.sort();
    assert_eq!(lines, ["here web: h1", "there web: t1", "there web: t2"]);
    let asked = there.requests.lock()[0].clone();
    assert!(asked.local && !asked.follow && asked.wants(&ComponentName::parse("web").unwrap()));
}

#[tokio::test]
async fn who_is_asked_for_its_own_lines_asks_nobody() {
    let world = world();
    let there = Source::new("there", &["t1"]);
    let peer = Peer::new(there.clone(), None).await;
    world.meet(&peer).await;
    let pairs = [("local".to_owned(), "1".to_owned()), ("follow".to_owned(), "false".to_owned())];
    let lines = world.logs.clone().lines(LogRequest::parse(&pairs).unwrap());
    assert_eq!(lines.count().await, 1);
    assert!(there.requests.lock().is_empty());
}

#[tokio::test]
async fn a_peer_joins_an_open_stream_and_one_that_breaks_is_read_again() {
    let world = world();
    let mut lines = world.open(true);
    assert_eq!(next(&mut lines).await, "here web: h1");
    let there = Source::new("there", &["t1"]);
    let peer = Peer::new(there.clone(), None).await;
    let address = peer.address();
    world.meet(&peer).await;
    assert_eq!(next(&mut lines).await, "there web: t1");
    there.lines.send("t2".into()).unwrap();
    assert_eq!(next(&mut lines).await, "there web: t2");
    peer.close().await;
    // A stream that ended is begun again, from where it ended.
    let peer = Peer::new(there.clone(), Some(address)).await;
    while there.requests.lock().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let again = there.requests.lock()[1].clone();
    assert!(again.since < Duration::from_secs(60) && again.local, "{again:?}");
    world.own.lines.send("h2".into()).unwrap();
    let mut seen = Vec::new();
    while !seen.contains(&"here web: h2".to_owned()) {
        seen.push(next(&mut lines).await);
    }
    peer.close().await;
}

#[tokio::test]
async fn a_peer_that_can_not_be_reached_is_named_once() {
    let world = world();
    let gone =
        NodeStatus { node_id: "gone".into(), peer_url: "http://127.0.0.1:1".into(), ..NodeStatus::default() };
    world.logs.peers.observe(gone);
    let mut lines: Vec<String> = world.open(false).map(|line| show(&line)).collect().await;
    lines.sort();
    assert_eq!(
        lines[0],
        "gone maelstrom: maelstrom: lines of node gone are missing: the node can't be reached"
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
}
