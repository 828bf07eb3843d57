//! A request's host in the one form that routes are kept in: lower case, no port, no last dot, IPv6
//! literals in brackets and canonical.

use std::net::Ipv6Addr;

/// RFC 1035 §2.3.4: names have at most 253 characters in text; a longer host matches no hostname.
const MAX_BYTES: usize = 253;

/// A host, borrowed where it is in its form already.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one lookup; a box would be the allocation"
)]
pub(super) enum Host<'a> {
    Borrowed(&'a str),
    /// Lower-cased on the stack, so that a lookup allocates nothing.
    Lowered {
        bytes: [u8; MAX_BYTES],
        len: usize,
    },
    Owned(Box<str>),
}

// === impl Host ===

impl<'a> Host<'a> {
    /// `None`: matches no hostname.
    #[inline]
    pub(super) fn of(text: &'a str) -> Option<Self> {
        if text.starts_with('[') {
            return literal(text).map(Self::Owned);
        }
        let name = text.split_once(':').map_or(text, |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.len() > MAX_BYTES {
            return None;
        }
        if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Some(Self::Borrowed(name));
        }
        let mut bytes = [0; MAX_BYTES];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from.to_ascii_lowercase();
        }
        Some(Self::Lowered { bytes, len: name.len() })
    }

    #[inline]
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(name) => name,
            Self::Lowered { bytes, len } => std::str::from_utf8(&bytes[..*len]).unwrap_or(""),
            Self::Owned(name) => name,
        }
    }
}

/// `[address]` or `[address]:port`.
fn literal(text: &str) -> Option<Box<str>> {
    let (address, _) = text.strip_prefix('[')?.split_once(']')?;
    let address: Ipv6Addr = address.parse().ok()?;
    Some(format!("[{address}]").into())
}

/// A configured hostname in the same form.
pub(super) fn canonical(name: &str) -> Box<str> {
    literal(name).unwrap_or_else(|| name.to_ascii_lowercase().into())
}
