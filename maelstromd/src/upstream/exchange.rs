//! One request for one response on one connection, polled by whoever waits for it.
//!
//! ```text
//!   sending ──────────────────────────────────────────────► sent          (goes on under both below)
//!   waiting for the head ──100──► (body released) ──final──► body ──► complete ──► connection kept
//!        │                                          │         │
//!        └──────────── failure ─────────────────────┴─────────┴──► connection closed by drop
//! ```
//! A response may come before the request is wholly sent; the rest is then sent while the response is
//! read. Only when both are complete, and nothing came after the response, is the connection kept.

use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame};
use tokio::{net::TcpStream, time::Instant};

use super::{
    Connection,
    framing::{Decoded, Decoder, FramingError},
    head::{self, Asked, HeadError, Parsed, ResponseHead},
    sending::{Framing, SendError, Sending, Sent},
};

/// RFC 9110 §10.1.1: a client must not wait for `100 Continue` for ever, since old servers never send it.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);
/// Interim responses before a final one; more is a container that talks to itself.
const MAX_INTERIM: u32 = 32;
/// A kernel takes this much for a process that is slow to read.
const PROMPT_BYTES: u64 = 16 * 1024;
/// One read of a large body, one write to the client. Twice as much saves few system calls, and costs 10 MiB
/// at 256 busy clients.
const LARGE_READ_BYTES: usize = 32 * 1024;
/// One read of a body whose length is not known: events and lines are small.
const STREAM_READ_BYTES: usize = 16 * 1024;

/// A request as it goes out.
#[derive(Debug)]
pub struct Outgoing<B> {
    /// Request line and headers, with the empty line.
    pub head: Vec<u8>,
    pub framing: Framing,
    pub body: B,
    pub asked: Asked,
    pub expect: Expect,
}

/// Whether the body waits for `100 Continue`; the head says so then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    No,
    /// For a moment: a server that doesn't know of it never sends one.
    Briefly,
    /// As long as the request may take: a peer sends one, or the final answer.
    Patiently,
}

