//! Who this node is: a name that stays over restarts and that no other node has.
//!
//! It is made once and kept in a file beside the store, so that several daemons on one machine, each with
//! a store of its own, have names of their own. The file is locked for as long as the daemon runs: two
//! daemons on one store would fight over the same containers.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use maelstrom_core::names::NodeId;
use rustix::fs::{FlockOperation, flock};

/// How long a starting daemon waits for one that is leaving: a restart overlaps for a moment, a mistake
/// should be told soon.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(100);

/// The node's name. The store is this daemon's until this is dropped.
#[derive(Debug)]
pub struct Identity {
    pub id: NodeId,
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "another maelstromd uses the store beside {path}; stop it first, or give this one a store of its own (MAEL_STORE)"
    )]
    InUse { path: PathBuf },
    #[error(
        "can't write {path}: {source}; the directory of the store must exist and be writable for this user (MAEL_STORE)"
    )]
    File { path: PathBuf, source: std::io::Error },
}

// === impl Identity ===

impl Identity {
    /// Takes the store at `store` for this daemon; its name is `configured` if given.
    pub async fn claim(store: &Path, configured: Option<&str>) -> Result<Self, IdentityError> {
        let mut path = store.as_os_str().to_owned();
        path.push(".node");
        let path = PathBuf::from(path);
        let failed = |source: std::io::Error| IdentityError::File { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        lock(&file, &path).await?;
        let id = match configured {
            Some(name) => name.to_owned(),
            None => read_or_make(&mut file).map_err(failed)?,
        };
        Ok(Self { id: NodeId::new(id), _lock: file })
    }
}

async fn lock(file: &File, path: &Path) -> Result<(), IdentityError> {
    let attempts = async {
        let mut told = false;
        while let Err(error) = flock(file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK && error != rustix::io::Errno::INTR {
                return Err(IdentityError::File { path: path.to_owned(), source: error.into() });
            }
            if !std::mem::replace(&mut told, true) {
                tracing::info!(path = %path.display(), "another maelstromd still has the store; waiting for it to leave");
            }
            tokio::time::sleep(LOCK_RETRY).await;
        }
        Ok(())
    };
    let in_use = || IdentityError::InUse { path: path.to_owned() };
    tokio::time::timeout(LOCK_PATIENCE, attempts).await.map_err(|_| in_use())?
}

fn read_or_make(file: &mut File) -> std::io::Result<String> {
    let mut text = String::new();
    // A file that is not text holds no name, like an empty one: its writer was cut off.
    let readable = file.read_to_string(&mut text).is_ok();
    if readable && is_node_id(text.trim()) {
        return Ok(text.trim().to_owned());
    }
    let id = make();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    Ok(id)
}

/// The host's name, for people, and something that nobody else has.
fn make() -> String {
    const HOST: usize = 32;
    const UNIQUE: usize = 10;
    let uname = rustix::system::uname();
    let host: String = uname
        .nodename()
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(HOST)
        .collect();
    let ulid = ulid::Ulid::generate().to_string().to_ascii_lowercase();
    format!("{host}-{}", &ulid[ulid.len() - UNIQUE..])
}

/// Node ids travel in headers, labels and URLs.
pub fn is_node_id(text: &str) -> bool {
    const MAX: usize = 64;
    !text.is_empty()
        && text.len() <= MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_stays_and_differs_between_stores() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a.db"), directory.path().join("b.db"));
        let first = Identity::claim(&a, None).await.unwrap().id;
        let again = Identity::claim(&a, None).await.unwrap().id;
        let other = Identity::claim(&b, None).await.unwrap().id;
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(is_node_id(first.as_str()), "{first}");
        assert_eq!(Identity::claim(&a, Some("mine")).await.unwrap().id.as_str(), "mine");
        assert_eq!(Identity::claim(&a, None).await.unwrap().id, first);
    }

    #[tokio::test]
    async fn two_daemons_can_not_share_a_store() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("a.db");
        let first = Identity::claim(&store, None).await.unwrap();
        tokio::time::pause();
        assert!(matches!(Identity::claim(&store, None).await, Err(IdentityError::InUse { .. })));
        drop(first);
        assert!(Identity::claim(&store, None).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_cut_off_while_written_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("a.db");
        std::fs::write(directory.path().join("a.db.node"), b"\xff\xfe").unwrap();
        let id = Identity::claim(&store, None).await.unwrap().id;
        assert_eq!(Identity::claim(&store, None).await.unwrap().id, id);
    }

    #[tokio::test]
    async fn a_missing_directory_says_what_to_do() {
        let error = Identity::claim(Path::new("/nope/a.db"), None).await.unwrap_err().to_string();
        assert!(error.contains("/nope/a.db.node") && error.contains("MAEL_STORE"), "{error}");
    }
}
