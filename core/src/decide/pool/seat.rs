//! An instance's place in a pool, or a peer's with all the instances that it has: what is under way there,
//! and how busy that makes it in comparison with the others.

use std::fmt;

use super::Limits;
use crate::{
    component::ConcurrencyLimit,
    decide::activity::Activity,
    names::{InstanceId, NodeId},
    time::Moment,
};

/// Where requests can be served, from this node's point of view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An instance of this node.
    Here(InstanceId),
    /// Another node, which chooses among its own instances.
    There(NodeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    InRotation,
    /// Suspect: gets no request until it was checked.
    Held,
    /// Gets no request any more and leaves with its last one.
    Retired,
}

/// Never the least: no request may be given.
pub(super) const OUT: u32 = u32::MAX;
/// The lowest bit of a key: of equally busy seats those here come first.
const THERE: u32 = 1;
/// Loads are compared in so many binary digits of a request per instance: peers with up to 256 instances
/// are told apart by one request.
const FRACTION: u32 = 8;
/// All that is more counts as so much.
const MOST: u32 = (OUT >> 1) - 1;

/// Who sits on a seat.
#[derive(Debug)]
pub(super) struct Occupant<M> {
    pub(super) place: Place,
    pub(super) member: M,
    pub(super) standing: Standing,
    pub(super) work: Work,
}

/// What this node has under way there.
#[derive(Debug)]
pub(super) enum Work {
    Here(Box<Activity>),
    There(Remote),
}

#[derive(Debug)]
pub(super) struct Remote {
    /// In rotation at the peer, as it told.
    pub(super) instances: u32,
    pub(super) level: u32,
    pub(super) told: Option<Told>,
}

/// What a peer told of its load, believed for a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Requests there that are not from here.
    pub(super) others: u32,
    /// Instances that share them.
    pub(super) instances: u32,
    pub(super) until: Moment,
}

/// Whether a key is of a seat at a peer.
#[inline]
pub(super) fn is_there(key: u32) -> bool {
    key & THERE != 0
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Here(id) => write!(f, "{id}"),
            Place::There(node) => write!(f, "node {node}"),
        }
    }
}

// === impl Occupant ===

impl<M> Occupant<M> {
    /// Requests from here that are under way there.
    pub(super) fn level(&self) -> u32 {
        match &self.work {
            Work::Here(activity) => activity.level(),
            Work::There(remote) => remote.level,
        }
    }

    pub(super) fn is_here(&self) -> bool {
        matches!(self.work, Work::Here(_))
    }

    pub(super) fn instances(&self) -> u32 {
        match &self.work {
            Work::Here(_) => 1,
            Work::There(remote) => remote.instances,
        }
    }

    /// How busy the seat is, for comparison; [`OUT`] if it may not be given a request.
    #[inline]
    pub(super) fn key(&self, limits: &Limits) -> u32 {
        if self.standing != Standing::InRotation {
            return OUT;
        }
        let room = match limits.concurrency {
            ConcurrencyLimit::Hard => limits.max_concurrency,
            ConcurrencyLimit::Soft => u32::MAX,
        };
        match &self.work {
            Work::Here(activity) if activity.level() < room => {
                activity.level().min(MOST >> FRACTION) << (FRACTION + 1)
            }
            Work::There(remote) if remote.level < room.saturating_mul(remote.instances) => {
                remote.load() << 1 | THERE
            }
            Work::Here(_) | Work::There(_) => OUT,
        }
    }
}

// === impl Remote ===

impl Remote {
    /// Requests per instance, as far as known.
    fn load(&self) -> u32 {
        let (others, instances) = self.told.map_or((0, self.instances), |told| (told.others, told.instances));
        let load = (u64::from(self.level) + u64::from(others)) << FRACTION;
        u32::try_from(load / u64::from(instances.max(1))).unwrap_or(MOST).min(MOST)
    }
}
