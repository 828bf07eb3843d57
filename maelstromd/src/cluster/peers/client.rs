//! Kept-open connections to one peer's private gateway, for JSON-RPC and streams.
//!
//! ```text
//!   open ──► one request ──► answer read whole ──► idle ──► one request …
//!              │ anything else                      │ the peer closed it, or the kernel found it dead
//!              ▼                                    ▼
//!            closed                               closed: somebody should ask whether the peer is there
//! ```
//! The kernel is told to find a dead peer out: a second without an acknowledgement ends a connection, idle
//! ones included. What fails on a connection that was idle is sent once more on a new one: all methods
//! between peers may be repeated.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Uri, header, request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use maelstrom_core::{
    ports::BoxFuture,
    rpc::{RpcError, Transport, TransportError},
};
use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    access::{PEER, PeerSecret},
    tasks::Executor,
};

/// Peers are near each other.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// What was sent is acknowledged within this time, or the connection is dead.
const USER_TIMEOUT_MILLIS: u32 = 1_000;
/// An idle connection is tried after this time, again after as much, and dead after this many in vain.
const KEEPALIVE: Duration = Duration::from_secs(1);
const KEEPALIVE_COUNT: u32 = 2;
/// Status, demand and a command or two at a time.
const MAX_IDLE: usize = 4;
/// A status of a thousand instances is half a MiB; a whole configuration's events are less.
const ANSWER_MAX: usize = 16 << 20;

type Sender = SendRequest<Full<Bytes>>;

/// The client of one peer. Dropping it closes its connections.
#[derive(Debug)]
pub(in crate::cluster) struct PeerClient {
    base: Base,
    secret: PeerSecret,
    idle: Mutex<Vec<Sender>>,
    /// Where the last connection led.
    address: Mutex<Option<SocketAddr>>,
    lost: Arc<Notify>,
    connections: Executor,
}

/// `http://host:port[/path]`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Base {
    host: String,
    port: u16,
    /// Without a `/` at its end.
    path: String,
}

// === impl PeerClient ===

impl PeerClient {
    /// Opens nothing yet. A URL that makes no sense fails with the first call.
    pub(in crate::cluster) fn new(url: &str, secret: &PeerSecret) -> Self {
        let base = Base::parse(url);
        let address = base.host.parse().ok().map(|ip| SocketAddr::new(ip, base.port));
        Self {
            base,
            secret: secret.clone(),
            idle: Mutex::default(),
            address: Mutex::new(address),
            lost: Arc::default(),
            connections: Executor::new(),
        }
    }

    /// Whether it leads to `url`.
    pub(super) fn leads_to(&self, url: &str) -> bool {
        self.base == Base::parse(url)
    }

    /// Where the peer was reached last; before that known only of a URL without a host's name.
    pub(super) fn socket_address(&self) -> Option<SocketAddr> {
        *self.address.lock()
    }

    /// Returns when a connection ended that nobody here wanted to end.
    pub(super) async fn lost(&self) {
        loop {
            self.lost.notified().await;
            let mut idle = self.idle.lock();
            let before = idle.len();
            idle.retain(|sender| !sender.is_closed());
            if idle.len() < before {
                return;
            }
        }
    }

    /// Begins a stream: waits for the head of a 200 answer.
    pub(super) async fn stream(&self, path_and_query: &str) -> Result<Incoming, TransportError> {
        let request = self
            .proven(Request::get(format!("{}{path_and_query}", self.base.path)))
            .body(Full::default())
            .map_err(|error| self.broken(&error))?;
        let mut sender = self.open().await?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        // Its connection ends with the sender unless the body is still being read.
        Ok(self.checked(response).await?.into_body())
    }

    async fn exchange(&self, body: Bytes) -> Result<Bytes, TransportError> {
        // Taken before the await: the lock is not held over it.
        let kept = self.take_idle();
        if let Some(sender) = kept
            && let Ok(answer) = self.exchange_on(sender, body.clone()).await
        {
            return Ok(answer);
        }
        let sender = self.open().await?;
        self.exchange_on(sender, body).await
    }

