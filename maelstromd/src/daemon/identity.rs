//! Who this node is: a name that stays over restarts and that no other node has.
//!
//! It is made once and kept in a file beside the store, so that several daemons on one machine, each with
//! a store of its own, have names of their own. Only who holds the store may ask for it.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use maelstrom_core::names::NodeId;

/// The name's file can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("can't use {path}, which holds this node's name: {source}; make it writable, or set MAEL_NODE_ID")]
pub struct IdentityError {
    path: PathBuf,
    source: std::io::Error,
}

/// The name of the node whose store is at `store`.
pub fn node_id(store: &Path) -> Result<NodeId, IdentityError> {
    let mut path = store.as_os_str().to_owned();
    path.push(".node");
    let path = PathBuf::from(path);
    let made = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .and_then(|mut file| read_or_make(&mut file));
    made.map(NodeId::new).map_err(|source| IdentityError { path, source })
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

    #[test]
    fn a_name_stays_and_differs_between_stores() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a.db"), directory.path().join("b.db"));
        let first = node_id(&a).unwrap();
        assert_eq!(first, node_id(&a).unwrap());
        assert_ne!(first, node_id(&b).unwrap());
        assert!(is_node_id(first.as_str()), "{first}");
    }

    #[test]
    fn a_file_cut_off_while_written_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("a.db");
        std::fs::write(directory.path().join("a.db.node"), b"\xff\xfe").unwrap();
        let id = node_id(&store).unwrap();
        assert_eq!(node_id(&store).unwrap(), id);
    }

    #[test]
    fn a_file_that_can_not_be_written_says_what_to_do() {
        let error = node_id(Path::new("/nope/a.db")).unwrap_err().to_string();
        assert!(error.contains("/nope/a.db.node") && error.contains("MAEL_NODE_ID"), "{error}");
    }
}
