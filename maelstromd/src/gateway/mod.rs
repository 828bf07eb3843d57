//! The gateways: from a client's connection to an answer.
//!
//! ```text
//!   listener ─► connection ─► admission ─► router ─► forward ─► upstream ─► body ─► client
//!   accept,      HTTP/1 or 2,  sound? which   slot,     header      connection      slot and connection
//!   limits       idle, drain   component?     queue     rules       of its own      back at its end
//! ```
//! The public gateway routes by event sources alone and believes no header about the system. The private
//! one serves peers, containers and the management API, and believes them. What a peer sends on is served
//! here or not at all ([`relay`]).
//!
//! A client's connection stays with one of the [workers](crate::workers), with all that its requests do but
//! what would hold others up: management.
//!
//! Invariants of a warm request: no task is spawned, no other thread is woken, no lock is held over I/O, no
//! body is held whole, and whatever it took is given back by drop, wherever its client leaves it.

mod admission;
mod body;
mod client;
mod connection;
mod context;
mod dormant;
mod early;
mod forward;
mod forward_h2c;
mod headers;
mod listener;
mod management;
mod metrics;
mod relay;
mod replay;
mod respond;
mod scan;
mod trace;
mod upgrade;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts, uri::PathAndQuery};
use http_body_util::Full;
use hyper::body::Incoming;
use maelstrom_core::{
    decide::pool::Reach,
    names::{ComponentName, NodeId},
    time::Moment,
};

pub use body::Body;
pub use context::Side;
pub use metrics::ComponentMetrics;
pub use respond::Refusal;

use self::{
    connection::Client,
    context::{Context, Term},
    forward::{Admitted, Answer},
    metrics::Recording,
    relay::{RelayName, Sender},
    replay::RequestBody,
    upgrade::Offer,
};
use crate::{
    access::PeerSecret,
    clock,
    router::{ComponentPool, Router},
    workers::Workers,
};

/// Answered by the node itself on both gateways.
pub const HEALTH_CHECK_PATH: &str = "/_mael_health_check";
/// What of the private gateway belongs to the management API.
const MANAGEMENT_PREFIX: &str = "/_mael/";

/// Bounds of the gateways. All are idle times, never totals: a stream that moves is not cut.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Silence of a client that is sending a body.
    pub read_timeout: Duration,
    /// Silence of a response that has begun, and of a client that takes nothing.
    pub write_timeout: Duration,
    /// A client's connection without a request.
    pub idle_timeout: Duration,
    /// From a head's first byte to its last.
    pub head_timeout: Duration,
    /// Silence of an upgraded connection.
    pub tunnel_idle_timeout: Duration,
    /// What requests have left when a gateway stops.
    pub drain: Duration,
    /// What upgraded connections have left then.
    pub tunnel_drain: Duration,
    /// Clients' connections at a time, per gateway; more wait in the kernel's queue.
    pub max_connections: usize,
    /// By which a relayed request is known to come from a peer.
    pub peers: PeerSecret,
}

/// All components' counters, as Prometheus reads them.
pub fn encode_metrics(router: &Router) -> String {
    metrics::encode(&router.pools(), &router.peer_failures())
}

/// Both gateways of a node.
#[derive(Debug)]
pub struct Gateway {
    name: RelayName,
    router: Arc<Router>,
    management: axum::Router,
    settings: GatewaySettings,
    workers: Arc<Workers>,
    draining: AtomicBool,
}

// === impl GatewaySettings ===

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            read_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(310),
            idle_timeout: Duration::from_secs(310),
            // A head is one packet or a few; half a minute is a lost phone network, more is an attack.
            head_timeout: Duration::from_secs(30),
            // As long as load balancers leave a silent connection open at most; pings are more frequent.
            tunnel_idle_timeout: Duration::from_secs(3_600),
            drain: Duration::from_secs(310),
            // They can't be told to end, and may never do so by themselves.
            tunnel_drain: Duration::from_secs(30),
            // At 14 KiB each well under 200 MiB, and under the usual limit of open files.
            max_connections: 10_000,
            peers: PeerSecret::default(),
        }
    }
}

