//! `GET /_mael/ui/`: the dashboard's files, which are part of the program. Files whose names say what is in
//! them are kept by browsers for ever; the page itself is asked for each time and mostly not sent.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::OnceLock,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};

const PAGE: &str = "index.html";
/// Their names hold a hash of what is in them.
const NAMED_BY_CONTENT: &str = "assets/";

/// Nothing but the node's own files runs, is shown or is asked; nobody frames the page; text never becomes
/// a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><title>Maelstrom</title>\
<h1>The dashboard is not part of this build</h1>\
<p>With Node.js 20.19 or newer: <code>make dashboard</code>, then build maelstromd again.</p>\
<p>In a terminal <code>maelctl cluster ps</code>, <code>maelctl events</code> and \
<code>maelctl explain COMPONENT</code> tell what runs and why.</p></html>\n";

/// A file of the dashboard.
#[allow(dead_code, reason = "there is none in a program that was built without the dashboard")]
struct Asset {
    name: &'static str,
    bytes: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

/// None if the program was built without the dashboard.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// Relative addresses need the slash.
pub(super) async fn to_folder() -> Redirect {
    Redirect::permanent("ui/")
}

/// `name` is what follows `/_mael/ui/`.
pub(super) fn file(name: &str, asked: &HeaderMap) -> Response {
    let name = if name.is_empty() { PAGE } else { name };
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => protected(serve(asset, asked)),
        None if name == PAGE => {
            protected(([(header::CONTENT_TYPE, content_type(PAGE))], NOT_BUILT).into_response())
        }
        None => (StatusCode::NOT_FOUND, format!("the dashboard has no file '{}'\n", name.escape_debug()))
            .into_response(),
    }
}

fn serve(asset: &'static Asset, asked: &HeaderMap) -> Response {
    let (bytes, encoding) = chosen(asset, asked);
    let tag = tag(asset, encoding);
    let kept = if asset.name.starts_with(NAMED_BY_CONTENT) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut response = if known.is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(bytes).into_response();
        if let Some(encoding) = encoding {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(asset.name)));
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// The smallest form that the client takes.
fn chosen(asset: &Asset, asked: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
    let forms = [(asset.brotli, "br"), (asset.gzip, "gzip")];
    for (bytes, encoding) in forms {
        if let Some(bytes) = bytes
            && accepts(asked, encoding)
        {
            return (bytes, Some(encoding));
        }
    }
    (asset.bytes, None)
}

/// Named, and not with a weight of zero.
fn accepts(asked: &HeaderMap, encoding: &str) -> bool {
    let lists = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(encoding) && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// Of what is in the file, the same in each run of the program.
fn tag(asset: &'static Asset, encoding: Option<&str>) -> String {
    static HASHES: OnceLock<Vec<u64>> = OnceLock::new();
    let hashes = HASHES.get_or_init(|| {
        let hash = |asset: &Asset| {
            let mut hasher = DefaultHasher::new();
            asset.bytes.hash(&mut hasher);
            hasher.finish()
        };
        ASSETS.iter().map(hash).collect()
    });
    let at = ASSETS.iter().position(|known| known.name == asset.name).unwrap_or_default();
    format!("\"{:016x}{}\"", hashes.get(at).copied().unwrap_or_default(), encoding.unwrap_or_default())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn protected(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // Pages of components may be of the same origin: one that opens this page gets no hold of it, where the
        // browser takes the connection for safe enough to heed this.
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILE: Asset = Asset { name: "assets/a-1.js", bytes: b"1", gzip: Some(b"gz"), brotli: Some(b"br") };

    fn asking(encodings: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings))])
    }

    #[test]
    fn the_smallest_form_that_is_taken_is_sent() {
        for (encodings, expected) in [
            ("gzip, deflate, br", Some("br")),
            ("gzip;q=0.5, br;q=0", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(chosen(&FILE, &asking(encodings)).1, expected, "{encodings}");
        }
    }

    #[test]
    fn files_named_by_content_are_kept_and_the_page_is_asked_for() {
        let response = serve(&FILE, &asking("br"));
        let header = |name| response.headers().get(&name).unwrap().to_str().unwrap();
        assert!(header(header::CACHE_CONTROL).contains("immutable"));
        assert_eq!(header(header::CONTENT_ENCODING), "br");
        assert!(header(header::CONTENT_TYPE).starts_with("text/javascript"));
        let tag = response.headers().get(header::ETAG).unwrap().clone();
        let mut again = asking("br");
        again.insert(header::IF_NONE_MATCH, tag);
        assert_eq!(serve(&FILE, &again).status(), StatusCode::NOT_MODIFIED);
        static PAGE_FILE: Asset = Asset { name: PAGE, bytes: b"<p>", gzip: None, brotli: None };
        let page = serve(&PAGE_FILE, &HeaderMap::new());
        assert_eq!(page.headers().get(header::CACHE_CONTROL).unwrap(), "no-cache");
    }

    #[test]
    fn the_page_allows_no_script_but_its_own_and_there_is_always_a_page() {
        let page = file("", &HeaderMap::new());
        assert_eq!(page.status(), StatusCode::OK);
        let policy = page.headers().get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(file("../secret", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }
}
