//! What a container, or the peer that has it, is told of a request: the header rules, applied while the head is written, so that a
//! request's headers are walked once and never copied into a second map (HTTP/1.1), or into the map that
//! HTTP/2 wants.
//!
//! Rules: hop-by-hop headers and those that `Connection` names stay here; the client's address is added to
//! `X-Forwarded-For`; the other `X-Forwarded-*` are believed only of trusted hops; trace and request id are
//! passed on or begun; of `MAELSTROM-*` a container gets what the gateway knows, never what it was told by
//! the public side. A peer is told besides which component is meant, how much time is left, and who sends
//! it; it adds nothing itself.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use maelstrom_core::names::ComponentName;

use super::{
    context::{Context, Side},
    relay, trace,
};
use crate::{
    access::PEER,
    upstream::{
        Framing,
        hop::{self, ConnectionOptions},
    },
};

pub(super) const COMPONENT: HeaderName = HeaderName::from_static("maelstrom-component");
pub(super) const DEADLINE_NANO: HeaderName = HeaderName::from_static("maelstrom-deadline-nano");
pub(super) const START_NANO: HeaderName = HeaderName::from_static("maelstrom-start-nano");
pub(super) const TIMEOUT_MS: HeaderName = HeaderName::from_static("maelstrom-timeout-ms");
pub(super) const RELAY_PATH: HeaderName = HeaderName::from_static("maelstrom-relay-path");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const OURS: &[u8] = b"maelstrom";

/// A head of usual size: one allocation.
const HEAD_BYTES: usize = 1024;
/// Of the lines that the gateway adds.
const ADDED_BYTES: usize = 400;

/// Whom the headers are for.
#[derive(Clone, Copy)]
pub(super) enum To<'a> {
    Instance,
    Peer { component: &'a ComponentName, path: &'a str, timeout_ms: u64, proof: Option<&'a HeaderValue> },
}

/// Where headers are written to.
trait Sink {
    fn put(&mut self, name: &HeaderName, value: &[u8]);
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, name: &HeaderName, value: &[u8]) {
        self.extend_from_slice(name.as_str().as_bytes());
        self.extend_from_slice(b": ");
        self.extend_from_slice(value);
        self.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put(name, value.as_bytes());
    }
}

impl Sink for HeaderMap {
    fn put(&mut self, name: &HeaderName, value: &[u8]) {
        // All that is put comes from checked values and numbers.
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.append(name.clone(), value);
        }
    }

    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name.clone(), value.clone());
    }
}

/// Who wants to hear `100 Continue` before the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expecting {
    Nobody,
    Client,
    /// This gateway, of the peer's.
    Gateway,
}

/// What becomes of a header that came in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Pass,
    Drop,
    ForwardedFor,
    /// Believed of a trusted hop, set anew otherwise.
    ForwardedHost,
    ForwardedPort,
    ForwardedProto,
    RequestId,
    Trace,
}

/// By length first: most names are settled by that or one comparison.
#[inline]
fn rule(name: &HeaderName, side: Side) -> Rule {
    let text = name.as_str();
    match text.len() {
        4 if *name == header::HOST => return Rule::Drop,
        // "Proxy" becomes the variable HTTP_PROXY in a CGI program: never a header of its own right.
        5 if text == "proxy" => return Rule::Drop,
        6 if *name == header::EXPECT => return Rule::Drop,
        11 if *name == TRACEPARENT => return Rule::Trace,
        12 if *name == X_REQUEST_ID => return Rule::RequestId,
        14 if *name == header::CONTENT_LENGTH => return Rule::Drop,
        15 if *name == X_FORWARDED_FOR => return Rule::ForwardedFor,
        16 if *name == X_FORWARDED_HOST => return Rule::ForwardedHost,
        16 if *name == X_FORWARDED_PORT => return Rule::ForwardedPort,
        17 if *name == X_FORWARDED_PROTO => return Rule::ForwardedProto,
        _ => {}
    }
    if hop::is_hop_by_hop(name) || is_ours(name, side) { Rule::Drop } else { Rule::Pass }
}

/// From outside everything of that name is dropped, however the word is joined: a container that reads
/// its headers as variables can't tell `_` from `-`.
#[inline]
fn is_ours(name: &HeaderName, side: Side) -> bool {
    if !name.as_str().as_bytes().starts_with(OURS) {
        return false;
    }
    let joined = name.as_str().as_bytes().get(OURS.len());
    match side {
        Side::Public => matches!(joined, Some(b'-' | b'_')),
        Side::Private => {
            [COMPONENT, DEADLINE_NANO, START_NANO, TIMEOUT_MS, RELAY_PATH, relay::HELD.0, PEER].contains(name)
        }
    }
}

/// Which of the headers that are set if missing have been seen.
#[derive(Default)]
struct Seen {
    host: bool,
    port: bool,
    proto: bool,
    request_id: bool,
    trace: bool,
}

