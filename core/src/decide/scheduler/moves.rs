//! Instances on their way from one node to another, make-before-break.
//!
//! ```text
//!   beginning ──ordered──► waiting ──one more serves there──► leaving ──ordered──► over
//!       │ refused             │ can't be started there, takes too long       │ refused: waiting
//!       ▼                     ▼
//!      over            one less there, a setback for that node
//! ```
//! While a move is on, the component has one instance more than it should, which the counts allow for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::{draft::Draft, plan::TargetChange};
use crate::{
    decide::placement::Notes,
    names::{ComponentName, NodeId},
    time::Moment,
};

/// An instance that isn't healthy by then is given up: pulling a large image takes minutes, nothing that
/// works takes longer.
const LIMIT: Duration = Duration::from_secs(300);
/// First time for which a node gets no instance of a component that did not start there; doubles.
const SETBACK_FIRST: Duration = Duration::from_secs(60);
const SETBACK_MAX: Duration = Duration::from_secs(15 * 60);
/// A setback is remembered so long after its end.
const SETBACK_MEMORY: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default)]
pub(super) struct Moves {
    last: u64,
    list: BTreeMap<u64, Move>,
    setbacks: BTreeMap<(ComponentName, NodeId), Setback>,
}

#[derive(Debug)]
pub(super) struct Move {
    component: ComponentName,
    from: NodeId,
    to: NodeId,
    why: Why,
    since: Moment,
    phase: Phase,
    /// The order for its step is in doubt.
    doubtful: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The node that it leaves drains.
    Drain,
    /// It can't be started where it is.
    Failing,
    /// For an even spread, or an even load.
    Balance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// One more is to be ordered, or has been.
    Beginning { ordered: bool },
    /// Until it serves.
    Waiting,
    /// One less is to be ordered, or has been.
    Leaving { ordered: bool },
}

/// A move's part of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MoveStep {
    id: u64,
    component: ComponentName,
    /// One less where it leaves; otherwise one more where it goes.
    leaves: bool,
}

#[derive(Clone, Copy, Debug)]
struct Setback {
    count: u32,
    until: Moment,
}

// === impl Moves: what there is ===

impl Moves {
    /// Instances of the component beyond its count, in the targets as a draft takes them to be.
    pub(super) fn extra(&self, component: &ComponentName) -> u32 {
        let there = |one: &&Move| match one.phase {
            Phase::Beginning { .. } => !one.doubtful,
            Phase::Waiting => true,
            Phase::Leaving { .. } => one.doubtful,
        };
        count(self.list.values().filter(|one| one.component == *component).filter(there))
    }

    pub(super) fn is_moving(&self, component: &ComponentName) -> bool {
        self.list.values().any(|one| one.component == *component)
    }

    /// Moves that are not forced by a drain.
    pub(super) fn optional(&self) -> usize {
        self.list.values().filter(|one| one.why != Why::Drain).count()
    }

    /// Instances of the component that are leaving the node, whose targets still have them.
    pub(super) fn leaving(&self, node: &NodeId, component: &ComponentName) -> u32 {
        let stays = |one: &&Move| match one.phase {
            Phase::Beginning { .. } | Phase::Waiting => true,
            Phase::Leaving { .. } => one.doubtful,
        };
        let mine = self.list.values().filter(|one| one.component == *component && one.from == *node);
        count(mine.filter(stays))
    }

    /// The component did not start there lately.
    pub(super) fn is_set_back(&self, component: &ComponentName, node: &NodeId, now: Moment) -> bool {
        self.setbacks.get(&(component.clone(), node.clone())).is_some_and(|setback| now < setback.until)
    }

    /// Notes for placement which nodes better get no instance: where it can't be started, and where one has
    /// just been taken away since its replacement serves.
    pub(super) fn avoid(&self, draft: &Draft<'_>, notes: &mut BTreeMap<NodeId, Notes>, now: Moment) {
        if draft.is_single() {
            return;
        }
        let mut bar = |node: &NodeId, component: &ComponentName| {
            notes.entry(node.clone()).or_default().barred.insert(component.clone());
        };
        for (node, desk) in &draft.nodes {
            desk.state.failing.iter().for_each(|component| bar(node, component));
            desk.lowered().for_each(|component| bar(node, component));
        }
        for ((component, node), setback) in &self.setbacks {
            if now < setback.until && draft.nodes.contains_key(node) {
                bar(node, component);
            }
        }
    }

