//! The management API on the private port: JSON-RPC methods, logs, metrics.
//!
//! A method's decision is a function of the current configuration ([`components`], [`event_sources`],
//! [`projects`]); the services around them commit it. Nothing here holds state of its own.

mod ask_all;
mod components;
mod errors;
mod event_sources;
mod insight;
mod log_query;
mod logs;
mod maelstrom;
mod node;
mod projects;
mod routes;
mod rpc;
mod select;

pub use insight::Insight;
pub use log_query::LogRequest;
pub use logs::{ComponentLine, LogSource};
pub use maelstrom::MaelstromService;
pub use node::NodeService;
pub use routes::{Metrics, routes};
