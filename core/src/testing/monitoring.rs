//! Numbers in memory, as somebody who looks at them finds them. Clones share them.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::ports::{
    BoxFuture,
    monitoring::{Monitoring, MonitoringError, MonitoringResult, Sample},
};

#[derive(Clone, Default)]
pub struct MemoryMonitoring(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    put: Vec<(String, Vec<Sample>)>,
    refusing: Option<MonitoringError>,
}

// === impl MemoryMonitoring ===

impl MemoryMonitoring {
    /// All that was put, with the group that it is of, in order.
    pub fn seen(&self) -> Vec<(String, Vec<Sample>)> {
        self.0.lock().put.clone()
    }

    /// From now on nothing is taken, or all is again.
    pub fn refuse(&self, error: Option<MonitoringError>) {
        self.0.lock().refusing = error;
    }
}

impl Monitoring for MemoryMonitoring {
    fn put(&self, group: String, samples: Vec<Sample>) -> BoxFuture<'_, MonitoringResult> {
        let mut state = self.0.lock();
        let answer = match &state.refusing {
            Some(error) => Err(error.clone()),
            None => {
                state.put.push((group, samples));
                Ok(())
            }
        };
        Box::pin(std::future::ready(answer))
    }
}