/// How long the parts of an exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When the response's head must be there.
    pub deadline: Instant,
    /// The longest silence of a client that is sending its body.
    pub request_idle: Duration,
    /// The longest silence of a response that has begun.
    pub response_idle: Duration,
}

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("it can't be connected to: {0}")]
    Connect(io::Error),
    /// Before a byte of the response.
    #[error("it closed the connection without an answer: {0}")]
    Closed(io::Error),
    #[error("it broke off its answer: {0}")]
    BrokenOff(io::Error),
    #[error("its answer is malformed: {0}")]
    Head(#[from] HeadError),
    #[error("the body of its answer is malformed: {0}")]
    Body(#[from] FramingError),
    #[error("it sent too many interim responses")]
    TooManyInterim,
    #[error("it reset the stream: {0}")]
    Http2(hyper::Error),
    /// A peer that is silent for so long that nothing is expected of it.
    #[error("it does not answer any more")]
    Lost,
    #[error("the deadline passed")]
    Deadline,
    #[error("its answer made no progress for too long")]
    Stalled,
    #[error("the client's body can't be read: {0}")]
    RequestBody(Box<dyn std::error::Error + Send + Sync>),
    #[error("the client's body made no progress for too long")]
    RequestStalled,
}

/// An exchange under way. Dropping it closes the connection.
#[derive(Debug)]
pub struct Exchange<B> {
    connection: Box<Connection>,
    sending: Sending<B>,
    asked: Asked,
    limits: Limits,
    continue_at: Option<Instant>,
    /// When something last moved, as far as that is watched.
    moved_at: Option<Instant>,
    /// Pieces of the request's body sent when the timer last fired.
    pieces_seen: u64,
    interim: u32,
    /// A byte of a final answer arrived.
    answered: bool,
    send_failed: Option<io::Error>,
    decoder: Decoder,
    keep_alive: bool,
}

// === impl Exchange ===

impl<B> Exchange<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Sends nothing yet.
    pub fn new(mut connection: Box<Connection>, outgoing: Outgoing<B>, limits: Limits) -> Self {
        let Outgoing { head, framing, body, asked, expect } = outgoing;
        let sending = Sending::new(head, framing, body, expect != Expect::No);
        let mut first = limits.deadline;
        let (mut continue_at, mut moved_at) = (None, None);
        if !framing.is_at_most(PROMPT_BYTES) {
            connection.allow_slow_reader();
        }
        if framing.has_body() {
            let now = Instant::now();
            continue_at = (expect == Expect::Briefly).then(|| now + CONTINUE_WAIT);
            moved_at = Some(now);
            first = first.min(now + limits.request_idle).min(continue_at.unwrap_or(first));
        }
        connection.set_timer(first);
        Self {
            connection,
            sending,
            asked,
            limits,
            continue_at,
            moved_at,
            pieces_seen: 0,
            interim: 0,
            answered: false,
            send_failed: None,
            decoder: Decoder::Length(0),
            keep_alive: false,
        }
    }

    pub fn sent(&self) -> Sent {
        self.sending.sent()
    }

    /// Whether the whole request went out.
    pub fn has_sent_all(&self) -> bool {
        self.sending.is_complete()
    }

    /// Whether the body is held back until the container asks for it.
    pub fn waits_to_send(&self) -> bool {
        self.sending.is_held()
    }

    /// Sends on after the answer has come; ready when there is nothing more to send, nobody asked for the
    /// rest, or the container takes no more. The connection carries nothing after that: a server that answers before it has read the
    /// request often closes behind its answer without saying so.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.keep_alive = false;
        while self.send_failed.is_none() && !self.sending.is_complete() && !self.sending.is_held() {
            match ready!(self.sending.poll(cx, &mut self.connection.stream)) {
                Ok(()) => {}
                Err(SendError::Io(error)) => self.send_failed = Some(error),
                Err(SendError::Body(_) | SendError::Length) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }

    /// Whether a byte of an answer arrived: past that nothing may be sent a second time.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whether the connection had served a request before: then a close may be an idle time-out.
    pub fn is_reused(&self) -> bool {
        self.connection.used
    }

    pub fn body_mut(&mut self) -> &mut B {
        self.sending.body_mut()
    }

    /// Gives the request's body back, closing the connection.
    pub fn into_body(self) -> B {
        self.sending.into_body()
    }

    /// The final head of the response. The request goes on being sent meanwhile. The response's headers
    /// take the place of `headers`, whose memory they use: the request's own are no longer needed then.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<ResponseHead, Failure>> {
        loop {
            self.poll_send(cx)?;
            match self.poll_answer(cx, headers) {
                Poll::Ready(Ok(Some(head))) => return Poll::Ready(Ok(head)),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => {
                    ready!(self.connection.poll_timer(cx));
                    self.on_timer_before_head()?;
                }
            }
        }
    }

    /// The next frame of the response's body; `None` is its proper end.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            if let Err(failure) = self.poll_send(cx) {
                return Poll::Ready(Some(Err(failure)));
            }
            match self.decoder.decode(&mut self.connection.input) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Decoded::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            match self.poll_body_read(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(None),
                Poll::Ready(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                Poll::Pending => {
                    ready!(self.connection.poll_timer(cx));
                    if let Err(failure) = self.on_timer_in_body() {
                        return Poll::Ready(Some(Err(failure)));
                    }
                }
            }
        }
    }

    /// The response's body, if all of it was read with the head. Saves small responses a second visit.
    pub fn take_whole_body(&mut self) -> Option<Bytes> {
        match self.decoder {
            Decoder::Length(length) if length <= self.connection.input.len() as u64 => {
                match self.decoder.decode(&mut self.connection.input) {
                    Ok(Decoded::Data(data)) => Some(data),
                    _ => Some(Bytes::new()),
                }
            }
            _ => None,
        }
    }

    /// Bytes of body still to come, when that is known.
    pub fn remaining(&self) -> Option<u64> {
        match self.decoder {
            Decoder::Length(rest) => Some(rest),
            _ => None,
        }
    }

    /// The connection, if it may carry another request: everything was sent, everything was read, the
    /// container keeps it open and sent not a byte too many.
    // Exchanges live in boxes: taking one by value would move it out for nothing.
    #[allow(clippy::boxed_local)]
    pub(super) fn into_reusable(self: Box<Self>) -> Option<Box<Connection>> {
        let complete = self.decoder.is_end()
            && self.keep_alive
            && self.send_failed.is_none()
            && self.sending.is_complete()
            && self.connection.input.is_empty();
        complete.then_some(self.connection)
    }

    /// The bare socket after a 101, and what the container sent right behind it.
    pub fn into_upgraded(mut self) -> (TcpStream, BytesMut) {
        self.connection.allow_slow_reader();
        self.connection.into_parts()
    }

    /// Sends on. A container that stops reading may still answer, so a broken pipe is not the end.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.send_failed.is_some() || self.sending.is_complete() {
            return Ok(());
        }
        match self.sending.poll(cx, &mut self.connection.stream) {
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
            Poll::Ready(Err(SendError::Io(error))) => {
                self.send_failed = Some(error);
                Ok(())
            }
            Poll::Ready(Err(SendError::Body(error))) => Err(Failure::RequestBody(error.into())),
            Poll::Ready(Err(SendError::Length)) => {
                Err(Failure::RequestBody("it is not as long as its Content-Length says".into()))
            }
        }
    }

    /// `None`: the container wants the body now.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        headers: &mut HeaderMap,
    ) -> Poll<Result<Option<ResponseHead>, Failure>> {
        loop {
            if !self.connection.input.is_empty() {
                let read = self.connection.input.len();
                match head::parse(&mut self.connection.input, self.asked, headers)? {
                    Parsed::Final(head) => {
                        let head_bytes = read - self.connection.input.len();
                        return Poll::Ready(Ok(Some(self.begin_body(head, head_bytes))));
                    }
                    Parsed::Interim(status) => {
                        self.interim += 1;
                        if self.interim > MAX_INTERIM {
                            return Poll::Ready(Err(Failure::TooManyInterim));
                        }
                        // A word about the request is no answer to it yet.
                        self.answered = !self.connection.input.is_empty();
                        if status == StatusCode::CONTINUE {
                            self.release_body();
                            return Poll::Ready(Ok(None));
                        }
                        continue;
                    }
                    Parsed::Partial => {}
                }
            }
            match ready!(self.connection.poll_read(cx, self.connection.expected())) {
                Ok(0) => return Poll::Ready(Err(self.closed(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => self.answered = true,
                Err(error) => return Poll::Ready(Err(self.closed(error))),
            }
        }
    }

    fn begin_body(&mut self, mut head: ResponseHead, head_bytes: usize) -> ResponseHead {
        self.decoder = std::mem::replace(&mut head.body, Decoder::Length(0));
        let body = usize::try_from(self.decoder.expected()).unwrap_or(usize::MAX);
        self.connection.expect(head_bytes + body.min(LARGE_READ_BYTES));
        self.keep_alive = head.keep_alive;
        if !self.decoder.is_end() {
            let now = Instant::now();
            self.moved_at = Some(now);
            self.connection.set_timer(now + self.limits.response_idle);
        }
        head
    }

    /// Reads more of the body; `false` at an end that the connection's close makes.
    fn poll_body_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Failure>> {
        let room = match self.decoder.expected() {
            0 => STREAM_READ_BYTES,
            // One more than there is to come: a read that fills its buffer looks as if there were more, and
            // costs the next request on this connection a read that finds nothing.
            expected => usize::try_from(expected)
                .map_or(usize::MAX, |rest| rest.saturating_add(1))
                .min(LARGE_READ_BYTES),
        };
        Poll::Ready(match ready!(self.connection.poll_read(cx, room)) {
            Ok(0) => self.decoder.close().map(|()| false).map_err(Failure::from),
            Ok(_) => {
                self.moved_at = Some(Instant::now());
                Ok(true)
            }
            Err(error) => Err(Failure::BrokenOff(error)),
        })
    }

    fn closed(&mut self, error: io::Error) -> Failure {
        let error = self.send_failed.take().unwrap_or(error);
        if self.answered { Failure::BrokenOff(error) } else { Failure::Closed(error) }
    }

    fn release_body(&mut self) {
        self.continue_at = None;
        self.sending.release();
    }

    fn on_timer_before_head(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if now >= self.limits.deadline {
            return Err(Failure::Deadline);
        }
        if self.continue_at.is_some_and(|at| now >= at) {
            self.release_body();
        }
        self.see_progress(now);
        let mut next = self.limits.deadline;
        if self.sending.waits_for_body() {
            let stalls_at = self.moved_at.unwrap_or(now) + self.limits.request_idle;
            if now >= stalls_at {
                return Err(Failure::RequestStalled);
            }
            next = next.min(stalls_at);
        }
        self.connection.set_timer(next);
        Ok(())
    }

    fn on_timer_in_body(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        self.see_progress(now);
        let until = self.moved_at.unwrap_or(now) + self.limits.response_idle;
        if now >= until {
            return Err(Failure::Stalled);
        }
        self.connection.set_timer(until);
        Ok(())
    }

    /// A request that was sent on since the timer last fired is alive.
    fn see_progress(&mut self, now: Instant) {
        let pieces = self.sending.pieces();
        if pieces != self.pieces_seen {
            self.pieces_seen = pieces;
            self.moved_at = Some(now);
        }
    }
}
