//! One component on this node: what is wanted of it, what there is, and what went wrong lately. A plain
//! value behind one short lock; [`super::converger`] acts on it.

mod history;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use maelstrom_core::{
    component::Component,
    decide::{
        backoff::Backoff,
        converge::{Desired, Observed, starts_alone},
    },
    names::{ComponentName, InstanceId},
    time::{Moment, WallTime},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use history::Rollout;
pub(super) use history::RolloutNews;

use super::{failure::Failure, instance::Instance};
use crate::router::StartFailure;

#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: ComponentName,
    /// Something changed: the converger looks at everything again.
    pub(super) wake: Notify,
    converges: AtomicBool,
    /// Rises with each version that was found to work.
    proofs: watch::Sender<u64>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// `None`: removed from the configuration.
    component: Option<Arc<Component>>,
    target: u32,
    /// Why the target is what it is.
    reasons: Vec<String>,
    instances: Vec<Arc<Instance>>,
    backoff: Backoff,
    last_failure: Option<(Failure, WallTime)>,
    /// What requests are answered here since nothing can be started.
    refused: Option<StartFailure>,
    /// The version of which an instance has passed its check, here or on another node.
    proven: Option<i64>,
    /// What the image's name points at, and since when that is known.
    image: Option<(String, Moment)>,
    /// Replacement of instances that is going on.
    rollout: Option<Rollout>,
}

// === impl Unit ===

impl Unit {
    pub(super) fn new(name: ComponentName) -> Self {
        Self {
            name,
            wake: Notify::new(),
            converges: AtomicBool::new(false),
            proofs: watch::Sender::default(),
            inner: Mutex::default(),
        }
    }

    /// True for the one who is to start the converger.
    pub(super) fn take_converger(&self) -> bool {
        !self.converges.swap(true, Ordering::AcqRel)
    }

    pub(super) fn component(&self) -> Option<Arc<Component>> {
        self.inner.lock().component.clone()
    }

    /// The component was put or removed. Another version gets a fresh chance to start.
    pub(super) fn configure(&self, component: Option<Arc<Component>>) {
        {
            let mut inner = self.inner.lock();
            if inner.component == component {
                return;
            }
            inner.component = component;
            inner.backoff.forget();
            inner.last_failure = None;
            inner.refused = None;
            inner.proven = None;
            if inner.component.is_none() {
                inner.target = 0;
                inner.reasons = vec!["the component was removed".to_owned()];
            }
        }
        self.wake.notify_one();
    }

    pub(super) fn target(&self) -> u32 {
        self.inner.lock().target
    }

    /// Why the target is what it is.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.inner.lock().reasons.clone()
    }

    /// Returns the previous target.
    pub(super) fn set_target(&self, count: u32, reasons: &[String]) -> u32 {
        let before = {
            let mut inner = self.inner.lock();
            if inner.reasons != reasons {
                inner.reasons = reasons.to_vec();
            }
            std::mem::replace(&mut inner.target, count)
        };
        if before != count {
            self.wake.notify_one();
        }
        before
    }

    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        self.inner.lock().instances.clone()
    }

    pub(super) fn instance(&self, id: &InstanceId) -> Option<Arc<Instance>> {
        self.inner.lock().instances.iter().find(|instance| instance.has_id(id)).cloned()
    }

    pub(super) fn by_serial(&self, serial: u64) -> Option<Arc<Instance>> {
        self.inner.lock().instances.iter().find(|instance| instance.serial == serial).cloned()
    }

    pub(super) fn push(&self, instance: Arc<Instance>) {
        self.inner.lock().instances.push(instance);
    }

    /// The instance's container doesn't run any more.
    pub(super) fn remove(&self, serial: u64) {
        self.inner.lock().instances.retain(|instance| instance.serial != serial);
        self.wake.notify_one();
    }

    /// No component, no instance: nothing to converge.
    pub(super) fn is_empty(&self) -> bool {
        let inner = self.inner.lock();
        inner.component.is_none() && inner.instances.is_empty()
    }

    /// With so many paused instances beside those of the target.
    pub(super) fn desired(&self, standby: u32, closing: bool) -> Desired {
        let inner = self.inner.lock();
        let Some(component) = inner.component.as_ref().filter(|_| !closing) else {
            return Desired::nothing();
        };
        Desired::new(component, inner.target, standby, inner.proven, &inner.backoff)
    }

    /// Whether a start needs the permit to start alone in the cluster.
    pub(super) fn starts_alone(&self) -> bool {
        let inner = self.inner.lock();
        inner.component.as_ref().is_some_and(|component| starts_alone(component, inner.proven))
    }

    /// Returns when a start needs no turn any more.
    pub(super) async fn may_start_beside_others(&self) {
        let mut proofs = self.proofs.subscribe();
        while self.starts_alone() {
            // The sender lives in this.
            if proofs.changed().await.is_err() {
                return;
            }
        }
    }

    /// All instances, with their requests as `in_flight` tells them.
    pub(super) fn observed(&self, in_flight: impl Fn(&InstanceId) -> u32) -> Vec<Observed> {
        let (component, instances) = {
            let inner = self.inner.lock();
            (inner.component.clone(), inner.instances.clone())
        };
        let requests = |instance: &Instance| instance.id().map_or(0, |id| in_flight(&id));
        instances.iter().map(|i| i.observed(component.as_ref(), requests(i))).collect()
    }

    /// MiB that live instances hold.
    pub(super) fn held_mib(&self) -> u64 {
        self.inner.lock().held_mib()
    }

    /// Some of it stand by in the cluster.
    pub(super) fn is_to_stand_by(&self) -> bool {
        self.inner.lock().component.as_ref().is_some_and(|component| component.scaling.standby > 0)
    }

    pub(super) fn standby_count(&self) -> u32 {
        let standby = self.inner.lock().instances.iter().filter(|i| i.is_standby()).count();
        u32::try_from(standby).unwrap_or(u32::MAX)
    }
}

// === impl Inner ===

impl Inner {
    fn held_mib(&self) -> u64 {
        self.instances.iter().map(|instance| instance.component.docker.reserve_memory_mib).sum()
    }
}
