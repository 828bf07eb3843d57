//! What the components' instances write, as one stream of lines.
//!
//! ```text
//!   engine: list, logs ─► collector ──► one reader per container ──► buffer ──► Lines ─► its reader
//!                         (periodically, or woken)                            bounded
//! ```
//! Instances that start while a stream is open join it, those that end leave it after their last line.
//! A reader that is too slow loses the oldest lines and is told how many: a stuck client must not hold
//! memory. Past lines come container by container, as each is read; nothing is sorted.

mod buffer;
mod cluster;
mod collect;
mod forward;

pub use cluster::ClusterLogs;
pub use forward::forward;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use maelstrom_core::{
    names::{ComponentName, NodeId},
    ports::{
        clock::Clock,
        engine::{Container, ContainerEngine, LogLine, LogStream},
    },
};
use tokio::{sync::watch, task::JoinSet};

use crate::api::{ComponentLine, LogRequest, LogSource};
use buffer::Buffer;

/// New instances join a stream that somebody watches within this time, even if nothing signals.
const WATCHED: Duration = Duration::from_secs(2);

/// One line of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    node: NodeId,
    component: ComponentName,
    stream: LogStream,
    /// Without its line end; not always UTF-8.
    data: Bytes,
}

/// Which lines of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// How far back; `None`: to the beginning.
    since: Option<Duration>,
    /// Past lines per instance at most.
    tail: Option<u32>,
    /// Goes on with new lines and new instances; else the stream ends with the lines there are.
    follow: bool,
}

/// Where the node's lines come from. Clones read the same.
#[derive(Clone)]
pub struct InstanceLogs {
    pub node: NodeId,
    pub engine: Arc<dyn ContainerEngine>,
    pub clock: Arc<dyn Clock>,
    /// Anything that changes when instances come and go: their lines are seen at once instead of at
    /// the next look.
    pub changes: watch::Receiver<i64>,
}

/// The open stream; what reads for it ends when it is dropped.
struct Lines {
    buffer: Arc<Buffer>,
    _readers: JoinSet<()>,
}

// === impl InstanceLogs ===

impl InstanceLogs {
    /// Lines of containers that `wants` chooses. Has to be called inside the Tokio runtime.
    fn open(
        &self,
        wants: impl Fn(&Container, &ComponentName) -> bool + Send + Sync + 'static,
        span: Span,
        every: Duration,
    ) -> Lines {
        let buffer = Arc::new(Buffer::default());
        let mut readers = JoinSet::new();
        readers.spawn(collect::collect(self.clone(), Box::new(wants), span, every, buffer.clone()));
        Lines { buffer, _readers: readers }
    }
}

impl LogSource for InstanceLogs {
    fn lines(self: Arc<Self>, request: LogRequest) -> BoxStream<'static, ComponentLine> {
        let span = Span { since: Some(request.since), tail: request.tail, follow: request.follow };
        let lines = self.open(move |_, component| request.wants(component), span, WATCHED);
        lines.map(told).boxed()
    }
}

fn told(line: Line) -> ComponentLine {
    let Line { node, component, stream, data } = line;
    ComponentLine { node, component, line: LogLine { stream, line: data } }
}

impl From<ComponentLine> for Line {
    fn from(line: ComponentLine) -> Self {
        let ComponentLine { node, component, line: LogLine { stream, line: data } } = line;
        Self { node, component, stream, data }
    }
}

impl Stream for Lines {
    type Item = Line;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Line>> {
        self.buffer.poll_take(context)
    }
}

#[cfg(test)]
mod tests;
