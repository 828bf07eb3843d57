//! One health check: a connection of its own, one GET, its status. Never takes part in anything that
//! requests do.

use std::{future::poll_fn, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use maelstrom_core::component::HttpProtocol;
use tokio::time::Instant;

use super::{Asked, Connection, Exchange, Expect, Failure, Framing, Limits, Outgoing, Way, h2c::Multiplexed};

/// Why a check got no HTTP answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("no HTTP answer within {0:?}")]
    TimedOut(Duration),
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Asks `path` with GET. Any HTTP answer counts as one, whatever its status; an open port does not.
pub async fn probe(
    address: SocketAddr,
    protocol: HttpProtocol,
    path: &str,
    timeout: Duration,
) -> Result<StatusCode, ProbeError> {
    let asked = async {
        match protocol {
            HttpProtocol::Http1 => ask_http1(address, path, timeout).await,
            HttpProtocol::H2c => ask_h2c(address, path).await,
        }
    };
    let answered = tokio::time::timeout(timeout, asked).await.map_err(|_| ProbeError::TimedOut(timeout))?;
    Ok(answered?)
}

async fn ask_http1(address: SocketAddr, path: &str, timeout: Duration) -> Result<StatusCode, Failure> {
    let connection = Connection::open(address, Way::Bridge).await.map_err(Failure::Connect)?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: maelstrom-health-check\r\nconnection: close\r\n\r\n"
    );
    let outgoing = Outgoing {
        head: head.into_bytes(),
        framing: Framing::None,
        body: Empty::<Bytes>::new(),
        asked: Asked::default(),
        expect: Expect::No,
    };
    let deadline = Instant::now() + timeout;
    let limits = Limits { deadline, request_idle: timeout, response_idle: timeout };
    let mut exchange = Exchange::new(connection, outgoing, limits);
    let mut headers = HeaderMap::new();
    let head = poll_fn(|cx| exchange.poll_head(cx, &mut headers)).await?;
    Ok(head.status)
}

async fn ask_h2c(address: SocketAddr, path: &str) -> Result<StatusCode, Failure> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::get(format!("http://{address}{path}"))
        .header(http::header::USER_AGENT, "maelstrom-health-check")
        .body(body)
        .map_err(|error| Failure::RequestBody(error.into()))?;
    let connection = Multiplexed::new(Way::Bridge);
    let (answer, _held) = connection.send(address, request).await.map_err(|refused| refused.failure)?;
    Ok(answer.status())
}
