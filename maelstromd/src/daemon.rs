//! The daemon on one page: its parts from the leaves up, how they are wired, and the order in which they
//! start. How they stop is in [`shutdown`].
//!
//! ```text
//!   store ─► configuration ─► routing ─► router ─► gateways ◄─ sockets
//!                 │                        ▲ │         ▲
//!                 ▼                        │ ▼         │
//!   engine ─►   node  ◄────── targets ── control    management API ◄─► peers
//! ```
//! Sockets are opened first, so that a port in use is told before anything is touched. Then the store:
//! without a configuration there is nothing to serve. The engine may be away: the node goes on trying.
//! Requests that come before the last run's containers are taken over wait for them like any others.
//!
//! Clients are served by [workers](crate::workers), a thread each; everything else runs in the main runtime.

mod engine;
mod ground;
pub mod identity;
mod listeners;
mod machine;
mod notify;
mod parts;
mod routing;
mod shutdown;
mod signals;

use std::{io, num::NonZeroUsize, sync::Arc};

pub use maelstrom_core::decide::drain::End;
use maelstrom_core::{journal::Kind, ports::store::StoreError};

pub use machine::raise_open_files;

use self::{
    ground::Ground,
    identity::IdentityError,
    listeners::{Inherited, ListenError, Listener, Side},
    parts::Parts,
    signals::{Order, Signals},
};
use crate::{
    access::Keys,
    cloud::Cloud,
    cluster::{self, PeersSignals, Twin},
    config::Settings,
    control::Targets as _,
    drain::{self, Followed},
    journal::{Entry, Journal},
    logs,
    tasks::Tasks,
    workers::{self, Workers},
};

/// Why the daemon can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("MAEL_STORE: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Twin(#[from] Twin),
    #[error("the system refuses {what}: {source}")]
    System { what: &'static str, source: std::io::Error },
}

/// A running daemon.
pub struct Daemon {
    settings: Settings,
    journal: Arc<Journal>,
    followed: Followed,
    workers: Arc<Workers>,
    /// Public and private.
    listeners: [Listener; 2],
    signals: Signals,
    /// Each stops on its own, in the order of [`shutdown`].
    public: Tasks,
    private: Tasks,
    events: Tasks,
    work: Tasks,
    base: Tasks,
    /// To the very end: what waits for this node hears of it all along.
    last: Tasks,
    cloud: Arc<Cloud>,
}

/// What outlives the daemon.
pub struct Ended {
    pub end: End,
    /// For the program that this process becomes; empty when it ends.
    listeners: Vec<Listener>,
}

// === impl Daemon ===

impl Daemon {
    /// Opens everything and starts to serve.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let signals = Signals::listen().map_err(|source| StartError::System { what: "signals", source })?;
        let listeners = open_listeners(&settings)?;
        let ground = Ground::open(&settings).await?;
        let sockets = |source| StartError::System { what: "its listening sockets", source };
        let [public, private] = &listeners;
        let (public_at, private_at) =
            (public.address().map_err(sockets)?, private.address().map_err(sockets)?);
        let private_tasks = Tasks::new();
        let count = settings.worker_threads.map_or_else(workers::suitable, NonZeroUsize::get);
        let workers = Workers::start(count)
            .map_err(|source| StartError::System { what: "threads for clients", source })?;
        let Settings { api_tokens, api_tokens_readonly, cluster_secrets, .. } = &settings;
        let keys = Keys::new(api_tokens, api_tokens_readonly, cluster_secrets);
        let parts =
            Parts::build(&settings, &keys, &ground, private_at, private_tasks.token(), &workers).await;
        let peer_url = parts.node.status().peer_url;
        cluster::refuse_twin(ground.store.as_ref(), &ground.id, &peer_url, keys.peers()).await?;
        if keys.are_open() {
            tracing::warn!(
                "whoever reaches {private_at} may use the management API, containers among them; \
                 MAEL_API_TOKEN makes it ask for a token"
            );
        }
        if let Err(error) = parts.roles.acquire().await {
            tracing::warn!(%error, "roles can't be taken yet; trying on");
        }
        let entry = Entry::new(
            Kind::Node,
            format!("serves the public at {public_at}, containers and maelctl at {private_at}"),
        )
        .data("version", env!("CARGO_PKG_VERSION"))
        .data("store", ground.place.as_str())
        .data("private_url", parts.private_url.as_str())
        .data("peer_url", peer_url)
        .data("memory_mib", parts.total_memory_mib);

