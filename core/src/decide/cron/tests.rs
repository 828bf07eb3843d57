//! When rules are due, clock changes included.

use std::{collections::BTreeSet, str::FromStr};

use chrono::{NaiveDateTime, TimeZone, Timelike};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> WallTime {
    WallTime::from_millis(text.parse::<DateTime<Utc>>().expect(text).timestamp_millis())
}

fn schedule(text: &str) -> Schedule {
    Schedule::parse(text).unwrap_or_else(|error| panic!("'{text}' {error}"))
}

fn utc(time: WallTime) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.as_millis()).unwrap()
}

/// The next `count` due times after `from`, as the zone's clocks show them.
fn due_times(text: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = schedule(text);
    let mut after = at(from);
    let mut found = Vec::new();
    for _ in 0..count {
        let next = schedule.next(after, at(from)).unwrap();
        found.push(utc(next).with_timezone(&schedule.zone).format("%m-%d %H:%M:%S %z").to_string());
        after = next;
    }
    found
}

#[test]
fn five_fields_mean_what_people_expect() {
    // 2026-01-01 is a Thursday.
    let cases = [
        ("* * * * *", vec!["01-01 00:01", "01-01 00:02"]),
        ("*/20 * * * *", vec!["01-01 00:20", "01-01 00:40", "01-01 01:00"]),
        ("5/15 * * * *", vec!["01-01 00:05", "01-01 00:20", "01-01 00:35", "01-01 00:50", "01-01 01:05"]),
        ("10-14/2 3 * * *", vec!["01-01 03:10", "01-01 03:12", "01-01 03:14", "01-02 03:10"]),
        ("0 0 ? * *", vec!["01-02 00:00", "01-03 00:00"]),
        ("0 12 * * 1-5", vec!["01-01 12:00", "01-02 12:00", "01-05 12:00"]),
        ("0 12 * * mon-fri", vec!["01-01 12:00", "01-02 12:00", "01-05 12:00"]),
        ("0 0 * * 0", vec!["01-04 00:00", "01-11 00:00"]),
        ("0 0 * * 7", vec!["01-04 00:00", "01-11 00:00"]),
        ("0 0 * * SUN", vec!["01-04 00:00", "01-11 00:00"]),
        ("0 0 * * 5-7", vec!["01-02 00:00", "01-03 00:00", "01-04 00:00", "01-09 00:00"]),
        ("0 0 * * fri-sun", vec!["01-02 00:00", "01-03 00:00", "01-04 00:00", "01-09 00:00"]),
        ("0 0 1 Feb,mar ?", vec!["02-01 00:00", "03-01 00:00", "02-01 00:00"]),
        ("0 0 31 * *", vec!["01-31 00:00", "03-31 00:00", "05-31 00:00"]),
        ("0 0 29 2 *", vec!["02-29 00:00", "02-29 00:00"]),
        // Both days given: either is enough. One of them '*': both must match.
        ("0 0 13 * 5", vec!["01-02 00:00", "01-09 00:00", "01-13 00:00", "01-16 00:00"]),
        ("0 0 */10 * 1", vec!["01-05 00:00", "01-11 00:00", "01-12 00:00", "01-19 00:00", "01-21 00:00"]),
        ("0 0 */1 * 1", vec!["01-05 00:00", "01-12 00:00"]),
        ("@yearly", vec!["01-01 00:00", "01-01 00:00"]),
        ("@annually", vec!["01-01 00:00"]),
        ("@monthly", vec!["02-01 00:00", "03-01 00:00"]),
        ("@weekly", vec!["01-04 00:00"]),
        ("@daily", vec!["01-02 00:00"]),
        ("@midnight", vec!["01-02 00:00"]),
        ("@Hourly", vec!["01-01 01:00", "01-01 02:00"]),
        ("  0\t0  *  * * ", vec!["01-02 00:00"]),
    ];
    for (text, expected) in cases {
        let expected: Vec<String> = expected.into_iter().map(|time| format!("{time}:00 +0000")).collect();
        assert_eq!(due_times(text, "2026-01-01T00:00:00Z", expected.len()), expected, "{text}");
    }
}

