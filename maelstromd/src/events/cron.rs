//! Cron rules: the owner of the role `cron` turns due times into requests.
//!
//! ```text
//!  due ──claim (store)──▶ ours ──request──▶ answered ──▶ journal
//!   │ last run still goes on     │ taken: another node had it
//!   ▼                            ▼ store away: tried again while the due time is young
//!  skipped, counted             nothing
//! ```
//! A due time is claimed before its request is sent, so it is fired at most once in the cluster, whoever
//! owns the role meanwhile; a node that dies between the two has lost that firing. Nothing fires without
//! the store. Changes of the configuration are picked up as they come.

mod firing;
mod rules;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use maelstrom_core::{
    decide::lease::Term,
    journal::Kind,
    names::{EventSourceName, Role},
    ports::{clock::Clock, store::Store},
    time::WallTime,
};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

pub(super) use self::firing::build as request;
use super::{Dispatch, exchange};
use crate::{
    cluster::{ConfigurationCache, Roles, Snapshot, Source},
    journal::{Entry, Journal},
};
use firing::Outcome;
use rules::{Fire, Rules, Verdict};

/// The role whose owner fires rules.
pub const ROLE: &str = "cron";

/// Requests of rules under way at a time. Far more than a node's rules need at once, far fewer than would
/// hurt it when all rules of a large cluster are due at midnight.
const MAX_RUNNING: usize = 256;

/// The wall clock may be set: it is looked at so often, whatever is due next.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is due but waits is not looked at again before this: no spin.
const SOON: Duration = Duration::from_millis(20);

/// What the event source works with.
pub struct Cron {
    pub store: Arc<dyn Store>,
    pub configuration: Arc<ConfigurationCache>,
    pub roles: Arc<Roles>,
    pub dispatch: Arc<dyn Dispatch>,
    pub journal: Arc<Journal>,
    pub clock: Arc<dyn Clock>,
    /// Names this run of the daemon in claims, so that it may repeat its own.
    pub claimant: String,
    pub counts: CronCounts,
}

/// What came of due times since the daemon started.
#[derive(Debug, Default)]
pub struct CronCounts {
    pub fired: AtomicU64,
    /// Answers other than 2xx.
    pub failed: AtomicU64,
    /// Due while the rule's last run went on.
    pub skipped: AtomicU64,
    /// Not fired in time.
    pub missed: AtomicU64,
}

/// What the loop knows: the rules while it owns the role, and what runs whether it does or not.
#[derive(Default)]
struct State {
    owned: Option<(Term, Rules)>,
    running: BTreeSet<EventSourceName>,
    tasks: JoinSet<Outcome>,
    about: HashMap<Id, Fire>,
}

// === impl Cron ===

