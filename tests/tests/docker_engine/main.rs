//! The adapter to Docker on the real engine: what its own unit tests can't see.

mod conformance;
mod faults;
mod fields;
mod harness;
mod output;
mod registry;
mod relay;
