//! The request on its way out: the head, then the body as it comes, framed anew.
//!
//! A first piece of the body that is at hand goes out together with the head, in one system call.

use std::{
    io::{self, IoSlice, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use tokio::{io::AsyncWrite, net::TcpStream};

use super::hop;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body at all.
    None,
    /// Exactly so many bytes.
    Length(u64),
    Chunked,
}

/// How much of a request has reached the container's socket buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sent {
    Nothing,
    /// Of the head at least a byte, of a body that follows none: the container can't have acted.
    HeadOnly,
    /// A byte of the body, or a whole request that has none.
    Substance,
}

#[derive(Debug)]
pub(super) enum SendError<E> {
    Io(io::Error),
    Body(E),
    /// The body was longer or shorter than it said.
    Length,
}

#[derive(Debug)]
pub(super) struct Sending<B> {
    body: B,
    framing: Framing,
    /// The head, later the line before a chunk.
    lead: Vec<u8>,
    lead_sent: usize,
    data: Bytes,
    tail: &'static [u8],
    stage: Stage,
    sent: Sent,
    /// Whether the body was given one more turn before the head went out alone.
    yielded: bool,
    /// Pieces of the body taken so far.
    pieces: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The body waits for the container's `100 Continue`.
    Held,
    Body,
    /// Everything was staged; what is left is in `lead`, `data` and `tail`.
    Ended,
}

// === impl Framing ===

impl Framing {
    pub fn has_body(self) -> bool {
        !matches!(self, Framing::None | Framing::Length(0))
    }

    /// Whether there is no more body than so much.
    pub fn is_at_most(self, bytes: u64) -> bool {
        match self {
            Framing::None => true,
            Framing::Length(length) => length <= bytes,
            Framing::Chunked => false,
        }
    }
}

// === impl Sending ===

