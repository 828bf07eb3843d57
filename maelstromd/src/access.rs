//! Who may do what on the private port: tokens of operators, and the secret that the nodes of a cluster share.
//!
//! ```text
//!   Authorization: Bearer TOKEN ─► MAEL_API_TOKEN           ─► look and change
//!                                  MAEL_API_TOKEN_READONLY  ─► look
//!   MAELSTROM-PEER: PROOF       ─► MAEL_CLUSTER_SECRET      ─► all that nodes do
//! ```
//! What proves a node is made from the secret, which itself is never sent. Without a secret of its own a cluster
//! makes the proof from the API tokens, so that setting one of them locks everything: who holds an API token may
//! do all that a node may anyway. Without any of them everybody may do everything, as the private port is meant
//! for a network of its own.
//!
//! Nothing here is kept in a form that could be shown: of tokens there are digests, and comparing takes the same
//! time however much of a token is right.

mod digest;
mod peer;
mod secret;

use http::{HeaderMap, header};
use maelstrom_core::wire::Access;

pub use peer::{PEER, PeerSecret};
pub use secret::{LEAST, MOST, Secret};

use self::digest::Digest;

/// What tokens are digested for.
const TOKEN: &str = "maelstrom api token 1";

/// All that callers are checked against.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    change: Vec<Digest>,
    read: Vec<Digest>,
    peers: PeerSecret,
}

/// Why a caller is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error(
        "this node asks for an API token: send it as 'Authorization: Bearer TOKEN' (maelctl: MAEL_API_TOKEN or \
         --token-file)"
    )]
    Missing,
    #[error("the token is none of this node's: MAEL_API_TOKEN and MAEL_API_TOKEN_READONLY list them")]
    Wrong,
    #[error(
        "the proof of being a node of the cluster is wrong: all nodes need one MAEL_CLUSTER_SECRET in common \
         (where it is unset, one MAEL_API_TOKEN)"
    )]
    NotAPeer,
}

// === impl Keys ===

impl Keys {
    /// `tokens` may change things, `readonly` may look, `secrets` prove nodes: the first is sent, all are taken.
    pub fn new(tokens: &[Secret], readonly: &[Secret], secrets: &[Secret]) -> Self {
        let digests = |tokens: &[Secret]| tokens.iter().map(|token| token.digest(TOKEN)).collect();
        let secrets = if secrets.is_empty() { tokens } else { secrets };
        Self { change: digests(tokens), read: digests(readonly), peers: PeerSecret::new(secrets) }
    }

    /// What proves that a request comes from a node.
    pub fn peers(&self) -> &PeerSecret {
        &self.peers
    }

    /// Whether the API takes anybody.
    pub fn are_open(&self) -> bool {
        self.change.is_empty() && self.read.is_empty()
    }

    /// What the sender of these headers may do.
    pub fn granted(&self, headers: &HeaderMap) -> Result<Access, Denied> {
        if self.peers.is_set() && headers.contains_key(&PEER) {
            return if self.peers.admits(headers) { Ok(Access::Peer) } else { Err(Denied::NotAPeer) };
        }
        if self.are_open() {
            return Ok(if self.peers.is_set() { Access::Change } else { Access::Peer });
        }
        let given = Digest::of(bearer(headers).ok_or(Denied::Missing)?, TOKEN);
        // Both lists are gone through whatever is found.
        let (change, read) = (given.is_among(&self.change), given.is_among(&self.read));
        match (change, read) {
            (true, _) => Ok(Access::Change),
            (false, true) => Ok(Access::Read),
            (false, false) => Err(Denied::Wrong),
        }
    }
}

/// The token of `Authorization: Bearer TOKEN`; of two such headers neither is believed.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (all.next()?.as_bytes(), all.next()) else { return None };
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    Some(token.trim_ascii()).filter(|token| scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty())
}

#[cfg(test)]
mod tests;