    pub(super) fn describe(&self, component: &ComponentName) -> Vec<String> {
        let mine = self.list.values().filter(|one| one.component == *component);
        mine.map(|one| {
            format!("an instance is on its way from node {} to node {}: {}", one.from, one.to, one.why)
        })
        .collect()
    }
}

// === impl Moves: how they go ===

impl Moves {
    /// Sends an instance on its way: one more on `to`.
    pub(super) fn begin(
        &mut self,
        draft: &mut Draft<'_>,
        component: &ComponentName,
        (from, to): (&NodeId, &NodeId),
        (why, reason): (Why, String),
        now: Moment,
    ) {
        draft.raise(to, component, reason);
        self.last += 1;
        let one = Move {
            component: component.clone(),
            from: from.clone(),
            to: to.clone(),
            why,
            since: now,
            phase: Phase::Beginning { ordered: false },
            doubtful: false,
        };
        self.list.insert(self.last, one);
    }

    /// The component is to have fewer instances: what moves add is part of what is too many.
    pub(super) fn end_waiting(&mut self, component: &ComponentName) {
        self.list.retain(|_, one| one.component != *component || one.phase != Phase::Waiting);
    }

    /// Ends moves that are done, or won't be.
    pub(super) fn settle(&mut self, draft: &mut Draft<'_>, now: Moment) {
        self.setbacks.retain(|_, setback| now.since(setback.until) < SETBACK_MEMORY);
        self.list.retain(|_, one| one.phase != Phase::Waiting || one.has_both_ends(draft));
        for (to, component) in self.destinations() {
            let waiting = self.waiting(&to, &component);
            let others = draft.target(&to, &component).saturating_sub(count(waiting.iter()));
            let arrived = draft.instances(&to, &component).serving.saturating_sub(others) as usize;
            for (index, id) in waiting.into_iter().enumerate() {
                match index < arrived {
                    true => self.leave(id, draft),
                    false => self.give_up(id, draft, now),
                }
            }
        }
    }

    fn destinations(&self) -> BTreeSet<(NodeId, ComponentName)> {
        let waiting = self.list.values().filter(|one| one.phase == Phase::Waiting);
        waiting.map(|one| (one.to.clone(), one.component.clone())).collect()
    }

    /// The oldest first.
    fn waiting(&self, to: &NodeId, component: &ComponentName) -> Vec<u64> {
        let here = |one: &Move| one.phase == Phase::Waiting && one.to == *to && one.component == *component;
        self.list.iter().filter(|(_, one)| here(one)).map(|(id, _)| *id).collect()
    }

    /// It serves there: one less here.
    fn leave(&mut self, id: u64, draft: &mut Draft<'_>) {
        let Some(one) = self.list.get_mut(&id) else { return };
        if draft.is_orderable(&one.from) {
            let reason = format!("its replacement serves on node {}", one.to);
            draft.lower(&one.from, &one.component, reason);
            one.phase = Phase::Leaving { ordered: false };
        }
    }

    fn give_up(&mut self, id: u64, draft: &mut Draft<'_>, now: Moment) {
        let Some(one) = self.list.get(&id) else { return };
        let Some(desk) = draft.nodes.get(&one.to).filter(|desk| desk.orderable) else { return };
        let reason = if desk.state.failing.contains(&one.component) {
            format!("it can't be started on node {} and stays on node {}", one.to, one.from)
        } else if now.since(one.since) >= LIMIT {
            let limit = LIMIT.as_secs();
            format!("it was not healthy on node {} within {limit} s and stays on node {}", one.to, one.from)
        } else if desk.view.draining {
            format!("node {} drains by now", one.to)
        } else {
            return;
        };
        draft.lower(&one.to, &one.component, reason);
        let (component, to) = (one.component.clone(), one.to.clone());
        self.list.remove(&id);
        self.set_back(component, to, now);
    }

