//! The working state of one placement: what each node would run, and what it has left.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{Change, NodeView, Notes, Obstacle, Unplaceable, Wanted};
use crate::names::{ComponentName, NodeId};

/// Counts are by index: of the node, then of the wanted component.
pub(super) struct Fit<'a> {
    nodes: Vec<Room<'a>>,
    wanted: &'a [&'a Wanted],
    /// Instances of each component on nodes that don't drain.
    totals: Vec<u32>,
}

struct Room<'a> {
    view: &'a NodeView,
    notes: Option<&'a Notes>,
    counts: Vec<u32>,
    /// Counts and standby instances in the beginning.
    targets: Vec<u32>,
    standby: Vec<u32>,
    used_mib: u64,
    reasons: Vec<Vec<String>>,
}

/// An instance's way onto a node: what it displaces there, by component.
struct Way {
    node: usize,
    displaced: Vec<usize>,
}

// === impl Fit: the beginning ===

impl<'a> Fit<'a> {
    pub(super) fn new(
        nodes: &'a [NodeView],
        notes: &'a BTreeMap<NodeId, Notes>,
        wanted: &'a [&'a Wanted],
    ) -> Self {
        let room = |view: &'a NodeView| Room::new(view, notes.get(&view.id), wanted);
        let mut rooms: Vec<Room<'a>> = nodes.iter().map(room).collect();
        rooms.sort_by(|a, b| a.view.id.cmp(&b.view.id));
        let mut fit = Self { nodes: rooms, wanted, totals: vec![0; wanted.len()] };
        for component in 0..wanted.len() {
            fit.totals[component] = fit.placeable().map(|node| fit.nodes[node].counts[component]).sum();
        }
        fit
    }

    /// Nodes whose instances count.
    fn placeable(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|node| !self.nodes[*node].view.draining)
    }

    /// Of these, the ones that take something new.
    fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.placeable().filter(|node| !self.nodes[*node].notes.is_some_and(|notes| notes.closed))
    }

    /// Takes away what is over a component's count or a node's limits.
    pub(super) fn trim(&mut self) {
        for component in 0..self.wanted.len() {
            self.trim_limit_per_node(component);
            while self.totals[component] > self.wanted[component].count {
                let Some(node) = self.fullest_of(component) else { break };
                let Wanted { component: name, count, .. } = self.wanted[component];
                self.remove(node, component, format!("{count} instances of {name} are wanted"));
            }
        }
        for node in self.placeable().collect::<Vec<_>>() {
            self.trim_memory(node);
        }
    }

    fn trim_limit_per_node(&mut self, component: usize) {
        let Some(limit) = self.wanted[component].max_per_node else { return };
        for node in self.placeable().collect::<Vec<_>>() {
            while self.nodes[node].counts[component] > limit.get() {
                self.remove(node, component, format!("maxinstancespernode is {limit}"));
            }
        }
    }

    /// A node may have become smaller, or its components larger. What they need least goes first. Standby
    /// instances are the node's to give up, so they are no reason to stop one that serves.
    fn trim_memory(&mut self, node: usize) {
        let total = self.nodes[node].view.total_memory_mib;
        loop {
            let reserved = self.nodes[node].reserved_by_targets(self.wanted);
            if reserved <= total {
                return;
            }
            let removable = (0..self.wanted.len())
                .filter(|c| self.nodes[node].counts[*c] > 0 && self.wanted[*c].reserve_memory_mib > 0);
            let Some(component) = removable.max_by(|a, b| self.needed_less(*a, *b)) else { return };
            let id = &self.nodes[node].view.id;
            let reason = format!("{reserved} MiB are reserved on node {id}, which has {total} MiB");
            self.remove(node, component, reason);
        }
    }

    /// Greater: can be done without more easily. The first name loses last.
    fn needed_less(&self, a: usize, b: usize) -> Ordering {
        let key = |c: usize| (self.surplus(c), self.totals[c] > 1, self.totals[c]);
        key(a).cmp(&key(b)).then(a.cmp(&b))
    }

    /// Instances that a component has beyond its minimum and beyond one.
    fn surplus(&self, component: usize) -> u32 {
        self.totals[component].saturating_sub(self.wanted[component].min_instances.max(1))
    }

    /// The node that leaves or where the component doesn't serve; else the one with the most instances of
    /// it; of these the fullest, then the last by id.
    fn fullest_of(&self, component: usize) -> Option<usize> {
        self.placeable().filter(|node| self.nodes[*node].counts[component] > 0).max_by_key(|node| {
            let room = &self.nodes[*node];
            let leaving = room.notes.is_some_and(|notes| notes.leaving);
            let unserving = room.has_unserving(component, self.wanted[component]);
            (leaving, unserving, room.counts[component], room.used_permille(), *node)
        })
    }
}

