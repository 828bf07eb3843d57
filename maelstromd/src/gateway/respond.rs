//! The one table of what the gateway itself answers: reason → status, text, `Retry-After`, close.
//!
//! An answer of the gateway begins with `gateway:`, so that nobody looks for its cause in a component;
//! the text for a request that no component matches is part of the contract and stands alone.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use maelstrom_core::{
    decide::pool::Place,
    names::{ComponentName, NodeId},
};

use super::{admission::Malformed, body::Body, relay};
use crate::{
    router::AcquireError,
    upstream::{Failure, Sent},
};

/// A full queue empties at the pace of the component; a second is soon enough to try again.
const QUEUE_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Long enough for nodes to have told each other what they serve.
const MISSED_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Another node, or this one after its restart, will take the request.
const SHUTDOWN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the gateway answers a request itself.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("No component matches the request")]
    NoRoute,
    #[error("gateway: there is no component {0}")]
    NoComponent(String),
    #[error("gateway: {0}")]
    Malformed(#[from] Malformed),
    #[error("gateway: method CONNECT is not supported")]
    Connect,
    #[error("gateway: Timeout proxying component: {0}")]
    Timeout(ComponentName),
    #[error("gateway: {error}")]
    Unavailable { component: ComponentName, error: AcquireError },
    /// `node`: the peer that it was sent to last.
    #[error(
        "gateway: {} failed the request: {failure}{}",
        relay::subject(component, node.as_ref()),
        replay_note(*sent, *tries)
    )]
    Failed { component: ComponentName, node: Option<NodeId>, failure: Failure, sent: Sent, tries: u32 },
    #[error(
        "gateway: {place} was to serve component {component}, but has no instance of it; the request was not \
         acted on, and is not sent elsewhere, since {why}"
    )]
    Missed { component: ComponentName, place: Place, why: &'static str },
    /// For a peer: it says so in its own way.
    #[error("gateway: this node has no instance of the component")]
    NotHere,
    #[error(
        "gateway: a request for component {component} goes in a circle: it has come to node {node} by {path}"
    )]
    Circle { component: String, node: String, path: String },
}

/// Whether the request may have been acted on: the client has to know before it tries again.
fn replay_note(sent: Sent, tries: u32) -> String {
    match sent {
        Sent::Nothing | Sent::HeadOnly => format!(" ({tries} instances were tried)"),
        Sent::Substance if tries > 1 => format!(" (tried {tries} times)"),
        Sent::Substance => {
            "; it was not sent again, since it may have been acted on or its body can't be repeated"
                .to_owned()
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute | Self::NoComponent(_) => StatusCode::NOT_FOUND,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Missed { .. } | Self::NotHere => StatusCode::SERVICE_UNAVAILABLE,
            Self::Circle { .. } => StatusCode::LOOP_DETECTED,
            Self::Unavailable { error, .. } => match error {
                AcquireError::QueueFull { .. } | AcquireError::ShuttingDown | AcquireError::NotHere => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                AcquireError::DeadlinePassed => StatusCode::GATEWAY_TIMEOUT,
                AcquireError::StartFailed(failure) => {
                    StatusCode::from_u16(failure.status).unwrap_or(StatusCode::BAD_GATEWAY)
                }
                AcquireError::Removed => StatusCode::NOT_FOUND,
            },
            Self::Failed { failure, .. } => match failure {
                Failure::RequestBody(_) => StatusCode::BAD_REQUEST,
                Failure::RequestStalled => StatusCode::REQUEST_TIMEOUT,
                Failure::Deadline => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            },
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { error, .. } => match error {
                AcquireError::QueueFull { .. } => Some(QUEUE_RETRY_AFTER),
                AcquireError::ShuttingDown => Some(SHUTDOWN_RETRY_AFTER),
                AcquireError::StartFailed(failure) => Some(failure.retry_after),
                AcquireError::DeadlinePassed | AcquireError::Removed | AcquireError::NotHere => None,
            },
            Self::Missed { .. } => Some(MISSED_RETRY_AFTER),
            _ => None,
        }
    }

    /// Whether the connection can't be trusted to be at a message's beginning any more.
    fn closes(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::Connect => true,
            Self::Failed { failure, .. } => {
                matches!(failure, Failure::RequestBody(_) | Failure::RequestStalled)
            }
            _ => false,
        }
    }

    pub(super) fn unavailable(component: &ComponentName, error: AcquireError) -> Self {
        match error {
            AcquireError::DeadlinePassed => Self::Timeout(component.clone()),
            error => Self::Unavailable { component: component.clone(), error },
        }
    }

    /// The answer for a client that speaks `version`.
    pub fn response(&self, version: Version) -> Response<Body> {
        let mut response = text(self.status(), self.to_string());
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after() {
            // Rounded up: a client that comes back too soon is turned away again.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        if self.closes() && version < Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A plain text answer.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
