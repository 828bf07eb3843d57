//! How much components are asked for on all nodes together: what peers report, added to what this node
//! sees itself.
//!
//! A report counts until the next one, or until it is [`REPORT_LIFE`] old; one that says that nothing is
//! asked for counts until the next. While a peer's demand is not known, and for as long as a new decider
//! has watched, the sum says that it has not been observed: autoscale takes nothing down then.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    decide::{activity::Window, autoscale::Demand},
    names::{ComponentName, NodeId},
    time::Moment,
    wire::{ComponentDemand, ReportDemandInput},
};

/// Nodes report each second; a few may be lost.
const REPORT_LIFE: Duration = Duration::from_secs(5);

/// How much a component is asked for, on one node or on all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    pub demand: Demand,
    /// Instances that take requests.
    pub in_rotation: u32,
    /// Requests wait where nothing serves it.
    pub starving: bool,
}

/// The last reports of other nodes.
#[derive(Debug)]
pub struct Reports {
    nodes: BTreeMap<NodeId, Report>,
    /// When some node's demand was not known last.
    unknown_at: Moment,
}

#[derive(Debug)]
struct Report {
    incarnation: Arc<str>,
    sequence: i64,
    at: Moment,
    components: BTreeMap<ComponentName, Reading>,
}

// === impl Reports ===

impl Reports {
    /// Begins to watch.
    pub fn new(now: Moment) -> Self {
        Self { nodes: BTreeMap::new(), unknown_at: now }
    }

    /// Keeps a report, unless it is older than the one that is here.
    pub fn take(&mut self, input: &ReportDemandInput, now: Moment) {
        let node = NodeId::new(input.node_id.as_str());
        let outdated = self.nodes.get(&node).is_some_and(|known| {
            let run = input.incarnation.as_str().cmp(&known.incarnation);
            run.is_lt() || (run.is_eq() && input.sequence < known.sequence)
        });
        if outdated {
            return;
        }
        let components = input.components.iter().filter_map(|told| {
            let name = ComponentName::parse(&told.component_name).ok()?;
            Some((name, Reading::of(told)))
        });
        let report = Report {
            incarnation: Arc::from(input.incarnation.as_str()),
            sequence: input.sequence,
            at: now,
            components: components.collect(),
        };
        self.nodes.insert(node, report);
    }

    /// Drops what is outdated. `peers` are all other nodes that have not left.
    pub fn look(&mut self, peers: &[NodeId], now: Moment) {
        let mut known = 0;
        let mut dropped = false;
        self.nodes.retain(|node, report| {
            let fresh = report.components.is_empty() || now.since(report.at) < REPORT_LIFE;
            let here = peers.contains(node);
            known += usize::from(here && fresh);
            dropped |= !(report.components.is_empty() || (here && fresh));
            here && fresh
        });
        if dropped || known < peers.len() {
            self.unknown_at = now;
        }
    }

    /// Starving components of other nodes.
    pub fn is_starving(&self, component: &ComponentName) -> bool {
        self.nodes.values().any(|report| report.components.get(component).is_some_and(|r| r.starving))
    }

    /// `own` and all reports together.
    pub fn total(&self, component: &ComponentName, own: Reading, now: Moment) -> Reading {
        let mut total = own;
        total.demand.observed = total.demand.observed.min(now.since(self.unknown_at));
        for report in self.nodes.values() {
            if let Some(reading) = report.components.get(component) {
                total.add(reading, now.since(report.at));
            }
        }
        total
    }
}

// === impl Reading ===

impl Reading {
    /// Adds what another node told `ago`.
    fn add(&mut self, other: &Self, ago: Duration) {
        let (sum, more) = (&mut self.demand, &other.demand);
        sum.in_flight = sum.in_flight.saturating_add(more.in_flight);
        sum.waiting = sum.waiting.saturating_add(more.waiting);
        if more.waiting > 0 {
            // Whoever has waited longest speaks for all.
            sum.waiting_for = sum.waiting_for.max(more.waiting_for + ago);
        }
        sum.stable = add(sum.stable, more.stable);
        sum.panic = add(sum.panic, more.panic);
        let last = more.last_request.map(|age| age + ago);
        sum.last_request = match (sum.last_request, last) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        sum.observed = sum.observed.min(more.observed + ago);
        self.in_rotation = self.in_rotation.saturating_add(other.in_rotation);
        self.starving |= other.starving;
    }

