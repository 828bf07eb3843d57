//! Images on this node: fetched by each component's policy ([`Pulls`]), watched for names that point
//! at another image than before ([`Tags`]), removed when nobody needs them ([`Pruner`]).
//!
//! Nothing here starts or stops an instance.

mod name;
mod prune;
mod pull;
mod tags;

pub use prune::{PruneSettings, Pruner};
pub use pull::{Occasion, Pulls};
pub use tags::Tags;

#[cfg(test)]
mod testing;
