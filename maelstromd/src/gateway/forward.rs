//! One admitted request on its way to an instance, here or at a peer: slot, attempt, and another attempt
//! where the first failed without harm.
//!
//! ```text
//!   slot ──► kept-open connection ──stale──► new connection, same slot
//!    ▲              │                              │ fails before the first byte: instance or peer is suspect
//!    ├──────────────┴── may be repeated ◄──────────┤
//!    │              └── may not, or too often: 502 that says so
//!    └─────────────────────── the peer has no instance: that seat is gone, another is looked for
//! ```

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use maelstrom_core::{
    component::HttpProtocol,
    decide::pool::{Place, Reach},
    time::Moment,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Gateway,
    body::Body,
    context::Context,
    early, forward_h2c,
    headers::{self, Expecting},
    metrics::Recording,
    relay::{self, Heard},
    replay::{self, RequestBody},
    respond::Refusal,
    upgrade,
};
use crate::{
    clock,
    router::{Ask, ComponentPool, Slot},
    upstream::{Asked, Connection, Exchange, Expect, Failure, Limits, Outgoing, ResponseHead, Sent},
};

/// Instances that one request may meet before its client hears of it: beyond this it is the component
/// that fails, not an instance.
const MAX_TRIES: u32 = 4;
/// What a request holds while it waits, beside what of its body was read.
const WAITING_BYTES: usize = 512;
/// Of each header, roughly.
const HEADER_BYTES: usize = 64;

/// A request that has its component.
pub(super) struct Admitted<'a> {
    pub(super) parts: &'a mut Parts,
    /// Path and query as the container gets them.
    pub(super) target: &'a str,
    pub(super) body: &'a mut RequestBody,
    pub(super) context: Context<'a>,
    /// The client's connection, if it is to become a tunnel.
    pub(super) upgrade: Option<upgrade::Offer>,
    pub(super) pool: &'a Arc<ComponentPool>,
    /// Until the response has it.
    pub(super) recording: Option<Recording>,
    /// The client may wait for a word about its body before it sends it; known once it has been forwarded.
    pub(super) client_waits: bool,
}

/// An attempt without an answer, and what it leaves for the next.
pub(super) struct Attempt {
    pub(super) place: Place,
    pub(super) setback: Setback,
    pub(super) sent: Sent,
    /// A byte of an answer came: nothing is sent twice after that.
    pub(super) answered: bool,
    /// It failed on a connection that had been idle, which says nothing about the instance.
    pub(super) stale: bool,
    /// To be sent again, if it can be.
    pub(super) body: RequestBody,
}

struct Failed<'a> {
    place: &'a Place,
    failure: Failure,
    sent: Sent,
    answered: bool,
}

/// Why there is no answer.
pub(super) enum Setback {
    Failed(Failure),
    /// The peer has no instance of the component and did nothing.
    NotHere,
}

/// A response head with everything that its body needs, or a refusal.
pub(super) type Answer = Result<Response<Body>, Refusal>;

impl Gateway {
    pub(super) async fn forward(&self, admitted: &mut Admitted<'_>) -> Answer {
        let mut avoid: Option<Place> = None;
        let (mut tries, mut misses) = (0, 0);
        let mut now = admitted.context.arrived;
        loop {
            let slot = self.slot(admitted, now, avoid.take()).await?;
            let attempt = match slot.endpoint().protocol() {
                HttpProtocol::Http1 => self.attempt_http1(admitted, slot).await,
                HttpProtocol::H2c => Box::pin(forward_h2c::attempt(self, admitted, slot)).await,
            };
            let attempt = match attempt {
                Ok(response) => return Ok(response),
                Err(attempt) => attempt,
            };
            now = clock::now();
            let Attempt { place, setback, sent, answered, body, .. } = *attempt;
            *admitted.body = match setback {
                Setback::Failed(failure) => {
                    tries += 1;
                    let failed = Failed { place: &place, failure, sent, answered };
                    let body = after_failure(admitted, failed, body, tries, now)?;
                    admitted.pool.metrics().replayed();
                    avoid = Some(place);
                    body
                }
                Setback::NotHere => {
                    misses += 1;
                    after_miss(admitted, &place, body, misses)?
                }
            };
        }
    }

    async fn slot(
        &self,
        admitted: &Admitted<'_>,
        now: Moment,
        avoid: Option<Place>,
    ) -> Result<Slot, Refusal> {
        let bytes_held = WAITING_BYTES + admitted.parts.headers.len() * HEADER_BYTES + admitted.body.held();
        let deadline = admitted.context.deadline;
        let reach = if admitted.context.relayed { Reach::Here } else { Reach::Anywhere };
        let pool = admitted.pool;
        let acquired = pool.acquire(Ask { now, deadline, bytes_held, avoid, reach }).await;
        let slot = acquired.map_err(|error| Refusal::unavailable(pool.name(), error))?;
        pool.metrics().queued(slot.waited());
        Ok(slot)
    }

