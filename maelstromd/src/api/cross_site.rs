//! Requests that a page of another site makes a browser send. The management API has no cookies to lend
//! them, but who reaches the port may use it: a browser inside the network must not do so on behalf of a
//! page outside.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

const REFUSED: &str = "requests from pages of other sites are refused\n";

/// Before all routes.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    if is_foreign(request.headers(), request.uri()) {
        return (StatusCode::FORBIDDEN, REFUSED).into_response();
    }
    next.run(request).await
}

/// Programs send neither header. A browser names the page's origin with whatever may change something, and
/// in a safe place whether it is the same site; only a link to the dashboard may come from elsewhere.
fn is_foreign(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(origin) = text(header::ORIGIN.as_str()) {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        // A proxy in between may have put its own name in place of the one that was asked for.
        let own =
            [uri.authority().map(|own| own.as_str()), text(header::HOST.as_str()), text("x-forwarded-host")];
        return authority
            .is_none_or(|authority| !own.iter().flatten().any(|own| own.eq_ignore_ascii_case(authority)));
    }
    let elsewhere = matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"));
    elsewhere && text("sec-fetch-mode") != Some("navigate")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_pages_of_the_node_itself_and_programs_are_answered() {
        for (headers, foreign) in [
            (&[][..], false),
            (&[("host", "n1:8374"), ("origin", "http://n1:8374")], false),
            (
                &[
                    ("host", "10.0.0.1:8374"),
                    ("origin", "https://Panel.example"),
                    ("x-forwarded-host", "panel.example"),
                ],
                false,
            ),
            (&[("host", "n1:8374"), ("origin", "http://evil.example")], true),
            (&[("host", "n1:8374"), ("origin", "http://n1:8080")], true),
            (&[("host", "n1:8374"), ("origin", "null")], true),
            (&[("host", "n1:8374"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], true),
            (&[("host", "n1:8374"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], false),
            (&[("host", "n1:8374"), ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")], false),
        ] {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let map: HeaderMap = headers.iter().map(pair).collect();
            assert_eq!(is_foreign(&map, &Uri::from_static("/_mael/v1")), foreign, "{headers:?}");
        }
    }
}
