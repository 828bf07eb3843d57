//! One poller's time in its role: what it is to do, as that changes, and whether it may still begin
//! something.

use std::{collections::BTreeMap, sync::Arc};

use maelstrom_core::{decide::lease::Term, names::Role};
use tokio::sync::watch;

use super::{Assignment, Poll, Report};
use crate::cluster::Wanted;

/// See the module.
pub(in crate::events) struct Turn {
    wanted: Arc<Wanted>,
    term: Term,
    roles: watch::Receiver<BTreeMap<Role, Term>>,
    assigned: watch::Receiver<Assignment>,
    pub(in crate::events) report: Arc<Report>,
}

/// Works in the role whenever it is owned, until it is not wanted any more.
pub(super) async fn take_turns(
    poll: Arc<dyn Poll>,
    wanted: Arc<Wanted>,
    mut assigned: watch::Receiver<Assignment>,
    report: Arc<Report>,
) {
    while assigned.borrow().share > 0 {
        let term = tokio::select! {
            term = wanted.owned() => term,
            changed = assigned.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            }
        };
        let turn = Turn {
            roles: wanted.changes(),
            wanted: wanted.clone(),
            term,
            assigned: assigned.clone(),
            report: report.clone(),
        };
        poll.clone().poll(turn).await;
    }
}

// === impl Turn ===

impl Turn {
    pub(in crate::events) fn role(&self) -> &Role {
        self.wanted.role()
    }

    /// What is to be done now.
    pub(in crate::events) fn assignment(&self) -> Assignment {
        self.assigned.borrow().clone()
    }

    /// How much may be in flight now; nothing: hands are to be emptied.
    pub(in crate::events) fn share(&self) -> u32 {
        if self.wanted.term() == Some(self.term) { self.assigned.borrow().share } else { 0 }
    }

    /// Ends when one of these may have changed.
    pub(in crate::events) async fn changed(&mut self) {
        let assigned = async {
            if self.assigned.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let roles = async {
            if self.roles.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = assigned => {}
            () = roles => {}
        }
    }
}
