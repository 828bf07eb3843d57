//! The client side of the request path: connections to containers and peers, and the exchange of one request for
//! one response on them.
//!
//! An HTTP/1.1 exchange is a plain value that the request's own future polls: no task is spawned for it,
//! and dropping it closes its connection at once, which is how a container learns that a client went away.
//!
//! What never happens here:
//! * A connection is never used again unless request and response were both carried to their very end
//!   and not one byte came after them.
//! * A connection never turns into a tunnel before the container said `101` to a client that asked for it.
//! * No body is held whole; memory per exchange is bounded by one read buffer and one frame.

mod connection;
mod connections;
mod exchange;
mod framing;
mod h2c;
mod head;
pub mod hop;
mod probe;
mod sending;

#[cfg(test)]
mod tests;

pub use connection::{Connection, Way};
pub use connections::Connections;
pub use exchange::{Exchange, Expect, Failure, Limits, Outgoing};
pub use framing::FramingError;
pub use h2c::{Held, Refused};
pub use head::{Asked, HeadError, ResponseHead};
pub use probe::{ProbeError, probe};
pub use sending::{Framing, Sent};
