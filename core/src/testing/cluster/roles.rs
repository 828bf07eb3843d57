//! The driver of `decide::lease`: beats, looks and bids, as the daemon's `cluster::roles` does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    agenda::Wake,
    node::{LEASE, Node, Reading},
    stored::{Answer, Call},
    world::World,
};
use crate::{
    decide::{
        drain::Step,
        lease::{Bid, Term},
    },
    names::{NodeId, Role},
    ports::store::{Heartbeat, RoleRecord},
    time::Moment,
};

pub(super) const BEAT_EVERY: Duration = Duration::from_secs(4);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// `cluster::roles::RolesSettings`: two percent of the lease, and a quarter of a second.
pub(super) const MARGIN: Duration = Duration::from_millis(530);

// === impl World: roles ===

impl World {
    pub(super) fn beat(&mut self, node: usize) {
        let now = self.moment(node);
        let written_at = self.nodes[node].clock.wall(self.now);
        let id = self.nodes[node].id.clone();
        let Some(daemon) = self.daemon(node) else { return };
        // The loops have ended.
        if daemon.leaving.is_some_and(|leaving| leaving.step >= Some(Step::Loops)) {
            return;
        }
        daemon.roles.beat_due = now + BEAT_EVERY;
        let heartbeat = Heartbeat {
            node: id,
            incarnation: daemon.incarnation.to_string(),
            beat: daemon.lease.holder().send(now),
            duration: LEASE,
            peer_url: String::new(),
            written_at,
        };
        self.ask_store(node, Call::Beat(heartbeat));
    }

