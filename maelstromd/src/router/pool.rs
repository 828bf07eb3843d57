//! One component's instances, peers and waiters: the shell around `decide::pool`. One lock, held for
//! nanoseconds; answers are sent, tokens fired and the control loop woken after it was let go.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use maelstrom_core::{
    component::Component,
    decide::pool::{Handover, Limits, Place, Pool, Reach, Seat, Standing, Ticket},
    names::{ComponentName, InstanceId, NodeId},
    time::Moment,
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    AcquireError, Ask, ColdStart, Endpoint, Peer, Phase, Slot, StartFailure,
    acquire::{Waiter, Waiting},
    slot::Seated,
};
use crate::{clock, gateway::ComponentMetrics, journal::Journal};

/// What waiting requests of one component may hold together: enough for ten thousand requests with
/// ordinary headers, little enough that a dozen components under attack don't take a machine down.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// The instances and waiters of one component on this node, and the peers that serve it.
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
    /// Set while somebody waits and nothing serves.
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
        if let Some(grant) = state.pool.take(ask.reach, ask.avoid.as_ref(), ask.now) {
            drop(state);
            let slot = Slot::new(Arc::clone(self), grant.member, grant.seat, Duration::ZERO, None);
            return Ok(Entered::Slot(slot));
        }
        self.line_up(&mut state, ask).map(Entered::Line)
    }

    #[cold]
    fn line_up(self: &Arc<Self>, state: &mut State, ask: &Ask) -> Result<Waiting, AcquireError> {
        if ask.reach == Reach::Here && !state.pool.has_instances_here() {
            return Err(AcquireError::NotHere);
        }
        if let Some(refused) = &state.refused
            && ask.now < refused.until
        {
            return Err(AcquireError::StartFailed(refused.clone()));
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = state
            .pool
            .wait(Waiter { arrived: ask.now, answer: sender }, ask.reach, ask.bytes_held, ask.now)
            .map_err(|reason| AcquireError::QueueFull { component: self.name.clone(), reason })?;
        state.refused = None;
        self.ask_for_instance(state, ask.now);
        Ok(Waiting { pool: Arc::clone(self), ticket, answer: receiver })
    }

    /// Begins a cold start if somebody waits and nothing serves.
    fn ask_for_instance(&self, state: &mut State, now: Moment) {
        if state.pool.waiting() > 0 && state.pool.is_deserted() && state.cold_start.is_none() {
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
        let place = endpoint.place.clone();
        let seated = Arc::new(Seated { endpoint, left: CancellationToken::new() });
        let mut state = self.state.lock();
        state.refused = None;
        let cold_start = state.cold_start.take();
        let handovers = state.pool.add(&place, seated, 1, now);
        drop(state);
        if let Some(cold_start) = &cold_start {
            cold_start.mark(Phase::Served, now);
        }
        self.hand_over_all(handovers, cold_start, now);
    }

    /// The instance gets no new requests; what it serves goes on. With the last one go those who wait for
    /// an instance of this node alone: their node finds them another.
    pub fn retire(self: &Arc<Self>, id: &InstanceId) -> Retired {
        let place = Place::Here(id.clone());
        let now = clock::now();
        let mut state = self.state.lock();
        let left = seated(&mut state, &place).map(|seated| seated.left.clone());
        let gone = state.pool.retire(&place);
        let stranded =
            if state.pool.has_instances_here() { Vec::new() } else { state.pool.turn_away_here(now) };
        state.settle();
        // The last instance may leave waiters behind, e.g. one that died.
        self.ask_for_instance(&mut state, now);
        drop(state);
        if let Some(gone) = gone {
            gone.left.cancel();
        }
        Self::turn_away(stranded, &AcquireError::NotHere);
        Retired { pool: Arc::clone(self), id: id.clone(), left }
    }

    /// The instance is suspect: it gets no requests until [`ComponentPool::release`].
    pub fn hold(&self, id: &InstanceId) {
        if self.state.lock().pool.hold(&Place::Here(id.clone())) {
            self.suspected.send_modify(|count| *count += 1);
        }
    }

    /// A suspect was checked and is well.
    pub fn release(self: &Arc<Self>, id: &InstanceId) {
        let now = clock::now();
        let handovers = self.state.lock().pool.resume(&Place::Here(id.clone()), now);
        self.hand_over_all(handovers, None, now);
    }

    /// Instances that wait for a check.
    pub fn suspects(&self) -> Vec<InstanceId> {
        let mut state = self.state.lock();
        state
            .pool
            .members()
            .filter(|member| member.standing == Standing::Held)
            .filter_map(|member| match member.place {
                Place::Here(id) => Some(id.clone()),
                Place::There(_) => None,
            })
            .collect()
    }

    /// Changes whenever an instance becomes suspect.
    pub fn suspected(&self) -> watch::Receiver<u64> {
        self.suspected.subscribe()
    }

    /// Nothing can be started: turns away all who wait, and until `failure.until` all who come. Does
    /// nothing, and says so by `false`, while there is an instance, here or at a peer.
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

    /// The cold start that is under way: set while somebody waits and nothing serves.
    pub fn cold_start(&self) -> Option<Arc<ColdStart>> {
        self.state.lock().cold_start.clone()
    }

    /// Somebody waits, and there is neither an instance here nor a peer that answers and has one.
    pub fn is_starving(&self) -> bool {
        let state = self.state.lock();
        state.pool.waiting() > 0 && state.pool.is_deserted()
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

// === impl ComponentPool: peers ===

impl ComponentPool {
    /// The peer serves the component with so many instances.
    pub(super) fn seat_peer(self: &Arc<Self>, peer: &Arc<Peer>, instances: u32, held: bool) {
        let now = clock::now();
        let place = Place::There(peer.node().clone());
        let protocol = self.component.load().docker.http_protocol;
        let mut state = self.state.lock();
        let known = seated(&mut state, &place).filter(|seated| {
            seated.endpoint.protocol() == protocol
                && seated.endpoint.peer().is_some_and(|known| Arc::ptr_eq(known, peer))
        });
        let seated = known.cloned().unwrap_or_else(|| {
            let endpoint = Endpoint::at_peer(Arc::clone(peer), self.name.clone(), protocol);
            Arc::new(Seated { endpoint: Arc::new(endpoint), left: CancellationToken::new() })
        });
        if held {
            state.pool.add_held(&place, seated, instances, now);
            self.ask_for_instance(&mut state, now);
            return;
        }
        let handovers = state.pool.add(&place, seated, instances, now);
        self.peer_serves(state, handovers, peer.node(), now);
    }

    pub(super) fn hold_peer(&self, node: &NodeId) {
        let mut state = self.state.lock();
        if state.pool.hold(&Place::There(node.clone())) {
            self.ask_for_instance(&mut state, clock::now());
        }
    }

    pub(super) fn resume_peer(self: &Arc<Self>, node: &NodeId) {
        let now = clock::now();
        let mut state = self.state.lock();
        let handovers = state.pool.resume(&Place::There(node.clone()), now);
        self.peer_serves(state, handovers, node, now);
    }

    fn peer_serves(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        handovers: Handovers,
        node: &NodeId,
        now: Moment,
    ) {
        state.refused = None;
        let cold_start = if handovers.is_empty() { None } else { state.cold_start.take() };
        drop(state);
        if let Some(cold_start) = &cold_start {
            cold_start.served_by(node, now);
        }
        self.hand_over_all(handovers, cold_start, now);
    }

    /// The peer gets no requests any more; what it serves goes on.
    pub(super) fn retire_peer(&self, node: &NodeId) {
        let mut state = self.state.lock();
        let gone = state.pool.retire(&Place::There(node.clone()));
        self.ask_for_instance(&mut state, clock::now());
        drop(state);
        if let Some(gone) = gone {
            gone.left.cancel();
        }
    }

    pub(super) fn tell(&self, place: &Place, in_flight: u32, instances: u32) {
        let now = clock::now();
        self.state.lock().pool.tell(place, in_flight, instances, now);
    }
}

fn seated<'a>(state: &'a mut State, place: &Place) -> Option<&'a Arc<Seated>> {
    state.pool.members().find(|member| member.place == place).map(|member| member.member)
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
        let place = Place::Here(self.id.clone());
        state.pool.members().find(|member| *member.place == place).map_or(0, |member| member.in_flight)
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
