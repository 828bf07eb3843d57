//! The management API on the private port: JSON-RPC methods, logs, metrics.
//!
//! A method's decision is a function of the current configuration ([`components`], [`event_sources`],
//! [`projects`]); the services around them commit it. Nothing here holds state of its own.

mod components;
mod errors;
mod event_sources;
mod maelstrom;
mod projects;
mod select;

pub use maelstrom::MaelstromService;
