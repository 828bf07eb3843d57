//! What calls cost, counted as DynamoDB tells it with each answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aws_sdk_dynamodb::types::ConsumedCapacity;
use maelstrom_core::ports::store::Usage;

/// A call of `ports::store`, or what else is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    Revision,
    Configuration,
    Commit,
    Beat,
    Heartbeats,
    RemoveHeartbeat,
    Roles,
    WriteRole,
    ClaimFire,
    LastFires,
    ForgetFires,
}

/// In the order of [`Call`].
const CALLS: [&str; 12] = [
    "open",
    "revision",
    "configuration",
    "commit",
    "beat",
    "heartbeats",
    "remove_heartbeat",
    "roles",
    "write_role",
    "claim_fire",
    "last_fires",
    "forget_fires",
];

#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Read,
    Write,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    calls: [Count; CALLS.len()],
}

#[derive(Debug, Default)]
struct Count {
    requests: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

/// Units come in halves.
const PARTS: f64 = 2.0;

// === impl Counts ===

impl Counts {
    pub(super) fn request(&self, call: Call) {
        self.calls[call as usize].requests.fetch_add(1, Relaxed);
    }

    pub(super) fn capacity(&self, call: Call, way: Way, consumed: Option<&ConsumedCapacity>) {
        let units = consumed.and_then(ConsumedCapacity::capacity_units).unwrap_or_default();
        let count = &self.calls[call as usize];
        let total = match way {
            Way::Read => &count.read,
            Way::Write => &count.written,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "units are small and positive"
        )]
        total.fetch_add((units * PARTS).round() as u64, Relaxed);
    }

    /// Calls that were made at least once.
    pub(super) fn usage(&self) -> Vec<Usage> {
        #[expect(clippy::cast_precision_loss, reason = "a sum for people")]
        let units = |parts: &AtomicU64| parts.load(Relaxed) as f64 / PARTS;
        let counted = CALLS.iter().zip(&self.calls).map(|(operation, count)| Usage {
            operation,
            requests: count.requests.load(Relaxed),
            read_units: units(&count.read),
            write_units: units(&count.written),
        });
        counted.filter(|usage| usage.requests > 0).collect()
    }
}
