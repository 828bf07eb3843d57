//! How many instances run, and where: `decide::scheduler` as one loop without input.
//!
//! ```text
//!  a waiter without an instance ─┐                                      ┌─► this node's targets
//!  configuration, statuses       ├─► wake ─► [`world`] ─► scheduler ────┼─► orders to peers
//!  demand told by peers          │             ▲                │       └─► refuse the waiters
//!  a second has passed          ─┘             └── answers ◄────┘
//! ```
//! A wake-up carries nothing: each pass looks at everything it needs and orders only what differs, against
//! the version that it looked at. A pass for demand alone leaves the counts of all components that nobody
//! waits for as they are, so that a cold start doesn't wait for arithmetic.
//!
//! In a cluster only the owner of the role `placement` decides ([`lead`]): it fences all nodes it can reach
//! before its first pass. All others tell it what they are asked for, and ask it to place what starves
//! ([`follow`]). A node that is alone decides at once and without any of this.
//!
//! Never starts or stops a container, and does nothing before the first configuration is in place: what
//! isn't known isn't unwanted.

mod fleet;
mod follow;
mod lead;
mod orders;
mod pass;
mod place;
mod run;
mod targets;
mod world;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use maelstrom_core::{
    decide::{
        Decided,
        placement::{Unplaceable, Wanted},
        scheduler::Scheduler,
    },
    names::{ComponentName, NodeId, Role},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use fleet::{Asked, Fleet, FleetError, PeerFleet};
pub use place::{PlaceError, Placed};
pub use targets::{Delta, NotSet, OldTerm, Target, Targets, VersionMismatch};

use crate::{clock, cluster::Roles, journal::Journal, router::Router, tasks::Tasks};
use follow::Following;
use lead::Lead;

/// Who owns it decides how many instances run, and where.
pub const ROLE: &str = "placement";
/// Shows who scales; it goes with [`ROLE`], since one decider alone can keep `maxinstances`.
pub const AUTOSCALE_ROLE: &str = "autoscale";

/// Decides for one node, or for a cluster.
pub struct Control {
    router: Arc<Router>,
    targets: Arc<dyn Targets>,
    journal: Arc<Journal>,
    memory: Mutex<Memory>,
    cluster: Option<Cluster>,
    /// Something came that calls for a pass.
    wake: Notify,
    /// An order was answered.
    answers: Notify,
    /// Orders, fences and questions under way.
    tasks: Tasks,
    /// For those tasks.
    me: Weak<Self>,
}

/// What a node among others has.
pub struct Cluster {
    /// This node and this run of its daemon.
    pub node: NodeId,
    pub roles: Arc<Roles>,
    pub fleet: Arc<dyn Fleet>,
}

struct Memory {
    /// Of the configuration that was looked at last.
    generation: u64,
    scheduler: Scheduler,
    /// Set while this node owns the role.
    lead: Option<Lead>,
    following: Following,
    /// Why no more room comes, while none does.
    no_room_comes: Option<String>,
}

// === impl Control ===

impl Control {
    /// For a node that is alone.
    pub fn new(router: Arc<Router>, targets: Arc<dyn Targets>, journal: Arc<Journal>) -> Arc<Self> {
        Self::build(router, targets, journal, None)
    }

    /// For a node among others.
    pub fn in_cluster(
        router: Arc<Router>,
        targets: Arc<dyn Targets>,
        journal: Arc<Journal>,
        cluster: Cluster,
    ) -> Arc<Self> {
        Self::build(router, targets, journal, Some(cluster))
    }

    fn build(
        router: Arc<Router>,
        targets: Arc<dyn Targets>,
        journal: Arc<Journal>,
        cluster: Option<Cluster>,
    ) -> Arc<Self> {
        let memory = Memory {
            generation: 0,
            scheduler: Scheduler::default(),
            lead: None,
            following: Following::default(),
            no_room_comes: None,
        };
        Arc::new_cyclic(|me| Self {
            router,
            targets,
            journal,
            memory: Mutex::new(memory),
            cluster,
            wake: Notify::new(),
            answers: Notify::new(),
            tasks: Tasks::new(),
            me: me.clone(),
        })
    }

    /// Why instances of the component have no place, while they have none. Known where it is decided.
    pub fn obstacle(&self, component: &ComponentName) -> Option<Unplaceable> {
        self.memory.lock().scheduler.obstacle(component)
    }

    /// Everything that should run, whether it has a place or not. `None`: another node decides.
    pub fn wanted(&self) -> Option<Vec<Wanted>> {
        let now = clock::now();
        let mut memory = self.memory.lock();
        let world = self.world(&mut memory, now)?;
        Some(memory.scheduler.wanted(&world))
    }

    /// How many instances the component should have now, and why. `None`: there is no such component, or
    /// another node decides.
    pub fn target(&self, component: &ComponentName) -> Option<Decided<u32>> {
        let now = clock::now();
        let mut memory = self.memory.lock();
        let world = self.world(&mut memory, now)?;
        let mut target = memory.scheduler.target(component, &world, now)?;
        if memory.scheduler.obstacle(component).is_some() {
            target.reasons.extend(memory.no_room_comes.clone());
        }
        Some(target)
    }

    /// Has components that have no place explained by this, too: the cloud gives no more room.
    pub fn note_no_room_comes(&self, why: Option<String>) {
        self.memory.lock().no_room_comes = why;
    }
}

fn role() -> Role {
    Role::new(ROLE)
}
