//! Who acts in a role: at most one node at a time, whatever the clocks say.
//!
//! A node proves that it lives with one heartbeat, whatever the number of its roles; a role's record points
//! at its owner. Two halves, both without I/O and without wall clocks:
//!
//! * [`Holder`]: stamps a beat before it is sent, and acts until `duration − 2 × round trip − margin` after
//!   that stamp, on a clock that counts suspend. Once it has lapsed, a later answer does not revive its
//!   roles: each is taken anew, with a higher term, before it acts again.
//! * [`Watches`]: a contender calls an owner dead when it has seen its beat unchanged for the owner's whole
//!   duration, on its own clock.
//!
//! ```text
//!            beat answered in time            lapsed, or the record is another's
//!  idle ──bid won──▶ acting ──────────────────▶ idle ──bid (term + 1)──▶ …
//! ```
//!
//! Why that is safe. A contender steals role version v after two readings of beat n that are a whole
//! duration apart, having read v before the second. The owner stamped n before the first, so its right
//! from n has ended; and it can only act on after that by a write that makes v outdated.

mod holder;
mod watches;

use std::{collections::HashMap, time::Duration};

use crate::{
    names::{NodeId, Role},
    ports::store::{Heartbeat, RoleRecord},
    time::Moment,
};

pub use holder::Holder;
pub use watches::Watches;

/// Rises with each change of a role's owner. What an owner writes or sends carries it; receivers refuse
/// older ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    /// How long others wait before they call a silent owner dead.
    pub duration: Duration,
    /// Covers what nodes' clocks may differ in speed over a duration, and time between asking whether a
    /// role is owned and acting on the answer.
    pub margin: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// Other nodes use the store, too: a role is owned while the heartbeat is answered in time.
    Contended,
    /// Only this daemon can use the store: any other owner is gone, and nothing can take a role away, not
    /// even a store that can't be written.
    Sole,
}

/// A node's part in who acts: its heartbeat, what it has seen of the others, the roles it holds.
#[derive(Debug)]
pub struct Lease {
    node: NodeId,
    incarnation: String,
    tenure: Tenure,
    holder: Holder,
    watches: Watches,
    held: HashMap<Role, Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    term: Term,
    version: u64,
    /// The holder's epoch in which it was bid for.
    epoch: u64,
}

/// A write to a role's record, to be sent once; if its answer is lost, the next reading shows what became
/// of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    pub record: RoleRecord,
    /// The version that must be stored for it to succeed.
    pub seen: u64,
    epoch: u64,
}

// === impl Lease ===

impl Lease {
    /// `incarnation` must differ from that of each other run of a daemon on this node.
    pub fn new(node: NodeId, incarnation: String, tenure: Tenure, settings: LeaseSettings) -> Self {
        Self {
            node,
            incarnation,
            tenure,
            holder: Holder::new(settings),
            watches: Watches::new(settings.duration),
            held: HashMap::new(),
        }
    }

    pub fn holder(&mut self) -> &mut Holder {
        &mut self.holder
    }

    /// The term in which this node may act in `role` at `now`.
    pub fn owns(&self, role: &Role, now: Moment) -> Option<Term> {
        let held = self.held.get(role)?;
        let acting = match self.tenure {
            Tenure::Sole => true,
            Tenure::Contended => held.epoch == self.holder.epoch() && self.holder.is_acting(now),
        };
        acting.then_some(held.term)
    }

    /// When the heartbeat was sent that was confirmed last. `None`: none was, or nobody else can act at all.
    pub fn confirmed_at(&self) -> Option<Moment> {
        self.holder.confirmed_at()
    }

