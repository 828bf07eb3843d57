//! When a cron rule is due.
//!
//! A [`Schedule`] is five fields with names, `?`, ranges, steps and lists, one of `@yearly … @hourly`, or
//! `@every DURATION`; UTC unless it begins with `CRON_TZ=Area/City` (or `TZ=`). A day matches if day of
//! month and day of week both do when one of them is `*`, else if either does.
//!
//! Where clocks change, a fixed time that is skipped is due at the next valid minute and one that comes
//! twice is due once; a rule with `*` or `*/n` in hours or minutes just runs on.
//!
//! [`Schedule::due`] says what to do now; it never asks for a firing twice and never for an old one.

mod parse;
mod search;

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::time::WallTime;

/// A firing that nobody could do in time is made up for while it is younger than this (and than the
/// rule's period): later, the world has moved on.
pub const CATCH_UP: Duration = Duration::from_millis(CATCH_UP_MILLIS.unsigned_abs());
const CATCH_UP_MILLIS: i64 = 300_000;

/// When a rule is due, parsed. Its text is kept as it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    zone: Tz,
    timing: Timing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Timing {
    Fields(Fields),
    /// Whole seconds, at least one.
    Every(Duration),
}

/// Sets of allowed values, one bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is bit 0.
    weekdays: u64,
    days_matched: DayRule,
    pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DayRule {
    /// Day of month and day of week must match: at least one of them is `*`.
    Both,
    /// One of them must.
    Either,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Named times of day: each is due once a day, also where clocks change.
    Fixed,
    /// `*` in hours or minutes: runs on over clock changes.
    Running,
}

/// What a schedule asks for at a point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Fire now, for this due time.
    pub fire: Option<WallTime>,
    /// The first due time that passed without a firing and will not be made up for.
    pub missed: Option<WallTime>,
    /// The next due time after now; `None`: never again.
    pub next: Option<WallTime>,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("is empty; five fields, @hourly or @every 5m are allowed")]
    Empty,
    #[error("has {found} fields; five are needed: minute hour day-of-month month day-of-week{hint}")]
    FieldCount { found: usize, hint: &'static str },
    #[error("has '{found}' as its {field}: {problem}; {allowed}")]
    Field { field: &'static str, found: String, problem: String, allowed: &'static str },
    #[error(
        "is '{found}'; @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and @every are known"
    )]
    Macro { found: String },
    #[error("has '{found}' after @every: {problem}; a duration like 90s, 5m or 1h30m is needed")]
    Every { found: String, problem: &'static str },
    #[error("has the unknown time zone '{found}'; a name like Europe/Berlin is needed")]
    Zone { found: String },
    #[error("never comes: there is no such date")]
    Never,
}

// === impl Schedule ===

impl Schedule {
    /// Reads a schedule; the error says which part is wrong and what is allowed there.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let (zone, timing) = parse::schedule(text.trim())?;
        let schedule = Self { text: text.trim().to_owned(), zone, timing };
        // Any time will do: calendars repeat, and the search looks further than the rarest date.
        if schedule.next(WallTime::default(), WallTime::default()).is_none() {
            return Err(ScheduleError::Never);
        }
        Ok(schedule)
    }

    /// The first due time after `after`. `@every` counts from `anchor`, in whole seconds.
    pub fn next(&self, after: WallTime, anchor: WallTime) -> Option<WallTime> {
        match &self.timing {
            Timing::Every(period) => every_after(*period, after, whole_second(anchor)),
            Timing::Fields(fields) => {
                let after = DateTime::<Utc>::from_timestamp_millis(after.as_millis())?;
                let next = match fields.pace {
                    Pace::Fixed => search::next_fixed(fields, self.zone, after),
                    Pace::Running => search::next_running(fields, self.zone, after),
                };
                next.map(|next| WallTime::from_millis(next.timestamp_millis()))
            }
        }
    }

    /// What to do at `now`. `since` is the due time handled last or, for a rule that never fired, when
    /// it came to be. Only the latest due time is made up for, and only within [`CATCH_UP`]; being the
    /// latest, it is younger than the rule's period.
    pub fn due(&self, since: WallTime, now: WallTime) -> Due {
        let Some(first) = self.next(since, since) else { return Due::default() };
        if first > now {
            return Due { next: Some(first), ..Due::default() };
        }
        let fire = self.latest(since, now);
        let missed = (fire != Some(first)).then_some(first);
        Due { fire, missed, next: self.next(now, since) }
    }

    /// The latest due time up to `now` that is after `since` and young enough.
    fn latest(&self, since: WallTime, now: WallTime) -> Option<WallTime> {
        let window = WallTime::from_millis(now.as_millis().saturating_sub(CATCH_UP_MILLIS));
        let mut latest = None;
        let mut after = since.max(window);
        // At most one due time a second fits in the window.
        while let Some(due) = self.next(after, since).filter(|due| *due <= now) {
            latest = Some(due);
            after = due;
        }
        latest
    }
}

fn whole_second(time: WallTime) -> WallTime {
    WallTime::from_millis(time.as_millis().div_euclid(1_000) * 1_000)
}

fn every_after(period: Duration, after: WallTime, anchor: WallTime) -> Option<WallTime> {
    let period = i64::try_from(period.as_millis()).ok().filter(|period| *period > 0)?;
    let elapsed = after.as_millis().checked_sub(anchor.as_millis())?;
    let periods = elapsed.div_euclid(period).checked_add(1)?.max(1);
    Some(WallTime::from_millis(anchor.as_millis().checked_add(periods.checked_mul(period)?)?))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?})", self.text)
    }
}

#[cfg(test)]
mod tests;