    /// The component does not start there: other nodes are tried first for a while.
    pub(super) fn set_back(&mut self, component: ComponentName, node: NodeId, now: Moment) {
        let setback = self.setbacks.entry((component, node)).or_insert(Setback { count: 0, until: now });
        if now < setback.until {
            return;
        }
        setback.until = now + SETBACK_FIRST.saturating_mul(1 << setback.count.min(8)).min(SETBACK_MAX);
        setback.count += 1;
    }
}

// === impl Moves: their orders ===

impl Moves {
    /// Which moves are part of an order to `node` that makes `changes`. A step that found no place in it is
    /// taken back.
    pub(super) fn ordered(&mut self, node: &NodeId, changes: &[TargetChange]) -> Vec<MoveStep> {
        let mut left: BTreeMap<&ComponentName, i64> =
            changes.iter().map(|c| (&c.component, i64::from(c.to) - i64::from(c.from))).collect();
        let mut steps = Vec::new();
        self.list.retain(|id, one| {
            let Some(by) = one.waits_for_order_to(node) else { return true };
            let room = left.get_mut(&one.component).filter(|room| **room * by > 0);
            let Some(room) = room else { return one.take_back() };
            *room -= by;
            let leaves = matches!(one.phase, Phase::Leaving { .. });
            one.phase = match leaves {
                true => Phase::Leaving { ordered: true },
                false => Phase::Beginning { ordered: true },
            };
            steps.push(MoveStep { id: *id, component: one.component.clone(), leaves });
            true
        });
        steps
    }

    /// What became of a move's step.
    pub(super) fn stepped(&mut self, step: &MoveStep, done: bool) {
        let Some(one) = self.list.get_mut(&step.id) else { return };
        one.doubtful = false;
        let stays = match (one.phase, done) {
            (Phase::Beginning { .. }, true) => {
                one.phase = Phase::Waiting;
                true
            }
            // By the order that was lost, before another one was given.
            (Phase::Leaving { .. } | Phase::Waiting, true) if step.leaves => false,
            (_, true) => true,
            (_, false) => one.take_back(),
        };
        if !stays {
            self.list.remove(&step.id);
        }
    }

    /// The order for a step was lost. Its node may never tell anything new if nothing else happens to it, so
    /// the step is to be ordered again: it can be done once only on what the node last told.
    pub(super) fn lose(&mut self, step: &MoveStep) {
        let Some(one) = self.list.get_mut(&step.id) else { return };
        one.doubtful = false;
        if !one.take_back() {
            self.list.remove(&step.id);
        }
    }

    pub(super) fn doubt(&mut self, step: &MoveStep, doubtful: bool) {
        if let Some(one) = self.list.get_mut(&step.id) {
            one.doubtful = doubtful;
        }
    }
}

// === impl Move ===

impl Move {
    fn has_both_ends(&self, draft: &Draft<'_>) -> bool {
        let runs_on = |node| draft.target(node, &self.component) > 0;
        draft.world.component(&self.component).is_some() && runs_on(&self.from) && runs_on(&self.to)
    }

    /// By how much its step, if that is still to be ordered from `node`, changes the target.
    fn waits_for_order_to(&self, node: &NodeId) -> Option<i64> {
        match self.phase {
            Phase::Beginning { ordered: false } if self.to == *node => Some(1),
            Phase::Leaving { ordered: false } if self.from == *node => Some(-1),
            _ => None,
        }
    }

    /// Its step was not done. False: the move is over.
    fn take_back(&mut self) -> bool {
        let stays = matches!(self.phase, Phase::Leaving { .. } | Phase::Waiting);
        self.phase = Phase::Waiting;
        stays
    }
}

// === impl MoveStep ===

impl MoveStep {
    pub(super) fn component(&self) -> &ComponentName {
        &self.component
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain => "the node drains",
            Self::Failing => "it can't be started there",
            Self::Balance => "nodes share the work",
        })
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
