//! HTTP clients for tests: a pooled one that behaves like any application's, and a raw socket for bytes
//! that no client library would send.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::{
    client::legacy::{Client as Pooled, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No exchange of a test takes longer.
const LIMIT: Duration = Duration::from_secs(90);

/// A client that keeps connections, like an application's.
#[derive(Clone, Debug)]
pub struct Client {
    pooled: Pooled<HttpConnector, Full<Bytes>>,
    base: SocketAddr,
    host: Option<String>,
    token: Option<String>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

// === impl Client ===

impl Client {
    pub fn new(base: SocketAddr) -> Self {
        Self { pooled: Pooled::builder(TokioExecutor::new()).build_http(), base, host: None, token: None }
    }

    /// Speaks HTTP/2 by prior knowledge.
    pub fn h2(base: SocketAddr) -> Self {
        Self {
            pooled: Pooled::builder(TokioExecutor::new()).http2_only(true).build_http(),
            ..Self::new(base)
        }
    }

    /// Sends this `Host`.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Shows this API token.
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer> {
        self.send(Method::POST, path, &[], body.into()).await
    }

    /// Names the component itself, as services do at the private gateway.
    pub async fn component(&self, name: &str, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[("maelstrom-component", name)], Bytes::new()).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer> {
        let mut request =
            Request::builder().method(method.clone()).uri(format!("http://{}{path}", self.base));
        if let Some(host) = &self.host {
            request = request.header("host", host);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).context("building a request")?;
        let exchange = async {
            let response = self.pooled.request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answer { status: head.status, headers: head.headers, body })
        };
        timeout(LIMIT, exchange)
            .await
            .with_context(|| format!("{method} {path}: no whole answer within {LIMIT:?}"))?
            .with_context(|| format!("{method} {path}"))
    }
}

// === impl Answer ===

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Sends `bytes` as they are and returns what comes back until the server closes or is silent for
/// `silence`; `true` with it when the server closed.
pub async fn raw(address: SocketAddr, bytes: &[u8], silence: Duration) -> Result<(String, bool)> {
    let mut stream = TcpStream::connect(address).await?;
    // A server that refuses may close while we write: what it said before still counts.
    let _ = stream.write_all(bytes).await;
    let mut seen = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match timeout(silence, stream.read(&mut buffer)).await {
            Ok(Ok(0)) | Ok(Err(_)) => return Ok((String::from_utf8_lossy(&seen).into_owned(), true)),
            Ok(Ok(n)) => seen.extend_from_slice(&buffer[..n]),
            Err(_) => return Ok((String::from_utf8_lossy(&seen).into_owned(), false)),
        }
    }
}
