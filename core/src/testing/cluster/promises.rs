//! What the product promises (concepts), checked while the story goes on.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Planted,
    messages::Targets,
    node::Node,
    router::{At, Outcome, Request},
    world::{SECOND, World, micros},
};
use crate::{
    component::{Component, RestartOrder},
    decide::{
        converge::{State, StopReason},
        drain::Step,
        lease::Term,
    },
    names::{ComponentName, NodeId, Role},
    time::WallTime,
};

/// What has been well for so long is known to all who can reach it: a silent peer is asked every two
/// seconds, for a second.
const SETTLED: u64 = 6 * SECOND;
/// Whoever seems dead for so long may have been replaced.
const SEEMS_DEAD: u64 = 20 * SECOND;
/// Two who run the same are one too many for so long at most, when one comes back.
const TRIMMED: u64 = 60 * SECOND;

#[derive(Default)]
pub(super) struct Promises {
    /// The highest term that anybody acted in, and who, in which run.
    owners: BTreeMap<Role, (Term, usize, u64)>,
    fires: BTreeSet<(usize, WallTime)>,
    /// Containers in rotation, and since when.
    serving: BTreeMap<(usize, u64), u64>,
    /// What each node believed last of each other: run and version.
    believed: BTreeMap<(usize, NodeId), (String, i64)>,
    pub(super) served: u64,
    pub(super) excused: u64,
}

// === impl Promises ===

impl Promises {
    pub(super) fn serves(&mut self, node: usize, container: u64, now: u64) {
        self.serving.entry((node, container)).or_insert(now);
    }

    pub(super) fn serves_no_more(&mut self, node: usize, container: u64) {
        self.serving.remove(&(node, container));
    }

    pub(super) fn fires(&self) -> usize {
        self.fires.len()
    }
}

// === impl World: roles, terms, orders ===

impl World {
    /// Two nodes never act in a role at a time, and terms only rise.
    pub(super) fn check_owner(&mut self, node: usize, role: &Role) {
        let Some(term) = self.acts(&self.nodes[node], role) else { return };
        let others = self.nodes.iter().enumerate().filter(|(index, _)| *index != node);
        let other = others.filter_map(|(_, other)| Some((other.id.clone(), self.acts(other, role)?))).next();
        if let Some((other, its)) = other {
            let id = &self.nodes[node].id;
            return self.break_promise(format!(
                "{id} (term {}) and {other} (term {}) act in role {role} at a time",
                term.0, its.0
            ));
        }
        let run = self.nodes[node].runs;
        let newest = self.promises.owners.entry(role.clone()).or_insert((term, node, run));
        let known = *newest;
        if term < known.0 || term == known.0 && (node, run) != (known.1, known.2) {
            return self.break_promise(format!("role {role}: term {} comes after {known:?}", term.0));
        }
        *newest = (term, node, run);
    }

    /// Whoever orders acts in the role.
    pub(super) fn check_ordering(&mut self, node: usize) {
        let role = Role::new(super::control::ROLE);
        if self.acts(&self.nodes[node], &role).is_none() {
            let id = self.nodes[node].id.clone();
            self.break_promise(format!("{id} gives orders and does not own the role"));
        }
        self.check_owner(node, &role);
        // An owner's right ends a lease after its last heartbeat was written.
        let away = self.store_away_for();
        if away > micros(super::node::LEASE) + SECOND {
            let id = self.nodes[node].id.clone();
            self.break_promise(format!("{id} gives orders though the store has been away for {away} µs"));
        }
    }

    /// A node accepts new targets.
    pub(super) fn check_order(&mut self, node: usize, targets: &Targets, highest: Term) {
        let id = self.nodes[node].id.clone();
        if targets.term < highest {
            self.break_promise(format!(
                "{id} takes an order of term {}, and has heard of term {}",
                targets.term.0, highest.0
            ));
        }
        let Some(daemon) = &self.nodes[node].daemon else { return };
        if targets.incarnation != daemon.incarnation {
            self.break_promise(format!("{id} takes an order that was given to an earlier run of its daemon"));
            return;
        }
        let target = |name: &ComponentName| {
            let told = targets.counts.iter().find(|(told, _)| told == name).map(|(_, count)| *count);
            told.unwrap_or_else(|| daemon.units.get(name).map_or(0, |unit| unit.target))
        };
        let more = targets.counts.iter().any(|(name, count)| {
            daemon.units.get(name).is_some_and(|unit| unit.component.is_some() && *count > unit.target)
        });
        let reserved: u64 =
            daemon.units.iter().map(|(name, unit)| u64::from(target(name)) * unit.reserve_mib()).sum();
        let total = self.nodes[node].memory_mib;
        if more && reserved > total {
            self.break_promise(format!("{id} is to run {reserved} MiB and has {total}"));
        }
    }

