//! Calls another component the way a service does: through the private gateway.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{HOST, HeaderName};
use hyper::{HeaderMap, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// What a well-behaved service hands on from the request that it answers.
const HANDED_ON: [&str; 3] = ["maelstrom-deadline-nano", "traceparent", "x-request-id"];
/// An answer is shown, not stored: more than this is a mistake of the caller.
const ANSWER_MAX: usize = 1 << 20;
/// The gateway ends a request at its deadline; this only ends one that it forgot.
const WAIT_MAX: Duration = Duration::from_secs(330);

/// The other component's status and a report of its answer.
pub(crate) async fn call(component: &str, path: &str, from: &HeaderMap) -> (StatusCode, Value) {
    match tokio::time::timeout(WAIT_MAX, exchange(component, path, from)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => failed(component, &error.to_string()),
        Err(_) => failed(component, "no answer in time"),
    }
}

fn failed(component: &str, error: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_GATEWAY, json!({ "component": component, "error": error }))
}

async fn exchange(component: &str, path: &str, from: &HeaderMap) -> io::Result<(StatusCode, Value)> {
    let gateway = std::env::var("MAELSTROM_PRIVATE_URL")
        .map_err(|_| io::Error::other("MAELSTROM_PRIVATE_URL is not set"))?;
    let uri: Uri = gateway.parse().map_err(io::Error::other)?;
    let authority = uri.authority().ok_or_else(|| io::Error::other(format!("{gateway} names no host")))?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let mut request =
        Request::get(path).header(HOST, authority.as_str()).header("MAELSTROM-COMPONENT", component);
    for name in HANDED_ON.map(HeaderName::from_static) {
        if let Some(value) = from.get(&name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(io::Error::other)?.to_bytes();
        let instance = head.headers.get("x-app-instance").and_then(|value| value.to_str().ok());
        let report = json!({
            "component": component,
            "status": head.status.as_u16(),
            "instance": instance,
            "body": String::from_utf8_lossy(&body).trim_end(),
        });
        Ok((head.status, report))
    };
    // The connection does the work while the answer is awaited, and ends with it.
    tokio::select! {
        answer = answer => answer,
        Err(error) = connection => Err(io::Error::other(error)),
    }
}
