//! Who may start when: the component's start order (`series`, `seriesfirst`) in the whole cluster, and how
//! many starts this machine bears at a time.

use std::{any::Any, collections::HashMap, sync::Arc};

use maelstrom_core::{names::ComponentName, ports::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Held while a start goes on; dropping it lets the next one begin, whatever became of the start.
pub type Permit = Box<dyn Any + Send>;

/// The right to start an instance of a component alone. Between nodes it is a lease; on one node a lock.
pub trait StartPermits: Send + Sync {
    /// Waits for the component's turn. The caller bounds the wait by dropping the future.
    fn acquire(&self, component: ComponentName) -> BoxFuture<'static, Permit>;
}

/// Start permits of a node that is alone.
#[derive(Debug, Default)]
pub struct LocalPermits {
    components: Mutex<HashMap<ComponentName, Arc<Semaphore>>>,
}

/// How many containers are created and started at a time on this machine. Starts are bound by the CPU
/// (~5 a second on 2 cores): more at a time only makes each of them later.
#[derive(Debug)]
pub(super) struct StartSlots {
    slots: Arc<Semaphore>,
}

// === impl LocalPermits ===

impl StartPermits for LocalPermits {
    fn acquire(&self, component: ComponentName) -> BoxFuture<'static, Permit> {
        let lock = {
            let mut components = self.components.lock();
            components.retain(|name, lock| *name == component || Arc::strong_count(lock) > 1);
            components.entry(component).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
        };
        Box::pin(async move { Box::new(acquired(lock).await) as Permit })
    }
}

// === impl StartSlots ===

impl StartSlots {
    pub(super) fn new(cpus: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(cpus.max(1) + 1)) }
    }

    pub(super) async fn acquire(&self) -> OwnedSemaphorePermit {
        acquired(self.slots.clone()).await
    }
}

async fn acquired(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.acquire_owned().await.expect("these semaphores are never closed")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// A failed start of the original leaked the lock, and nothing started ever after.
    #[tokio::test]
    async fn a_permit_is_given_back_whatever_becomes_of_the_start() {
        let permits = LocalPermits::default();
        let web = ComponentName::parse("web").unwrap();
        let held = permits.acquire(web.clone()).await;
        assert!(permits.acquire(web.clone()).now_or_never().is_none(), "one at a time");
        assert!(permits.acquire(ComponentName::parse("api").unwrap()).now_or_never().is_some());
        drop(held);
        assert!(permits.acquire(web).now_or_never().is_some());
    }
}
