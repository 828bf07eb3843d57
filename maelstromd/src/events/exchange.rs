//! One request of an event source to its component, and as much of the answer as the source looks at.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Full};
use maelstrom_core::{
    component::{Component, DEFAULT_MAX_DURATION},
    names::ComponentName,
};

use super::Dispatch;

/// The gateway answers by the component's deadline; whoever doesn't end soon after it is cut off.
const GRACE: Duration = Duration::from_secs(5);
/// Of an answer that is no success, this much is told to people.
const TOLD_BYTES: usize = 200;

/// A component's answer, or what stands for it when there is none.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Its beginning.
    pub(super) body: Vec<u8>,
    /// There was more than was kept.
    pub(super) cut: bool,
}

/// How long a request may take at most.
pub(super) fn limit(component: Option<&Component>) -> Duration {
    component.map_or(DEFAULT_MAX_DURATION, |component| component.max_duration) + GRACE
}

/// Ends with the answer's last byte, of which the first `keep` are kept. An answer that breaks off or does
/// not come is one of the gateway's kind.
pub(super) async fn ask(
    dispatch: &dyn Dispatch,
    component: &ComponentName,
    mut request: Request<Full<Bytes>>,
    keep: usize,
    limit: Duration,
) -> Reply {
    if !request.headers().contains_key(HOST)
        && let Ok(host) = component.as_str().parse()
    {
        request.headers_mut().insert(HOST, host);
    }
    let asked = tokio::time::timeout(limit, read(dispatch, component, request, keep)).await;
    asked.unwrap_or_else(|_| {
        Reply::standing_in(StatusCode::GATEWAY_TIMEOUT, "no answer by the component's deadline")
    })
}

async fn read(
    dispatch: &dyn Dispatch,
    component: &ComponentName,
    request: Request<Full<Bytes>>,
    keep: usize,
) -> Reply {
    let (parts, mut body) = dispatch.call(component, request).await.into_parts();
    let mut reply = Reply { status: parts.status, headers: parts.headers, body: Vec::new(), cut: false };
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => {
                let room = keep.saturating_sub(reply.body.len()).min(data.len());
                reply.body.extend_from_slice(&data[..room]);
                reply.cut |= room < data.len();
            }
            Ok(Err(_trailers)) => {}
            Err(error) => {
                let why = format!("its answer broke off: {error}");
                return Reply::standing_in(StatusCode::BAD_GATEWAY, &why);
            }
        }
    }
    reply
}

// === impl Reply ===

impl Reply {
    fn standing_in(status: StatusCode, why: &str) -> Self {
        Self { status, headers: HeaderMap::new(), body: why.as_bytes().to_vec(), cut: false }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// "500: what it says", in one line.
    pub(super) fn told(&self) -> String {
        let told = &self.body[..self.body.len().min(TOLD_BYTES)];
        let told = String::from_utf8_lossy(told).trim().escape_debug().to_string();
        if told.is_empty() {
            return self.status.to_string();
        }
        format!("{}: {told}", self.status.as_u16())
    }
}
