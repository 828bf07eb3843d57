//! The roles that this node acts in: the async half of `decide::lease`.
//!
//! Two loops side by side, so that a slow reading can't delay the heartbeat: one beats, one reads who owns
//! what and bids. Whoever acts in a role asks [`Roles::owns`] each time; [`Roles::changes`] only wakes.
//! On a store that no other node can use there is nothing to prove: no heartbeat is written, and roles
//! stay even while nothing can be.
//!
//! A node that leaves gives its roles back first and beats on while it drains: it is alive, and others may
//! still send it what they have to. Its heartbeat goes last, by [`Roles::leave`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use maelstrom_core::{
    decide::lease::{Lease, LeaseSettings, Tenure, Term},
    journal::Kind,
    names::{NodeId, Role},
    ports::{
        clock::Clock,
        store::{Entity, Heartbeat, RoleRecord, Store, StoreError, StoreResult},
    },
    time::Moment,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::journal::{Entry, Journal};

/// What a node tells of itself, and how patient nodes are with each other.
#[derive(Clone, Debug)]
pub struct RolesSettings {
    pub node: NodeId,
    /// Differs for each run of the daemon.
    pub incarnation: String,
    pub peer_url: String,
    /// A node silent for so long loses its roles. Long enough for a slow store, short enough that a dead
    /// node's cron rules are caught up with by the next owner.
    pub duration: Duration,
    /// Several beats fit in a duration, so that one lost is no loss.
    pub beat_every: Duration,
    /// What is given back is taken within this time.
    pub look_every: Duration,
}

/// The roles of this node.
pub struct Roles {
    store: Arc<dyn Store>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    settings: RolesSettings,
    wanted: Mutex<Vec<Role>>,
    lease: Mutex<Lease>,
    /// One reading with its bids at a time, so that nothing is won once roles were given back.
    bidding: tokio::sync::Mutex<()>,
    /// Set once: roles are given back and not taken any more.
    leaving: AtomicBool,
    reading: watch::Sender<Arc<Reading>>,
    /// What was told last: role and term of each owned one.
    told: watch::Sender<BTreeMap<Role, Term>>,
}

/// What the store said of roles and who lives.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The owners' heartbeats at least.
    pub heartbeats: Vec<Heartbeat>,
    pub roles: Vec<RoleRecord>,
    /// When the heartbeats were asked for.
    pub asked: Moment,
}

// === impl RolesSettings ===

impl RolesSettings {
    pub fn new(node: NodeId, incarnation: String, peer_url: String) -> Self {
        Self {
            node,
            incarnation,
            peer_url,
            duration: Duration::from_secs(20),
            beat_every: Duration::from_secs(5),
            look_every: Duration::from_secs(1),
        }
    }

    /// Clocks of machines that are in order differ by far less than 2 % in speed.
    fn lease(&self) -> LeaseSettings {
        LeaseSettings { duration: self.duration, margin: self.duration / 50 + Duration::from_millis(250) }
    }
}

// === impl Roles ===

impl Roles {
    pub fn new(
        store: Arc<dyn Store>,
        journal: Arc<Journal>,
        clock: Arc<dyn Clock>,
        settings: RolesSettings,
        wanted: Vec<Role>,
    ) -> Arc<Self> {
        let tenure = if store.exclusive() { Tenure::Sole } else { Tenure::Contended };
        let (node, incarnation) = (settings.node.clone(), settings.incarnation.clone());
        let lease = Mutex::new(Lease::new(node, incarnation, tenure, settings.lease()));
        Arc::new(Self {
            store,
            journal,
            clock,
            settings,
            wanted: Mutex::new(wanted),
            lease,
            bidding: tokio::sync::Mutex::default(),
            leaving: AtomicBool::new(false),
            reading: watch::Sender::default(),
            told: watch::Sender::new(BTreeMap::new()),
        })
    }

    /// Names this run of the daemon.
    pub fn incarnation(&self) -> &str {
        &self.settings.incarnation
    }

    /// The term in which this node may act in `role` now; whatever it sends or writes carries it.
    pub fn owns(&self, role: &Role) -> Option<Term> {
        self.lease.lock().owns(role, self.clock.now())
    }

    /// Who acts in `role`, in which term, as the store said last; this node only while it may act.
    pub fn owner_of(&self, role: &Role) -> Option<(NodeId, Term)> {
        let own = &self.settings.node;
        if let Some(term) = self.owns(role) {
            return Some((own.clone(), term));
        }
        let reading = self.reading.borrow();
        let record = reading.roles.iter().find(|record| record.role == *role)?;
        let owner = record.owner.clone().filter(|owner| owner != own)?;
        Some((owner, Term(record.term)))
    }

    /// What the store said last, again with each reading.
    pub fn readings(&self) -> watch::Receiver<Arc<Reading>> {
        self.reading.subscribe()
    }

    /// Wakes when roles are taken or lost. A lapse is noticed here within a look; [`Self::owns`] knows it
    /// at once.
    pub fn changes(&self) -> watch::Receiver<BTreeMap<Role, Term>> {
        self.told.subscribe()
    }

    /// Bids for these roles from now on.
    pub fn want(&self, wanted: Vec<Role>) {
        *self.wanted.lock() = wanted;
    }

    /// Bids at once instead of with the first look of [`Self::run`]: on one node all roles are owned when
    /// it returns.
    pub async fn acquire(&self) -> StoreResult<()> {
        let done = match self.beat().await {
            Ok(()) => self.look().await,
            error => error,
        };
        self.tell("");
        done
    }

