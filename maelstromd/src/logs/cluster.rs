//! The lines of all nodes as one stream: this node's own, and those of each peer as its private port sends
//! them.
//!
//! ```text
//!   own instances ──────────────┐
//!   peer 1: /_mael/logs?local ──┼─► buffer ──► Lines
//!   peer 2: …                   ┘
//! ```
//! Peers that join while a stream is open join it. One whose stream breaks is read again from where it
//! ended: a line may then come twice rather than not at all. What is missing is said in a line of its own.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream::BoxStream};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use maelstrom_core::{
    names::{ComponentName, NodeId},
    ports::{clock::Clock, engine::LogStream},
    time::Moment,
};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{Line, Lines, buffer::Buffer, told};
use crate::{
    api::{ComponentLine, LogRequest, LogSource},
    cluster::Peers,
};

/// For the head of a peer's answer.
const BEGIN_LIMIT: Duration = Duration::from_secs(3);
/// Ten of a peer's heartbeats.
const SILENCE: Duration = Duration::from_secs(10);
/// Before a peer whose stream broke is asked again, and before one that is silent is given up for now.
const AGAIN: Duration = Duration::from_secs(1);
/// A peer cuts lines long before that.
const LINE_MAX: usize = 4 << 20;
/// Whose the lines about lines are.
const OWN_LINES: &str = "maelstrom";

/// Where the cluster's lines come from.
pub struct ClusterLogs {
    pub local: Arc<dyn LogSource>,
    pub node: NodeId,
    pub peers: Arc<Peers>,
    pub clock: Arc<dyn Clock>,
}

/// Keeps one reader per peer.
struct Gatherer {
    source: Arc<ClusterLogs>,
    request: LogRequest,
    buffer: Arc<Buffer>,
    readers: JoinSet<(NodeId, Result<(), String>)>,
    reading: HashSet<NodeId>,
    /// Peers whose stream ended, and when.
    ended: HashMap<NodeId, Moment>,
    /// Peers of which it was said that their lines are missing.
    missed: HashSet<NodeId>,
}

/// One line as a peer sends it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PeerLine {
    component: String,
    stream: String,
    data: String,
}

impl LogSource for ClusterLogs {
    fn lines(self: Arc<Self>, request: LogRequest) -> BoxStream<'static, ComponentLine> {
        if request.local {
            return self.local.clone().lines(request);
        }
        let buffer = Arc::new(Buffer::default());
        let gatherer = Gatherer {
            source: self,
            request,
            buffer: buffer.clone(),
            readers: JoinSet::new(),
            reading: HashSet::new(),
            ended: HashMap::new(),
            missed: HashSet::new(),
        };
        let mut readers = JoinSet::new();
        readers.spawn(gatherer.gather());
        Lines { buffer, _readers: readers }.map(told).boxed()
    }
}

// === impl Gatherer ===

impl Gatherer {
    async fn gather(mut self) {
        let mut request = self.request.clone();
        request.local = true;
        let local = self.source.local.clone().lines(request);
        let (node, buffer) = (self.source.node.clone(), self.buffer.clone());
        self.reading.insert(node.clone());
        self.readers.spawn(async move {
            local
                .for_each(|line| {
                    buffer.put(line.into());
                    std::future::ready(())
                })
                .await;
            (node, Ok(()))
        });
        if self.request.follow { self.follow().await } else { self.finish().await }
    }

    /// Reads what there is, once.
    async fn finish(mut self) {
        self.look();
        while let Some(ended) = self.readers.join_next().await {
            if let Ok((node, Err(why))) = ended {
                self.miss(&node, &why);
            }
        }
        self.buffer.close();
    }

