//! Which roles this node bids for: those that it always wants, and those that somebody on it wants for a
//! while, each with a guard.

use std::{collections::BTreeMap, sync::Arc};

use maelstrom_core::{decide::lease::Term, names::Role};
use tokio::sync::watch;

use super::Roles;

/// How many want each role.
#[derive(Debug, Default)]
pub(super) struct Wants {
    counts: BTreeMap<Role, usize>,
}

/// A role is bid for as long as this lives. Dropping it stops acting in it at once, and the next owner
/// can have it within a second.
#[must_use = "dropping it gives the role back"]
pub struct Wanted {
    roles: Arc<Roles>,
    role: Role,
}

// === impl Wants ===

impl Wants {
    pub(super) fn new(always: Vec<Role>) -> Self {
        Self { counts: always.into_iter().map(|role| (role, 1)).collect() }
    }

    /// True if nobody wanted it before.
    pub(super) fn add(&mut self, role: &Role) -> bool {
        let count = self.counts.entry(role.clone()).or_default();
        *count += 1;
        *count == 1
    }

    /// True if nobody wants it any more.
    pub(super) fn remove(&mut self, role: &Role) -> bool {
        let Some(count) = self.counts.get_mut(role) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.counts.remove(role);
        }
        last
    }

    pub(super) fn contains(&self, role: &Role) -> bool {
        self.counts.contains_key(role)
    }

    pub(super) fn all(&self) -> Vec<Role> {
        self.counts.keys().cloned().collect()
    }
}

// === impl Wanted ===

impl Wanted {
    pub(super) fn new(roles: Arc<Roles>, role: Role) -> Self {
        Self { roles, role }
    }

    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The term in which this node may act in the role now.
    pub fn term(&self) -> Option<Term> {
        self.roles.owns(&self.role)
    }

    /// Waits until this node may act in the role. The caller bounds the wait by dropping the future.
    pub async fn owned(&self) -> Term {
        let mut changes = self.roles.changes();
        loop {
            changes.mark_unchanged();
            if let Some(term) = self.term() {
                return term;
            }
            // The sender lives as long as the roles, which this keeps.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until it may not act in `term` any more.
    pub async fn lost(&self, term: Term) {
        let mut changes = self.roles.changes();
        while self.term() == Some(term) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Wakes when roles are taken or lost.
    pub fn changes(&self) -> watch::Receiver<BTreeMap<Role, Term>> {
        self.roles.changes()
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.roles.want_no_more(&self.role);
    }
}
