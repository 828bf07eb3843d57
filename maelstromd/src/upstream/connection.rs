//! One TCP connection to a container or a peer: the socket, what was read and not yet used, and the one
//! timer that bounds every wait on it.
//!
//! A container's machine is this one: it is there, or its socket is closed. A peer can vanish without a
//! word, and its kernel is the first to fall silent: ours is told to notice within seconds, also while a
//! request may take minutes. Except where a reader may rightly be slow: to the kernel a peer that takes
//! nothing more of a body looks much like one that is gone.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::BytesMut;
use rustix::{
    io::Errno,
    net::{RecvFlags, recv, sockopt},
};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep},
};

use crate::workers::Home;

/// A container's address is one hop away on a bridge of this machine: three seconds cover a lost SYN and
/// its first two repetitions.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer is a hop or two away in the same network, or it is not to be waited for.
const PEER_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For so long a peer may leave unacknowledged what was sent to it: four repetitions of a lost packet.
const PEER_UNACKNOWLEDGED: Duration = Duration::from_secs(1);
/// The same where it may be slow to take what is sent. Two minutes are no pause between two reads, and a
/// peer that is gone is not waited for much longer than a client.
const PEER_UNACKNOWLEDGED_SLOW: Duration = Duration::from_secs(120);
/// Silence after which a peer is asked whether it is still there, then each second, and twice in vain.
const PEER_KEEPALIVE: Duration = Duration::from_secs(1);
const PEER_KEEPALIVE_PROBES: u32 = 2;
/// First read on a connection of which nothing is known: a head and a small body in one piece.
const FIRST_READ_BYTES: usize = 4 * 1024;
/// The least that a read asks for: allocators have pieces of this size at hand.
const LEAST_READ_BYTES: usize = 1_000;
/// Heads differ by a few bytes from answer to answer; a read that just fits looks as if more had come.
const SLACK_BYTES: usize = 256;

/// What lies between here and the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A bridge of this machine, with a container at its end.
    Bridge,
    /// A network, with a peer at its end.
    Network,
}

/// A connection that is open as far as this side knows.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: TcpStream,
    /// Whose reactor tells of it.
    home: Home,
    way: Way,
    /// The peer may be slow to read.
    slow: bool,
    /// Read from the socket and not yet decoded. Holds no memory while the connection is idle.
    pub(super) input: BytesMut,
    /// Kept over exchanges: pushing a running timer further is far cheaper than making one per request.
    timer: Pin<Box<Sleep>>,
    /// Whether at least one exchange was completed on it.
    pub(super) used: bool,
    /// What answers have come to, head and body: the next is likely to be as large.
    expected: usize,
}

// === impl Connection ===

impl Connection {
    pub(super) async fn open(address: SocketAddr, way: Way) -> io::Result<Box<Self>> {
        let limit = match way {
            Way::Bridge => CONNECT_TIMEOUT,
            Way::Network => PEER_CONNECT_TIMEOUT,
        };
        let stream = tokio::time::timeout(limit, TcpStream::connect(address)).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"))
        })??;
        stream.set_nodelay(true)?;
        if way == Way::Network {
            watch_closely(&stream)?;
        }
        let timer = Box::pin(tokio::time::sleep(limit));
        let input = BytesMut::new();
        let expected = FIRST_READ_BYTES;
        let home = Home::here();
        Ok(Box::new(Self { stream, home, way, slow: false, input, timer, used: false, expected }))
    }

    pub(super) fn home(&self) -> Home {
        self.home
    }

    /// Becomes one of the thread that asks for it: told of by another one's reactor, each answer would wake
    /// both.
    // Connections live in boxes: taking one by value would move it out for nothing.
    #[allow(clippy::boxed_local)]
    pub(super) fn moved_here(self: Box<Self>) -> io::Result<Box<Self>> {
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        let timer = Box::pin(tokio::time::sleep(CONNECT_TIMEOUT));
        Ok(Box::new(Self { stream, home: Home::here(), timer, ..*self }))
    }

    /// From now on the other end may be slow to read: it gets a large body, or a tunnel.
    pub(super) fn allow_slow_reader(&mut self) {
        if self.way == Way::Network && !self.slow {
            self.slow = true;
            // Fails only on a connection that is already gone.
            let _ = unacknowledged(&self.stream, PEER_UNACKNOWLEDGED_SLOW);
        }
    }

    /// Back to what a connection between two requests is.
    pub(super) fn settle(&mut self) {
        self.used = true;
        self.input = BytesMut::new();
        if std::mem::take(&mut self.slow) {
            let _ = unacknowledged(&self.stream, PEER_UNACKNOWLEDGED);
        }
    }

    /// Whether an idle connection may carry another request: the container has neither closed it nor sent
    /// anything unasked. Asks the runtime's readiness first, which costs no system call while nothing came.
    pub(super) fn is_fresh(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match self.stream.poll_read_ready(&mut context) {
            Poll::Pending => true,
            Poll::Ready(Err(_)) => false,
            // Readiness may be left over from a read that filled its buffer: only the socket knows.
            Poll::Ready(Ok(())) => {
                matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }

    /// Asks the socket itself whether the container closed it or sent something: for requests that can't
    /// be repeated.
    pub(super) fn is_quiet(&self) -> bool {
        // The runtime would go by what its reactor has told, and that may be late.
        let peeked = recv(&self.stream, &mut [0_u8], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(Errno::AGAIN))
    }

    /// Reads once into `input`, which is given room for `room` bytes if it has none. `Ok(0)`: closed.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        if self.input.capacity() == self.input.len() {
            self.input.reserve(room.max(LEAST_READ_BYTES));
        }
        tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input)
    }

    /// Room for an answer like those before.
    pub(super) fn expected(&self) -> usize {
        self.expected + SLACK_BYTES
    }

    /// An answer came to so much. Up at once, down slowly: a byte too little costs a system call.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.expected = bytes.max(self.expected - self.expected / 8);
    }

    pub(super) fn set_timer(&mut self, at: Instant) {
        self.timer.as_mut().reset(at);
    }

    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(cx)
    }

    /// The bare socket and what was read beyond the response head.
    pub(super) fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.input)
    }
}

/// Has the kernel find out soon that the peer is gone.
fn watch_closely(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PEER_KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, PEER_KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(stream, PEER_KEEPALIVE_PROBES)?;
    unacknowledged(stream, PEER_UNACKNOWLEDGED)
}

fn unacknowledged(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(stream, millis)?)
}
