//! A simulated machine and the daemon that may run on it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    control::Control,
    cron::Cron,
    engine::Container,
    leaving::LIMITS,
    messages::{Packet, Pending},
    peers::Link,
    router::Pool,
    units::Unit,
};
use crate::{
    component::Component,
    decide::{
        drain::{Drain, Step},
        lease::{Bid, Lease, LeaseSettings, Tenure, Term},
        membership::{Membership, PeerView},
    },
    names::{ComponentName, NodeId, Role},
    ports::store::{Heartbeat, Revision, RoleRecord},
    time::{Moment, WallTime},
    wire::NodeStatus,
};

/// A node that gives no sign of life for so long leaves; five minutes in the daemon, by default.
pub(super) const LIVENESS: Duration = Duration::from_secs(30);
/// `cluster::roles::RolesSettings`.
pub(super) const LEASE: Duration = Duration::from_secs(14);
/// 2026 in Unix milliseconds.
const EPOCH: i64 = 1_767_225_600_000;

/// A machine.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) memory_mib: u64,
    pub(super) clock: NodeClock,
    /// Without power nothing is there, and nothing answers.
    pub(super) powered: bool,
    /// Nothing of the daemon happens before this.
    pub(super) frozen_until: u64,
    /// Of daemons so far.
    pub(super) runs: u64,
    pub(super) daemon: Option<Box<Daemon>>,
    /// Survive the daemon.
    pub(super) containers: BTreeMap<u64, Container>,
    /// What came while a daemon was being replaced by another one that gets its sockets.
    pub(super) door: Option<Vec<Packet>>,
    /// It shall come back.
    pub(super) returns: bool,
    /// When something was wrong with it last.
    pub(super) disturbed: u64,
    /// Since when others may take it for dead.
    pub(super) cut_since: Option<u64>,
    /// When that ended last.
    pub(super) cut_until: u64,
    /// Components whose starts fail here, and until when.
    pub(super) failing: BTreeMap<ComponentName, u64>,
    /// Somebody wants it empty: so it stays over a restart.
    pub(super) stays_empty: bool,
    /// The load balancer sends requests here.
    pub(super) balanced: bool,
}

/// Clocks differ by hours, and run up to a percent too fast or too slow.
#[derive(Clone, Debug)]
pub(super) struct NodeClock {
    /// Nanoseconds at true time zero, and per true millisecond.
    pub(super) offset: u64,
    pub(super) speed: u64,
    /// Milliseconds.
    pub(super) wall_offset: i64,
}

/// A run of a daemon.
pub(super) struct Daemon {
    pub(super) run: u64,
    pub(super) incarnation: Arc<str>,
    pub(super) started_at: i64,
    pub(super) lease: Lease,
    pub(super) roles: Roles,
    pub(super) membership: Membership,
    pub(super) links: BTreeMap<NodeId, Link>,
    /// Number of the last announcement of its status, and the status.
    pub(super) announced: (u64, Option<Arc<NodeStatus>>),
    pub(super) announcing: bool,
    pub(super) noticing: bool,
    pub(super) configuration: Arc<Snapshot>,
    pub(super) control: Control,
    pub(super) units: BTreeMap<ComponentName, Unit>,
    /// Containers of an earlier run that end and that no instance owns.
    pub(super) leftovers: BTreeMap<u64, Arc<Component>>,
    pub(super) pools: BTreeMap<ComponentName, Pool>,
    pub(super) cron: Cron,
    /// Rises with what peers have to know.
    pub(super) version: i64,
    /// The highest term of role `placement` it has heard of.
    pub(super) term: Term,
    pub(super) serials: u64,
    /// It has looked at what earlier runs left, and acts.
    pub(super) begun: bool,
    pub(super) drain: Drain,
    /// Peers hear that they should place nothing here.
    pub(super) draining: bool,
    /// Peers relay nothing here any more.
    pub(super) closed_to_peers: bool,
    pub(super) closing: bool,
    /// It takes no new requests.
    pub(super) gateway_closed: bool,
    pub(super) leaving: Option<Leaving>,
    pub(super) calls: BTreeMap<u64, Pending>,
    pub(super) store_calls: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// It is started again after this time.
    pub(super) back: Option<u64>,
    /// It restarts in place and keeps its containers.
    pub(super) keep: bool,
    pub(super) step: Option<Step>,
    pub(super) since: Moment,
}

