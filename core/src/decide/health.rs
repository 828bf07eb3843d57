//! What the answers to an instance's health checks mean.
//!
//! ```text
//!             not yet, time left          passed                failed < max
//!   Starting ───────────────────┐  ┌──► Passing ◄───────────► Failing
//!      │  ▲─────────────────────┘  │        │ suspect: check at once  │
//!      ├────────── passed ─────────┘        ▼                         │ failed = max
//!      └── start limit passed ──────────► Failed ◄────────────────────┘
//! ```
//! `Failed` is final: the instance is replaced, never trusted again.

use std::time::Duration;

use crate::{component::HealthSpec, time::Moment};

/// Distance of the first checks after a start.
pub const START_STEP_MIN: Duration = Duration::from_millis(1);
/// A slow starter is asked ten times a second; more would only take its CPU.
pub const START_STEP_MAX: Duration = Duration::from_millis(100);
/// The distance is this part of the time since the start, so that waiting adds at most 2 %.
const START_STEP_SHARE: u32 = 50;
/// Patience with one check while starting; doubles with each that ran into it, since a program may
/// accept a connection before it is able to answer, and a packet may be lost.
const START_PATIENCE_FIRST: Duration = Duration::from_secs(1);
/// Patience with one check of a running instance, if its interval allows so much.
pub const CHECK_PATIENCE_MAX: Duration = Duration::from_secs(10);
const CHECK_PATIENCE_MIN: Duration = Duration::from_secs(1);
/// A suspect is out of rotation, so its checks don't wait for the interval.
const SUSPECT_STEP: Duration = Duration::from_millis(200);
/// Patience with a suspect: requests wait meanwhile.
const SUSPECT_PATIENCE: Duration = Duration::from_secs(2);

/// One instance's checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    start_limit: Option<Duration>,
    interval: Option<Duration>,
    max_failures: u32,
    phase: Phase,
    /// It failed a request and is out of rotation until a check passes.
    suspect: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Starting { since: Moment, timed_out: u32 },
    Running { failures: u32 },
    Failed,
}

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    Passed,
    /// Refused, reset, or another answer than 200: with what.
    Failed(String),
    /// No answer in time. `busy`: all its slots were taken, so the check may have had to wait its turn.
    TimedOut {
        busy: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet; look again at `next`.
    Starting { next: Moment },
    /// In rotation. `next`: no further checks when `None`.
    Healthy { next: Option<Moment> },
    /// Some checks failed, fewer than it takes.
    Failing { failures: u32, next: Moment },
    /// To be replaced.
    Failed { reason: String },
}

// === impl Health ===

impl Health {
    /// Of an instance whose start has just returned.
    pub fn starting(spec: &HealthSpec, now: Moment) -> Self {
        Self::new(spec, Phase::Starting { since: now, timed_out: 0 })
    }

    /// Of an instance that has passed before.
    pub fn running(spec: &HealthSpec) -> Self {
        Self::new(spec, Phase::Running { failures: 0 })
    }

    fn new(spec: &HealthSpec, phase: Phase) -> Self {
        Self {
            start_limit: spec.start,
            interval: spec.interval,
            max_failures: spec.max_failures.max(1),
            phase,
            suspect: false,
        }
    }

    /// It failed a request before the first byte of the answer: check now.
    pub fn suspect(&mut self) {
        self.suspect = true;
    }

    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// How long the next check may take.
    pub fn patience(&self, now: Moment) -> Duration {
        match &self.phase {
            Phase::Starting { since, timed_out } => {
                let wanted = START_PATIENCE_FIRST.saturating_mul(1 << timed_out.min(&16));
                match self.start_limit {
                    // At least one step, so that the last check is one.
                    Some(limit) => {
                        wanted.min(limit.saturating_sub(now.since(*since))).max(START_PATIENCE_FIRST)
                    }
                    None => wanted,
                }
            }
            _ if self.suspect => SUSPECT_PATIENCE,
            _ => self.interval.unwrap_or(CHECK_PATIENCE_MAX).clamp(CHECK_PATIENCE_MIN, CHECK_PATIENCE_MAX),
        }
    }

    pub fn on_probe(&mut self, probe: &Probe, now: Moment) -> Verdict {
        match (&mut self.phase, probe) {
            (Phase::Failed, _) => Verdict::Failed { reason: "it had failed before".to_owned() },
            (_, Probe::Passed) => {
                self.phase = Phase::Running { failures: 0 };
                self.suspect = false;
                Verdict::Healthy { next: self.next_check(now) }
            }
            (Phase::Starting { since, timed_out }, _) => {
                let since = *since;
                if matches!(probe, Probe::TimedOut { .. }) {
                    *timed_out += 1;
                }
                self.not_started(since, probe, now)
            }
            (Phase::Running { .. }, Probe::TimedOut { busy: true }) => {
                // It takes no more requests at a time, by its own settings: silence says nothing.
                self.suspect = false;
                Verdict::Healthy { next: self.next_check(now) }
            }
            (Phase::Running { failures }, _) => {
                *failures += 1;
                let failures = *failures;
                self.failing(failures, probe, now)
            }
        }
    }