// === impl Fit: adding ===

impl Fit<'_> {
    /// First what is wanted and has nothing, then what is under its minimum. False: nothing was added.
    pub(super) fn add_needed(&mut self) -> bool {
        let mut added = false;
        for component in 0..self.wanted.len() {
            if self.totals[component] == 0 && self.wanted[component].count > 0 {
                added |= self.add_displacing(component);
            }
        }
        for component in 0..self.wanted.len() {
            let Wanted { count, min_instances, .. } = self.wanted[component];
            while self.totals[component] < *count.min(min_instances) && self.add_displacing(component) {
                added = true;
            }
        }
        added
    }

    /// All others, one of each component by turns, so that they share what is left.
    pub(super) fn add_rest(&mut self) {
        let mut open: Vec<usize> = (0..self.wanted.len()).collect();
        while !open.is_empty() {
            open.retain(|component| {
                self.totals[*component] < self.wanted[*component].count && self.add_free(*component)
            });
        }
    }

    fn add_free(&mut self, component: usize) -> bool {
        let ways = self.open().filter(|node| self.fits(*node, component));
        let ways = ways.map(|node| Way { node, displaced: Vec::new() });
        let best = ways.min_by(|a, b| self.compare(a, b, component));
        best.is_some_and(|way| self.go(&way, component))
    }

    fn add_displacing(&mut self, component: usize) -> bool {
        if self.add_free(component) {
            return true;
        }
        let ways = self.open().filter_map(|node| self.displacing(node, component));
        let best = ways.min_by(|a, b| self.compare(a, b, component));
        best.is_some_and(|way| self.go(&way, component))
    }

    fn fits(&self, node: usize, component: usize) -> bool {
        let (room, wanted) = (&self.nodes[node], self.wanted[component]);
        room.allows(component, wanted)
            && room.used_mib + room.needs(component, wanted) <= room.view.total_memory_mib
    }

    /// What would have to go for an instance to fit; `None`: it can't, whatever goes.
    fn displacing(&self, node: usize, component: usize) -> Option<Way> {
        let (room, wanted) = (&self.nodes[node], self.wanted[component]);
        if !room.allows(component, wanted) {
            return None;
        }
        let over =
            |used: u64| (used + room.needs(component, wanted)).saturating_sub(room.view.total_memory_mib);
        let mut used = room.used_mib;
        let mut displaced: Vec<usize> = Vec::new();
        while over(used) > 0 {
            let taken = |c: usize| u32::try_from(displaced.iter().filter(|d| **d == c).count()).unwrap_or(0);
            let left = |c: usize| self.surplus(c).min(room.counts[c]).saturating_sub(taken(c));
            let candidates = (0..self.wanted.len())
                .filter(|c| *c != component && left(*c) > 0 && self.wanted[*c].reserve_memory_mib > 0);
            // The most that can be spared goes first; the first by name loses last.
            let victim = candidates.max_by_key(|c| (left(*c), *c))?;
            used = used.saturating_sub(room.frees(victim, taken(victim), self.wanted[victim]));
            displaced.push(victim);
        }
        // What turned out not to be needed stays.
        let mut index = 0;
        while index < displaced.len() {
            let given_back = used + self.wanted[displaced[index]].reserve_memory_mib;
            if over(given_back) == 0 {
                used = given_back;
                displaced.remove(index);
            } else {
                index += 1;
            }
        }
        Some(Way { node, displaced })
    }

    /// Less: the better way.
    fn compare(&self, a: &Way, b: &Way, component: usize) -> Ordering {
        let key = |way: &Way| {
            let room = &self.nodes[way.node];
            let memory: u64 = way.displaced.iter().map(|c| self.wanted[*c].reserve_memory_mib).sum();
            let resumes = room.resumes(component);
            (!resumes, room.counts[component], way.displaced.len(), memory, room.used_permille())
        };
        let load = |way: &Way| self.nodes[way.node].view.load;
        key(a).cmp(&key(b)).then(load(a).total_cmp(&load(b))).then(a.node.cmp(&b.node))
    }

    fn go(&mut self, way: &Way, component: usize) -> bool {
        let name = &self.wanted[component].component;
        for victim in &way.displaced {
            let Wanted { component: victim_name, min_instances, .. } = self.wanted[*victim];
            let reason = format!(
                "displaced by {name}, which would have no place; {victim_name} has {} instances, its minimum is {min_instances}",
                self.totals[*victim]
            );
            self.remove(way.node, *victim, reason);
        }
        self.add(way.node, component);
        true
    }

    fn add(&mut self, node: usize, component: usize) {
        let wanted = self.wanted[component];
        let room = &mut self.nodes[node];
        let reason = if room.resumes(component) {
            format!("node {} has a standby instance of it", room.view.id)
        } else {
            format!(
                "node {} has {} of {} MiB free and runs {} of it; an instance reserves {} MiB",
                room.view.id,
                room.view.total_memory_mib.saturating_sub(room.used_mib),
                room.view.total_memory_mib,
                room.counts[component],
                wanted.reserve_memory_mib
            )
        };
        room.reasons[component].push(reason);
        room.used_mib += room.needs(component, wanted);
        room.counts[component] += 1;
        self.totals[component] += 1;
    }

    fn remove(&mut self, node: usize, component: usize, reason: String) {
        let room = &mut self.nodes[node];
        room.used_mib = room.used_mib.saturating_sub(room.frees(component, 0, self.wanted[component]));
        room.counts[component] -= 1;
        room.reasons[component].push(reason);
        self.totals[component] -= 1;
    }
}

