//! What a contender has seen of role owners: since when, on its own clock, their beat stands still.

use std::{collections::HashMap, time::Duration};

use crate::{names::NodeId, ports::store::Heartbeat, time::Moment};

#[derive(Debug)]
pub struct Watches {
    /// For owners whose heartbeat is gone and can't say its own.
    duration: Duration,
    seen: HashMap<(NodeId, String), Watch>,
}

#[derive(Debug)]
struct Watch {
    /// `None`: there is no heartbeat of that run.
    beat: Option<u64>,
    /// When the answer of the first reading that showed it arrived.
    since: Moment,
    dead: bool,
}

// === impl Watches ===

impl Watches {
    pub(super) fn new(duration: Duration) -> Self {
        Self { duration, seen: HashMap::new() }
    }

    pub(super) fn duration(&self) -> Duration {
        self.duration
    }

    /// Takes in a reading of the heartbeats that was asked for at `asked` and answered at `now`. The time
    /// that a beat is known to stand still begins with the first answer and ends with the last question.
    pub(super) fn observe<'a>(
        &mut self,
        owners: impl Iterator<Item = (&'a NodeId, &'a str)>,
        heartbeats: &[Heartbeat],
        asked: Moment,
        now: Moment,
    ) {
        let mut before = std::mem::take(&mut self.seen);
        for (node, incarnation) in owners {
            let id = (node.clone(), incarnation.to_owned());
            let heartbeat = heartbeats.iter().find(|h| h.node == *node && h.incarnation == incarnation);
            let beat = heartbeat.map(|heartbeat| heartbeat.beat);
            let duration = heartbeat.map_or(self.duration, |heartbeat| heartbeat.duration);
            let watch = match before.remove(&id) {
                Some(watch) if watch.beat == beat => {
                    Watch { dead: asked.since(watch.since) >= duration, ..watch }
                }
                _ => Watch { beat, since: now, dead: false },
            };
            self.seen.entry(id).or_insert(watch);
        }
    }

    /// Whether an owner that isn't called dead yet has been silent for `patience` or longer.
    pub(super) fn doubts_any(&self, patience: Duration, now: Moment) -> bool {
        self.seen.values().any(|watch| !watch.dead && now.since(watch.since) >= patience)
    }

    /// Whether the run of that node's daemon has been silent for its whole duration.
    pub(super) fn is_dead(&self, node: &NodeId, incarnation: &str) -> bool {
        self.seen.get(&(node.clone(), incarnation.to_owned())).is_some_and(|watch| watch.dead)
    }
}