    /// Goes on until it is dropped.
    async fn follow(mut self) {
        let mut changes = self.source.peers.changes();
        loop {
            changes.mark_unchanged();
            let again = self.look();
            let clock = self.source.clock.clone();
            let pause = async move {
                match again {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Without its sender, at the daemon's end, no peer comes any more.
                changed = changes.changed() => if changed.is_err() { std::future::pending::<()>().await },
                Some(ended) = self.readers.join_next() => self.reader_ended(ended),
                () = pause => {}
            }
        }
    }

    fn reader_ended(&mut self, ended: Result<(NodeId, Result<(), String>), tokio::task::JoinError>) {
        let Ok((node, end)) = ended else { return };
        if let Err(why) = end {
            self.miss(&node, &why);
        }
        self.reading.remove(&node);
        self.ended.insert(node, self.source.clock.now());
    }

    /// Begins to read whom it doesn't read yet; returns when to look again.
    fn look(&mut self) -> Option<Moment> {
        let now = self.source.clock.now();
        let mut again: Option<Moment> = None;
        for view in self.source.peers.view() {
            let node = NodeId::new(view.status.node_id.as_str());
            if self.reading.contains(&node) {
                continue;
            }
            if let Some(since) = view.silent_since {
                // Who has just joined answers in a moment.
                let wait_until = since + AGAIN;
                if self.request.follow && wait_until > now {
                    again = Some(again.map_or(wait_until, |known| known.min(wait_until)));
                } else {
                    self.miss(&node, "the node can't be reached");
                }
                continue;
            }
            let ended = self.ended.get(&node).copied();
            if let Some(at) = ended.map(|ended| ended + AGAIN).filter(|at| *at > now) {
                again = Some(again.map_or(at, |known| known.min(at)));
                continue;
            }
            self.read(node, ended, now);
        }
        again
    }

    fn read(&mut self, node: NodeId, ended: Option<Moment>, now: Moment) {
        self.missed.remove(&node);
        self.reading.insert(node.clone());
        let mut request = self.request.clone();
        if let Some(ended) = ended {
            // The second in which it broke is read again.
            request.since = now.since(ended) + Duration::from_secs(1);
            request.tail = None;
        }
        let (source, buffer) = (self.source.clone(), self.buffer.clone());
        self.readers.spawn(async move {
            let end = read(&source.peers, &node, &request, &buffer).await;
            (node, end)
        });
    }

    /// Says once that lines of a node are missing.
    fn miss(&mut self, node: &NodeId, why: &str) {
        let Ok(component) = ComponentName::parse(OWN_LINES) else { return };
        if self.missed.insert(node.clone()) {
            let data = Bytes::from(format!("maelstrom: lines of node {node} are missing: {why}"));
            self.buffer.put(Line { node: node.clone(), component, stream: LogStream::Stderr, data });
        }
    }
}

/// Reads a peer's stream to its end.
async fn read(peers: &Peers, node: &NodeId, request: &LogRequest, buffer: &Buffer) -> Result<(), String> {
    let path = format!("/_mael/logs?{}", request.local_query());
    let mut body = peers.stream(node, &path, BEGIN_LIMIT).await.map_err(|error| error.to_string())?;
    let mut input = BytesMut::new();
    while let Some(data) = next_data(&mut body).await? {
        input.extend_from_slice(&data);
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line = input.split_to(end);
            input.advance(1);
            if let Some(line) = parse(node, &line) {
                buffer.put(line);
            }
        }
        if input.len() > LINE_MAX {
            return Err("it sends a line without end".to_owned());
        }
    }
    Ok(())
}

async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, String> {
    let frame = tokio::time::timeout(SILENCE, body.frame()).await;
    match frame.map_err(|_| format!("nothing came for {} s", SILENCE.as_secs()))? {
        None => Ok(None),
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        Some(Err(error)) => Err(format!("the stream broke: {error}")),
    }
}

/// `None`: a heartbeat, or nothing that this program knows.
fn parse(node: &NodeId, line: &[u8]) -> Option<Line> {
    let PeerLine { component, stream, data } = serde_json::from_slice(line).ok()?;
    let stream = if stream == "stderr" { LogStream::Stderr } else { LogStream::Stdout };
    let component = ComponentName::parse(&component).ok()?;
    Some(Line { node: node.clone(), component, stream, data: data.into() })
}

#[cfg(test)]
mod tests;
