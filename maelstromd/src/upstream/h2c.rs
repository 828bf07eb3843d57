//! The one HTTP/2 connection to an instance or peer that speaks it (cleartext, by prior knowledge): gRPC and the
//! like. Opened with the first request, opened anew when it was closed, by one request for all that come
//! meanwhile.
//!
//! It is driven in the main runtime, since it carries the requests of all workers: on one of them it would
//! stand in the way of that one's clients alone.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::{Connection, Failure, Way};
use crate::{tasks::Executor, workers};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// A peer that is gone without a word is noticed within half a minute, however long its streams are.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER_LIST_BYTES: u32 = 64 * 1024;
/// What one stream may have under way: a few round trips on a bridge. All streams together get more, so
/// that one whose client doesn't read can't hold up the others.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// A peer's connection carries the requests of all components: their streams alone bound them.
const PEER_CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// A handle on the connection to one instance.
#[derive(Debug)]
pub(super) struct Multiplexed {
    way: Way,
    current: Mutex<Option<Current>>,
    /// Held by who opens a connection; how often that has failed, and why the last time.
    opening: tokio::sync::Mutex<()>,
    failed: Mutex<(u64, String)>,
}

#[derive(Clone, Debug)]
struct Current {
    sender: SendRequest<RequestBody>,
    tasks: Held,
}

/// Keeps a connection's tasks running. A response holds it to its end, since the connection may be
/// replaced before: one that takes no new streams still carries the old ones.
#[derive(Clone, Debug)]
pub struct Held {
    _tasks: Arc<Executor>,
}

/// Why no response came.
#[derive(Debug)]
pub struct Refused {
    pub failure: Failure,
    /// The request was never given to the container.
    pub unsent: bool,
}

// === impl Multiplexed ===

impl Multiplexed {
    pub(super) fn new(way: Way) -> Self {
        Self { way, current: Mutex::default(), opening: Default::default(), failed: Mutex::default() }
    }

    /// One request for one response. Dropping the future resets the stream.
    pub(super) async fn send(
        &self,
        address: SocketAddr,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Held), Refused> {
        let mut current = self.current(address).await.map_err(|failure| Refused { failure, unsent: true })?;
        let sent = current.sender.try_send_request(request).await;
        sent.map(|response| (response, current.tasks.clone())).map_err(|mut error| {
            // The request comes back only if not a byte of it was sent.
            let unsent = error.take_message().is_some();
            Refused { failure: Failure::Http2(error.into_error()), unsent }
        })
    }

    async fn current(&self, address: SocketAddr) -> Result<Current, Failure> {
        if let Some(current) = self.open_one() {
            return Ok(current);
        }
        let failed_before = self.failed.lock().0;
        let _alone = self.opening.lock().await;
        if let Some(current) = self.open_one() {
            return Ok(current);
        }
        {
            // Who was ahead has tried for this one, too.
            let failed = self.failed.lock();
            if failed.0 != failed_before {
                return Err(Failure::Connect(io::Error::other(failed.1.clone())));
            }
        }
        match open(address, self.way).await {
            Ok(opened) => Ok(self.current.lock().insert(opened).clone()),
            Err(failure) => {
                let mut failed = self.failed.lock();
                failed.0 += 1;
                failed.1 = match &failure {
                    Failure::Connect(error) => error.to_string(),
                    other => other.to_string(),
                };
                Err(failure)
            }
        }
    }

    fn open_one(&self) -> Option<Current> {
        self.current.lock().as_ref().filter(|current| !current.sender.is_closed()).cloned()
    }
}

/// Dropping the future ends the attempt.
async fn open(address: SocketAddr, way: Way) -> Result<Current, Failure> {
    let mut opening = JoinSet::new();
    opening.spawn_on(open_here(address, way), &workers::main_runtime());
    match opening.join_next().await {
        Some(Ok(opened)) => opened,
        _ => Err(Failure::Connect(io::Error::other("the node is stopping"))),
    }
}

/// All that the connection needs runs where this does.
async fn open_here(address: SocketAddr, way: Way) -> Result<Current, Failure> {
    let connection = Connection::open(address, way).await.map_err(Failure::Connect)?;
    let (stream, _) = connection.into_parts();
    let window = match way {
        Way::Bridge => CONNECTION_WINDOW_BYTES,
        Way::Network => PEER_CONNECTION_WINDOW_BYTES,
    };
    let tasks = Arc::new(Executor::new());
    let (sender, connection) = Builder::new(tasks.handle())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(window)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::Http2)?;
    tasks.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "an HTTP/2 connection to an instance ended");
        }
    });
    Ok(Current { sender, tasks: Held { _tasks: tasks } })
}
