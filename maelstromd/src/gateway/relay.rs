//! A request on its way from the node that got it to the node that serves it, as both of them see it.
//!
//! ```text
//!   client ─► this node: slot at a peer ─► private gateway of the peer: own instances only ─► instance
//!                  ▲                                     │
//!                  └── not here: elsewhere, or wait ◄────┤ 503, MAELSTROM-NOT-HERE: nothing was done
//!                      what is going on there     ◄──────┘ MAELSTROM-LOAD, with every other answer
//! ```
//! The node that got the request applies all header rules; the peer adds nothing, so that an instance can't
//! tell the difference. A peer serves on its own instances or not at all: a request never travels twice. A
//! body that couldn't be sent again is held back until the peer has a slot for it.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use maelstrom_core::{
    decide::pool::Reach,
    names::{ComponentName, NodeId},
};

use super::{
    Gateway, Target,
    body::Body,
    context::Context,
    headers::{self, To},
    replay,
    respond::{self, Refusal},
};
use crate::{
    clock,
    router::{AcquireError, ComponentPool, Slot},
    upstream::Framing,
};

/// Set by a peer that has no instance of the component and did nothing.
pub(super) const NOT_HERE: HeaderName = HeaderName::from_static("maelstrom-not-here");
/// Requests that run or wait at a peer, `/`, the instances for them.
const LOAD: HeaderName = HeaderName::from_static("maelstrom-load");

/// Peers that may turn out to have no instance before the request is given up: what nodes know of each
/// other is milliseconds old, and after so many times it isn't that.
pub(super) const MAX_MISSES: u32 = 20;
/// A request passes two nodes; a longer path is a circle that nobody has noticed.
const MAX_PATH: usize = 8;
/// Between the ids in the path.
const SEPARATOR: u8 = b'|';
/// Idempotent requests with a body of this size go at once; more is worth asking whether it is wanted.
const STRAIGHT_BYTES: u64 = 16 * 1024;

/// A node's id as it stands in the path of a request.
#[derive(Clone, Debug)]
pub(super) struct RelayName(String);

// === impl RelayName ===

impl RelayName {
    /// Ids are what people make them: what can't stand in a header, or between two separators, becomes `_`.
    pub(super) fn new(node: &NodeId) -> Self {
        let fits = |c: char| c.is_ascii_graphic() && c != char::from(SEPARATOR);
        Self(node.as_str().chars().map(|c| if fits(c) { c } else { '_' }).collect())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who relays, as the peer is told.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) name: &'a RelayName,
    /// That it is a node of the cluster.
    pub(super) proof: Option<&'a HeaderValue>,
}

// === the node that serves ===

/// Whether a peer has sent the request, to be served here.
pub(super) fn is_relayed(headers: &HeaderMap) -> bool {
    headers.contains_key(headers::RELAY_PATH) && headers.contains_key(headers::COMPONENT)
}

impl Gateway {
    /// The component of a relayed request.
    pub(super) fn relayed_target(&self, headers: &HeaderMap) -> Result<Target, Refusal> {
        let name = headers.get(headers::COMPONENT).ok_or(Refusal::NoRoute)?;
        let path = headers.get(headers::RELAY_PATH).map_or(&b""[..], HeaderValue::as_bytes);
        let passed = path.split(|byte| *byte == SEPARATOR).map(<[u8]>::trim_ascii);
        if passed.clone().count() > MAX_PATH || passed.clone().any(|id| id == self.name.as_str().as_bytes()) {
            return Err(Refusal::Circle {
                component: String::from_utf8_lossy(name.as_bytes()).into_owned(),
                node: self.name.as_str().to_owned(),
                path: String::from_utf8_lossy(path).into_owned(),
            });
        }
        // What this node hasn't heard of yet, or no more, may run elsewhere.
        let target = self.named(name).map_err(|_| Refusal::NotHere)?;
        Ok(Target { reach: Reach::Here, ..target })
    }
}

/// The answer for the peer that has sent the request.
pub(super) fn answer_to_peer(
    pool: &ComponentPool,
    answer: Result<Response<Body>, Refusal>,
    version: http::Version,
) -> Response<Body> {
    let mut response = match answer {
        Ok(mut response) => {
            // Only gateways say this.
            response.headers_mut().remove(NOT_HERE);
            response
        }
        Err(Refusal::Unavailable {
            error: AcquireError::NotHere | AcquireError::ShuttingDown | AcquireError::Removed,
            ..
        }) => return not_here(),
        Err(refusal) => refusal.response(version),
    };
    pool.metrics().relayed_in();
    let (in_flight, instances) = pool.told();
    if let Ok(load) = HeaderValue::try_from(format!("{in_flight}/{instances}")) {
        response.headers_mut().insert(LOAD, load);
    }
    response
}