/// What the driver of roles keeps.
pub(super) struct Roles {
    pub(super) wanted: BTreeMap<Role, u32>,
    pub(super) returned: VecDeque<Bid>,
    pub(super) reading: Reading,
    pub(super) heartbeats_due: Moment,
    pub(super) beat_due: Moment,
    pub(super) looking: bool,
    /// Woken while it looked.
    pub(super) again: bool,
    pub(super) failing: bool,
    pub(super) leaving: bool,
    /// Roles are left to others for the time being.
    pub(super) abstains: bool,
    /// When the next look is planned.
    pub(super) look_at: u64,
    pub(super) told: BTreeMap<Role, Term>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) heartbeats: Arc<Vec<Heartbeat>>,
    pub(super) roles: Arc<Vec<RoleRecord>>,
    pub(super) asked: Moment,
}

/// A configuration, parsed.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) revision: Revision,
    pub(super) components: BTreeMap<ComponentName, Arc<Component>>,
}

// === impl Node ===

impl Node {
    pub(super) fn id_of(index: usize) -> NodeId {
        NodeId::new(format!("n{index:03}"))
    }

    pub(super) fn index_of(id: &NodeId) -> usize {
        id.as_str().get(1..).and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
    }

    pub(super) fn is_up(&self) -> bool {
        self.powered && self.daemon.is_some()
    }

    pub(super) fn is_frozen(&self, now: u64) -> bool {
        self.frozen_until > now
    }
}

// === impl NodeClock ===

impl NodeClock {
    pub(super) fn now(&self, at: u64) -> Moment {
        let nanos = u128::from(at) * u128::from(self.speed) / 1_000;
        Moment::from_nanos(self.offset + u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(super) fn wall(&self, at: u64) -> WallTime {
        let since = i64::try_from(at / 1_000).unwrap_or(i64::MAX);
        WallTime::from_millis(EPOCH + since + self.wall_offset)
    }

    /// The first true time at which the clock shows `moment` or later.
    pub(super) fn when(&self, moment: Moment) -> u64 {
        let nanos = u128::from(moment.as_nanos().saturating_sub(self.offset));
        let at = (nanos * 1_000).div_ceil(u128::from(self.speed));
        // Not in a time that no seed lives to see.
        u64::try_from(at).unwrap_or(u64::MAX).min(u64::MAX / 2)
    }
}

// === impl Roles ===

impl Roles {
    pub(super) fn takes_none(&self) -> bool {
        self.leaving || self.abstains
    }

    /// What it bids for.
    pub(super) fn wants(&self) -> Vec<Role> {
        if self.takes_none() { Vec::new() } else { self.wanted.keys().cloned().collect() }
    }
}

// === impl Daemon ===

impl Daemon {
    pub(super) fn new(node: &Node, at: u64, margin: Duration) -> Self {
        let run = node.runs;
        let wall = node.clock.wall(at).as_millis();
        let incarnation: Arc<str> = Arc::from(format!("{wall:013}-{run:03}"));
        let settings = LeaseSettings { duration: LEASE, margin };
        let role = |name: &str| (Role::new(name), 1);
        Self {
            run,
            lease: Lease::new(node.id.clone(), incarnation.to_string(), Tenure::Contended, settings),
            incarnation,
            started_at: wall,
            roles: Roles {
                wanted: BTreeMap::from([role(super::control::ROLE), role(super::cron::ROLE)]),
                returned: VecDeque::new(),
                reading: Reading::default(),
                heartbeats_due: Moment::ZERO,
                beat_due: Moment::ZERO,
                looking: false,
                again: false,
                failing: false,
                leaving: false,
                abstains: false,
                look_at: 0,
                told: BTreeMap::new(),
            },
            membership: Membership::new(node.id.clone(), LIVENESS),
            links: BTreeMap::new(),
            announced: (0, None),
            announcing: false,
            noticing: false,
            configuration: Arc::default(),
            control: Control::default(),
            units: BTreeMap::new(),
            leftovers: BTreeMap::new(),
            pools: BTreeMap::new(),
            cron: Cron::default(),
            version: 1,
            term: Term(0),
            serials: 0,
            begun: false,
            drain: Drain::new(LIMITS),
            draining: false,
            closed_to_peers: false,
            closing: false,
            gateway_closed: false,
            leaving: None,
            calls: BTreeMap::new(),
            store_calls: BTreeSet::new(),
        }
    }

    pub(super) fn owns(&self, role: &Role, now: Moment) -> Option<Term> {
        self.lease.owns(role, now)
    }

    /// Peers that can be reached and stay: they can take what runs here.
    pub(super) fn has_others(&self) -> bool {
        let stays = |peer: &PeerView| peer.silent_since.is_none() && peer.status.draining != Some(true);
        self.membership.view().iter().any(stays)
    }

    /// Instances that are there in any state.
    pub(super) fn instances(&self) -> usize {
        self.units.values().map(|unit| unit.instances.len()).sum()
    }
}
