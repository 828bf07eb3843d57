//! One action and the messages that told of it.

use std::collections::BTreeMap;

use super::{BEAT_EVERY, EXTEND_EVERY, Outcome, RETRY, SILENT_GRACE, Seat, Told, UNKNOWN_GRACE, What};
use crate::{
    lifecycle::{Action, Letter},
    names::NodeId,
    ports::autoscaling::Standing,
    time::Moment,
};

#[derive(Clone, Debug)]
pub(super) struct Held {
    action: Action,
    /// By message id.
    letters: BTreeMap<String, Kept>,
    /// All messages of it were older than they should be.
    is_old: bool,
    stage: Stage,
    /// An order about the action itself is under way; messages have orders of their own.
    busy: bool,
    not_before: Moment,
    beaten: Option<Moment>,
    /// Since when its machine is no node.
    unknown: Option<Moment>,
}

/// A message as it came last.
#[derive(Clone, Debug)]
struct Kept {
    letter: Letter,
    received: Moment,
    /// Since when it is invisible to others.
    hidden: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Whether it is open is not known.
    New,
    Open,
    /// With the receipt that the node was given.
    HandedOver {
        node: NodeId,
        receipt: Option<String>,
    },
    Over,
}

// === impl Held ===

impl Held {
    pub(super) fn new(action: Action, now: Moment) -> Self {
        Self {
            action,
            letters: BTreeMap::new(),
            is_old: true,
            stage: Stage::New,
            busy: false,
            not_before: now,
            beaten: None,
            unknown: None,
        }
    }

    pub(super) fn is_about(&self, action: &Action) -> bool {
        self.action.is_same(action) && self.stage != Stage::Over
    }

    pub(super) fn receive(&mut self, id: String, letter: Letter, is_old: bool, now: Moment) {
        self.letters.insert(id, Kept { letter, received: now, hidden: now });
        self.is_old &= is_old;
    }

    pub(super) fn into_letters(self) -> impl Iterator<Item = Letter> {
        self.letters.into_values().map(|kept| kept.letter)
    }

    /// Over, and nothing is left to be deleted.
    pub(super) fn is_settled(&self) -> bool {
        self.stage == Stage::Over && self.letters.is_empty() && !self.busy
    }

    pub(super) fn next(&mut self, seat: Option<&Seat>, now: Moment) -> Vec<What> {
        if self.stage == Stage::Over {
            return self.deletions(now);
        }
        let mut whats = self.extensions(now);
        if !self.busy
            && now >= self.not_before
            && let Some(what) = self.step(seat, now)
        {
            self.busy = true;
            whats.push(what);
        }
        whats
    }

    fn deletions(&mut self, now: Moment) -> Vec<What> {
        if self.busy || now < self.not_before {
            return Vec::new();
        }
        self.not_before = now + RETRY;
        let delete =
            |(id, kept): (&String, &Kept)| What::Delete { id: id.clone(), letter: kept.letter.clone() };
        self.letters.iter().map(delete).collect()
    }

    fn extensions(&mut self, now: Moment) -> Vec<What> {
        let due = self.letters.iter_mut().filter(|(_, kept)| now.since(kept.hidden) >= EXTEND_EVERY);
        let extend = |(id, kept): (&String, &mut Kept)| {
            kept.hidden = now;
            What::Extend { id: id.clone(), letter: kept.letter.clone() }
        };
        due.map(extend).collect()
    }

    /// About the action itself.
    fn step(&mut self, seat: Option<&Seat>, now: Moment) -> Option<What> {
        if self.stage == Stage::New {
            return Some(What::Beat(self.action.clone()));
        }
        let patience = match seat {
            Some(Seat { node, silent_for: None }) => {
                self.unknown = None;
                return self.hand_over(node);
            }
            Some(Seat { silent_for: Some(silent), .. }) => {
                self.unknown = None;
                SILENT_GRACE.saturating_sub(*silent)
            }
            None => {
                let since = *self.unknown.get_or_insert(now);
                UNKNOWN_GRACE.saturating_sub(now.since(since))
            }
        };
        if patience.is_zero() {
            return Some(What::Complete(self.action.clone()));
        }
        let due = self.beaten.is_none_or(|beaten| now.since(beaten) >= BEAT_EVERY);
        due.then(|| What::Beat(self.action.clone()))
    }