    fn next_check(&self, now: Moment) -> Option<Moment> {
        self.interval.map(|interval| now + interval)
    }

    fn not_started(&mut self, since: Moment, probe: &Probe, now: Moment) -> Verdict {
        let elapsed = now.since(since);
        match self.start_limit {
            Some(limit) if elapsed >= limit => {
                self.phase = Phase::Failed;
                let reason =
                    format!("no check passed in {} s after the start; the last one {probe}", limit.as_secs());
                Verdict::Failed { reason }
            }
            limit => {
                let step = (elapsed / START_STEP_SHARE).clamp(START_STEP_MIN, START_STEP_MAX);
                let next = now + step;
                Verdict::Starting { next: limit.map_or(next, |limit| next.min(since + limit)) }
            }
        }
    }

    fn failing(&mut self, failures: u32, probe: &Probe, now: Moment) -> Verdict {
        if failures >= self.max_failures {
            self.phase = Phase::Failed;
            let reason = format!(
                "{failures} of {} allowed checks failed in a row; the last one {probe}",
                self.max_failures
            );
            return Verdict::Failed { reason };
        }
        let step = match self.interval {
            Some(interval) if !self.suspect => interval,
            _ => SUSPECT_STEP,
        };
        Verdict::Failing { failures, next: now + step }
    }
}

// === impl Display ===

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(what) => f.write_str(what),
            Self::TimedOut { .. } => f.write_str("had no answer in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(start: u64, max_failures: u32) -> HealthSpec {
        HealthSpec {
            path: "/".to_owned(),
            start: Some(Duration::from_secs(start)),
            interval: Some(Duration::from_secs(10)),
            max_failures,
            failed_command: None,
        }
    }

    fn ms(millis: u64) -> Moment {
        Moment::from_millis(1_000_000 + millis)
    }

    fn refused() -> Probe {
        Probe::Failed("was refused".to_owned())
    }

    #[test]
    fn a_start_is_probed_each_millisecond_at_first_and_gently_later() {
        let mut health = Health::starting(&spec(60, 1), ms(0));
        for (at, step) in [(0, 1), (20, 1), (500, 10), (5_000, 100), (30_000, 100)] {
            assert_eq!(health.on_probe(&refused(), ms(at)), Verdict::Starting { next: ms(at + step) });
        }
        assert_eq!(health.on_probe(&Probe::Passed, ms(30_100)), Verdict::Healthy { next: Some(ms(40_100)) });
    }

    #[test]
    fn a_start_ends_at_its_limit_with_what_the_last_check_said() {
        let mut health = Health::starting(&spec(2, 1), ms(0));
        assert_eq!(health.on_probe(&refused(), ms(1_995)), Verdict::Starting { next: ms(2_000) });
        let Verdict::Failed { reason } = health.on_probe(&Probe::Failed("answered 500".into()), ms(2_000))
        else {
            panic!("the limit has passed");
        };
        assert!(reason.contains("2 s") && reason.contains("answered 500"), "{reason}");
        assert!(matches!(health.on_probe(&Probe::Passed, ms(2_001)), Verdict::Failed { .. }));
    }

    #[test]
    fn patience_grows_with_slow_starters() {
        let mut health = Health::starting(&spec(60, 1), ms(0));
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(health.patience(ms(0)).as_secs());
            health.on_probe(&Probe::TimedOut { busy: false }, ms(0));
        }
        assert_eq!(seen, [1, 2, 4, 8]);
        assert_eq!(health.patience(ms(57_000)), Duration::from_secs(3), "not past the start limit");
    }

    #[test]
    fn failures_count_only_in_a_row() {
        let mut health = Health::running(&spec(60, 2));
        assert_eq!(health.on_probe(&refused(), ms(0)), Verdict::Failing { failures: 1, next: ms(10_000) });
        assert!(matches!(health.on_probe(&Probe::Passed, ms(10_000)), Verdict::Healthy { .. }));
        assert!(matches!(health.on_probe(&refused(), ms(20_000)), Verdict::Failing { failures: 1, .. }));
        assert!(matches!(health.on_probe(&refused(), ms(30_000)), Verdict::Failed { .. }));
    }

    /// One slow check of the original's killed the instance, and its requests with it.
    #[test]
    fn a_full_instance_that_is_silent_is_left_alone() {
        let mut health = Health::running(&spec(60, 1));
        assert!(matches!(health.on_probe(&Probe::TimedOut { busy: true }, ms(0)), Verdict::Healthy { .. }));
        assert!(matches!(health.on_probe(&Probe::TimedOut { busy: false }, ms(0)), Verdict::Failed { .. }));
    }

    #[test]
    fn a_suspect_is_checked_at_once_and_again_soon() {
        let mut health = Health::running(&spec(60, 3));
        health.suspect();
        assert_eq!(health.patience(ms(0)), SUSPECT_PATIENCE);
        assert_eq!(health.on_probe(&refused(), ms(0)), Verdict::Failing { failures: 1, next: ms(200) });
        assert!(health.is_suspect());
        assert_eq!(health.on_probe(&Probe::Passed, ms(200)), Verdict::Healthy { next: Some(ms(10_200)) });
        assert!(!health.is_suspect());
    }
}
