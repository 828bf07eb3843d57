//! The management API on the private port: JSON-RPC methods, logs, metrics, and the dashboard with what it
//! lives on, all of it behind the [`guard`].
//!
//! A method's decision is a function of the current configuration ([`components`], [`event_sources`],
//! [`projects`]); the services around them commit it. Nothing here holds state of its own but what the
//! dashboard shows of the past ([`live`]).

mod ask_all;
mod components;
mod cross_site;
mod drain;
mod errors;
mod event_source_work;
mod event_sources;
mod guard;
mod insight;
mod live;
mod log_query;
mod logs;
mod maelstrom;
mod node;
mod projects;
mod routes;
mod rpc;
mod select;
mod ui;

pub use drain::DrainService;
pub use event_source_work::EventSourceService;
pub use guard::guarded;
pub use insight::Insight;
pub use live::{History, Live, Observer};
pub use log_query::LogRequest;
pub use logs::{ComponentLine, LogSource};
pub use maelstrom::MaelstromService;
pub use node::NodeService;
pub use routes::{Metrics, dashboard, routes};
