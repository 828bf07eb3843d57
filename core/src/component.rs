//! A component as the daemon uses it: checked, with defaults applied and units in types. Parsed once
//! from the wire form; everything past this point can rely on its limits.

mod docker;
mod parse;

pub use docker::*;

use std::{num::NonZeroU32, time::Duration};

use crate::names::{ComponentName, ProjectName};

pub const DEFAULT_MAX_CONCURRENCY: u32 = 1;
pub const DEFAULT_SCALE_UP: f64 = 0.75;
pub const DEFAULT_SCALE_DOWN: f64 = 0.25;
pub const DEFAULT_MAX_DURATION: Duration = Duration::from_secs(300);
/// Waiting requests per component and node; beyond it a client is better served by an error.
pub const DEFAULT_MAX_QUEUE: u32 = 10_000;
pub const DEFAULT_HTTP_PORT: u16 = 8080;
pub const DEFAULT_HEALTH_CHECK_PATH: &str = "/";
pub const DEFAULT_START_HEALTH_CHECK: Duration = Duration::from_secs(60);
pub const DEFAULT_HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(10);
pub const DEFAULT_HEALTH_CHECK_MAX_FAILURES: u32 = 1;
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
pub const DEFAULT_RESERVE_MEMORY_MIB: u64 = 128;

/// A named HTTP service: an image plus how to run, check, scale and limit it.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    pub name: ComponentName,
    pub project: Option<ProjectName>,
    /// Rises by one with each put; instances of another version are replaced.
    pub version: i64,
    /// Unix milliseconds of the last put.
    pub modified_at: i64,
    pub environment: Vec<(String, String)>,
    pub scaling: Scaling,
    /// A request's deadline, counted from its arrival.
    pub max_duration: Duration,
    pub restart_order: RestartOrder,
    pub start_parallelism: StartParallelism,
    pub docker: DockerSpec,
}

/// Limits on instances and concurrency.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    pub min_instances: u32,
    /// `None`: no limit.
    pub max_instances: Option<NonZeroU32>,
    /// `None`: no limit.
    pub max_instances_per_node: Option<NonZeroU32>,
    /// Requests at a time per instance.
    pub max_concurrency: NonZeroU32,
    pub concurrency_limit: ConcurrencyLimit,
    /// Share of capacity above which instances are added, 0..=1.
    pub scale_up: f64,
    /// Share of capacity under which instances are removed, 0..=1.
    pub scale_down: f64,
    /// Paused instances kept ready, per cluster.
    pub standby: u32,
    /// Requests that may wait for a slot, per node.
    pub max_queue: u32,
    /// With no request for so long, the last instance stops.
    pub idle_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencyLimit {
    /// An instance never gets more than `max_concurrency` requests at a time.
    Hard,
    /// `max_concurrency` only drives scaling; requests never wait for a slot of a running instance.
    Soft,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartOrder {
    /// The new instance is healthy before the old one stops.
    StartStop,
    /// The old instance stops first: for components that can't run twice.
    StopStart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartParallelism {
    /// Nodes start instances without regard to each other.
    Parallel,
    /// One start at a time in the whole cluster.
    Series,
    /// The first instance of a version alone, then all.
    SeriesFirst,
}

// === impl Component ===

impl Component {
    /// Requests that `instances` can serve at a time.
    pub fn capacity(&self, instances: u32) -> u64 {
        u64::from(self.scaling.max_concurrency.get()) * u64::from(instances)
    }
}

impl RestartOrder {
    pub const NAMES: [&'static str; 2] = ["startstop", "stopstart"];

    pub fn name(self) -> &'static str {
        match self {
            Self::StartStop => "startstop",
            Self::StopStart => "stopstart",
        }
    }
}

impl StartParallelism {
    pub const NAMES: [&'static str; 3] = ["parallel", "series", "seriesfirst"];

    pub fn name(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Series => "series",
            Self::SeriesFirst => "seriesfirst",
        }
    }
}