    /// Nothing is torn down because the store is away.
    pub(super) fn check_stop(&mut self, node: usize, name: &ComponentName, serial: u64, reason: StopReason) {
        let away = self.store_away_for();
        let Some(daemon) = &self.nodes[node].daemon else { return };
        let serving = daemon.units.get(name).is_some_and(|unit| {
            unit.instances.iter().any(|one| one.serial == serial && one.state == State::Serving)
        });
        let gone = !self.parsed.components.contains_key(name);
        if serving && !daemon.closing && gone && away == 0 {
            return;
        }
        let removed = daemon.units.get(name).is_some_and(|unit| unit.component.is_none());
        if serving && !daemon.closing && removed && !gone {
            let id = self.nodes[node].id.clone();
            self.break_promise(format!("{id} tears {name} down ({reason}), which nobody removed"));
        }
    }

    /// For how long nobody has reached the store.
    fn store_away_for(&self) -> u64 {
        match self.store_away_since {
            Some(since) if self.net.store_away_until > self.now => self.now - since,
            _ => 0,
        }
    }

    pub(super) fn fired(&mut self, node: usize, rule: usize, due: WallTime) {
        if !self.promises.fires.insert((rule, due)) {
            let id = self.nodes[node].id.clone();
            self.break_promise(format!("{id} fires rule {rule} again for {due:?}"));
        }
    }

    /// What a node knows of another never goes back to an earlier run, or to an earlier version of a run.
    pub(super) fn status_moved(&mut self, node: usize, peer: &NodeId) {
        let Some(daemon) = &self.nodes[node].daemon else { return };
        let Some(view) = daemon.membership.get(peer) else { return };
        let Some(run) = view.status.incarnation.clone() else { return };
        let version = match self.story.planted {
            Some(Planted::NoVersions) => view.status.started_at,
            _ => view.status.version,
        };
        let key = (node, peer.clone());
        if let Some((old_run, old_version)) = self.promises.believed.get(&key) {
            let (earlier, later) = (number_of(&run), number_of(old_run));
            // Names of runs may be put back with their host's clock; then the number says more.
            let back = earlier < later && run < *old_run || run == *old_run && version < *old_version;
            if back {
                let id = self.nodes[node].id.clone();
                let (old_run, old_version) = (old_run.clone(), *old_version);
                return self.break_promise(format!(
                    "{id} believes {run} version {version} of {peer} after {old_run} version {old_version}"
                ));
            }
        }
        self.promises.believed.insert(key, (run, version));
    }

    /// A new run knows nothing.
    pub(super) fn forget_beliefs(&mut self, node: usize) {
        self.promises.believed.retain(|(who, _), _| *who != node);
    }
}