    async fn attempt_http1(
        &self,
        admitted: &mut Admitted<'_>,
        slot: Slot,
    ) -> Result<Response<Body>, Box<Attempt>> {
        // What can't be sent twice is worth a system call that asks whether the connection still stands.
        let certain = !replay::is_idempotent(&admitted.parts.method);
        let mut kept = slot.endpoint().connections().take(certain);
        let (status, lost) = slot.endpoint().peer().map_or((0, None), |p| (p.status(), Some(p.lost())));
        loop {
            let connection = match kept.take() {
                Some(connection) => connection,
                None => match Box::pin(open(admitted, &slot)).await {
                    Ok(connection) => connection,
                    Err(failure) => {
                        if !matches!(failure, Failure::Deadline) {
                            slot.fail();
                        }
                        return Err(Box::new(Attempt {
                            place: slot.endpoint().place.clone(),
                            setback: Setback::Failed(failure),
                            sent: Sent::Nothing,
                            answered: false,
                            stale: false,
                            body: admitted.take_body(),
                        }));
                    }
                },
            };
            let mut exchange = self.exchange(admitted, connection, &slot);
            let headers = &mut admitted.parts.headers;
            let head = match &lost {
                None => poll_fn(|cx| exchange.poll_head(cx, headers)).await,
                Some(lost) => Box::pin(head_of_peer(&mut exchange, headers, lost)).await,
            };
            let failure = match head {
                Ok(mut head) => {
                    if slot.endpoint().peer().is_some()
                        && relay::heed(&slot, &mut head.headers, status) == Heard::NotHere
                    {
                        return Err(missed(exchange, &slot));
                    }
                    let waits = admitted.client_waits;
                    let whole =
                        exchange.has_sent_all() || Box::pin(early::take_rest(&mut exchange, waits)).await;
                    let mut response = self.response(admitted, exchange, head, slot);
                    if !whole {
                        early::announce_end(&mut response, admitted.parts.version);
                    }
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            let closed = matches!(failure, Failure::Closed(_));
            let mut attempt = failed(exchange, failure, &slot);
            if !attempt.stale {
                if closed {
                    slot.fail();
                }
                return Err(attempt);
            }
            let again = replay::may_repeat(&admitted.parts.method, attempt.sent) && attempt.body.rewind();
            if !again {
                return Err(attempt);
            }
            admitted.pool.metrics().replayed();
            *admitted.body = attempt.body;
        }
    }

    fn exchange(
        &self,
        admitted: &mut Admitted<'_>,
        connection: Box<Connection>,
        slot: &Slot,
    ) -> Box<Exchange<RequestBody>> {
        let body = admitted.take_body();
        let Admitted { parts, target, context, client_waits, .. } = admitted;
        let framing = body.framing(&parts.method);
        *client_waits = framing.has_body() && relay::client_expects(&parts.headers, context.relayed);
        let at_peer = slot.endpoint().peer().is_some();
        let expecting = if *client_waits {
            Expecting::Client
        } else if at_peer && relay::holds_body(&parts.method, framing) {
            Expecting::Gateway
        } else {
            Expecting::Nobody
        };
        let to = relay::destination(slot, self.sender(), context);
        let outgoing = Outgoing {
            head: headers::write_http1(parts, target, context, to, framing, expecting),
            framing,
            body,
            asked: Asked { head: parts.method == Method::HEAD, upgrade: context.upgrade },
            expect: match (expecting, at_peer) {
                (Expecting::Nobody, _) => Expect::No,
                (_, false) => Expect::Briefly,
                (_, true) => Expect::Patiently,
            },
        };
        // Boxed, since it moves into the response's body; and what waits in a future should be small.
        Box::new(Exchange::new(connection, outgoing, self.limits(context)))
    }

    pub(super) fn limits(&self, context: &Context<'_>) -> Limits {
        Limits {
            deadline: instant_of(context),
            request_idle: self.settings.read_timeout,
            response_idle: self.settings.write_timeout,
        }
    }

    /// The response, with the body that carries slot and connection on.
    fn response(
        &self,
        admitted: &mut Admitted<'_>,
        mut exchange: Box<Exchange<RequestBody>>,
        head: ResponseHead,
        mut slot: Slot,
    ) -> Response<Body> {
        slot.first_byte();
        exchange.body_mut().forget();
        let ResponseHead { status, headers, .. } = head;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let recording = admitted.recording.take().map(|recording| recording.answered(status));
        if status == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(offer) = admitted.upgrade.take() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                offer.accept(exchange, slot, recording, self.settings.tunnel_idle_timeout);
            }
            return response;
        }
        *response.body_mut() = match exchange.take_whole_body() {
            Some(bytes) => {
                slot.endpoint().connections().finish(exchange);
                Body::full(bytes)
            }
            None => Body::stream(exchange, slot, recording),
        };
        response
    }
}

