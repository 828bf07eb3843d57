//! Requests at peers: asked there, waiting there, answered, lost.

use super::{
    messages::{Answer, Packet, Relayed},
    router::{At, Entered, Leads, Outcome, Remote, Request},
    world::World,
};
use crate::{
    decide::pool::{Place, Reach, Seat},
    names::{ComponentName, NodeId},
};

const MAX_MISSES: u32 = 20;

// === impl World: relaying ===

impl World {
    pub(super) fn relayed_here(&mut self, node: usize, packet: &Packet, id: u64) {
        let question = (packet.from, packet.from_run, packet.call);
        let run = self.nodes[node].daemon.as_ref().map_or(0, |daemon| daemon.run);
        let Some(request) = self.requests.get_mut(&id).filter(|request| !request.closed) else {
            return self.answer_relay(node, question, Relayed::NotHere);
        };
        request.remotes.push(Remote { node, run, question, slot: None, tries: 0 });
        self.enter_remote(id, node, None);
    }

    pub(super) fn enter_remote(&mut self, id: u64, node: usize, avoid: Option<Place>) {
        let Some(request) = self.requests.get(&id) else { return };
        let component = request.component.clone();
        let answer = match self.enter(node, &component, id, Reach::Here, avoid) {
            Entered::Slot(seat, Leads::Here(container)) => {
                let request = self.requests.get_mut(&id);
                let waits = |remote: &&mut Remote| remote.node == node && remote.slot.is_none();
                if let Some(remote) = request.and_then(|request| request.remotes.iter_mut().find(waits)) {
                    remote.slot = Some((seat, container));
                }
                return self.serve(node, container, id);
            }
            Entered::Line => return,
            Entered::Slot(..) | Entered::NotHere => Relayed::NotHere,
            Entered::Refused => Relayed::Refused,
        };
        self.end_remote(id, node, answer);
    }

    /// A request that waits at `node` for an instance there is turned away.
    pub(super) fn end_remote(&mut self, id: u64, node: usize, answer: Relayed) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let waits = |remote: &Remote| remote.node == node && remote.slot.is_none();
        let Some(index) = request.remotes.iter().position(waits) else { return };
        let remote = request.remotes.remove(index);
        self.answer_relay(node, remote.question, answer);
        self.forget_if_over(id);
    }

    /// The peer has said what became of it.
    pub(super) fn relay_answered(&mut self, node: usize, id: u64, attempt: u32, answer: &Answer) {
        let Answer::Relayed(answer) = *answer else { return };
        let now = self.moment(node);
        let Some((peer, seat, status, component)) = self.relayed(id, attempt) else { return };
        let there = Place::There(peer.clone());
        if let Relayed::Served { in_flight, instances } = answer
            && let Some(pool) = self.daemon(node).and_then(|daemon| daemon.pools.get_mut(&component))
        {
            pool.pool.tell(&there, in_flight, instances, now);
        }
        // One that has told anew since then may have it again.
        if answer == Relayed::NotHere && self.statuses_of(node, &peer) == status {
            self.retire_peer(node, &component, &peer);
        }
        self.give_back(node, &component, seat);
        match answer {
            Relayed::Served { .. } => self.end(id, Outcome::Served),
            Relayed::Failed => self.end(id, Outcome::Failed),
            Relayed::Refused => self.end(id, Outcome::Refused),
            Relayed::NotHere => {
                let Some(request) = self.requests.get_mut(&id) else { return };
                request.misses += 1;
                if request.misses < MAX_MISSES {
                    self.attempt(id, None)
                } else {
                    self.end(id, Outcome::Failed)
                }
            }
        }
    }

    /// The connection to the peer broke, or it can't be reached.
    pub(super) fn relay_failed(&mut self, node: usize, id: u64, attempt: u32, unsent: bool) {
        let now = self.moment(node);
        let Some((peer, seat, _, component)) = self.relayed(id, attempt) else { return };
        self.hold_peer(node, &peer);
        self.change(node, |members| members.suspect(&peer, now));
        self.peer_soon(node, &peer);
        self.give_back(node, &component, seat);
        self.after_failure(id, Place::There(peer), unsent);
    }

    /// The peer has been silent for long: what is under way there is not waited for any more.
    pub(super) fn lose_peer(&mut self, node: usize, peer: &NodeId) {
        let run = self.nodes[node].daemon.as_ref().map(|daemon| daemon.run);
        let there = |request: &Request| {
            request.entry == node
                && Some(request.entry_run) == run
                && matches!(&request.at, At::There { node, .. } if node == peer)
        };
        let lost: Vec<(u64, u32)> =
            self.requests.iter().filter(|(_, one)| there(one)).map(|(id, one)| (*id, one.attempt)).collect();
        for (id, attempt) in lost {
            let Some((_, seat, _, component)) = self.relayed(id, attempt) else { continue };
            self.give_back(node, &component, seat);
            self.after_failure(id, Place::There(peer.clone()), false);
        }
    }

    pub(super) fn statuses_of(&self, node: usize, peer: &NodeId) -> u64 {
        let daemon = self.nodes[node].daemon.as_ref();
        daemon.and_then(|daemon| daemon.links.get(peer)).map_or(0, |link| link.statuses)
    }

    fn relayed(&mut self, id: u64, attempt: u32) -> Option<(NodeId, Seat, u64, ComponentName)> {
        let request = self.requests.get_mut(&id).filter(|request| request.attempt == attempt)?;
        let At::There { seat, node, status } = request.at.clone() else { return None };
        request.at = At::Nowhere;
        Some((node, seat, status, request.component.clone()))
    }
}
