//! One TCP connection to a container: the socket, what was read and not yet used, and the one timer that
//! bounds every wait on it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep},
};

/// A container's address is one hop away on a bridge of this machine: three seconds cover a lost SYN and
/// its first two repetitions.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// First read on a connection of which nothing is known: a head and a small body in one piece.
const FIRST_READ_BYTES: usize = 4 * 1024;
/// The least that a read asks for: allocators have pieces of this size at hand.
const LEAST_READ_BYTES: usize = 1_000;
/// Heads differ by a few bytes from answer to answer; a read that just fits looks as if more had come.
const SLACK_BYTES: usize = 256;

/// A connection that is open as far as this side knows.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: TcpStream,
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
    pub(super) async fn open(address: SocketAddr) -> io::Result<Box<Self>> {
        let stream =
            tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await.map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {CONNECT_TIMEOUT:?}"))
            })??;
        stream.set_nodelay(true)?;
        let timer = Box::pin(tokio::time::sleep(CONNECT_TIMEOUT));
        Ok(Box::new(Self { stream, input: BytesMut::new(), timer, used: false, expected: FIRST_READ_BYTES }))
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
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
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

    /// The bare socket and what was read beyond the response head: for upgraded connections.
    pub(super) fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.input)
    }
}
