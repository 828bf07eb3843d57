//! How much memory this machine has for containers.

use std::path::Path;

/// MiB of memory of the machine, or of the container that daemon and engine run in together.
///
/// Only the limit of the outermost control group that can be seen counts: further in lies the limit of the
/// daemon itself (`MemoryMax=` of its service), which doesn't hold for what Docker starts.
pub fn memory_mib() -> u64 {
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
