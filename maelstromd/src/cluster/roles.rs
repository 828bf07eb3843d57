//! The roles that this node acts in: the async half of `decide::lease`.
//!
//! Two loops side by side, so that a slow reading can't delay the heartbeat: one beats, one reads who owns
//! what and bids. Whoever acts in a role asks [`Roles::owns`] each time; [`Roles::changes`] only wakes.
//! On a store that no other node can use there is nothing to prove: no heartbeat is written, and roles
//! stay even while nothing can be.
//!
//! A node that leaves gives its roles back first and beats on while it drains: it is alive, and others may
//! still send it what they have to. Its heartbeat goes last, by [`Roles::leave`].

mod wants;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use maelstrom_core::{
    decide::lease::{Bid, Lease, LeaseSettings, Tenure, Term},
    journal::Kind,
    names::{NodeId, Role},
    ports::{
        clock::Clock,
        store::{Entity, Heartbeat, RoleRecord, Store, StoreError, StoreResult},
    },
    time::Moment,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use self::wants::Wanted;
use self::wants::Wants;
use crate::journal::{Entry, Journal};

/// What a node tells of itself, and how patient nodes are with each other.
#[derive(Clone, Debug)]
pub struct RolesSettings {
    pub node: NodeId,
    /// Differs for each run of the daemon.
    pub incarnation: String,
    pub peer_url: String,
    /// A node silent for so long loses its roles. Long enough for a slow store, short enough that a dead
    /// node's cron rules are caught up with by the next owner: with the time until its last beat is first
    /// seen, and a look, others act within 20 s of its death.
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
    wanted: Mutex<Wants>,
    lease: Mutex<Lease>,
    /// Written with the next look, which [`Self::wake`] makes come at once.
    returned: Mutex<Vec<Bid>>,
    wake: Notify,
    /// One reading with its bids at a time, so that nothing is won once roles were given back.
    bidding: tokio::sync::Mutex<()>,
    /// When heartbeats are to be read again.
    heartbeats_due: Mutex<Moment>,
    /// Set once: roles are given back and not taken any more.
    leaving: AtomicBool,
    /// Roles are left to others for the time being.
    abstains: AtomicBool,
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

/// How old a reading's heartbeats are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhoLives {
    /// Read after the roles.
    AsOfNow,
    AsOfBefore,
}

// === impl RolesSettings ===

impl RolesSettings {
    pub fn new(node: NodeId, incarnation: String, peer_url: String) -> Self {
        Self {
            node,
            incarnation,
            peer_url,
            duration: Duration::from_secs(14),
            beat_every: Duration::from_secs(4),
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
            wanted: Mutex::new(Wants::new(wanted)),
            lease,
            returned: Mutex::default(),
            wake: Notify::new(),
            bidding: tokio::sync::Mutex::default(),
            heartbeats_due: Mutex::default(),
            leaving: AtomicBool::new(false),
            abstains: AtomicBool::new(false),
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

    /// When the heartbeat was sent that the store confirmed last.
    pub fn confirmed_at(&self) -> Option<Moment> {
        self.lease.lock().confirmed_at()
    }

    /// All roles that this node may act in now, each with its term.
    pub fn owned(&self) -> BTreeMap<Role, Term> {
        let (lease, now) = (self.lease.lock(), self.clock.now());
        lease.roles().filter_map(|role| Some((role.clone(), lease.owns(role, now)?))).collect()
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

    /// Bids for this role, too, until what is returned is dropped; then it is given back at once. Several
    /// may want one role: it is kept for the last of them.
    pub fn want_one(self: &Arc<Self>, role: Role) -> Wanted {
        if self.wanted.lock().add(&role) {
            self.wake.notify_one();
        }
        Wanted::new(self.clone(), role)
    }

    fn want_no_more(&self, role: &Role) {
        let mut wanted = self.wanted.lock();
        if !wanted.remove(role) {
            return;
        }
        // Under the lock of what is wanted, so that who wants it again bids for it anew.
        let back = self.lease.lock().give_back_one(role);
        drop(wanted);
        if let Some(back) = back {
            self.returned.lock().push(back);
            self.tell("given back");
            self.wake.notify_one();
        }
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
        let never = Notify::new();
        let beats = self.every(self.settings.beat_every, &never, || self.beat());
        let looks = self.every(self.settings.look_every, &self.wake, || self.look());
        tokio::select! {
            () = token.cancelled() => {}
            () = beats => {}
            () = looks => {}
        }
    }

    /// Does `work` again and again, sooner when woken; a failure is logged when it begins and when it ends.
    async fn every<F: Future<Output = StoreResult<()>>>(
        &self,
        period: Duration,
        wake: &Notify,
        work: impl Fn() -> F,
    ) {
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
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                // A store that fails is not asked more often.
                () = wake.notified(), if !failing => {}
            }
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

    /// Writes what was given back, reads, bids.
    async fn look(&self) -> StoreResult<()> {
        let _one_at_a_time = self.bidding.lock().await;
        self.write_returned().await?;
        let wanted = if self.takes_none() { Vec::new() } else { self.wanted.lock().all() };
        let (reading, who_lives) = self.read(&wanted).await?;
        self.reading.send_replace(reading.clone());
        let Reading { heartbeats, roles, asked } = &*reading;
        self.refuse_twin(heartbeats)?;
        let (bids, strays) = {
            let (mut lease, now) = (self.lease.lock(), self.clock.now());
            let bids = match who_lives {
                WhoLives::AsOfNow => lease.bids(&wanted, roles, heartbeats, *asked, now),
                WhoLives::AsOfBefore => lease.bids_for_vacant(&wanted, roles, now),
            };
            (bids, lease.strays(&wanted, roles))
        };
        if !strays.is_empty() {
            self.returned.lock().extend(strays);
            self.write_returned().await?;
        }
        for bid in bids {
            match self.store.write_role(bid.record.clone(), bid.seen).await {
                Ok(()) => self.win(&bid),
                // Somebody was first.
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Who owns what, then who lives, in this order. Heartbeats change slowly and are read as seldom as
    /// they are written, unless an owner is late with its own.
    async fn read(&self, wanted: &[Role]) -> StoreResult<(Arc<Reading>, WhoLives)> {
        let roles = self.store.roles().await?;
        let asked = self.clock.now();
        if self.store.exclusive() {
            return Ok((Arc::new(Reading { heartbeats: Vec::new(), roles, asked }), WhoLives::AsOfNow));
        }
        let in_time = asked < *self.heartbeats_due.lock();
        if in_time && !self.lease.lock().waits_for_heartbeats(wanted, &roles, asked) {
            let last = self.reading.borrow().clone();
            let reading = Reading { heartbeats: last.heartbeats.clone(), roles, asked: last.asked };
            return Ok((Arc::new(reading), WhoLives::AsOfBefore));
        }
        let heartbeats = self.store.heartbeats().await?;
        *self.heartbeats_due.lock() = asked + self.settings.beat_every;
        Ok((Arc::new(Reading { heartbeats, roles, asked }), WhoLives::AsOfNow))
    }

    /// A bid was accepted. Who wanted the role may have gone meanwhile.
    fn win(&self, bid: &Bid) {
        let wanted = self.wanted.lock();
        let mut lease = self.lease.lock();
        lease.won(bid);
        if !wanted.contains(&bid.record.role) || self.takes_none() {
            self.returned.lock().extend(lease.give_back_one(&bid.record.role));
            self.wake.notify_one();
        }
    }

    /// What can't be written now stays for the next look.
    async fn write_returned(&self) -> StoreResult<()> {
        let returned = std::mem::take(&mut *self.returned.lock());
        let mut left = returned.into_iter();
        while let Some(bid) = left.next() {
            match self.store.write_role(bid.record.clone(), bid.seen).await {
                // A conflict: it has an owner again, this node itself maybe.
                Ok(()) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => {
                    let mut returned = self.returned.lock();
                    returned.push(bid);
                    returned.extend(left);
                    return Err(error);
                }
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

    fn takes_none(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.abstains.load(Ordering::Acquire)
    }

    /// While true, no role is taken, and those that it has are given back at once: the next owner has them
    /// within a second. Once false again, it bids like any other.
    pub fn abstain(&self, abstains: bool) {
        if self.abstains.swap(abstains, Ordering::AcqRel) == abstains {
            return;
        }
        if abstains {
            // A bid under way ends in `win`, which looks at the flag under the same lock.
            let back = self.lease.lock().give_back();
            self.returned.lock().extend(back);
            self.tell("given back");
        }
        self.wake.notify_one();
    }

    /// Stops acting in all roles and takes none any more, then tells the others so that they need not wait
    /// for silence. What can't be told is found out by that.
    pub async fn give_back(&self) -> StoreResult<()> {
        self.leaving.store(true, Ordering::Release);
        let _no_bid_under_way = self.bidding.lock().await;
        self.returned.lock().extend(self.lease.lock().give_back());
        self.tell("given back");
        self.write_returned().await
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
        let owned = self.owned();
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
            self.journal.record(entry.data("role", role.as_str()).data("term", term.0));
        }
        for (role, term) in before.iter().filter(|(role, _)| !now.contains_key(*role)) {
            let how = if how_lost.is_empty() { "lost" } else { how_lost };
            let entry = Entry::new(Kind::Role, format!("role '{role}' {how}, term {}", term.0));
            self.journal.record(entry.data("role", role.as_str()).data("term", term.0));
        }
    }
}

#[cfg(test)]
mod tests;
