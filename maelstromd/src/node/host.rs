//! Memory and load of this machine.

use std::thread;

use procfs::Current as _;

/// Load averages over 1, 5 and 15 minutes.
pub(super) fn load() -> [f64; 3] {
    procfs::LoadAverage::current()
        .map_or([0.0; 3], |load| [load.one.into(), load.five.into(), load.fifteen.into()])
}

/// Processors that this daemon may use.
pub(super) fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
