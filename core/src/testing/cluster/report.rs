//! What a story came to, and what nodes said to each other in it.

use std::collections::BTreeMap;

use super::{
    messages::{Answer, Body, Message, Packet},
    world::World,
};
use crate::wire::NodeStatus;

/// Beside its body, a call over a kept connection has a request line and headers, and the same of its
/// answer: as the daemon's peer client and its private gateway write them.
const HEAD_BYTES: u64 = 150;
/// `{"id":1,"method":"NodeService.GetStatus","params":{}}` and the like.
const ENVELOPE_BYTES: u64 = 60;

/// How a story went that broke no promise.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub nodes: usize,
    pub seconds: f64,
    pub requests: u64,
    pub served: u64,
    /// Not served, and nothing could have served them.
    pub excused: u64,
    /// Under way when the story ended.
    pub open: u64,
    pub fires: usize,
    /// While the cluster was at rest.
    pub traffic: Traffic,
}

/// Per node and minute.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Messages sent, questions and answers, by kind: how many, and their bytes.
    pub kinds: BTreeMap<&'static str, (f64, f64)>,
    pub messages: f64,
    pub bytes: f64,
    pub store_calls: f64,
    /// Of the decider, per minute.
    pub passes: f64,
}

#[derive(Debug)]
pub(super) struct Meter {
    weigh: bool,
    on: bool,
    since: u64,
    kinds: BTreeMap<&'static str, (u64, u64)>,
    stored: u64,
    passes: u64,
    pub(super) requests: u64,
}

// === impl Meter ===

impl Meter {
    pub(super) fn new(weigh: bool) -> Self {
        Self { weigh, on: false, since: 0, kinds: BTreeMap::new(), stored: 0, passes: 0, requests: 0 }
    }

    /// The cluster is at rest: what comes now is its usual talk.
    pub(super) fn begin(&mut self) {
        self.on = true;
        (self.stored, self.passes) = (0, 0);
        self.kinds.clear();
    }

    pub(super) fn stored(&mut self, _node: usize) {
        self.stored += u64::from(self.on);
    }

    pub(super) fn passed(&mut self, now: u64) {
        self.since = now;
        self.passes += u64::from(self.on);
    }

    pub(super) fn sent(&mut self, packet: &Packet) {
        if !self.on {
            return;
        }
        let (kind, bytes) = self.weight(&packet.body);
        let sum = self.kinds.entry(kind).or_default();
        sum.0 += 1;
        sum.1 += bytes;
    }

    fn weight(&self, body: &Body) -> (&'static str, u64) {
        let status = |status: &NodeStatus| if self.weigh { json(status) } else { 0 };
        let (kind, bytes) = match body {
            Body::Ask(Message::GetStatus { status: own, .. }) => {
                ("exchange", own.as_deref().map_or(0, status))
            }
            Body::Answer(Answer::Status(whole)) => ("exchange", status(whole)),
            Body::Ask(Message::GetVersion) | Body::Answer(Answer::Version) => ("ping", 20),
            Body::Ask(Message::StatusChanged { status: own, .. }) => ("push", status(own)),
            Body::Answer(Answer::Told) => ("push", 20),
            Body::Ask(Message::DataChanged) => ("notice", 30),
            Body::Ask(Message::StartStop(targets)) => ("order", 120 + 60 * targets.counts.len() as u64),
            Body::Ask(Message::Place(_)) | Body::Answer(Answer::NotPlaced { .. }) => ("place", 60),
            Body::Answer(Answer::Placed(whole)) => ("place", status(whole)),
            Body::Ask(Message::Report(report)) => ("demand", if self.weigh { json(&**report) } else { 0 }),
            Body::Answer(Answer::Reported(_)) => ("demand", 20),
            Body::Ask(Message::Relay(_)) | Body::Answer(Answer::Relayed(_)) => return ("relay", 0),
            Body::Answer(Answer::OldTerm | Answer::Reset | Answer::Unsent) => ("refusal", 40),
        };
        (kind, bytes + HEAD_BYTES + ENVELOPE_BYTES)
    }
}

fn json(value: &impl serde::Serialize) -> u64 {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len() as u64)
}

// === impl World ===

impl World {
    pub(super) fn report(&self) -> Report {
        let nodes = self.nodes.iter().filter(|node| node.daemon.is_some()).count().max(1);
        let minutes = self.rests_since.map_or(0.0, |since| (self.now - since) as f64 / 60e6);
        let each = |number: u64| if minutes > 0.0 { number as f64 / minutes / nodes as f64 } else { 0.0 };
        let kinds: BTreeMap<&'static str, (f64, f64)> = self
            .meter
            .kinds
            .iter()
            .map(|(kind, (count, bytes))| (*kind, (each(*count), each(*bytes))))
            .collect();
        let status = kinds.iter().filter(|(kind, _)| **kind != "relay");
        let (messages, bytes) = status.fold((0.0, 0.0), |sum, (_, one)| (sum.0 + one.0, sum.1 + one.1));
        Report {
            seed: self.story.seed,
            nodes,
            seconds: self.now as f64 / 1e6,
            requests: self.meter.requests,
            served: self.promises.served,
            excused: self.promises.excused,
            open: self.requests.values().filter(|request| !request.closed).count() as u64,
            fires: self.promises.fires(),
            traffic: Traffic {
                kinds,
                messages,
                bytes,
                store_calls: each(self.meter.stored),
                passes: each(self.meter.passes) * nodes as f64,
            },
        }
    }
}
