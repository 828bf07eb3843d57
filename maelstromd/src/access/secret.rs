//! A token or secret as an operator wrote it. It can be digested and made a key of, and nothing else: whoever prints one prints
//! that it is hidden.

use super::digest::Digest;

/// Shorter ones can be guessed: `openssl rand -hex 16` makes twice as much.
pub const LEAST: usize = 16;
/// They travel in headers.
pub const MOST: usize = 256;

#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

// === impl Secret ===

impl Secret {
    /// `None`: it is too short or too long, or has characters that a header or a list doesn't take.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (LEAST..=MOST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        fits.then(|| Self(text.to_owned()))
    }

    /// All of a comma-separated list, or `None` if one of them can't be one.
    pub fn list(text: &str) -> Option<Vec<Self>> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(Self::new).collect()
    }

    /// A key for one purpose.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        self.digest(purpose).into_bytes()
    }

    pub(super) fn digest(&self, purpose: &str) -> Digest {
        Digest::of(self.0.as_bytes(), purpose)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}
