//! What this machine gives: memory for containers, processors, open files.

use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are not connections: store, engine, logs.
const OTHER_FILES: u64 = 256;
/// A client's connection, the one to its instance, and room for tunnels.
const FILES_PER_CONNECTION: u64 = 3;

/// Fewer clients at a time than this is less than people expect.
const FEW_CONNECTIONS: usize = 1_000;

/// Allows this process as many open files as the system lets it have.
pub fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Clients' connections per gateway: at most `wanted`, fewer where open files are scarce.
pub(super) fn max_connections(wanted: usize) -> usize {
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    let room = files.saturating_sub(OTHER_FILES) / FILES_PER_CONNECTION;
    let room = usize::try_from(room).unwrap_or(usize::MAX).max(16);
    if room < FEW_CONNECTIONS {
        tracing::warn!(
            files,
            connections = room,
            "few open files are allowed (LimitNOFILE, ulimit -n); so are connections"
        );
    }
    room.min(wanted)
}

/// Processors that this process may use.
pub(super) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// MiB of memory of the machine, or of the container that daemon and engine run in together.
///
/// Only the limit of the outermost control group that can be seen counts: further in lies the limit of the
/// daemon itself (`MemoryMax=` of its service), which doesn't hold for what Docker starts.
pub(super) fn memory_mib() -> u64 {
    const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = LIMITS.iter().filter_map(|path| limit(Path::new(path)));
    limits.chain(system()).min().unwrap_or(0) >> 20
}

fn system() -> Option<u64> {
    use procfs::Current as _;
    procfs::Meminfo::current().ok().map(|info| info.mem_total)
}

/// `None`: no such file, or no limit (`max`).
fn limit(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory_and_the_lower_limit_counts() {
        assert!(memory_mib() > 0);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("memory.max");
        for (text, expected) in [("max\n", None), ("1073741824\n", Some(1 << 30)), ("", None)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(limit(&path), expected, "{text}");
        }
    }
}
