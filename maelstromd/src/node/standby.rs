//! How many paused instances of a component this node holds: its part of those of the whole cluster, as
//! `decide::standby` says by what peers told.

use std::{collections::HashMap, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        scheduler::{LOST_AFTER, NodeState},
        standby::{Candidate, shares},
    },
    names::{ComponentName, NodeId},
    time::Moment,
};
use tokio::sync::watch;

use super::{Node, checks::alarm, context::Context, status, unit::Unit};
use crate::cluster::PeerView;

/// Between one look at what peers told and the next: many peers tell many things per second, and nobody
/// waits for what is prepared.
const PACE: Duration = Duration::from_millis(100);

// === impl Node ===

impl Node {
    /// Follows what peers tell, which `changed` wakes for, and what this node itself becomes: memory that is
    /// free again, draining. Wakes the converger of each component that is to have more or fewer by it.
    pub async fn follow_peers(
        self: Arc<Self>,
        peers: impl Fn() -> Vec<PeerView>,
        mut changed: watch::Receiver<u64>,
    ) {
        let context = &self.context;
        let mut own = context.version().subscribe();
        loop {
            changed.mark_unchanged();
            own.mark_unchanged();
            let now = context.clock.now();
            let views = peers();
            context.set_peers(candidates(context, &views, now));
            wake_who_differs(context);
            let until = losses(&views).chain([context.listens_until]).filter(|due| *due > now).min();
            let alive = tokio::select! {
                changed = changed.changed() => changed.is_ok(),
                changed = own.changed() => changed.is_ok(),
                () = alarm(context.clock.as_ref(), until) => true,
            };
            if !alive {
                return;
            }
            context.clock.sleep_until(now + PACE).await;
        }
    }
}

fn wake_who_differs(context: &Context) {
    let mut units = context.units();
    units.retain(|unit| unit.is_to_stand_by() || unit.standby_count() > 0);
    if units.is_empty() {
        return;
    }
    let own = own(context);
    let differs = |unit: &Arc<Unit>| share_beside(context, unit, &own) != unit.standby_count();
    units.into_iter().filter(differs).for_each(|unit| unit.wake.notify_one());
}

/// Paused instances of the component that this node is to hold.
pub(super) fn share(context: &Context, unit: &Unit) -> u32 {
    match unit.is_to_stand_by() {
        true => share_beside(context, unit, &own(context)),
        false => 0,
    }
}

fn share_beside(context: &Context, unit: &Unit, own: &Candidate) -> u32 {
    let Some(component) = unit.component() else { return 0 };
    let peers = context.peers();
    let share = shares(&component, peers.iter().chain([own])).get(&context.id).copied().unwrap_or(0);
    match context.clock.now() < context.listens_until {
        true => share.min(unit.standby_count()),
        false => share,
    }
}

fn own(context: &Context) -> Candidate {
    candidate(context, NodeState::new(status::view(context)))
}

fn candidate(context: &Context, state: NodeState) -> Candidate {
    Candidate::new(state, |name: &ComponentName| {
        let component = context.unit(name).and_then(|unit| unit.component());
        component.map_or(0, |component| component.docker.reserve_memory_mib)
    })
}

/// The peers as they are to be reckoned with. A daemon that was started anew may find all that its last run
/// left.
fn candidates(context: &Context, views: &[PeerView], now: Moment) -> Arc<[Candidate]> {
    let before = context.peers();
    let before: HashMap<&NodeId, &NodeState> =
        before.iter().map(|peer| (&peer.state().view.id, peer.state())).collect();
    let state = |peer: &PeerView| {
        let state = NodeState::of(&peer.status);
        let state = match before.get(&state.view.id) {
            Some(last) if state.adopting => state.with_what_runs_of(last),
            _ => state,
        };
        NodeState { silent_for: peer.silent_since.map(|since| now.since(since)), ..state }
    };
    views.iter().map(|peer| candidate(context, state(peer))).collect()
}

/// When silent peers are lost.
fn losses(views: &[PeerView]) -> impl Iterator<Item = Moment> {
    views.iter().filter_map(|peer| Some(peer.silent_since? + LOST_AFTER))
}
