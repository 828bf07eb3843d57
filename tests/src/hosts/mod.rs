//! A cluster of simulated machines on this one, for tests and for people: each has an address, a Docker
//! engine and a daemon of its own, and can be cut off, frozen, killed and brought back.
//!
//! ```text
//!  tests, people ── bridge ─┬─ machine 1: maelstromd ─ dockerd ─ containers
//!                    │      ├─ machine 2: …
//!                    │      └─ machine 3: …
//!                    └─ a relay for each machine ── store
//! ```
//! Needs root and the programs of `tests/setup/packages cluster`. What can't be had: packet delay inside
//! the kernel (the relays do it for the store and for connections between peers), clocks that run at
//! other speeds, and a machine whose kernel is frozen, too ([`Cluster::freeze`] pulls its cable instead).

mod cloud;
mod cluster;
mod host;
mod machine;
mod network;
mod relay;
mod settle;
mod store;
mod sweep;
pub mod witness;

pub use self::{
    cloud::Cloud,
    cluster::{Cluster, Plan, Severed},
    host::{Host, Part},
    machine::{Clocks, Machine},
    relay::{Conduct, Relay},
    sweep::alone,
};
