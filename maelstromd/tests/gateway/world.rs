//! A gateway with real sockets, its router, and clients that speak in raw bytes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use maelstrom_core::{
    component::{Component, HttpProtocol},
    event_source::{EventSource, EventSourceKind, Hostname, HttpSource},
    names::{ComponentName, EventSourceName, InstanceId, NodeId},
    time::WallTime,
    wire,
};
use maelstromd::{
    cluster::{Snapshot, Source},
    gateway::{Gateway, GatewaySettings},
    journal::Journal,
    router::{ComponentPool, Endpoint, PeerServing, Router},
    workers::Workers,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// That serve the clients of one gateway.
pub const WORKERS: usize = 2;

pub struct World {
    pub name: String,
    pub gateway: Arc<Gateway>,
    pub router: Arc<Router>,
    pub workers: Arc<Workers>,
    pub public: SocketAddr,
    pub private: SocketAddr,
    pub stop: CancellationToken,
    pub served: Vec<tokio::task::JoinHandle<()>>,
    components: Mutex<Vec<Arc<Component>>>,
    sources: Mutex<Vec<EventSource>>,
}

impl Drop for World {
    fn drop(&mut self) {
        for served in &self.served {
            served.abort();
        }
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(GatewaySettings::default()).await
    }

    pub async fn with(settings: GatewaySettings) -> Self {
        Self::node("test", settings).await
    }

    pub async fn node(name: &str, settings: GatewaySettings) -> Self {
        let management = axum::Router::new().fallback(|| async { "management" });
        Self::managed(name, settings, management).await
    }

    pub async fn managed(name: &str, settings: GatewaySettings, management: axum::Router) -> Self {
        let node = NodeId::new(name);
        let router = Router::new(Arc::new(Journal::new(node.clone())));
        let workers = Workers::start(WORKERS).unwrap();
        let gateway = Gateway::new(&node, Arc::clone(&router), management, settings, Arc::clone(&workers));
        let stop = CancellationToken::new();
        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let private = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (public.local_addr().unwrap(), private.local_addr().unwrap());
        let served = vec![
            tokio::spawn(Arc::clone(&gateway).serve_public(public, stop.clone())),
            tokio::spawn(Arc::clone(&gateway).serve_private(private, stop.clone())),
        ];
        Self {
            name: name.to_owned(),
            gateway,
            router,
            workers,
            public: addresses.0,
            private: addresses.1,
            stop,
            served,
            components: Mutex::default(),
            sources: Mutex::default(),
        }
    }

    /// A component with the source `host` + `prefix` → it.
    pub fn component(&self, name: &str, change: impl FnOnce(&mut Component)) -> Arc<ComponentPool> {
        let wire: wire::Component = serde_json::from_value(serde_json::json!({
            "name": name,
            "docker": { "image": "test" },
        }))
        .unwrap();
        let mut component = Component::parse(&wire).unwrap();
        change(&mut component);
        self.components.lock().push(Arc::new(component));
        self.configure();
        self.router.component(name).unwrap()
    }

    pub fn source(&self, component: &str, host: &str, prefix: Option<&str>, strip: bool) {
        let mut sources = self.sources.lock();
        let kind = EventSourceKind::Http(HttpSource {
            hostname: (!host.is_empty()).then(|| Hostname::Exact(host.to_owned())),
            path_prefix: prefix.map(str::to_owned),
            strip_prefix: strip,
        });
        let name = EventSourceName::parse(&format!("source-{}", sources.len())).unwrap();
        let component = ComponentName::parse(component).unwrap();
        sources.push(EventSource { name, component, project: None, version: 1, modified_at: 0, kind });
        drop(sources);
        self.configure();
    }

    fn configure(&self) {
        let components = self.components.lock();
        let sources = self.sources.lock();
        self.router.configure(&Snapshot {
            components: components.iter().map(|c| (c.name.clone(), Arc::clone(c))).collect(),
            event_sources: sources
                .iter()
                .map(|s| Arc::new(Source { source: s.clone(), enabled: true }))
                .collect(),
            ..Snapshot::default()
        });
    }

    /// A component `web` on host `web`, with room for many requests at a time, and one instance.
    pub async fn web(&self, address: SocketAddr) -> Arc<ComponentPool> {
        let pool = self.component("web", |component| {
            component.scaling.max_concurrency = 100.try_into().unwrap();
        });
        self.source("web", "web", None, false);
        self.add(&pool, "one", address);
        pool
    }

    /// The node of that name serves these components, with so many instances each.
    pub fn peer(&self, node: &str, address: SocketAddr, serving: &[(&str, u32)]) {
        let serving = serving.iter().map(|(component, instances)| PeerServing {
            component: ComponentName::parse(component).unwrap(),
            instances: *instances,
        });
        self.router.set_peer(&NodeId::new(node), address, serving.collect());
    }

    pub fn add(&self, pool: &Arc<ComponentPool>, id: &str, address: SocketAddr) {
        self.add_protocol(pool, id, address, HttpProtocol::Http1);
    }

    pub fn add_protocol(
        &self,
        pool: &Arc<ComponentPool>,
        id: &str,
        address: SocketAddr,
        protocol: HttpProtocol,
    ) {
        let id = InstanceId::new(id);
        let endpoint = Endpoint::new(id, pool.name().clone(), 1, address, protocol, WallTime::from_millis(0));
        pool.add(Arc::new(endpoint));
    }
}

/// A client in raw bytes.
pub struct Raw {
    pub stream: TcpStream,
    pub received: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until the text has come; everything up to its end.
    pub async fn until(&mut self, text: &str) -> String {
        let wanted = text.as_bytes();
        let waiting = async {
            loop {
                let found = self.received.windows(wanted.len()).position(|window| window == wanted);
                if let Some(at) = found {
                    let rest = self.received.split_off(at + wanted.len());
                    let before = std::mem::replace(&mut self.received, rest);
                    return String::from_utf8_lossy(&before).into_owned();
                }
                let read = self.stream.read_buf(&mut self.received).await.unwrap();
                assert!(read > 0, "closed before {text:?}: {:?}", String::from_utf8_lossy(&self.received));
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {text:?} in time"))
    }

    /// Everything until the gateway closes.
    pub async fn rest(&mut self) -> String {
        let reading =
            async { while matches!(self.stream.read_buf(&mut self.received).await, Ok(read) if read > 0) {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("the gateway closes");
        String::from_utf8_lossy(&std::mem::take(&mut self.received)).into_owned()
    }

    /// One response: head and body of its Content-Length.
    pub async fn response(&mut self) -> String {
        let mut head = self.until("\r\n\r\n").await;
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| {
                line.strip_prefix("content-length: ").map(|text| text.trim().parse::<usize>().unwrap())
            })
            .unwrap_or(0);
        let reading = async {
            while self.received.len() < length {
                assert!(self.stream.read_buf(&mut self.received).await.unwrap() > 0, "cut off");
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the body comes");
        let rest = self.received.split_off(length);
        head.push_str(&String::from_utf8_lossy(&std::mem::replace(&mut self.received, rest)));
        head
    }
}

/// Sends the bytes on a connection of their own and returns the one response.
pub async fn ask(address: SocketAddr, request: &str) -> String {
    let mut client = Raw::connect(address).await;
    client.send(request).await;
    client.response().await
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
