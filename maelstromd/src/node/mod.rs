//! This node's containers: makes what runs equal to the node's targets, and tells what runs.
//!
//! ```text
//!   set_targets ─┐                 ┌─ pull, create, start, probe ─► router pool
//!   configuration┼─► converger ────┤
//!   engine events┤  (one task per  ├─ retire, drain, stop, remove
//!   suspects ────┘   component)    └─ pause, resume (standby)
//! ```
//! Each component has a [`unit`] (a plain value), a [`converger`] (decides by `decide::converge`) and, per
//! container, an [`instance`] with a task of its own ([`life`], [`end`]). [`repair`] makes node and engine
//! agree again after a restart of either.
//!
//! Never: touches containers of other nodes, counts on an event to arrive, takes an instance out of
//! rotation because the store or the engine is away.

mod check;
mod checks;
mod context;
mod converger;
mod death;
mod end;
mod failure;
mod host;
mod instance;
mod leftovers;
mod life;
mod permits;
mod proofs;
mod repair;
mod standby;
mod start;
mod status;
mod unit;
mod watch;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{lease::Term, placement::NodeView, scheduler::NodeState},
    journal::Kind,
    names::{ComponentName, NodeId},
    wire::{DrainInfo, NodeStatus},
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub use check::{Checker, HttpChecker};
pub use context::{NodeParts, OwnedRoles};
pub use permits::{LocalPermits, Permit, StartPermits};
pub use start::{Images, Occasion};
pub use status::NodeExplain;

use crate::{
    cluster::Snapshot,
    control::{Delta, NotSet, OldTerm, Target, Targets, VersionMismatch},
    journal::Entry,
    node::{context::Context, repair::Strangers, unit::Unit},
};

/// Beyond the bounds of its parts, nothing of a stop takes this long.
const STOP_SLACK: Duration = Duration::from_secs(150);
/// Tasks are cut off at their next await: this is only for those in the middle of a computation.
const TASKS_LIMIT: Duration = Duration::from_secs(5);

/// What a node is told when it starts.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Names this run of the daemon; sorts by start.
    pub incarnation: String,
    /// For containers; 0: this node only relays.
    pub total_memory_mib: u64,
    /// How containers reach this node's private gateway.
    pub private_url: String,
    /// How other nodes reach it.
    pub peer_url: String,
    /// A node that just came knows of no others yet: for so long it prepares no paused instances.
    pub listens: Duration,
    /// Containers created and started at a time: about the number of processors.
    pub parallel_starts: usize,
}

/// What becomes of containers when the daemon stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containers {
    Stop,
    /// They run on; the next daemon takes them over.
    Keep,
}

/// This node's instances.
pub struct Node {
    context: Arc<Context>,
    /// Orders are taken one after the other, under this lock: the highest term in role `placement` that was
    /// heard of.
    term: Mutex<Term>,
}

// === impl Node ===

impl Node {
    pub fn new(id: NodeId, parts: NodeParts, settings: NodeSettings) -> Arc<Self> {
        Arc::new(Self { context: Context::new(id, parts, settings), term: Mutex::default() })
    }

    /// Takes over the containers of the daemon's previous run, then keeps everything as wanted until
    /// `token` fires or [`Node::stop`] was called. The router has to know `changes`' components.
    pub async fn run(
        self: Arc<Self>,
        mut changes: tokio::sync::watch::Receiver<Arc<Snapshot>>,
        token: CancellationToken,
    ) {
        let context = &self.context;
        let tasks = &context.tasks;
        let first = changes.borrow_and_update().clone();
        watch::configure(context, &first);
        tasks.spawn_cancellable("engine events", watch::engine_events(context.clone()));
        let adopted = repair::repair(context, Strangers::Adopt).await;
        let strangers = if adopted.is_ok() { Strangers::Remove } else { Strangers::Adopt };
        context.begin();
        for unit in context.units() {
            watch::start_converger(context, unit);
        }
        tasks.spawn_cancellable("configuration", watch::configuration(context.clone(), changes));
        tasks.spawn_cancellable("image watch", watch::retagged_images(context.clone()));
        tasks.spawn_cancellable("repair", repair::run(context.clone(), strangers));
        context.images_changed.notify_one();
        tokio::select! {
            () = token.cancelled() => {}
            () = tasks.token().cancelled() => {}
        }
        tasks.stop(TASKS_LIMIT).await;
    }

    /// The node as it is now.
    pub fn status(&self) -> NodeStatus {
        status::status(&self.context)
    }

    /// Names this run of the daemon.
    pub fn incarnation(&self) -> &str {
        &self.context.settings.incarnation
    }

    /// Rises with each change of what peers have to know: targets, instances, which of them take requests,
    /// failed starts, draining.
    pub fn version(&self) -> i64 {
        *self.context.version().borrow()
    }

