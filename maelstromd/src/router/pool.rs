//! One component's instances and waiters: the shell around `decide::pool`. One lock, held for
//! nanoseconds; answers are sent, tokens fired and the control loop woken after it was let go.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use maelstrom_core::{
    component::Component,
    decide::pool::{Handover, Limits, Pool, Seat, Standing, Ticket},
    names::{ComponentName, InstanceId},
    time::Moment,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    AcquireError, Ask, ColdStart, Endpoint, Phase, Slot, StartFailure,
    acquire::{Waiter, Waiting},
    slot::Seated,
};
use crate::{clock, gateway::ComponentMetrics, journal::Journal};

/// What waiting requests of one component may hold together: enough for ten thousand requests with
/// ordinary headers, little enough that a dozen components under attack don't take a machine down.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// The instances and waiters of one component on this node.
#[derive(Debug)]
pub struct ComponentPool {
    name: ComponentName,
    component: ArcSwap<Component>,
    metrics: ComponentMetrics,
    pub(super) state: Mutex<State>,
    journal: Arc<Journal>,
    demand: Arc<Notify>,
    /// Rises with every instance that becomes suspect.
    suspected: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pool: Pool<Arc<Seated>, Waiter>,
    /// Set: who comes is turned away.
    closed: Option<AcquireError>,
    /// A failed start, answered until its time is over or an instance comes.
    refused: Option<StartFailure>,
    /// Set while somebody waits and there is no instance.
    cold_start: Option<Arc<ColdStart>>,
}

/// An instance that gets no new requests. Dropping it changes nothing: it stays retired.
#[derive(Debug)]
pub struct Retired {
    pool: Arc<ComponentPool>,
    id: InstanceId,
    left: Option<CancellationToken>,
}

enum Entered {
    Slot(Slot),
    Line(Waiting),
}

type Handovers = Vec<Handover<Arc<Seated>, Waiter>>;

// === impl ComponentPool: requests ===

impl ComponentPool {
    pub(super) fn new(component: Arc<Component>, journal: Arc<Journal>, demand: Arc<Notify>) -> Arc<Self> {
        let pool = Pool::new(limits(&component), clock::now());
        Arc::new(Self {
            name: component.name.clone(),
            component: ArcSwap::new(component),
            metrics: ComponentMetrics::default(),
            state: Mutex::new(State { pool, closed: None, refused: None, cold_start: None }),
            journal,
            demand,
            suspected: watch::Sender::new(0),
        })
    }

    pub fn name(&self) -> &ComponentName {
        &self.name
    }

    /// What the gateway counts of its requests.
    #[inline]
    pub fn metrics(&self) -> &ComponentMetrics {
        &self.metrics
    }

    /// The component's settings as last configured.
    pub fn component(&self) -> Arc<Component> {
        self.component.load_full()
    }

    /// Time that a request may take, without taking a reference to all settings.
    #[inline]
    pub fn max_duration(&self) -> Duration {
        self.component.load().max_duration
    }

    /// A slot, at once or in line. Dropping the future leaves the line.
    #[inline]
    pub async fn acquire(self: &Arc<Self>, ask: Ask) -> Result<Slot, AcquireError> {
        match self.enter(&ask)? {
            Entered::Slot(slot) => Ok(slot),
            Entered::Line(waiting) => waiting.answered(ask.deadline.since(ask.now)).await,
        }
    }

    fn enter(self: &Arc<Self>, ask: &Ask) -> Result<Entered, AcquireError> {
        if ask.deadline <= ask.now {
            return Err(AcquireError::DeadlinePassed);
        }
        let mut state = self.state.lock();
        if let Some(closed) = &state.closed {
            return Err(closed.clone());
        }
        if let Some(grant) = state.pool.take(ask.avoid.as_ref(), ask.now) {
            drop(state);
            let slot = Slot::new(Arc::clone(self), grant.member, grant.seat, Duration::ZERO, None);
            return Ok(Entered::Slot(slot));
        }
        self.line_up(&mut state, ask).map(Entered::Line)
    }