fn number_of(run: &str) -> u64 {
    run.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

// === impl World: limits ===

impl World {
    /// Notes who may be taken for dead.
    pub(super) fn note_cuts(&mut self) {
        let now = self.now;
        let away = self.net.store_away_until > now;
        self.store_away_since = if away { self.store_away_since.or(Some(now)) } else { None };
        for index in 0..self.nodes.len() {
            let cut = !self.net.reaches_store(index, now);
            let node = &mut self.nodes[index];
            let cut = cut || !node.is_up() || node.is_frozen(now) || node.door.is_some();
            match (node.cut_since, cut) {
                (None, true) => node.cut_since = Some(now),
                (Some(since), false) => {
                    if now - since >= SEEMS_DEAD {
                        node.cut_until = now;
                    }
                    node.cut_since = None;
                }
                _ => {}
            }
        }
    }

    /// Others may have replaced what runs there.
    fn may_be_replaced(&self, node: &Node) -> bool {
        let seems = node.cut_since.is_some_and(|since| self.now - since >= SEEMS_DEAD);
        seems || node.cut_until > 0 && self.now < node.cut_until + TRIMMED
    }

    /// A container was made on the node.
    pub(super) fn check_limits(&mut self, node: usize) {
        let names: BTreeSet<ComponentName> =
            self.nodes[node].containers.values().map(|one| one.component.name.clone()).collect();
        let mut held = 0;
        for name in names {
            let Some(component) = self.parsed.components.get(&name).cloned() else { continue };
            let here = there(&self.nodes[node], &component);
            held += here * component.docker.reserve_memory_mib;
            if let Some(most) = component.scaling.max_instances_per_node
                && here > u64::from(most.get())
            {
                let id = self.nodes[node].id.clone();
                self.break_promise(format!("{here} instances of {name} on {id}, {most} are allowed"));
            }
            let Some(most) = component.scaling.max_instances else { continue };
            let counted = self.nodes.iter().filter(|one| !self.may_be_replaced(one));
            let all: u64 = counted.map(|one| there(one, &component)).sum();
            if all > u64::from(most.get()) {
                self.break_promise(format!("{all} instances of {name} in the cluster, {most} are allowed"));
            }
        }
        let (id, total) = (self.nodes[node].id.clone(), self.nodes[node].memory_mib);
        if held > total {
            self.break_promise(format!("instances on {id} reserve {held} MiB, it has {total}"));
        }
    }
}

impl World {
    /// An instance got one more request.
    pub(super) fn check_concurrency(&mut self, node: usize, container: u64) {
        let Some(one) = self.nodes[node].containers.get(&container) else { return };
        // Nobody waits for what a daemon that was killed had sent there.
        let waits = |request: &&u64| self.requests.get(*request).is_some_and(|one| !one.closed);
        let at_once = one.serving.iter().filter(waits).count();
        let (most, name) = (one.component.scaling.max_concurrency.get(), &one.component.name);
        if at_once > most as usize {
            let id = &self.nodes[node].id;
            self.break_promise(format!(
                "an instance of {name} on {id} works on {at_once} requests at a time, {most} are allowed"
            ));
        }
    }
}

/// Instances as limits count them: what ends, or is being replaced, may overlap with its successor on the
/// same node.
fn there(node: &Node, component: &Component) -> u64 {
    let mine = || node.containers.values().filter(|one| one.component.name == component.name && one.running);
    let live = mine().count() as u64;
    let Some(daemon) = &node.daemon else { return live };
    let unit = daemon.units.get(&component.name);
    let ending = |container: u64| {
        let owner = unit.and_then(|unit| unit.instances.iter().find(|one| one.container == Some(container)));
        owner.is_none_or(|one| one.state == State::Stopping || one.component.version != component.version)
    };
    let overlaps = component.restart_order == RestartOrder::StartStop
        && node.containers.iter().any(|(id, one)| {
            one.running && one.component.name == component.name && (one.stopping || ending(*id))
        });
    live - u64::from(overlaps && live > 0)
}

// === impl World: requests ===

impl World {
    /// A request has ended.
    pub(super) fn judge(&mut self, id: u64, outcome: Outcome) {
        let Some(request) = self.requests.get(&id) else { return };
        if outcome == Outcome::Served {
            self.promises.served += 1;
            return;
        }
        let excused = match outcome {
            // Whoever ends it so has a reason: `check_nothing_lost` looks for the others.
            Outcome::Served | Outcome::Lost => true,
            Outcome::Failed => request.crashed || self.was_disturbed(request),
            Outcome::Refused | Outcome::TimedOut => self.could_have_been_served(request).is_none(),
        };
        if excused {
            self.promises.excused += 1;
            return;
        }
        let by = self.could_have_been_served(request);
        let told = format!(
            "request {id} for {} at {} ended: {outcome:?}, at {:?} after {} attempts; an instance that could have served it: {by:?}",
            request.component, self.nodes[request.entry].id, request.at, request.attempt
        );
        self.break_promise(told);
    }

    pub(super) fn judge_timeout(&mut self, id: u64) {
        let Some(request) = self.requests.get(&id) else { return };
        let under_way = match &request.at {
            At::Here { .. } => true,
            At::There { .. } => {
                self.was_disturbed(request) || request.remotes.iter().any(|one| one.is_served())
            }
            At::Line | At::Nowhere => false,
        };
        if under_way || self.was_disturbed(request) {
            self.promises.excused += 1;
        } else {
            self.judge(id, Outcome::TimedOut);
        }
    }

    /// Something was wrong with a node that it met, or between them.
    fn was_disturbed(&self, request: &Request) -> bool {
        let since = request.arrived.saturating_sub(SETTLED);
        let entry = request.entry;
        let node = |index: usize| {
            let one = &self.nodes[index];
            one.disturbed > since || !one.is_up() || one.is_frozen(self.now)
        };
        node(entry) || request.met.iter().any(|met| node(*met) || self.net.touched(entry, *met) > since)
    }

    /// An instance that has been well and known for long enough, and has room.
    fn could_have_been_served(&self, request: &Request) -> Option<(NodeId, u64)> {
        let long = self.now.checked_sub(SETTLED)?;
        let entry = &self.nodes[request.entry];
        let well = |node: &Node| {
            node.is_up()
                && !node.is_frozen(self.now)
                && node.disturbed < long
                && node.daemon.as_ref().is_some_and(|daemon| {
                    // One that drains serves its peers until it closes.
                    daemon.leaving.is_none_or(|leaving| !leaving.keep && leaving.step < Some(Step::Close))
                })
        };
        if !entry.is_up() || entry.is_frozen(self.now) || entry.disturbed >= long {
            return None;
        }
        self.promises.serving.iter().find_map(|((node, container), since)| {
            let other = &self.nodes[*node];
            let one = other.containers.get(container)?;
            let room = one.component.scaling.max_concurrency.get() as usize;
            let reachable = *node == request.entry || self.net.touched(request.entry, *node) < long;
            let fits = one.component.name == request.component && one.running && one.serving.len() < room;
            (fits && *since < long && reachable && (*node == request.entry || well(other)))
                .then(|| (other.id.clone(), *container))
        })
    }

    /// A node that leaves in order has served all that it took.
    pub(super) fn check_nothing_lost(&mut self, node: usize) {
        let run = self.nodes[node].daemon.as_ref().map_or(0, |daemon| daemon.run);
        let open =
            self.requests.iter().find(|(_, one)| !one.closed && (one.entry == node && one.entry_run == run));
        if let Some((id, request)) = open {
            let told = format!("{} has left with request {id} at {:?}", self.nodes[node].id, request.at);
            self.break_promise(told);
        }
    }
}