/// The whole head of an HTTP/1.1 request, up to and with the empty line.
pub(super) fn write_http1(
    parts: &Parts,
    target: &str,
    context: &Context<'_>,
    to: To<'_>,
    framing: Framing,
    expect: Expecting,
) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES.max(ADDED_BYTES + target.len() + size_of(&parts.headers)));
    head.extend_from_slice(parts.method.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    head.put(&header::HOST, context.host.as_bytes());
    let options = connection_options(&parts.headers);
    write_rules(parts, context, to, &options, &mut head);
    match framing {
        Framing::None => {}
        Framing::Length(length) => head.put(&header::CONTENT_LENGTH, Number::of(length).as_bytes()),
        Framing::Chunked => head.put(&header::TRANSFER_ENCODING, b"chunked"),
    }
    if expect != Expecting::Nobody {
        head.put(&header::EXPECT, b"100-continue");
    }
    if expect == Expecting::Gateway {
        head.pass(&relay::HELD.0, &relay::HELD.1);
    }
    if context.upgrade {
        for protocol in parts.headers.get_all(header::UPGRADE) {
            head.pass(&header::UPGRADE, protocol);
        }
        head.put(&header::CONNECTION, b"upgrade");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The same headers for HTTP/2, where the host is the request's authority.
pub(super) fn collect_http2(parts: &Parts, context: &Context<'_>, to: To<'_>, framing: Framing) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(parts.headers.len() + 8);
    let options = connection_options(&parts.headers);
    write_rules(parts, context, to, &options, &mut headers);
    if let Framing::Length(length) = framing {
        headers.put(&header::CONTENT_LENGTH, Number::of(length).as_bytes());
    }
    // The one value of TE that HTTP/2 knows; gRPC asks for it.
    let wants_trailers = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    };
    if parts.headers.get_all(header::TE).iter().any(wants_trailers) {
        headers.put(&header::TE, b"trailers");
    }
    headers
}

fn write_rules(
    parts: &Parts,
    context: &Context<'_>,
    to: To<'_>,
    options: &ConnectionOptions,
    sink: &mut impl Sink,
) {
    let mut seen = Seen::default();
    let mut forwarded_for: Vec<u8> = Vec::new();
    let trusted = context.side == Side::Private;
    for (name, value) in &parts.headers {
        let rule = rule(name, context.side);
        if rule == Rule::Drop || options.names(name.as_str()) {
            continue;
        }
        let pass = match rule {
            Rule::Pass => true,
            Rule::Drop => false,
            Rule::ForwardedFor => {
                forwarded_for.extend_from_slice(value.as_bytes());
                forwarded_for.extend_from_slice(b", ");
                false
            }
            Rule::ForwardedHost => trusted && !std::mem::replace(&mut seen.host, trusted),
            Rule::ForwardedPort => trusted && !std::mem::replace(&mut seen.port, trusted),
            Rule::ForwardedProto => trusted && !std::mem::replace(&mut seen.proto, trusted),
            Rule::RequestId => !std::mem::replace(&mut seen.request_id, true),
            Rule::Trace => {
                trace::is_traceparent(value.as_bytes()) && !std::mem::replace(&mut seen.trace, true)
            }
        };
        if pass {
            sink.pass(name, value);
        }
    }
    write_forwarded(context, &seen, forwarded_for, sink);
    if !seen.trace {
        sink.put(&TRACEPARENT, &trace::begin());
    }
    if !seen.request_id {
        sink.put(&X_REQUEST_ID, &trace::request_id());
    }
    sink.put(&DEADLINE_NANO, Number::of(context.deadline_nano).as_bytes());
    sink.put(&START_NANO, Number::of(context.start_nano).as_bytes());
    if let To::Peer { component, path, timeout_ms, proof } = to {
        sink.put(&COMPONENT, component.as_str().as_bytes());
        sink.put(&TIMEOUT_MS, Number::of(timeout_ms).as_bytes());
        sink.put(&RELAY_PATH, path.as_bytes());
        if let Some(proof) = proof {
            sink.pass(&PEER, proof);
        }
    }
}

fn write_forwarded(context: &Context<'_>, seen: &Seen, mut forwarded_for: Vec<u8>, sink: &mut impl Sink) {
    match (forwarded_for.is_empty(), context.client) {
        (true, Some(client)) => sink.put(&X_FORWARDED_FOR, client.as_bytes()),
        (false, Some(client)) => {
            forwarded_for.extend_from_slice(client.as_bytes());
            sink.put(&X_FORWARDED_FOR, &forwarded_for);
        }
        (false, None) => sink.put(&X_FORWARDED_FOR, &forwarded_for[..forwarded_for.len() - 2]),
        (true, None) => {}
    }
    if context.relayed {
        return;
    }
    if !seen.host && !context.host.is_empty() {
        sink.put(&X_FORWARDED_HOST, context.host.as_bytes());
    }
    if !seen.port {
        sink.put(&X_FORWARDED_PORT, port_of(context.host).unwrap_or("80").as_bytes());
    }
    if !seen.proto {
        sink.put(&X_FORWARDED_PROTO, b"http");
    }
}

/// The port of an authority that was checked on arrival.
fn port_of(host: &str) -> Option<&str> {
    let after = &host[host.rfind(']').unwrap_or(0)..];
    let (_, port) = after.split_once(':')?;
    (!port.is_empty()).then_some(port)
}

fn connection_options(headers: &HeaderMap) -> ConnectionOptions {
    let mut options = ConnectionOptions::default();
    for value in headers.get_all(header::CONNECTION) {
        options.add(value.as_bytes());
    }
    options
}

/// Whether an HTTP/1.1 client asks for another protocol on this connection.
pub(super) fn asks_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE) && connection_options(headers).upgrade
}

fn size_of(headers: &HeaderMap) -> usize {
    const SEPARATORS: usize = 4;
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS).sum()
}

/// A number as text, without an allocation.
struct Number {
    text: String20,
}

/// Twenty digits hold any `u64`.
#[derive(Default)]
struct String20 {
    bytes: [u8; 20],
    length: usize,
}

impl std::fmt::Write for String20 {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl Number {
    fn of(number: u64) -> Self {
        let mut text = String20::default();
        // Twenty digits are enough.
        let _ = write!(text, "{number}");
        Self { text }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text.bytes[..self.text.length]
    }
}
