//! Calls of the store: late, in vain, done without an answer.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{
    agenda::{Event, Wake},
    node::Snapshot,
    world::World,
};
use crate::{
    component::Component,
    decide::lease::Bid,
    names::NodeId,
    ports::store::{Entity, Heartbeat, Revision, RoleRecord, Store, StoreError, StoreResult},
    time::{Moment, WallTime},
};

/// When a daemon gives up waiting. The write may be done much later.
const GIVE_UP: u64 = 4_000_000;

#[derive(Clone, Debug)]
pub(super) enum Call {
    /// The daemon's first: without a configuration there is nothing to serve.
    Load,
    Beat(Heartbeat),
    /// A role that was given back.
    Return(Bid),
    Roles,
    Heartbeats {
        roles: Arc<Vec<RoleRecord>>,
        asked: Moment,
    },
    Bid {
        bid: Bid,
        rest: Vec<Bid>,
    },
    Discover {
        asked: Moment,
    },
    Forget {
        node: NodeId,
        incarnation: String,
    },
    Revision,
    Configuration,
    LastFires,
    Claim {
        rule: usize,
        due: WallTime,
        claimant: Arc<str>,
    },
    /// This node's own heartbeat goes.
    Leave {
        node: NodeId,
        incarnation: String,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Done,
    Conflict,
    Refused(u64),
    Failed,
    Roles(Arc<Vec<RoleRecord>>),
    Heartbeats(Arc<Vec<Heartbeat>>),
    Revision(Revision),
    Configuration(Arc<Snapshot>),
    Fires(Vec<(String, WallTime)>),
    Claimed(bool),
}

// === impl World: the store ===

impl World {
    pub(super) fn ask_store(&mut self, node: usize, call: Call) {
        self.calls += 1;
        let number = self.calls;
        let now = self.now;
        let (to, back) = (self.store_delay(), self.store_delay());
        let lost = !self.calm() && self.chance.one_in(60);
        let answer_lost = !self.calm() && self.chance.one_in(60);
        let Some(daemon) = self.nodes[node].daemon.as_mut() else { return };
        daemon.store_calls.insert(number);
        let run = daemon.run;
        self.waiting_calls.insert(number, call.clone());
        let failed = Wake::Answered { number, answer: Box::new(Answer::Failed) };
        if !self.net.reaches_store(node, now) && self.chance.one_in(2) {
            // Refused at once rather than waited for in vain.
            self.agenda.plan(now + back, Event::Daemon { node, run, wake: failed });
            return;
        }
        self.agenda.plan(now + GIVE_UP, Event::Daemon { node, run, wake: failed });
        if !lost {
            let answer_in = (!answer_lost).then_some(back);
            let event = Event::AtStore { node, run, call: Box::new(call), number, answer_in };
            self.agenda.plan(now + to, event);
        }
        self.meter.stored(node);
    }

    fn store_delay(&mut self) -> u64 {
        let slow = !self.calm() && self.chance.one_in(30);
        if slow { self.chance.between(10_000, 5_000_000) } else { self.chance.between(1_000, 8_000) }
    }

    pub(super) fn at_store(
        &mut self,
        node: usize,
        run: u64,
        call: Call,
        number: u64,
        answer_in: Option<u64>,
    ) {
        if !self.net.reaches_store(node, self.now) {
            return;
        }
        let answer = self.stored(call);
        if let Some(answer_in) = answer_in {
            let wake = Wake::Answered { number, answer: Box::new(answer) };
            self.agenda.plan(self.now + answer_in, Event::Daemon { node, run, wake });
        }
    }

    fn stored(&mut self, call: Call) -> Answer {
        match call {
            Call::Beat(heartbeat) => done(at_once(self.store.beat(heartbeat))),
            Call::Return(bid) | Call::Bid { bid, .. } => {
                done(at_once(self.store.write_role(bid.record.clone(), bid.seen)))
            }
            Call::Roles => match at_once(self.store.roles()) {
                Ok(roles) => Answer::Roles(Arc::new(roles)),
                Err(_) => Answer::Failed,
            },
            Call::Heartbeats { .. } | Call::Discover { .. } => match at_once(self.store.heartbeats()) {
                Ok(heartbeats) => Answer::Heartbeats(Arc::new(heartbeats)),
                Err(_) => Answer::Failed,
            },
            Call::Forget { node, incarnation } | Call::Leave { node, incarnation } => {
                done(at_once(self.store.remove_heartbeat(node, incarnation)))
            }
            Call::Revision => at_once(self.store.revision()).map_or(Answer::Failed, Answer::Revision),
            Call::Load | Call::Configuration => match self.snapshot() {
                Some(snapshot) => Answer::Configuration(snapshot),
                None => Answer::Failed,
            },
            Call::LastFires => at_once(self.store.last_fires()).map_or(Answer::Failed, Answer::Fires),
            Call::Claim { rule, due, claimant } => {
                let claim = self.store.claim_fire(super::cron::rule_name(rule), due, claimant.to_string());
                at_once(claim).map_or(Answer::Failed, Answer::Claimed)
            }
        }
    }

    /// The stored configuration; parsed once for all nodes.
    pub(super) fn snapshot(&mut self) -> Option<Arc<Snapshot>> {
        let revision = at_once(self.store.revision()).ok()?;
        if self.parsed.revision != revision {
            let stored = at_once(self.store.configuration()).ok()?;
            let components = stored.components.iter().filter_map(|one| Component::parse(one).ok());
            let components = components.map(|one| (one.name.clone(), Arc::new(one))).collect();
            self.parsed = Arc::new(Snapshot { revision, components });
        }
        Some(self.parsed.clone())
    }

    /// The answer's call, unless the daemon waits for it no more.
    pub(super) fn take_call(&mut self, node: usize, number: u64) -> Option<Call> {
        let waits = self.nodes[node].daemon.as_mut().is_some_and(|daemon| daemon.store_calls.remove(&number));
        let call = self.waiting_calls.remove(&number)?;
        waits.then_some(call)
    }
}

/// The store in memory answers when it is asked.
pub(super) fn at_once<T>(call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    call.now_or_never().unwrap_or_else(|| Err(StoreError::Unavailable { reason: "it did not answer".into() }))
}

fn done(written: StoreResult<()>) -> Answer {
    match written {
        Ok(()) => Answer::Done,
        Err(StoreError::Conflict { entity: Entity::Heartbeat, current, .. }) => {
            Answer::Refused(current.unsigned_abs())
        }
        Err(StoreError::Conflict { .. }) => Answer::Conflict,
        Err(_) => Answer::Failed,
    }
}
