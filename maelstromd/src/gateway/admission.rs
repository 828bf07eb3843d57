//! Whether a request is sound enough to be looked at, beyond what the parser has checked: that it says
//! unmistakably which host it is for and where its body ends.

use http::{HeaderMap, Method, Version, header, request::Parts, uri::Authority};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("an HTTP/1.1 request must have a Host header")]
    NoHost,
    #[error("a request must not have several Host headers")]
    SeveralHosts,
    #[error("the Host header is not a host name or address")]
    BadHost,
    #[error("the Host header differs from the request's authority")]
    HostDiffers,
    #[error("Transfer-Encoding must be 'chunked' and stand once")]
    TransferEncoding,
    #[error("the request target must begin with '/'")]
    Target,
    #[error("{0} is not a number")]
    NotANumber(&'static str),
}

/// Checks the head and tells the host that the request is for, as the client wrote it; empty where
/// HTTP/1.0 leaves it out, which a request that a peer has sent on says by an empty `Host`.
pub(super) fn check(parts: &Parts, relayed: bool) -> Result<&str, Malformed> {
    let path = parts.uri.path();
    if !(path.starts_with('/') || path == "*" && parts.method == Method::OPTIONS) {
        return Err(Malformed::Target);
    }
    if parts.version < Version::HTTP_2 && parts.headers.contains_key(header::TRANSFER_ENCODING) {
        check_encoding(&parts.headers)?;
    }
    host(parts, relayed)
}

/// The parser takes any list that ends in `chunked`; what else is in the list nobody here can decode.
fn check_encoding(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked =
        values.next().is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    if chunked && values.next().is_none() { Ok(()) } else { Err(Malformed::TransferEncoding) }
}

fn host(parts: &Parts, relayed: bool) -> Result<&str, Malformed> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Malformed::SeveralHosts);
    }
    let header = host.map(|host| host.to_str().map_err(|_| Malformed::BadHost)).transpose()?;
    match (parts.uri.authority().map(Authority::as_str), header) {
        // HTTP/2, where it is the rule, and absolute targets, where it wins (RFC 9112 §3.2.2): two
        // readers that choose differently would be two destinations.
        (Some(authority), Some(header)) if !authority.eq_ignore_ascii_case(header) => {
            Err(Malformed::HostDiffers)
        }
        (Some(authority), _) if is_host(authority) => Ok(authority),
        (None, Some(header)) if is_host(header) || (relayed && header.is_empty()) => Ok(header),
        (Some(_), _) | (None, Some(_)) => Err(Malformed::BadHost),
        (None, None) if parts.version == Version::HTTP_11 => Err(Malformed::NoHost),
        (None, None) => Ok(""),
    }
}

/// A name, an IPv4 address or an IPv6 address in brackets, with or without a port: nothing that another
/// reader could take for a user, a path or a second host.
fn is_host(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (name, port) = match bytes.first() {
        Some(b'[') => match bytes.iter().position(|byte| *byte == b']') {
            Some(end) => {
                let inside = &bytes[1..end];
                let address = !inside.is_empty()
                    && inside.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
                if !address {
                    return false;
                }
                (&bytes[..0], &bytes[end + 1..])
            }
            None => return false,
        },
        Some(_) => {
            let end = bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len());
            if end == 0 {
                return false;
            }
            (&bytes[..end], &bytes[end..])
        }
        None => return false,
    };
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b'%'))
        && match port.split_first() {
            None => true,
            Some((b':', digits)) => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
            Some(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_with_a_port_at_most() {
        for good in ["a", "A.example.com", "a.b:80", "a:", "127.0.0.1:8080", "[::1]", "[fe80::1]:99", "a_b"] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/b", "user@a", "a:b", "a:123456", "[::1", "[]", "[x]:1", "[::1]x", "a,b",
            "a:1:2",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn a_request_says_which_host_it_is_for() {
        let check_of = |uri: &str, version, headers: &[(&str, &str)]| {
            let mut request = http::Request::builder().uri(uri).version(version);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            check(&request.body(()).unwrap().into_parts().0, false).map(str::to_owned)
        };
        let v11 = Version::HTTP_11;
        let cases = [
            ("/", v11, vec![("host", "a")], Ok("a")),
            ("/", v11, vec![], Err(Malformed::NoHost)),
            ("/", Version::HTTP_10, vec![], Ok("")),
            ("/", v11, vec![("host", "a"), ("host", "a")], Err(Malformed::SeveralHosts)),
            ("/", v11, vec![("host", "a b")], Err(Malformed::BadHost)),
            ("/", v11, vec![("host", "")], Err(Malformed::BadHost)),
            ("http://a/", v11, vec![("host", "A")], Ok("a")),
            ("http://a/", v11, vec![("host", "b")], Err(Malformed::HostDiffers)),
            ("http://a/", v11, vec![], Ok("a")),
            ("http://u@a/", Version::HTTP_2, vec![], Err(Malformed::BadHost)),
            ("/", v11, vec![("host", "a"), ("transfer-encoding", "chunked")], Ok("a")),
            (
                "/",
                v11,
                vec![("host", "a"), ("transfer-encoding", "gzip, chunked")],
                Err(Malformed::TransferEncoding),
            ),
        ];
        for (uri, version, headers, expected) in cases {
            assert_eq!(check_of(uri, version, &headers), expected.map(str::to_owned), "{uri} {headers:?}");
        }
    }
}
