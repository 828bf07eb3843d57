//! Calls between nodes: asked, answered, or not in time. As the daemon's peer client and its private gateway.

use std::time::Duration;

use super::{
    agenda::{Event, Wake},
    messages::{Answer, Body, Message, Packet, Pending, Purpose},
    node::Node,
    stored::Call,
    world::World,
};
use crate::{names::NodeId, time::Moment, wire::NodeStatus};

// === impl World: calls ===

impl World {
    /// Asks a peer; the answer, or that there is none in time, comes to `purpose`.
    pub(super) fn call(
        &mut self,
        node: usize,
        to: &NodeId,
        message: Message,
        limit: Duration,
        purpose: Purpose,
    ) {
        let asked = self.moment(node);
        self.calls += 1;
        let call = self.calls;
        let to = Node::index_of(to);
        let Some(daemon) = self.daemon(node) else { return };
        daemon.calls.insert(call, Pending { to, asked, purpose });
        let from_run = daemon.run;
        self.wake_in(node, limit, Wake::Unanswered(call));
        let Some(other) = self.nodes.get(to) else { return };
        // A daemon that is being replaced has its sockets still open.
        let to_run = other.daemon.as_ref().map_or(0, |daemon| daemon.run);
        self.send(Packet { from: node, from_run, to, to_run, call, body: Body::Ask(message) });
    }

    pub(super) fn send(&mut self, packet: Packet) {
        self.meter.sent(&packet);
        let Packet { from, to, .. } = packet;
        let Some(delay) = self.net.delay(from, to, self.now, &mut self.chance) else { return };
        if !self.calm()
            && !matches!(packet.body, Body::Ask(Message::Relay(_)) | Body::Answer(Answer::Relayed(_)))
        {
            // Sent on a connection that broke: nobody knows what became of it.
            if self.chance.one_in(400) {
                self.net.touch(from, to, self.now + 2_000_000);
                return;
            }
            if self.chance.one_in(100) && !matches!(packet.body, Body::Answer(_)) {
                let late = self.chance.below(3_000_000);
                self.agenda.plan(self.now + delay + late, Event::Packet(packet.clone()));
            }
        }
        self.agenda.plan(self.now + delay, Event::Packet(packet));
    }

    pub(super) fn answer(&mut self, node: usize, question: &Packet, answer: Answer) {
        self.answer_call(node, question.from, question.from_run, question.call, answer);
    }

    pub(super) fn answer_call(&mut self, node: usize, to: usize, to_run: u64, call: u64, answer: Answer) {
        let from_run = self.nodes[node].daemon.as_ref().map_or(0, |daemon| daemon.run);
        self.send(Packet { from: node, from_run, to, to_run, call, body: Body::Answer(answer) });
    }

    /// Nobody listens where it went, or not any more.
    pub(super) fn reset(&mut self, packet: Packet) {
        self.turn_back(packet, Answer::Reset);
    }

    pub(super) fn turn_back(&mut self, packet: Packet, answer: Answer) {
        if let Body::Ask(_) = packet.body {
            let Packet { from, from_run, to, call, .. } = packet;
            let back = Packet {
                from: to,
                from_run: 0,
                to: from,
                to_run: from_run,
                call,
                body: Body::Answer(answer),
            };
            let Some(delay) = self.net.delay(to, from, self.now, &mut self.chance) else { return };
            self.agenda.plan(self.now + delay, Event::Packet(back));
        }
    }

    pub(super) fn heed(&mut self, packet: Packet) {
        let node = packet.to;
        match &packet.body {
            Body::Answer(answer) => {
                let answer = answer.clone();
                self.answered(node, packet.call, answer);
            }
            Body::Ask(message) => {
                let message = message.clone();
                self.asked(node, &packet, message);
            }
        }
    }