#[test]
fn every_counts_from_its_anchor_in_whole_seconds() {
    let cases = [
        ("@every 1h30m", vec!["01-01 01:30:07", "01-01 03:00:07"]),
        ("@every 90s", vec!["01-01 00:01:37", "01-01 00:03:07"]),
        ("@every 1.5m", vec!["01-01 00:01:37"]),
        ("@every 0.1h", vec!["01-01 00:06:07"]),
        ("@every 300ms", vec!["01-01 00:00:08", "01-01 00:00:09"]),
        ("@every 2500ms", vec!["01-01 00:00:09", "01-01 00:00:11"]),
    ];
    for (text, expected) in cases {
        let expected: Vec<String> = expected.into_iter().map(|time| format!("{time} +0000")).collect();
        assert_eq!(due_times(text, "2026-01-01T00:00:07.800Z", expected.len()), expected, "{text}");
    }
}

#[test]
fn where_clocks_change_fixed_times_come_once_and_running_rules_run_on() {
    let new_york = |rule: &str| format!("CRON_TZ=America/New_York {rule}");
    // Forward on 8 March 2026, 02:00 -0500 → 03:00 -0400; back on 1 November, 02:00 -0400 → 01:00 -0500.
    let (spring, autumn) = ("2026-03-08T05:30:00Z", "2026-11-01T04:30:00Z");
    let cases = [
        ("30 2 * * *", spring, vec!["03-08 03:00:00 -0400", "03-09 02:30:00 -0400"]),
        ("20 2,15 * * *", spring, vec!["03-08 03:00:00 -0400", "03-08 15:20:00 -0400"]),
        ("15,45 2 * * *", spring, vec!["03-08 03:00:00 -0400", "03-09 02:15:00 -0400"]),
        ("0 2,3 * * *", spring, vec!["03-08 03:00:00 -0400", "03-09 02:00:00 -0400"]),
        (
            "*/30 * * * *",
            spring,
            vec!["03-08 01:00:00 -0500", "03-08 01:30:00 -0500", "03-08 03:00:00 -0400"],
        ),
        ("30 * * * *", spring, vec!["03-08 01:30:00 -0500", "03-08 03:30:00 -0400"]),
        ("*/30 2 * * *", spring, vec!["03-09 02:00:00 -0400"]),
        ("30 1 * * *", autumn, vec!["11-01 01:30:00 -0400", "11-02 01:30:00 -0500"]),
        ("46 1,10 * * *", autumn, vec!["11-01 01:46:00 -0400", "11-01 10:46:00 -0500"]),
        (
            "0,30 1-2 * * *",
            autumn,
            vec![
                "11-01 01:00:00 -0400",
                "11-01 01:30:00 -0400",
                "11-01 02:00:00 -0500",
                "11-01 02:30:00 -0500",
            ],
        ),
        (
            "*/30 * * * *",
            autumn,
            vec![
                "11-01 01:00:00 -0400",
                "11-01 01:30:00 -0400",
                "11-01 01:00:00 -0500",
                "11-01 01:30:00 -0500",
                "11-01 02:00:00 -0500",
            ],
        ),
        (
            "15 */1 * * *",
            autumn,
            vec!["11-01 01:15:00 -0400", "11-01 01:15:00 -0500", "11-01 02:15:00 -0500"],
        ),
    ];
    for (rule, from, expected) in cases {
        assert_eq!(due_times(&new_york(rule), from, expected.len()), expected, "{rule} from {from}");
    }
    // Samoa left out 30 December 2011.
    let samoa = due_times("TZ=Pacific/Apia 0 6 * * *", "2011-12-29T17:00:00Z", 2);
    assert_eq!(samoa, ["12-31 00:00:00 +1400", "12-31 06:00:00 +1400"]);
}

