//! What a node tells of itself, always from live data: to peers and people as a status, to placement as a
//! view, to `explain` as one component's story.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        converge::{State, Step, plan},
        placement::NodeView,
        pool::Standing,
    },
    names::ComponentName,
    time::WallTime,
    wire::{ComponentInfo, FailureInfo, NodeStatus, RoleInfo, TargetInfo},
};

use super::{context::Context, host, instance::Instance, standby, unit::Unit};
use crate::router::{InstanceReading, PoolReading};

/// One component's story on this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeExplain {
    pub target: u32,
    pub reasons: Vec<String>,
    pub last_failure: Option<String>,
    pub next_try_at: Option<WallTime>,
    pub instances: Vec<ComponentInfo>,
    /// The steps that lie ahead.
    pub plan: Vec<String>,
}

pub(super) fn status(context: &Context) -> NodeStatus {
    let [one, five, fifteen] = host::load();
    let total = context.settings.total_memory_mib;
    let held = |unit: &Arc<Unit>| unit.held_mib() + leftover_mib(context, unit);
    let held: u64 = context.units().iter().map(held).sum();
    let view = view(context);
    NodeStatus {
        node_id: context.id.to_string(),
        started_at: context.started_at.as_millis(),
        observed_at: context.clock.wall().as_millis(),
        version: view.version,
        peer_url: context.settings.peer_url.clone(),
        total_memory_mib: signed(total),
        free_memory_mib: signed(total.saturating_sub(held)),
        num_cpus: signed(host::cpus() as u64),
        load_avg_1m: one,
        load_avg_5m: five,
        load_avg_15m: fifteen,
        running_components: context.units().iter().flat_map(|unit| infos(context, unit)).collect(),
        draining: context.is_draining().then_some(true),
        instance_id: context.machine(),
        drain: context.drain(),
        adopting: (!context.has_begun()).then_some(true),
        closing: context.is_closed_to_peers().then_some(true),
        other_memory_mib: Some(signed(view.other_memory_mib)),
        targets: targets(&view),
        incarnation: Some(context.settings.incarnation.clone()),
        failures: failures(context),
        roles: roles(context),
        unreachable_since: None,
    }
}

fn failures(context: &Context) -> Vec<FailureInfo> {
    let now = context.clock.now();
    let units = context.units();
    let refused = units.iter().filter_map(|unit| Some((unit, unit.refusal(now)?)));
    refused
        .map(|(unit, failure)| FailureInfo {
            component_name: unit.name.to_string(),
            status: i64::from(failure.status),
            reason: failure.reason,
            retry_after_millis: i64::try_from(failure.until.since(now).as_millis()).unwrap_or(i64::MAX),
        })
        .collect()
}

fn roles(context: &Context) -> Vec<RoleInfo> {
    let roles = (context.roles)().into_iter();
    roles.map(|(role, term)| RoleInfo { role: role.to_string(), term: signed(term.0) }).collect()
}

fn targets(view: &NodeView) -> Vec<TargetInfo> {
    let of = |counts: &BTreeMap<ComponentName, u32>, name| counts.get(name).copied().map_or(0, i64::from);
    let told = view.targets.keys().map(|name| TargetInfo {
        component_name: name.to_string(),
        target_count: of(&view.targets, name),
        standby: of(&view.standby, name),
    });
    told.filter(|target| target.target_count > 0 || target.standby > 0).collect()
}

pub(super) fn view(context: &Context) -> NodeView {
    // Read first: what changes from here on makes a decision on this view outdated.
    let version = *context.version().borrow();
    let mut view = NodeView {
        id: context.id.clone(),
        version,
        total_memory_mib: context.settings.total_memory_mib,
        other_memory_mib: 0,
        targets: BTreeMap::new(),
        standby: BTreeMap::new(),
        draining: context.is_draining(),
        load: host::load()[0] / host::cpus() as f64,
    };
    for unit in context.units() {
        let share = Share::of(&unit);
        view.other_memory_mib += share.other_mib + leftover_mib(context, &unit);
        view.targets.insert(unit.name.clone(), share.target);
        view.standby.insert(unit.name.clone(), share.standby);
    }
    view
}

