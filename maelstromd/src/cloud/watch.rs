//! What the machine is told of its own future, looked at every few seconds.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{decide::drain, ports::metadata::MetadataError};

use super::{Cloud, complaint::Complaint};

/// A spot machine has two minutes from the notice on: none of them is to be lost on looking seldom.
const PERIOD_MAX: Duration = Duration::from_secs(5);
/// Where there is no such service.
const ABSENT_PAUSE: Duration = Duration::from_secs(60);

// === impl Cloud ===

impl Cloud {
    /// Passes notices on to the drain. Never ends.
    pub(super) async fn watch(self: Arc<Self>, period: Duration) {
        let period = period.min(PERIOD_MAX);
        let mut complaint = Complaint::about("the instance metadata");
        loop {
            let pause = match self.parts.metadata.notices().await {
                Ok(notices) => {
                    complaint.succeeded();
                    let (now, wall) = (self.parts.clock.now(), self.parts.clock.wall());
                    for signal in drain::signals(&notices, self.settings.follow_rebalance, now, wall) {
                        self.parts.drainer.signal(signal);
                    }
                    period
                }
                // Once it was there, it is away.
                Err(error @ MetadataError::Absent(_)) if self.identity().instance.is_none() => {
                    tracing::debug!(%error, "no notices are to be had");
                    ABSENT_PAUSE
                }
                Err(error) => {
                    complaint.failed("unavailable", &error);
                    period
                }
            };
            self.pause(pause).await;
        }
    }
}