#[test]
fn an_error_says_what_where_and_what_is_allowed() {
    let cases = [
        ("", "is empty"),
        ("* * * *", "has 4 fields; five are needed"),
        ("0 * * * * *", "no field for seconds"),
        ("61 * * * *", "has '61' as its minute: 61 is out of range; 0 to 59"),
        ("* 24 * * *", "as its hour: 24 is out of range"),
        ("* * 0 * *", "as its day of month: 0 is out of range"),
        ("* * * 13 *", "as its month: 13"),
        ("* * * * 8", "as its day of week: 8"),
        ("* * * foo *", "as its month: 'foo' is no value; 1 to 12, jan to dec"),
        ("5-1 * * * *", "the range 5-1 ends before it begins"),
        ("*/0 * * * *", "'0' is no step"),
        ("*/x * * * *", "'x' is no step"),
        ("1,,2 * * * *", "'' is no value"),
        ("-1 * * * *", "'' is no value"),
        ("+5 * * * *", "'+5' is no value"),
        ("99999999999 * * * *", "is no value"),
        ("* * * * 1-", "'' is no value"),
        ("0 0 30 2 *", "never comes"),
        ("@reboot", "is '@reboot'; @yearly"),
        ("@every", "it is missing"),
        ("@every 5", "a number lacks its unit"),
        ("@every 5x", "a unit is not one of"),
        ("@every -5m", "it is no duration"),
        ("@every 0s", "more than 0"),
        ("@every 999999999h", "less than a century"),
        ("CRON_TZ=Mars/Base 0 0 * * *", "unknown time zone 'Mars/Base'"),
        ("CRON_TZ=Europe/Berlin", "is empty"),
    ];
    for (text, expected) in cases {
        let error = Schedule::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "'{text}': {error}");
    }
    let long = Schedule::parse(&format!("{} * * * *", "9".repeat(100_000))).unwrap_err().to_string();
    assert!(long.len() < 400, "{} bytes", long.len());
}

/// The original lost what fell due while the rule's owner changed.
#[test]
fn what_fell_due_meanwhile_is_made_up_for_once_and_only_while_young() {
    let due = |rule: &str, since: &str, now: &str| schedule(rule).due(at(since), at(now));
    // On time.
    let on_time = due("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00.020Z");
    assert_eq!(on_time.fire, Some(at("2026-01-01T00:05:00Z")));
    assert_eq!(on_time.missed, None);
    assert_eq!(on_time.next, Some(at("2026-01-01T00:10:00Z")));
    // Not yet.
    let early = due("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:04:59.999Z");
    assert_eq!(early, Due { fire: None, missed: None, next: Some(at("2026-01-01T00:05:00Z")) });
    // Several were missed: the latest fires, once.
    let several = due("*/2 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:31:00Z");
    assert_eq!(several.fire, Some(at("2026-01-01T00:30:00Z")));
    assert_eq!(several.missed, Some(at("2026-01-01T00:02:00Z")));
    assert_eq!(several.next, Some(at("2026-01-01T00:32:00Z")));
    // A daily one is made up for within five minutes, not later.
    let young = due("@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:04:59Z");
    assert_eq!(young.fire, Some(at("2026-01-02T00:00:00Z")));
    let old = due("@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:05:00Z");
    assert_eq!((old.fire, old.missed), (None, Some(at("2026-01-02T00:00:00Z"))));
    assert_eq!(old.next, Some(at("2026-01-03T00:00:00Z")));
    // The phase of @every outlives an outage.
    let every = due("@every 7m", "2026-01-01T00:00:00Z", "2026-01-01T01:05:00Z");
    assert_eq!(every.fire, Some(at("2026-01-01T01:03:00Z")));
    assert_eq!(every.next, Some(at("2026-01-01T01:10:00Z")));
    // A clock that was set back asks for nothing.
    let back = due("* * * * *", "2026-01-01T00:30:00Z", "2026-01-01T00:10:00Z");
    assert_eq!((back.fire, back.missed), (None, None));
}

const ZONES: [&str; 6] = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
];

/// When clocks change.
const CHANGES: [(&str, &str); 9] = [
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    // By half an hour.
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
    ("Africa/Casablanca", "2026-03-22T02:00:00Z"),
    ("Asia/Kathmandu", "2026-03-22T02:00:00Z"),
];

fn field(least: u32, most: u32) -> impl Strategy<Value = String> {
    let value = move || least..=most;
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => value().prop_map(|v| v.to_string()),
        1 => (2_u32..20).prop_map(|step| format!("*/{step}")),
        1 => (value(), value()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (value(), value()).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6))
        .prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
}

/// Due every day, often in the hours where clocks change.
fn dense_rule() -> impl Strategy<Value = String> {
    (field(0, 59), prop_oneof![field(0, 4), field(0, 23)]).prop_map(|(a, b)| format!("{a} {b} * * *"))
}

