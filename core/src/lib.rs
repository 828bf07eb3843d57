//! The language of Maelstrom.
//!
//! Everything that the daemon, the CLI and the tests must agree on lives here: the product's words as
//! types, the wire contract, the project file, the seams to the outside ([`ports`]) and the decisions
//! ([`decide`]).
//!
//! Invariants of this crate:
//! * It does no I/O, reads no clock, spawns no task and writes no log: times arrive as arguments.
//! * Wire types ([`wire`]) and domain types ([`component`], [`event_source`]) are separate: input is
//!   parsed once, with defaults applied and every problem of an input reported together ([`problem`]).
//! * Decisions return their reasons with their answer, so that people can be told why.

pub mod component;
pub mod decide;
pub mod event_source;
pub mod journal;
pub mod lifecycle;
pub mod names;
pub mod nearest;
pub mod ports;
pub mod problem;
pub mod project;
pub mod project_file;
pub mod rpc;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod wire;
