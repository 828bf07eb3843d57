//! From what was gathered to a view: the wire's words into the dashboard's.

use std::collections::HashMap;

use maelstrom_core::{
    component::{Component, ConcurrencyLimit},
    decide::traffic::{self, once, quantile},
    event_source::EventSourceKind,
    names::NodeId,
    time::WallTime,
    wire::{
        ComponentInfo, ComponentTraffic, LiveComponent, LiveInstance, LiveLoad, LiveNode, LiveRole,
        LiveSource, NodeStatus, ObserveInput, Traffic,
    },
};

use super::{Gathered, Live, recall::Recall};
use crate::{
    api::live::view::{View, put},
    cluster::{Snapshot, Source},
};

/// The due times shown of a cron rule.
const NEXT: usize = 3;
/// What one entry of an instance's activity spans.
const ACTIVITY_SECONDS: f64 = 20.0;

impl Live {
    pub(super) fn build(&self, gathered: &mut Gathered, before: Option<&View>) -> View {
        let own = self.observer.observe(&ObserveInput { events_since: Some(self.since(gathered)) });
        gathered.hear(own.events);
        let mut view = View {
            time: self.clock.wall().as_millis(),
            node: self.id.to_string(),
            missing: gathered.missing.clone(),
            events: before.map(|before| before.events.clone()).unwrap_or_default(),
            ..View::default()
        };
        let fresh: Vec<_> = gathered.fresh.drain(..).collect();
        view.add_events(&fresh);
        add_node(&mut view, before, &own.status, &gathered.recall);
        for pushed in self.observer.peers.statuses() {
            let told = gathered.peers.get(&NodeId::new(pushed.node_id.as_str())).map(|answer| &answer.status);
            add_node(&mut view, before, newer(told, &pushed), &gathered.recall);
        }
        let peers = gathered.peers.values().flat_map(|answer| &answer.traffic);
        add_loads(&mut view, before, own.traffic.iter().chain(peers));
        let snapshot = self.observer.configuration.current();
        add_configuration(&mut view, before, &snapshot, &gathered.recall);
        view
    }
}

/// What a node was asked for has newer numbers of load; what it pushed may be a newer state. One that can't
/// be reached is told as that.
fn newer<'a>(told: Option<&'a NodeStatus>, pushed: &'a NodeStatus) -> &'a NodeStatus {
    let fits = |told: &&NodeStatus| {
        pushed.unreachable_since.is_none()
            && told.incarnation == pushed.incarnation
            && told.version >= pushed.version
    };
    told.filter(fits).unwrap_or(pushed)
}

fn add_node(view: &mut View, before: Option<&View>, status: &NodeStatus, recall: &Recall) {
    let roles = status.roles.iter().map(|role| LiveRole {
        role: role.role.clone(),
        term: role.term,
        since: recall.since(&status.node_id, &role.role, role.term),
    });
    // They count down: as they are they would be told anew each time.
    let failures = status.failures.iter().cloned().map(|mut failure| {
        failure.retry_after_millis = 0;
        failure
    });
    let node = LiveNode {
        node_id: status.node_id.clone(),
        peer_url: status.peer_url.clone(),
        started_at: status.started_at,
        total_memory_mib: status.total_memory_mib,
        free_memory_mib: status.free_memory_mib,
        num_cpus: status.num_cpus,
        load: [status.load_avg_1m, status.load_avg_5m, status.load_avg_15m].map(hundredths),
        draining: status.draining,
        drain: status.drain.clone(),
        unreachable_since: status.unreachable_since,
        roles: roles.collect(),
        targets: status.targets.clone(),
        failures: failures.collect(),
    };
    put(&mut view.nodes, before.map(|view| &view.nodes), status.node_id.clone(), &node);
    for info in &status.running_components {
        let id = info
            .instance_id
            .clone()
            .unwrap_or_else(|| format!("{}@{}", info.component_name, info.start_time));
        let key = format!("{}/{id}", status.node_id);
        let instance = instance(&status.node_id, info);
        put(&mut view.instances, before.map(|view| &view.instances), key, &instance);
    }
}

fn instance(node: &str, info: &ComponentInfo) -> LiveInstance {
    let activity = info.activity.first().copied().unwrap_or_default();
    // A number of requests in 20 s is far from where f64 becomes inexact.
    #[expect(clippy::cast_precision_loss)]
    let requests_per_second = activity.requests as f64 / ACTIVITY_SECONDS;
    LiveInstance {
        node_id: node.to_owned(),
        instance_id: info.instance_id.clone(),
        component_name: info.component_name.clone(),
        component_version: info.component_version,
        status: info.status.clone(),
        standby: info.standby,
        suspect: info.suspect,
        max_concurrency: info.max_concurrency,
        memory_reserved_mib: info.memory_reserved_mib,
        start_time: info.start_time,
        in_flight: info.in_flight.unwrap_or_default(),
        requests_per_second: tenths(requests_per_second),
        last_request_time: info.last_request_time,
        address: info.address.clone(),
    }
}