    /// Why a component is on this node as it is. `None`: it is not known here.
    pub fn explain(&self, component: &ComponentName) -> Option<NodeExplain> {
        let unit = self.context.unit(component)?;
        Some(status::explain(&self.context, &unit))
    }

    /// Tells peers to relay nothing to this node any more: it is about to close its gateways.
    pub fn close_to_peers(&self) {
        self.context.close_to_peers();
    }

    /// Waits until nothing is to run here: who decides has moved it all elsewhere.
    pub async fn relieved(&self) {
        let has_targets = || self.context.units().iter().any(|unit| unit.target() > 0);
        // The sender lives in the context.
        let _ = self.changes().wait_for(|_| !has_targets()).await;
    }

    /// Nothing is to run here and nothing does, paused instances aside.
    pub fn is_empty(&self) -> bool {
        let runs = |unit: &Arc<Unit>| unit.instances().iter().any(|instance| !instance.is_standby());
        !self.context.units().iter().any(|unit| unit.target() > 0 || runs(unit))
    }

    /// Tells peers which machine of the cloud this is.
    pub fn show_machine(&self, instance: &str) {
        self.context.show_machine(instance);
    }

    /// Tells peers and people of a drain.
    pub fn show_drain(&self, info: Option<DrainInfo>) {
        self.context.show_drain(info);
    }

    /// Tells peers and placement that nothing new should be placed here.
    pub fn set_draining(&self, draining: bool) {
        self.context.set_draining(draining);
    }

    /// Ends all work on containers. With `Stop`, every instance leaves rotation, finishes its requests
    /// and is stopped, all at the same time; bounded by the longest deadline of their components.
    pub async fn stop(&self, containers: Containers) {
        let count = self.instances();
        let message = match containers {
            Containers::Keep => format!("{count} containers are kept running for the next daemon"),
            Containers::Stop => format!("{count} instances are stopped"),
        };
        self.context.journal.record(Entry::new(Kind::Node, message));
        if containers == Containers::Stop {
            self.context.close();
            let mut version = self.changes();
            for unit in self.context.units() {
                unit.wake.notify_one();
            }
            let all_gone = version.wait_for(|_| self.instances() == 0);
            let limit = self.longest_deadline() + STOP_SLACK;
            if tokio::time::timeout(limit, all_gone).await.is_err() {
                tracing::warn!(limit = ?limit, instances = self.instances(), "instances did not stop in time");
            }
        }
        self.context.tasks.stop(TASKS_LIMIT).await;
    }

    fn take_term(&self, highest: &mut Term, term: Option<Term>) -> Result<(), OldTerm> {
        let Some(given) = term else { return Ok(()) };
        if given < *highest {
            return Err(OldTerm { node: self.context.id.clone(), given, highest: *highest });
        }
        *highest = given;
        Ok(())
    }

    fn set_target(&self, target: &Target) -> Option<Delta> {
        let unit = self.known(&target.component)?;
        // A removed component only waits for its last instances to end.
        unit.component()?;
        let from = unit.set_target(target.count, &target.reasons);
        let to = target.count;
        (from != to).then(|| Delta { component: target.component.clone(), from, to })
    }

    /// A component that was put a moment ago may have come to the router first.
    fn known(&self, name: &ComponentName) -> Option<Arc<Unit>> {
        if let Some(unit) = self.context.unit(name) {
            return Some(unit);
        }
        let component = self.context.router.component(name.as_str())?.component();
        watch::configure_one(&self.context, name, component);
        self.context.unit(name)
    }

    fn instances(&self) -> usize {
        self.context.units().iter().map(|unit| unit.instances().len()).sum()
    }

    fn longest_deadline(&self) -> Duration {
        let units = self.context.units();
        let instances = units.iter().flat_map(|unit| unit.instances());
        instances.map(|instance| instance.component.max_duration).max().unwrap_or_default()
    }
}

impl Targets for Node {
    fn view(&self) -> NodeView {
        status::view(&self.context)
    }

    fn state(&self) -> NodeState {
        NodeState::of(&self.status())
    }

    /// Components that this node doesn't know are left out.
    fn set_targets(
        &self,
        term: Option<Term>,
        expected: Option<i64>,
        targets: &[Target],
    ) -> Result<Vec<Delta>, NotSet> {
        let mut highest = self.term.lock();
        self.take_term(&mut highest, term)?;
        let current = self.version();
        if let Some(expected) = expected.filter(|expected| *expected != current) {
            return Err(VersionMismatch { node: self.context.id.clone(), expected, current }.into());
        }
        let deltas: Vec<Delta> = targets.iter().filter_map(|target| self.set_target(target)).collect();
        if !deltas.is_empty() {
            self.context.changed();
        }
        Ok(deltas)
    }

    fn fence(&self, term: Term) -> Result<(), OldTerm> {
        self.take_term(&mut self.term.lock(), Some(term))
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<i64> {
        self.context.version().subscribe()
    }
}
