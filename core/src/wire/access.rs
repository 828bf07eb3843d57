//! What a call takes: the right to look, to change, or to be a node. Each method says so where it is declared,
//! so that none can be without.

/// What a method needs, and what a caller has: each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Tells what there is.
    Read,
    /// Makes something different.
    Change,
    /// What nodes tell each other. Who may say it is believed about other nodes, and is told the cluster's
    /// secret by those that call back.
    Peer,
}