    /// Beats and bids until `token` fires. Roles are kept then: [`Self::give_back`] ends them.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        let beats = self.every(self.settings.beat_every, || self.beat());
        let looks = self.every(self.settings.look_every, || self.look());
        tokio::select! {
            () = token.cancelled() => {}
            () = beats => {}
            () = looks => {}
        }
    }

    /// Does `work` again and again; a failure is logged when it begins and when it ends.
    async fn every<F: Future<Output = StoreResult<()>>>(&self, period: Duration, work: impl Fn() -> F) {
        let mut failing = false;
        loop {
            let next = self.clock.now() + period;
            let done = work().await;
            self.tell("");
            match &done {
                Err(error) if !failing => tracing::warn!(%error, "the roles of nodes can't be settled"),
                Ok(()) if failing => tracing::info!("the roles of nodes can be settled again"),
                _ => {}
            }
            failing = done.is_err();
            self.clock.sleep_until(next).await;
        }
    }

    /// Sends one heartbeat.
    async fn beat(&self) -> StoreResult<()> {
        if self.store.exclusive() {
            return Ok(());
        }
        let beat = self.lease.lock().holder().send(self.clock.now());
        let heartbeat = Heartbeat {
            node: self.settings.node.clone(),
            incarnation: self.settings.incarnation.clone(),
            beat,
            duration: self.settings.duration,
            peer_url: self.settings.peer_url.clone(),
            written_at: self.clock.wall(),
        };
        let done = self.store.beat(heartbeat).await;
        match &done {
            Ok(()) => self.lease.lock().holder().answered(self.clock.now()),
            Err(StoreError::Conflict { entity: Entity::Heartbeat, current, .. }) => {
                self.lease.lock().holder().refused(current.unsigned_abs());
            }
            // Whether it was written is not known: it is sent again.
            Err(_) => {}
        }
        done
    }

    /// Reads who owns what, then who lives (in this order), and bids.
    async fn look(&self) -> StoreResult<()> {
        let _one_at_a_time = self.bidding.lock().await;
        let roles = self.store.roles().await?;
        let asked = self.clock.now();
        let heartbeats = if self.store.exclusive() { Vec::new() } else { self.store.heartbeats().await? };
        let reading = Arc::new(Reading { heartbeats, roles, asked });
        let Reading { heartbeats, roles, .. } = &*reading;
        self.reading.send_replace(reading.clone());
        self.refuse_twin(heartbeats)?;
        let leaving = self.leaving.load(Ordering::Acquire);
        let wanted = if leaving { Vec::new() } else { self.wanted.lock().clone() };
        let bids = self.lease.lock().bids(&wanted, roles, heartbeats, asked, self.clock.now());
        for bid in bids {
            match self.store.write_role(bid.record.clone(), bid.seen).await {
                Ok(()) => self.lease.lock().won(&bid),
                // Somebody was first.
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Two daemons with one node's name would take turns to overwrite each other's heartbeat.
    fn refuse_twin(&self, heartbeats: &[Heartbeat]) -> StoreResult<()> {
        let (node, run) = (&self.settings.node, &self.settings.incarnation);
        let twin =
            heartbeats.iter().any(|heartbeat| heartbeat.node == *node && heartbeat.incarnation != *run);
        // Before the first beat that is this node's earlier run.
        if twin && self.lease.lock().holder().is_acting(self.clock.now()) {
            let reason = format!(
                "another daemon runs with this node's id, '{node}'; give one of them another id and restart it"
            );
            return Err(StoreError::Broken { reason });
        }
        Ok(())
    }

    /// Stops acting in all roles and takes none any more, then tells the others so that they need not wait
    /// for silence. What can't be told is found out by that.
    pub async fn give_back(&self) -> StoreResult<()> {
        self.leaving.store(true, Ordering::Release);
        let _no_bid_under_way = self.bidding.lock().await;
        let bids = self.lease.lock().give_back();
        self.tell("given back");
        for bid in bids {
            match self.store.write_role(bid.record, bid.seen).await {
                Ok(()) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The node leaves the cluster: nobody looks for it any more. To be called when nothing beats.
    pub async fn leave(&self) -> StoreResult<()> {
        if self.store.exclusive() {
            return Ok(());
        }
        self.store.remove_heartbeat(self.settings.node.clone(), self.settings.incarnation.clone()).await
    }

    /// Puts what changed since last time in the journal and wakes those who follow.
    fn tell(&self, how_lost: &str) {
        let owned: BTreeMap<Role, Term> = {
            let (lease, now) = (self.lease.lock(), self.clock.now());
            let roles = lease.roles();
            roles.filter_map(|role| Some((role.clone(), lease.owns(role, now)?))).collect()
        };
        self.told.send_if_modified(|told| {
            if *told == owned {
                return false;
            }
            self.record(told, &owned, how_lost);
            *told = owned;
            true
        });
    }

    fn record(&self, before: &BTreeMap<Role, Term>, now: &BTreeMap<Role, Term>, how_lost: &str) {
        for (role, term) in now.iter().filter(|(role, term)| before.get(*role) != Some(*term)) {
            let entry = Entry::new(Kind::Role, format!("role '{role}' taken, term {}", term.0));
            self.journal.record(entry.data("term", term.0));
        }
        for (role, term) in before.iter().filter(|(role, _)| !now.contains_key(*role)) {
            let how = if how_lost.is_empty() { "lost" } else { how_lost };
            let entry = Entry::new(Kind::Role, format!("role '{role}' {how}, term {}", term.0));
            self.journal.record(entry.data("term", term.0));
        }
    }
}

#[cfg(test)]
mod tests;
