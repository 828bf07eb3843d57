//! What is counted of requests, per component: a few atomics that belong to the component's pool, so that
//! the request path looks nothing up and takes no lock.
//!
//! Durations are counted in octaves (powers of two microseconds): 26 numbers per histogram hold anything
//! from 1 µs to over a minute within a factor of two.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use maelstrom_core::{
    decide::traffic::{Counted, OCTAVES},
    names::NodeId,
    time::Moment,
};

use crate::{clock, router::ComponentPool};

/// Scrapers like few buckets: every second octave from 64 µs on.
const SHOWN_FROM: usize = 6;
const SHOWN_STEP: usize = 2;
/// `1xx` to `5xx`, and what ended without an answer since the client went away.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "gone"];
const GONE: usize = 5;

/// Counters of one component.
#[derive(Debug, Default)]
pub struct ComponentMetrics {
    classes: [AtomicU64; CLASSES.len()],
    duration: Histogram,
    queued: Histogram,
    in_flight: AtomicI64,
    replays: AtomicU64,
    relayed_out: AtomicU64,
    relayed_in: AtomicU64,
}

#[derive(Debug)]
struct Histogram {
    counts: [AtomicU64; OCTAVES],
    micros: AtomicU64,
}

/// A request being counted: from its arrival to the end of its response, or of the client's patience.
#[derive(Debug)]
pub(super) struct Recording {
    pool: Arc<ComponentPool>,
    arrived: Moment,
    class: usize,
}

// === impl Histogram ===

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; OCTAVES], micros: AtomicU64::new(0) }
    }
}

