//! JSON-RPC 2.0 as the management API speaks it: envelope, errors, dispatch of methods, typed client.
//!
//! * [`Registry`] turns the bytes of a request or batch into the bytes of the answer. It never fails and
//!   never panics: whatever arrives, the answer says what was wrong.
//! * [`Client`] calls a [`crate::wire::Method`] over any [`Transport`].
//!
//! Sources: <https://www.jsonrpc.org/specification>; Barrister RPC, whose clients send `params` as an
//! array with one object. HTTP, sizes and time limits are the caller's.

mod client;
mod envelope;
mod error;
mod server;

pub use client::{CallError, Client, Transport, TransportError};
pub use error::{RpcError, code};
pub use server::{Answered, MAX_BATCH, Registry};
