//! Where shared state lives. One trait, two implementations (SQLite for one node, DynamoDB for a
//! cluster), one conformance suite (`testing::store_conformance`).
//!
//! Contract:
//! * Every write is conditional and a commit is all or nothing: on a conflict nothing has changed.
//! * Each commit that changes something raises the revision; reading the revision is cheap.
//! * Calls end in bounded time, with [`StoreError::Unavailable`] when the store can't be reached.

use std::{fmt, time::Duration};

use super::BoxFuture;
use crate::{
    names::{NodeId, Role},
    time::WallTime,
    wire,
};

/// Counts commits to the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// Everything that users registered, as of one revision. Lists are sorted by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    pub revision: Revision,
    pub components: Vec<wire::Component>,
    pub event_sources: Vec<wire::EventSourceWithStatus>,
    /// What is stored but can't be decoded (damaged, edited by hand, written by a newer program): left
    /// out above, and kept in the store until somebody puts or removes it.
    pub unreadable: Vec<Unreadable>,
}

/// A stored component or event source that can't be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unreadable {
    pub entity: Entity,
    pub name: String,
    /// A put or removal is based on it as usual.
    pub version: i64,
    pub reason: String,
}

/// One step of a commit. A commit has at most one step per entity, except that
/// [`Op::EnableEventSource`] may follow the put of its source.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Writes `component` with version `based_on + 1`, if its stored version is `based_on` (0 = there
    /// is none). The `version` inside is ignored, `modified_at` is kept as given.
    PutComponent {
        component: Box<wire::Component>,
        based_on: i64,
    },
    /// Removes it if its stored version is `based_on`.
    RemoveComponent {
        name: String,
        based_on: i64,
    },
    /// Like `PutComponent`; a new one is enabled. An existing one keeps its enabled flag.
    PutEventSource {
        event_source: Box<wire::EventSource>,
        based_on: i64,
    },
    RemoveEventSource {
        name: String,
        based_on: i64,
    },
    /// Sets the flag if the source exists; versions don't change.
    EnableEventSource {
        name: String,
        enabled: bool,
    },
    /// Requires that a component has this version (0 = does not exist), changes nothing.
    ExpectComponent {
        name: String,
        version: i64,
    },
    /// Requires that nothing was committed since this revision, changes nothing: what was decided on a
    /// whole configuration holds only while that is the current one.
    ExpectRevision {
        revision: Revision,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entity {
    Component,
    EventSource,
    Role,
    Heartbeat,
    /// The configuration as a whole; its version is its revision.
    Configuration,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A condition did not hold: somebody else was first. `current` is the version there now, 0 for none.
    #[error("{entity} '{name}' has version {current}, not {expected}")]
    Conflict { entity: Entity, name: String, expected: i64, current: i64 },
    /// The store can't be reached or refuses to work; may pass by itself.
    #[error("the store is not available: {reason}")]
    Unavailable { reason: String },
    /// What is stored can't be read by this program, or the like; won't pass by itself.
    #[error("the store failed: {reason}")]
    Broken { reason: String },
}

/// What a node writes periodically: proof that it lives, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    pub node: NodeId,
    /// Differs for each run of the node's daemon.
    pub incarnation: String,
    /// Rises with each write. A contender that sees it unchanged for `duration` on its own clock may
    /// steal the node's roles.
    pub beat: u64,
    pub duration: Duration,
    pub peer_url: String,
    /// For people; never compared.
    pub written_at: WallTime,
}

/// Who acts in a role. Points at the owner's heartbeat instead of being renewed itself, so that a
/// node's writes don't grow with its roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRecord {
    pub role: Role,
    /// `None`: given back.
    pub owner: Option<NodeId>,
    /// The owner's daemon run.
    pub incarnation: String,
    /// Rises with each change of owner; whoever acts carries it, whoever receives refuses older ones.
    pub term: u64,
    /// Rises with each write.
    pub version: u64,
}

/// What one kind of call has cost since the store was opened, for stores that are paid by use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// The call: `revision`, `commit`, …
    pub operation: &'static str,
    /// Sent to the store, failed ones included; one call may need several.
    pub requests: u64,
    /// Capacity units as the store counts them; reading and writing have prices of their own.
    pub read_units: f64,
    pub write_units: f64,
}

