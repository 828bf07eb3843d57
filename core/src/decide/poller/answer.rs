//! What a component's answer means for the message it was asked about.

use std::time::Duration;

use chrono::DateTime;

use crate::{ports::queue::MAX_VISIBILITY, time::WallTime};

/// A pause that a component asks for is no longer than this: nobody remembers a poller that sleeps for days.
pub const MAX_PAUSE: Duration = Duration::from_secs(3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done: delete it.
    Delete,
    /// Not done: it comes back with its visibility time-out, or after so long from now.
    Leave { back_after: Option<Duration> },
}

/// 2xx is done, all else is not. `after` is the answer's `Retry-After` ([`retry_after`]).
pub fn judge(status: u16, after: Option<Duration>) -> Verdict {
    if (200..300).contains(&status) { Verdict::Delete } else { Verdict::Leave { back_after: after } }
}

/// A `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. As long as a message can be invisible at most.
pub fn retry_after(value: &str, now: WallTime) -> Option<Duration> {
    let value = value.trim();
    let after = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTime::parse_from_rfc2822(value).ok()?;
            let millis = date.timestamp_millis().saturating_sub(now.as_millis());
            Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        }
    };
    Some(after.min(MAX_VISIBILITY))
}

/// A `pause-seconds`, at most [`MAX_PAUSE`].
pub fn pause(value: &str) -> Option<Duration> {
    let seconds = value.trim().parse::<u64>().ok().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds).min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundreds_are_done_and_all_else_is_not() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judge(status, Some(Duration::from_secs(5))), Verdict::Delete, "{status}");
        }
        for status in [100, 199, 300, 302, 404, 429, 500, 502, 503, 504] {
            assert_eq!(judge(status, None), Verdict::Leave { back_after: None }, "{status}");
        }
        let after = Some(Duration::from_secs(5));
        assert_eq!(judge(503, after), Verdict::Leave { back_after: after });
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 2026-01-01T00:00:00Z
        let now = WallTime::from_millis(1_767_225_600_000);
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999", Some(43_200)),
            ("Thu, 01 Jan 2026 00:01:00 GMT", Some(60)),
            ("Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn a_pause_is_bounded() {
        assert_eq!(pause("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause("1000000"), Some(MAX_PAUSE));
        assert_eq!((pause("0"), pause("x")), (None, None));
    }
}
