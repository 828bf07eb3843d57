//! The gateway from outside: real sockets on both sides, and backends that say exactly what a test wants.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "one test binary of several files")]

mod backend;
mod basics;
mod failing;
mod hostile;
mod http2;
mod limits;
mod relay;
mod relay_failing;
mod relay_secret;
mod relay_streams;
mod streams;
mod workers;
mod world;
