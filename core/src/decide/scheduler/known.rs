//! What is remembered of a component between passes: its last burst, what was told last, refusals in a row.

use std::time::Duration;

use super::{Refused, Told};
use crate::{
    decide::{Decided, autoscale::Scale, placement::Unplaceable},
    journal::Kind,
    names::ComponentName,
    time::Moment,
};

/// First pause, doubled with each refusal in a row.
const FIRST: Duration = Duration::from_secs(1);
/// Room is found by passes, not by requests, so a long pause keeps nobody out.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) panicked: Option<Moment>,
    /// The count decided last, so that the journal tells changes only.
    decided: Option<u32>,
    /// Set while instances have no place.
    pub(super) unplaceable: Option<Unplaceable>,
    pub(super) refusal: Refusal,
}

/// Turning waiters away with growing pauses between the tries that requests may cause.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    count: u32,
    until: Moment,
}

// === impl Known ===

impl Known {
    /// The count that should run, as decided last.
    pub(super) fn decided(&self) -> u32 {
        self.decided.unwrap_or(0)
    }

    /// Remembers a decision; tells it if it is new.
    pub(super) fn scaled(
        &mut self,
        name: &ComponentName,
        decided: Decided<Scale>,
        current: u32,
        now: Moment,
    ) -> Option<Told> {
        let Scale { instances: count, panic } = decided.value;
        if panic {
            self.panicked = Some(now);
        }
        let news = count != current && self.decided != Some(count);
        self.decided = Some(count);
        news.then(|| Told {
            kind: Kind::Scale,
            component: name.clone(),
            message: format!("{name} should have {count} instances, not {current}"),
            reasons: decided.reasons,
            numbers: vec![("from", u64::from(current)), ("to", u64::from(count))],
        })
    }

    /// Remembers why there is no place; tells it if it is new.
    pub(super) fn has_no_place(&mut self, why: &Unplaceable) -> Option<Told> {
        let same = |told: &Unplaceable| {
            (told.obstacle, told.asked_mib, told.missing) == (why.obstacle, why.asked_mib, why.missing)
        };
        let news = !self.unplaceable.as_ref().is_some_and(same);
        self.unplaceable = Some(why.clone());
        news.then(|| Told {
            kind: Kind::Unplaceable,
            component: why.component.clone(),
            message: why.to_string(),
            reasons: Vec::new(),
            numbers: vec![
                ("askedMiB", why.asked_mib),
                ("largestNodeMiB", why.largest_mib),
                ("mostFreeMiB", why.most_free_mib),
                ("wanted", u64::from(why.wanted)),
                ("missing", u64::from(why.missing)),
            ],
        })
    }
}

// === impl Refusal ===

impl Refusal {
    /// Who asks on another node within a pause gets the rest of it.
    pub(super) fn next(&mut self, why: &Unplaceable, now: Moment) -> Refused {
        if now >= self.until {
            self.until = now + FIRST.saturating_mul(1 << self.count.min(8)).min(LONGEST);
            self.count = self.count.saturating_add(1);
        }
        Refused { why: why.clone(), retry_after: self.until.since(now) }
    }

    /// There is a place. True if there had been refusals.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(self).count > 0
    }
}
