//! What a cluster leaves on this machine, and its removal: at its end, and, where it had none (`kill -9`,
//! a crash), at the start of the next one.
//!
//! Each cluster has a folder whose name is also that of its bridge, of its control groups and of the mark
//! on its processes. It holds a lock on a file in there for as long as it lives; a folder whose lock is
//! free belongs to nobody. Nothing else on the machine is looked at.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::network;

/// What all names begin with.
const PREFIX: &str = "mael-c";
/// A kernel that ends processes and gives their mounts back needs less.
const END: Duration = Duration::from_secs(10);

/// A cluster's place on this machine. Dropping it removes all that carries its name.
#[derive(Debug)]
pub(super) struct Claim {
    name: String,
    folder: PathBuf,
    _owner: File,
}

/// Held while left-overs are removed and names and networks are chosen.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "the lock ends with the file")] File);

fn parent() -> PathBuf {
    std::env::temp_dir().join("maelstrom-clusters")
}

/// Waits for others that choose.
pub(super) fn turn() -> Result<Turn> {
    fs::create_dir_all(parent()).context("making the folder of clusters")?;
    let file = File::create(parent().join("lock"))?;
    file.lock()?;
    Ok(Turn(file))
}

/// Waits until no other test on this machine has a cluster: beside one nothing is on time, whatever runs
/// the tests, and however many at once. It is this one's turn until the file is dropped.
pub async fn alone() -> Result<File> {
    let waiting = tokio::task::spawn_blocking(|| {
        fs::create_dir_all(parent())?;
        let file = File::create(parent().join("alone"))?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    waiting.await?.context("waiting for other clusters")
}

impl Claim {
    /// A new name and folder; what dead clusters left is removed first.
    pub(super) fn new(_turn: &Turn) -> Result<Self> {
        for entry in fs::read_dir(parent())? {
            let folder = entry?.path();
            if let Some(name) = claimable(&folder) {
                remove(&name, &folder).with_context(|| format!("removing what cluster {name} left"))?;
            }
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.subsec_nanos();
        let (name, folder) = (0..0x10_0000_u32)
            .map(|step| format!("{PREFIX}{:05x}", (now / 7).wrapping_add(step) & 0xf_ffff))
            .map(|name| (name.clone(), parent().join(name)))
            .find(|(_, folder)| !folder.exists())
            .context("no free name")?;
        fs::create_dir(&folder)?;
        let owner = File::create(folder.join("owner"))?;
        owner.lock()?;
        Ok(Self { name, folder, _owner: owner })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name, &self.folder) {
            crate::daemon::report(&format!("cluster {} is not wholly removed: {error:#}", self.name));
        }
    }
}

/// The name, if it is a cluster's folder and nobody holds it.
fn claimable(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?.to_owned();
    let ours = name.starts_with(PREFIX) && folder.is_dir();
    let free = File::open(folder.join("owner")).map_or(true, |owner| owner.try_lock().is_ok());
    (ours && free).then_some(name)
}

fn remove(name: &str, folder: &Path) -> Result<()> {
    let end = Instant::now() + END;
    // A first process ends all that came from it, mounts included.
    loop {
        let left = marked(name)?;
        if left.is_empty() {
            break;
        }
        ensure!(Instant::now() < end, "processes {left:?} do not end");
        for pid in left {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    network::remove(name)?;
    remove_control_groups(name, end);
    // Mounts of a process are given back a moment after its end.
    loop {
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() > end => {
                return Err(error).with_context(|| format!("removing {}", folder.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Processes with this word on their command line.
fn marked(name: &str) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|word| word == name.as_bytes()) {
            found.extend(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// Engines leave the groups of containers that they did not see end.
fn remove_control_groups(name: &str, end: Instant) {
    let root = Path::new("/sys/fs/cgroup");
    // Version 1 has a folder for each controller, version 2 has none.
    let mut groups = vec![root.join(name)];
    groups.extend(fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path().join(name)));
    for group in groups {
        while remove_group(&group).is_err() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A group goes when its groups are gone; its files are the kernel's.
fn remove_group(group: &Path) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(group) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
