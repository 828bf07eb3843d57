//! A whole cluster in one thread: the machines of `decide` on simulated nodes, with clocks of their own, a
//! network, a store and container engines that fail, and requests that must be served all the same.
//!
//! ```text
//!   agenda ──next happening──► a node's driver ──► a machine of `decide` ──► calls, orders, timers ──► agenda
//!     ▲                                                                                     │
//!     └── faults, arrivals of requests                     promises are checked ◄───────────┘
//! ```
//! The drivers ([`roles`], [`peers`], [`control`], [`units`], [`router`], [`cron`], [`leaving`]) are thin
//! copies of the daemon's loops: same order of steps, same bounds, no decision of their own. Everything is a
//! function of the seed, so a broken promise can be played again, then with a trace.
//!
//! True time is in microseconds; a node sees only its own clock.

mod agenda;
mod calls;
mod chance;
mod coming;
mod control;
mod cron;
mod decider;
mod engine;
mod faults;
mod goal;
mod leaving;
mod life;
mod messages;
mod network;
mod node;
mod peers;
mod promises;
mod relay;
mod report;
mod roles;
mod rotation;
mod router;
mod status;
mod stored;
mod units;
mod workload;
mod world;

use std::{fmt, time::Duration};

pub use report::{Report, Traffic};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Story {
    pub seed: u64,
    /// At the beginning; others may join.
    pub nodes: usize,
    pub components: usize,
    /// For so long things go wrong; then they don't, and the cluster has to come to rest.
    pub trouble: Duration,
    /// Goes on for so long after the cluster came to rest.
    pub rest: Duration,
    pub faults: Faults,
    /// Breaks a rule on purpose, to see that it is noticed.
    pub planted: Option<Planted>,
    /// Bytes of messages are counted, too.
    pub weigh: bool,
    /// Changes of instances per minute in the whole cluster while nothing is wrong; 0: none.
    pub deploys: bool,
}

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Everything.
    All,
    /// Nothing: only requests arrive.
    None,
    /// The store goes away for all of the trouble, and nothing else happens.
    StoreAway,
    /// Nodes drain, leave and come back one after the other.
    Drains,
    /// Daemons die and are started again.
    Kills,
    /// Whoever decides is restarted, while what it has just ordered is late.
    Handovers,
    /// Owners of roles can't reach the store, while clocks differ in speed as much as they may.
    Lapses,
    /// Whoever decides is cut off together with another node, while more is asked for.
    Splits,
}

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Nodes take orders of any term.
    NoFencing,
    /// Owners act until the very end of their lease by their own clock.
    NoMargin,
    /// What came last is believed, whatever its run and version.
    NoVersions,
    /// A node that leaves stops its instances with requests on them.
    StopsAtOnce,
    /// Instances get one request more at a time than they may.
    Crowds,
    /// Cron rules fire without a claim.
    NoClaims,
    /// What runs on silent nodes is forgotten at once.
    ForgetsSilent,
    /// Owners add what is limited as if their right had been confirmed just now.
    TrustsItsRight,
    /// A configuration that can't be read is taken as an empty one.
    EmptyWhenAway,
}

/// A promise was broken.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    pub at: Duration,
    pub promise: String,
    /// What happened before, the newest last.
    pub trace: Vec<String>,
}

// === impl Faults ===

impl Faults {
    pub const ALL_KINDS: [Self; 8] = [
        Self::All,
        Self::None,
        Self::StoreAway,
        Self::Drains,
        Self::Kills,
        Self::Handovers,
        Self::Lapses,
        Self::Splits,
    ];
}

// === impl Story ===

impl Story {
    /// A minute of everything on a few nodes.
    pub fn new(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            nodes,
            components: 3,
            trouble: Duration::from_secs(60),
            rest: Duration::ZERO,
            faults: Faults::All,
            planted: None,
            weigh: false,
            deploys: false,
        }
    }

    /// Plays it; if a promise breaks, plays it again and keeps a trace.
    pub fn run(&self) -> Result<Report, Box<Broken>> {
        match world::World::new(self, false).run() {
            Ok(report) => Ok(report),
            Err(first) => match world::World::new(self, true).run() {
                Err(traced) => Err(traced),
                Ok(_) => Err(Box::new(Broken {
                    promise: format!("{} (and not again: the story is not only its seed's)", first.promise),
                    ..*first
                })),
            },
        }
    }
}

// === impl Broken ===

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {} at {:.3} s: {}", self.seed, self.at.as_secs_f64(), self.promise)
    }
}
