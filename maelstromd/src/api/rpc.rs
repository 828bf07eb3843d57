//! `POST /_mael/v1`: HTTP around the JSON-RPC registry. Bounds the size of a request, the time it takes
//! to arrive and how many are held in memory at once; what it says is the registry's.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use maelstrom_core::{
    rpc::{Registry, RpcError, code},
    wire::Access,
};
use tokio::sync::Semaphore;

/// A project of a thousand components with long environments is a few MiB.
const BODY_MAX: usize = 16 << 20;
/// A client on a slow line gets this long to send it.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// Requests being received at the same time: with [`BODY_MAX`] the memory that clients can claim.
const RECEIVING: usize = 16;

/// The route's state.
pub(super) struct RpcRoute {
    registry: Registry,
    receiving: Semaphore,
}

// === impl RpcRoute ===

impl RpcRoute {
    pub(super) fn new(registry: Registry) -> Arc<Self> {
        Arc::new(Self { registry, receiving: Semaphore::new(RECEIVING) })
    }

    /// Answers one exchange. The content type is not looked at: clients of the original send several.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        // The guard has said what the caller may do; without it nobody may do much.
        let granted = request.extensions().get().copied().unwrap_or(Access::Read);
        let body = match self.receive(request.into_body()).await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let answered = self.registry.answer(&body, granted).await;
        respond(if answered.forbidden { StatusCode::FORBIDDEN } else { StatusCode::OK }, answered.body)
    }

    async fn receive(&self, body: Body) -> Result<Bytes, Response<Body>> {
        let Ok(_permit) = self.receiving.acquire().await else {
            return Err(failure(StatusCode::SERVICE_UNAVAILABLE, code::OTHER, "the daemon stops"));
        };
        let collected = Limited::new(body, BODY_MAX).collect();
        match tokio::time::timeout(BODY_PATIENCE, collected).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let why = format!("the request is larger than {} MiB", BODY_MAX >> 20);
                Err(failure(StatusCode::PAYLOAD_TOO_LARGE, code::INVALID_REQUEST, &why))
            }
            Ok(Err(error)) => {
                let why = format!("the request could not be read: {error}");
                Err(failure(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, &why))
            }
            Err(_) => {
                let why = format!("the request did not arrive within {} s", BODY_PATIENCE.as_secs());
                Err(failure(StatusCode::REQUEST_TIMEOUT, code::INVALID_REQUEST, &why))
            }
        }
    }
}

fn failure(status: StatusCode, code: i64, why: &str) -> Response<Body> {
    respond(status, RpcError::new(code, why).into_answer())
}

fn respond(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
