//! Before everything under `/_mael/`: whoever shows no token gets no further than the page that asks for one.
//! What a caller may do goes along with the request; a method that needs more refuses it ([`super::rpc`]).
//!
//! The list says what is open, not what is locked: a route that is added is locked.

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use maelstrom_core::{
    rpc::{RpcError, code},
    wire::Access,
};

use crate::access::{Denied, Keys};

/// Where JSON-RPC is spoken, also by a refusal.
pub(super) const RPC: &str = "/_mael/v1";
/// The dashboard's files: the same for everybody, and nothing of the cluster in them.
const PAGE: &str = "/_mael/ui";
/// Tells a program what its token may do. Sent where tokens are asked for.
const ACCESS: HeaderName = HeaderName::from_static("maelstrom-access");
const SAME_ORIGIN_RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// All of `router` behind the keys.
pub fn guarded(router: Router, keys: &Keys) -> Router {
    let keys = keys.clone();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let keys = keys.clone();
        async move { hardened(admit(&keys, request, next).await) }
    }))
}

async fn admit(keys: &Keys, mut request: Request, next: Next) -> Response {
    if is_for_everybody(&request) {
        return next.run(request).await;
    }
    match keys.granted(request.headers()) {
        Ok(access) => {
            request.extensions_mut().insert(access);
            let mut response = next.run(request).await;
            if !keys.are_open() {
                response.headers_mut().insert(ACCESS, HeaderValue::from_static(name(access)));
            }
            response
        }
        Err(denied) => refuse(denied, request.uri().path()),
    }
}

fn is_for_everybody(request: &Request) -> bool {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let below = request.uri().path().strip_prefix(PAGE);
    reads && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

fn name(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Change => "change",
        Access::Peer => "peer",
    }
}

fn refuse(denied: Denied, path: &str) -> Response {
    tracing::debug!(path, %denied, "a request to the management API was refused");
    let mut response = match path {
        RPC => {
            let error = RpcError::new(code::UNAUTHENTICATED, denied.to_string());
            (HeaderMap::from_iter([json()]), error.into_answer()).into_response()
        }
        _ => format!("{denied}\n").into_response(),
    };
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let challenge = match denied {
        Denied::Missing => r#"Bearer realm="maelstrom""#,
        Denied::Wrong | Denied::NotAPeer => r#"Bearer realm="maelstrom", error="invalid_token""#,
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn json() -> (HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

/// No browser takes an answer for something else than it is, nor gives it to a page of another origin.
fn hardened(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(SAME_ORIGIN_RESOURCE, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_is_for_everybody() {
        for (method, path, open) in [
            (Method::GET, "/_mael/ui", true),
            (Method::GET, "/_mael/ui/", true),
            (Method::HEAD, "/_mael/ui/assets/index.js?x", true),
            (Method::POST, "/_mael/ui/", false),
            (Method::GET, "/_mael/uix", false),
            (Method::GET, "/_mael/%75i/", false),
            (Method::GET, "/_mael//ui/", false),
            (Method::GET, "/_mael/v1/live", false),
            (Method::GET, "/_mael/logs", false),
            (Method::GET, "/_mael/metrics", false),
            (Method::GET, "/_mael/anything", false),
        ] {
            let request = Request::builder().method(method.clone()).uri(path);
            let request = request.body(axum::body::Body::empty()).unwrap();
            assert_eq!(is_for_everybody(&request), open, "{method} {path}");
        }
    }
}