impl Histogram {
    #[inline]
    fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let octave = (u64::BITS - micros.leading_zeros()) as usize;
        self.counts[octave.min(OCTAVES - 1)].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    fn encode(&self, text: &mut String, name: &str, component: &str) {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        for octave in (SHOWN_FROM..OCTAVES - 1).step_by(SHOWN_STEP) {
            // Octave n holds what is under 2^n µs.
            let under: u64 = counts[..=octave].iter().sum();
            let bound = micros_as_seconds(1 << octave);
            line(text, &format!("{name}_bucket"), component, Some(("le", &bound.to_string())), under);
        }
        line(text, &format!("{name}_bucket"), component, Some(("le", "+Inf")), total);
        let sum = micros_as_seconds(self.micros.load(Relaxed));
        line(text, &format!("{name}_sum"), component, None, sum);
        line(text, &format!("{name}_count"), component, None, total);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sum of durations is a measurement")]
fn micros_as_seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn line(
    text: &mut String,
    name: &str,
    component: &str,
    label: Option<(&str, &str)>,
    value: impl std::fmt::Display,
) {
    // Component names are letters, digits, `_` and `-`: nothing to escape. Writing to memory can't fail.
    let _ = write!(text, "{name}{{component=\"{component}\"");
    if let Some((key, label)) = label {
        let _ = write!(text, ",{key}=\"{label}\"");
    }
    let _ = writeln!(text, "}} {value}");
}

// === impl ComponentMetrics ===

impl ComponentMetrics {
    /// A request had to wait in the queue.
    #[inline]
    pub(super) fn queued(&self, waited: Duration) {
        if !waited.is_zero() {
            self.queued.record(waited);
        }
    }

    /// A peer has answered a request from here.
    pub(super) fn relayed_out(&self) {
        self.relayed_out.fetch_add(1, Relaxed);
    }

    /// A peer's request was answered here.
    pub(super) fn relayed_in(&self) {
        self.relayed_in.fetch_add(1, Relaxed);
    }

    /// The counters as they stand.
    pub fn counted(&self) -> Counted {
        const SERVER_ERRORS: usize = 4;
        let classes: [u64; CLASSES.len()] = std::array::from_fn(|class| self.classes[class].load(Relaxed));
        Counted {
            requests: classes.iter().sum(),
            errors: classes[SERVER_ERRORS],
            gone: classes[GONE],
            relayed: self.relayed_in.load(Relaxed),
            durations: std::array::from_fn(|octave| self.duration.counts[octave].load(Relaxed)),
        }
    }

    /// An attempt failed and is made again.
    pub(super) fn replayed(&self) {
        self.replays.fetch_add(1, Relaxed);
    }
}

// === impl Recording ===

impl Recording {
    #[inline]
    pub(super) fn begin(pool: Arc<ComponentPool>, arrived: Moment) -> Self {
        pool.metrics().in_flight.fetch_add(1, Relaxed);
        Self { pool, arrived, class: GONE }
    }

    /// The response has begun.
    #[inline]
    pub(super) fn answered(mut self, status: StatusCode) -> Self {
        self.class = usize::from(status.as_u16() / 100).saturating_sub(1).min(GONE - 1);
        self
    }
}

impl Drop for Recording {
    #[inline]
    fn drop(&mut self) {
        let metrics = self.pool.metrics();
        metrics.in_flight.fetch_sub(1, Relaxed);
        metrics.classes[self.class].fetch_add(1, Relaxed);
        metrics.duration.record(clock::now().since(self.arrived));
    }
}

/// All components' counters in the text format that Prometheus reads (version 0.0.4).
pub(super) fn encode(pools: &[Arc<ComponentPool>], peer_failures: &[(NodeId, u64)]) -> String {
    let mut text = String::new();
    let mut family =
        |name: &str, kind: &str, help: &str, write: &dyn Fn(&mut String, &str, &ComponentMetrics)| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for pool in pools {
                write(&mut text, pool.name().as_str(), pool.metrics());
            }
        };
    const REQUESTS: &str = "maelstrom_requests_total";
    family(
        REQUESTS,
        "counter",
        "Requests by class of their status; gone: the client left before an answer.",
        &|text, component, metrics| {
            for (class, count) in CLASSES.iter().zip(&metrics.classes) {
                line(text, REQUESTS, component, Some(("class", class)), count.load(Relaxed));
            }
        },
    );
    const DURATION: &str = "maelstrom_request_duration_seconds";
    family(
        DURATION,
        "histogram",
        "From a request's arrival to the end of its response.",
        &|text, component, metrics| {
            metrics.duration.encode(text, DURATION, component);
        },
    );
    const QUEUED: &str = "maelstrom_request_queued_seconds";
    family(
        QUEUED,
        "histogram",
        "Time in the queue, of requests that had to wait.",
        &|text, component, metrics| {
            metrics.queued.encode(text, QUEUED, component);
        },
    );
    const IN_FLIGHT: &str = "maelstrom_requests_in_flight";
    family(
        IN_FLIGHT,
        "gauge",
        "Requests that are waiting, served or streamed.",
        &|text, component, metrics| {
            line(text, IN_FLIGHT, component, None, metrics.in_flight.load(Relaxed));
        },
    );
    const REPLAYS: &str = "maelstrom_request_replays_total";
    family(
        REPLAYS,
        "counter",
        "Attempts that failed before an answer and were made again.",
        &|text, component, metrics| {
            line(text, REPLAYS, component, None, metrics.replays.load(Relaxed));
        },
    );
    const RELAYED: &str = "maelstrom_relayed_requests_total";
    family(
        RELAYED,
        "counter",
        "Requests that a peer answered for this node (out), or this node for a peer (in).",
        &|text, component, metrics| {
            for (direction, count) in [("out", &metrics.relayed_out), ("in", &metrics.relayed_in)] {
                line(text, RELAYED, component, Some(("direction", direction)), count.load(Relaxed));
            }
        },
    );
    encode_peers(&mut text, peer_failures);
    text
}

fn encode_peers(text: &mut String, failures: &[(NodeId, u64)]) {
    const FAILURES: &str = "maelstrom_peer_failures_total";
    let help = "Relayed requests that a peer failed before it answered.";
    let _ = writeln!(text, "# HELP {FAILURES} {help}\n# TYPE {FAILURES} counter");
    for (node, count) in failures {
        let node = node.as_str().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = writeln!(text, "{FAILURES}{{node=\"{node}\"}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_octave_and_the_last_takes_the_rest() {
        let histogram = Histogram::default();
        for micros in [0, 1, 63, 64, 1_000_000, u64::MAX] {
            histogram.record(Duration::from_micros(micros));
        }
        let mut text = String::new();
        histogram.encode(&mut text, "d", "web");
        assert!(text.contains("d_bucket{component=\"web\",le=\"0.000064\"} 3\n"), "{text}");
        assert!(text.contains("d_bucket{component=\"web\",le=\"0.000256\"} 4\n"), "{text}");
        assert!(text.contains("d_bucket{component=\"web\",le=\"16.777216\"} 5\n"), "{text}");
        assert!(text.contains("d_bucket{component=\"web\",le=\"+Inf\"} 6\n"), "{text}");
        assert!(text.contains("d_count{component=\"web\"} 6\n"), "{text}");
    }
}
