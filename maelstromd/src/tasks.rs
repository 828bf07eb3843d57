//! Every spawned task has an owner that stops it. A [`Tasks`] is such an owner: what it spawned hears of
//! the stop through its token and is awaited, and is aborted when it does not end in time.

use std::{future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// A group of tasks that end together. Clones share the group.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    token: CancellationToken,
    set: Arc<Mutex<JoinSet<()>>>,
}

// === impl Tasks ===

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// A group of its own that is told to stop when this one is. The caller awaits it itself.
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), set: Arc::default() }
    }

    /// Fires when the group is to stop.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Runs `task` until it ends. It should watch [`Tasks::token`]; `name` stands in the log if it panics.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&Handle::current(), name, task);
    }

    /// The same in another runtime than the one that this is called in.
    pub fn spawn_on(
        &self,
        runtime: &Handle,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut set = self.set.lock();
        // Tasks that ended are dropped here, so that a long-lived group doesn't grow.
        while let Some(ended) = set.try_join_next() {
            report(ended);
        }
        let guarded = async move {
            let task = std::panic::AssertUnwindSafe(task);
            if futures_util::FutureExt::catch_unwind(task).await.is_err() {
                tracing::error!(task = name, "a task panicked; its work has stopped");
            }
        };
        set.spawn_on(guarded, runtime);
    }

    /// Runs `task` until it ends or the group is stopped, whichever is first: for loops that may be
    /// cut off at any await.
    pub fn spawn_cancellable(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        self.spawn(name, async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Tells all tasks to stop and waits for them; those that still run after `limit` are aborted.
    pub async fn stop(&self, limit: Duration) {
        self.token.cancel();
        self.join(limit).await;
    }

    /// Waits for all tasks without telling them to stop; aborts those that still run after `limit`.
    pub async fn join(&self, limit: Duration) {
        let mut set = std::mem::take(&mut *self.set.lock());
        let all = async {
            while let Some(ended) = set.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!(tasks = set.len(), limit = ?limit, "tasks did not end in time and are cut off");
            set.shutdown().await;
        }
    }
}

/// Where HTTP/2 connections spawn what they need: the tasks end with their owner.
#[derive(Debug, Default)]
pub struct Executor {
    set: Arc<Mutex<JoinSet<()>>>,
}

/// Spawns for an [`Executor`] without keeping its tasks alive.
#[derive(Clone, Debug)]
pub struct ExecutorHandle {
    set: std::sync::Weak<Mutex<JoinSet<()>>>,
}

// === impl Executor ===

impl Executor {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn handle(&self) -> ExecutorHandle {
        ExecutorHandle { set: Arc::downgrade(&self.set) }
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        spawn_in(&self.set, task);
    }
}

impl<F> hyper::rt::Executor<F> for ExecutorHandle
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        // An owner that is gone wants nothing done any more.
        if let Some(set) = self.set.upgrade() {
            spawn_in(&set, async move {
                task.await;
            });
        }
    }
}

fn spawn_in(set: &Mutex<JoinSet<()>>, task: impl Future<Output = ()> + Send + 'static) {
    let mut set = set.lock();
    while let Some(ended) = set.try_join_next() {
        report(ended);
    }
    set.spawn(task);
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a task panicked; its work has stopped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_cut_off() {
        let tasks = Tasks::new();
        tasks.spawn("deaf", std::future::pending());
        tokio::time::timeout(Duration::from_secs(60), tasks.stop(Duration::from_secs(1))).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_a_parent_stops_its_children() {
        let parent = Tasks::new();
        let child = parent.child();
        let token = child.token().clone();
        child.spawn("listener", async move { token.cancelled().await });
        parent.stop(Duration::from_secs(1)).await;
        tokio::time::timeout(Duration::from_secs(1), child.join(Duration::from_secs(60))).await.unwrap();
    }
}
