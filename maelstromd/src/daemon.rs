//! The daemon on one page: its parts from the leaves up, how they are wired, and the order in which they
//! start. How they stop is in [`shutdown`].
//!
//! ```text
//!   store ─► configuration ─► routing ─► router ─► gateways ◄─ sockets
//!                 │                        ▲ │         ▲
//!                 ▼                        │ ▼         │
//!   engine ─►   node  ◄────── targets ── control    management API
//! ```
//! Sockets are opened first, so that a port in use is told before anything is touched. Then the store:
//! without a configuration there is nothing to serve. The engine may be away: the node goes on trying.
//! Requests that come before the last run's containers are taken over wait for them like any others.

mod engine;
pub mod identity;
mod listeners;
mod machine;
mod notify;
mod routing;
mod shutdown;
mod signals;

use std::{net::SocketAddr, path::Path, sync::Arc};

use maelstrom_core::{
    journal::Kind,
    names::{NodeId, Role},
    ports::{
        clock::Clock,
        engine::ContainerEngine,
        store::{Store, StoreError},
    },
    rpc::Registry,
};

pub use machine::raise_open_files;
pub use signals::Order;

use self::{
    identity::IdentityError,
    listeners::{Inherited, ListenError, Listener, Side},
    routing::Routing,
    signals::Signals,
};
use crate::{
    api::{self, Insight, MaelstromService, NodeService},
    clock::SystemClock,
    cluster::{ConfigurationCache, Roles, RolesSettings},
    config::{Settings, StoreSetting},
    control::{Control, Targets as _},
    docker::DockerEngine,
    events::cron::{self, Cron, CronCounts},
    gateway::{Gateway, GatewaySettings},
    images::{PruneSettings, Pruner, Pulls},
    journal::{Entry, Journal},
    logs::{self, InstanceLogs},
    node::{HttpChecker, LocalPermits, Node, NodeParts, NodeSettings},
    router::Router,
    store::sqlite::SqliteStore,
    tasks::Tasks,
};

/// What this node acts in: all that a node alone has to do.
const ROLES: [&str; 3] = ["autoscale", cron::ROLE, "placement"];

/// Why the daemon can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("MAEL_STORE: this build has no DynamoDB store (table '{table}'); sqlite:PATH is what it has")]
    NoSuchStore { table: String },
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("MAEL_STORE: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the system refuses {what}: {source}")]
    System { what: &'static str, source: std::io::Error },
}

/// A running daemon.
pub struct Daemon {
    settings: Settings,
    journal: Arc<Journal>,
    node: Arc<Node>,
    gateway: Arc<Gateway>,
    roles: Arc<Roles>,
    listeners: Vec<Listener>,
    signals: Signals,
    /// Each stops on its own, in the order of [`shutdown`].
    public: Tasks,
    private: Tasks,
    events: Tasks,
    work: Tasks,
    base: Tasks,
}

/// What outlives the daemon.
pub struct Ended {
    pub order: Order,
    listeners: Vec<Listener>,
}

// === impl Daemon ===

impl Daemon {
    /// Opens everything and starts to serve.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let system = |what| move |source| StartError::System { what, source };
        let signals = Signals::listen().map_err(system("signals"))?;
        let inherited = Inherited::read(|name| std::env::var(name).ok(), std::process::id());
        let public = Listener::open(Side::Public, settings.public_address, settings.public_port, &inherited)?;
        let private =
            Listener::open(Side::Private, settings.private_address, settings.private_port, &inherited)?;
        let public_at = public.address().map_err(system("the public socket's address"))?;
        let private_at = private.address().map_err(system("the private socket's address"))?;

