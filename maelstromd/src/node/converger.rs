//! One task per component: observe, decide the next step, begin it, again; then sleep until something
//! changes. Signals only wake it, the state says what to do.
//!
//! ```text
//!   target · configuration · instance changed · retry due · suspect ──wake──► observe ─► decide::converge::next
//!        ▲                                                                       ▲              │
//!        └──────────────── Wait ◄────────────────────────────────────────────────┴── begin ◄────┘
//! ```

use std::{collections::HashMap, sync::Arc};

use maelstrom_core::{
    decide::converge::{Observed, Purpose, Step, next},
    journal::Kind,
    names::InstanceId,
    time::Moment,
};
use tokio::sync::watch;

use super::{
    checks::alarm,
    context::Context,
    instance::Instance,
    life::{Begin, live, millis},
    standby,
    start::container_name,
    unit::{RolloutNews, Unit},
};
use crate::{journal::Entry, router::ComponentPool};

/// Steps begun in one go. Far more than any node has instances: only a defect would reach it, and then
/// the task must not keep a processor busy.
const STEPS_MAX: usize = 1_000;

/// Runs until the component is removed and its last instance gone.
pub(super) async fn run(context: Arc<Context>, unit: Arc<Unit>) {
    let mut suspects = Suspects::default();
    loop {
        let until = converge(&context, &unit);
        if context.forget_if_empty(&unit) {
            return;
        }
        suspects.follow(context.router.component(unit.name.as_str()));
        let alarm = alarm(context.clock.as_ref(), until);
        tokio::select! {
            () = unit.wake.notified() => {}
            () = alarm => {}
            () = suspects.appear() => {
                if suspects.check(&unit) {
                    // Peers send nothing to a suspect either.
                    context.changed();
                }
            }
        }
    }
}

/// Begins all steps that can begin now; returns when to look again without being woken.
fn converge(context: &Arc<Context>, unit: &Arc<Unit>) -> Option<Moment> {
    unit.settle_backoff(context.clock.now());
    for _ in 0..STEPS_MAX {
        let now = context.clock.now();
        let mut observed = observe(context, unit, now);
        let desired = unit.desired(standby::share(context, unit), context.is_closing());
        if let Some(news) = unit.rollout(&observed, now) {
            tell(context, unit, &news);
        }
        observed.extend(context.leftovers.observed(&unit.name));
        match next(&desired, &observed, now) {
            Step::Start(purpose) => start(context, unit, purpose, now),
            Step::Resume(serial) => {
                if let Some(instance) = unit.by_serial(serial) {
                    instance.resume();
                }
                context.changed();
            }
            Step::Stop(serial, reason) => {
                if let Some(instance) = unit.by_serial(serial) {
                    instance.stop(reason);
                }
                context.changed();
            }
            Step::Wait { until, .. } => return until,
        }
    }
    tracing::error!(component = unit.name.as_str(), "no end of steps; this is a defect of this program");
    Some(context.clock.now() + std::time::Duration::from_secs(1))
}

fn observe(context: &Context, unit: &Unit, now: Moment) -> Vec<Observed> {
    let pool = context.router.component(unit.name.as_str());
    let requests: HashMap<InstanceId, u32> = pool.map_or_else(HashMap::new, |pool| {
        pool.reading(now).instances.into_iter().map(|i| (i.id, i.in_flight)).collect()
    });
    unit.observed(|id| requests.get(id).copied().unwrap_or(0))
}

fn start(context: &Arc<Context>, unit: &Arc<Unit>, purpose: Purpose, now: Moment) {
    let Some(component) = unit.component() else { return };
    let name = container_name(component.name.as_str());
    let serial = context.next_serial();
    let instance = Instance::new(serial, component, name, purpose, now, context.clock.wall());
    let begin = Begin::New { alone: unit.starts_alone() };
    begin_life(context, unit, Arc::new(instance), begin);
}

/// Gives the instance its task.
pub(super) fn begin_life(context: &Arc<Context>, unit: &Arc<Unit>, instance: Arc<Instance>, begin: Begin) {
    unit.push(instance.clone());
    context.changed();
    context.tasks.spawn_cancellable("instance", live(context.clone(), unit.clone(), instance, begin));
}

fn tell(context: &Context, unit: &Unit, news: &RolloutNews) {
    let entry = match news {
        RolloutNews::Began(rollout) => {
            let message = format!("instances are replaced by version {}", rollout.version);
            Entry::new(Kind::Deploy, message)
                .data("version", rollout.version)
                .data("outdated", rollout.outdated)
        }
        RolloutNews::Done { version, took } => {
            Entry::new(Kind::Deploy, format!("all instances are of version {version}"))
                .data("version", *version)
                .data("ms", millis(*took))
        }
    };
    context.journal.record(entry.component(&unit.name));
}

/// Follows the instances of a pool on which requests failed.
#[derive(Default)]
struct Suspects {
    pool: Option<(Arc<ComponentPool>, watch::Receiver<u64>)>,
}

// === impl Suspects ===

impl Suspects {
    /// A component that was removed and put again has another pool.
    fn follow(&mut self, pool: Option<Arc<ComponentPool>>) {
        let same = match (&self.pool, &pool) {
            (Some((known, _)), Some(pool)) => Arc::ptr_eq(known, pool),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.pool = pool.map(|pool| {
                let mut changes = pool.suspected();
                changes.mark_changed();
                (pool, changes)
            });
        }
    }

    async fn appear(&mut self) {
        match &mut self.pool {
            // The sender is in the pool beside it.
            Some((_, changes)) => drop(changes.changed().await),
            None => std::future::pending().await,
        }
    }

    /// Has suspects checked at once; false: there is none.
    fn check(&self, unit: &Unit) -> bool {
        let mut any = false;
        for id in self.pool.iter().flat_map(|(pool, _)| pool.suspects()) {
            any = true;
            if let Some(instance) = unit.instance(&id) {
                instance.suspected.notify_one();
            }
        }
        any
    }
}
