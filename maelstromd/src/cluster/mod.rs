//! What the nodes of a cluster share: the configuration, kept in memory, the roles, and what they know of
//! each other.

mod changes;
mod configuration;
mod peers;
mod permits;
mod roles;
mod twin;

pub use configuration::{ConfigurationCache, Snapshot, Source, UpdateError};
pub use peers::{PeerError, PeerRouting, PeerView, Peers, PeersParts, PeersSettings, PeersSignals};
pub use permits::LeasedPermits;
pub use roles::{Reading, Roles, RolesSettings, Wanted};
pub use twin::{Twin, refuse_twin};
