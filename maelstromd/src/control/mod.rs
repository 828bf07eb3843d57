//! How many instances run, and where: autoscale and placement as one loop.

mod targets;

pub use targets::{Delta, Target, Targets, VersionMismatch};
