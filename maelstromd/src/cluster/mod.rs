//! What the nodes of a cluster share: the configuration, kept in memory, and the roles.

mod changes;
mod configuration;
mod roles;

pub use configuration::{ConfigurationCache, Snapshot, Source, UpdateError};
pub use roles::{Roles, RolesSettings};