    /// Roles that it holds, lapsed ones included.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.held.keys()
    }

    /// Whether heartbeats are to be read now, whenever they were read last: an owner has been silent for half
    /// of the time after which it is called dead, or what it owned can be had if it still is.
    pub fn waits_for_heartbeats(&self, wanted: &[Role], roles: &[RoleRecord], now: Moment) -> bool {
        let steals = |role: &Role| {
            let record = roles.iter().find(|record| record.role == *role);
            !self.may_take(role, record, false) && self.may_take(role, record, true)
        };
        self.watches.doubts_any(self.watches.duration() / 2, now) || wanted.iter().any(steals)
    }

    /// What to bid for. `roles` must have been read before `heartbeats`, which were asked for at `asked`
    /// and answered at `now`. Also notes which roles others hold by now.
    pub fn bids(
        &mut self,
        wanted: &[Role],
        roles: &[RoleRecord],
        heartbeats: &[Heartbeat],
        asked: Moment,
        now: Moment,
    ) -> Vec<Bid> {
        self.watches.observe(owners(roles), heartbeats, asked, now);
        self.bid_for(wanted, roles, true, now)
    }

    /// What to bid for where only `roles` were read: nobody is called dead by heartbeats from before that,
    /// since its owner may have come back in between.
    pub fn bids_for_vacant(&mut self, wanted: &[Role], roles: &[RoleRecord], now: Moment) -> Vec<Bid> {
        self.bid_for(wanted, roles, false, now)
    }

    fn bid_for(&mut self, wanted: &[Role], roles: &[RoleRecord], steal: bool, now: Moment) -> Vec<Bid> {
        self.held.retain(|role, held| {
            let record = roles.iter().find(|record| record.role == *role);
            record.is_some_and(|record| record.version == held.version)
        });
        if self.tenure == Tenure::Contended && !self.holder.is_acting(now) {
            return Vec::new();
        }
        let mut bids = Vec::new();
        for role in wanted {
            let record = roles.iter().find(|record| record.role == *role);
            if self.may_take(role, record, steal) {
                bids.push(self.bid(role, record));
            }
        }
        bids
    }

    fn may_take(&self, role: &Role, record: Option<&RoleRecord>, steal: bool) -> bool {
        if self.held.get(role).is_some_and(|held| held.epoch == self.holder.epoch()) {
            return false;
        }
        let Some(record) = record else { return true };
        let Some(owner) = &record.owner else { return true };
        // What is this node's own was lost to a lapse, or is left from an earlier run of its daemon.
        self.tenure == Tenure::Sole
            || *owner == self.node
            || steal && self.watches.is_dead(owner, &record.incarnation)
    }

    fn bid(&self, role: &Role, record: Option<&RoleRecord>) -> Bid {
        let (term, seen) = record.map_or((0, 0), |record| (record.term, record.version));
        Bid {
            record: RoleRecord {
                role: role.clone(),
                owner: Some(self.node.clone()),
                incarnation: self.incarnation.clone(),
                term: term + 1,
                version: seen + 1,
            },
            seen,
            epoch: self.holder.epoch(),
        }
    }

    /// The store accepted `bid`.
    pub fn won(&mut self, bid: &Bid) {
        let held = Held { term: Term(bid.record.term), version: bid.record.version, epoch: bid.epoch };
        self.held.insert(bid.record.role.clone(), held);
    }

    /// Stops acting in all roles at once and tells what to write so that others need not wait.
    pub fn give_back(&mut self) -> Vec<Bid> {
        let mut held: Vec<(Role, Held)> = self.held.drain().collect();
        held.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        held.into_iter().map(|(role, held)| self.vacate(role, held)).collect()
    }

    /// The same for one role. `None`: it isn't held.
    pub fn give_back_one(&mut self, role: &Role) -> Option<Bid> {
        let held = self.held.remove(role)?;
        Some(self.vacate(role.clone(), held))
    }

    /// Roles that are this node's by their records, and that it neither holds nor wants: a bid was written
    /// whose answer was lost, and nobody wants the role any more; or an earlier run of its daemon left them.
    /// What to write so that others need not wait for the silence of a node that lives. `roles` is the reading
    /// that was bid on last.
    pub fn strays(&self, wanted: &[Role], roles: &[RoleRecord]) -> Vec<Bid> {
        let is_stray = |record: &&RoleRecord| {
            record.owner.as_ref() == Some(&self.node)
                && !self.held.contains_key(&record.role)
                && !wanted.contains(&record.role)
        };
        let vacated = |record: &RoleRecord| {
            let (term, version) = (Term(record.term), record.version);
            self.vacate(record.role.clone(), Held { term, version, epoch: self.holder.epoch() })
        };
        roles.iter().filter(is_stray).map(vacated).collect()
    }

    fn vacate(&self, role: Role, held: Held) -> Bid {
        Bid {
            record: RoleRecord {
                role,
                owner: None,
                incarnation: self.incarnation.clone(),
                term: held.term.0,
                version: held.version + 1,
            },
            seen: held.version,
            epoch: held.epoch,
        }
    }
}

fn owners(roles: &[RoleRecord]) -> impl Iterator<Item = (&NodeId, &str)> {
    roles.iter().filter_map(|record| Some((record.owner.as_ref()?, record.incarnation.as_str())))
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
