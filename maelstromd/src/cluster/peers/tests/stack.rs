//! A node as its peers see it: a private port that answers, a status that tests change, a router that
//! writes down what it was told.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::TokioIo;
use maelstrom_core::{
    names::ComponentName, rpc::Registry, testing::store::MemoryStore, time::WallTime, wire::ComponentInfo,
};
use tokio::{net::TcpListener, task::JoinSet};

use super::super::*;
use crate::{
    access::PeerSecret,
    clock::SystemClock,
    router::{PeerServing, StartFailure},
};

/// Long enough for a loaded machine; conditions are awaited, so nothing takes it that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a router was told of a peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) address: Option<SocketAddr>,
    pub(super) serving: Vec<(String, u32)>,
    pub(super) held: bool,
    pub(super) lost: u32,
    pub(super) refused: Vec<String>,
}

/// Writes down what it is told.
#[derive(Default)]
pub(super) struct Recorder {
    peers: watch::Sender<BTreeMap<String, Told>>,
    suspects: Mutex<Vec<NodeId>>,
    suspected: watch::Sender<u64>,
}

impl Recorder {
    fn change(&self, node: &NodeId, change: impl FnOnce(&mut Told)) {
        self.peers.send_modify(|peers| change(peers.entry(node.to_string()).or_default()));
    }

    pub(super) fn suspect(&self, node: &str) {
        self.suspects.lock().push(NodeId::new(node));
        self.suspected.send_modify(|number| *number += 1);
    }
}

impl PeerRouting for Recorder {
    fn set_peer(&self, node: &NodeId, address: SocketAddr, serving: Vec<PeerServing>) {
        let serving = serving.into_iter().map(|one| (one.component.to_string(), one.instances)).collect();
        self.change(node, |told| (told.address, told.serving) = (Some(address), serving));
    }

    fn hold_peer(&self, node: &NodeId) {
        self.change(node, |told| told.held = true);
    }

    fn resume_peer(&self, node: &NodeId) {
        self.change(node, |told| told.held = false);
    }

    fn lose_peer(&self, node: &NodeId) {
        self.change(node, |told| told.lost += 1);
    }

    fn remove_peer(&self, node: &NodeId) {
        self.peers.send_modify(|peers| drop(peers.remove(node.as_str())));
    }

    fn peer_refuses(&self, component: &ComponentName, failure: StartFailure, from: &NodeId) {
        self.change(from, |told| told.refused.push(format!("{component}: {}", failure.reason)));
    }

    fn suspect_peers(&self) -> Vec<NodeId> {
        std::mem::take(&mut *self.suspects.lock())
    }

    fn peer_suspected(&self) -> watch::Receiver<u64> {
        self.suspected.subscribe()
    }
}

/// How a node's private port behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Answers,
    /// Takes requests and says nothing.
    Frozen,
}

pub(super) struct Stack {
    pub(super) name: String,
    pub(super) peers: Arc<Peers>,
    pub(super) routing: Arc<Recorder>,
    pub(super) journal: Arc<Journal>,
    pub(super) address: SocketAddr,
    pub(super) manner: watch::Sender<Manner>,
    /// Notices of changed configurations that came.
    pub(super) notices: watch::Receiver<u64>,
    pub(super) commits: watch::Sender<Revision>,
    /// Connections that were accepted.
    pub(super) connections: watch::Receiver<u64>,
    /// Requests that came, by method.
    pub(super) requests: Arc<Mutex<BTreeMap<String, u64>>>,
    status: Arc<Mutex<NodeStatus>>,
    versions: watch::Sender<i64>,
    store: MemoryStore,
    beat: u64,
    tasks: Tasks,
}

impl Stack {
    /// Runs, and has its heartbeat in `store`.
    pub(super) async fn new(store: &MemoryStore, name: &str, run: &str, liveness: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::on(listener, url, store, name, run, liveness).await
    }

    /// Known by its host's name instead of its address.
    pub(super) async fn by_name(store: &MemoryStore, name: &str, run: &str, liveness: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        Self::on(listener, url, store, name, run, liveness).await
    }

    async fn on(
        listener: TcpListener,
        url: String,
        store: &MemoryStore,
        name: &str,
        run: &str,
        liveness: Duration,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let status = Arc::new(Mutex::new(NodeStatus {
            node_id: name.into(),
            incarnation: Some(run.into()),
            version: 1,
            peer_url: url,
            ..NodeStatus::default()
        }));
        let routing = Arc::new(Recorder::default());
        let journal = Arc::new(Journal::new(NodeId::new(name)));
        let (commits, committed) = watch::channel(Revision::default());
        let told = status.clone();
        let parts = PeersParts {
            status: Arc::new(move || told.lock().clone()),
            routing: routing.clone(),
            store: Arc::new(store.clone()),
            commits: committed,
            journal: journal.clone(),
            clock: Arc::new(SystemClock),
        };
        let peers = Peers::new(
            PeersSettings { node: NodeId::new(name), liveness, secret: PeerSecret::default() },
            parts,
        );
        let (noticed, notices) = watch::channel(0);
        let (accepted, connections) = watch::channel(0);
        let manner = watch::Sender::new(Manner::Answers);
        let requests = Arc::new(Mutex::new(BTreeMap::new()));
        let tasks = Tasks::new();
        let registry = Arc::new(registry(name, &peers, &status, noticed));
        let serving = serve(listener, registry, manner.subscribe(), accepted, requests.clone());
        tasks.spawn_cancellable("server", serving);
        let mut stack = Self {
            name: name.into(),
            peers,
            routing,
            journal,
            address,
            manner,
            notices,
            commits,
            connections,
            requests,
            status,
            versions: watch::Sender::new(1),
            store: store.clone(),
            beat: 0,
            tasks,
        };
        stack.beat().await;
        let signals = PeersSignals {
            versions: stack.versions.subscribe(),
            roles: watch::channel(BTreeMap::new()).1,
            readings: watch::channel(Arc::default()).1,
        };
        let token = stack.tasks.token().clone();
        stack.tasks.spawn("peers", stack.peers.clone().run(signals, token));
        stack
    }

