//! The kept-open connections to one instance or peer. Dropping the value closes them all.
//!
//! ```text
//!   open ──► in use by one exchange ──► complete both ways ──► idle ──► in use …
//!                 │ anything else                               │ 4 s, or the container spoke or closed
//!                 ▼                                             ▼
//!               closed                                        closed
//! ```
//! The last one put back is the first one taken, so that those not needed grow old and go.
//!
//! Each worker takes those that it used itself, and another's before it opens one: how many there are
//! doesn't depend on how clients are spread, and a server that handles one connection at a time never gets a
//! second one while the first is idle. What is taken from another moves into the reactor of who took it.

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
use crate::{clock, workers::Home};

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
    /// By the home of each, and since when it is idle.
    homes: Vec<Vec<(Box<Connection>, Moment)>>,
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
        self.idle.lock().len()
    }

    /// An idle connection that can carry a request. With `certain` the socket itself is asked, at the
    /// price of a system call.
    pub fn take(&self, certain: bool) -> Option<Box<Connection>> {
        let here = Home::here();
        loop {
            let mut connection = self.idle.lock().pop(here)?;
            if connection.home() == here {
                if connection.is_fresh() && (!certain || connection.is_quiet()) {
                    return Some(connection);
                }
            // What another reactor tells may be late.
            } else if connection.is_quiet()
                && let Ok(moved) = connection.moved_here()
            {
                return Some(moved);
            }
        }
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
        let now = clock::now();
        let mut idle = self.idle.lock();
        if idle.len() >= MAX_IDLE {
            return;
        }
        idle.push(connection, now);
        if idle.reaper.is_none() {
            idle.reaper = Some(tokio::spawn(reap(Arc::downgrade(&self.idle))).abort_handle());
        }
    }
}

// === impl Idle ===

impl Idle {
    fn len(&self) -> usize {
        self.homes.iter().map(Vec::len).sum()
    }

    fn push(&mut self, connection: Box<Connection>, now: Moment) {
        let home = connection.home().index();
        if self.homes.len() <= home {
            self.homes.resize_with(home + 1, Vec::new);
        }
        self.homes[home].push((connection, now));
    }

    /// One of that home, else one of whoever has most.
    fn pop(&mut self, home: Home) -> Option<Box<Connection>> {
        let own = self.homes.get_mut(home.index()).and_then(Vec::pop);
        let taken = own.or_else(|| self.homes.iter_mut().max_by_key(|others| others.len())?.pop());
        taken.map(|(connection, _)| connection)
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
        for connections in &mut idle.homes {
            connections.retain_mut(|(connection, since)| *since > oldest && connection.is_fresh());
        }
        if idle.len() == 0 {
            idle.homes = Vec::new();
            idle.reaper = None;
            return;
        }
    }
}