/// What one component takes of the node, as placement counts it.
struct Share {
    target: u32,
    /// Standby instances that the target will not resume.
    standby: u32,
    /// Held by instances that are neither: outdated, stopping, surplus.
    other_mib: u64,
}

impl Share {
    fn of(unit: &Unit) -> Self {
        let target = unit.target();
        let instances = unit.instances();
        let active = count(instances.iter().filter(|instance| instance.is_for_traffic()));
        let standby = count(instances.iter().filter(|instance| instance.is_standby()));
        let standby = standby.saturating_sub(target.saturating_sub(active));
        let others = instances.iter().filter(|i| !i.is_for_traffic() && !i.is_standby());
        let surplus = u64::from(active.saturating_sub(target));
        let reserve = unit.component().map_or_else(
            || instances.first().map_or(0, |instance| instance.component.docker.reserve_memory_mib),
            |component| component.docker.reserve_memory_mib,
        );
        let ending: u64 = others.map(|instance| instance.component.docker.reserve_memory_mib).sum();
        Self { target, standby, other_mib: ending + surplus * reserve }
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

pub(super) fn explain(context: &Context, unit: &Unit) -> NodeExplain {
    let now = context.clock.now();
    unit.settle_backoff(now);
    let failure = unit.failure(now);
    let wall = context.clock.wall();
    let next_try_at = failure.as_ref().and_then(|(_, _, wait)| *wait).map(|wait: Duration| wall + wait);
    let desired = unit.desired(standby::share(context, unit), context.is_closing());
    let mut observed = unit.observed(|_| 0);
    observed.extend(context.leftovers.observed(&unit.name));
    let steps = plan(&desired, &observed, now);
    NodeExplain {
        target: unit.target(),
        reasons: unit.reasons(),
        last_failure: failure.map(|(failure, _, _)| failure.reason),
        next_try_at,
        instances: infos(context, unit),
        plan: steps.iter().map(Step::to_string).collect(),
    }
}

fn infos(context: &Context, unit: &Unit) -> Vec<ComponentInfo> {
    let pool = context.router.component(unit.name.as_str());
    let reading = pool.map(|pool| pool.reading(context.clock.now()));
    let mut infos: Vec<ComponentInfo> =
        unit.instances().iter().map(|instance| info(instance, reading.as_ref())).collect();
    infos.extend(context.leftovers.infos(&unit.name, unit.component().as_deref()));
    infos
}

/// About: what they reserved themselves is not known any more.
fn leftover_mib(context: &Context, unit: &Unit) -> u64 {
    let reserve = unit.component().map_or(0, |component| component.docker.reserve_memory_mib);
    u64::from(context.leftovers.count(&unit.name)) * reserve
}

fn info(instance: &Arc<Instance>, pool: Option<&PoolReading>) -> ComponentInfo {
    let id = instance.id();
    let reading: Option<&InstanceReading> =
        pool.and_then(|pool| pool.instances.iter().find(|reading| Some(&reading.id) == id.as_ref()));
    let component = &instance.component;
    let standby = instance.is_standby();
    let in_rotation = reading.is_some_and(|reading| reading.standing == Standing::InRotation);
    let suspect = instance.state() == State::Serving && !in_rotation;
    ComponentInfo {
        component_name: component.name.to_string(),
        component_version: component.version,
        status: status_name(instance.state()).to_owned(),
        max_concurrency: i64::from(component.scaling.max_concurrency.get()),
        memory_reserved_mib: signed(component.docker.reserve_memory_mib),
        start_time: instance.started_at.as_millis(),
        last_request_time: reading.and_then(|r| r.last_request).map_or(0, WallTime::as_millis),
        total_requests: reading.map_or(0, |r| signed(r.total_requests)),
        activity: reading.map(|r| r.activity.clone()).unwrap_or_default(),
        node_id: None,
        instance_id: id.map(|id| id.to_string()),
        address: instance.address().map(|address| address.to_string()),
        standby: standby.then_some(true),
        suspect: suspect.then_some(true),
        in_flight: Some(reading.map_or(0, |r| i64::from(r.in_flight))),
    }
}

/// The three states of the management API.
fn status_name(state: State) -> &'static str {
    match state {
        State::Starting(_) => "starting",
        State::Serving | State::Standby => "active",
        State::Failed | State::Stopping => "stopping",
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
