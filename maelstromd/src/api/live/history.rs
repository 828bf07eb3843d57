//! The requests of each component on this node: rates of the last seconds, and one hour in steps of ten
//! seconds. Counters are read each tick; the request path knows nothing of it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use maelstrom_core::{
    decide::traffic::{self, Counted},
    names::ComponentName,
    ports::clock::Clock,
    wire::{ComponentTraffic, Traffic, TrafficSample},
};
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::TICK;
use crate::router::Router;

/// A step of what is remembered.
pub(super) const STEP_MILLIS: i64 = 10_000;
/// An hour. A step of a busy component takes some 150 bytes, so that five hundred of them take 27 MB and
/// idle ones nothing.
const STEPS: i64 = 360;
/// Rates are those of so many ticks: 10 s.
const WINDOW: usize = 5;
const TICK_MILLIS: i64 = TICK.as_millis() as i64;

/// What the node remembers of its components' requests.
pub struct History {
    router: Arc<Router>,
    clock: Arc<dyn Clock>,
    tracks: Mutex<HashMap<ComponentName, Track>>,
}

#[derive(Default)]
struct Track {
    counted: Counted,
    /// Of the last ticks, the newest last, with how long each took.
    recent: VecDeque<(i64, Traffic)>,
    /// When the counters were read last.
    read_at: Option<i64>,
    steps: VecDeque<Step>,
    now: Level,
}

/// How it stands at one moment.
#[derive(Clone, Copy, Default)]
struct Level {
    in_flight: i64,
    waiting: i64,
    waiting_for_millis: i64,
    instances: i64,
}

struct Step {
    time: i64,
    traffic: Traffic,
    in_flight_sum: i64,
    ticks: i64,
    waiting: i64,
    instances: i64,
}

// === impl History ===

impl History {
    pub fn new(router: Arc<Router>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { router, clock, tracks: Mutex::default() })
    }

    /// Counts until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    fn tick(&self) {
        let pools = self.router.pools();
        let (now, wall) = (self.clock.now(), self.clock.wall().as_millis());
        let mut tracks = self.tracks.lock();
        tracks.retain(|name, _| pools.binary_search_by(|pool| pool.name().cmp(name)).is_ok());
        for pool in &pools {
            let load = pool.load(now);
            let level = Level {
                in_flight: i64::from(load.demand.in_flight),
                waiting: i64::from(load.demand.waiting),
                waiting_for_millis: i64::try_from(load.demand.waiting_for.as_millis()).unwrap_or(i64::MAX),
                instances: i64::from(load.in_rotation),
            };
            tracks.entry(pool.name().clone()).or_default().tick(pool.metrics().counted(), level, wall);
        }
    }

    /// Of the last seconds, by component; those with nothing to tell are left out.
    pub(super) fn traffic(&self) -> Vec<ComponentTraffic> {
        let tracks = self.tracks.lock();
        tracks.iter().filter_map(|(name, track)| track.traffic(name)).collect()
    }

    /// Of the last hour, oldest first.
    pub(super) fn samples(&self, component: &ComponentName) -> Vec<TrafficSample> {
        let tracks = self.tracks.lock();
        tracks.get(component).map(|track| track.steps.iter().map(Step::sample).collect()).unwrap_or_default()
    }
}

// === impl Track ===

impl Track {
    fn tick(&mut self, counted: Counted, level: Level, wall: i64) {
        let traffic = counted.since(&self.counted);
        // Of a pool that was made since the last tick all that it counted came since then.
        let took = self.read_at.map_or(TICK_MILLIS, |then| (wall - then).max(1));
        self.counted = counted;
        self.read_at = Some(wall);
        self.now = level;
        self.remember(&traffic, level, wall);
        self.recent.push_back((took, traffic));
        while self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
    }