// === impl Fit: the outcome ===

impl Fit<'_> {
    /// What has no place elsewhere stays on draining nodes as long as they are there.
    pub(super) fn keep_on_draining(&mut self) {
        for node in (0..self.nodes.len()).filter(|node| self.nodes[*node].view.draining).collect::<Vec<_>>() {
            for component in 0..self.wanted.len() {
                let missing = self.wanted[component].count.saturating_sub(self.totals[component]);
                let room = &mut self.nodes[node];
                let kept = room.counts[component].min(missing);
                if kept < room.counts[component] {
                    room.reasons[component].push(format!("node {} drains", room.view.id));
                }
                room.counts[component] = kept;
                self.totals[component] += kept;
            }
        }
    }

    pub(super) fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for room in &mut self.nodes {
            let index = |name: &ComponentName| self.wanted.binary_search_by(|w| w.component.cmp(name)).ok();
            let change = |component: &ComponentName, from, to, reasons| Change {
                node: room.view.id.clone(),
                component: component.clone(),
                from,
                to,
                reasons,
            };
            for (name, from) in
                room.view.targets.iter().filter(|(name, from)| index(name).is_none() && **from > 0)
            {
                changes.push(change(name, *from, 0, vec![format!("{name} is not wanted any more")]));
            }
            for (component, wanted) in self.wanted.iter().enumerate() {
                let from = room.view.targets.get(&wanted.component).copied().unwrap_or(0);
                let to = room.counts[component];
                if from != to {
                    let mut reasons = std::mem::take(&mut room.reasons[component]);
                    reasons.dedup();
                    changes.push(change(&wanted.component, from, to, reasons));
                }
            }
        }
        changes.sort_by(|a, b| (&a.node, &a.component).cmp(&(&b.node, &b.component)));
        changes
    }

    pub(super) fn unplaceable(&self) -> Vec<Unplaceable> {
        (0..self.wanted.len()).filter_map(|component| self.missing(component)).collect()
    }

    fn missing(&self, component: usize) -> Option<Unplaceable> {
        let wanted = self.wanted[component];
        let missing = wanted.count.checked_sub(self.totals[component]).filter(|missing| *missing > 0)?;
        let rooms = || self.open().map(|node| &self.nodes[node]);
        let largest_mib = rooms().map(|room| room.view.total_memory_mib).max();
        let obstacle = match largest_mib {
            None => Obstacle::NoNode,
            Some(largest) if wanted.reserve_memory_mib > largest => Obstacle::TooLarge,
            Some(_) if rooms().all(|room| !room.allows(component, wanted)) => Obstacle::LimitPerNode,
            Some(_) => Obstacle::Memory,
        };
        Some(Unplaceable {
            component: wanted.component.clone(),
            wanted: wanted.count,
            missing,
            asked_mib: wanted.reserve_memory_mib,
            largest_mib: largest_mib.unwrap_or(0),
            most_free_mib: rooms().map(Room::free_mib).max().unwrap_or(0),
            obstacle,
        })
    }
}