pub type StoreResult<T> = Result<T, StoreError>;

pub trait Store: Send + Sync {
    /// Whether this daemon is the only one that can use the store, as long as it runs. Its roles then
    /// can't be contended, and stay with it even while nothing can be written.
    fn exclusive(&self) -> bool {
        false
    }

    /// What calls have cost so far, for the operator; nothing where calls cost nothing.
    fn usage(&self) -> Vec<Usage> {
        Vec::new()
    }

    /// The current revision.
    fn revision(&self) -> BoxFuture<'_, StoreResult<Revision>>;

    /// The whole configuration, consistent as of its revision.
    fn configuration(&self) -> BoxFuture<'_, StoreResult<Configuration>>;

    /// Applies all `ops` or none, in order. An empty list, or ops that change nothing, don't raise the
    /// revision. Returns the revision after it.
    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, StoreResult<Revision>>;

    /// Writes the node's heartbeat if the stored one has the same incarnation and `beat - 1` or `beat`
    /// (an answer was lost and the write is sent again), or another incarnation, or is not there. Else
    /// a conflict, with the beats as versions.
    fn beat(&self, heartbeat: Heartbeat) -> BoxFuture<'_, StoreResult<()>>;

    /// All heartbeats, sorted by node.
    fn heartbeats(&self) -> BoxFuture<'_, StoreResult<Vec<Heartbeat>>>;

    /// Forgets a node if its heartbeat still is of this incarnation. Not there: nothing to do.
    fn remove_heartbeat(&self, node: NodeId, incarnation: String) -> BoxFuture<'_, StoreResult<()>>;

    /// All roles that were ever taken, sorted by role.
    fn roles(&self) -> BoxFuture<'_, StoreResult<Vec<RoleRecord>>>;

    /// Writes a role if its stored version is `seen` (0 = not there). Idempotent: the same record
    /// written again is accepted.
    fn write_role(&self, record: RoleRecord, seen: u64) -> BoxFuture<'_, StoreResult<()>>;

    /// Claims the firing of `rule` due at `due`: true for exactly one caller. Only a later due time
    /// than the last one claimed can be claimed. The same `claimant` asking again for what it has got
    /// gets true again (its answer was lost).
    fn claim_fire(&self, rule: String, due: WallTime, claimant: String) -> BoxFuture<'_, StoreResult<bool>>;

    /// The due time last claimed for each rule.
    fn last_fires(&self) -> BoxFuture<'_, StoreResult<Vec<(String, WallTime)>>>;

    /// Drops the claims of rules that are gone.
    fn forget_fires(&self, rules: Vec<String>) -> BoxFuture<'_, StoreResult<()>>;
}

// === impl Configuration ===

impl Configuration {
    /// The version that a put or removal must be based on; 0 = there is none of this name.
    pub fn component_version(&self, name: &str) -> i64 {
        let found = self.components.iter().find(|component| component.name == name).map(|c| c.version);
        found.unwrap_or_else(|| self.unreadable_version(Entity::Component, name))
    }

    /// Like [`Self::component_version`].
    pub fn event_source_version(&self, name: &str) -> i64 {
        let mut sources = self.event_sources.iter().map(|source| &source.event_source);
        let found = sources.find(|source| source.name == name).map(|source| source.version);
        found.unwrap_or_else(|| self.unreadable_version(Entity::EventSource, name))
    }

    fn unreadable_version(&self, entity: Entity, name: &str) -> i64 {
        let mut damaged = self.unreadable.iter();
        damaged.find(|one| one.entity == entity && one.name == name).map_or(0, |one| one.version)
    }
}

// === impl Entity ===

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::EventSource => "event source",
            Self::Role => "role",
            Self::Heartbeat => "heartbeat",
            Self::Configuration => "configuration",
        })
    }
}

// === impl StoreError ===

impl StoreError {
    /// Somebody committed between a decision and its commit: decide again.
    pub fn is_outdated_revision(&self) -> bool {
        matches!(self, Self::Conflict { entity: Entity::Configuration, .. })
    }
}
