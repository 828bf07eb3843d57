//! Counts the requests that this instance works on at the same time.
//!
//! A request leaves the count before the last byte of its answer is written, so
//! whoever sees the answer and sends the next request can't be counted twice: a
//! maximum above a limit proves that the limit was broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
pub(crate) struct Inflight {
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    now: AtomicUsize,
    max: AtomicUsize,
}

/// One request; leaves the count when dropped.
pub(crate) struct Guard {
    counts: Arc<Counts>,
}

impl Inflight {
    pub(crate) fn enter(&self) -> Guard {
        let now = self.counts.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.counts.max.fetch_max(now, Ordering::SeqCst);
        Guard { counts: Arc::clone(&self.counts) }
    }

    pub(crate) fn now(&self) -> usize {
        self.counts.now.load(Ordering::SeqCst)
    }

    /// The most that were ever seen at once.
    pub(crate) fn max(&self) -> usize {
        self.counts.max.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.counts.now.fetch_sub(1, Ordering::SeqCst);
    }
}
