//! The names of an event source's queues. Those of a prefix are listed now and then, once for all pollers
//! of this node.

use std::{collections::HashMap, sync::Arc, time::Duration};

use maelstrom_core::{
    ports::{
        clock::Clock,
        queue::{QueueResult, Queues},
    },
    time::Moment,
};
use parking_lot::Mutex;

/// A new queue of a prefix is found within this time, and a moment.
pub(super) const LIST_EVERY: Duration = Duration::from_secs(10);
/// Prefixes that are remembered.
const MOST: usize = 1_000;

pub(super) type Listed = Arc<[String]>;
type Cell = Arc<tokio::sync::Mutex<Option<(Moment, QueueResult<Listed>)>>>;

/// See the module.
pub(super) struct Names {
    queues: Arc<dyn Queues>,
    clock: Arc<dyn Clock>,
    by_prefix: Mutex<HashMap<String, Cell>>,
}

// === impl Names ===

impl Names {
    pub(super) fn new(queues: Arc<dyn Queues>, clock: Arc<dyn Clock>) -> Self {
        Self { queues, clock, by_prefix: Mutex::default() }
    }

    /// In name order. Whoever comes while another asks waits for its answer, a failure, too: many pollers in
    /// a row that each wait for an AWS that is away would wait for hours.
    pub(super) async fn of_prefix(&self, prefix: &str) -> QueueResult<Listed> {
        let cell = self.cell(prefix);
        let mut listed = cell.lock().await;
        if let Some((at, answer)) = &*listed
            && self.clock.now().since(*at) < LIST_EVERY
        {
            return answer.clone();
        }
        let answer = self.queues.list(prefix.to_owned()).await.map(Listed::from);
        *listed = Some((self.clock.now(), answer.clone()));
        answer
    }

    fn cell(&self, prefix: &str) -> Cell {
        let mut cells = self.by_prefix.lock();
        if cells.len() >= MOST && !cells.contains_key(prefix) {
            cells.clear();
        }
        cells.entry(prefix.to_owned()).or_default().clone()
    }
}