    /// As it travels.
    pub fn wire(&self, component: &ComponentName) -> ComponentDemand {
        let Demand { in_flight, waiting, waiting_for, stable, panic, last_request, observed } = self.demand;
        ComponentDemand {
            component_name: component.to_string(),
            in_flight: i64::from(in_flight),
            waiting: i64::from(waiting),
            waiting_for_millis: millis(waiting_for),
            stable_average: stable.average,
            stable_peak: i64::from(stable.peak),
            panic_average: panic.average,
            panic_peak: i64::from(panic.peak),
            last_request_millis_ago: last_request.map(millis),
            observed_millis: millis(observed),
            in_rotation: i64::from(self.in_rotation),
            starving: self.starving,
        }
    }

    fn of(told: &ComponentDemand) -> Self {
        let window = |average: f64, peak| Window {
            average: if average.is_finite() { average.max(0.0) } else { 0.0 },
            peak: count(peak),
        };
        Self {
            demand: Demand {
                in_flight: count(told.in_flight),
                waiting: count(told.waiting),
                waiting_for: duration(told.waiting_for_millis),
                stable: window(told.stable_average, told.stable_peak),
                panic: window(told.panic_average, told.panic_peak),
                last_request: told.last_request_millis_ago.map(duration),
                observed: duration(told.observed_millis),
            },
            in_rotation: count(told.in_rotation),
            starving: told.starving,
        }
    }
}

fn add(one: Window, other: Window) -> Window {
    Window { average: one.average + other.average, peak: one.peak.saturating_add(other.peak) }
}

fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ComponentName {
        ComponentName::parse(text).unwrap()
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    fn report(node: &str, sequence: i64, in_flight: u32) -> ReportDemandInput {
        let window = Window { average: f64::from(in_flight), peak: in_flight };
        let demand = Demand {
            in_flight,
            stable: window,
            panic: window,
            last_request: Some(Duration::ZERO),
            observed: Duration::from_secs(600),
            ..Demand::default()
        };
        let reading = Reading { demand, in_rotation: 1, starving: false };
        let components = if in_flight > 0 { vec![reading.wire(&name("web"))] } else { Vec::new() };
        ReportDemandInput { node_id: node.into(), incarnation: "1".into(), sequence, components }
    }

    fn own() -> Reading {
        let demand = Demand { in_flight: 1, observed: Duration::from_secs(900), ..Demand::default() };
        Reading { demand, in_rotation: 1, starving: false }
    }

    #[test]
    fn demand_adds_up_over_nodes_and_ages() {
        let mut reports = Reports::new(at(0));
        let peers = [NodeId::new("b"), NodeId::new("c")];
        reports.take(&report("b", 1, 3), at(100));
        reports.take(&report("c", 1, 4), at(101));
        reports.look(&peers, at(102));
        let total = reports.total(&name("web"), own(), at(102));
        assert_eq!((total.demand.in_flight, total.in_rotation), (8, 3));
        assert_eq!((total.demand.stable.average, total.demand.stable.peak), (7.0, 7));
        assert_eq!(total.demand.last_request, Some(Duration::from_secs(1)));
        assert_eq!(total.demand.observed, Duration::from_secs(102), "as long as this node has watched");
    }

    #[test]
    fn what_is_not_known_is_not_observed() {
        let mut reports = Reports::new(at(0));
        let peers = [NodeId::new("b"), NodeId::new("c")];
        reports.take(&report("b", 1, 3), at(99));
        reports.look(&peers, at(100));
        let observed =
            |reports: &Reports, now| reports.total(&name("web"), own(), at(now)).demand.observed.as_secs();
        assert_eq!(observed(&reports, 100), 0, "c has not told yet");
        reports.take(&report("c", 1, 0), at(100));
        reports.take(&report("b", 2, 3), at(101));
        reports.look(&peers, at(101));
        assert_eq!(observed(&reports, 160), 60);
        // c is quiet and stays so; b has become silent, and what it served is not known.
        reports.look(&peers, at(200));
        let total = reports.total(&name("web"), own(), at(200));
        assert_eq!((total.demand.in_flight, total.demand.observed.as_secs()), (1, 0));
        // It has left.
        reports.look(&peers[1..], at(201));
        assert_eq!(observed(&reports, 202), 2);
    }

    #[test]
    fn a_report_that_comes_late_changes_nothing() {
        let mut reports = Reports::new(at(0));
        reports.take(&report("b", 2, 3), at(1));
        reports.take(&report("b", 1, 9), at(1));
        assert_eq!(reports.total(&name("web"), own(), at(1)).demand.in_flight, 4);
        // Another run of the daemon begins anew.
        reports.take(&ReportDemandInput { incarnation: "2".into(), ..report("b", 1, 5) }, at(1));
        assert_eq!(reports.total(&name("web"), own(), at(1)).demand.in_flight, 6);
    }
}
