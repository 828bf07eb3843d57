//! Numbers as people say them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{Local, TimeZone};

/// Unix milliseconds, now.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The Unix milliseconds so long ago.
pub(crate) fn since(ago: Duration) -> i64 {
    now().saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))
}

/// How long ago `then` was, `never` for 0.
pub(crate) fn age(then: i64) -> String {
    age_at(then, now())
}

fn age_at(then: i64, now: i64) -> String {
    if then <= 0 {
        return "never".to_owned();
    }
    // Clocks of hosts differ: what lies ahead is now.
    span(Duration::from_millis(u64::try_from(now.saturating_sub(then)).unwrap_or(0)))
}

/// A duration with the one or two units that matter.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |big: u64, unit: &str, small: u64, below: &str| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit}{small}{below}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / 60, "m", seconds % 60, "s"),
        600..7_200 => format!("{}m", seconds / 60),
        7_200..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        86_400..864_000 => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The local time of day, with the date when it isn't today.
pub(crate) fn clock(millis: i64) -> String {
    let Some(time) = Local.timestamp_millis_opt(millis).single() else { return millis.to_string() };
    let format =
        if time.date_naive() == Local::now().date_naive() { "%H:%M:%S%.3f" } else { "%F %H:%M:%S%.3f" };
    time.format(format).to_string()
}

pub(crate) fn mib(amount: i64) -> String {
    format!("{amount} MiB")
}

/// `1 thing`, `2 things`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_units_that_matter() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (119, "119s"),
            (121, "2m1s"),
            (180, "3m"),
            (3_600, "60m"),
            (9_000, "2h30m"),
            (90_000, "1d1h"),
            (8_640_000, "100d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn ages_bear_clocks_that_differ() {
        assert_eq!(age_at(0, 5_000), "never");
        assert_eq!(age_at(1_000, 6_000), "5s");
        assert_eq!(age_at(9_000, 6_000), "0s");
    }

    #[test]
    fn counts_are_grammatical() {
        assert_eq!((count(1, "problem").as_str(), count(0, "problem").as_str()), ("1 problem", "0 problems"));
    }
}
