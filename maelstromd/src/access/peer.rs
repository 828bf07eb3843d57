//! How nodes of a cluster know each other: a header with what is made from the secret that they share. One that
//! rotates its secret knows several, sends the first and takes all.

use http::{HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq as _;

use super::Secret;
use crate::hex;

/// Carries the proof. No gateway passes it on.
pub const PEER: HeaderName = HeaderName::from_static("maelstrom-peer");
/// What the proof is made for.
const PURPOSE: &str = "maelstrom peer 1";

/// The proofs that this node takes. Without any, everybody is believed to be a node.
#[derive(Clone, Debug, Default)]
pub struct PeerSecret {
    proofs: Vec<HeaderValue>,
}

// === impl PeerSecret ===

impl PeerSecret {
    pub fn new(secrets: &[Secret]) -> Self {
        let proof = |secret: &Secret| {
            let digits = hex::encode(&secret.derive(PURPOSE));
            let mut proof = HeaderValue::try_from(digits).expect("digits may stand in a header");
            // Not shown, and not kept in the tables of HTTP/2.
            proof.set_sensitive(true);
            proof
        };
        Self { proofs: secrets.iter().map(proof).collect() }
    }

    pub fn is_set(&self) -> bool {
        !self.proofs.is_empty()
    }

    /// What this node sends to others.
    pub fn proof(&self) -> Option<&HeaderValue> {
        self.proofs.first()
    }

    /// Whether these are headers of a node.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        if self.proofs.is_empty() {
            return true;
        }
        let mut all = headers.get_all(&PEER).iter();
        let (Some(given), None) = (all.next(), all.next()) else { return false };
        let none = subtle::Choice::from(0);
        // Lengths may be told: they are always the same.
        let found =
            self.proofs.iter().fold(none, |found, proof| found | proof.as_bytes().ct_eq(given.as_bytes()));
        found.into()
    }
}
