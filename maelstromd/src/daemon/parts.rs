//! The parts of the daemon, from the leaves up, each given what it uses. Nothing runs yet when they are
//! built; what runs of them is started in [`super::Daemon::start`].

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use maelstrom_aws::{
    AutoScalingGroups, CloudWatch, FoundAccount, InstanceMetadata, SqsQueues, StepFunctions,
};
use maelstrom_core::{
    decide::{capacity::Settings as CapacitySettings, drain::Limits},
    names::Role,
    ports::{engine::ContainerEngine, queue::Queues},
    rpc::Registry,
};
use tokio_util::sync::CancellationToken;

use super::{engine, ground::Ground, machine, routing::Routing};
use crate::{
    access::Keys,
    api::{
        self, DrainService, EventSourceService, History, Insight, Live, MaelstromService, NodeService,
        Observer,
    },
    cloud::{Cloud, CloudParts, CloudSettings},
    cluster::{LeasedPermits, Peers, PeersParts, PeersSettings, Roles, RolesSettings},
    config::Settings,
    control::{AUTOSCALE_ROLE, Cluster, Control, PeerFleet, ROLE, Targets as _},
    docker::DockerEngine,
    drain::{Drainer, Followed, Mark},
    events::{
        self, Dispatch, LaterGateway, NodeAndPeers, Pollers, PollersParts, Trials,
        cron::{self, Cron, CronCounts},
    },
    gateway::{self, Gateway, GatewaySettings},
    images::{PruneSettings, Pruner, Pulls},
    logs::{ClusterLogs, InstanceLogs},
    node::{HttpChecker, LocalPermits, Node, NodeParts, NodeSettings, OwnedRoles, StartPermits},
    router::Router,
    store,
    workers::Workers,
};

/// What this node acts in, if nobody else does.
const ROLES: [&str; 2] = [cron::ROLE, ROLE];

/// Who is there shows in the store at once, and tells what it has within a second.
const LISTENS: Duration = Duration::from_secs(3);

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
    pub(super) peers: Arc<Peers>,
    pub(super) cron: Arc<Cron>,
    pub(super) history: Arc<History>,
    pub(super) live: Arc<Live>,
    pub(super) pollers: Arc<Pollers>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) drainer: Arc<Drainer>,
    pub(super) cloud: Arc<Cloud>,
    pub(super) private_url: String,
    pub(super) total_memory_mib: u64,
}

// === impl Parts ===

impl Parts {
    /// `keys` say who may do what at the private gateway; `private` is where the private gateway listens; when it stops, `private_stop` fires. Clients are
    /// served by `workers`.
    pub(super) async fn build(
        settings: &Settings,
        keys: &Keys,
        ground: &Ground,
        private: SocketAddr,
        private_stop: &CancellationToken,
        workers: &Arc<Workers>,
    ) -> Self {
        let Ground { id, journal, configuration, clock, .. } = ground;
        let docker = DockerEngine::new(None);
        let private_url = private_url(settings, &docker, private).await;
        let peer_url = peer_url(settings, private, ground.store.exclusive());
        let roles = roles(ground, &peer_url);
        let engine: Arc<dyn ContainerEngine> = Arc::new(docker);
        let total_memory_mib = settings.total_memory.unwrap_or_else(machine::memory_mib);

        let router = Router::new(journal.clone());
        let routing = Routing::new(configuration.clone(), router.clone());
        let pulls = Pulls::new(engine.clone(), journal.clone(), clock.clone());
        let node_parts = NodeParts {
            engine: engine.clone(),
            images: Arc::new(pulls.clone()),
            checker: Arc::new(HttpChecker),
            permits: permits(ground, &roles),
            router: router.clone(),
            journal: journal.clone(),
            clock: clock.clone(),
            roles: owned_roles(&roles),
        };
        let node_settings = NodeSettings {
            incarnation: roles.incarnation().to_owned(),
            total_memory_mib,
            private_url: private_url.clone(),
            peer_url,
            listens: if ground.store.exclusive() { Duration::ZERO } else { LISTENS },
            parallel_starts: machine::cpus(),
        };
        let node = Node::new(id.clone(), node_parts, node_settings);
        let peers = peers(settings, keys, ground, &node, &router);
        let control = control(ground, &router, &node, &roles, &peers);
        let logs = InstanceLogs {
            node: id.clone(),
            engine: engine.clone(),
            clock: clock.clone(),
            changes: node.changes(),
        };

        let history = History::new(router.clone(), clock.clone());
        let observer = Arc::new(Observer {
            configuration: configuration.clone(),
            journal: journal.clone(),
            node: node.clone(),
            peers: peers.clone(),
            history: history.clone(),
        });
        let live = Live::new(id.clone(), observer.clone(), clock.clone());
        let drainer = drainer(settings, ground);
        let account = FoundAccount::default();
        let cloud = Cloud::new(
            cloud_settings(settings),
            CloudParts {
                node_id: id.clone(),
                metadata: Arc::new(InstanceMetadata::new()),
                scaling: Arc::new(AutoScalingGroups::new(account.clone())),
                queues: Arc::new(SqsQueues::new(account.clone())),
                monitoring: Arc::new(CloudWatch::new(account)),
                images: Arc::new(pulls.clone()),
                configuration: configuration.clone(),
                drainer: drainer.clone(),
                node: node.clone(),
                control: control.clone(),
                peers: peers.clone(),
                roles: roles.clone(),
                journal: journal.clone(),
                clock: clock.clone(),
            },
        );
        let drains = Arc::new(DrainService {
            id: id.clone(),
            drainer: drainer.clone(),
            node: node.clone(),
            peers: peers.clone(),
            cloud: cloud.clone(),
        });
        let registry = registry(ground, &router, &routing, &node, &control, &roles, &peers);
        let registry = drains.register(observer.register(registry));
        let later = LaterGateway::default();
        let (pollers, registry) = pollers(ground, registry, &later, &router, &node, &roles, &peers);
        let (counted, paid) = (router.clone(), ground.store.clone());
        let metrics =
            Arc::new(move || gateway::encode_metrics(&counted) + &store::metrics::encode(paid.as_ref()));
        let all_logs = ClusterLogs {
            local: Arc::new(logs.clone()),
            node: id.clone(),
            peers: peers.clone(),
            clock: clock.clone(),
        };
        let management = api::routes(registry, Arc::new(all_logs), metrics, private_stop.clone())
            .merge(api::dashboard(live.clone(), private_stop.clone()));
        let management = api::guarded(management, keys);
        let gateway = Gateway::new(id, router, management, gateway_settings(settings, keys), workers.clone());
        later.is(&gateway);

        let cron = cron(ground, &roles, &gateway);
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
            peers,
            cron,
            history,
            live,
            pollers,
            gateway,
            drainer,
            cloud,
            private_url,
            total_memory_mib,
        }
    }
}

