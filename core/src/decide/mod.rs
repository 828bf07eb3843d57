//! Pure decisions: values in, a value and its reasons out. `now` is an argument, ties end with an id,
//! and deciding again on the outcome changes nothing.

pub mod activity;
pub mod autoscale;
pub mod backoff;
pub mod capacity;
pub mod converge;
pub mod cron;
pub mod drain;
pub mod health;
pub mod lease;
pub mod membership;
pub mod placement;
pub mod poller;
pub mod pool;
mod rank;
pub mod route;
pub mod scheduler;
pub mod standby;
pub mod termination;
pub mod traffic;

/// An answer together with why: printed by `maelctl explain` and kept in the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided<T> {
    pub value: T,
    /// Sentences with the numbers that led to the answer.
    pub reasons: Vec<String>,
}
