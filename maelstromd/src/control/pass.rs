//! One pass: look, decide, order, answer those who can't be helped. Synchronous from the look to this
//! node's targets, and safe to repeat at any time.

use maelstrom_core::{
    decide::{
        lease::Term,
        scheduler::{Order, Outcome, Plan, Refused, TargetChange, Told},
    },
    names::ComponentName,
    time::Moment,
};

use super::{Control, Memory, NotSet, Target};
use crate::{
    clock,
    journal::Entry,
    router::{Phase, StartFailure},
};

/// Passes from a fresh view after this node's targets were changed under one: each means that another's
/// change went through. The next tick tries again.
const MAX_TRIES: usize = 4;
/// No place for it: Service Unavailable.
pub(super) const NO_PLACE: u16 = 503;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Demand,
}

// === impl Control ===

impl Control {
    /// Scales and places all components.
    pub(super) fn pass(&self, now: Moment) {
        let generation = self.router.generation();
        if generation > 0 {
            let mut memory = self.memory.lock();
            memory.generation = generation;
            self.decide(&mut memory, Scope::All, now);
        }
    }

    /// Places components that have waiters and no instance; all other counts stay.
    pub(super) fn answer_demand(&self, now: Moment) {
        if !self.router.starving().is_empty() {
            self.decide(&mut self.memory.lock(), Scope::Demand, now);
        }
    }

    fn decide(&self, memory: &mut Memory, scope: Scope, now: Moment) {
        for _ in 0..MAX_TRIES {
            let Some(world) = self.world(memory, now) else { return };
            let plan = match scope {
                Scope::All => memory.scheduler.pass(&world, now),
                Scope::Demand => memory.scheduler.answer_demand(&world, now),
            };
            memory.following.look_again = plan.look_again;
            if self.carry_out(memory, plan, world.term, now) {
                return;
            }
        }
        if scope == Scope::All {
            tracing::warn!(tries = MAX_TRIES, "the node's targets kept changing; the next tick tries again");
        }
    }

    /// False: this node's targets were changed meanwhile.
    fn carry_out(&self, memory: &mut Memory, plan: Plan, term: Term, now: Moment) -> bool {
        let mut current = true;
        for order in plan.orders {
            match &self.cluster {
                Some(cluster) if cluster.node != order.node => self.send(order, term),
                cluster => current &= self.order_here(memory, &order, cluster.as_ref().map(|_| term)),
            }
        }
        self.record(plan.told);
        for refused in plan.refused {
            self.refuse(&refused, now);
        }
        for component in plan.relieved {
            // Who comes from now on waits for the instance instead of being turned away.
            if let Some(pool) = self.router.component(component.as_str()) {
                pool.relent();
            }
        }
        current
    }

    fn order_here(&self, memory: &mut Memory, order: &Order, term: Option<Term>) -> bool {
        let targets: Vec<Target> = order.changes.iter().map(target).collect();
        match self.targets.set_targets(term, Some(order.base), &targets) {
            Ok(deltas) => {
                let made: Vec<ComponentName> = deltas.into_iter().map(|delta| delta.component).collect();
                let told = memory.scheduler.answered(order.id, &Outcome::Done(&made));
                self.made(order, told);
                true
            }
            Err(refused) => {
                memory.scheduler.answered(order.id, &Outcome::Refused);
                if let NotSet::Fenced(error) = &refused {
                    tracing::warn!(%error, "an order was not given: another node decides");
                }
                matches!(refused, NotSet::Fenced(_))
            }
        }
    }

    /// A node has made these changes.
    pub(super) fn made(&self, order: &Order, told: Vec<Told>) {
        let first = |change: &&TargetChange| {
            change.from == 0 && told.iter().any(|told| told.component == change.component)
        };
        for change in order.changes.iter().filter(first) {
            let pool = self.router.component(change.component.as_str());
            if let Some(cold_start) = pool.and_then(|pool| pool.cold_start()) {
                cold_start.mark(Phase::Placed, clock::now());
            }
        }
        self.record(told);
    }

    fn record(&self, told: Vec<Told>) {
        for Told { kind, component, message, reasons, numbers } in told {
            let entry = Entry::new(kind, message).component(&component).reasons(reasons);
            let entry = numbers.into_iter().fold(entry, |entry, (key, number)| entry.data(key, number));
            self.journal.record(entry);
        }
    }

    fn refuse(&self, refused: &Refused, now: Moment) {
        let Some(pool) = self.router.component(refused.why.component.as_str()) else { return };
        if pool.is_starving() {
            pool.refuse(StartFailure {
                status: NO_PLACE,
                reason: refused.why.to_string(),
                retry_after: refused.retry_after,
                until: now + refused.retry_after,
            });
        }
    }
}

fn target(change: &TargetChange) -> Target {
    Target { component: change.component.clone(), count: change.to, reasons: change.reasons.clone() }
}