/// Nothing was done, and not a byte of the body was read in vain.
pub(super) fn not_here() -> Response<Body> {
    let text = "gateway: this node has no instance of the component";
    let mut response = respond::text(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(NOT_HERE, HeaderValue::from_static("1"));
    response
}

/// Nobody but a peer has a request served here and nowhere else, under a name that others told. A peer whose
/// secret is another one sends it elsewhere.
pub(super) fn not_a_peer() -> Response<Body> {
    let text = "gateway: MAELSTROM-RELAY-PATH is for nodes of the cluster, and nothing proves that this request is \
        from one: leave the header away, or give all nodes the same MAEL_CLUSTER_SECRET";
    let mut response = respond::text(StatusCode::FORBIDDEN, text);
    response.headers_mut().insert(NOT_HERE, HeaderValue::from_static("1"));
    response
}

// === the node that sends ===

/// What a peer has said with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Answer,
    /// It has no instance and did nothing.
    NotHere,
}

/// What the headers of a request to `slot` are made for.
pub(super) fn destination<'a>(slot: &'a Slot, sender: Sender<'a>, context: &Context<'_>) -> To<'a> {
    if slot.endpoint().peer().is_none() {
        return To::Instance;
    }
    // Rounded up: the deadline is kept here, and the peer is not to be earlier.
    let left = context.deadline.since(clock::now());
    let millis = left.as_nanos().div_ceil(1_000_000);
    To::Peer {
        component: &slot.endpoint().component,
        path: sender.name.as_str(),
        proof: sender.proof,
        timeout_ms: u64::try_from(millis).unwrap_or(u64::MAX),
    }
}

/// Whether a relayed body waits for the peer's word. One that couldn't be sent again does: the peer may
/// have to queue the request, and may be gone before its turn comes.
pub(super) fn holds_body(method: &Method, framing: Framing) -> bool {
    framing.has_body() && !(replay::is_idempotent(method) && framing.is_at_most(STRAIGHT_BYTES))
}

/// Takes out of a peer's answer what is for this node alone.
pub(super) fn heed(slot: &Slot, headers: &mut HeaderMap, status: u64) -> Heard {
    if headers.remove(NOT_HERE).is_some() {
        slot.missing(status);
        return Heard::NotHere;
    }
    if let Some((in_flight, instances)) = headers.remove(LOAD).as_ref().and_then(load) {
        slot.heard(in_flight, instances);
    }
    slot.pool().metrics().relayed_out();
    Heard::Answer
}

fn load(value: &HeaderValue) -> Option<(u32, u32)> {
    let (in_flight, instances) = value.to_str().ok()?.split_once('/')?;
    Some((in_flight.parse().ok()?, instances.parse().ok()?))
}

/// A name for the text of a refusal.
pub(super) fn subject(component: &ComponentName, node: Option<&NodeId>) -> String {
    match node {
        None => format!("component {component}"),
        Some(node) => format!("node {node}, which serves component {component},"),
    }
}

/// The header that goes with an `Expect` of this node's own: the peer's instance is not to be asked.
pub(super) const HELD: (HeaderName, HeaderValue) =
    (HeaderName::from_static("maelstrom-body-held"), HeaderValue::from_static("1"));

/// Whether the client itself waits for the instance's word about its body.
pub(super) fn client_expects(headers: &HeaderMap, relayed: bool) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
        && !(relayed && headers.contains_key(&HELD.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_two_numbers() {
        let of = |text: &'static str| load(&HeaderValue::from_static(text));
        assert_eq!(of("12/3"), Some((12, 3)));
        assert_eq!(of("0/0"), Some((0, 0)));
        for bad in ["", "/", "1", "1/", "-1/2", "1/2/3", "a/b", "1 / 2"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_node_of_any_name_can_stand_in_a_path() {
        let name = |node: &str| RelayName::new(&NodeId::new(node)).as_str().to_owned();
        assert_eq!(name("i-0abc.eu_1"), "i-0abc.eu_1");
        assert_eq!(name("a|b\r\nX: y ä"), "a_b__X:_y__");
    }

    #[test]
    fn what_can_be_sent_again_goes_at_once() {
        let cases = [
            (Method::GET, Framing::None, false),
            (Method::PUT, Framing::Length(STRAIGHT_BYTES), false),
            (Method::PUT, Framing::Length(STRAIGHT_BYTES + 1), true),
            (Method::PUT, Framing::Chunked, true),
            (Method::POST, Framing::Length(0), false),
            (Method::POST, Framing::None, false),
            (Method::POST, Framing::Length(1), true),
            (Method::PATCH, Framing::Chunked, true),
        ];
        for (method, framing, held) in cases {
            assert_eq!(holds_body(&method, framing), held, "{method} {framing:?}");
        }
    }
}
