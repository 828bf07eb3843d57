//! The next due time of five fields: search among wall-clock labels, then find the instants at which a
//! zone's clocks show them.

use chrono::{DateTime, Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::{DayRule, Fields};

/// The rarest date is 29 February, which 2100 leaves out: 8 years apart.
const FURTHEST_DAYS: i64 = 8 * 366 + 1;

/// Clocks go back by three hours at most in the zones' tables since 1900, and a whole day where the date
/// line was moved.
const LONGEST_REPEAT: Duration = Duration::hours(25);

/// Clocks go forward by at most a day.
const LONGEST_GAP_MINUTES: i64 = 25 * 60;

/// Each label once: the earlier of two, the next valid minute if skipped.
pub(super) fn next_fixed(fields: &Fields, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut label = local(zone, after);
    loop {
        label = fields.next_label(label)?;
        let instant = match zone.from_local_datetime(&label) {
            LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => instant,
            LocalResult::None => after_gap(zone, label)?,
        };
        let instant = instant.with_timezone(&Utc);
        if instant > after {
            return Some(instant);
        }
    }
}

fn after_gap(zone: Tz, label: NaiveDateTime) -> Option<DateTime<Tz>> {
    (1..=LONGEST_GAP_MINUTES).find_map(|minutes| {
        let label = label.checked_add_signed(Duration::minutes(minutes))?;
        zone.from_local_datetime(&label).earliest()
    })
}

/// Each instant at which the clocks show a matching label.
pub(super) fn next_running(fields: &Fields, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let onwards = first_instant(fields, zone, local(zone, after), after);
    let Some(turned_back) = turned_back(zone, after) else { return onwards };
    // Labels before the one that the clocks show now come again: look there, too.
    let just_before = local(zone, turned_back).checked_sub_signed(Duration::seconds(1))?;
    let again =
        first_instant(fields, zone, just_before, turned_back.checked_sub_signed(Duration::seconds(1))?);
    [onwards, again].into_iter().flatten().min()
}

/// The first instant after `after` that shows a matching label later than `label`.
fn first_instant(
    fields: &Fields,
    zone: Tz,
    mut label: NaiveDateTime,
    after: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    loop {
        label = fields.next_label(label)?;
        let shown = zone.from_local_datetime(&label);
        let instants = [shown.earliest(), shown.latest()];
        let later = instants.into_iter().flatten().map(|i| i.with_timezone(&Utc)).find(|i| *i > after);
        if later.is_some() {
            return later;
        }
    }
}

/// The instant soon after `after` at which the zone's clocks go back, if there is one.
fn turned_back(zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let ahead = |instant: DateTime<Utc>| local(zone, instant) - instant.naive_utc();
    let now = ahead(after);
    let mut late = after.checked_add_signed(LONGEST_REPEAT)?;
    if ahead(late) >= now {
        return None;
    }
    let mut early = after;
    while late - early > Duration::seconds(1) {
        let middle = early + (late - early) / 2;
        if ahead(middle) < now { late = middle } else { early = middle }
    }
    // Clocks change on whole seconds; the search ends less than one after the change.
    late.with_nanosecond(0)
}

fn local(zone: Tz, instant: DateTime<Utc>) -> NaiveDateTime {
    instant.with_timezone(&zone).naive_local()
}

// === impl Fields ===

impl Fields {
    /// The first matching label in a minute after that of `label`.
    fn next_label(&self, label: NaiveDateTime) -> Option<NaiveDateTime> {
        let start = label.with_second(0)?.with_nanosecond(0)?.checked_add_signed(Duration::minutes(1))?;
        if self.matches_day(start.date())
            && let Some(found) = self.next_time(start.date(), start.hour(), start.minute())
        {
            return Some(found);
        }
        let last = start.date().checked_add_signed(Duration::days(FURTHEST_DAYS))?;
        let mut date = start.date().succ_opt()?;
        while date <= last {
            if !has(self.months, date.month()) {
                date = first_of_next_month(date)?;
            } else if self.matches_day(date) {
                return self.next_time(date, 0, 0);
            } else {
                date = date.succ_opt()?;
            }
        }
        None
    }

    pub(super) fn matches_day(&self, date: NaiveDate) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().num_days_from_sunday());
        let matched = match self.days_matched {
            DayRule::Both => day && weekday,
            DayRule::Either => day || weekday,
        };
        matched && has(self.months, date.month())
    }

    /// The first matching time of that day, at `hour:minute` or later.
    fn next_time(&self, date: NaiveDate, hour: u32, minute: u32) -> Option<NaiveDateTime> {
        if has(self.hours, hour)
            && let Some(minute) = first_from(self.minutes, minute)
        {
            return date.and_hms_opt(hour, minute, 0);
        }
        date.and_hms_opt(first_from(self.hours, hour + 1)?, first_from(self.minutes, 0)?, 0)
    }
}

fn has(bits: u64, value: u32) -> bool {
    bits >> value & 1 == 1
}

/// The lowest member that is `from` or more.
fn first_from(bits: u64, from: u32) -> Option<u32> {
    let rest = bits >> from;
    (rest != 0).then(|| from + rest.trailing_zeros())
}

fn first_of_next_month(date: NaiveDate) -> Option<NaiveDate> {
    let (year, month) =
        if date.month() == 12 { (date.year() + 1, 1) } else { (date.year(), date.month() + 1) };
    NaiveDate::from_ymd_opt(year, month, 1)
}