    #[cold]
    fn line_up(self: &Arc<Self>, state: &mut State, ask: &Ask) -> Result<Waiting, AcquireError> {
        if let Some(refused) = &state.refused
            && ask.now < refused.until
        {
            return Err(AcquireError::StartFailed(refused.clone()));
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = state
            .pool
            .wait(Waiter { arrived: ask.now, answer: sender }, ask.bytes_held, ask.now)
            .map_err(|reason| AcquireError::QueueFull { component: self.name.clone(), reason })?;
        state.refused = None;
        self.ask_for_instance(state, ask.now);
        Ok(Waiting { pool: Arc::clone(self), ticket, answer: receiver })
    }

    /// Begins a cold start if somebody waits and there is no instance.
    fn ask_for_instance(&self, state: &mut State, now: Moment) {
        if state.pool.waiting() > 0 && !state.pool.has_instances() && state.cold_start.is_none() {
            state.cold_start = Some(Arc::new(ColdStart::new(self.name.clone(), now)));
            self.demand.notify_one();
        }
    }

    pub(super) fn leave(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        let waiter = state.pool.leave(ticket, clock::now());
        state.settle();
        drop(state);
        drop(waiter);
    }

    /// A slot comes back and goes to the first waiter who is still there to take it.
    pub(super) fn give_back(self: &Arc<Self>, seat: Seat) {
        let mut seat = Some(seat);
        while let Some(back) = seat.take() {
            let now = clock::now();
            let given = {
                let mut state = self.state.lock();
                let given = state.pool.give_back(back, now);
                if given.handover.is_some() {
                    state.settle();
                }
                given
            };
            if let Some(left) = given.left {
                left.left.cancel();
            }
            if let Some(handover) = given.handover {
                seat = self.hand_over(handover, None, now);
            }
        }
    }

    /// Returns the seat if the waiter has just gone.
    fn hand_over(
        self: &Arc<Self>,
        handover: Handover<Arc<Seated>, Waiter>,
        cold_start: Option<Arc<ColdStart>>,
        now: Moment,
    ) -> Option<Seat> {
        let Handover { waiter, grant } = handover;
        let waited = now.since(waiter.arrived);
        let slot = Slot::new(Arc::clone(self), grant.member, grant.seat, waited, cold_start);
        match waiter.answer.send(Ok(slot)) {
            Ok(()) | Err(Err(_)) => None,
            Err(Ok(slot)) => {
                let (seat, cold_start) = slot.into_seat();
                if let Some(cold_start) = cold_start {
                    self.record_cold_start(&cold_start);
                }
                seat
            }
        }
    }

    fn hand_over_all(
        self: &Arc<Self>,
        handovers: Handovers,
        mut cold_start: Option<Arc<ColdStart>>,
        now: Moment,
    ) {
        for handover in handovers {
            if let Some(seat) = self.hand_over(handover, cold_start.take(), now) {
                self.give_back(seat);
            }
        }
    }

    fn turn_away(waiters: Vec<Waiter>, answer: &AcquireError) {
        for waiter in waiters {
            // Fails when the waiter has gone: nothing is owed to it.
            let _ = waiter.answer.send(Err(answer.clone()));
        }
    }

    pub(super) fn record_cold_start(&self, cold_start: &ColdStart) {
        self.journal.record(cold_start.entry());
    }
}

// === impl ComponentPool: the node's side ===

impl ComponentPool {
    /// The instance is healthy: in rotation from now on. Waiters are served in order. A second call for
    /// a retired or held one puts it back in rotation.
    pub fn add(self: &Arc<Self>, endpoint: Arc<Endpoint>) {
        let now = clock::now();
        let id = endpoint.id.clone();
        let seated = Arc::new(Seated { endpoint, left: CancellationToken::new() });
        let mut state = self.state.lock();
        state.refused = None;
        let cold_start = state.cold_start.take();
        let handovers = state.pool.add(&id, seated, now);
        drop(state);
        if let Some(cold_start) = &cold_start {
            cold_start.mark(Phase::Served, now);
        }
        self.hand_over_all(handovers, cold_start, now);
    }

