//! An attempt on an instance that speaks HTTP/2: the same rules, on a stream of the instance's one
//! connection.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, Version, uri::PathAndQuery};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use super::{
    Gateway,
    body::{Body, BoxError},
    forward::{Admitted, Attempt, Setback, instant_of},
    headers::{self, To},
    metrics::Recording,
    relay::{self, Heard},
    replay::RequestBody,
};
use crate::{
    router::Slot,
    upstream::{Failure, Framing, Held, Sent, hop},
};

pub(super) async fn attempt(
    gateway: &Gateway,
    admitted: &mut Admitted<'_>,
    mut slot: Slot,
) -> Result<Response<Body>, Box<Attempt>> {
    let status = slot.endpoint().peer().map(|peer| peer.status());
    let mut body = admitted.take_body();
    if status.is_some() {
        body.keep_unread();
    }
    let lent = Lent::new(body);
    let to = relay::destination(&slot, gateway.sender(), &admitted.context);
    let request = match request(admitted, to, &lent) {
        Ok(request) => request,
        Err(error) => {
            let failure = Failure::RequestBody(error);
            return Err(lent.failed(failure, true, &slot));
        }
    };
    let sending = slot.endpoint().connections().send_h2c(request);
    let sending = tokio::time::timeout_at(instant_of(&admitted.context), Box::pin(sending));
    let sent = tokio::select! {
        biased;
        sent = sending => sent,
        () = lost(&slot) => return Err(lent.failed(Failure::Lost, false, &slot)),
    };
    let (mut response, held) = match sent {
        Ok(Ok(answer)) => answer,
        Ok(Err(refused)) => match lent.client_failure() {
            Some(failure) => return Err(lent.failed(failure, false, &slot)),
            None => {
                slot.fail();
                return Err(lent.failed(refused.failure, refused.unsent, &slot));
            }
        },
        Err(_) => return Err(lent.failed(Failure::Deadline, false, &slot)),
    };
    if let Some(status) = status
        && relay::heed(&slot, response.headers_mut(), status) == Heard::NotHere
    {
        return Err(lent.set_back(Setback::NotHere, false, &slot));
    }
    slot.first_byte();
    let recording = admitted.recording.take().map(|recording| recording.answered(response.status()));
    lent.forget();
    let (mut parts, incoming) = response.into_parts();
    parts.version = Version::HTTP_11;
    parts.headers = std::mem::take(&mut parts.headers)
        .into_iter()
        .scan(None, |last, (name, value)| {
            *last = name.or(last.take());
            Some((last.clone(), value))
        })
        .filter_map(|(name, value)| name.filter(|name| !hop::is_hop_by_hop(name)).map(|name| (name, value)))
        .fold(http::HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
    let idle = gateway.limits(&admitted.context).response_idle;
    let stream = Streaming {
        incoming,
        pieces_seen: lent.pieces(),
        lent,
        idle,
        moved_at: Instant::now(),
        timer: Box::pin(tokio::time::sleep(idle)),
        slot: Some(slot),
        recording,
        _held: held,
    };
    Ok(Response::from_parts(parts, Body::boxed(stream)))
}

/// Returns when the peer is lost that the slot leads to.
async fn lost(slot: &Slot) {
    match slot.endpoint().peer() {
        Some(peer) => peer.lost().cancelled_owned().await,
        None => std::future::pending().await,
    }
}

fn request(
    admitted: &Admitted<'_>,
    to: To<'_>,
    lent: &Lent,
) -> Result<Request<http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>>, BoxError> {
    let Admitted { parts, target, context, .. } = admitted;
    let framing = lent.framing(&parts.method);
    let host = if context.host.is_empty() { "localhost" } else { context.host };
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(http::uri::Scheme::HTTP);
    uri.authority = Some(host.parse()?);
    uri.path_and_query = Some(PathAndQuery::try_from(*target)?);
    let mut request = Request::new(match framing {
        Framing::None | Framing::Length(0) => {
            http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
        }
        _ => lent.clone().boxed_unsync(),
    });
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = Uri::from_parts(uri)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers::collect_http2(parts, context, to, framing);
    Ok(request)
}

/// A request's body lent to the HTTP/2 client, which keeps what it is given: so it can be had back when
/// the attempt fails.
#[derive(Clone, Debug)]
struct Lent {
    shared: Arc<Mutex<LentState>>,
}

#[derive(Debug)]
struct LentState {
    body: Option<RequestBody>,
    /// Pieces of it that were given away.
    pieces: u64,
    has_body: bool,
    /// Why the client's side of it ended early.
    failed: Option<String>,
}

// === impl Lent ===

impl Lent {
    fn new(body: RequestBody) -> Self {
        let has_body = !body.is_end_stream();
        let state = LentState { body: Some(body), pieces: 0, has_body, failed: None };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    fn framing(&self, method: &http::Method) -> Framing {
        self.shared.lock().body.as_ref().map_or(Framing::None, |body| body.framing(method))
    }

    fn forget(&self) {
        if let Some(body) = &mut self.shared.lock().body {
            body.forget();
        }
    }

    /// The client's fault, if it is that: the instance has none then.
    fn client_failure(&self) -> Option<Failure> {
        let failed = self.shared.lock().failed.take()?;
        Some(Failure::RequestBody(failed.into()))
    }

    fn pieces(&self) -> u64 {
        self.shared.lock().pieces
    }

    /// The body comes back; the client's handle finds nothing any more.
    fn failed(&self, failure: Failure, unsent: bool, slot: &Slot) -> Box<Attempt> {
        self.set_back(Setback::Failed(failure), unsent, slot)
    }

    fn set_back(&self, setback: Setback, unsent: bool, slot: &Slot) -> Box<Attempt> {
        let mut state = self.shared.lock();
        let sent = match (unsent, state.pieces > 0, state.has_body) {
            (true, ..) => Sent::Nothing,
            (false, false, true) => Sent::HeadOnly,
            _ => Sent::Substance,
        };
        let body = state.body.take().unwrap_or_else(|| RequestBody::whole(Bytes::new()));
        let place = slot.endpoint().place.clone();
        Box::new(Attempt { place, setback, sent, answered: false, stale: false, body })
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.shared.lock();
        let Some(body) = &mut state.body else {
            return Poll::Ready(Some(Err("the attempt was given up".into())));
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        state.pieces += u64::from(frame.is_some());
        if let Some(Err(error)) = &frame {
            state.failed = Some(error.to_string());
        }
        Poll::Ready(frame.map(|frame| frame.map(sound_trailers).map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.shared.lock().body.as_ref().is_some_and(HttpBody::is_end_stream)
    }
}

fn sound_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(
            trailers
                .iter()
                .filter(|(name, _)| hop::may_trail(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        ),
        Err(frame) => frame,
    }
}

/// A response that is still coming, with everything that it holds.
struct Streaming {
    incoming: Incoming,
    /// The request may still be under way: a stream on which only the client speaks is alive, too.
    lent: Lent,
    pieces_seen: u64,
    idle: Duration,
    moved_at: Instant,
    timer: Pin<Box<Sleep>>,
    slot: Option<Slot>,
    recording: Option<Recording>,
    _held: Held,
}

impl HttpBody for Streaming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
                self.moved_at = Instant::now();
                if !matches!(&frame, Some(Ok(_))) {
                    self.slot = None;
                    self.recording = None;
                }
                return Poll::Ready(frame.map(|frame| frame.map(sound_trailers).map_err(Into::into)));
            }
            ready!(self.timer.as_mut().poll(cx));
            let pieces = self.lent.pieces();
            if pieces != self.pieces_seen {
                self.pieces_seen = pieces;
                self.moved_at = Instant::now();
            }
            let until = self.moved_at + self.idle;
            if Instant::now() >= until {
                self.slot = None;
                self.recording = None;
                return Poll::Ready(Some(Err(Failure::Stalled.into())));
            }
            self.timer.as_mut().reset(until);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