impl Cron {
    /// Fires until `token` does, then awaits the requests under way; each ends by its component's deadline.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        let mut state = State::default();
        let mut configuration = self.configuration.subscribe();
        let mut roles = self.roles.changes();
        while !token.is_cancelled() {
            let snapshot = configuration.borrow_and_update().clone();
            roles.mark_unchanged();
            tokio::select! {
                () = token.cancelled() => break,
                () = self.own(&mut state, &snapshot) => {}
            }
            self.fire_due(&mut state, &snapshot);
            self.wait(&mut state, &mut configuration, &mut roles, &token).await;
        }
        while let Some(ended) = state.tasks.join_next_with_id().await {
            self.ended(&mut state, ended);
        }
    }

    /// Follows the role: its rules are there while this node owns it.
    async fn own(&self, state: &mut State, snapshot: &Snapshot) {
        let term = self.roles.owns(&Role::new(ROLE));
        if state.owned.as_ref().map(|(term, _)| *term) == term {
            return;
        }
        state.owned = None;
        let Some(term) = term else { return };
        match self.store.last_fires().await {
            Ok(last) => {
                let gone = rules::gone(&last, snapshot);
                state.owned = Some((term, Rules::new(last)));
                // Claims of rules that were removed while nobody owned the role.
                if let Err(error) = self.store.forget_fires(gone).await {
                    tracing::debug!(%error, "claims of removed cron rules are kept for now");
                }
            }
            // Without a store there is no claim and so nothing to fire: tried again with the next look.
            Err(error) => tracing::warn!(%error, "cron rules wait for the store"),
        }
    }

    fn fire_due(self: &Arc<Self>, state: &mut State, snapshot: &Arc<Snapshot>) {
        let Some((_, rules)) = &mut state.owned else { return };
        let now = self.clock.wall();
        rules.configure(snapshot, now);
        let room = MAX_RUNNING.saturating_sub(state.running.len());
        for verdict in rules.due(now, &state.running, room) {
            match verdict {
                Verdict::Fire(fire) => {
                    state.running.insert(fire.source.source.name.clone());
                    let component = snapshot.components.get(&fire.source.source.component);
                    let limit = exchange::limit(component.map(|component| &**component));
                    let task = state.tasks.spawn(firing::run(self.clone(), fire.clone(), limit));
                    state.about.insert(task.id(), fire);
                }
                Verdict::Skip { source, due, count } => {
                    self.counts.skipped.fetch_add(1, Relaxed);
                    let entry = entry(&source, "skipped", due).because("its last run has not ended");
                    self.journal.record(entry.data("skipped", count));
                    // So that a new owner doesn't make up for it.
                    state.tasks.spawn(firing::claim_only(self.clone(), source, due));
                }
                Verdict::Missed { source, due } => {
                    self.counts.missed.fetch_add(1, Relaxed);
                    let why = "nobody could fire it in time: no owner of the role, or no store";
                    self.journal.record(entry(&source, "missed", due).because(why).warning());
                }
                Verdict::ClockSetBack { source, last } => {
                    let why = "the clock was set back by more than an hour";
                    self.journal.record(entry(&source, "begins anew", last).because(why).warning());
                }
            }
        }
    }

    /// Until something may have changed what is due.
    async fn wait(
        &self,
        state: &mut State,
        configuration: &mut watch::Receiver<Arc<Snapshot>>,
        roles: &mut watch::Receiver<impl Sized>,
        token: &CancellationToken,
    ) {
        let next = state.owned.as_ref().and_then(|(_, rules)| rules.next());
        let until = next.map_or(LOOK_EVERY, |next| {
            let millis = next.as_millis().saturating_sub(self.clock.wall().as_millis());
            Duration::from_millis(millis.max(0).unsigned_abs()).clamp(SOON, LOOK_EVERY)
        });
        let ended = tokio::select! {
            () = token.cancelled() => None,
            _ = configuration.changed() => None,
            _ = roles.changed() => None,
            () = self.clock.sleep_until(self.clock.now() + until) => None,
            Some(ended) = state.tasks.join_next_with_id() => Some(ended),
        };
        if let Some(ended) = ended {
            self.ended(state, ended);
        }
    }

    fn ended(&self, state: &mut State, ended: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => {
                tracing::error!(%error, "a firing of a cron rule panicked");
                (error.id(), Outcome::Settled)
            }
        };
        let Some(fire) = state.about.remove(&id) else { return };
        state.running.remove(&fire.source.source.name);
        if let (Outcome::NotClaimed, Some((_, rules))) = (outcome, &mut state.owned) {
            rules.reopen(&fire, self.clock.wall());
        }
    }
}

/// "cron rule 'x' …", for its component, about that due time.
fn entry(source: &Source, what: &str, due: WallTime) -> Entry {
    Entry::new(Kind::Cron, format!("cron rule '{}' {what}", source.source.name))
        .component(&source.source.component)
        .data("rule", source.source.name.as_str())
        .data("due", due.as_millis())
}

#[cfg(test)]
mod tests;
