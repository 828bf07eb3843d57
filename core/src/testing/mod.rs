//! Stand-ins for the outside world, and the suites that hold them to the seams' contracts.
//!
//! Tests of decisions need none of this; tests of loops do: they get a [`clock`] they turn themselves and
//! an [`engine`] that fails on demand. Nothing here knows an async runtime, so it runs under a paused
//! Tokio clock as well as under a plain executor.

pub mod activity;
// Cases of conformance are tests: they unwrap what must hold.
#[allow(clippy::unwrap_used)]
pub mod activity_conformance;
#[allow(clippy::unwrap_used)]
pub mod autoscaling_conformance;
pub mod clock;
pub mod cloud;
pub mod cluster;
pub mod engine;
pub mod engine_conformance;
pub mod monitoring;
pub mod queue;
#[allow(clippy::unwrap_used)]
pub mod queue_conformance;
pub mod store;
#[allow(clippy::unwrap_used)]
pub mod store_conformance;