        let path = match &settings.store {
            StoreSetting::Sqlite(path) => path.clone(),
            StoreSetting::DynamoDb(table) => return Err(StartError::NoSuchStore { table: table.clone() }),
        };
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path).await?);
        let id = node_id(&settings, &path)?;
        let journal = Arc::new(Journal::new(id.clone()));
        let configuration = ConfigurationCache::load(store.clone(), journal.clone()).await?;

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let docker = DockerEngine::new(None);
        let private_url = private_url(&settings, &docker, private_at).await;
        let engine: Arc<dyn ContainerEngine> = Arc::new(docker);
        let router = Router::new(journal.clone());
        let routing = Routing::new(configuration.clone(), router.clone());
        let pulls = Pulls::new(engine.clone(), journal.clone(), clock.clone());
        let total_memory_mib = settings.total_memory.unwrap_or_else(machine::memory_mib);
        let node = Node::new(
            id.clone(),
            NodeParts {
                engine: engine.clone(),
                images: Arc::new(pulls.clone()),
                checker: Arc::new(HttpChecker),
                permits: Arc::new(LocalPermits::default()),
                router: router.clone(),
                journal: journal.clone(),
                clock: clock.clone(),
            },
            NodeSettings {
                total_memory_mib,
                private_url: private_url.clone(),
                peer_url: private_url.clone(),
                parallel_starts: machine::cpus(),
            },
        );
        let run = ulid::Ulid::generate().to_string();
        let roles = Roles::new(
            store.clone(),
            journal.clone(),
            clock.clone(),
            RolesSettings::new(id.clone(), run.clone(), private_url.clone()),
            ROLES.map(Role::new).to_vec(),
        );
        if let Err(error) = roles.acquire().await {
            tracing::warn!(%error, "roles can't be taken yet; trying on");
        }
        let control = Control::new(router.clone(), node.clone(), journal.clone());
        let container_logs = InstanceLogs {
            node: id.clone(),
            engine: engine.clone(),
            clock: clock.clone(),
            changes: node.changes(),
        };

        let maelstrom = Arc::new(MaelstromService {
            node: id.clone(),
            configuration: configuration.clone(),
            clock: clock.clone(),
            put_in_place: {
                let routing = routing.clone();
                Arc::new(move || routing.put_in_place())
            },
        });
        let nodes = Arc::new(NodeService {
            id: id.clone(),
            node: node.clone(),
            control: control.clone(),
            configuration: configuration.clone(),
        });
        let insight = Arc::new(Insight {
            id: id.clone(),
            configuration: configuration.clone(),
            journal: journal.clone(),
            node: node.clone(),
            control: control.clone(),
            router: router.clone(),
        });
        let private_tasks = Tasks::new();
        let registry = insight.register(nodes.register(maelstrom.register(Registry::new())));
        let metrics = {
            let router = router.clone();
            Arc::new(move || crate::gateway::encode_metrics(&router))
        };
        let management =
            api::routes(registry, Arc::new(container_logs.clone()), metrics, private_tasks.token().clone());
        let gateway = Gateway::new(router.clone(), management, gateway_settings(&settings));

        let cron = Arc::new(Cron {
            store,
            configuration: configuration.clone(),
            roles: roles.clone(),
            dispatch: gateway.clone(),
            journal: journal.clone(),
            clock: clock.clone(),
            claimant: run,
            counts: CronCounts::default(),
        });

        let daemon = Self {
            journal: journal.clone(),
            node: node.clone(),
            gateway: gateway.clone(),
            roles: roles.clone(),
            listeners: vec![public, private],
            signals,
            public: Tasks::new(),
            private: private_tasks,
            events: Tasks::new(),
            work: Tasks::new(),
            base: Tasks::new(),
            settings,
        };
        let Self { base, work, events, settings, .. } = &daemon;
        base.spawn("configuration", configuration.clone().run(base.token().clone()));
        base.spawn("routing", routing.run(base.token().clone()));
        base.spawn_cancellable("engine watch", engine::watch(engine.clone(), journal.clone()));
        base.spawn_cancellable("container logs", logs::forward(container_logs));
        base.spawn("roles", roles.run(base.token().clone()));
        events.spawn("cron", cron.run(events.token().clone()));
        work.spawn("node", node.run(configuration.subscribe(), work.token().clone()));
        work.spawn("control", control.run(work.token().clone()));
        work.spawn_cancellable("image pulls", pulls.run(configuration.subscribe(), work.child()));
        let pruner = Pruner {
            node: id.clone(),
            engine,
            journal: journal.clone(),
            clock,
            settings: prune_settings(settings),
        };
        work.spawn_cancellable("pruning", pruner.run(configuration.subscribe()));
        daemon.serve().map_err(system("its listening sockets"))?;

        let message = format!("serves the public at {public_at}, containers and maelctl at {private_at}");
        let entry = Entry::new(Kind::Node, message)
            .data("version", env!("CARGO_PKG_VERSION"))
            .data("store", path.display().to_string())
            .data("private_url", private_url)
            .data("memory_mib", total_memory_mib);
        journal.record(entry);
        notify::ready(&format!("serving {public_at}"));
        Ok(daemon)
    }

    fn serve(&self) -> std::io::Result<()> {
        let [public, private] = self.listeners.as_slice() else { return Ok(()) };
        let (public, private) = (public.accepting()?, private.accepting()?);
        let gateway = self.gateway.clone();
        self.public.spawn("public gateway", gateway.serve_public(public, self.public.token().clone()));
        let gateway = self.gateway.clone();
        self.private.spawn("private gateway", gateway.serve_private(private, self.private.token().clone()));
        Ok(())
    }
}

fn node_id(settings: &Settings, store: &Path) -> Result<NodeId, IdentityError> {
    match &settings.node_id {
        Some(name) => Ok(NodeId::new(name.as_str())),
        None => identity::node_id(store),
    }
}

async fn private_url(settings: &Settings, docker: &DockerEngine, private: SocketAddr) -> String {
    match &settings.private_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let address = engine::address_for_containers(docker).await;
            format!("http://{}", SocketAddr::new(address, private.port()))
        }
    }
}

fn gateway_settings(settings: &Settings) -> GatewaySettings {
    let defaults = GatewaySettings::default();
    GatewaySettings {
        read_timeout: settings.http_read_timeout,
        write_timeout: settings.http_write_timeout,
        idle_timeout: settings.http_idle_timeout,
        drain: settings.drain,
        tunnel_drain: settings.drain_streams,
        max_connections: machine::max_connections(defaults.max_connections),
        ..defaults
    }
}

fn prune_settings(settings: &Settings) -> PruneSettings {
    PruneSettings {
        every: settings.docker_prune,
        unregistered: settings.docker_prune_unreg_images,
        keep: settings.docker_prune_unreg_keep.clone(),
    }
}
