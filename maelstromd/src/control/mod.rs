//! How many instances run, and where: autoscale and placement as one loop without input.
//!
//! ```text
//!  a waiter without an instance ─┐
//!  configuration                 ├─► wake ─► read pools and node ─► autoscale ─► place ─► set targets
//!  the node's view               │                                                 │
//!  a second has passed          ─┘                                    no room ─► refuse the waiters
//! ```
//! A wake-up carries nothing: each pass looks at everything it needs and tells the node only what
//! differs, against the version that it looked at. A pass for demand alone leaves the counts of all
//! components that nobody waits for as they are, so that a cold start doesn't wait for arithmetic.
//!
//! Never starts or stops a container, and does nothing before the first configuration is in place: what
//! isn't known isn't unwanted.

mod pass;
mod refusal;
mod targets;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        Decided,
        autoscale::{self, Input},
        placement::Unplaceable,
    },
    names::{ComponentName, NodeId},
    time::Moment,
};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    journal::Journal,
    router::{ComponentPool, Router},
};
use refusal::Refusal;
pub use targets::{Delta, Target, Targets, VersionMismatch};

/// The autoscaler's tick (cluster, "Autoscale"): short against its shortest window.
const TICK: Duration = Duration::from_secs(1);

/// Decides for one node.
pub struct Control {
    router: Arc<Router>,
    targets: Arc<dyn Targets>,
    journal: Arc<Journal>,
    memory: Mutex<Memory>,
}

/// What a decision needs of those before it.
#[derive(Debug, Default)]
struct Memory {
    /// Of the configuration that was looked at last.
    generation: u64,
    components: HashMap<ComponentName, Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    panicked: Option<Moment>,
    /// The count decided last, so that the journal tells changes only.
    decided: Option<u32>,
    /// Set while instances have no place.
    unplaceable: Option<Unplaceable>,
    refusal: Refusal,
}

/// Why a component was not placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    #[error("there is no component '{0}'")]
    NoSuchComponent(String),
    #[error(transparent)]
    Unplaceable(#[from] Unplaceable),
    #[error("the node's targets were changed by others at the same time; try again")]
    Contended,
}

// === impl Control ===

impl Control {
    pub fn new(router: Arc<Router>, targets: Arc<dyn Targets>, journal: Arc<Journal>) -> Arc<Self> {
        Arc::new(Self { router, targets, journal, memory: Mutex::default() })
    }

    /// Runs until `token` fires.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        let mut changes = self.targets.changes();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut patience: Option<Instant> = None;
        loop {
            let queue_grows_old = async move {
                match patience {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = self.router.demand().notified() => {
                    self.answer_demand(clock::now());
                    if !self.is_configuration_new() {
                        continue;
                    }
                }
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = queue_grows_old => {}
                _ = tick.tick() => {}
            }
            let now = clock::now();
            self.pass(now);
            patience = self.patience(now).map(|left| Instant::now() + left);
        }
    }

    fn is_configuration_new(&self) -> bool {
        self.memory.lock().generation != self.router.generation()
    }

    /// Time until the first queue has waited long enough to count, where that is before the next tick.
    fn patience(&self, now: Moment) -> Option<Duration> {
        let pools = self.router.pools();
        let ages = pools.iter().filter_map(|pool| pool.queue_age(now));
        ages.filter_map(|age| autoscale::QUEUE_PATIENCE.checked_sub(age)).filter(|left| !left.is_zero()).min()
    }

    /// Sees to it that the component has an instance, as if a request had come for it, and tells the
    /// node that is to run it.
    pub fn place(&self, component: &str) -> Result<NodeId, PlaceError> {
        let now = clock::now();
        let pool = self.router.component(component);
        let pool = pool.ok_or_else(|| PlaceError::NoSuchComponent(component.to_owned()))?;
        pool.touch(now);
        self.pass(now);
        let view = self.targets.view();
        if view.targets.get(pool.name()).is_some_and(|count| *count > 0) {
            return Ok(view.id);
        }
        let memory = self.memory.lock();
        let unplaceable = memory.components.get(pool.name()).and_then(|known| known.unplaceable.clone());
        Err(unplaceable.map_or(PlaceError::Contended, PlaceError::Unplaceable))
    }

    /// Why instances of the component have no place, while they have none.
    pub fn obstacle(&self, component: &ComponentName) -> Option<Unplaceable> {
        self.memory.lock().components.get(component).and_then(|known| known.unplaceable.clone())
    }

    /// How many instances the component should have now, and why. `None`: there is no such component.
    pub fn target(&self, component: &ComponentName) -> Option<Decided<u32>> {
        let now = clock::now();
        let pool = self.router.component(component.as_str())?;
        let current = self.targets.view().targets.get(component).copied().unwrap_or(0);
        let memory = self.memory.lock();
        let known = memory.components.get(component);
        let scale = scale(&pool, current, known.and_then(|known| known.panicked), now);
        let mut reasons = scale.reasons;
        if let Some(unplaceable) = known.and_then(|known| known.unplaceable.as_ref()) {
            reasons.push(unplaceable.to_string());
        }
        Some(Decided { value: scale.value.instances, reasons })
    }
}

fn scale(
    pool: &ComponentPool,
    current: u32,
    panicked: Option<Moment>,
    now: Moment,
) -> Decided<autoscale::Scale> {
    let (component, load) = (pool.component(), pool.load(now));
    autoscale::decide(&Input {
        scaling: &component.scaling,
        current,
        in_rotation: load.in_rotation,
        demand: load.demand,
        since_panic: panicked.map(|panicked| now.since(panicked)),
    })
}