// === impl Room ===

impl<'a> Room<'a> {
    fn new(view: &'a NodeView, notes: Option<&'a Notes>, wanted: &[&Wanted]) -> Self {
        let of = |counts: &std::collections::BTreeMap<ComponentName, u32>| -> Vec<u32> {
            wanted.iter().map(|w| counts.get(&w.component).copied().unwrap_or(0)).collect()
        };
        let (targets, standby) = (of(&view.targets), of(&view.standby));
        let instances = targets.iter().zip(&standby).zip(wanted);
        let used: u64 = instances
            .map(|((run, paused), w)| (u64::from(*run) + u64::from(*paused)) * w.reserve_memory_mib)
            .sum();
        let reasons = vec![Vec::new(); wanted.len()];
        Self {
            view,
            notes,
            counts: targets.clone(),
            targets,
            standby,
            used_mib: view.other_memory_mib.saturating_add(used),
            reasons,
        }
    }

    fn allows(&self, component: usize, wanted: &Wanted) -> bool {
        let barred = self.notes.is_some_and(|notes| notes.barred.contains(&wanted.component));
        !barred && wanted.max_per_node.is_none_or(|limit| self.counts[component] < limit.get())
    }

    /// Some of its instances don't serve, and were not taken away yet.
    fn has_unserving(&self, component: usize, wanted: &Wanted) -> bool {
        let notes = self.notes.and_then(|notes| notes.unserving.get(&wanted.component));
        let taken = self.targets[component].saturating_sub(self.counts[component]);
        notes.is_some_and(|unserving| *unserving > taken)
    }

    /// Paused instances that are left when `count` run: what comes beyond the targets resumes one.
    fn paused(&self, component: usize, count: u32) -> u32 {
        self.standby[component].saturating_sub(count.saturating_sub(self.targets[component]))
    }

    /// True if an instance more would be a standby that is resumed.
    fn resumes(&self, component: usize) -> bool {
        let count = self.counts[component];
        count >= self.targets[component] && self.paused(component, count) > 0
    }

    /// Memory that an instance more would add: a standby has its own already.
    fn needs(&self, component: usize, wanted: &Wanted) -> u64 {
        if self.resumes(component) { 0 } else { wanted.reserve_memory_mib }
    }

    /// Memory that an instance less would free, when `before` of them are gone: one that would resume a
    /// standby frees none, since that stays.
    fn frees(&self, component: usize, before: u32, wanted: &Wanted) -> u64 {
        let count = self.counts[component].saturating_sub(before);
        let resumed = self.paused(component, count) < self.paused(component, count.saturating_sub(1));
        if resumed { 0 } else { wanted.reserve_memory_mib }
    }

    fn reserved_by_targets(&self, wanted: &[&Wanted]) -> u64 {
        self.counts.iter().zip(wanted).map(|(count, w)| u64::from(*count) * w.reserve_memory_mib).sum()
    }

    fn free_mib(&self) -> u64 {
        self.view.total_memory_mib.saturating_sub(self.used_mib)
    }

    /// How full the node is; a node without memory is full.
    fn used_permille(&self) -> u64 {
        self.used_mib.saturating_mul(1000).checked_div(self.view.total_memory_mib).unwrap_or(1000)
    }
}
