//! The cron rules of the configuration and how far each has come. No I/O: `now` is an argument.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use maelstrom_core::{
    decide::cron::Schedule,
    event_source::{CronSource, EventSourceKind},
    names::EventSourceName,
    ports::store::{Entity, Revision},
    time::WallTime,
};

use crate::cluster::{Snapshot, Source};

/// A due time handled already that lies further ahead than this says that the clock was set back: rules
/// must not stay silent until it has caught up. Less than that passes, and nothing fires twice.
const SET_BACK: Duration = Duration::from_secs(3_600);

/// After a claim that could not be made.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Rules {
    rules: BTreeMap<EventSourceName, Rule>,
    /// The due times last claimed, for rules that are seen for the first time.
    last: HashMap<String, WallTime>,
    /// What the rules were made from.
    revision: Option<Revision>,
}

struct Rule {
    source: Arc<Source>,
    /// The due time handled last; before the first one, when the rule came to be. `@every` counts from it.
    since: WallTime,
    /// When to look at it again; `None`: never.
    next: Option<WallTime>,
    /// The first due time of those missed, told once.
    missed: Option<WallTime>,
    skipped: u64,
    /// See [`Fire::forget_first`].
    claim_ahead: bool,
}

/// What is to be done about a rule now.
#[derive(Debug)]
pub(super) enum Verdict {
    Fire(Fire),
    /// Its last run goes on; so often by now.
    Skip {
        source: Arc<Source>,
        due: WallTime,
        count: u64,
    },
    /// Due at `due` and maybe later, too late to be made up for.
    Missed {
        source: Arc<Source>,
        due: WallTime,
    },
    ClockSetBack {
        source: Arc<Source>,
        last: WallTime,
    },
}

/// A due time that is to be claimed and turned into a request.
#[derive(Clone, Debug)]
pub(super) struct Fire {
    pub(super) source: Arc<Source>,
    pub(super) due: WallTime,
    /// The store's claim lies ahead of the clock: it must go before a new one can be made.
    pub(super) forget_first: bool,
    /// Where the rule stood.
    before: WallTime,
}

/// Rules with a claim that the configuration has no event source for, readable or not.
pub(super) fn gone(last: &[(String, WallTime)], snapshot: &Snapshot) -> Vec<String> {
    let sources = snapshot.wire.event_sources.iter().map(|source| source.event_source.name.as_str());
    let unreadable = snapshot.wire.unreadable.iter().filter(|found| found.entity == Entity::EventSource);
    let known: HashSet<&str> = sources.chain(unreadable.map(|found| found.name.as_str())).collect();
    last.iter().map(|(rule, _)| rule).filter(|rule| !known.contains(rule.as_str())).cloned().collect()
}

// === impl Rules ===

impl Rules {
    pub(super) fn new(last: Vec<(String, WallTime)>) -> Self {
        Self { rules: BTreeMap::new(), last: last.into_iter().collect(), revision: None }
    }

    /// Follows the configuration. Rules that are switched off are kept, so that switching them on doesn't
    /// make up for what was due meanwhile.
    pub(super) fn configure(&mut self, snapshot: &Snapshot, now: WallTime) {
        if self.revision.replace(snapshot.revision) == Some(snapshot.revision) {
            return;
        }
        let mut before = std::mem::take(&mut self.rules);
        for source in &snapshot.event_sources {
            let EventSourceKind::Cron(cron) = &source.source.kind else { continue };
            let name = source.source.name.clone();
            let rule = match before.remove(&name) {
                Some(rule) => rule.follow(source, &cron.schedule, now),
                None => Rule::begin(source, self.last.get(name.as_str()).copied(), now),
            };
            self.rules.insert(name, rule);
        }
        // A rule removed and put anew is a new rule.
        self.last.retain(|name, _| self.rules.contains_key(name.as_str()));
    }

