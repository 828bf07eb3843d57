//! The routes under `/_mael/` of the private port.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Query, Request},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures_util::StreamExt as _;
use maelstrom_core::rpc::Registry;
use tokio_util::sync::CancellationToken;

use super::{
    Live, cross_site, guard, live,
    log_query::LogRequest,
    logs::{LogSource, stream},
    rpc::RpcRoute,
    ui,
};

/// The exposition format's own type: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes all metrics.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The management API, before it is [guarded](super::guarded). Streams that would go on for ever end when `stop`
/// fires.
pub fn routes(
    registry: Registry,
    logs: Arc<dyn LogSource>,
    metrics: Metrics,
    stop: CancellationToken,
) -> Router {
    let rpc = RpcRoute::new(registry);
    Router::new()
        .route(guard::RPC, post(move |request: Request| rpc.clone().answer(request)))
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
        .fallback(unknown)
        .layer(middleware::from_fn(cross_site::refuse))
}

/// The dashboard and the stream that it lives on.
pub fn dashboard(live: Arc<Live>, stop: CancellationToken) -> Router {
    Router::new()
        .route("/_mael/v1/live", get(move || std::future::ready(live::stream(&live, stop.clone()))))
        .route("/_mael/ui", get(ui::to_folder))
        .route("/_mael/ui/", get(|asked: HeaderMap| std::future::ready(ui::file("", &asked))))
        .route(
            "/_mael/ui/{*name}",
            get(|Path(name): Path<String>, asked: HeaderMap| std::future::ready(ui::file(&name, &asked))),
        )
        .layer(middleware::from_fn(cross_site::refuse))
}

async fn unknown(request: Request) -> Response {
    (StatusCode::NOT_FOUND, format!("nothing is at {}\n", request.uri().path())).into_response()
}