    pub(super) fn beaten(&mut self, node: usize, answer: &Answer) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        match answer {
            Answer::Done => daemon.lease.holder().answered(now),
            Answer::Refused(current) => daemon.lease.holder().refused(*current),
            _ => {}
        }
        let due = daemon.roles.beat_due.max(now);
        self.roles_may_have_changed(node);
        self.wake_at(node, due, Wake::Beat);
    }

    /// Looks at once, or right after the look that is going on.
    pub(super) fn look_now(&mut self, node: usize) {
        let now = self.now;
        let Some(daemon) = self.daemon(node) else { return };
        if daemon.roles.looking {
            daemon.roles.again = true;
        } else if !daemon.roles.failing {
            daemon.roles.look_at = now;
            self.wake(node, now, Wake::Look);
        }
    }

    pub(super) fn look(&mut self, node: usize) {
        let now = self.now;
        let Some(daemon) = self.daemon(node) else { return };
        // Another look came before this one.
        if daemon.roles.looking || daemon.roles.look_at > now {
            return;
        }
        (daemon.roles.looking, daemon.roles.again) = (true, false);
        self.write_returned(node);
    }

    fn write_returned(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        let call = daemon.roles.returned.front().cloned().map_or(Call::Roles, Call::Return);
        self.ask_store(node, call);
    }

    pub(super) fn returned(&mut self, node: usize, answer: &Answer) {
        if matches!(answer, Answer::Done | Answer::Conflict) {
            if let Some(daemon) = self.daemon(node) {
                daemon.roles.returned.pop_front();
            }
            self.write_returned(node);
        } else {
            self.looked(node, false);
        }
    }

    pub(super) fn roles_read(&mut self, node: usize, answer: Answer) {
        let now = self.moment(node);
        let Answer::Roles(roles) = answer else { return self.looked(node, false) };
        let Some(daemon) = self.daemon(node) else { return };
        let wanted = daemon.roles.wants();
        let late = now >= daemon.roles.heartbeats_due;
        if late || daemon.lease.waits_for_heartbeats(&wanted, &roles, now) {
            self.ask_store(node, Call::Heartbeats { roles, asked: now });
            return;
        }
        daemon.roles.reading.roles = roles;
        self.bid(node, false);
    }

    pub(super) fn heartbeats_read(
        &mut self,
        node: usize,
        roles: Arc<Vec<RoleRecord>>,
        asked: Moment,
        answer: Answer,
    ) {
        let Answer::Heartbeats(heartbeats) = answer else { return self.looked(node, false) };
        let Some(daemon) = self.daemon(node) else { return };
        daemon.roles.heartbeats_due = asked + BEAT_EVERY;
        daemon.roles.reading = Reading { heartbeats: heartbeats.clone(), roles, asked };
        self.bid(node, true);
        self.heard_heartbeats(node, &heartbeats, false, asked);
    }

    fn bid(&mut self, node: usize, lives_as_of_now: bool) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let reading = &daemon.roles.reading;
        let wanted = daemon.roles.wants();
        let mut bids = match lives_as_of_now {
            true => daemon.lease.bids(&wanted, &reading.roles, &reading.heartbeats, reading.asked, now),
            false => daemon.lease.bids_for_vacant(&wanted, &reading.roles, now),
        };
        bids.reverse();
        let strays = daemon.lease.strays(&wanted, &reading.roles);
        if !strays.is_empty() {
            // Written by the next look, which comes at once.
            daemon.roles.returned.extend(strays);
            daemon.roles.again = true;
        }
        self.bid_next(node, bids);
    }

    fn bid_next(&mut self, node: usize, mut rest: Vec<Bid>) {
        match rest.pop() {
            Some(bid) => self.ask_store(node, Call::Bid { bid, rest }),
            None => self.looked(node, true),
        }
    }

    pub(super) fn bidden(&mut self, node: usize, bid: &Bid, rest: Vec<Bid>, answer: &Answer) {
        match answer {
            Answer::Done => {
                self.won(node, bid);
                self.bid_next(node, rest);
            }
            Answer::Conflict => self.bid_next(node, rest),
            _ => self.looked(node, false),
        }
    }

    fn won(&mut self, node: usize, bid: &Bid) {
        let Some(daemon) = self.daemon(node) else { return };
        daemon.lease.won(bid);
        let role = &bid.record.role;
        if daemon.roles.takes_none() || !daemon.roles.wanted.contains_key(role) {
            let back = daemon.lease.give_back_one(role);
            daemon.roles.returned.extend(back);
            daemon.roles.again = true;
        }
        self.note(|world| format!("{} takes {role} in term {}", world.nodes[node].id, bid.record.term));
        self.check_owner(node, role);
    }

    fn looked(&mut self, node: usize, well: bool) {
        let now = self.now;
        let pause = self.nodes[node].clock.when(self.moment(node) + LOOK_EVERY);
        let Some(daemon) = self.daemon(node) else { return };
        daemon.roles.looking = false;
        daemon.roles.failing = !well;
        let at = if daemon.roles.again && well { now } else { pause };
        daemon.roles.look_at = at;
        self.wake(node, at, Wake::Look);
        self.roles_may_have_changed(node);
    }

    /// Wakes those who act in roles; peers are told.
    pub(super) fn roles_may_have_changed(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let owned: BTreeMap<Role, Term> = daemon
            .lease
            .roles()
            .filter_map(|role| Some((role.clone(), daemon.lease.owns(role, now)?)))
            .collect();
        if owned == daemon.roles.told {
            return;
        }
        daemon.roles.told = owned;
        let roles: Vec<Role> = daemon.roles.told.keys().cloned().collect();
        for role in &roles {
            self.check_owner(node, role);
        }
        self.announce_soon(node);
        self.pass_soon(node, Duration::ZERO);
        self.turns_may_have_come(node);
        self.cron_soon(node);
    }

    pub(super) fn want_role(&mut self, node: usize, role: Role) {
        let Some(daemon) = self.daemon(node) else { return };
        let count = daemon.roles.wanted.entry(role).or_default();
        *count += 1;
        if *count == 1 {
            self.look_now(node);
        }
    }

    pub(super) fn want_role_no_more(&mut self, node: usize, role: &Role) {
        let Some(daemon) = self.daemon(node) else { return };
        let Some(count) = daemon.roles.wanted.get_mut(role) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        daemon.roles.wanted.remove(role);
        if let Some(back) = daemon.lease.give_back_one(role) {
            daemon.roles.returned.push_back(back);
            self.roles_may_have_changed(node);
            self.look_now(node);
        }
    }

    /// While true, no role is taken, and those that it has are given back at once.
    pub(super) fn abstain(&mut self, node: usize, abstains: bool) {
        let Some(daemon) = self.daemon(node) else { return };
        if std::mem::replace(&mut daemon.roles.abstains, abstains) == abstains {
            return;
        }
        if abstains {
            let back = daemon.lease.give_back();
            daemon.roles.returned.extend(back);
            self.roles_may_have_changed(node);
        }
        self.look_now(node);
    }

    pub(super) fn give_roles_back(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        daemon.roles.leaving = true;
        let back = daemon.lease.give_back();
        daemon.roles.returned.extend(back);
        self.roles_may_have_changed(node);
        self.look_now(node);
    }

    /// Who acts in `role` as far as the node knows.
    pub(super) fn owner_of(&self, node: usize, role: &Role) -> Option<(NodeId, Term)> {
        let daemon = self.nodes[node].daemon.as_ref()?;
        let own = &self.nodes[node].id;
        if let Some(term) = daemon.owns(role, self.moment(node)) {
            return Some((own.clone(), term));
        }
        let record = daemon.roles.reading.roles.iter().find(|record| record.role == *role)?;
        let owner = record.owner.clone().filter(|owner| owner != own)?;
        Some((owner, Term(record.term)))
    }

    /// Whether it acts in the role by its own clock, at this true moment.
    pub(super) fn acts(&self, node: &Node, role: &Role) -> Option<Term> {
        node.daemon.as_ref().filter(|_| node.powered)?.owns(role, node.clock.now(self.now))
    }

    pub(super) fn store_answered(&mut self, node: usize, number: u64, answer: Answer) {
        let Some(call) = self.take_call(node, number) else { return };
        match call {
            Call::Load => self.loaded(node, answer),
            Call::Beat(_) => self.beaten(node, &answer),
            Call::Return(_) => self.returned(node, &answer),
            Call::Roles => self.roles_read(node, answer),
            Call::Heartbeats { roles, asked } => self.heartbeats_read(node, roles, asked, answer),
            Call::Bid { bid, rest } => self.bidden(node, &bid, rest, &answer),
            Call::Discover { asked } => self.discovered(node, asked, answer),
            Call::Revision => self.revision_read(node, &answer),
            Call::Configuration => self.configuration_read(node, answer),
            Call::LastFires => self.last_fires(node, answer),
            Call::Claim { rule, due, .. } => self.claimed(node, rule, due, &answer),
            Call::Leave { .. } => self.heartbeat_removed(node),
            Call::Forget { .. } => {}
        }
    }
}
