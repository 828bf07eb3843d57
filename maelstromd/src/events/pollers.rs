//! Pollers of queues and activities: one mechanism for both.
//!
//! ```text
//!   event sources, instances ──► plan: pollers and their shares
//!                                  │
//!   nodes, owners of roles ────► bids ──► a role per poller ──► turn ──► poll, while it is owned
//! ```
//! The plan is the same on all nodes that know the same; the leases make each poller exclusive. Everything
//! is followed by looking again: what changed only wakes. A poller that is not wanted any more (switched
//! off, moved, the node leaves) begins nothing new, gives back what it has not begun, lets what runs end,
//! and only then gives its role back: the next owner never adds to what the last one still has in flight.

mod around;
mod plan;
mod report;
#[cfg(test)]
mod tests;
mod turn;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use maelstrom_core::{
    decide::poller::{RoleView, Spread},
    names::{EventSourceName, NodeId, Role},
    ports::{BoxFuture, clock::Clock},
    wire,
};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::{Id, JoinSet},
};
use tokio_util::sync::CancellationToken;

pub use around::{Around, NodeAndPeers};
pub use plan::Serving;
pub(super) use report::Report;
pub(super) use turn::Turn;

use self::plan::Kind;
use crate::cluster::{ConfigurationCache, Roles, Source};

/// Instances, nodes and owners are looked at so often; a new configuration at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What one poller is to do.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) source: Arc<Source>,
    /// In flight at most; nothing: it ends.
    pub(super) share: u32,
    /// How long a request may take.
    pub(super) limit: Duration,
}

/// Works as a poller for as long as its turn lasts, and ends with empty hands.
pub(super) trait Poll: Send + Sync {
    fn poll(self: Arc<Self>, turn: Turn) -> BoxFuture<'static, ()>;
}

/// What the pollers of a node stand on.
pub struct PollersParts {
    pub node: NodeId,
    pub configuration: Arc<ConfigurationCache>,
    pub roles: Arc<Roles>,
    pub around: Arc<dyn Around>,
    pub clock: Arc<dyn Clock>,
}

/// The pollers of this node.
pub struct Pollers {
    parts: PollersParts,
    sqs: Arc<dyn Poll>,
    step_functions: Arc<dyn Poll>,
    /// Of the pollers that this node works as, or bids for.
    reports: Mutex<BTreeMap<Role, Arc<Report>>>,
}

/// What the loop knows.
#[derive(Default)]
struct State {
    spread: Spread,
    hands: BTreeMap<Role, watch::Sender<Assignment>>,
    tasks: JoinSet<()>,
    about: HashMap<Id, Role>,
}

// === impl Pollers ===

impl Pollers {
    pub(super) fn new(parts: PollersParts, sqs: Arc<dyn Poll>, step_functions: Arc<dyn Poll>) -> Self {
        Self { parts, sqs, step_functions, reports: Mutex::default() }
    }

    /// Polls until `token` fires, then until all hands are empty.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        let mut state = State::default();
        let mut configuration = self.parts.configuration.subscribe();
        while !token.is_cancelled() {
            configuration.mark_unchanged();
            self.look(&mut state);
            let next = self.parts.clock.now() + LOOK_EVERY;
            tokio::select! {
                () = token.cancelled() => {}
                _ = configuration.changed() => {}
                () = self.parts.clock.sleep_until(next) => {}
                Some(ended) = state.tasks.join_next_with_id() => self.ended(&mut state, ended),
            }
        }
        for hand in state.hands.values() {
            stop(hand);
        }
        while let Some(ended) = state.tasks.join_next_with_id().await {
            self.ended(&mut state, ended);
        }
    }

    /// Makes this node work as the pollers that are its own now.
    fn look(self: &Arc<Self>, state: &mut State) {
        let PollersParts { node, configuration, roles, around, clock } = &self.parts;
        let planned = plan::plan(&configuration.current(), &around.serving());
        let owners: Vec<Option<String>> =
            planned.keys().map(|role| roles.owner_of(role).map(|(owner, _)| owner.to_string())).collect();
        let views: Vec<RoleView<'_>> = planned
            .keys()
            .zip(&owners)
            .map(|(role, owner)| RoleView { role: role.as_str(), owner: owner.as_deref() })
            .collect();
        let nodes = around.nodes();
        let nodes: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
        let bids: Vec<Role> = state
            .spread
            .bids(node.as_str(), &nodes, &views, clock.now())
            .into_iter()
            .map(Role::new)
            .collect();
        for (role, hand) in &state.hands {
            match planned.get(role).filter(|_| bids.contains(role)) {
                Some(assignment) => {
                    hand.send_if_modified(|known| adopt(known, assignment));
                }
                None => stop(hand),
            }
        }
        for role in bids {
            if let (Some(assignment), false) = (planned.get(&role), state.hands.contains_key(&role)) {
                self.start(state, role, assignment.clone());
            }
        }
    }

    fn start(self: &Arc<Self>, state: &mut State, role: Role, assignment: Assignment) {
        let poll = match Kind::of(&assignment.source.source) {
            Some(Kind::Sqs) => self.sqs.clone(),
            Some(Kind::StepFunctions) => self.step_functions.clone(),
            None => return,
        };
        let report = Arc::new(Report::new(&assignment.source.source.name));
        self.reports.lock().insert(role.clone(), report.clone());
        let (hand, assigned) = watch::channel(assignment);
        let wanted = Arc::new(self.parts.roles.want_one(role.clone()));
        let task = state.tasks.spawn(turn::take_turns(poll, wanted, assigned, report));
        state.about.insert(task.id(), role.clone());
        state.hands.insert(role, hand);
    }

    fn ended(&self, state: &mut State, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a poller panicked; it begins anew");
                error.id()
            }
        };
        if let Some(role) = state.about.remove(&id) {
            state.hands.remove(&role);
            self.reports.lock().remove(&role);
        }
    }

    /// What the pollers of an event source do here.
    pub fn report(&self, source: &EventSourceName) -> Vec<wire::PollerInfo> {
        let reports = self.reports.lock();
        let own = reports.iter().filter(|(_, report)| report.source() == source);
        own.filter_map(|(role, report)| {
            let term = self.parts.roles.owns(role)?;
            Some(report.told(role, &self.parts.node, term, self.parts.clock.wall()))
        })
        .collect()
    }

    /// All pollers of an event source that there should be, with their owners as the store told last.
    pub fn planned(&self, source: &EventSourceName) -> Vec<wire::PollerInfo> {
        let planned = plan::plan(&self.parts.configuration.current(), &self.parts.around.serving());
        let of_source =
            planned.into_iter().filter(|(_, assignment)| assignment.source.source.name == *source);
        let info = |(role, assignment): (Role, Assignment)| {
            let owner = self.parts.roles.owner_of(&role);
            wire::PollerInfo {
                node_id: owner.map(|(node, _)| node.to_string()),
                role: role.to_string(),
                share: i64::from(assignment.share),
                ..Default::default()
            }
        };
        of_source.map(info).collect()
    }
}

/// It ends when its hands are empty.
fn stop(hand: &watch::Sender<Assignment>) {
    hand.send_if_modified(|known| std::mem::replace(&mut known.share, 0) != 0);
}

/// Whether something is new.
fn adopt(known: &mut Assignment, planned: &Assignment) -> bool {
    let same = Arc::ptr_eq(&known.source, &planned.source) || known.source == planned.source;
    if same && known.share == planned.share && known.limit == planned.limit {
        return false;
    }
    *known = planned.clone();
    true
}