        let daemon = Self {
            settings,
            journal: ground.journal.clone(),
            followed: parts.followed(),
            workers,
            listeners,
            signals,
            public: Tasks::new(),
            private: private_tasks,
            events: Tasks::new(),
            work: Tasks::new(),
            base: Tasks::new(),
            last: Tasks::new(),
            cloud: parts.cloud.clone(),
        };
        daemon.launch(ground, parts);
        daemon.serve().map_err(sockets)?;
        daemon.journal.record(entry);
        notify::ready(&format!("serving {public_at}"));
        Ok(daemon)
    }

    /// Sets the loops going.
    fn launch(&self, ground: Ground, parts: Parts) {
        let Ground { configuration, journal, .. } = ground;
        let Parts {
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
            pollers,
            history,
            live,
            ..
        } = parts;
        let Self { base, work, events, .. } = self;
        base.spawn_cancellable("drain", drain::follow(self.followed.clone()));
        base.spawn("configuration", configuration.clone().run(base.token().clone()));
        base.spawn("routing", routing.run(base.token().clone()));
        let signals =
            PeersSignals { versions: node.changes(), roles: roles.changes(), readings: roles.readings() };
        let (told, proofs) = (peers.clone(), peers.changes());
        let statuses = move || told.view().into_iter().map(|peer| peer.status).collect();
        work.spawn_cancellable("proofs", node.clone().follow_proofs(statuses, proofs));
        let (told, standby) = (peers.clone(), peers.changes());
        work.spawn_cancellable("standby", node.clone().follow_peers(move || told.view(), standby));
        base.spawn("peers", peers.run(signals, base.token().clone()));
        base.spawn("roles", roles.run(base.token().clone()));
        base.spawn_cancellable("history of requests", history.run());
        base.spawn("live view", live.run(base.token().clone()));
        base.spawn_cancellable("engine watch", engine::watch(engine, journal));
        base.spawn_cancellable("container logs", logs::forward(logs));
        self.last.spawn_cancellable("watchdog", notify::keep_watch());
        self.cloud.launch(&self.last, events);
        events.spawn("cron", cron.run(events.token().clone()));
        events.spawn("pollers", pollers.run(events.token().clone()));
        work.spawn("node", node.run(configuration.subscribe(), work.token().clone()));
        work.spawn("control", control.run(work.token().clone()));
        work.spawn_cancellable("image pulls", pulls.run(configuration.subscribe(), work.child()));
        work.spawn_cancellable("pruning", pruner.run(configuration.subscribe()));
    }

    /// Opens the doors.
    fn serve(&self) -> io::Result<()> {
        let [public, private] = &self.listeners;
        let (public, private) = (public.accepting()?, private.accepting()?);
        let gateway = self.followed.gateway.clone();
        self.public.spawn("public gateway", gateway.serve_public(public, self.public.token().clone()));
        let gateway = self.followed.gateway.clone();
        self.private.spawn("private gateway", gateway.serve_private(private, self.private.token().clone()));
        Ok(())
    }
}

fn open_listeners(settings: &Settings) -> Result<[Listener; 2], ListenError> {
    let inherited = Inherited::read(|name| std::env::var(name).ok(), std::process::id());
    let Settings { public_address, public_port, private_address, private_port, .. } = *settings;
    Ok([
        Listener::open(Side::Public, public_address, public_port, &inherited)?,
        Listener::open(Side::Private, private_address, private_port, &inherited)?,
    ])
}
