//! The parts of the daemon, from the leaves up, each given what it uses. Nothing runs yet when they are
//! built; what runs of them is started in [`super::Daemon::start`].

use std::{net::SocketAddr, sync::Arc};

use maelstrom_core::{names::Role, ports::engine::ContainerEngine, rpc::Registry};
use tokio_util::sync::CancellationToken;

use super::{engine, ground::Ground, machine, routing::Routing};
use crate::{
    api::{self, Insight, MaelstromService, NodeService},
    cluster::{Roles, RolesSettings},
    config::Settings,
    control::{Control, Targets as _},
    docker::DockerEngine,
    events::cron::{self, Cron, CronCounts},
    gateway::{self, Gateway, GatewaySettings},
    images::{PruneSettings, Pruner, Pulls},
    logs::InstanceLogs,
    node::{HttpChecker, LocalPermits, Node, NodeParts, NodeSettings},
    router::Router,
};

/// What this node acts in: all that a node alone has to do.
const ROLES: [&str; 3] = ["autoscale", cron::ROLE, "placement"];

/// See the module.
pub(super) struct Parts {
    pub(super) engine: Arc<dyn ContainerEngine>,
    pub(super) routing: Arc<Routing>,
    pub(super) pulls: Pulls,
    pub(super) pruner: Pruner,
    pub(super) logs: InstanceLogs,
    pub(super) node: Arc<Node>,
    pub(super) control: Arc<Control>,
    pub(super) roles: Arc<Roles>,
    pub(super) cron: Arc<Cron>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) private_url: String,
    pub(super) total_memory_mib: u64,
}

// === impl Parts ===

impl Parts {
    /// `private` is where the private gateway listens; when it stops, `private_stop` fires.
    pub(super) async fn build(
        settings: &Settings,
        ground: &Ground,
        private: SocketAddr,
        private_stop: &CancellationToken,
    ) -> Self {
        let Ground { id, journal, configuration, clock, .. } = ground;
        let docker = DockerEngine::new(None);
        let private_url = private_url(settings, &docker, private).await;
        let engine: Arc<dyn ContainerEngine> = Arc::new(docker);
        let total_memory_mib = settings.total_memory.unwrap_or_else(machine::memory_mib);

        let router = Router::new(journal.clone());
        let routing = Routing::new(configuration.clone(), router.clone());
        let pulls = Pulls::new(engine.clone(), journal.clone(), clock.clone());
        let node_parts = NodeParts {
            engine: engine.clone(),
            images: Arc::new(pulls.clone()),
            checker: Arc::new(HttpChecker),
            permits: Arc::new(LocalPermits::default()),
            router: router.clone(),
            journal: journal.clone(),
            clock: clock.clone(),
        };
        let node_settings = NodeSettings {
            total_memory_mib,
            private_url: private_url.clone(),
            peer_url: private_url.clone(),
            parallel_starts: machine::cpus(),
        };
        let node = Node::new(id.clone(), node_parts, node_settings);
        let control = Control::new(router.clone(), node.clone(), journal.clone());
        let logs = InstanceLogs {
            node: id.clone(),
            engine: engine.clone(),
            clock: clock.clone(),
            changes: node.changes(),
        };

        let registry = registry(ground, &router, &routing, &node, &control);
        let counted = router.clone();
        let metrics = Arc::new(move || gateway::encode_metrics(&counted));
        let management = api::routes(registry, Arc::new(logs.clone()), metrics, private_stop.clone());
        let gateway = Gateway::new(router, management, gateway_settings(settings));

        let (roles, cron) = roles_and_cron(ground, &private_url, &gateway);
        let pruner = Pruner {
            node: id.clone(),
            engine: engine.clone(),
            journal: journal.clone(),
            clock: clock.clone(),
            settings: prune_settings(settings),
        };
        Self {
            engine,
            routing,
            pulls,
            pruner,
            logs,
            node,
            control,
            roles,
            cron,
            gateway,
            private_url,
            total_memory_mib,
        }
    }
}

/// All methods of the management API.
fn registry(
    ground: &Ground,
    router: &Arc<Router>,
    routing: &Arc<Routing>,
    node: &Arc<Node>,
    control: &Arc<Control>,
) -> Registry {
    let Ground { id, journal, configuration, clock, .. } = ground;
    let routing = routing.clone();
    let maelstrom = Arc::new(MaelstromService {
        node: id.clone(),
        configuration: configuration.clone(),
        clock: clock.clone(),
        put_in_place: Arc::new(move || routing.put_in_place()),
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
    insight.register(nodes.register(maelstrom.register(Registry::new())))
}

fn roles_and_cron(ground: &Ground, private_url: &str, gateway: &Arc<Gateway>) -> (Arc<Roles>, Arc<Cron>) {
    let Ground { id, store, journal, configuration, clock, .. } = ground;
    // Names this run of the daemon, so that it may repeat what it did and nobody else may.
    let run = ulid::Ulid::generate().to_string();
    let roles = Roles::new(
        store.clone(),
        journal.clone(),
        clock.clone(),
        RolesSettings::new(id.clone(), run.clone(), private_url.to_owned()),
        ROLES.map(Role::new).to_vec(),
    );
    let cron = Arc::new(Cron {
        store: store.clone(),
        configuration: configuration.clone(),
        roles: roles.clone(),
        dispatch: gateway.clone(),
        journal: journal.clone(),
        clock: clock.clone(),
        claimant: run,
        counts: CronCounts::default(),
    });
    (roles, cron)
}

/// What containers call: as set; else where the private gateway listens, and where that is anywhere, the
/// address of this machine that they reach.
async fn private_url(settings: &Settings, docker: &DockerEngine, private: SocketAddr) -> String {
    if let Some(url) = &settings.private_url {
        return url.trim_end_matches('/').to_owned();
    }
    let address = match private.ip() {
        ip if ip.is_unspecified() => engine::address_for_containers(docker).await,
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(address, private.port()))
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
