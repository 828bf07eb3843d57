//! The loop: what wakes it, and what it does then.

use std::{sync::Arc, time::Duration};

use maelstrom_core::time::Moment;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::Control;
use crate::clock;

/// The autoscaler's tick (cluster, "Autoscale"): short against its shortest window.
const TICK: Duration = Duration::from_secs(1);
/// Statuses of two hundred nodes come all the time: so far apart are the passes for them.
const GAP: Duration = Duration::from_millis(20);
/// Orders and questions are cut off at their next await.
const TASKS_LIMIT: Duration = Duration::from_secs(2);

/// When to look next.
#[derive(Default)]
struct Due {
    pass: Option<Instant>,
    last: Option<Instant>,
    patience: Option<Instant>,
}

// === impl Control ===

impl Control {
    /// Runs until `token` fires.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        let mut node = self.targets.changes();
        let mut fleet = self.cluster.as_ref().map(|cluster| cluster.fleet.changes());
        let mut roles = self.cluster.as_ref().map(|cluster| cluster.roles.changes());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Due::default();
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => break,
                () = self.router.demand().notified() => {
                    self.demanded();
                    if !self.is_configuration_new() {
                        continue;
                    }
                    due.soon(self.gap());
                }
                changed = changed(&mut roles) => {
                    if !changed {
                        break;
                    }
                    due.soon(Duration::ZERO);
                }
                changed = node.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    due.soon(self.gap());
                }
                changed = changed(&mut fleet) => {
                    if !changed {
                        break;
                    }
                    due.soon(self.gap());
                }
                () = self.wake.notified() => due.soon(Duration::ZERO),
                () = at(due.patience) => due.soon(Duration::ZERO),
                _ = tick.tick() => due.soon(Duration::ZERO),
                () = at(due.pass) => self.look(&mut due),
            }
            if due.is_now() {
                self.look(&mut due);
            }
        }
        self.tasks.stop(TASKS_LIMIT).await;
    }

    /// Somebody waits and there is no instance.
    fn demanded(&self) {
        if self.cluster.is_none() || self.leads() {
            self.answer_demand(clock::now());
        } else {
            self.ask_for_places();
        }
    }

    fn look(&self, due: &mut Due) {
        due.pass = None;
        due.last = Some(Instant::now());
        let now = clock::now();
        self.memory.lock().generation = self.router.generation();
        self.follow_role(now);
        if self.cluster.is_none() || self.leads() {
            self.pass(now);
        } else {
            self.ask_for_places();
            self.report_demand(now);
        }
        due.patience = self.patience(now).map(|left| Instant::now() + left);
    }

    fn is_configuration_new(&self) -> bool {
        self.memory.lock().generation != self.router.generation()
    }

    fn gap(&self) -> Duration {
        if self.cluster.is_some() { GAP } else { Duration::ZERO }
    }

    /// Time until the first queue has waited long enough to count, or a node has owed an answer for long,
    /// where that is before the next tick.
    pub(super) fn patience(&self, now: Moment) -> Option<Duration> {
        let pools = self.router.pools();
        let left = pools.iter().filter_map(|pool| pool.queue_patience(now));
        left.chain(self.memory.lock().following.look_again).filter(|left| !left.is_zero()).min()
    }
}

// === impl Due ===

impl Due {
    /// A pass is due, at least `gap` after the last one.
    fn soon(&mut self, gap: Duration) {
        let at = self.last.map_or_else(Instant::now, |last| last + gap);
        self.pass = Some(self.pass.map_or(at, |pass| pass.min(at)));
    }

    fn is_now(&self) -> bool {
        self.pass.is_some_and(|pass| pass <= Instant::now())
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// False: what is watched is gone.
async fn changed<T>(watched: &mut Option<watch::Receiver<T>>) -> bool {
    match watched {
        Some(watched) => watched.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}