// === impl Gateway ===

impl Gateway {
    /// `management` answers what of the private gateway lies under `/_mael/`; clients are served by
    /// `workers`.
    pub fn new(
        node: &NodeId,
        router: Arc<Router>,
        management: axum::Router,
        settings: GatewaySettings,
        workers: Arc<Workers>,
    ) -> Arc<Self> {
        let draining = AtomicBool::new(false);
        Arc::new(Self { name: RelayName::new(node), router, management, settings, workers, draining })
    }

    /// What a peer is told of this node.
    fn sender(&self) -> Sender<'_> {
        Sender { name: &self.name, proof: self.settings.peers.proof() }
    }

    /// While true the public health check says 503, so that load balancers stop sending requests here.
    /// Those that come are served.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Relaxed);
    }

    /// A request of the node itself (event sources): queue, deadline, header rules and replay are those of
    /// any other.
    pub async fn call(&self, component: &ComponentName, request: Request<Full<Bytes>>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let mut body = match http_body_util::BodyExt::collect(body).await {
            Ok(collected) => RequestBody::whole(collected.to_bytes()),
            Err(never) => match never {},
        };
        let arrived = clock::now();
        let answer = match self.router.component(component.as_str()) {
            Some(pool) => {
                let target = Target::new(pool, 0);
                self.dispatch(&mut parts, &mut body, &target, None, arrived).await
            }
            None => Err(Refusal::NoComponent(component.to_string())),
        };
        answer.unwrap_or_else(|refusal| refusal.response(http::Version::HTTP_11))
    }

    /// One request of a client.
    async fn handle(&self, client: &Client, parts: &mut Parts, body: Incoming) -> Response<Body> {
        let arrived = clock::now();
        client.request_came(arrived);
        let version = parts.version;
        let answer = self.answer(client, parts, body, arrived).await;
        let mut response = answer.unwrap_or_else(|refusal| refusal.response(version));
        if version < http::Version::HTTP_2 {
            *response.version_mut() = version;
        }
        response
    }

    async fn answer(&self, client: &Client, parts: &mut Parts, body: Incoming, arrived: Moment) -> Answer {
        if parts.method == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        if client.side == Side::Private && relay::is_relayed(&parts.headers) {
            if !self.settings.peers.admits(&parts.headers) {
                return Ok(relay::not_a_peer());
            }
            return Ok(Box::pin(self.serve_relayed(client, parts, body, arrived)).await);
        }
        let host = admission::check(parts, false)?;
        let path = parts.uri.path();
        if path == HEALTH_CHECK_PATH {
            return Ok(self.health(client.side));
        }
        let target = match client.side {
            Side::Public => self.route(host, path)?,
            Side::Private => match parts.headers.get(headers::COMPONENT) {
                Some(name) => self.named(name)?,
                None if path.starts_with(MANAGEMENT_PREFIX) => {
                    return Ok(Box::pin(self.manage(client, parts, body)).await);
                }
                None => self.route(host, path)?,
            },
        };
        self.dispatch(parts, &mut RequestBody::client(body), &target, Some(client), arrived).await
    }

    /// A request that a peer has sent on. Only the component's own path matters: neither the node's health
    /// check nor its management is meant.
    async fn serve_relayed(
        &self,
        client: &Client,
        parts: &mut Parts,
        body: Incoming,
        arrived: Moment,
    ) -> Response<Body> {
        let version = parts.version;
        let target = admission::check(parts, true)
            .map_err(Refusal::from)
            .and_then(|_| self.relayed_target(&parts.headers));
        let target = match target {
            Ok(target) => target,
            Err(Refusal::NotHere) => return relay::not_here(),
            Err(refusal) => return refusal.response(version),
        };
        let mut body = RequestBody::client(body);
        let answer = self.dispatch(parts, &mut body, &target, Some(client), arrived).await;
        relay::answer_to_peer(&target.pool, answer, version)
    }

    fn route(&self, host: &str, path: &str) -> Result<Target, Refusal> {
        let pick = self.router.pick(host, path).ok_or(Refusal::NoRoute)?;
        Ok(Target::new(pick.pool, pick.strip))
    }

    fn named(&self, name: &http::HeaderValue) -> Result<Target, Refusal> {
        let shown = || String::from_utf8_lossy(name.as_bytes()).into_owned();
        let pool = name.to_str().ok().and_then(|name| self.router.component(name.trim()));
        pool.map(|pool| Target::new(pool, 0)).ok_or_else(|| Refusal::NoComponent(shown()))
    }

    fn health(&self, side: Side) -> Response<Body> {
        if side == Side::Public && self.draining.load(Relaxed) {
            return respond::text(StatusCode::SERVICE_UNAVAILABLE, "gateway: this node is leaving");
        }
        respond::text(StatusCode::OK, "OK")
    }

    /// From a component to its answer.
    async fn dispatch(
        &self,
        parts: &mut Parts,
        body: &mut RequestBody,
        target: &Target,
        client: Option<&Client>,
        arrived: Moment,
    ) -> Answer {
        let side = client.map_or(Side::Private, |client| client.side);
        let pool = &target.pool;
        let relayed = target.reach == Reach::Here;
        let term = Term::new(side, &parts.headers, arrived, pool.max_duration())?;
        let recording = Some(Recording::begin(Arc::clone(pool), arrived));
        let upgrade = match client {
            Some(client) if headers::asks_upgrade(&parts.headers) => parts
                .extensions
                .remove::<hyper::upgrade::OnUpgrade>()
                .map(|on_upgrade| Offer::new(on_upgrade, client)),
            _ => None,
        };
        // A reference of its own, since the request's headers give way to the response's.
        let uri = parts.uri.clone();
        let host_header = parts.headers.get(http::header::HOST).cloned();
        let host = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => host_header.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default(),
        };
        let context = Context {
            side,
            // A peer has said whom it is for.
            client: client.filter(|_| !relayed).map(|client| client.ip.as_str()),
            relayed,
            host,
            arrived,
            deadline: term.deadline,
            deadline_nano: term.deadline_nano,
            start_nano: term.start_nano,
            upgrade: upgrade.is_some(),
        };
        let all = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let mut stripped = String::new();
        let target = strip(all, uri.path().len(), target.strip, &mut stripped);
        let client_waits = false;
        let mut admitted = Admitted { parts, target, body, context, upgrade, pool, recording, client_waits };
        let answer = self.forward(&mut admitted).await;
        if let Err(refusal) = &answer {
            drop(admitted.recording.take().map(|recording| recording.answered(refusal.status())));
        }
        answer
    }
}

