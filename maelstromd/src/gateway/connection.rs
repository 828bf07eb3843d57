//! One client's connection, from its first bytes to its end: which protocol it speaks, how long it may do
//! nothing, and how it ends when the gateway stops (HTTP/1.1 after the response under way, HTTP/2 with
//! GOAWAY).

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use maelstrom_core::time::Moment;
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_util::sync::CancellationToken;

use super::{
    Gateway,
    client::{ClientStream, Patience, Reader},
    context::Side,
    dormant::Dormant,
};
use crate::{
    clock,
    tasks::{Executor, Tasks},
    workers::Charge,
};

/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A request's head, and what is buffered of a response that a client is slow to take.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADER_LIST_BYTES: u32 = 64 * 1024;
/// Streams of one client at a time.
const MAX_STREAMS: u32 = 250;
/// A peer relays the requests of all its clients on one connection.
const MAX_STREAMS_PRIVATE: u32 = 10_000;
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bodies of requests that wait for a slot must not stop those of requests that have one: only the streams
/// bound them.
const CONNECTION_WINDOW_BYTES_PRIVATE: u32 = (1 << 31) - 1;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// For how long a stopping gateway leaves connections open that are between two requests: the next one may
/// be on its way, and closing would lose it. Its response then says that it was the last.
const LINGER: Duration = Duration::from_secs(2);

/// A client's connection as its requests see it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) side: Side,
    pub(super) address: SocketAddr,
    /// Of `address`, as `X-Forwarded-For` names it.
    pub(super) ip: String,
    /// Owns what its requests turn into tunnels.
    pub(super) tunnels: Tasks,
    /// The worker that serves it.
    pub(super) charge: Charge,
    /// When the last request came, or the connection.
    last_sign: AtomicU64,
    /// The gateway stops: the next answer is the connection's last. The gateway's own token would say the
    /// same, but asking it takes a lock that all clients share.
    leaves: AtomicBool,
}

// === impl Client ===

impl Client {
    pub(super) fn new(side: Side, address: SocketAddr, tunnels: Tasks, charge: Charge) -> Self {
        Self {
            side,
            address,
            // An IPv4 client of a dual-stack socket is an IPv4 client.
            ip: address.ip().to_canonical().to_string(),
            tunnels,
            charge,
            last_sign: AtomicU64::new(clock::now().as_nanos()),
            leaves: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(super) fn request_came(&self, now: Moment) {
        self.last_sign.store(now.as_nanos(), Relaxed);
    }

    /// What is left of the time that the connection may be without a request.
    fn idle_left(&self, limit: Duration) -> Duration {
        (Moment::from_nanos(self.last_sign.load(Relaxed)) + limit).since(clock::now())
    }
}

impl Gateway {
    /// Serves a connection until it ends; `stop` asks it to end after what is under way.
    pub(super) async fn serve_connection(
        self: Arc<Self>,
        mut stream: TcpStream,
        client: Client,
        stop: CancellationToken,
    ) {
        let first = tokio::select! {
            first = tokio::time::timeout(self.settings.head_timeout, first_bytes(&mut stream)) => first,
            () = lingered(&stop) => return,
        };
        // Silent, gone, or without a word: nobody to answer.
        let Ok(Ok(first)) = first else { return };
        let patience = Patience { head: self.settings.head_timeout, write: self.settings.write_timeout };
        let idle = self.settings.idle_timeout;
        let client = Arc::new(client);
        let ended = if first[..] == *PREFACE {
            let stream = ClientStream::http2(stream, first, patience);
            Box::pin(self.serve_http2(stream, &client, stop, idle)).await
        } else {
            let stream = ClientStream::http1(stream, first, patience);
            self.serve_http1(stream, &client, stop, idle).await
        };
        if let Err(error) = ended {
            tracing::debug!(client = %client.address, %error, "a client's connection ended early");
        }
    }

    async fn serve_http1(
        self: Arc<Self>,
        stream: ClientStream,
        client: &Arc<Client>,
        stop: CancellationToken,
        idle: Duration,
    ) -> hyper::Result<()> {
        let reader = stream.reader();
        let service = service_fn(|request: Request<Incoming>| {
            let (gateway, client) = (Arc::clone(&self), Arc::clone(client));
            let reader = Arc::clone(&reader);
            let (mut parts, body) = request.into_parts();
            async move {
                let answered = unless_gone(&reader, pin!(gateway.handle(&client, &mut parts, body))).await;
                let mut response = answered.ok_or(Gone)?;
                if client.leaves.load(Relaxed) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Gone>(response.map(|body| body.watching(reader)))
            }
        });
        // The parser would watch for the client's leaving by itself, at the price of a fresh read buffer for
        // each request: the request and its response's body do so instead.
        let connection = http1::Builder::new()
            .half_close(true)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let end = pin!(asked_to_end(client, &stop, idle));
        let mut end = pin!(Dormant::new(end));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = end.as_mut() => {}
        }
        if stop.is_cancelled() {
            client.leaves.store(true, Relaxed);
            tokio::select! {
                biased;
                ended = connection.as_mut() => return ended,
                () = lingered(&stop) => {}
            }
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }

    async fn serve_http2(
        self: Arc<Self>,
        stream: ClientStream,
        client: &Arc<Client>,
        stop: CancellationToken,
        idle: Duration,
    ) -> hyper::Result<()> {
        // Its streams' tasks end with it.
        let streams = Executor::new();
        let (max_streams, window) = match client.side {
            Side::Public => (MAX_STREAMS, CONNECTION_WINDOW_BYTES),
            Side::Private => (MAX_STREAMS_PRIVATE, CONNECTION_WINDOW_BYTES_PRIVATE),
        };
        let service = service_fn(|request: Request<Incoming>| {
            let (gateway, client) = (Arc::clone(&self), Arc::clone(client));
            let (mut parts, body) = request.into_parts();
            async move { Ok::<_, Infallible>(gateway.handle(&client, &mut parts, body).await) }
        });
        let connection = http2::Builder::new(streams.handle())
            .timer(TokioTimer::new())
            .max_concurrent_streams(max_streams)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(window)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let end = pin!(asked_to_end(client, &stop, idle));
        let mut end = pin!(Dormant::new(end));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = end.as_mut() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
}

/// The client left while its request was under way: there is nobody to answer.
#[derive(Debug, thiserror::Error)]
#[error("the client left")]
struct Gone;

/// The answer, or `None` as soon as the client has left; then everything that the request holds is dropped.
async fn unless_gone<F: Future>(client: &Reader, mut answer: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => client.poll_gone(cx).map(|()| None),
    })
    .await
}

/// Ready when the gateway stops or the connection has been without a request for too long. What is under
/// way then is finished in any case.
async fn asked_to_end(client: &Client, stop: &CancellationToken, idle: Duration) {
    let idled = async {
        loop {
            let left = client.idle_left(idle);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = idled => {}
    }
}

/// Ready when the gateway has been stopping for as long as it waits for requests on their way.
async fn lingered(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LINGER).await;
}

/// The first bytes, as many as tell the protocol: HTTP/2's whole preface, or the first that differ.
async fn first_bytes(stream: &mut TcpStream) -> io::Result<Bytes> {
    let mut first = BytesMut::with_capacity(PREFACE.len());
    while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
        let missing = PREFACE.len() - first.len();
        let mut room = (&mut first).limit(missing);
        if stream.read_buf(&mut room).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(first.freeze())
}
