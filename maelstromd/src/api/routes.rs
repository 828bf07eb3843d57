//! The routes under `/_mael/` of the private port.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Query, Request},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures_util::StreamExt as _;
use maelstrom_core::rpc::Registry;
use tokio_util::sync::CancellationToken;

use super::{
    log_query::LogRequest,
    logs::{LogSource, stream},
    rpc::RpcRoute,
};

/// The exposition format's own type: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const NO_DASHBOARD: &str = "<!doctype html><title>Maelstrom</title>\
<p>The dashboard is not part of this build. <code>maelctl cluster ps</code>, <code>maelctl events</code> and \
<code>maelctl explain COMPONENT</code> tell what runs and why.</p>\n";

/// Writes all metrics.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The management API as the private gateway serves it. Streams that would go on for ever end when `stop`
/// fires.
pub fn routes(
    registry: Registry,
    logs: Arc<dyn LogSource>,
    metrics: Metrics,
    stop: CancellationToken,
) -> Router {
    let rpc = RpcRoute::new(registry);
    Router::new()
        .route("/_mael/v1", post(move |request: Request| rpc.clone().answer(request)))
        .route(
            "/_mael/logs",
            get(move |Query(parameters): Query<Vec<(String, String)>>| {
                std::future::ready(match LogRequest::parse(&parameters) {
                    Ok(request) => {
                        stream(logs.lines(request).take_until(stop.clone().cancelled_owned()).boxed())
                    }
                    Err(why) => (StatusCode::BAD_REQUEST, why + "\n").into_response(),
                })
            }),
        )
        .route(
            "/_mael/metrics",
            get(move || std::future::ready(([(header::CONTENT_TYPE, OPEN_METRICS)], metrics()))),
        )
        .route("/_mael/ui", get(no_dashboard))
        .route("/_mael/ui/", get(no_dashboard))
        .fallback(unknown)
}

async fn no_dashboard() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], NO_DASHBOARD).into_response()
}

async fn unknown(request: Request) -> Response {
    (StatusCode::NOT_FOUND, format!("nothing is at {}\n", request.uri().path())).into_response()
}
