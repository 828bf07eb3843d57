//! Work for empty nodes: one instance at a time goes where it is better off.
//!
//! Two reasons: a node has two instances of a component more than another, or its share of reserved memory
//! is [`GAP_PERMILLE`] above another's and the spread of the component gets no worse. Each move lowers the
//! sum of squares of counts, or leaves it and lowers the one of shares, so moves come to an end by
//! themselves; and only components at rest are moved.

use std::time::Duration;

use super::{Counts, Scheduler, draft::Draft, limits, moves::Why};
use crate::{
    component::Component,
    names::{ComponentName, NodeId},
    time::Moment,
};

/// Moves at a time that no drain forces: each is a cold start more.
const BUDGET: usize = 4;
/// A node that came a moment ago may leave as quickly.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// How much fuller one node has to be than another.
const GAP_PERMILLE: u64 = 250;

/// The better of two moves is the greater.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Instances of it that the one node has more than the other.
    spread: u32,
    gap_permille: u64,
    reserve_mib: u64,
    component: ComponentName,
    from: NodeId,
    to: NodeId,
}

// === impl Scheduler ===

impl Scheduler {
    pub(super) fn rebalance(&mut self, draft: &mut Draft<'_>, counts: &Counts, now: Moment) {
        if draft.nodes.len() < 2 {
            return;
        }
        while self.moves.optional() < BUDGET {
            let mobile: Vec<&Component> = draft
                .world
                .components
                .iter()
                .map(|state| &*state.component)
                .filter(|component| self.is_at_rest(draft, component, counts))
                .collect();
            let spread = mobile.iter().filter_map(|component| self.by_spread(draft, component, now)).max();
            let Some(best) = spread.or_else(|| self.by_memory(draft, &mobile, now)) else { return };
            let reason = if best.spread >= 2 {
                format!("node {} runs {} more of it than node {}", best.from, best.spread, best.to)
            } else {
                let points = best.gap_permille / 10;
                format!("node {} is {points} points fuller than node {}", best.from, best.to)
            };
            let ends = (&best.from, &best.to);
            self.moves.begin(draft, &best.component, ends, (Why::Balance, reason), now);
        }
    }

    /// Nothing of it starts, fails, moves or changes, and one more is allowed.
    fn is_at_rest(&self, draft: &Draft<'_>, component: &Component, counts: &Counts) -> bool {
        let name = &component.name;
        let at_rest = |node: &NodeId, target: u32| {
            let desk = &draft.nodes[node];
            let instances = desk.state.instances_of(name);
            instances.serving == target && instances.live() == target && !desk.state.failing.contains(name)
        };
        !self.moves.is_moving(name)
            && !draft.is_changed(name)
            && counts.get(name).copied() == Some(draft.total(name))
            && draft.nodes.iter().all(|(node, desk)| at_rest(node, desk.target(name)))
            && limits::slack(draft, component) > 0
    }

    fn by_spread(&self, draft: &Draft<'_>, component: &Component, now: Moment) -> Option<Candidate> {
        let name = &component.name;
        let from = givers(draft).max_by_key(|node| (draft.target(node, name), *node))?;
        let takes = |node: &&NodeId| self.takes(draft, node, component, now);
        let to = takers(draft).filter(takes).min_by_key(|node| (draft.target(node, name), *node))?;
        let spread = draft.target(from, name).checked_sub(draft.target(to, name))?;
        (spread >= 2).then(|| Candidate {
            spread,
            gap_permille: self.share(draft, from).saturating_sub(self.share(draft, to)),
            reserve_mib: component.docker.reserve_memory_mib,
            component: name.clone(),
            from: from.clone(),
            to: to.clone(),
        })
    }

    /// From the fullest node that has something to give to the emptiest one that can take it.
    fn by_memory(&self, draft: &Draft<'_>, mobile: &[&Component], now: Moment) -> Option<Candidate> {
        let mut nodes: Vec<(u64, &NodeId)> = givers(draft).map(|id| (self.share(draft, id), id)).collect();
        nodes.sort();
        let to = nodes.iter().find(|(_, id)| takers(draft).any(|taker| taker == *id))?;
        let full = nodes.iter().rev().filter(|from| from.0 >= to.0 + GAP_PERMILLE);
        full.filter_map(|from| self.between(draft, mobile, *from, *to, now)).next()
    }

    fn between(
        &self,
        draft: &Draft<'_>,
        mobile: &[&Component],
        (from_share, from): (u64, &NodeId),
        (to_share, to): (u64, &NodeId),
        now: Moment,
    ) -> Option<Candidate> {
        let candidate = |component: &&Component| {
            let name = &component.name;
            let reserve_mib = component.docker.reserve_memory_mib;
            let spread = draft.target(from, name).checked_sub(draft.target(to, name))?;
            // Afterwards the one must still be the fuller one: else it would come back.
            let after = (
                from_share.saturating_sub(permille(reserve_mib, total(draft, from))),
                to_share + permille(reserve_mib, total(draft, to)),
            );
            let better = spread >= 1 && reserve_mib > 0 && after.0 >= after.1;
            (better && self.takes(draft, to, component, now)).then(|| Candidate {
                spread,
                gap_permille: from_share - to_share,
                reserve_mib,
                component: name.clone(),
                from: from.clone(),
                to: to.clone(),
            })
        };
        mobile.iter().filter_map(candidate).max()
    }

    fn takes(&self, draft: &Draft<'_>, node: &NodeId, component: &Component, now: Moment) -> bool {
        draft.fits(node, component) && !self.moves.is_set_back(&component.name, node, now)
    }

    /// How full a node is when what leaves it has gone.
    fn share(&self, draft: &Draft<'_>, node: &NodeId) -> u64 {
        let leaving = draft.world.components.iter().map(|state| {
            let count = self.moves.leaving(node, &state.component.name);
            u64::from(count) * state.component.docker.reserve_memory_mib
        });
        permille(draft.reserved_mib(node).saturating_sub(leaving.sum()), total(draft, node))
    }
}

fn total(draft: &Draft<'_>, node: &NodeId) -> u64 {
    draft.nodes[node].view.total_memory_mib
}

/// A node without memory is full.
fn permille(part: u64, total: u64) -> u64 {
    part.saturating_mul(1_000).checked_div(total).unwrap_or(1_000)
}

fn givers<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = &'d NodeId> {
    let gives = draft.nodes.iter().filter(|(_, d)| d.orderable && !d.closed && !d.view.draining);
    gives.map(|(id, _)| id)
}

fn takers<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = &'d NodeId> {
    givers(draft).filter(|id| {
        let desk = &draft.nodes[*id];
        desk.state.known_for >= SETTLED_AFTER && desk.view.total_memory_mib > 0
    })
}
