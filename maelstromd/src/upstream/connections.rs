//! The kept-open connections to one instance or peer. Dropping the value closes them all.
//!
//! ```text
//!   open ──► in use by one exchange ──► complete both ways ──► idle ──► in use …
//!                 │ anything else                               │ 4 s, or the container spoke or closed
//!                 ▼                                             ▼
//!               closed                                        closed
//! ```
//! The last one put back is the first one taken, so that those not needed grow old and go.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use maelstrom_core::{component::HttpProtocol, time::Moment};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::{
    Connection, Exchange, Failure, Way,
    h2c::{Held, Multiplexed, Refused},
};
use crate::clock;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Shorter than any common server's (Node.js closes after 5 s), so that a request seldom meets a
/// connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const REAP_PERIOD: Duration = Duration::from_secs(1);
/// A burst may use more at a time; keeping them all would only hold file descriptors on both sides.
const MAX_IDLE: usize = 256;

/// Connections to one instance or peer.
#[derive(Debug)]
pub struct Connections {
    address: SocketAddr,
    way: Way,
    protocol: HttpProtocol,
    idle: Arc<Mutex<Idle>>,
    multiplexed: Multiplexed,
}

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<(Box<Connection>, Moment)>,
    /// Runs while there are idle connections, ends by itself when there are none.
    reaper: Option<AbortHandle>,
}

// === impl Connections ===

impl Connections {
    /// To an instance. Opens nothing yet.
    pub fn new(address: SocketAddr, protocol: HttpProtocol) -> Self {
        Self::over(Way::Bridge, address, protocol)
    }

    /// To a peer's private gateway.
    pub fn to_peer(address: SocketAddr, protocol: HttpProtocol) -> Self {
        Self::over(Way::Network, address, protocol)
    }

    fn over(way: Way, address: SocketAddr, protocol: HttpProtocol) -> Self {
        Self { address, way, protocol, idle: Arc::default(), multiplexed: Multiplexed::new(way) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn protocol(&self) -> HttpProtocol {
        self.protocol
    }

    /// Idle connections at the moment.
    pub fn idle(&self) -> usize {
        self.idle.lock().connections.len()
    }

    /// An idle connection that can carry a request. With `certain` the socket itself is asked, at the
    /// price of a system call.
    pub fn take(&self, certain: bool) -> Option<Box<Connection>> {
        let mut idle = self.idle.lock();
        while let Some((mut connection, _)) = idle.connections.pop() {
            if connection.is_fresh() && (!certain || connection.is_quiet()) {
                return Some(connection);
            }
        }
        None
    }

    /// A new connection.
    pub async fn open(&self) -> Result<Box<Connection>, Failure> {
        Connection::open(self.address, self.way).await.map_err(Failure::Connect)
    }

    /// One request for one response over the instance's HTTP/2 connection, opened if need be. Dropping
    /// the future resets the stream.
    pub async fn send_h2c(
        &self,
        request: Request<UnsyncBoxBody<Bytes, BoxError>>,
    ) -> Result<(Response<Incoming>, Held), Refused> {
        self.multiplexed.send(self.address, request).await
    }

    /// Keeps the connection of a finished exchange for the next request, if it may carry one.
    pub fn finish<B>(&self, exchange: Box<Exchange<B>>)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(connection) = exchange.into_reusable() {
            self.put(connection);
        }
    }

    fn put(&self, mut connection: Box<Connection>) {
        connection.settle();
        let mut idle = self.idle.lock();
        if idle.connections.len() >= MAX_IDLE {
            return;
        }
        idle.connections.push((connection, clock::now()));
        if idle.reaper.is_none() {
            idle.reaper = Some(tokio::spawn(reap(Arc::downgrade(&self.idle))).abort_handle());
        }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some(reaper) = &self.reaper {
            reaper.abort();
        }
    }
}

async fn reap(idle: Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(REAP_PERIOD).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = idle.lock();
        let oldest = clock::now() - IDLE_TIMEOUT;
        idle.connections.retain_mut(|(connection, since)| *since > oldest && connection.is_fresh());
        if idle.connections.is_empty() {
            idle.connections = Vec::new();
            idle.reaper = None;
            return;
        }
    }
}
