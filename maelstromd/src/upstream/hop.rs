//! Headers that concern one connection and stop at it (RFC 9110 §7.6.1).

use http::{HeaderName, header};

/// Whether the header never travels on, whatever `Connection` says. `Connection` and
/// `Transfer-Encoding` are among them: each side of the gateway frames for itself.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Length first: most names leave here without a comparison.
    match name.as_str().len() {
        2 => name == header::TE,
        7 => name == header::UPGRADE,
        10 => name == header::CONNECTION || name.as_str() == "keep-alive",
        16 => name.as_str() == "proxy-connection",
        17 => name == header::TRANSFER_ENCODING,
        _ => false,
    }
}

/// Whether a trailer may travel on: none that frames, routes or authenticates a message (RFC 9110 §6.5.1),
/// and none that only this system may set.
pub fn may_trail(name: &HeaderName) -> bool {
    !(is_hop_by_hop(name)
        || matches!(
            *name,
            header::CONTENT_LENGTH
                | header::HOST
                | header::TRAILER
                | header::AUTHORIZATION
                | header::COOKIE
                | header::EXPECT
                | header::MAX_FORWARDS
        )
        || name.as_str().starts_with("maelstrom-")
        || name.as_str().starts_with("x-forwarded-"))
}

/// What a message's `Connection` headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// Further names: headers that stop here too. Rare, so usually no memory is held.
    named: Vec<String>,
}

// === impl ConnectionOptions ===

impl ConnectionOptions {
    /// Adds the options of one `Connection` header's value.
    pub fn add(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if let Ok(name) = std::str::from_utf8(option)
                && !option.is_empty()
            {
                self.named.push(name.to_ascii_lowercase());
            }
        }
    }

    /// Whether an HTTP/1.0 peer keeps the connection open.
    pub fn is_kept(&self) -> bool {
        self.keep_alive && !self.close
    }

    /// Whether `Connection` names this header (lower case), so that it stops here.
    pub fn names(&self, name: &str) -> bool {
        !self.named.is_empty() && self.named.iter().any(|named| named == name)
    }
}
