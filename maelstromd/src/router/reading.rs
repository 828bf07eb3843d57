//! What a pool tells: to the control loop what it needs each second, to the API everything.

use std::time::Duration;

use maelstrom_core::{
    decide::{
        activity::{Activity, Window},
        autoscale::{Demand, PANIC_WINDOW, STABLE_WINDOW},
        pool::Standing,
    },
    names::InstanceId,
    time::{Moment, WallTime},
    wire::ComponentActivity,
};

use super::ComponentPool;
use crate::clock;

/// How much a component is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Instances in rotation.
    pub in_rotation: u32,
    pub demand: Demand,
}

/// Everything about a pool.
#[derive(Clone, Debug)]
pub struct PoolReading {
    pub load: Load,
    /// Arrival of who has waited longest.
    pub oldest_waiter: Option<Moment>,
    pub instances: Vec<InstanceReading>,
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

// === impl ComponentPool ===

impl ComponentPool {
    /// For scaling; cheap.
    pub fn load(&self, now: Moment) -> Load {
        let mut state = self.state.lock();
        let pool = &mut state.pool;
        let in_rotation = pool.members().filter(|member| member.standing == Standing::InRotation).count();
        let (in_flight, waiting) = (pool.in_flight(), pool.waiting());
        let waiting_for = pool.waiting_since().map_or(Duration::ZERO, |since| now.since(since));
        let activity = pool.demand();
        let demand = Demand {
            in_flight,
            waiting,
            waiting_for,
            stable: activity.window(STABLE_WINDOW, now),
            panic: activity.window(PANIC_WINDOW, now),
            last_request: activity.last_active(now).map(|last| now.since(last)),
            observed: activity.observed(now),
        };
        Load { in_rotation: u32::try_from(in_rotation).unwrap_or(u32::MAX), demand }
    }

    /// For how long requests have been waiting in spite of an instance in rotation.
    pub fn queue_age(&self, now: Moment) -> Option<Duration> {
        let mut state = self.state.lock();
        let since = state.pool.waiting_since()?;
        let served = state.pool.members().any(|member| member.standing == Standing::InRotation);
        served.then(|| now.since(since))
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
        let instances = state
            .pool
            .members()
            .map(|member| instance(member.id, member.standing, member.activity, now, wall))
            .collect();
        PoolReading { load, oldest_waiter, instances }
    }
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
