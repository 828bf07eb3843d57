//! What can go wrong with an SQLite file, in words that say what to do.

use std::path::Path;

use maelstrom_core::ports::store::StoreError;
use rusqlite::ErrorCode;

/// Why a call failed: the store's own reasons, or SQLite's.
#[derive(Debug)]
pub(super) enum Failure {
    Store(StoreError),
    Sql(rusqlite::Error),
}

// === impl Failure ===

impl Failure {
    /// The connection may have seen the file in a state that is over, or that people repair beneath it:
    /// it is not used again.
    pub(super) fn spoils_connection(&self) -> bool {
        let codes = [
            ErrorCode::ReadOnly,
            ErrorCode::CannotOpen,
            ErrorCode::SystemIoFailure,
            ErrorCode::DatabaseCorrupt,
            ErrorCode::NotADatabase,
        ];
        self.code().is_some_and(|code| codes.contains(&code))
    }

    /// Nothing was done, and a fresh connection may find the file usable.
    pub(super) fn worth_a_fresh_connection(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
    }

    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Store(_) => None,
        }
    }

    pub(super) fn tell(self, path: &Path) -> StoreError {
        let error = match self {
            Self::Store(error) => return error,
            Self::Sql(error) => error,
        };
        let path = path.display();
        let passing = |what: String| StoreError::Unavailable { reason: format!("{what} ({error})") };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                passing(format!("the disk of {path} is full; free some space and it works again"))
            }
            Some(ErrorCode::ReadOnly) => {
                passing(format!("{path} can't be written; make the file and its file system writable"))
            }
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => passing(format!(
                "{path} can't be opened; its directory must exist and be writable, with some space left"
            )),
            Some(ErrorCode::SystemIoFailure) => {
                passing(format!("reading or writing {path} failed; look for disk errors in the kernel's log"))
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => passing(format!(
                "another program holds a lock on {path}; end transactions that are open in sqlite3"
            )),
            Some(ErrorCode::OutOfMemory) => passing(format!("no memory to work on {path}")),
            Some(ErrorCode::DatabaseCorrupt) => StoreError::Broken {
                reason: format!(
                    "{path} is damaged; stop maelstromd and restore a backup or run sqlite3 '.recover' ({error})"
                ),
            },
            Some(ErrorCode::NotADatabase) => StoreError::Broken {
                reason: format!("{path} is not an SQLite file; name another one or move it away ({error})"),
            },
            _ => StoreError::Broken { reason: format!("{path}: {error}") },
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
