//! Images on this node: fetched by each component's policy ([`Pulls`]), removed when nobody needs them
//! ([`Pruner`]).
//!
//! Nothing here starts or stops an instance; that a name points at another image is the node's to see.

mod name;
mod prune;
mod pull;

pub use prune::{PruneSettings, Pruner};
pub use pull::Pulls;

#[cfg(test)]
mod testing;