impl Parts {
    /// What follows the drain.
    pub(super) fn followed(&self) -> Followed {
        Followed {
            drainer: self.drainer.clone(),
            node: self.node.clone(),
            gateway: self.gateway.clone(),
            roles: self.roles.clone(),
            peers: self.peers.clone(),
        }
    }
}

fn drainer(settings: &Settings, ground: &Ground) -> Arc<Drainer> {
    let limits = Limits { pause: settings.shutdown_pause, requests: settings.drain };
    let mark = Mark::beside(&ground.beside);
    Drainer::new(limits, ground.journal.clone(), ground.clock.clone(), Some(mark))
}

/// All methods of the management API.
fn registry(
    ground: &Ground,
    router: &Arc<Router>,
    routing: &Arc<Routing>,
    node: &Arc<Node>,
    control: &Arc<Control>,
    roles: &Arc<Roles>,
    peers: &Arc<Peers>,
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
        peers: peers.clone(),
    });
    let insight = Arc::new(Insight {
        id: id.clone(),
        configuration: configuration.clone(),
        journal: journal.clone(),
        node: node.clone(),
        control: control.clone(),
        router: router.clone(),
        roles: roles.clone(),
        peers: peers.clone(),
    });
    insight.register(nodes.register(maelstrom.register(Registry::new())))
}

fn roles(ground: &Ground, peer_url: &str) -> Arc<Roles> {
    let Ground { id, store, journal, clock, .. } = ground;
    // Names this run of the daemon, so that it may repeat what it did and nobody else may.
    let run = ulid::Ulid::generate().to_string();
    Roles::new(
        store.clone(),
        journal.clone(),
        clock.clone(),
        RolesSettings::new(id.clone(), run, peer_url.to_owned()),
        // Where there are others the one role goes with the other.
        ROLES.into_iter().chain(store.exclusive().then_some(AUTOSCALE_ROLE)).map(Role::new).collect(),
    )
}

fn owned_roles(roles: &Arc<Roles>) -> OwnedRoles {
    let roles = roles.clone();
    Arc::new(move || roles.owned())
}

/// Who may start an instance alone.
fn permits(ground: &Ground, roles: &Arc<Roles>) -> Arc<dyn StartPermits> {
    match ground.store.exclusive() {
        true => Arc::new(LocalPermits::default()),
        false => Arc::new(LeasedPermits::new(roles.clone())),
    }
}

fn control(
    ground: &Ground,
    router: &Arc<Router>,
    node: &Arc<Node>,
    roles: &Arc<Roles>,
    peers: &Arc<Peers>,
) -> Arc<Control> {
    let Ground { id, store, journal, .. } = ground;
    if store.exclusive() {
        return Control::new(router.clone(), node.clone(), journal.clone());
    }
    let fleet = Arc::new(PeerFleet(peers.clone()));
    let cluster = Cluster { node: id.clone(), roles: roles.clone(), fleet };
    Control::in_cluster(router.clone(), node.clone(), journal.clone(), cluster)
}

