//! A token or secret as it is kept and compared: of one length, not to be turned back, for one purpose.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

#[derive(Clone)]
pub(super) struct Digest([u8; 32]);

// === impl Digest ===

impl Digest {
    /// One made for another purpose is of no use for this one.
    pub(super) fn of(secret: &[u8], purpose: &str) -> Self {
        let mut code = <Hmac<Sha256>>::new_from_slice(secret).expect("keys may have any length");
        code.update(purpose.as_bytes());
        Self(code.finalize().into_bytes().into())
    }

    /// Takes the same time whichever it is, and if it is none.
    pub(super) fn is_among(&self, known: &[Self]) -> bool {
        let none = subtle::Choice::from(0);
        known.iter().fold(none, |found, one| found | one.0.ct_eq(&self.0)).into()
    }

    pub(super) fn into_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}
