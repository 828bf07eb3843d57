//! The driver of `decide::cron`: the owner of role `cron` claims due times and fires. As the daemon's
//! `events::cron`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Planted,
    agenda::Wake,
    stored::{Answer, Call},
    world::World,
};
use crate::{
    decide::{cron::Schedule, lease::Term},
    names::Role,
    time::WallTime,
};

pub(super) const ROLE: &str = "cron";
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is due, by rule.
const RULES: [&str; 2] = ["@every 5s", "@every 13s"];

#[derive(Default)]
pub(super) struct Cron {
    /// The term, and the due time handled last of each rule.
    owned: Option<(Term, BTreeMap<usize, WallTime>)>,
    reading: Option<Term>,
    /// Rules that are being claimed: each fires once at a time.
    claiming: BTreeSet<usize>,
    stopped: bool,
    soon: bool,
}

pub(super) fn rule_name(rule: usize) -> String {
    format!("rule{rule}")
}

// === impl World ===

impl World {
    /// The role may have come, or gone.
    pub(super) fn cron_soon(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        if !std::mem::replace(&mut daemon.cron.soon, true) {
            self.wake(node, self.now, Wake::Cron);
        }
    }

    pub(super) fn stop_cron(&mut self, node: usize) {
        if let Some(daemon) = self.daemon(node) {
            daemon.cron.stopped = true;
        }
    }

    pub(super) fn cron_due(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        // A look that somebody asked for begins no second row of looks.
        if !std::mem::take(&mut daemon.cron.soon) {
            self.wake_in(node, LOOK_EVERY, Wake::Cron);
        }
        let Some(daemon) = self.daemon(node) else { return };
        let term = daemon.lease.owns(&Role::new(ROLE), now).filter(|_| !daemon.cron.stopped);
        if daemon.cron.owned.as_ref().map(|(term, _)| *term) != term {
            daemon.cron.owned = None;
            if term.is_some() && daemon.cron.reading != term {
                daemon.cron.reading = term;
                self.ask_store(node, Call::LastFires);
            }
            return;
        }
        self.fire_due(node);
    }

    pub(super) fn last_fires(&mut self, node: usize, answer: Answer) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        let asked = daemon.cron.reading.take();
        let Answer::Fires(last) = answer else { return };
        let term = daemon.lease.owns(&Role::new(ROLE), now);
        if let Some(term) = term.filter(|term| asked == Some(*term)) {
            let put = WallTime::from_millis(daemon.started_at);
            let since = (0..RULES.len()).map(|rule| {
                let name = rule_name(rule);
                (rule, last.iter().find(|(known, _)| *known == name).map_or(put, |(_, due)| *due))
            });
            daemon.cron.owned = Some((term, since.collect()));
            self.fire_due(node);
        }
    }

    fn fire_due(&mut self, node: usize) {
        let wall = self.nodes[node].clock.wall(self.now);
        let trusts = self.story.planted == Some(Planted::NoClaims);
        let Some(daemon) = self.daemon(node) else { return };
        let claimant = daemon.incarnation.clone();
        let Some((_, rules)) = &mut daemon.cron.owned else { return };
        let mut due = Vec::new();
        for (rule, since) in rules {
            let Ok(schedule) = Schedule::parse(RULES[*rule]) else { continue };
            if let Some(fire) = schedule.due(*since, wall).fire {
                *since = fire;
                if daemon.cron.claiming.insert(*rule) {
                    due.push((*rule, fire));
                }
            }
        }
        for (rule, due) in due {
            if trusts {
                self.fired(node, rule, due);
            }
            self.ask_store(node, Call::Claim { rule, due, claimant: claimant.clone() });
        }
    }

    pub(super) fn claimed(&mut self, node: usize, rule: usize, due: WallTime, answer: &Answer) {
        if let Some(daemon) = self.daemon(node) {
            daemon.cron.claiming.remove(&rule);
        }
        match answer {
            Answer::Claimed(true) if self.story.planted != Some(Planted::NoClaims) => {
                self.fired(node, rule, due);
            }
            Answer::Failed => {
                // Due again: nobody may have claimed it.
                let Some(daemon) = self.daemon(node) else { return };
                if let Some((_, rules)) = &mut daemon.cron.owned
                    && let Some(since) = rules.get_mut(&rule)
                {
                    *since = (*since).min(WallTime::from_millis(due.as_millis() - 1));
                }
            }
            _ => {}
        }
    }
}
