//! Keeps one reader per container that is wanted: looks at what there is, again and again. A signal
//! makes it look sooner; a container missed once is found at the next look.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use maelstrom_core::{
    names::{ComponentName, InstanceId},
    ports::engine::{Container, ContainerState, EngineError, LABEL_COMPONENT, LogQuery, LogStream},
};
use tokio::task::JoinSet;

use super::{InstanceLogs, Line, Span, buffer::Buffer};

/// From a signal to the look: what starts is not disturbed by questions to the engine, and a burst of
/// signals is one look.
const SETTLING: Duration = Duration::from_millis(300);
/// Containers read at a time: each holds a connection to the engine.
const MAX_READERS: usize = 256;

pub(super) type Wants = Box<dyn Fn(&Container, &ComponentName) -> bool + Send + Sync>;

struct Collector {
    source: InstanceLogs,
    span: Span,
    /// Between two looks when nothing signals.
    every: Duration,
    buffer: Arc<Buffer>,
    /// Where a container is to be read from, in Unix seconds; `None`: its beginning.
    since: Option<i64>,
    /// Past lines at most of what there is when the stream opens; who joins later has no past.
    tail: Option<u32>,
    readers: JoinSet<(InstanceId, End)>,
    reading: HashSet<InstanceId>,
    /// Read to their end.
    done: HashSet<InstanceId>,
    /// Cut off: read on from here, in Unix seconds.
    cut: HashMap<InstanceId, i64>,
}

/// Why a reader ended.
enum End {
    Complete,
    /// The engine went away.
    Cut {
        at: i64,
    },
}

pub(super) async fn collect(
    source: InstanceLogs,
    wants: Wants,
    span: Span,
    every: Duration,
    buffer: Arc<Buffer>,
) {
    let since = span.since.map(|since| {
        let since = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        seconds(&source).saturating_sub(since).max(0)
    });
    let mut collector = Collector {
        source,
        span,
        every,
        buffer: buffer.clone(),
        since,
        tail: span.tail,
        readers: JoinSet::new(),
        reading: HashSet::new(),
        done: HashSet::new(),
        cut: HashMap::new(),
    };
    collector.run(wants).await;
    buffer.close();
}

// === impl Collector ===

impl Collector {
    async fn run(&mut self, wants: Wants) {
        let mut changes = self.source.changes.clone();
        loop {
            changes.mark_unchanged();
            let listed = self.look(&wants).await;
            if !self.span.follow {
                return if listed {
                    self.finish().await
                };
            }
            let clock = self.source.clock.clone();
            let look = clock.sleep_until(clock.now() + self.every);
            tokio::select! {
                () = look => {}
                // Without its sender, at the daemon's end, nothing is worth another look.
                changed = changes.changed() => if changed.is_err() { return },
                Some(ended) = self.readers.join_next() => self.ended(ended),
            }
            clock.sleep_until(clock.now() + SETTLING).await;
            while let Some(ended) = self.readers.try_join_next() {
                self.ended(ended);
            }
        }
    }

    /// Begins to read what is new; false when the engine did not answer.
    async fn look(&mut self, wants: &Wants) -> bool {
        let containers = match self.source.engine.list(self.source.node.clone()).await {
            Ok(containers) => containers,
            Err(error) => {
                tracing::debug!(%error, "which containers write logs is not known now");
                return false;
            }
        };
        let there: HashSet<&InstanceId> = containers.iter().map(|container| &container.id).collect();
        self.done.retain(|id| there.contains(id));
        self.cut.retain(|id, _| there.contains(id));
        for container in &containers {
            let name = container.labels.get(LABEL_COMPONENT).and_then(|name| ComponentName::parse(name).ok());
            let Some(component) = name.filter(|name| wants(container, name)) else { continue };
            let writes = !matches!(container.state, ContainerState::Created | ContainerState::Gone);
            let known = self.reading.contains(&container.id) || self.done.contains(&container.id);
            if writes && !known && self.reading.len() < MAX_READERS {
                self.read(container.id.clone(), component);
            }
        }
        self.tail = None;
        true
    }

    fn read(&mut self, id: InstanceId, component: ComponentName) {
        let query = match self.cut.remove(&id) {
            // The second in which it broke is read again: better a line twice than one missing.
            Some(at) => LogQuery { since: Some(at), tail: None, follow: self.span.follow },
            None => LogQuery { since: self.since, tail: self.tail, follow: self.span.follow },
        };
        self.reading.insert(id.clone());
        let (source, buffer) = (self.source.clone(), self.buffer.clone());
        self.readers.spawn(async move {
            let end = read(&source, id.clone(), component, query, &buffer).await;
            (id, end)
        });
    }

    fn ended(&mut self, ended: Result<(InstanceId, End), tokio::task::JoinError>) {
        // A reader that panicked keeps its place in `reading`: reading it again would panic again.
        let Ok((id, end)) = ended else { return };
        self.reading.remove(&id);
        match end {
            End::Complete => _ = self.done.insert(id),
            End::Cut { at } => _ = self.cut.insert(id, at),
        }
    }

    async fn finish(&mut self) {
        while let Some(ended) = self.readers.join_next().await {
            self.ended(ended);
        }
    }
}

async fn read(
    source: &InstanceLogs,
    id: InstanceId,
    component: ComponentName,
    query: LogQuery,
    buffer: &Buffer,
) -> End {
    let mut lines = source.engine.logs(id, query);
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => {
                let node = source.node.clone();
                buffer.put(Line { node, component: component.clone(), stream: line.stream, data: line.line });
            }
            Err(EngineError::Unavailable { .. }) => return End::Cut { at: seconds(source) },
            // Removed before it was read.
            Err(EngineError::NoSuchContainer { .. }) => return End::Complete,
            // For example a log driver that can't be read back: said once per container.
            Err(error) => {
                let data = Bytes::from(format!("maelstrom: its lines can't be read: {error}"));
                let node = source.node.clone();
                buffer.put(Line { node, component, stream: LogStream::Stderr, data });
                return End::Complete;
            }
        }
    }
    End::Complete
}

fn seconds(source: &InstanceLogs) -> i64 {
    source.clock.wall().as_millis().div_euclid(1_000)
}
