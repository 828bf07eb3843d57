//! What the dashboard lives on: one stream that tells the whole cluster and then what changes, and the
//! last hour of each component.
//!
//! ```text
//!   pools' counters ─► History (ticks, one hour) ─► Observe, ReadTraffic ─► peers
//!                           │
//!   own status, journal ────┼─► Gatherer ─► View ─► stream of changes, one per client
//!   peers: Observe ─────────┘   (while somebody looks)
//! ```
//! While nobody looks, nothing is gathered; what is counted costs a walk over the pools every other second.

mod gather;
mod history;
mod methods;
mod stream;
mod view;

pub use gather::Live;
pub use history::History;
pub use methods::Observer;
pub(super) use stream::stream;

use std::time::Duration;

/// How often counters are read and clients told.
const TICK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
