//! The node on an engine in memory, with a clock that jumps from alarm to alarm: hours pass in
//! milliseconds, and nothing sleeps.

mod deploys;
mod engine_faults;
mod failures;
mod lifecycle;
mod restarts;
mod standby;
mod world;
