//! `GET /_mael/v1/live`: server-sent events, the whole cluster first and then what changes. A client that
//! takes nothing holds one view back and no more; what it missed it gets as one change.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::{Live, gather::Watching, view::View};

/// The answer to a client; it ends when `stop` fires or the client goes away.
pub(in crate::api) fn stream(live: &Arc<Live>, stop: CancellationToken) -> Response {
    let Some(watching) = live.watch() else {
        let why = "too many are watching this node already: close some of them\n";
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let events = stream::unfold((watching, None), next).take_until(stop.cancelled_owned());
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

type State = (Watching, Option<Arc<View>>);

async fn next((mut watching, told): State) -> Option<(Bytes, State)> {
    let view = watching.next().await?;
    let text = view.told(told.as_deref());
    Some((text.into(), (watching, Some(view))))
}
