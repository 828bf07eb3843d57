//! `logdriver: maelstrom`: lines of such containers go into the daemon's own log, with component and
//! stream as fields.

use std::time::Duration;

use futures_util::StreamExt;
use maelstrom_core::{
    names::ComponentName,
    ports::engine::{Container, LABEL_LOG, LOG_INTO_DAEMON},
};

use super::{InstanceLogs, Span};

/// Where filters of the log find them: `MAEL_LOG_LEVEL=info,maelstrom::container=off` and the like.
const TARGET: &str = "maelstrom::container";

/// A container that no signal told of is found after this; its lines are all told then.
const EVERY: Duration = Duration::from_secs(30);

/// Forwards until dropped. Lines written while no daemon ran are not told again.
pub async fn forward(source: InstanceLogs) {
    let span = Span { since: Some(Duration::ZERO), tail: None, follow: true };
    let mut lines = source.open(is_forwarded, span, EVERY);
    while let Some(line) = lines.next().await {
        let text = String::from_utf8_lossy(&line.data);
        tracing::info!(target: TARGET, component = line.component.as_str(), stream = line.stream.name(), "{text}");
    }
}

pub(super) fn is_forwarded(container: &Container, _: &ComponentName) -> bool {
    container.labels.get(LABEL_LOG).is_some_and(|log| log == LOG_INTO_DAEMON)
}