impl<B> Sending<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// `head` is complete, with the empty line and the headers that `framing` calls for.
    pub(super) fn new(head: Vec<u8>, framing: Framing, body: B, expect_continue: bool) -> Self {
        let stage = match framing {
            Framing::None | Framing::Length(0) => Stage::Ended,
            _ if expect_continue => Stage::Held,
            _ => Stage::Body,
        };
        Self {
            body,
            framing,
            lead: head,
            lead_sent: 0,
            data: Bytes::new(),
            tail: b"",
            stage,
            sent: Sent::Nothing,
            yielded: false,
            pieces: 0,
        }
    }

    pub(super) fn sent(&self) -> Sent {
        self.sent
    }

    /// Rises with each piece of the body that is taken.
    pub(super) fn pieces(&self) -> u64 {
        self.pieces
    }

    /// Whether it is the client that is waited for, not the container.
    pub(super) fn waits_for_body(&self) -> bool {
        self.stage == Stage::Body && self.is_flushed()
    }

    /// Everything, to the last byte, is in the socket's buffer.
    pub(super) fn is_complete(&self) -> bool {
        self.stage == Stage::Ended && self.is_flushed()
    }

    /// The body waits for the container's word.
    pub(super) fn is_held(&self) -> bool {
        self.stage == Stage::Held
    }

    /// The container wants the body (or has kept silent long enough).
    pub(super) fn release(&mut self) {
        if self.stage == Stage::Held {
            self.stage = Stage::Body;
        }
    }

    pub(super) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    pub(super) fn into_body(self) -> B {
        self.body
    }

    fn is_flushed(&self) -> bool {
        self.lead_sent == self.lead.len() && self.data.is_empty() && self.tail.is_empty()
    }

    /// Sends as much as is at hand and the socket takes. Ready when there is nothing more to send, for
    /// good or until [`Sending::release`].
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
    ) -> Poll<Result<(), SendError<B::Error>>> {
        loop {
            let mut waiting = false;
            if self.stage == Stage::Body && self.data.is_empty() && self.tail.is_empty() {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(frame) => self.stage_frame(frame)?,
                    Poll::Pending if self.sent == Sent::Nothing && !self.yielded => {
                        // The listener hands over what it has read of the body once it was asked for it.
                        self.yielded = true;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Pending => waiting = true,
                }
            }
            if self.is_flushed() {
                match self.stage {
                    Stage::Ended | Stage::Held => return Poll::Ready(Ok(())),
                    Stage::Body if waiting => return Poll::Pending,
                    Stage::Body => continue,
                }
            }
            ready!(self.poll_write(cx, stream)).map_err(SendError::Io)?;
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, stream: &mut TcpStream) -> Poll<io::Result<()>> {
        let lead = &self.lead[self.lead_sent..];
        let written = if self.data.is_empty() && self.tail.is_empty() {
            ready!(Pin::new(stream).poll_write(cx, lead))?
        } else {
            let parts = [IoSlice::new(lead), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            ready!(Pin::new(stream).poll_write_vectored(cx, &parts))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_lead = written.min(lead.len());
        let of_data = (written - of_lead).min(self.data.len());
        self.lead_sent += of_lead;
        self.data.advance(of_data);
        self.tail = &self.tail[written - of_lead - of_data..];
        let whole = self.stage == Stage::Ended && self.is_flushed();
        let substance = whole || of_data > 0 || written > of_lead;
        self.sent = self.sent.max(if substance { Sent::Substance } else { Sent::HeadOnly });
        Poll::Ready(Ok(()))
    }

    fn stage_frame(
        &mut self,
        frame: Option<Result<Frame<Bytes>, B::Error>>,
    ) -> Result<(), SendError<B::Error>> {
        match frame.transpose().map_err(SendError::Body)?.map(Frame::into_data) {
            Some(Ok(data)) => self.stage_data(data)?,
            Some(Err(frame)) => {
                self.stage = Stage::Ended;
                match (self.framing, frame.into_trailers()) {
                    (Framing::Chunked, Ok(trailers)) => self.stage_trailers(&trailers),
                    (Framing::Length(rest), _) if rest > 0 => return Err(SendError::Length),
                    _ => {}
                }
            }
            None => {
                self.stage = Stage::Ended;
                match self.framing {
                    Framing::Chunked => self.tail = b"0\r\n\r\n",
                    Framing::Length(rest) if rest > 0 => return Err(SendError::Length),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn stage_data(&mut self, data: Bytes) -> Result<(), SendError<B::Error>> {
        if data.is_empty() {
            return Ok(());
        }
        self.pieces += 1;
        match &mut self.framing {
            Framing::None => return Err(SendError::Length),
            Framing::Length(rest) => {
                *rest = rest.checked_sub(data.len() as u64).ok_or(SendError::Length)?;
                if *rest == 0 {
                    self.stage = Stage::Ended;
                }
            }
            Framing::Chunked => {
                self.clear_sent_lead();
                // Writing to memory doesn't fail.
                let _ = write!(self.lead, "{:x}\r\n", data.len());
                self.tail = b"\r\n";
                // The end goes out with the last piece when the body says that this was it.
                if self.body.is_end_stream() {
                    self.stage = Stage::Ended;
                    self.tail = b"\r\n0\r\n\r\n";
                }
            }
        }
        self.data = data;
        Ok(())
    }

    fn stage_trailers(&mut self, trailers: &http::HeaderMap) {
        self.clear_sent_lead();
        self.lead.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.iter().filter(|(name, _)| hop::may_trail(name)) {
            self.lead.extend_from_slice(name.as_str().as_bytes());
            self.lead.extend_from_slice(b": ");
            self.lead.extend_from_slice(value.as_bytes());
            self.lead.extend_from_slice(b"\r\n");
        }
        self.lead.extend_from_slice(b"\r\n");
    }

    fn clear_sent_lead(&mut self) {
        if self.lead_sent == self.lead.len() {
            self.lead.clear();
            self.lead_sent = 0;
        }
    }
}