    /// The instance gets no new requests; what it serves goes on.
    pub fn retire(self: &Arc<Self>, id: &InstanceId) -> Retired {
        let mut state = self.state.lock();
        let left =
            state.pool.members().find(|member| member.id == id).map(|member| member.member.left.clone());
        let gone = state.pool.retire(id);
        // The last instance may leave waiters behind, e.g. one that died.
        self.ask_for_instance(&mut state, clock::now());
        drop(state);
        if let Some(gone) = gone {
            gone.left.cancel();
        }
        Retired { pool: Arc::clone(self), id: id.clone(), left }
    }

    /// The instance is suspect: it gets no requests until [`ComponentPool::release`].
    pub fn hold(&self, id: &InstanceId) {
        if self.state.lock().pool.hold(id) {
            self.suspected.send_modify(|count| *count += 1);
        }
    }

    /// A suspect was checked and is well.
    pub fn release(self: &Arc<Self>, id: &InstanceId) {
        let now = clock::now();
        let handovers = self.state.lock().pool.resume(id, now);
        self.hand_over_all(handovers, None, now);
    }

    /// Instances that wait for a check.
    pub fn suspects(&self) -> Vec<InstanceId> {
        let mut state = self.state.lock();
        state
            .pool
            .members()
            .filter(|member| member.standing == Standing::Held)
            .map(|member| member.id.clone())
            .collect()
    }

    /// Changes whenever an instance becomes suspect.
    pub fn suspected(&self) -> watch::Receiver<u64> {
        self.suspected.subscribe()
    }

    /// Nothing can be started: turns away all who wait, and until `failure.until` all who come. Does
    /// nothing, and says so by `false`, while there is an instance.
    pub fn refuse(&self, failure: StartFailure) -> bool {
        let mut state = self.state.lock();
        if state.pool.has_instances() {
            return false;
        }
        let waiters = state.pool.turn_away(clock::now());
        state.settle();
        state.refused = Some(failure.clone());
        drop(state);
        Self::turn_away(waiters, &AcquireError::StartFailed(failure));
        true
    }

    /// Ends a refusal before its time: what stood in the way has changed.
    pub fn relent(&self) {
        self.state.lock().refused = None;
    }

    /// The cold start that is under way: set while somebody waits and there is no instance.
    pub fn cold_start(&self) -> Option<Arc<ColdStart>> {
        self.state.lock().cold_start.clone()
    }

    /// Somebody waits and there is no instance.
    pub fn is_starving(&self) -> bool {
        let state = self.state.lock();
        state.pool.waiting() > 0 && !state.pool.has_instances()
    }

    /// New settings; instances and waiters stay.
    pub(super) fn configure(self: &Arc<Self>, component: Arc<Component>) {
        let now = clock::now();
        let limits = limits(&component);
        let changed = self.component.swap(component).version != self.component.load().version;
        let mut state = self.state.lock();
        if changed {
            // The reason of a failed start may be gone with the old settings.
            state.refused = None;
        }
        let handovers = state.pool.set_limits(limits, now);
        state.settle();
        drop(state);
        self.hand_over_all(handovers, None, now);
    }

    /// Turns away all who wait and all who come. What is being served goes on.
    pub(super) fn close(&self, answer: &AcquireError) {
        let mut state = self.state.lock();
        state.closed = Some(answer.clone());
        let waiters = state.pool.turn_away(clock::now());
        state.settle();
        drop(state);
        Self::turn_away(waiters, answer);
    }
}

// === impl State ===

impl State {
    /// Without waiters there is no cold start to tell of.
    fn settle(&mut self) {
        if self.pool.waiting() == 0 {
            self.cold_start = None;
        }
    }
}

// === impl Retired ===

impl Retired {
    /// Returns when the instance's last request has ended; at once if it has none.
    pub async fn idle(&self) {
        if let Some(left) = &self.left {
            left.cancelled().await;
        }
    }

    /// Requests that the instance still serves.
    pub fn in_flight(&self) -> u32 {
        let mut state = self.pool.state.lock();
        state.pool.members().find(|member| *member.id == self.id).map_or(0, |member| member.activity.level())
    }
}

fn limits(component: &Component) -> Limits {
    Limits {
        max_concurrency: component.scaling.max_concurrency.get(),
        concurrency: component.scaling.concurrency_limit,
        queue_len: component.scaling.max_queue,
        queue_bytes: QUEUE_BYTES_MAX,
    }
}
