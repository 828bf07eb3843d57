//! One admitted request on its way to an instance: slot, attempt, and another attempt where the first
//! failed without harm.
//!
//! ```text
//!   slot ──► kept-open connection ──stale──► new connection, same slot
//!    ▲              │                              │ fails before the first byte: the instance is suspect
//!    └──────────────┴── may be repeated ◄──────────┘
//!                   └── may not, or too often: 502 that says so
//! ```

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use maelstrom_core::{component::HttpProtocol, names::InstanceId, time::Moment};
use tokio::time::Instant;

use super::{
    Gateway,
    body::Body,
    context::Context,
    early, forward_h2c, headers,
    metrics::Recording,
    replay::{self, RequestBody},
    respond::Refusal,
    upgrade,
};
use crate::{
    clock,
    router::{Ask, ComponentPool, Slot},
    upstream::{Asked, Exchange, Failure, Framing, Limits, Outgoing, ResponseHead, Sent},
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
    pub(super) pool: Arc<ComponentPool>,
    /// Until the response has it.
    pub(super) recording: Option<Recording>,
}

/// An attempt without an answer, and what it leaves for the next.
pub(super) struct Attempt {
    pub(super) instance: InstanceId,
    pub(super) failure: Failure,
    pub(super) sent: Sent,
    /// A byte of an answer came: nothing is sent twice after that.
    pub(super) answered: bool,
    /// It failed on a connection that had been idle, which says nothing about the instance.
    pub(super) stale: bool,
    /// To be sent again, if it can be.
    pub(super) body: RequestBody,
}

/// A response head with everything that its body needs, or a refusal.
pub(super) type Answer = Result<Response<Body>, Refusal>;

impl Gateway {
    pub(super) async fn forward(&self, admitted: &mut Admitted<'_>) -> Answer {
        let mut avoid: Option<InstanceId> = None;
        let mut tries = 0;
        let mut now = admitted.context.arrived;
        loop {
            let slot = self.slot(admitted, now, avoid.take()).await?;
            tries += 1;
            let attempt = match slot.endpoint().protocol() {
                HttpProtocol::Http1 => self.attempt_http1(admitted, slot).await,
                HttpProtocol::H2c => Box::pin(forward_h2c::attempt(self, admitted, slot)).await,
            };
            let attempt = match attempt {
                Ok(response) => return Ok(response),
                Err(attempt) => attempt,
            };
            now = clock::now();
            avoid = Some(attempt.instance.clone());
            *admitted.body = self.after_failure(admitted, *attempt, tries, now)?;
            admitted.pool.metrics().replayed();
        }
    }

    async fn slot(
        &self,
        admitted: &Admitted<'_>,
        now: Moment,
        avoid: Option<InstanceId>,
    ) -> Result<Slot, Refusal> {
        let bytes_held = WAITING_BYTES + admitted.parts.headers.len() * HEADER_BYTES + admitted.body.held();
        let deadline = admitted.context.deadline;
        let pool = &admitted.pool;
        let acquired = pool.acquire(Ask { now, deadline, bytes_held, avoid }).await;
        let slot = acquired.map_err(|error| Refusal::unavailable(pool.name(), error))?;
        pool.metrics().queued(slot.waited());
        Ok(slot)
    }

    /// The body for another attempt, or why there is none.
    fn after_failure(
        &self,
        admitted: &Admitted<'_>,
        attempt: Attempt,
        tries: u32,
        now: Moment,
    ) -> Result<RequestBody, Refusal> {
        let Attempt { failure, sent, answered, mut body, .. } = attempt;
        let component = admitted.pool.name();
        let instance_failed = matches!(failure, Failure::Connect(_) | Failure::Closed(_) | Failure::Http2(_));
        let repeatable = instance_failed
            && !answered
            && tries < MAX_TRIES
            && now < admitted.context.deadline
            && replay::may_repeat(&admitted.parts.method, sent);
        if repeatable && body.rewind() {
            tracing::debug!(%component, %failure, tries, "an attempt failed and is made again");
            return Ok(body);
        }
        match failure {
            Failure::Deadline => Err(Refusal::Timeout(component.clone())),
            failure => Err(Refusal::Failed { component: component.clone(), failure, sent, tries }),
        }
    }

    async fn attempt_http1(
        &self,
        admitted: &mut Admitted<'_>,
        slot: Slot,
    ) -> Result<Response<Body>, Box<Attempt>> {
        // What can't be sent twice is worth a system call that asks whether the connection still stands.
        let certain = !replay::is_idempotent(&admitted.parts.method);
        let mut kept = slot.endpoint().connections.take(certain);
        loop {
            let connection = match kept.take() {
                Some(connection) => connection,
                None => match Box::pin(slot.endpoint().connections.open()).await {
                    Ok(connection) => connection,
                    Err(failure) => {
                        slot.fail();
                        return Err(Box::new(Attempt {
                            instance: slot.endpoint().id.clone(),
                            failure,
                            sent: Sent::Nothing,
                            answered: false,
                            stale: false,
                            body: admitted.take_body(),
                        }));
                    }
                },
            };
            let mut exchange = self.exchange(admitted, connection);
            let failure = match poll_fn(|cx| exchange.poll_head(cx, &mut admitted.parts.headers)).await {
                Ok(head) => {
                    let whole = exchange.has_sent_all() || Box::pin(early::take_rest(&mut exchange)).await;
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
        connection: Box<crate::upstream::Connection>,
    ) -> Box<Exchange<RequestBody>> {
        let body = admitted.take_body();
        let Admitted { parts, target, context, .. } = admitted;
        let framing = body.framing(&parts.method);
        let has_body = !matches!(framing, Framing::None | Framing::Length(0));
        let expect_continue = has_body
            && parts
                .headers
                .get(header::EXPECT)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let outgoing = Outgoing {
            head: headers::write_http1(parts, target, context, framing, expect_continue),
            framing,
            body,
            asked: Asked { head: parts.method == Method::HEAD, upgrade: context.upgrade },
            expect_continue,
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
                slot.endpoint().connections.finish(exchange);
                Body::full(bytes)
            }
            None => Body::stream(exchange, slot, recording),
        };
        response
    }
}

fn failed(exchange: Box<Exchange<RequestBody>>, failure: Failure, slot: &Slot) -> Box<Attempt> {
    let stale = exchange.is_reused() && matches!(failure, Failure::Closed(_));
    let (sent, answered) = (exchange.sent(), exchange.is_answered());
    let instance = slot.endpoint().id.clone();
    Box::new(Attempt { instance, failure, sent, answered, stale, body: exchange.into_body() })
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
