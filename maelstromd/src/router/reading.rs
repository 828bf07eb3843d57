//! What a pool tells: to the control loop what it needs each second, to the API everything.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        activity::{Activity, Window},
        autoscale::{self, Demand, PANIC_WINDOW, STABLE_WINDOW},
        pool::{Member, Place, Standing},
    },
    names::{InstanceId, NodeId},
    time::{Moment, WallTime},
    wire::ComponentActivity,
};

use super::{ComponentPool, slot::Seated};
use crate::clock;

/// How much a component is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Instances of this node in rotation.
    pub in_rotation: u32,
    /// Of this node: what runs on its instances, and who waits here. What was relayed to a peer is that
    /// peer's demand.
    pub demand: Demand,
}

/// Everything about a pool.
#[derive(Clone, Debug)]
pub struct PoolReading {
    pub load: Load,
    /// Arrival of who has waited longest.
    pub oldest_waiter: Option<Moment>,
    pub instances: Vec<InstanceReading>,
    pub peers: Vec<PeerReading>,
}

#[derive(Clone, Debug)]
pub struct InstanceReading {
    pub id: InstanceId,
    pub standing: Standing,
    pub in_flight: u32,
    pub total_requests: u64,
    /// Now while a request runs; `None`: there was none yet.
    pub last_active: Option<Moment>,
    /// The same as Unix time.
    pub last_request: Option<WallTime>,
    pub stable: Window,
    pub panic: Window,
    /// Newest first, at most ten, 20 s each.
    pub activity: Vec<ComponentActivity>,
}

/// What this node has to do with a component's instances at a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReading {
    pub node: NodeId,
    pub standing: Standing,
    /// In rotation there.
    pub instances: u32,
    /// Requests from here that run or wait there.
    pub in_flight: u32,
}

// === impl ComponentPool ===

impl ComponentPool {
    /// For scaling; cheap.
    pub fn load(&self, now: Moment) -> Load {
        let mut state = self.state.lock();
        let pool = &mut state.pool;
        let in_rotation = in_rotation(pool.members());
        Load { in_rotation, demand: Demand::of(pool, now) }
    }

    /// What a peer is told with an answer: requests that run or wait here, and the instances for them.
    pub(crate) fn told(&self) -> (u32, u32) {
        let mut state = self.state.lock();
        (state.pool.demand().level(), in_rotation(state.pool.members()))
    }

    /// Time until those who wait count as a queue. `None`: nobody waits, or they count already.
    pub fn queue_patience(&self, now: Moment) -> Option<Duration> {
        let mut state = self.state.lock();
        let waited = now.since(state.pool.waiting_since()?);
        let served = state.pool.members().any(|member| member.standing == Standing::InRotation);
        autoscale::queue_patience(u32::from(served)).checked_sub(waited)
    }

    /// Counts as a request for the idle timeout: somebody asked for the component to be there.
    pub fn touch(&self, now: Moment) {
        self.state.lock().pool.demand().touch(now);
    }

    /// For the API and for people.
    pub fn reading(&self, now: Moment) -> PoolReading {
        let load = self.load(now);
        let wall = clock::wall();
        let mut state = self.state.lock();
        let oldest_waiter = state.pool.first_waiter().map(|waiter| waiter.arrived);
        let (mut instances, mut peers) = (Vec::new(), Vec::new());
        for Member { place, standing, instances: count, in_flight, activity, .. } in state.pool.members() {
            match (place, activity) {
                (Place::Here(id), Some(activity)) => {
                    instances.push(instance(id, standing, activity, now, wall));
                }
                (Place::There(node), _) => {
                    peers.push(PeerReading { node: node.clone(), standing, instances: count, in_flight });
                }
                (Place::Here(_), None) => {}
            }
        }
        PoolReading { load, oldest_waiter, instances, peers }
    }
}

/// Of this node.
fn in_rotation<'a>(members: impl Iterator<Item = Member<'a, Arc<Seated>>>) -> u32 {
    let here = |member: &Member<'_, _>| {
        member.standing == Standing::InRotation && matches!(member.place, Place::Here(_))
    };
    u32::try_from(members.filter(here).count()).unwrap_or(u32::MAX)
}

fn instance(
    id: &InstanceId,
    standing: Standing,
    activity: &mut Activity,
    now: Moment,
    wall: WallTime,
) -> InstanceReading {
    let last_active = activity.last_active(now);
    let ago = |moment: Moment| i64::try_from(now.since(moment).as_millis()).unwrap_or(i64::MAX);
    InstanceReading {
        id: id.clone(),
        standing,
        in_flight: activity.level(),
        total_requests: activity.requests(),
        last_active,
        last_request: last_active.map(|moment| WallTime::from_millis(wall.as_millis() - ago(moment))),
        stable: activity.window(STABLE_WINDOW, now),
        panic: activity.window(PANIC_WINDOW, now),
        activity: activity
            .report(now)
            .into_iter()
            .map(|cell| ComponentActivity {
                requests: i64::try_from(cell.requests).unwrap_or(i64::MAX),
                concurrency: cell.concurrency,
            })
            .collect(),
    }
}