    /// Once, and again when the message came anew: only its newest receipt deletes it.
    fn hand_over(&self, to: &NodeId) -> Option<What> {
        let letter = self.letters.values().max_by_key(|kept| kept.received).map(|kept| kept.letter.clone());
        if let Stage::HandedOver { node, receipt } = &self.stage
            && node == to
            && letter.as_ref().is_none_or(|letter| Some(&letter.receipt) == receipt.as_ref())
        {
            return None;
        }
        Some(What::Hand { node: to.clone(), action: self.action.clone(), letter })
    }

    pub(super) fn done(&mut self, what: &What, outcome: &Outcome, now: Moment) -> Option<Told> {
        match what {
            What::Extend { id, letter } | What::Delete { id, letter } => {
                self.about_letter(what, id, letter, outcome);
                None
            }
            What::Beat(_) => self.beat(outcome, now),
            What::Hand { node, letter, .. } => self.handed(node, letter.as_ref(), outcome, now),
            What::Complete(_) => self.completed(outcome, now),
        }
    }

    fn about_letter(&mut self, what: &What, id: &str, letter: &Letter, outcome: &Outcome) {
        let ends = match outcome {
            Outcome::Gone => true,
            Outcome::Done => matches!(what, What::Delete { .. }),
            _ => false,
        };
        // It may have come anew meanwhile, with another receipt.
        if ends && self.letters.get(id).is_some_and(|kept| kept.letter == *letter) {
            self.letters.remove(id);
        }
    }

    fn beat(&mut self, outcome: &Outcome, now: Moment) -> Option<Told> {
        self.busy = false;
        self.beaten = Some(now);
        match outcome {
            Outcome::Standing(Standing::Over) => Some(self.over("is over", None, now)),
            Outcome::Failed(why) if self.stage == Stage::New && self.is_old && !self.letters.is_empty() => {
                let what = "is told of by an old message, and whether it is open can't be found out: dropped";
                let told = self.over(what, Some(why.clone()), now);
                Some(Told { warning: true, ..told })
            }
            Outcome::Failed(why) => {
                // A node that is to go and is not told would be killed in the middle of its work.
                self.open();
                Some(self.told("could not be asked for; it is taken to be open", Some(why.clone()), true))
            }
            _ => {
                self.open();
                None
            }
        }
    }

    fn handed(
        &mut self,
        node: &NodeId,
        letter: Option<&Letter>,
        outcome: &Outcome,
        now: Moment,
    ) -> Option<Told> {
        self.busy = false;
        match outcome {
            Outcome::Accepted => {
                let again = matches!(self.stage, Stage::HandedOver { .. });
                let receipt = letter.map(|letter| letter.receipt.clone());
                self.stage = Stage::HandedOver { node: node.clone(), receipt };
                (!again).then(|| self.told(&format!("is handed to node '{node}', which drains"), None, false))
            }
            other => {
                self.not_before = now + RETRY;
                let why = match other {
                    Outcome::Failed(why) => why.clone(),
                    _ => "it says that it is another machine".to_owned(),
                };
                Some(self.told(&format!("could not be handed to node '{node}' yet"), Some(why), true))
            }
        }
    }

    fn completed(&mut self, outcome: &Outcome, now: Moment) -> Option<Told> {
        self.busy = false;
        match outcome {
            Outcome::Failed(why) => {
                self.not_before = now + RETRY;
                Some(self.told("could not be completed yet", Some(why.clone()), true))
            }
            _ => {
                let why = "its machine is no node of this cluster, or not any more".to_owned();
                Some(self.over("was completed in place of its node", Some(why), now))
            }
        }
    }

    fn open(&mut self) {
        if self.stage == Stage::New {
            self.stage = Stage::Open;
        }
    }

    fn over(&mut self, what: &str, why: Option<String>, now: Moment) -> Told {
        self.stage = Stage::Over;
        self.not_before = now;
        self.told(what, why, false)
    }

    fn told(&self, what: &str, why: Option<String>, warning: bool) -> Told {
        Told { what: format!("{} {what}", self.action), why, warning }
    }
}