/// The next due time by the definition, minute by minute, within three days.
fn by_definition(schedule: &Schedule, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Timing::Fields(fields) = &schedule.timing else { panic!("no fields") };
    let matches = |label: NaiveDateTime| {
        fields.matches_day(label.date())
            && fields.hours >> label.hour() & 1 == 1
            && fields.minutes >> label.minute() & 1 == 1
    };
    let first = after.with_second(0).unwrap().with_nanosecond(0).unwrap() - chrono::Duration::days(2);
    let minutes = (0..5 * 1_440).map(|minute| first + chrono::Duration::minutes(minute));
    let label = |instant: DateTime<Utc>| instant.with_timezone(&schedule.zone).naive_local();
    if fields.pace == Pace::Running {
        return minutes.into_iter().find(|instant| *instant > after && matches(label(*instant)));
    }
    let mut due = BTreeSet::new();
    let mut shown = first.with_timezone(&schedule.zone).naive_local() - chrono::Duration::minutes(1);
    for instant in minutes {
        // Every label that the clocks show or pass over for the first time here.
        while shown < label(instant) {
            shown += chrono::Duration::minutes(1);
            if matches(shown) {
                due.insert(instant);
            }
        }
    }
    due.into_iter().find(|instant| *instant > after)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn around_clock_changes_the_search_agrees_with_the_definition(
        rule in prop_oneof![3 => dense_rule(), 1 => rule()],
        (zone, change) in proptest::sample::select(&CHANGES[..]),
        seconds in -14_400_i64..14_400,
    ) {
        let Ok(schedule) = Schedule::parse(&format!("CRON_TZ={zone} {rule}")) else { return Ok(()) };
        let after = WallTime::from_millis(at(change).as_millis() + seconds * 1_000);
        let found = schedule.next(after, after).map(utc);
        match by_definition(&schedule, utc(after)) {
            Some(expected) => prop_assert_eq!(found, Some(expected)),
            None => prop_assert!(found.is_none_or(|found| found > utc(after) + chrono::Duration::days(2))),
        }
    }

    #[test]
    fn away_from_clock_changes_the_search_agrees_with_another_implementation(
        rule in rule(),
        zone in proptest::sample::select(&ZONES[..]),
        start in 1_767_225_600_i64..1_900_000_000,
    ) {
        let ours = Schedule::parse(&format!("CRON_TZ={zone} {rule}"));
        let theirs = croner::Cron::from_str(&rule);
        // The other one takes '*/n' of days for '*'.
        let days_stepped = rule.split(' ').enumerate().any(|(i, f)| (i == 2 || i == 4) && f.starts_with("*/"));
        prop_assume!(!days_stepped);
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return Ok(()) };
        let after = ours.zone.timestamp_opt(start, 0).unwrap();
        let Ok(expected) = theirs.find_next_occurrence(&after, false) else { return Ok(()) };
        let calm = |time: &DateTime<Tz>| {
            let near = |days| *time + chrono::Duration::days(days);
            let offset = |time: DateTime<Tz>| time.naive_local() - time.naive_utc();
            offset(near(-1)) == offset(near(1))
        };
        prop_assume!(calm(&after) && calm(&expected));
        let found = ours.next(WallTime::from_millis(start * 1_000), WallTime::default()).map(utc);
        prop_assert_eq!(found, Some(expected.with_timezone(&Utc)));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[ -~µ]{0,40}", rule in "(CRON_TZ=)?[0-9*/,?@a-zA-Z -]{0,30}") {
        let _ = Schedule::parse(&text);
        let _ = Schedule::parse(&rule);
    }

    /// However often and whenever one asks, each due time is asked for at most once, in order.
    #[test]
    fn no_due_time_is_fired_twice(rule in rule(), gaps in prop::collection::vec(0_i64..900_000, 1..60)) {
        let Ok(schedule) = Schedule::parse(&rule) else { return Ok(()) };
        let mut now = at("2026-05-01T00:00:00Z");
        let mut since = now;
        for gap in gaps {
            now = WallTime::from_millis(now.as_millis() + gap);
            let due = schedule.due(since, now);
            if let Some(fire) = due.fire {
                prop_assert!(fire > since && fire <= now);
                prop_assert!(now.as_millis() - fire.as_millis() < CATCH_UP_MILLIS);
                since = fire;
            }
            prop_assert!(due.next.is_none_or(|next| next > now));
            prop_assert_eq!(schedule.due(since, now).fire, None);
        }
    }
}
