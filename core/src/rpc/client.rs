//! Calls methods by their types. How bytes get there is the transport's; what went wrong is told here in
//! one sentence that names method and server.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::RpcError;
use crate::{ports::BoxFuture, wire::Method};

/// Carries a request's bytes to a server and its answer back, in bounded time.
pub trait Transport: Send + Sync {
    fn call(&self, body: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>>;

    /// Where it leads, for messages: e.g. `http://127.0.0.1:8374`.
    fn address(&self) -> String;
}

/// The server could not be asked, or its answer did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("can't connect to {address}: {reason}")]
    Connect { address: String, reason: String },
    #[error("{address} did not answer within {seconds} s")]
    TimedOut { address: String, seconds: u64 },
    #[error("{address} answered with HTTP status {status}: {text}")]
    Status { address: String, status: u16, text: String },
    #[error("the connection to {address} broke: {reason}")]
    Broken { address: String, reason: String },
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    #[error("{method}: {error}")]
    Transport { method: &'static str, error: TransportError },
    /// The server refused or failed; the code says which.
    #[error("{method}: {error}")]
    Refused { method: &'static str, error: RpcError },
    /// What answered does not speak this protocol.
    #[error("{method}: {address} gave an answer that is not one ({reason}); is it a Maelstrom private port?")]
    Foreign { method: &'static str, address: String, reason: String },
}

/// Calls methods over a transport.
#[derive(Debug)]
pub struct Client<T> {
    transport: T,
    last_id: AtomicU64,
}

#[derive(Serialize)]
struct Call<'a, I> {
    jsonrpc: &'static str,
    id: u64,
    method: &'static str,
    params: [&'a I; 1],
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

// === impl Client ===

impl<T: Transport> Client<T> {
    pub fn new(transport: T) -> Self {
        Self { transport, last_id: AtomicU64::new(0) }
    }

    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Calls `M`, e.g. `client.call(wire::GetStatus, &Default::default())`.
    pub async fn call<M: Method>(&self, _method: M, input: &M::Input) -> Result<M::Output, CallError>
    where
        M::Input: Sync,
    {
        let method = M::NAME;
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let foreign =
            |reason: String| CallError::Foreign { method, address: self.transport.address(), reason };
        let body = serde_json::to_vec(&Call { jsonrpc: "2.0", id, method, params: [input] })
            .map_err(|error| foreign(format!("the request can't be written: {error}")))?;
        let bytes =
            self.transport.call(body.into()).await.map_err(|error| CallError::Transport { method, error })?;
        let answer: Answer<'_> =
            serde_json::from_slice(&bytes).map_err(|error| foreign(error.to_string()))?;
        if let Some(error) = answer.error {
            return Err(CallError::Refused { method, error });
        }
        if answer.id.map(RawValue::get) != Some(id.to_string().as_str()) {
            return Err(foreign("it is for another request".into()));
        }
        let result = answer.result.ok_or_else(|| foreign("neither result nor error".into()))?;
        serde_json::from_str(result.get()).map_err(|error| foreign(format!("result: {error}")))
    }
}

impl CallError {
    /// The code the server refused with, if it answered.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { error, .. } => Some(error.code),
            _ => None,
        }
    }
}

impl<T: Transport + ?Sized> Transport for std::sync::Arc<T> {
    fn call(&self, body: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        (**self).call(body)
    }

    fn address(&self) -> String {
        (**self).address()
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn call(&self, body: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        (**self).call(body)
    }

    fn address(&self) -> String {
        (**self).address()
    }
}