    fn remember(&mut self, traffic: &Traffic, level: Level, wall: i64) {
        let time = wall.div_euclid(STEP_MILLIS) * STEP_MILLIS;
        let oldest = time - STEPS * STEP_MILLIS;
        while self.steps.front().is_some_and(|step| step.time <= oldest) {
            self.steps.pop_front();
        }
        let idle = traffic::is_empty(traffic) && level.in_flight + level.waiting + level.instances == 0;
        // A clock that was set back goes on in the last step.
        let open = self.steps.back_mut().filter(|step| step.time >= time);
        match open {
            Some(step) => step.add(traffic, level),
            None if idle => {}
            None => {
                let mut step = Step {
                    time,
                    traffic: Traffic::default(),
                    in_flight_sum: 0,
                    ticks: 0,
                    waiting: 0,
                    instances: 0,
                };
                step.add(traffic, level);
                self.steps.push_back(step);
            }
        }
    }

    fn traffic(&self, name: &ComponentName) -> Option<ComponentTraffic> {
        let mut sum = Traffic::default();
        let mut window_millis = 0;
        for (took, traffic) in &self.recent {
            window_millis += took;
            traffic::add(&mut sum, traffic);
        }
        let Level { in_flight, waiting, waiting_for_millis, .. } = self.now;
        let silent = traffic::is_empty(&sum) && in_flight + waiting == 0;
        (!silent).then(|| ComponentTraffic {
            component_name: name.to_string(),
            window_millis,
            traffic: sum,
            in_flight,
            waiting,
            waiting_for_millis,
        })
    }
}

// === impl Step ===

impl Step {
    fn add(&mut self, traffic: &Traffic, level: Level) {
        traffic::add(&mut self.traffic, traffic);
        self.in_flight_sum += level.in_flight;
        self.ticks += 1;
        self.waiting = self.waiting.max(level.waiting);
        self.instances = level.instances;
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of requests for people")]
    fn sample(&self) -> TrafficSample {
        TrafficSample {
            time: self.time,
            traffic: self.traffic.clone(),
            in_flight: self.in_flight_sum as f64 / self.ticks.max(1) as f64,
            waiting: self.waiting,
            instances: self.instances,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(requests: u64) -> Counted {
        let mut counted = Counted { requests, ..Default::default() };
        counted.durations[12] = requests;
        counted
    }

    fn level(in_flight: i64) -> Level {
        Level { in_flight, instances: 1, ..Default::default() }
    }

    #[test]
    fn an_hour_is_kept_in_steps_and_no_more() {
        let mut track = Track::default();
        for tick in 0..10_000 {
            track.tick(counted(tick + 1), level(4), i64::try_from(tick).unwrap() * TICK_MILLIS);
        }
        assert_eq!(track.steps.len(), 360);
        let sample = track.steps[100].sample();
        assert_eq!((sample.traffic.requests, sample.traffic.durations.as_slice()), (5, &[(12, 5)][..]));
        assert!((sample.in_flight - 4.0).abs() < 1e-9);
        assert_eq!(sample.time % STEP_MILLIS, 0);
    }

    #[test]
    fn rates_are_those_of_the_last_ten_seconds() {
        let name = ComponentName::parse("web").unwrap();
        let mut track = Track::default();
        for tick in 0..20 {
            track.tick(counted(7 * (tick + 1)), level(0), i64::try_from(tick).unwrap() * TICK_MILLIS);
        }
        let told = track.traffic(&name).unwrap();
        assert_eq!((told.window_millis, told.traffic.requests), (10_000, 35));
    }

    #[test]
    fn of_what_is_idle_nothing_is_kept() {
        let mut track = Track::default();
        track.tick(Counted::default(), Level::default(), 0);
        assert!(track.steps.is_empty() && track.traffic(&ComponentName::parse("web").unwrap()).is_none());
        track.tick(counted(1), Level::default(), 2_000);
        for tick in 2..100 {
            track.tick(counted(1), Level::default(), tick * TICK_MILLIS);
        }
        assert_eq!(track.steps.len(), 1);
        assert!(track.traffic(&ComponentName::parse("web").unwrap()).is_none());
    }

    #[test]
    fn a_clock_set_back_breaks_nothing() {
        let mut track = Track::default();
        track.tick(counted(1), level(1), 100_000);
        track.tick(counted(2), level(1), 50_000);
        assert_eq!(track.steps.len(), 1);
        assert_eq!(track.traffic(&ComponentName::parse("web").unwrap()).unwrap().traffic.requests, 2);
    }
}
