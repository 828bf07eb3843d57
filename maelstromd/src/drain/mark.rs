//! That somebody wants this node empty, kept beside its name: a restart of the daemon, or of the machine,
//! doesn't give it work again.

use std::path::{Path, PathBuf};

/// A file that is there while the node is to stay empty.
#[derive(Clone, Debug)]
pub struct Mark {
    path: PathBuf,
}

/// The mark can't be made or removed.
#[derive(Debug, thiserror::Error)]
#[error("can't change {path}, which says that this node is drained: {source}; make its folder writable")]
pub struct MarkError {
    path: PathBuf,
    source: std::io::Error,
}

// === impl Mark ===

impl Mark {
    /// `beside`: what the node's name is kept beside.
    pub fn beside(beside: &Path) -> Self {
        let mut path = beside.as_os_str().to_owned();
        path.push(".drained");
        Self { path: path.into() }
    }

    /// What can't be read is not there.
    pub fn is_set(&self) -> bool {
        self.path.exists()
    }

    pub fn set(&self, set: bool) -> Result<(), MarkError> {
        let done = match set {
            true => std::fs::write(&self.path, "maelctl node undrain takes this node back\n"),
            false => std::fs::remove_file(&self.path).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        };
        done.map_err(|source| MarkError { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_there_until_it_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::beside(&folder.path().join("store.db"));
        assert!(!mark.is_set());
        mark.set(false).unwrap();
        mark.set(true).unwrap();
        mark.set(true).unwrap();
        assert!(mark.is_set());
        mark.set(false).unwrap();
        assert!(!mark.is_set());
    }

    #[test]
    fn a_folder_that_can_not_be_written_is_told() {
        let error = Mark::beside(Path::new("/nope/store.db")).set(true).unwrap_err().to_string();
        assert!(error.contains("/nope/store.db.drained"), "{error}");
    }
}