    /// To this peer, from a node of its cluster.
    fn proven(&self, request: request::Builder) -> request::Builder {
        let request = request.header(header::HOST, self.base.authority());
        match self.secret.proof() {
            Some(proof) => request.header(PEER, proof),
            None => request,
        }
    }

    async fn exchange_on(&self, mut sender: Sender, body: Bytes) -> Result<Bytes, TransportError> {
        let request = self
            .proven(Request::post(format!("{}/_mael/v1", self.base.path)))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(&error))?;
        sender.ready().await.map_err(|error| self.broken(&error))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        let response = self.checked(response).await?;
        let answer = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let answer = answer.map_err(|error| self.broken(error.as_ref()))?.to_bytes();
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(sender);
        }
        Ok(answer)
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock();
        while let Some(sender) = idle.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    async fn open(&self) -> Result<Sender, TransportError> {
        let refused = |error: io::Error| TransportError::Connect {
            address: Transport::address(self),
            reason: error.to_string(),
        };
        let connected = tokio::time::timeout(CONNECT_LIMIT, self.base.connect()).await;
        let stream = connected
            .unwrap_or_else(|_| {
                let why = format!("no connection within {CONNECT_LIMIT:?}");
                Err(io::Error::new(io::ErrorKind::TimedOut, why))
            })
            .map_err(refused)?;
        *self.address.lock() = Some(stream.peer_addr().map_err(refused)?);
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        let lost = self.lost.clone();
        self.connections.spawn(async move {
            // Why it ended is told to whoever uses it.
            let _ = connection.await;
            lost.notify_one();
        });
        Ok(sender)
    }

    async fn checked(&self, response: Response<Incoming>) -> Result<Response<Incoming>, TransportError> {
        const SHOWN_BYTES: usize = 4 << 10;
        if response.status() == http::StatusCode::OK {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let text = Limited::new(response.into_body(), SHOWN_BYTES).collect().await;
        let text = text.map(|text| {
            let text = text.to_bytes();
            let said = RpcError::in_answer(&text).map(|error| error.message);
            said.unwrap_or_else(|| String::from_utf8_lossy(&text).trim().to_owned())
        });
        Err(TransportError::Status {
            address: Transport::address(self),
            status,
            text: text.unwrap_or_default(),
        })
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> TransportError {
        // What the system said: the layers above only say that something failed.
        let mut cause = error;
        while let Some(below) = cause.source() {
            cause = below;
        }
        TransportError::Broken { address: Transport::address(self), reason: cause.to_string() }
    }
}

impl Transport for PeerClient {
    fn call(&self, body: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        Box::pin(self.exchange(body))
    }

    fn address(&self) -> String {
        format!("http://{}{}", self.base.authority(), self.base.path)
    }
}

// === impl Base ===

impl Base {
    fn parse(url: &str) -> Self {
        let uri = url.parse::<Uri>().unwrap_or_default();
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            path: uri.path().trim_end_matches('/').to_owned(),
        }
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT_MILLIS)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
        rustix::net::sockopt::set_tcp_keepintvl(&stream, KEEPALIVE)?;
        rustix::net::sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_COUNT)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, host, port, path) in [
            ("http://10.0.0.1:8374", "10.0.0.1", 8374, ""),
            ("http://[fd00::1]:8374/", "fd00::1", 8374, ""),
            ("http://node-1.internal/mael/", "node-1.internal", 80, "/mael"),
        ] {
            let base = Base { host: host.into(), port, path: path.into() };
            assert_eq!(Base::parse(url), base);
            let client = PeerClient::new(url, &PeerSecret::default());
            assert!(client.leads_to(url));
            assert_eq!(client.socket_address().is_some(), host.parse::<std::net::IpAddr>().is_ok());
        }
        assert_eq!(Base::parse("http://[fd00::1]:8374").authority(), "[fd00::1]:8374");
    }
}
