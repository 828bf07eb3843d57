//! What other nodes have found out: a version that serves on one of them needs no trial here.
//!
//! The first instance of a version of a `seriesfirst` component starts alone in the whole cluster. Who waits
//! for its turn meanwhile starts when that one serves, wherever it does.

use std::sync::Arc;

use maelstrom_core::wire::NodeStatus;
use tokio::sync::watch;

use super::{Node, unit::Unit};

// === impl Node ===

impl Node {
    /// Follows the statuses of peers, which `changed` wakes for.
    pub async fn follow_proofs(
        self: Arc<Self>,
        statuses: impl Fn() -> Vec<Arc<NodeStatus>>,
        mut changed: watch::Receiver<u64>,
    ) {
        let mut own = self.context.version().subscribe();
        loop {
            changed.mark_unchanged();
            own.mark_unchanged();
            let units = self.context.units();
            let waiting: Vec<(&Arc<Unit>, i64)> =
                units.iter().filter_map(|unit| Some((unit, unit.unproved()?))).collect();
            if !waiting.is_empty() {
                let statuses = statuses();
                let proved = waiting.into_iter().filter(|(unit, version)| serves(&statuses, unit, *version));
                proved.for_each(|(unit, version)| unit.proved_elsewhere(version));
            }
            let alive = tokio::select! {
                changed = changed.changed() => changed.is_ok(),
                changed = own.changed() => changed.is_ok(),
            };
            if !alive {
                return;
            }
        }
    }
}

fn serves(statuses: &[Arc<NodeStatus>], unit: &Unit, version: i64) -> bool {
    let all = statuses.iter().flat_map(|status| &status.running_components);
    let mut here = all.filter(|info| unit.name.as_str() == info.component_name);
    here.any(|info| info.component_version == version && info.status == "active")
}