#[derive(Default)]
struct Sum<'a> {
    traffic: Traffic,
    window_millis: i64,
    parts: Vec<&'a ComponentTraffic>,
}

fn add_loads<'a>(view: &mut View, before: Option<&View>, parts: impl Iterator<Item = &'a ComponentTraffic>) {
    let mut sums: HashMap<&str, Sum<'a>> = HashMap::new();
    for part in parts {
        let sum = sums.entry(part.component_name.as_str()).or_default();
        traffic::add(&mut sum.traffic, &part.traffic);
        sum.window_millis = sum.window_millis.max(part.window_millis);
        sum.parts.push(part);
    }
    for (name, sum) in sums {
        put(&mut view.loads, before.map(|view| &view.loads), name.to_owned(), &load(&sum));
    }
}

fn load(sum: &Sum<'_>) -> LiveLoad {
    let seconds = std::time::Duration::from_millis(sum.window_millis.max(1).unsigned_abs()).as_secs_f64();
    let traffic = &sum.traffic;
    let total = |of: fn(&ComponentTraffic) -> i64| -> i64 { sum.parts.iter().map(|part| of(part)).sum() };
    LiveLoad {
        in_flight: total(|part| part.in_flight),
        waiting: total(|part| part.waiting),
        waiting_for_millis: sum.parts.iter().map(|part| part.waiting_for_millis).max().unwrap_or_default(),
        requests_per_second: hundredths(once(traffic, traffic.requests) / seconds),
        errors_per_second: hundredths(once(traffic, traffic.errors) / seconds),
        gone_per_second: hundredths(once(traffic, traffic.gone) / seconds),
        p50: quantile(traffic, 0.5),
        p99: quantile(traffic, 0.99),
    }
}

/// What people don't see is not sent.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn add_configuration(view: &mut View, before: Option<&View>, snapshot: &Snapshot, recall: &Recall) {
    for component in snapshot.components.values() {
        let known = before.map(|view| &view.components);
        put(&mut view.components, known, component.name.to_string(), &settings(component));
    }
    let now = WallTime::from_millis(view.time);
    let parsed: HashMap<&str, &Source> =
        snapshot.event_sources.iter().map(|source| (source.source.name.as_str(), source.as_ref())).collect();
    for stored in &snapshot.wire.event_sources {
        let name = &stored.event_source.name;
        let next = parsed.get(name.as_str()).map(|source| next(source, recall, now)).unwrap_or_default();
        let mut source = stored.event_source.clone();
        // Everybody who may look gets the same stream.
        source.veil();
        let source = LiveSource { source, enabled: stored.enabled, next, last: recall.result(name).cloned() };
        put(&mut view.sources, before.map(|view| &view.sources), name.clone(), &source);
    }
}

fn settings(component: &Component) -> LiveComponent {
    let Component { name, project, version, modified_at, scaling, docker, .. } = component;
    LiveComponent {
        name: name.to_string(),
        project_name: project.as_ref().map(ToString::to_string),
        version: *version,
        modified_at: *modified_at,
        image: docker.image.to_string(),
        min_instances: i64::from(scaling.min_instances),
        max_instances: scaling.max_instances.map(|most| i64::from(most.get())),
        max_concurrency: i64::from(scaling.max_concurrency.get()),
        scale_up_pct: scaling.scale_up * 100.0,
        scale_down_pct: scaling.scale_down * 100.0,
        soft_limit: scaling.concurrency_limit == ConcurrencyLimit::Soft,
        reserve_memory_mib: i64::try_from(docker.reserve_memory_mib).unwrap_or(i64::MAX),
        idle_timeout_seconds: i64::try_from(scaling.idle_timeout.as_secs()).unwrap_or(i64::MAX),
    }
}

/// A cron rule's next due times.
fn next(source: &Source, recall: &Recall, now: WallTime) -> Vec<i64> {
    let EventSourceKind::Cron(cron) = &source.source.kind else { return Vec::new() };
    // `@every` counts from the last time it was due.
    let anchor = recall.due(source.source.name.as_str()).unwrap_or(source.source.modified_at);
    let anchor = WallTime::from_millis(anchor);
    let due = |after: &WallTime| cron.schedule.next(*after, anchor);
    std::iter::successors(due(&now), due).take(NEXT).map(WallTime::as_millis).collect()
}
