//! Sums of requests: what came between two readings of counters, parts put together, and how long most
//! requests took.
//!
//! Durations are counted in octaves: a quantile is right within its octave and, where durations spread
//! evenly in it, better than that.

use crate::wire::Traffic;

/// Octave n counts what took from 2^(n-1) to 2^n µs; the last one all that took longer.
pub const OCTAVES: usize = 27;

/// Counters that only rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub requests: u64,
    pub errors: u64,
    pub gone: u64,
    pub relayed: u64,
    pub durations: [u64; OCTAVES],
}

// === impl Counted ===

impl Counted {
    /// What came since `before`.
    pub fn since(&self, before: &Self) -> Traffic {
        // Requests that end while counters are read may stand in one and not yet in the other.
        let more = |now: u64, then: u64| i64::try_from(now.saturating_sub(then)).unwrap_or(i64::MAX);
        let durations = self.durations.iter().zip(&before.durations).enumerate();
        Traffic {
            requests: more(self.requests, before.requests),
            errors: more(self.errors, before.errors),
            gone: more(self.gone, before.gone),
            relayed: more(self.relayed, before.relayed),
            durations: durations
                .map(|(octave, (now, then))| (octave_number(octave), more(*now, *then)))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }
}

fn octave_number(octave: usize) -> u8 {
    u8::try_from(octave).unwrap_or(u8::MAX)
}

/// Adds `more` to `sum`.
pub fn add(sum: &mut Traffic, more: &Traffic) {
    sum.requests += more.requests;
    sum.errors += more.errors;
    sum.gone += more.gone;
    sum.relayed += more.relayed;
    for (octave, count) in &more.durations {
        match sum.durations.binary_search_by_key(octave, |(known, _)| *known) {
            Ok(at) => sum.durations[at].1 += count,
            Err(at) => sum.durations.insert(at, (*octave, *count)),
        }
    }
}

/// Whether nothing was asked.
pub fn is_empty(traffic: &Traffic) -> bool {
    traffic.requests == 0 && traffic.durations.is_empty()
}

/// Of `count` things that all nodes counted, those that are no second count of what was relayed. Relayed
/// requests are taken to fail as often as others.
#[expect(clippy::cast_precision_loss, reason = "numbers of requests for people")]
pub fn once(traffic: &Traffic, count: i64) -> f64 {
    if traffic.requests <= 0 {
        return 0.0;
    }
    let own = (traffic.requests - traffic.relayed).max(0);
    count as f64 * own as f64 / traffic.requests as f64
}

/// The duration in ms that a `share` (0 to 1) of the requests did not exceed. `None`: there was none.
#[expect(clippy::cast_precision_loss, reason = "an estimate within an octave")]
pub fn quantile(traffic: &Traffic, share: f64) -> Option<f64> {
    let total: i64 = traffic.durations.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return None;
    }
    let wanted = share * total as f64;
    let mut under = 0.0;
    for (octave, count) in &traffic.durations {
        let count = *count as f64;
        if under + count >= wanted {
            let upper = 2_f64.powi(i32::from(*octave));
            let lower = if *octave == 0 { 0.0 } else { upper / 2.0 };
            let micros = lower + (upper - lower) * ((wanted - under) / count).clamp(0.0, 1.0);
            return Some(round(micros / 1e3));
        }
        under += count;
    }
    None
}

/// Three significant digits: more are not known, and what is sent stays the same while nothing changes.
fn round(millis: f64) -> f64 {
    if millis <= 0.0 {
        return 0.0;
    }
    let unit = 10_f64.powi(2 - decimal_exponent(millis));
    (millis * unit).round() / unit
}

#[expect(clippy::cast_possible_truncation, reason = "a few dozen at most")]
fn decimal_exponent(number: f64) -> i32 {
    number.log10().floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(durations: &[(usize, u64)]) -> Counted {
        let mut counted = Counted::default();
        for (octave, count) in durations {
            counted.durations[*octave] += count;
            counted.requests += count;
        }
        counted
    }

    #[test]
    fn what_came_is_the_difference_of_two_readings() {
        let before = counted(&[(10, 5)]);
        let after = Counted { errors: 2, relayed: 3, ..counted(&[(10, 6), (12, 4)]) };
        let traffic = after.since(&before);
        assert_eq!((traffic.requests, traffic.errors, traffic.relayed), (5, 2, 3));
        assert_eq!(traffic.durations, [(10, 1), (12, 4)]);
        assert!(is_empty(&after.since(&after)));
        // A daemon that begins anew counts from zero.
        assert!(is_empty(&before.since(&after)));
    }

    #[test]
    fn parts_add_up_in_any_order() {
        let parts = [counted(&[(10, 1)]), counted(&[(3, 2), (12, 1)]), counted(&[(10, 4)])]
            .map(|part| part.since(&Counted::default()));
        let sum = |order: [usize; 3]| {
            let mut sum = Traffic::default();
            order.iter().for_each(|part| add(&mut sum, &parts[*part]));
            sum
        };
        assert_eq!(sum([0, 1, 2]).durations, [(3, 2), (10, 5), (12, 1)]);
        assert_eq!(sum([0, 1, 2]), sum([2, 0, 1]));
    }

    #[test]
    fn quantiles_lie_in_the_octave_that_holds_them() {
        assert_eq!(quantile(&Traffic::default(), 0.5), None);
        // 512 to 1024 µs: 99; half a second and more: 1.
        let traffic = counted(&[(10, 99), (20, 1)]).since(&Counted::default());
        let half = quantile(&traffic, 0.5).unwrap();
        assert!((0.512..=1.024).contains(&half), "{half}");
        assert!(quantile(&traffic, 0.99).unwrap() <= 1.024);
        assert!(quantile(&traffic, 0.999).unwrap() > 524.0);
        let shares = [0.1, 0.5, 0.9, 0.99, 1.0].map(|share| quantile(&traffic, share).unwrap());
        assert!(shares.is_sorted(), "{shares:?}");
    }

    #[test]
    fn what_two_nodes_counted_counts_once() {
        let traffic = Traffic { requests: 20, relayed: 10, errors: 4, ..Default::default() };
        assert!((once(&traffic, traffic.requests) - 10.0).abs() < 1e-9);
        assert!((once(&traffic, traffic.errors) - 2.0).abs() < 1e-9);
        assert!(once(&Traffic::default(), 0).abs() < 1e-9);
    }
}
