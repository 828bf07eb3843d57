//! HTTP to the private gateway: calls of the API in bounded time, and the stream of log lines.
//!
//! Calls that only read are tried again when the connection fails, since nothing can have happened; calls
//! that change something never are.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
    http::request,
};
use hyper_util::{
    client::legacy::{Client as HttpClient, Error as HttpError, connect::HttpConnector},
    rt::TokioExecutor,
};
use maelstrom_core::{
    ports::BoxFuture,
    rpc::{self, CallError, RpcError, Transport, TransportError},
    wire::Method,
};

use crate::{
    failure::Failure,
    settings::{BaseUrl, Settings},
};

/// Longer than any network needs, short enough for somebody who waits.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer beyond that is not one of ours.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Pauses before a read is tried again: a daemon that is being replaced is back within that.
const READ_RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(450)];
const AGENT: &str = concat!("maelctl/", env!("CARGO_PKG_VERSION"));

/// The daemon, as commands see it.
pub(crate) struct Api {
    client: rpc::Client<HttpTransport>,
}

pub(crate) struct HttpTransport {
    base: BaseUrl,
    authorization: Option<HeaderValue>,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { client: rpc::Client::new(HttpTransport::new(settings)) }
    }

    pub(crate) fn address(&self) -> String {
        self.client.transport().address()
    }

    /// Calls a method that changes nothing.
    pub(crate) async fn read<M: Method + Copy>(
        &self,
        method: M,
        input: &M::Input,
    ) -> Result<M::Output, Failure>
    where
        M::Input: Sync,
    {
        for pause in READ_RETRY_PAUSES {
            match self.client.call(method, input).await {
                Err(CallError::Transport {
                    error: TransportError::Connect { .. } | TransportError::Broken { .. },
                    ..
                }) => tokio::time::sleep(pause).await,
                outcome => return outcome.map_err(Failure::from),
            }
        }
        Ok(self.client.call(method, input).await?)
    }

    /// Calls a method that changes something: once.
    pub(crate) async fn change<M: Method>(&self, method: M, input: &M::Input) -> Result<M::Output, Failure>
    where
        M::Input: Sync,
    {
        Ok(self.client.call(method, input).await?)
    }

    /// Begins a stream. Its end is nobody's failure; how long it may be silent is the caller's.
    pub(crate) async fn stream(&self, path_and_query: &str) -> Result<Incoming, Failure> {
        let transport = self.client.transport();
        let request = transport
            .signed(Request::get(format!("{}{path_and_query}", transport.base.as_str())))
            .body(Full::default());
        let method = path_and_query.split('?').next().unwrap_or(path_and_query).to_owned();
        let body = async {
            let request = request.map_err(|error| transport.broken(&error.to_string()))?;
            Ok(transport.send(request).await?.into_body())
        };
        body.await.map_err(|error| CallError::Transport { method: stream_name(&method), error }.into())
    }
}

/// Messages name what was asked for; there is one stream.
fn stream_name(path: &str) -> &'static str {
    if path == "/_mael/logs" { "the logs" } else { "a stream" }
}

// === impl HttpTransport ===

impl HttpTransport {
    fn new(settings: &Settings) -> Self {
        let Settings { url, authorization, timeout, .. } = settings;
        let (base, authorization, timeout) = (url.clone(), authorization.clone(), *timeout);
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT.min(timeout)));
        connector.set_nodelay(true);
        Self {
            base,
            authorization,
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            timeout,
        }
    }

    /// Says who asks.
    fn signed(&self, request: request::Builder) -> request::Builder {
        let request = request.header(USER_AGENT, AGENT);
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    /// Sends `request` and waits for the head of a 200 answer.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, TransportError> {
        let response = tokio::time::timeout(self.timeout, self.http.request(request))
            .await
            .map_err(|_| self.timed_out())?
            .map_err(|error| self.failed(&error))?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        const SHOWN_BYTES: usize = 4 << 10;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), SHOWN_BYTES).collect();
        let text = match tokio::time::timeout(self.timeout, body).await {
            Ok(Ok(body)) => {
                let body = body.to_bytes();
                let said = RpcError::in_answer(&body).map(|error| error.message);
                said.unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned())
            }
            _ => String::new(),
        };
        Err(TransportError::Status { address: self.address(), status, text })
    }

    async fn exchange(&self, body: Bytes) -> Result<Bytes, TransportError> {
        let request = self
            .signed(Request::post(format!("{}/_mael/v1", self.base.as_str())))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(&error.to_string()))?;
        let answer = Limited::new(self.send(request).await?.into_body(), MAX_ANSWER_BYTES).collect().await;
        answer.map(http_body_util::Collected::to_bytes).map_err(|error| self.broken(&error.to_string()))
    }

    fn timed_out(&self) -> TransportError {
        TransportError::TimedOut { address: self.address(), seconds: self.timeout.as_secs().max(1) }
    }

    fn broken(&self, reason: &str) -> TransportError {
        TransportError::Broken { address: self.address(), reason: reason.to_owned() }
    }

    fn failed(&self, error: &HttpError) -> TransportError {
        let reason = root_cause(error);
        if error.is_connect() {
            TransportError::Connect { address: self.address(), reason }
        } else {
            TransportError::Broken { address: self.address(), reason }
        }
    }
}

/// What the system said: the layers above only say that something failed.
fn root_cause(error: &HttpError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(std::io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        Some(std::io::ErrorKind::TimedOut) => "no answer".to_owned(),
        _ => cause.to_string(),
    }
}

impl Transport for HttpTransport {
    fn call(&self, body: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        Box::pin(async move {
            tokio::time::timeout(self.timeout, self.exchange(body))
                .await
                .unwrap_or_else(|_| Err(self.timed_out()))
        })
    }

    fn address(&self) -> String {
        self.base.as_str().to_owned()
    }
}

impl std::fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpTransport").field("base", &self.base).finish_non_exhaustive()
    }
}