    fn asked(&mut self, node: usize, packet: &Packet, message: Message) {
        match message {
            Message::GetStatus { status, term } => {
                if let Some(status) = status {
                    self.observe(node, NodeStatus::clone(&status));
                }
                let refused = term.is_some_and(|term| !self.take_term(node, term));
                let answer = if refused { Answer::OldTerm } else { Answer::Status(self.shared_status(node)) };
                self.answer(node, packet, answer);
            }
            Message::GetVersion => self.answer(node, packet, Answer::Version),
            Message::StatusChanged { status, exiting } => {
                if exiting {
                    let (id, run) = (NodeId::new(status.node_id.as_str()), status.incarnation.clone());
                    let now = self.moment(node);
                    self.change(node, |members| members.leaves(&id, run.as_deref(), now));
                } else {
                    self.observe(node, NodeStatus::clone(&status));
                }
                self.answer(node, packet, Answer::Told);
            }
            Message::DataChanged => {
                self.ask_store(node, Call::Revision);
                self.answer(node, packet, Answer::Told);
            }
            Message::StartStop(targets) => self.take_order(node, packet, &targets),
            Message::Place(component) => self.place_asked(node, packet, component),
            Message::Report(report) => self.take_report(node, packet, &report),
            Message::Relay(request) => self.relayed_here(node, packet, request),
        }
    }

    fn answered(&mut self, node: usize, call: u64, answer: Answer) {
        let Some(daemon) = self.daemon(node) else { return };
        let Some(Pending { asked, purpose, .. }) = daemon.calls.remove(&call) else { return };
        match answer {
            Answer::Reset => self.call_failed(node, purpose, asked, false),
            Answer::Unsent => self.call_failed(node, purpose, asked, true),
            answer => self.call_answered(node, purpose, asked, answer),
        }
    }

    pub(super) fn unanswered(&mut self, node: usize, call: u64) {
        let Some(daemon) = self.daemon(node) else { return };
        let Some(Pending { asked, purpose, .. }) = daemon.calls.remove(&call) else { return };
        // A request's deadline says nothing of the peer.
        if !matches!(purpose, Purpose::Relay { .. }) {
            self.call_failed(node, purpose, asked, false);
        }
    }

    fn call_answered(&mut self, node: usize, purpose: Purpose, asked: Moment, answer: Answer) {
        match purpose {
            Purpose::Contact { node: peer, announced } => {
                let status = match answer {
                    Answer::Status(status) => Some(NodeStatus::clone(&status)),
                    _ => None,
                };
                self.link_is_free(node, &peer, status.is_some().then_some(announced));
                self.peer_answered(node, &peer, status, asked);
            }
            Purpose::Push { node: peer, number } => {
                self.link_is_free(node, &peer, Some(number));
                self.peer_answered(node, &peer, None, asked);
            }
            Purpose::Goodbye | Purpose::Notice => {}
            Purpose::Fence { node: peer, term } => {
                self.peer_answered(node, &peer, None, asked);
                self.fence_answered(node, &peer, term, answer);
            }
            Purpose::Order { node: peer, id } => {
                self.peer_answered(node, &peer, None, asked);
                self.order_answered(node, id, answer);
            }
            Purpose::Report { decider, quiet } => {
                self.peer_answered(node, &decider, None, asked);
                self.report_answered(node, decider, quiet, matches!(answer, Answer::Reported(true)));
            }
            Purpose::Place(component) => self.place_answered(node, &component, answer),
            Purpose::Relay { request, attempt } => self.relay_answered(node, request, attempt, &answer),
        }
    }

    fn call_failed(&mut self, node: usize, purpose: Purpose, asked: Moment, unsent: bool) {
        let now = self.moment(node);
        match purpose {
            Purpose::Contact { node: peer, .. } | Purpose::Push { node: peer, .. } => {
                self.link_is_free(node, &peer, None);
                self.change(node, |members| members.failed(&peer, asked, now));
                self.peer_soon(node, &peer);
            }
            Purpose::Goodbye | Purpose::Notice => {}
            Purpose::Fence { node: peer, term } => {
                self.doubt(node, &peer);
                self.fence_failed(node, &peer, term);
            }
            Purpose::Order { node: peer, id } => {
                self.doubt(node, &peer);
                self.order_lost(node, id);
            }
            Purpose::Report { decider, quiet } => {
                self.doubt(node, &decider);
                self.report_answered(node, decider, quiet, false);
            }
            Purpose::Place(component) => self.place_failed(node, &component),
            Purpose::Relay { request, attempt } => self.relay_failed(node, request, attempt, unsent),
        }
    }

    pub(super) fn doubt(&mut self, node: usize, peer: &NodeId) {
        let now = self.moment(node);
        if let Some(daemon) = self.daemon(node) {
            daemon.membership.doubt(peer, now);
        }
        self.peer_soon(node, peer);
    }
}
