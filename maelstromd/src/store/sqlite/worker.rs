//! What the store's thread owns: the lock, the connection, and when to open that again.

use std::{
    fs::File,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use maelstrom_core::ports::store::{StoreError, StoreResult};
use rusqlite::Connection;

use super::{
    failure::Failure,
    open::{self, Missing},
};

/// One call, boxed with the way to answer it.
pub(super) type Job = Box<dyn FnOnce(&mut Worker) + Send>;

pub(super) struct Worker {
    path: PathBuf,
    /// `None` after a failure that makes the old one useless.
    connection: Option<Connection>,
    /// Which file was opened first: a path may come to name another one.
    identity: Identity,
    /// Dropped last: while it is held no other daemon opens the file.
    _lock: File,
}

/// Device and inode.
type Identity = (u64, u64);

// === impl Worker ===

impl Worker {
    pub(super) fn open(path: PathBuf) -> StoreResult<Self> {
        let lock = open::lock(&path)?;
        let connection = open::connection(&path, Missing::Create).map_err(|failure| failure.tell(&path))?;
        let identity = identity(&path)?;
        Ok(Self { path, connection: Some(connection), identity, _lock: lock })
    }

    /// Does one call; on a failure that a fresh connection may not have, once more on such a one.
    pub(super) fn run<T>(&mut self, work: &dyn Fn(&mut Connection) -> Result<T, Failure>) -> StoreResult<T> {
        let done = self.attempt(work);
        let done = match done {
            Err(failure) if failure.worth_a_fresh_connection() => self.attempt(work),
            done => done,
        };
        done.map_err(|failure| failure.tell(&self.path))
    }

    fn attempt<T>(&mut self, work: &dyn Fn(&mut Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        if identity(&self.path)? != self.identity {
            return Err(StoreError::Unavailable { reason: moved(&self.path, "is another file now") }.into());
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(open::connection(&self.path, Missing::Fail)?),
        };
        let done = work(connection);
        if done.as_ref().err().is_some_and(Failure::spoils_connection) {
            self.connection = None;
        }
        done
    }
}

fn identity(path: &Path) -> StoreResult<Identity> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| StoreError::Unavailable { reason: moved(path, &format!("is gone ({error})")) })?;
    Ok((metadata.dev(), metadata.ino()))
}

fn moved(path: &Path, what: &str) -> String {
    format!("{} {what}; put the file back, or restart maelstromd to use what is there", path.display())
}
