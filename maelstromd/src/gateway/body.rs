//! The body of a response on its way to the client.
//!
//! While it streams it holds everything that the request holds: the exchange with its connection, the
//! slot, the count. Dropped, whenever that is, it gives all of it back: the connection to the pool if the
//! exchange is complete, to the kernel if the client went away.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

use super::{client::Reader, metrics::Recording, replay::RequestBody};
use crate::{router::Slot, upstream::Exchange};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Body of a response of the gateway.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    /// The client that it goes to, where nobody else watches for its leaving.
    client: Option<Arc<Reader>>,
}

#[derive(Debug)]
enum Kind {
    Empty,
    Full(Bytes),
    Stream(Box<Stream>),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

/// A response that a container is still sending.
#[derive(Debug)]
struct Stream {
    /// Until the last byte.
    exchange: Option<Box<Exchange<RequestBody>>>,
    slot: Option<Slot>,
    recording: Option<Recording>,
}

// === impl Body ===

impl Body {
    fn of(kind: Kind) -> Self {
        Self { kind, client: None }
    }

    /// While this body waits for its next piece it watches for the client's leaving.
    pub(super) fn watching(mut self, client: Arc<Reader>) -> Self {
        if matches!(self.kind, Kind::Stream(_) | Kind::Boxed(_)) {
            self.client = Some(client);
        }
        self
    }

    pub fn empty() -> Self {
        Self::of(Kind::Empty)
    }

    pub fn full(bytes: Bytes) -> Self {
        Self::of(if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) })
    }

    pub(super) fn stream(
        exchange: Box<Exchange<RequestBody>>,
        slot: Slot,
        recording: Option<Recording>,
    ) -> Self {
        Self::of(Kind::Stream(Box::new(Stream { exchange: Some(exchange), slot: Some(slot), recording })))
    }

    pub(super) fn boxed<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(Kind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(stream) => stream.poll_frame(cx),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        };
        if frame.is_pending()
            && let Some(client) = &self.client
        {
            ready!(client.poll_gone(cx));
            return Poll::Ready(Some(Err("the client left".into())));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Stream(stream) => stream.exchange.is_none(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => match stream.exchange.as_ref().map(|exchange| exchange.remaining()) {
                None => SizeHint::with_exact(0),
                Some(Some(rest)) => SizeHint::with_exact(rest),
                Some(None) => SizeHint::default(),
            },
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

// === impl Stream ===

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Ready(None) };
        let frame = ready!(exchange.poll_frame(cx));
        match &frame {
            // The last piece of a known length is the end: the slot is free before the client has it.
            Some(Ok(_)) if exchange.remaining() != Some(0) => {}
            Some(Ok(_)) | None => self.finish(),
            Some(Err(failure)) => {
                if let Some(slot) = &self.slot {
                    let endpoint = slot.endpoint();
                    tracing::debug!(component = %endpoint.component, place = %endpoint.place, %failure, "a response broke off");
                }
                self.give_up();
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    /// The connection first, so that whoever gets the slot finds it.
    fn finish(&mut self) {
        if let (Some(exchange), Some(slot)) = (self.exchange.take(), &self.slot) {
            slot.endpoint().connections().finish(exchange);
        }
        self.slot = None;
        self.recording = None;
    }

    fn give_up(&mut self) {
        self.exchange = None;
        self.slot = None;
        self.recording = None;
    }
}
