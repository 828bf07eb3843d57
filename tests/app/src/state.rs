//! What the requests of one instance share.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use hyper::header::HeaderValue;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::inflight::Inflight;
use crate::settings::Settings;
use crate::work::Work;

pub(crate) struct State {
    pub(crate) settings: Settings,
    /// The container's host name: Docker's short id unless the component sets one.
    pub(crate) instance: String,
    pub(crate) version_header: HeaderValue,
    pub(crate) instance_header: HeaderValue,
    pub(crate) inflight: Inflight,
    /// Connections that were upgraded and outlive their HTTP connection.
    pub(crate) upgraded: TaskTracker,
    /// What `/memory` took, held until the process ends.
    pub(crate) ballast: Mutex<Vec<Vec<u8>>>,
    /// Messages of queues.
    pub(crate) work: Work,
    counter: AtomicU64,
    healthy: AtomicBool,
    started: Instant,
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        let instance = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "unknown".into(), |name| name.trim().to_owned());
        let header =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unprintable"));
        Self {
            version_header: header(&settings.version),
            instance_header: header(&instance),
            healthy: AtomicBool::new(settings.healthy),
            work: Work::new(settings.ledger.clone()),
            settings,
            instance,
            inflight: Inflight::default(),
            upgraded: TaskTracker::new(),
            ballast: Mutex::default(),
            counter: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Counts from 1, for `/counter`.
    pub(crate) fn count(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && self.started.elapsed() >= self.settings.ready_after
    }

    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }
}

// A closed stdout or stderr is nothing that a request should fail for.

pub(crate) fn log(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(crate) fn log_error(line: &str) {
    let _ = writeln!(std::io::stderr(), "mael-app: {line}");
}

/// As given, to stderr: for `/log`.
pub(crate) fn log_raw_error(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