fn peers(
    settings: &Settings,
    keys: &Keys,
    ground: &Ground,
    node: &Arc<Node>,
    router: &Arc<Router>,
) -> Arc<Peers> {
    let Ground { id, store, journal, configuration, clock, .. } = ground;
    let told = node.clone();
    let parts = PeersParts {
        status: Arc::new(move || told.status()),
        routing: router.clone(),
        store: store.clone(),
        commits: configuration.commits(),
        journal: journal.clone(),
        clock: clock.clone(),
    };
    let settings =
        PeersSettings { node: id.clone(), liveness: settings.node_liveness, secret: keys.peers().clone() };
    Peers::new(settings, parts)
}

/// The pollers of queues and activities, and the API's methods about them. Of AWS nothing is asked before an
/// event source needs it, whatever the store is.
fn pollers(
    ground: &Ground,
    registry: Registry,
    gateway: &LaterGateway,
    router: &Arc<Router>,
    node: &Arc<Node>,
    roles: &Arc<Roles>,
    peers: &Arc<Peers>,
) -> (Arc<Pollers>, Registry) {
    let Ground { id, journal, configuration, clock, .. } = ground;
    let dispatch: Arc<dyn Dispatch> = Arc::new(gateway.clone());
    let account = FoundAccount::default();
    let queues: Arc<dyn Queues> = Arc::new(SqsQueues::new(account.clone()));
    let parts = PollersParts {
        node: id.clone(),
        configuration: configuration.clone(),
        roles: roles.clone(),
        around: Arc::new(NodeAndPeers { node: node.clone(), peers: peers.clone() }),
        clock: clock.clone(),
    };
    let activities = Arc::new(StepFunctions::new(account));
    let pollers = events::pollers(parts, queues.clone(), activities, &dispatch, journal);
    let trials = Trials {
        node: id.clone(),
        configuration: configuration.clone(),
        router: router.clone(),
        dispatch,
        clock: clock.clone(),
    };
    let service = Arc::new(EventSourceService {
        configuration: configuration.clone(),
        queues,
        pollers: pollers.clone(),
        trials,
        peers: peers.clone(),
    });
    (pollers, service.register(registry))
}

fn cron(ground: &Ground, roles: &Arc<Roles>, gateway: &Arc<Gateway>) -> Arc<Cron> {
    let Ground { store, journal, configuration, clock, .. } = ground;
    Arc::new(Cron {
        store: store.clone(),
        configuration: configuration.clone(),
        roles: roles.clone(),
        dispatch: gateway.clone(),
        journal: journal.clone(),
        clock: clock.clone(),
        claimant: roles.incarnation().to_owned(),
        counts: CronCounts::default(),
    })
}

/// Where other nodes find the private gateway: as set; else where it listens, and where that is anywhere,
/// the address that this machine has towards the rest of the world.
fn peer_url(settings: &Settings, private: SocketAddr, alone: bool) -> String {
    if let Some(url) = settings.peer_url.as_ref().or(settings.private_url.as_ref()) {
        return url.trim_end_matches('/').to_owned();
    }
    let address = match private.ip() {
        ip if ip.is_unspecified() => engine::default_route().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ip => ip,
    };
    if address.is_loopback() && !alone {
        tracing::warn!(
            %address,
            "other machines can't reach this node's private gateway; set MAEL_PEER_URL to where they can"
        );
    }
    format!("http://{}", SocketAddr::new(address, private.port()))
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

fn gateway_settings(settings: &Settings, keys: &Keys) -> GatewaySettings {
    let defaults = GatewaySettings::default();
    GatewaySettings {
        read_timeout: settings.http_read_timeout,
        write_timeout: settings.http_write_timeout,
        idle_timeout: settings.http_idle_timeout,
        drain: settings.drain,
        tunnel_drain: settings.drain_streams,
        max_connections: machine::max_connections(defaults.max_connections),
        peers: keys.peers().clone(),
        ..defaults
    }
}

fn cloud_settings(settings: &Settings) -> CloudSettings {
    CloudSettings {
        instance: settings.instance_id.clone(),
        queue: settings.aws_terminate_queue_url.clone(),
        max_age: settings.aws_terminate_max_age,
        poll: settings.aws_metadata_poll,
        follow_rebalance: settings.aws_rebalance_drain,
        launch_images: settings.aws_launch_images,
        capacity: settings.aws_capacity.then_some(CapacitySettings {
            headroom_mib: settings.aws_capacity_headroom,
            removals_per_hour: settings.aws_capacity_removals,
        }),
        metrics: settings.aws_capacity_metrics,
        command: settings.terminate_command.clone(),
    }
}

fn prune_settings(settings: &Settings) -> PruneSettings {
    PruneSettings {
        every: settings.docker_prune,
        unregistered: settings.docker_prune_unreg_images,
        keep: settings.docker_prune_unreg_keep.clone(),
    }
}
