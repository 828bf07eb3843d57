//! The request's body on its way to a container, and whether a failed attempt may be made again.
//!
//! What was taken of a body is kept up to a bound until the response begins, so that an attempt that
//! failed without having been acted on costs the client nothing.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::upstream::{Framing, Sent};

/// Covers forms, JSON calls and anything that was sent along with its head. What is larger is a
/// transfer, and its sender is asked to repeat it.
const KEPT_BYTES: usize = 64 * 1024;
/// What leaves this node of a body that its reader hasn't begun to read: a stream's window in HTTP/2, and
/// the piece that went over it. A peer that refuses a request has read nothing of it.
const KEPT_BYTES_UNREAD: usize = 320 * 1024;

/// A request's body that can be read again from its beginning, within bounds.
#[derive(Debug)]
pub(super) struct RequestBody {
    source: Source,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    keep: usize,
    /// What of `kept` was given out in this attempt.
    given: usize,
    /// More was taken than is kept.
    spent: bool,
}

#[derive(Debug)]
enum Source {
    Empty,
    Whole(Option<Bytes>),
    Client(Incoming),
}

/// Whether a request whose attempt failed before the first byte of an answer may be sent once more.
/// Safe and idempotent methods may (RFC 9110 §9.2.2); any other only if the container has got too little
/// of it to have acted.
pub(super) fn may_repeat(method: &Method, sent: Sent) -> bool {
    is_idempotent(method) || sent < Sent::Substance
}

pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

// === impl RequestBody ===

impl RequestBody {
    pub(super) fn client(body: Incoming) -> Self {
        Self::new(if body.is_end_stream() { Source::Empty } else { Source::Client(body) })
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::new(if bytes.is_empty() { Source::Empty } else { Source::Whole(Some(bytes)) })
    }

    fn new(source: Source) -> Self {
        Self { source, kept: Vec::new(), kept_bytes: 0, keep: KEPT_BYTES, given: 0, spent: false }
    }

    /// How the body is framed on its way to the container.
    pub(super) fn framing(&self, method: &Method) -> Framing {
        match &self.source {
            // Some servers insist on a length where the method usually has a body.
            Source::Empty if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {
                Framing::Length(0)
            }
            Source::Empty => Framing::None,
            Source::Whole(bytes) => {
                Framing::Length(bytes.as_ref().map_or(self.kept_bytes, Bytes::len) as u64)
            }
            Source::Client(body) => {
                // The parser counts down what it has given out.
                match body.size_hint().exact() {
                    Some(rest) => Framing::Length(rest + self.kept_bytes as u64),
                    None => Framing::Chunked,
                }
            }
        }
    }

    /// Bytes that the client has yet to send, when that is known.
    pub(super) fn rest(&self) -> Option<u64> {
        match &self.source {
            Source::Empty | Source::Whole(_) => Some(0),
            Source::Client(body) => body.size_hint().exact(),
        }
    }

    /// Memory that is held for a repetition.
    pub(super) fn held(&self) -> usize {
        self.kept_bytes
    }

    /// Keeps more than usual: as much as a peer may be sent before it has read anything.
    pub(super) fn keep_unread(&mut self) {
        self.keep = KEPT_BYTES_UNREAD;
    }

    /// Goes back to the beginning; false if that is no longer possible.
    pub(super) fn rewind(&mut self) -> bool {
        self.given = 0;
        !self.spent
    }

    /// No attempt will follow: what is kept is of no use any more.
    pub(super) fn forget(&mut self) {
        if self.given == self.kept.len() {
            self.kept = Vec::new();
            self.kept_bytes = 0;
            self.given = 0;
            self.spent = true;
        }
    }

    fn keep(&mut self, data: &Bytes) {
        if self.spent {
            return;
        }
        if self.kept_bytes + data.len() > self.keep {
            self.spent = true;
            self.kept = Vec::new();
            self.given = 0;
            return;
        }
        self.kept_bytes += data.len();
        self.kept.push(data.clone());
        self.given = self.kept.len();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(data) = self.kept.get(self.given).cloned() {
            self.given += 1;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let frame = match &mut self.source {
            Source::Empty => None,
            Source::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Source::Client(body) => ready!(Pin::new(body).poll_frame(cx)),
        };
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => self.keep(data),
                // Trailers are given out once.
                None => self.spent = true,
            },
            Some(Err(_)) => self.spent = true,
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.given == self.kept.len()
            && match &self.source {
                Source::Empty => true,
                Source::Whole(bytes) => bytes.is_none(),
                Source::Client(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