    /// What to do now; at most `room` rules are to fire, the others stay due.
    pub(super) fn due(
        &mut self,
        now: WallTime,
        running: &BTreeSet<EventSourceName>,
        room: usize,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let mut fired = 0;
        for (name, rule) in &mut self.rules {
            if !rule.source.enabled {
                continue;
            }
            rule.notice_clock(now, &mut verdicts);
            if rule.next.is_none_or(|next| next > now) {
                continue;
            }
            let goes_on = running.contains(name);
            if !goes_on && fired == room {
                continue;
            }
            fired += usize::from(rule.decide(now, goes_on, &mut verdicts));
        }
        verdicts
    }

    /// The claim for `fire` could not be made: it is due again.
    pub(super) fn reopen(&mut self, fire: &Fire, now: WallTime) {
        if let Some(rule) = self.rules.get_mut(&fire.source.source.name) {
            rule.since = rule.since.min(fire.before);
            rule.next = Some(now + RETRY);
            rule.claim_ahead |= fire.forget_first;
        }
    }

    /// When something is due next, or was and waits.
    pub(super) fn next(&self) -> Option<WallTime> {
        let enabled = self.rules.values().filter(|rule| rule.source.enabled);
        enabled.filter_map(|rule| rule.next).min()
    }
}

/// Written by another node's clock, which may run ahead of this one.
fn put_at(source: &Source, now: WallTime) -> WallTime {
    WallTime::from_millis(source.source.modified_at).min(now)
}

// === impl Rule ===

impl Rule {
    /// A rule seen for the first time: by a new owner, or since it was put.
    fn begin(source: &Arc<Source>, last: Option<WallTime>, now: WallTime) -> Self {
        let put = put_at(source, now);
        let since = last.map_or(put, |last| last.max(put));
        Self {
            source: source.clone(),
            since,
            next: Some(since.min(now)),
            missed: None,
            skipped: 0,
            claim_ahead: false,
        }
    }

    /// The same rule in a newer configuration.
    fn follow(mut self, source: &Arc<Source>, schedule: &Schedule, now: WallTime) -> Self {
        // What was due while it was off, or before it had this schedule, is not made up for.
        if source.enabled && !self.source.enabled {
            self.since = self.since.max(now);
            self.next = Some(now);
        } else if self.cron().is_none_or(|before| before.schedule != *schedule) {
            self.since = self.since.max(put_at(source, now));
            self.next = Some(now);
        }
        self.source = source.clone();
        self
    }

    fn cron(&self) -> Option<&CronSource> {
        match &self.source.source.kind {
            EventSourceKind::Cron(cron) => Some(cron),
            _ => None,
        }
    }

    fn notice_clock(&mut self, now: WallTime, verdicts: &mut Vec<Verdict>) {
        if self.since > now + SET_BACK {
            verdicts.push(Verdict::ClockSetBack { source: self.source.clone(), last: self.since });
            self.since = now;
            self.next = Some(now);
            self.claim_ahead = true;
        }
    }

    /// Whether it is to fire.
    fn decide(&mut self, now: WallTime, goes_on: bool, verdicts: &mut Vec<Verdict>) -> bool {
        let Some(cron) = self.cron() else { return false };
        let due = cron.schedule.due(self.since, now);
        self.next = due.next;
        let source = self.source.clone();
        if let Some(missed) = due.missed
            && self.missed.replace(missed) != Some(missed)
        {
            verdicts.push(Verdict::Missed { source: source.clone(), due: missed });
        }
        let Some(fire) = due.fire else { return false };
        let before = std::mem::replace(&mut self.since, fire);
        if goes_on {
            self.skipped += 1;
            verdicts.push(Verdict::Skip { source, due: fire, count: self.skipped });
            return false;
        }
        let forget_first = std::mem::take(&mut self.claim_ahead);
        verdicts.push(Verdict::Fire(Fire { source, due: fire, forget_first, before }));
        true
    }
}

#[cfg(test)]
mod tests;
