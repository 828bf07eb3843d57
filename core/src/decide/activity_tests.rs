//! Activity over windows and buckets, as tables and properties.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SIX: Duration = Duration::from_secs(6);
const MINUTE: Duration = Duration::from_secs(60);

fn at(millis: u64) -> Moment {
    Moment::from_millis(1_000_000 + millis)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6 * (1.0 + a.abs().max(b.abs()))
}

#[test]
fn a_request_that_runs_for_minutes_is_activity_all_the_time() {
    let mut activity = Activity::new(at(0));
    activity.begin(at(0));
    for minutes in 1..30 {
        let now = at(minutes * 60_000);
        assert!(close(activity.window(MINUTE, now).average, 1.0));
        assert!(close(activity.window(SIX, now).average, 1.0));
        assert_eq!(activity.window(MINUTE, now).peak, 1);
        assert_eq!(activity.last_active(now), Some(now));
        let report = activity.report(now);
        assert!(report[1..].iter().all(|cell| close(cell.concurrency, 1.0)), "{report:?}");
    }
    activity.end(at(1_800_000));
    assert_eq!(activity.last_active(at(1_900_000)), Some(at(1_800_000)));
    assert_eq!(activity.window(MINUTE, at(2_000_000)), Window { average: 0.0, peak: 0 });
}

#[test]
fn concurrency_comes_from_time_not_from_ends() {
    let mut activity = Activity::new(at(0));
    // Ten requests of half a second each, one after the other in ten seconds.
    for second in 0..10 {
        activity.begin(at(second * 1_000));
        activity.end(at(second * 1_000 + 500));
    }
    let cells = activity.report(at(10_000));
    assert_eq!(cells, vec![ReportCell { requests: 10, concurrency: 0.5 }]);
    assert!(close(activity.window(SIX, at(10_000)).average, 0.5));
    // Time before the watch counts as none.
    assert!(close(activity.window(MINUTE, at(10_000)).average, 5.0 / 60.0));
    assert_eq!(activity.requests(), 10);
}

#[test]
fn the_report_is_newest_first_and_at_most_ten_cells() {
    let mut activity = Activity::new(at(0));
    for cell in 0..15_u64 {
        for _ in 0..=cell {
            activity.begin(at(cell * 20_000));
            activity.end(at(cell * 20_000 + 1));
        }
    }
    let report = activity.report(at(14 * 20_000 + 10_000));
    assert_eq!(report.len(), REPORT_CELLS);
    assert_eq!(
        report.iter().map(|cell| cell.requests).collect::<Vec<_>>(),
        (6..=15).rev().collect::<Vec<_>>()
    );
}

#[test]
fn a_peak_is_forgotten_after_its_window_and_no_sooner() {
    let mut activity = Activity::new(at(0));
    for _ in 0..5 {
        activity.begin(at(100));
    }
    for _ in 0..5 {
        activity.end(at(200));
    }
    assert_eq!(activity.window(MINUTE, at(60_000)).peak, 5);
    assert_eq!(activity.window(MINUTE, at(61_100)).peak, 0);
}

#[test]
fn a_clock_reading_from_before_the_last_one_changes_nothing() {
    let mut activity = Activity::new(at(1_000));
    activity.begin(at(2_000));
    activity.end(at(1_500));
    assert_eq!(activity.level(), 0);
    assert_eq!(activity.report(at(3_000)), vec![ReportCell { requests: 1, concurrency: 0.0 }]);
    assert_eq!(activity.window(SIX, at(0)).peak, 1);
}

#[test]
fn a_touch_is_activity_without_a_request() {
    let mut activity = Activity::new(at(0));
    assert_eq!(activity.last_active(at(10)), None);
    activity.touch(at(20));
    assert_eq!((activity.last_active(at(30)), activity.requests()), (Some(at(20)), 0));
}

/// Level changes at times; the reference integrates them one by one.
fn naive(changes: &[(u64, u32)], from: u64, to: u64) -> (f64, u32) {
    let (mut integral, mut peak) = (0.0, 0);
    for (index, (begin, level)) in changes.iter().enumerate() {
        let end = changes.get(index + 1).map_or(u64::MAX, |next| next.0);
        let overlap = end.min(to).saturating_sub((*begin).max(from));
        integral += overlap as f64 * f64::from(*level);
        if *begin <= to && end >= from {
            peak = peak.max(*level);
        }
    }
    (integral, peak)
}

proptest! {
    #[test]
    fn windows_are_the_exact_integral(
        steps in prop::collection::vec((0_u64..9_000, any::<bool>()), 1..200),
        rest in 0_u64..200_000,
    ) {
        let mut activity = Activity::new(at(0));
        let mut changes = vec![(0, 0)];
        let (mut now, mut level) = (0, 0_u32);
        for (pause, begins) in steps {
            now += pause;
            if begins {
                activity.begin(at(now));
                level += 1;
            } else if level > 0 {
                activity.end(at(now));
                level -= 1;
            }
            changes.push((now, level));
        }
        now += rest;
        for length in [SIX, MINUTE] {
            // Cells begin on whole seconds of the watch.
            let span = u64::try_from(length.as_millis()).unwrap();
            let elapsed = span + now % 1_000;
            let (integral, peak) = naive(&changes, (now + span).saturating_sub(elapsed + span), now);
            let window = activity.window(length, at(now));
            prop_assert!(close(window.average, if elapsed == 0 { 0.0 } else { integral / elapsed as f64 }),
                "{length:?}: {window:?}, {integral} over {elapsed}");
            prop_assert_eq!(window.peak, peak);
        }
        prop_assert_eq!(activity.level(), level);
    }
}
