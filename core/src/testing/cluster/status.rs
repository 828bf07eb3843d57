//! What a node tells of itself, as the daemon's `node::status` makes it.

use std::sync::Arc;

use super::{
    node::{Daemon, Node},
    units::Unit,
    world::World,
};
use crate::{
    decide::converge::State,
    time::Moment,
    wire::{ComponentActivity, ComponentInfo, FailureInfo, NodeStatus, RoleInfo, TargetInfo},
};

/// What every node tells of its last three minutes: ten cells.
const CELLS: usize = 10;

// === impl World ===

impl World {
    /// The node's status as of now. Empty of all but its id while it is down.
    pub(super) fn status(&self, node: usize) -> NodeStatus {
        let state = &self.nodes[node];
        let now = self.moment(node);
        match &state.daemon {
            Some(daemon) => {
                status(state, daemon, now, state.clock.wall(self.now).as_millis(), self.story.weigh)
            }
            None => NodeStatus { node_id: state.id.to_string(), ..NodeStatus::default() },
        }
    }

    pub(super) fn shared_status(&self, node: usize) -> Arc<NodeStatus> {
        Arc::new(self.status(node))
    }

    /// What peers have to know has changed.
    pub(super) fn changed(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        daemon.version += 1;
        self.announce_soon(node);
        self.pass_soon(node, super::control::GAP);
    }
}

fn status(node: &Node, daemon: &Daemon, now: Moment, wall: i64, whole: bool) -> NodeStatus {
    let mut status = NodeStatus {
        node_id: node.id.to_string(),
        started_at: daemon.started_at,
        observed_at: wall,
        version: daemon.version,
        total_memory_mib: signed(node.memory_mib),
        num_cpus: 2,
        load_avg_1m: 0.5,
        draining: daemon.draining.then_some(true),
        closing: daemon.closed_to_peers.then_some(true),
        adopting: (!daemon.begun).then_some(true),
        incarnation: Some(daemon.incarnation.to_string()),
        roles: daemon
            .lease
            .roles()
            .filter_map(|role| Some((role, daemon.owns(role, now)?)))
            .map(|(role, term)| RoleInfo { role: role.to_string(), term: signed(term.0) })
            .collect(),
        ..NodeStatus::default()
    };
    if whole {
        status.peer_url = format!("http://10.0.{}.{}:8374", node.runs % 250, status.node_id.len());
    }
    let (mut held, mut other) = (0, 0);
    for (name, unit) in &daemon.units {
        let reserve = unit.reserve_mib();
        let active =
            unit.count(State::Starting(crate::decide::converge::Purpose::Serve)) + unit.count(State::Serving);
        let ending = unit.instances.len() as u64 - u64::from(active);
        other += reserve * (ending + u64::from(active.saturating_sub(unit.target)));
        held += reserve * unit.instances.len() as u64;
        if unit.target > 0 {
            let target_count = i64::from(unit.target);
            let told = TargetInfo { component_name: name.to_string(), target_count, standby: 0 };
            status.targets.push(told);
        }
        if let Some(until) = unit.refused_until.filter(|until| *until > now) {
            status.failures.push(FailureInfo {
                component_name: name.to_string(),
                status: 502,
                reason: "it could not be started".to_owned(),
                retry_after_millis: i64::try_from(until.since(now).as_millis()).unwrap_or(i64::MAX),
            });
        }
        infos(daemon, unit, whole, &mut status.running_components);
        let left = daemon.leftovers.values().filter(|component| component.name == *name);
        for component in left {
            (held, other) = (held + reserve, other + reserve);
            status.running_components.push(ComponentInfo {
                component_name: name.to_string(),
                component_version: component.version,
                status: "stopping".to_owned(),
                memory_reserved_mib: signed(reserve),
                ..ComponentInfo::default()
            });
        }
    }
    status.free_memory_mib = signed(node.memory_mib.saturating_sub(held));
    status.other_memory_mib = Some(signed(other));
    status
}

fn infos(daemon: &Daemon, unit: &Unit, whole: bool, infos: &mut Vec<ComponentInfo>) {
    let pool = daemon.pools.get(&unit.name);
    for instance in &unit.instances {
        let state = match instance.state {
            State::Starting(_) => "starting",
            State::Serving | State::Standby => "active",
            State::Failed | State::Stopping => "stopping",
        };
        let held = instance.state == State::Serving && pool.is_none_or(|pool| !pool.serves_here(instance));
        let mut info = ComponentInfo {
            component_name: unit.name.to_string(),
            component_version: instance.component.version,
            status: state.to_owned(),
            memory_reserved_mib: signed(instance.component.docker.reserve_memory_mib),
            suspect: held.then_some(true),
            ..ComponentInfo::default()
        };
        if whole {
            // As long as in life, for its weight.
            info.start_time = 1_767_225_600_000;
            info.last_request_time = 1_767_225_600_000;
            info.total_requests = 123_456;
            info.max_concurrency = 4;
            info.activity = vec![ComponentActivity { requests: 57, concurrency: 0.873_462_519 }; CELLS];
            info.instance_id = Some("f".repeat(64));
            info.address = Some("172.17.0.12:8080".to_owned());
            info.in_flight = Some(1);
        }
        infos.push(info);
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