    pub(super) async fn beat(&mut self) {
        self.beat += 1;
        let (run, peer_url) = {
            let status = self.status.lock();
            (status.incarnation.clone().unwrap(), status.peer_url.clone())
        };
        let heartbeat = Heartbeat {
            node: NodeId::new(self.name.as_str()),
            incarnation: run,
            beat: self.beat,
            duration: Duration::from_secs(20),
            peer_url,
            written_at: WallTime::default(),
        };
        self.store.beat(heartbeat).await.unwrap();
    }

    /// The node's status changes and peers have to know.
    pub(super) fn change(&self, change: impl FnOnce(&mut NodeStatus)) {
        self.quietly(change);
        self.versions.send_modify(|version| *version += 1);
    }

    /// It changes, and nobody is told.
    pub(super) fn quietly(&self, change: impl FnOnce(&mut NodeStatus)) {
        let mut status = self.status.lock();
        change(&mut status);
        status.version += 1;
    }

    /// Waits until the router was told of `peer` what `condition` asks for.
    pub(super) async fn told(&self, peer: &str, what: &str, condition: impl Fn(Option<&Told>) -> bool) {
        let mut peers = self.routing.peers.subscribe();
        let told = peers.wait_for(|peers| condition(peers.get(peer)));
        if tokio::time::timeout(PATIENCE, told).await.is_err() {
            panic!("{}: not told of {peer}: {what}; but {:?}", self.name, self.routing.peers.borrow());
        }
    }

    /// Waits until both can reach each other.
    pub(super) async fn meets(&self, other: &Self) {
        for (one, peer) in [(self, other), (other, self)] {
            let usable = |told: Option<&Told>| told.is_some_and(|t| t.address.is_some() && !t.held);
            one.told(&peer.name, "it can be reached", usable).await;
        }
    }

    pub(super) fn requests(&self, method: &str) -> u64 {
        self.requests.lock().get(method).copied().unwrap_or(0)
    }

    /// Gone from one moment to the next: nothing listens, connections are reset, nothing is told.
    pub(super) async fn die(self) {
        self.tasks.stop(Duration::from_secs(5)).await;
    }
}

pub(super) fn instance(component: &str) -> ComponentInfo {
    ComponentInfo { component_name: component.into(), status: "active".into(), ..ComponentInfo::default() }
}

fn registry(
    name: &str,
    peers: &Arc<Peers>,
    status: &Arc<Mutex<NodeStatus>>,
    noticed: watch::Sender<u64>,
) -> Registry {
    let node_id = name.to_owned();
    let (greeted, own) = (peers.clone(), status.clone());
    let (told, teller, version) = (peers.clone(), node_id.clone(), node_id.clone());
    Registry::new()
        .on(wire::GetStatus, move |input| {
            input.status.into_iter().for_each(|status| greeted.observe(status));
            std::future::ready(Ok(wire::GetStatusOutput { status: own.lock().clone() }))
        })
        .on(wire::StatusChanged, move |input| {
            match input {
                wire::StatusChangedInput { node_id, exiting: true, status } => {
                    told.leaves(&NodeId::new(node_id), status.as_ref());
                }
                input => input.status.into_iter().for_each(|status| told.observe(status)),
            }
            std::future::ready(Ok(wire::StatusChangedOutput { node_id: teller.clone() }))
        })
        .on(wire::GetVersion, move |_| {
            let output = wire::GetVersionOutput { version: "1".into(), node_id: version.clone() };
            std::future::ready(Ok(output))
        })
        .on(wire::NotifyDataChanged, move |_| {
            noticed.send_modify(|number| *number += 1);
            let output = wire::NotifyDataChangedOutput { responding_node_id: node_id.clone() };
            std::future::ready(Ok(output))
        })
}

/// Connections end with it.
async fn serve(
    listener: TcpListener,
    registry: Arc<Registry>,
    manner: watch::Receiver<Manner>,
    accepted: watch::Sender<u64>,
    requests: Arc<Mutex<BTreeMap<String, u64>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        accepted.send_modify(|number| *number += 1);
        let (registry, manner, requests) = (registry.clone(), manner.clone(), requests.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (registry, mut manner, requests) = (registry.clone(), manner.clone(), requests.clone());
            async move {
                let body =
                    request.into_body().collect().await.map_or_else(|_| Bytes::new(), |b| b.to_bytes());
                let call: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let method = call["method"].as_str().unwrap_or_default().to_owned();
                *requests.lock().entry(method).or_default() += 1;
                let _ = manner.wait_for(|manner| *manner == Manner::Answers).await;
                let answer = registry.handle(&body).await.unwrap_or_default();
                Ok::<_, Infallible>(Response::new(Full::new(answer)))
            }
        });
        connections.spawn(async move {
            let io = TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}
