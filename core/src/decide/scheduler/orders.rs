//! Orders under way: given, and not yet seen to be carried out or refused.
//!
//! ```text
//!   given ──answered──► carried out | refused
//!     │ a second, or its answer is lost
//!     ▼
//!   in doubt ──the node's version has passed the order's──► what its targets show
//!            ──another run of its daemon, or it has left──► nothing
//! ```
//! A node carries out at most one of several orders that are based on the same version.

use std::{collections::BTreeMap, time::Duration};

use super::{
    DOUBT_AFTER, SLOW_AFTER, World,
    draft::Draft,
    moves::{MoveStep, Moves},
    plan::{Order, Outcome, TargetChange, Told},
    world::NodeState,
};
use crate::time::Moment;

#[derive(Debug, Default)]
pub(super) struct Orders {
    last: u64,
    under_way: BTreeMap<u64, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    order: Order,
    since: Moment,
    /// Its answer won't come.
    lost: bool,
    /// And its moves know that.
    given_up: bool,
    steps: Vec<MoveStep>,
}

/// What orders under way say about a node.
#[derive(Debug, Default)]
pub(super) struct Overlay<'a> {
    /// Taken as carried out.
    pub(super) assumed: Vec<&'a Order>,
    /// May be carried out, or not.
    pub(super) doubtful: Vec<&'a Order>,
    /// An answer is being waited for.
    pub(super) busy: bool,
    /// It has been waited for too long for the node to get something new.
    pub(super) slow: bool,
}

// === impl Orders ===

impl Orders {
    /// Without memory, but with numbers that nobody used before.
    pub(super) fn successor(&self) -> Self {
        Self { last: self.last, under_way: BTreeMap::new() }
    }

    pub(super) fn overlay<'a>(&'a self, node: &NodeState, now: Moment) -> Overlay<'a> {
        let mut overlay = Overlay::default();
        let mine = self.under_way.values().filter(|one| one.order.node == node.view.id);
        for one in mine {
            overlay.busy |= !one.lost;
            overlay.slow |= !one.lost && now.since(one.since) >= SLOW_AFTER;
            let open = one.order.incarnation == node.incarnation && one.order.base == node.view.version;
            match one.is_doubtful(now) {
                _ if !open => {}
                true => overlay.doubtful.push(&one.order),
                false => overlay.assumed.push(&one.order),
            }
        }
        overlay
    }

    /// Looks what became of orders as far as the nodes' versions tell.
    pub(super) fn resolve(&mut self, world: &World, now: Moment, moves: &mut Moves) -> Vec<Told> {
        let mut told = Vec::new();
        for (id, mut one) in std::mem::take(&mut self.under_way) {
            let node = world.nodes.iter().find(|node| node.view.id == one.order.node);
            match node.filter(|node| node.incarnation == one.order.incarnation) {
                Some(node) if node.view.version <= one.order.base => {
                    if !one.lost {
                        let doubtful = one.is_doubtful(now);
                        one.steps.iter().for_each(|step| moves.doubt(step, doubtful));
                    } else if !std::mem::replace(&mut one.given_up, true) {
                        one.steps.iter().for_each(|step| moves.lose(step));
                    }
                    self.under_way.insert(id, one);
                }
                Some(node) => {
                    told.extend(one.finish(|change| change.shows_in(&node.view), moves));
                }
                None => drop(one.finish(|_| false, moves)),
            }
        }
        told
    }

    pub(super) fn answered(&mut self, id: u64, outcome: &Outcome<'_>, moves: &mut Moves) -> Vec<Told> {
        if let Outcome::Lost = outcome {
            if let Some(one) = self.under_way.get_mut(&id) {
                one.lost = true;
            }
            return Vec::new();
        }
        let Some(one) = self.under_way.remove(&id) else { return Vec::new() };
        match outcome {
            Outcome::Done(made) => one.finish(|change| made.contains(&change.component), moves),
            Outcome::Shown(view) => one.finish(|change| change.shows_in(view), moves),
            Outcome::Refused | Outcome::Lost => one.finish(|_| false, moves),
        }
    }

    /// The draft's changes as orders, which are under way from now on.
    pub(super) fn write(&mut self, mut draft: Draft<'_>, moves: &mut Moves, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        for (node, desk) in &mut draft.nodes {
            let changes = if desk.orderable { desk.changes() } else { Vec::new() };
            let steps = moves.ordered(node, &changes);
            if changes.is_empty() {
                continue;
            }
            self.last += 1;
            let order = Order {
                id: self.last,
                node: node.clone(),
                incarnation: desk.state.incarnation.clone(),
                base: desk.view.version,
                changes,
            };
            orders.push(order.clone());
            self.under_way
                .insert(self.last, UnderWay { order, since: now, lost: false, given_up: false, steps });
        }
        orders
    }

    /// Time until the next node counts as slow, or its order as doubtful.
    pub(super) fn next_slow(&self, now: Moment) -> Option<Duration> {
        let ends = self.under_way.values().filter(|one| !one.lost);
        let ends = ends.flat_map(|one| [one.since + SLOW_AFTER, one.since + DOUBT_AFTER]);
        ends.filter(|end| *end > now).map(|end| end.since(now)).min()
    }
}

// === impl UnderWay ===

impl UnderWay {
    fn is_doubtful(&self, now: Moment) -> bool {
        self.lost || now.since(self.since) >= DOUBT_AFTER
    }

    fn finish(self, made: impl Fn(&TargetChange) -> bool, moves: &mut Moves) -> Vec<Told> {
        for step in &self.steps {
            let done = self.order.change_of(step.component()).is_some_and(&made);
            moves.stepped(step, done);
        }
        self.order.changes.iter().filter(|change| made(change)).map(|c| self.order.told(c)).collect()
    }
}
