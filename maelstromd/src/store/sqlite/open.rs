//! Getting hold of the file: the lock beside it, the connection, its settings.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use maelstrom_core::ports::store::{StoreError, StoreResult};
use rusqlite::{Connection, OpenFlags};

use super::{failure::Failure, schema};

/// How long SQLite waits while a person's `sqlite3` holds a lock.
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// The log is cut to this after a large commit.
const LOG_BYTES_KEPT: i64 = 16 << 20;

/// Components may carry passwords of registries.
const FILE_MODE: u32 = 0o600;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Fail,
}

/// Takes the lock file beside `path`, which holds the owner's process id for people.
pub(super) fn lock(path: &Path) -> StoreResult<File> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        return Err(StoreError::Unavailable {
            reason: format!("there is no directory {}; make it or name another file", directory.display()),
        });
    }
    let lock_path = beside(path, ".lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&lock_path)
        .map_err(|error| unusable(&lock_path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
        Err(TryLockError::Error(error)) => return Err(unusable(&lock_path, &error)),
    }
    // Only for people who find the lock held: without space on the disk it works without.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn unusable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable {
        reason: format!("{} can't be used ({error}); its directory must be writable", path.display()),
    }
}

fn in_use(path: &Path, lock: &mut File) -> StoreError {
    let mut owner = String::new();
    let _ = lock.take(32).read_to_string(&mut owner);
    let owner = match owner.trim() {
        "" => "another maelstromd".to_owned(),
        pid => format!("maelstromd with process id {pid}"),
    };
    StoreError::Unavailable {
        reason: format!("{} is in use by {owner}; stop that one or name another file", path.display()),
    }
}

/// Opens the file, checks that it is ours and whole, brings its schema up to date.
pub(super) fn connection(path: &Path, missing: Missing) -> Result<Connection, Failure> {
    if missing == Missing::Create {
        // SQLite would make it readable for all.
        let created = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
        created.map_err(|error| unusable(path, &error))?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_LIMIT)?;
    schema::check(&connection, path)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if mode != "wal" {
        let reason = format!(
            "{} lies on a file system that can't hold its write-ahead log (a network share?); \
             name a file on a local disk",
            path.display()
        );
        return Err(StoreError::Broken { reason }.into());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    whole(&connection, path)?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// The file is small (kilobytes per component), so it is looked at as a whole.
fn whole(connection: &Connection, path: &Path) -> Result<(), Failure> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let reason = format!(
        "{} is damaged; stop maelstromd and restore a backup or run sqlite3 '.recover' ({found})",
        path.display()
    );
    Err(StoreError::Broken { reason }.into())
}
