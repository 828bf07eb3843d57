//! While another node decides: it is told what this node is asked for, and asked to place what starves here.
//!
//! Each starving component is asked for by one task, again and again while it starves, whoever decides by
//! then. Nothing is told or asked while nobody is known to decide.

use std::{collections::HashSet, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::scheduler::Reading,
    names::{ComponentName, NodeId},
    time::Moment,
    wire::{ComponentDemand, PlaceComponentInput, PlacementRefusal, ReportDemandInput},
};
use tokio::sync::Semaphore;

use super::{Cluster, Control, FleetError, pass::NO_PLACE, world::reading};
use crate::{
    clock,
    router::{ComponentPool, StartFailure},
};

/// Between questions for a component that goes on starving: first, then doubled up to the last.
const ASK_FIRST: Duration = Duration::from_millis(250);
const ASK_LAST: Duration = Duration::from_secs(1);
/// Whoever decides answers when the node it chose has taken the order.
pub(super) const ASK_LIMIT: Duration = Duration::from_secs(4);
/// Questions under way at a time; a node with a thousand starving components asks for some after others.
const ASKING: usize = 16;
const REPORT_LIMIT: Duration = Duration::from_secs(1);
/// A node that is asked for nothing says so again after this time, in case that was lost.
const QUIET_REPEAT: Duration = Duration::from_secs(10);
/// Demand that ended so long ago no timeout reaches.
const FORGOTTEN: Duration = Duration::from_secs(120);

pub(super) struct Following {
    /// When the next pass is due though nothing happens.
    pub(super) look_again: Option<Duration>,
    asking: HashSet<ComponentName>,
    slots: Arc<Semaphore>,
    sequence: i64,
    reporting: bool,
    /// Who was told last that nothing is asked for, and when.
    quiet: Option<(NodeId, Moment)>,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            look_again: None,
            asking: HashSet::new(),
            slots: Arc::new(Semaphore::new(ASKING)),
            sequence: 0,
            reporting: false,
            quiet: None,
        }
    }
}

// === impl Control: asking ===

impl Control {
    /// Has starving components asked for, each once.
    pub(super) fn ask_for_places(&self) {
        let starving = self.router.starving();
        if starving.is_empty() {
            return;
        }
        let Some(me) = self.me.upgrade() else { return };
        let mut memory = self.memory.lock();
        for pool in starving {
            if memory.following.asking.insert(pool.name().clone()) {
                let asking = Asking { control: me.clone(), component: pool.name().clone() };
                let slots = memory.following.slots.clone();
                self.tasks.spawn_cancellable("asking for a place", asking.run(slots));
            }
        }
    }

    /// This node owns the role.
    pub(super) fn leads(&self) -> bool {
        self.memory.lock().lead.is_some()
    }

    /// Who decides, if that is another node.
    pub(super) fn decider(&self, cluster: &Cluster) -> Option<NodeId> {
        let (owner, _) = cluster.roles.owner_of(&super::role())?;
        (owner != cluster.node).then_some(owner)
    }
}

/// The one who asks for a component.
struct Asking {
    control: Arc<Control>,
    component: ComponentName,
}

impl Asking {
    async fn run(self, slots: Arc<Semaphore>) {
        let Some(cluster) = &self.control.cluster else { return };
        let mut readings = cluster.roles.readings();
        let mut pause = ASK_FIRST;
        while let Some(pool) = self.starving() {
            if self.control.leads() {
                self.control.wake.notify_one();
                return;
            }
            if let Some(decider) = self.control.decider(cluster) {
                let _slot = slots.acquire().await;
                self.ask(cluster, decider, &pool).await;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(ASK_LAST);
            } else {
                // The next reading of the roles may tell who decides.
                let _ = tokio::time::timeout(ASK_LAST, readings.changed()).await;
            }
        }
    }

    fn starving(&self) -> Option<Arc<ComponentPool>> {
        let pool = self.control.router.component(self.component.as_str())?;
        pool.is_starving().then_some(pool)
    }

    async fn ask(&self, cluster: &Cluster, decider: NodeId, pool: &ComponentPool) {
        let input = PlaceComponentInput { component_name: self.component.to_string(), delegated: Some(true) };
        match cluster.fleet.place(decider, input, ASK_LIMIT).await {
            Ok(answer) => cluster.fleet.observe(answer.node),
            Err(FleetError::Refused(error)) => match PlacementRefusal::of(&error) {
                Some(refusal) if pool.is_starving() => {
                    let retry_after = refusal.retry_after();
                    pool.refuse(StartFailure {
                        status: NO_PLACE,
                        reason: refusal.reason,
                        retry_after,
                        until: clock::now() + retry_after,
                    });
                }
                _ => tracing::debug!(component = self.component.as_str(), %error, "no place yet"),
            },
            Err(error) => tracing::debug!(component = self.component.as_str(), %error, "no place yet"),
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.control.memory.lock().following.asking.remove(&self.component);
    }
}

// === impl Control: telling ===

impl Control {
    /// Tells who decides what this node is asked for; one report at a time.
    pub(super) fn report_demand(&self, now: Moment) {
        let Some(cluster) = &self.cluster else { return };
        let (Some(decider), Some(me)) = (self.decider(cluster), self.me.upgrade()) else { return };
        let components = self.demand(now);
        let mut memory = self.memory.lock();
        let following = &mut memory.following;
        let told = following.quiet.as_ref().is_some_and(|(node, at)| {
            components.is_empty() && *node == decider && now.since(*at) < QUIET_REPEAT
        });
        if told || following.reporting {
            return;
        }
        let quiet = components.is_empty();
        following.reporting = true;
        following.sequence += 1;
        let input = ReportDemandInput {
            node_id: cluster.node.to_string(),
            incarnation: cluster.roles.incarnation().to_owned(),
            sequence: following.sequence,
            components,
        };
        self.tasks.spawn_cancellable("telling of demand", async move {
            let Some(cluster) = &me.cluster else { return };
            let answer = cluster.fleet.report(decider.clone(), input, REPORT_LIMIT).await;
            let accepted = answer.is_ok_and(|answer| answer.accepted);
            let mut memory = me.memory.lock();
            memory.following.reporting = false;
            memory.following.quiet = (accepted && quiet).then(|| (decider, clock::now()));
        });
    }

    /// Components that are asked for here, or were a while ago, or run here.
    fn demand(&self, now: Moment) -> Vec<ComponentDemand> {
        let told = self.router.pools().into_iter().filter_map(|pool| {
            let reading = reading(&pool, now);
            is_worth_telling(&pool, &reading).then(|| reading.wire(pool.name()))
        });
        told.collect()
    }

    /// Another node tells what it is asked for. False: this node doesn't decide.
    pub fn report(&self, input: &ReportDemandInput) -> bool {
        let mut memory = self.memory.lock();
        let Some(lead) = &mut memory.lead else { return false };
        lead.reports.take(input, clock::now());
        drop(memory);
        if input.components.iter().any(|told| told.waiting > 0 || told.starving) {
            self.wake.notify_one();
        }
        true
    }
}

fn is_worth_telling(pool: &ComponentPool, reading: &Reading) -> bool {
    let kept = pool.component().scaling.idle_timeout + FORGOTTEN;
    reading.in_rotation > 0 || reading.demand.last_request.is_some_and(|age| age < kept)
}