/// Where a request goes.
struct Target {
    pool: Arc<ComponentPool>,
    /// Bytes of the path to remove.
    strip: usize,
    reach: Reach,
}

impl Target {
    fn new(pool: Arc<ComponentPool>, strip: usize) -> Self {
        Self { pool, strip, reach: Reach::Anywhere }
    }
}

/// Path and query without the first `strip` bytes of the path. Nothing else changes, byte for byte; what
/// remains begins with `/`.
fn strip<'a>(all: &'a str, path_bytes: usize, strip: usize, made: &'a mut String) -> &'a str {
    let rest = all.get(strip.min(path_bytes)..).unwrap_or(all);
    if strip == 0 || rest.starts_with('/') {
        return rest;
    }
    made.reserve(rest.len() + 1);
    made.push('/');
    made.push_str(rest);
    made
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn stripping_keeps_query_and_encoding_byte_for_byte() {
        for (all, prefix, expected) in [
            ("/a/b?x=1&y=%2F", 2, "/b?x=1&y=%2F"),
            ("/a", 2, "/"),
            ("/a?x", 2, "/?x"),
            ("/a/", 2, "/"),
            ("/a/b", 3, "/b"),
            ("/a%2Fb/%20c?", 0, "/a%2Fb/%20c?"),
            ("/a//b", 2, "//b"),
        ] {
            let path = all.split('?').next().unwrap_or_default().len();
            let mut made = String::new();
            assert_eq!(strip(all, path, prefix, &mut made), expected, "{all} without {prefix}");
        }
    }
}
