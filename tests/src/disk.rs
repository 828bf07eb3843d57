//! A disk that is full or read-only, which files of root's can't be made by permissions.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::run;

/// A file system in memory with a size of its own; unmounted when dropped.
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `size` as mount takes it: `1m`.
    pub fn mount(path: &Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        run(&[
            "mount",
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size}"),
            "maelstrom-test",
            &path.display().to_string(),
        ])?;
        Ok(Self { path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Possible only while no file on it is open for writing.
    pub fn read_only(&self, on: bool) -> Result<()> {
        let mode = if on { "remount,ro" } else { "remount,rw" };
        run(&["mount", "-o", mode, &self.path.display().to_string()])?;
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that still runs keeps its files until it ends.
        let _ = run(&["umount", "-l", &self.path.display().to_string()]);
    }
}
