//! What the scheduler looks at: plain data, of the nodes as they told it, of the components as they are
//! asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    component::Component,
    decide::{autoscale::Demand, lease::Term, placement::NodeView},
    names::{ComponentName, NodeId},
    wire::NodeStatus,
};

/// Everything that a pass decides on.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The term in which the decider acts in role `placement`; another one begins with an empty memory.
    pub term: Term,
    /// How long ago the heartbeat was sent that was confirmed last: nobody else decides as of then.
    pub confirmed_ago: Duration,
    /// Sorted by name.
    pub components: Vec<ComponentState>,
    /// Nodes that have not left, in any order.
    pub nodes: Vec<NodeState>,
}

/// A component and how much it is asked for on all nodes together.
#[derive(Clone, Debug)]
pub struct ComponentState {
    pub component: Arc<Component>,
    pub demand: Demand,
    /// Instances that take requests.
    pub in_rotation: u32,
    /// Requests wait somewhere where nothing serves it.
    pub starving: bool,
}

/// A node as it told of itself last.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    pub view: NodeView,
    /// Names the run of its daemon: versions of one run say nothing about another's.
    pub incarnation: Arc<str>,
    /// What runs there is not known: this run has not looked yet at what earlier ones left, or it lives and
    /// could never tell.
    pub adopting: bool,
    /// For how long it has not answered; `None`: it does.
    pub silent_for: Option<Duration>,
    /// It is silent and lives: its heartbeats go on.
    pub beats: bool,
    /// It takes no more orders of older terms, so that what it told can't be changed by others any more.
    pub fenced: bool,
    /// How long ago it came.
    pub known_for: Duration,
    /// What runs on it.
    pub instances: BTreeMap<ComponentName, Instances>,
    /// Components whose starts fail on it.
    pub failing: BTreeSet<ComponentName>,
}

/// Live instances of a component on a node, paused ones aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    /// In rotation.
    pub serving: u32,
    /// Not yet, or not before they were checked.
    pub starting: u32,
    /// Finishing their requests, or stopping.
    pub ending: u32,
}

// === impl World ===

impl World {
    pub fn component(&self, name: &ComponentName) -> Option<&ComponentState> {
        let index = self.components.binary_search_by(|state| state.component.name.cmp(name)).ok()?;
        self.components.get(index)
    }
}

// === impl NodeState ===

impl NodeState {
    /// A node of which nothing but its view is known: it answers and takes orders.
    pub fn new(view: NodeView) -> Self {
        Self {
            view,
            incarnation: Arc::from(""),
            adopting: false,
            silent_for: None,
            beats: false,
            fenced: true,
            known_for: Duration::MAX,
            instances: BTreeMap::new(),
            failing: BTreeSet::new(),
        }
    }

    /// A node as its status tells. Names that are none are left out.
    pub fn of(status: &NodeStatus) -> Self {
        let mut state = Self::new(view(status));
        state.incarnation = Arc::from(status.incarnation.as_deref().unwrap_or_default());
        // Before its first status nothing is known of it; every run begins with version 1.
        state.adopting = status.adopting == Some(true) || status.version == 0;
        state.failing = status.failures.iter().filter_map(|f| name(&f.component_name)).collect();
        for running in status.running_components.iter().filter(|running| running.standby != Some(true)) {
            let Some(name) = name(&running.component_name) else { continue };
            let instances = state.instances.entry(name).or_default();
            match running.status.as_str() {
                "active" if running.suspect != Some(true) => instances.serving += 1,
                "active" | "starting" => instances.starting += 1,
                _ => instances.ending += 1,
            }
        }
        state
    }

    /// What is to be reckoned with while this run has not told what it has: all that the last one had.
    pub fn with_what_runs_of(mut self, last: &Self) -> Self {
        self.view = NodeView { id: self.view.id, ..last.view.clone() };
        self.instances.clone_from(&last.instances);
        self.adopting = false;
        self
    }

    /// It may have been told to run more than it is known to: by nobody's order of this term, then.
    pub(super) fn is_obscure(&self) -> bool {
        self.adopting || self.beats && !self.fenced
    }

    pub(super) fn instances_of(&self, component: &ComponentName) -> Instances {
        self.instances.get(component).copied().unwrap_or_default()
    }
}

fn view(status: &NodeStatus) -> NodeView {
    let counts = |count: fn(&crate::wire::TargetInfo) -> i64| {
        let told = status.targets.iter();
        told.filter_map(|told| Some((name(&told.component_name)?, count32(count(told))))).collect()
    };
    NodeView {
        id: NodeId::new(status.node_id.as_str()),
        version: status.version,
        total_memory_mib: count64(status.total_memory_mib),
        other_memory_mib: count64(status.other_memory_mib.unwrap_or(0)),
        targets: counts(|told| told.target_count),
        standby: counts(|told| told.standby),
        draining: status.draining == Some(true),
        load: status.load_avg_1m / status.num_cpus.max(1) as f64,
    }
}

fn name(text: &str) -> Option<ComponentName> {
    ComponentName::parse(text).ok()
}

fn count32(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn count64(number: i64) -> u64 {
    u64::try_from(number.max(0)).unwrap_or_default()
}

// === impl Instances ===

impl Instances {
    pub fn live(self) -> u32 {
        self.serving + self.starting + self.ending
    }
}
