//! The store of one node: an SQLite file.
//!
//! * One thread owns the one connection; callers send it work and wait, so nothing blocks the runtime and
//!   writers never meet. The file stays open to people with `sqlite3` meanwhile.
//! * A commit that was answered is on the disk (write-ahead log, `synchronous=FULL`).
//! * One daemon per file, held by a lock beside it: the store is exclusive.
//! * A full or read-only disk makes calls fail, each with what to do; when that has passed, calls work
//!   again. A missing file is never made anew while the daemon runs: an empty store would stop everything.

mod calls;
mod failure;
mod open;
mod schema;
mod worker;

use std::{
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::Duration,
};

use maelstrom_core::{
    names::NodeId,
    ports::{
        BoxFuture,
        store::{Configuration, Heartbeat, Op, Revision, RoleRecord, Store, StoreError, StoreResult},
    },
    time::WallTime,
};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use failure::Failure;
use worker::{Job, Worker};

/// Calls that may wait for the thread. Each takes milliseconds; with more than this something is wrong
/// and callers are better served by an error.
const QUEUE: usize = 256;

/// After this a caller hears that the store is not available. Longer than SQLite waits for a lock
/// ([`open::BUSY_LIMIT`]), so that its own error comes first.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// A handle to the thread that owns the file. Dropping it closes the file and frees the lock.
pub struct SqliteStore {
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Opens the file, makes it if it isn't there, brings its schema up to date. Errors say what is wrong
    /// with which path and what to do.
    pub async fn open(path: impl AsRef<Path>) -> StoreResult<Self> {
        let path = path.as_ref().to_owned();
        let (opened, answer) = oneshot::channel();
        let (sender, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || serve(path, opened, jobs))
            .map_err(|error| StoreError::Unavailable { reason: format!("no thread for it: {error}") })?;
        let store = Self { jobs: Some(sender), thread: Some(thread) };
        answer.await.map_err(|_| ended())??;
        Ok(store)
    }

    /// Has the thread do `work`, which may be done twice if the file had to be opened again.
    fn call<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> BoxFuture<'_, StoreResult<T>> {
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            let job: Job = Box::new(move |worker| {
                // Its caller may have given up while it waited.
                if !sender.is_closed() {
                    let _ = sender.send(worker.run(&work));
                }
            });
            let answered = async {
                self.jobs.as_ref().ok_or_else(ended)?.send(job).await.map_err(|_| ended())?;
                answer.await.map_err(|_| ended())?
            };
            tokio::time::timeout(CALL_LIMIT, answered).await.unwrap_or_else(|_| {
                Err(StoreError::Unavailable {
                    reason: format!("no answer within {} s: is the disk overloaded?", CALL_LIMIT.as_secs()),
                })
            })
        })
    }
}

fn ended() -> StoreError {
    StoreError::Broken { reason: "its thread has ended; restart maelstromd".into() }
}

/// The thread: opens, tells how that went, works until all handles are gone.
fn serve(path: PathBuf, opened: oneshot::Sender<StoreResult<()>>, mut jobs: mpsc::Receiver<Job>) {
    match Worker::open(path) {
        Err(error) => drop(opened.send(Err(error))),
        Ok(mut worker) => {
            let _ = opened.send(Ok(()));
            while let Some(job) = jobs.blocking_recv() {
                job(&mut worker);
            }
        }
    }
}

impl Drop for SqliteStore {
    /// Waits for the call in progress, so that the lock is free when this returns.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Store for SqliteStore {
    fn exclusive(&self) -> bool {
        true
    }

    fn revision(&self) -> BoxFuture<'_, StoreResult<Revision>> {
        self.call(|connection| calls::revision(connection))
    }

    fn configuration(&self) -> BoxFuture<'_, StoreResult<Configuration>> {
        self.call(calls::configuration)
    }

    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, StoreResult<Revision>> {
        self.call(move |connection| calls::commit(connection, &ops))
    }

    fn beat(&self, heartbeat: Heartbeat) -> BoxFuture<'_, StoreResult<()>> {
        self.call(move |connection| calls::beat(connection, &heartbeat))
    }

    fn heartbeats(&self) -> BoxFuture<'_, StoreResult<Vec<Heartbeat>>> {
        self.call(|connection| calls::heartbeats(connection))
    }

    fn remove_heartbeat(&self, node: NodeId, incarnation: String) -> BoxFuture<'_, StoreResult<()>> {
        self.call(move |connection| calls::remove_heartbeat(connection, &node, &incarnation))
    }

    fn roles(&self) -> BoxFuture<'_, StoreResult<Vec<RoleRecord>>> {
        self.call(|connection| calls::roles(connection))
    }

    fn write_role(&self, record: RoleRecord, seen: u64) -> BoxFuture<'_, StoreResult<()>> {
        self.call(move |connection| calls::write_role(connection, &record, seen))
    }

    fn claim_fire(&self, rule: String, due: WallTime, claimant: String) -> BoxFuture<'_, StoreResult<bool>> {
        self.call(move |connection| calls::claim_fire(connection, &rule, due, &claimant))
    }

    fn last_fires(&self) -> BoxFuture<'_, StoreResult<Vec<(String, WallTime)>>> {
        self.call(|connection| calls::last_fires(connection))
    }

    fn forget_fires(&self, rules: Vec<String>) -> BoxFuture<'_, StoreResult<()>> {
        self.call(move |connection| calls::forget_fires(connection, &rules))
    }
}

#[cfg(test)]
mod tests;