/// The head of a peer's answer, unless it is lost before.
async fn head_of_peer(
    exchange: &mut Exchange<RequestBody>,
    headers: &mut HeaderMap,
    lost: &CancellationToken,
) -> Result<ResponseHead, Failure> {
    tokio::select! {
        biased;
        head = poll_fn(|cx| exchange.poll_head(cx, headers)) => head,
        () = lost.cancelled() => Err(Failure::Lost),
    }
}

/// The body for another attempt, or why there is none.
fn after_failure(
    admitted: &Admitted<'_>,
    failed: Failed<'_>,
    mut body: RequestBody,
    tries: u32,
    now: Moment,
) -> Result<RequestBody, Refusal> {
    let Failed { place, failure, sent, answered } = failed;
    let component = admitted.pool.name();
    let instance_failed =
        matches!(failure, Failure::Connect(_) | Failure::Closed(_) | Failure::Http2(_) | Failure::Lost);
    let repeatable = instance_failed
        && !answered
        && tries < MAX_TRIES
        && now < admitted.context.deadline
        && replay::may_repeat(&admitted.parts.method, sent);
    if repeatable && body.rewind() {
        tracing::debug!(%component, %place, %failure, tries, "an attempt failed and is made again");
        return Ok(body);
    }
    let node = match place {
        Place::Here(_) => None,
        Place::There(node) => Some(node.clone()),
    };
    match failure {
        Failure::Deadline => Err(Refusal::Timeout(component.clone())),
        failure => Err(Refusal::Failed { component: component.clone(), node, failure, sent, tries }),
    }
}

/// The body for elsewhere. What a peer didn't act on may be sent again, whatever it is.
fn after_miss(
    admitted: &Admitted<'_>,
    place: &Place,
    mut body: RequestBody,
    misses: u32,
) -> Result<RequestBody, Refusal> {
    let component = admitted.pool.name();
    tracing::debug!(%component, %place, misses, "a peer has no instance any more");
    let why = match (body.rewind(), misses < relay::MAX_MISSES) {
        (true, true) => return Ok(body),
        (false, _) => "too much of its body was sent already",
        (true, false) => "nodes keep naming others that have none either",
    };
    Err(Refusal::Missed { component: component.clone(), place: place.clone(), why })
}

fn failed(exchange: Box<Exchange<RequestBody>>, failure: Failure, slot: &Slot) -> Box<Attempt> {
    let stale = exchange.is_reused() && matches!(failure, Failure::Closed(_));
    let (sent, answered) = (exchange.sent(), exchange.is_answered());
    let place = slot.endpoint().place.clone();
    let setback = Setback::Failed(failure);
    Box::new(Attempt { place, setback, sent, answered, stale, body: exchange.into_body() })
}

/// The peer's answer is small and has come with its head: the connection can be kept if nothing was held
/// back on it.
fn missed(mut exchange: Box<Exchange<RequestBody>>, slot: &Slot) -> Box<Attempt> {
    let place = slot.endpoint().place.clone();
    let (sent, setback) = (exchange.sent(), Setback::NotHere);
    let body = std::mem::replace(exchange.body_mut(), RequestBody::whole(bytes::Bytes::new()));
    if exchange.take_whole_body().is_some() {
        slot.endpoint().connections().finish(exchange);
    }
    Box::new(Attempt { place, setback, sent, answered: true, stale: false, body })
}

/// A new connection, no later than the request's deadline.
async fn open(admitted: &Admitted<'_>, slot: &Slot) -> Result<Box<Connection>, Failure> {
    let opening = slot.endpoint().connections().open();
    let opened = tokio::time::timeout_at(instant_of(&admitted.context), opening).await;
    opened.unwrap_or(Err(Failure::Deadline))
}

/// The deadline on the runtime's clock.
pub(super) fn instant_of(context: &Context<'_>) -> Instant {
    /// Beyond this the runtime's timers round anyway.
    const FAR: Duration = Duration::from_secs(86_400 * 365);
    Instant::now() + context.deadline.since(clock::now()).min(FAR)
}

// === impl Admitted ===

impl Admitted<'_> {
    pub(super) fn take_body(&mut self) -> RequestBody {
        std::mem::replace(self.body, RequestBody::whole(bytes::Bytes::new()))
    }
}
