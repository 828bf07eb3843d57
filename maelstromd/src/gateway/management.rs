//! The management API, as the private gateway's clients reach it. It works in the main runtime: what it does
//! may take long, and the worker that has its client has others. What it says is written to the client by
//! that worker, piece by piece.

use http::{Request, Response, StatusCode, request::Parts};
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;

use super::{Gateway, body::Body, connection::Client, respond};
use crate::workers;

impl Gateway {
    /// Dropping the future ends what was asked for at its next await.
    pub(super) async fn manage(&self, client: &Client, parts: &mut Parts, body: Incoming) -> Response<Body> {
        let parts = std::mem::replace(parts, Request::new(()).into_parts().0);
        let mut request = Request::from_parts(parts, axum::body::Body::new(body));
        request.extensions_mut().insert(axum::extract::ConnectInfo(client.address));
        let service = TowerToHyperService::new(self.management.clone());
        let mut answering = JoinSet::new();
        answering.spawn_on(async move { service.call(request).await }, &workers::main_runtime());
        match answering.join_next().await {
            Some(Ok(Ok(response))) => response.map(Body::boxed),
            Some(Ok(Err(never))) => match never {},
            failed => {
                tracing::error!(?failed, "a management request panicked");
                respond::text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "gateway: the request failed; the log says why",
                )
            }
        }
    }
}
