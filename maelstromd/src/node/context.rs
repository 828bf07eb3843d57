//! What all parts of a node share: the seams, the settings, the counters.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use maelstrom_core::{
    component::Component,
    decide::{lease::Term, standby::Candidate},
    names::{ComponentName, NodeId, Role},
    ports::{clock::Clock, engine::ContainerEngine},
    time::{Moment, WallTime},
    wire::DrainInfo,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{
    NodeSettings,
    check::Checker,
    leftovers::Leftovers,
    permits::{StartPermits, StartSlots},
    start::Images,
    unit::Unit,
};
use crate::{journal::Journal, router::Router, tasks::Tasks};

/// Tells the roles that this node may act in at the moment, each with its term.
pub type OwnedRoles = Arc<dyn Fn() -> BTreeMap<Role, Term> + Send + Sync>;

pub(super) struct Context {
    pub(super) id: NodeId,
    pub(super) engine: Arc<dyn ContainerEngine>,
    pub(super) images: Arc<dyn Images>,
    pub(super) checker: Arc<dyn Checker>,
    pub(super) permits: Arc<dyn StartPermits>,
    pub(super) router: Arc<Router>,
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: NodeSettings,
    pub(super) roles: OwnedRoles,
    pub(super) slots: StartSlots,
    pub(super) started_at: WallTime,
    /// Others may be there that are not known yet.
    pub(super) listens_until: Moment,
    /// Convergers and instances.
    pub(super) tasks: Tasks,
    /// Containers have to be compared with what the engine has.
    pub(super) repair: Notify,
    /// An instance was made from another image than its component's name points at.
    pub(super) images_changed: Notify,
    /// Containers that end and that no instance owns.
    pub(super) leftovers: Leftovers,
    units: Mutex<BTreeMap<ComponentName, Arc<Unit>>>,
    /// The other nodes of the cluster, as they told.
    peers: Mutex<Arc<[Candidate]>>,
    /// Set once: containers of an earlier run were looked at, convergers may act.
    begun: AtomicBool,
    /// Set once: nothing starts any more, everything stops.
    closing: AtomicBool,
    draining: AtomicBool,
    /// The machine's id in the cloud.
    machine: Mutex<Option<String>>,
    /// What is told of a drain.
    drain: Mutex<Option<DrainInfo>>,
    /// Set once: peers relay nothing to this node any more.
    closed_to_peers: AtomicBool,
    serials: AtomicU64,
    version: watch::Sender<i64>,
}

/// The seams that a node stands on.
pub struct NodeParts {
    pub engine: Arc<dyn ContainerEngine>,
    pub images: Arc<dyn Images>,
    pub checker: Arc<dyn Checker>,
    pub permits: Arc<dyn StartPermits>,
    pub router: Arc<Router>,
    pub journal: Arc<Journal>,
    pub clock: Arc<dyn Clock>,
    /// For this node's status: asked each time, since a right ends by itself.
    pub roles: OwnedRoles,
}

// === impl Context ===

impl Context {
    pub(super) fn new(id: NodeId, parts: NodeParts, settings: NodeSettings) -> Arc<Self> {
        let NodeParts { engine, images, checker, permits, router, journal, clock, roles } = parts;
        Arc::new(Self {
            id,
            engine,
            images,
            checker,
            permits,
            router,
            journal,
            started_at: clock.wall(),
            listens_until: clock.now() + settings.listens,
            clock,
            slots: StartSlots::new(settings.parallel_starts),
            settings,
            roles,
            tasks: Tasks::new(),
            repair: Notify::new(),
            images_changed: Notify::new(),
            leftovers: Leftovers::default(),
            units: Mutex::default(),
            peers: Mutex::default(),
            begun: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            machine: Mutex::default(),
            drain: Mutex::default(),
            closed_to_peers: AtomicBool::new(false),
            serials: AtomicU64::new(1),
            version: watch::Sender::new(1),
        })
    }

    pub(super) fn next_serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// Targets or instances have changed.
    pub(super) fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    pub(super) fn version(&self) -> &watch::Sender<i64> {
        &self.version
    }

    pub(super) fn units(&self) -> Vec<Arc<Unit>> {
        self.units.lock().values().cloned().collect()
    }

    pub(super) fn unit(&self, name: &ComponentName) -> Option<Arc<Unit>> {
        self.units.lock().get(name).cloned()
    }

    /// Gives the component's unit its settings. `Some`: the unit is new, and needs a converger.
    pub(super) fn configure(
        &self,
        name: &ComponentName,
        component: Option<Arc<Component>>,
    ) -> Option<Arc<Unit>> {
        // Under the lock, so that a unit that is just being forgotten doesn't get them.
        let mut units = self.units.lock();
        if let Some(unit) = units.get(name) {
            unit.configure(component);
            return None;
        }
        let unit = Arc::new(Unit::new(name.clone()));
        unit.configure(Some(component?));
        units.insert(name.clone(), unit.clone());
        Some(unit)
    }

    /// Forgets a unit that has no component and no instance any more.
    pub(super) fn forget_if_empty(&self, unit: &Arc<Unit>) -> bool {
        let mut units = self.units.lock();
        let empty = unit.is_empty();
        if empty && units.get(&unit.name).is_some_and(|known| Arc::ptr_eq(known, unit)) {
            units.remove(&unit.name);
        }
        empty
    }

    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.changed();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) fn set_draining(&self, draining: bool) {
        if self.draining.swap(draining, Ordering::AcqRel) != draining {
            self.changed();
        }
    }

    pub(super) fn show_drain(&self, info: Option<DrainInfo>) {
        let changes = {
            let mut shown = self.drain.lock();
            let changes = *shown != info;
            *shown = info;
            changes
        };
        if changes {
            self.changed();
        }
    }

    pub(super) fn show_machine(&self, instance: &str) {
        *self.machine.lock() = Some(instance.to_owned());
        self.changed();
    }

    pub(super) fn machine(&self) -> Option<String> {
        self.machine.lock().clone()
    }

    pub(super) fn drain(&self) -> Option<DrainInfo> {
        self.drain.lock().clone()
    }

    pub(super) fn close_to_peers(&self) {
        if !self.closed_to_peers.swap(true, Ordering::AcqRel) {
            self.changed();
        }
    }

    pub(super) fn is_closed_to_peers(&self) -> bool {
        self.closed_to_peers.load(Ordering::Acquire)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(super) fn peers(&self) -> Arc<[Candidate]> {
        self.peers.lock().clone()
    }

    pub(super) fn set_peers(&self, peers: Arc<[Candidate]>) {
        *self.peers.lock() = peers;
    }
}
