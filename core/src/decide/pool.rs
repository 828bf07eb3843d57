//! One component's slots and waiters: events go in, what is to be done comes out. No lock, no clock, no
//! I/O; the shell that holds the lock is `maelstromd::router`.
//!
//! ```text
//!            add                 hold                       retire              last request ended
//! (unknown) ─────► in rotation ◄──────► held (suspect) ──┐ ─────────► retired ─────────────────────► (left)
//!                       │        resume                  │              ▲
//!                       └────────────────────────────────┴──────────────┘   add: back in rotation
//! ```
//!
//! Invariants, held by properties in the tests:
//! * Under a hard limit no instance gets a request while it has `max_concurrency` of them.
//! * First come, first served: nobody gets a slot while another waits who came earlier.
//! * Nobody waits while an instance in rotation has room.
//! * What was taken and given back leaves all counts where they were.

mod queue;

pub use queue::Ticket;

use queue::Queue;

use super::activity::Activity;
use crate::{component::ConcurrencyLimit, names::InstanceId, time::Moment};

/// What the component allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests at a time per instance.
    pub max_concurrency: u32,
    pub concurrency: ConcurrencyLimit,
    /// Requests that may wait.
    pub queue_len: u32,
    /// Bytes that waiting requests may hold together.
    pub queue_bytes: usize,
}

/// An instance's place in its pool. Valid as long as a request holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    InRotation,
    /// Suspect: gets no request until it was checked.
    Held,
    /// Gets no request any more and leaves with its last one.
    Retired,
}

/// A slot for a request; give it back with [`Pool::give_back`].
#[derive(Debug, PartialEq, Eq)]
pub struct Grant<M> {
    pub seat: Seat,
    pub member: M,
}

/// A slot that goes to a waiter.
#[derive(Debug, PartialEq, Eq)]
pub struct Handover<M, W> {
    pub waiter: W,
    pub grant: Grant<M>,
}

/// What follows from a slot that came back.
#[derive(Debug, PartialEq, Eq)]
pub struct GivenBack<M, W> {
    pub handover: Option<Handover<M, W>>,
    /// A retired instance whose last request this was.
    pub left: Option<M>,
}

/// Why a request may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    #[error("{waiting} requests wait already")]
    Count { waiting: u32 },
    #[error("waiting requests hold {bytes} bytes already")]
    Bytes { bytes: usize },
}

/// An instance, for reading.
#[derive(Debug)]
pub struct Member<'a, M> {
    pub id: &'a InstanceId,
    pub member: &'a M,
    pub standing: Standing,
    pub activity: &'a mut Activity,
}

/// `M` is what a slot leads to, `W` what stands for a waiter.
#[derive(Debug)]
pub struct Pool<M, W> {
    limits: Limits,
    /// Requests per seat, dense for the search; [`OUT`] where none may be given.
    loads: Vec<u32>,
    seats: Vec<Option<Occupant<M>>>,
    /// Where the search begins, so that equally busy instances take turns.
    turn: usize,
    queue: Queue<W>,
    /// Since when the queue has not been empty, or the last instance was added to help it.
    waiting_since: Option<Moment>,
    /// Of all requests that run or wait: what the component is asked for.
    demand: Activity,
}

/// A load that no instance has: never the least.
const OUT: u32 = u32::MAX;

#[derive(Debug)]
struct Occupant<M> {
    id: InstanceId,
    member: M,
    standing: Standing,
    activity: Activity,
}

// === impl Pool: requests ===

impl<M: Clone, W> Pool<M, W> {
    pub fn new(limits: Limits, now: Moment) -> Self {
        Self {
            limits,
            loads: Vec::new(),
            seats: Vec::new(),
            turn: 0,
            queue: Queue::new(),
            waiting_since: None,
            demand: Activity::new(now),
        }
    }

    /// A slot at once, if nobody waits and there is one. `avoid` is taken only when nothing else is free.
    #[inline]
    pub fn take(&mut self, avoid: Option<&InstanceId>, now: Moment) -> Option<Grant<M>> {
        if !self.queue.is_empty() {
            return None;
        }
        let seat = self.least_busy(avoid)?;
        self.demand.begin(now);
        Some(self.occupy(seat, now))
    }

    /// The request waits, if the queue has room. To be called when [`Pool::take`] had nothing.
    pub fn wait(&mut self, waiter: W, bytes: usize, now: Moment) -> Result<Ticket, QueueFull> {
        if self.queue.len() >= self.limits.queue_len {
            return Err(QueueFull::Count { waiting: self.queue.len() });
        }
        if self.queue.bytes().saturating_add(bytes) > self.limits.queue_bytes {
            return Err(QueueFull::Bytes { bytes: self.queue.bytes() });
        }
        self.demand.begin(now);
        self.waiting_since.get_or_insert(now);
        Ok(self.queue.push(waiter, bytes))
    }

    /// A waiter goes away. `None`: it had been served or turned away before.
    pub fn leave(&mut self, ticket: Ticket, now: Moment) -> Option<W> {
        let waiter = self.queue.leave(ticket)?;
        self.demand.end(now);
        self.settle();
        Some(waiter)
    }

    /// A request has ended; its slot goes to the first waiter if its instance may take another.
    #[inline]
    pub fn give_back(&mut self, seat: Seat, now: Moment) -> GivenBack<M, W> {
        self.demand.end(now);
        let left = self.vacate(seat, now);
        let handover = if self.queue.is_empty() { None } else { self.serve_first(now) };
        GivenBack { handover, left }
    }

    /// The least busy instance that has room; turns begin behind the one picked last.
    #[inline]
    fn least_busy(&mut self, avoid: Option<&InstanceId>) -> Option<usize> {
        let seat = match avoid {
            None => self.least(),
            Some(id) => self.least_but(id),
        }?;
        self.turn = seat + 1;
        Some(seat)
    }

    /// Two passes over a dense array: the compiler makes vectors of the first, and the second ends early.
    #[inline]
    fn least(&self) -> Option<usize> {
        let least = self.loads.iter().copied().min().filter(|least| *least < self.room())?;
        let turn = self.turn.min(self.loads.len());
        let (early, late) = self.loads.split_at(turn);
        let behind = late.iter().position(|load| *load == least).map(|seat| seat + turn);
        behind.or_else(|| early.iter().position(|load| *load == least))
    }

    #[cold]
    fn least_but(&mut self, avoid: &InstanceId) -> Option<usize> {
        let Some(avoid) = self.find(avoid) else { return self.least() };
        let load = std::mem::replace(&mut self.loads[avoid], OUT);
        let other = self.least();
        self.loads[avoid] = load;
        other.or_else(|| (load < self.room()).then_some(avoid))
    }

    /// The load from which on an instance gets nothing.
    #[inline]
    fn room(&self) -> u32 {
        match self.limits.concurrency {
            ConcurrencyLimit::Hard => self.limits.max_concurrency,
            ConcurrencyLimit::Soft => OUT,
        }
    }

    #[inline]
    fn occupy(&mut self, seat: usize, now: Moment) -> Grant<M> {
        self.loads[seat] += 1;
        let occupant = self.seats[seat].as_mut().expect("a seat with a load has an occupant");
        occupant.activity.begin(now);
        Grant { seat: Seat(seat as u32), member: occupant.member.clone() }
    }

    /// Ends a request at `seat`; a retired instance leaves with its last one.
    #[inline]
    fn vacate(&mut self, seat: Seat, now: Moment) -> Option<M> {
        let index = seat.0 as usize;
        let occupant = self.seats[index].as_mut().expect("who holds a slot keeps its instance in the pool");
        occupant.activity.end(now);
        match occupant.standing {
            Standing::InRotation => {
                self.loads[index] -= 1;
                None
            }
            Standing::Retired if occupant.activity.level() == 0 => self.remove(index),
            Standing::Held | Standing::Retired => None,
        }
    }

    fn serve_first(&mut self, now: Moment) -> Option<Handover<M, W>> {
        if self.queue.is_empty() {
            return None;
        }
        let seat = self.least_busy(None)?;
        let waiter = self.queue.pop()?;
        self.settle();
        Some(Handover { waiter, grant: self.occupy(seat, now) })
    }

    /// All that can be served now, in order.
    fn serve(&mut self, now: Moment) -> Vec<Handover<M, W>> {
        std::iter::from_fn(|| self.serve_first(now)).collect()
    }

    fn settle(&mut self) {
        if self.queue.is_empty() {
            self.waiting_since = None;
        }
    }
}

// === impl Pool: instances and limits ===

impl<M: Clone, W> Pool<M, W> {
    /// An instance is in rotation from now on, again if it had been held or retired.
    pub fn add(&mut self, id: &InstanceId, member: M, now: Moment) -> Vec<Handover<M, W>> {
        match self.find(id) {
            Some(seat) => self.stand(seat, Standing::InRotation),
            None => self.seat(Occupant {
                id: id.clone(),
                member,
                standing: Standing::InRotation,
                activity: Activity::new(now),
            }),
        }
        let served = self.serve(now);
        if self.waiting_since.is_some() {
            self.waiting_since = Some(now);
        }
        served
    }

    /// A suspect gets nothing until it is resumed. False: it isn't in rotation.
    pub fn hold(&mut self, id: &InstanceId) -> bool {
        self.change(id, Standing::InRotation, Standing::Held)
    }

    /// A suspect was found to be well.
    pub fn resume(&mut self, id: &InstanceId, now: Moment) -> Vec<Handover<M, W>> {
        if self.change(id, Standing::Held, Standing::InRotation) { self.serve(now) } else { Vec::new() }
    }

    /// An instance gets nothing any more. Those without a request leave at once and are returned.
    pub fn retire(&mut self, id: &InstanceId) -> Option<M> {
        let seat = self.find(id)?;
        self.stand(seat, Standing::Retired);
        let idle = self.seats[seat].as_ref().is_some_and(|occupant| occupant.activity.level() == 0);
        if idle { self.remove(seat) } else { None }
    }

    pub fn set_limits(&mut self, limits: Limits, now: Moment) -> Vec<Handover<M, W>> {
        self.limits = limits;
        self.serve(now)
    }

    /// All waiters, in order: they are to be turned away.
    pub fn turn_away(&mut self, now: Moment) -> Vec<W> {
        let waiters: Vec<W> = std::iter::from_fn(|| self.queue.pop()).collect();
        for _ in &waiters {
            self.demand.end(now);
        }
        self.settle();
        waiters
    }

    fn seat(&mut self, occupant: Occupant<M>) {
        match self.seats.iter().position(Option::is_none) {
            Some(seat) => {
                self.seats[seat] = Some(occupant);
                self.loads[seat] = 0;
            }
            None => {
                self.seats.push(Some(occupant));
                self.loads.push(0);
            }
        }
    }

    fn remove(&mut self, seat: usize) -> Option<M> {
        self.loads[seat] = OUT;
        let occupant = self.seats[seat].take()?;
        while let Some(None) = self.seats.last() {
            self.seats.pop();
            self.loads.pop();
        }
        Some(occupant.member)
    }

    fn find(&self, id: &InstanceId) -> Option<usize> {
        self.seats.iter().position(|seat| seat.as_ref().is_some_and(|occupant| occupant.id == *id))
    }

    fn change(&mut self, id: &InstanceId, from: Standing, to: Standing) -> bool {
        let Some(seat) = self.find(id) else { return false };
        let applies = self.seats[seat].as_ref().is_some_and(|occupant| occupant.standing == from);
        if applies {
            self.stand(seat, to);
        }
        applies
    }

    fn stand(&mut self, seat: usize, standing: Standing) {
        if let Some(occupant) = &mut self.seats[seat] {
            occupant.standing = standing;
            self.loads[seat] = if standing == Standing::InRotation { occupant.activity.level() } else { OUT };
        }
    }
}

// === impl Pool: reading ===

impl<M, W> Pool<M, W> {
    pub fn waiting(&self) -> u32 {
        self.queue.len()
    }

    /// Since when requests have been waiting without a new instance coming to their help.
    pub fn waiting_since(&self) -> Option<Moment> {
        self.waiting_since
    }

    pub fn first_waiter(&self) -> Option<&W> {
        self.queue.first()
    }

    /// Instances that are, or may soon be again, in rotation.
    pub fn has_instances(&self) -> bool {
        self.seats.iter().flatten().any(|occupant| occupant.standing != Standing::Retired)
    }

    /// Requests that run or wait.
    pub fn demand(&mut self) -> &mut Activity {
        &mut self.demand
    }

    /// Requests that run.
    pub fn in_flight(&self) -> u32 {
        self.demand.level() - self.queue.len()
    }

    pub fn members(&mut self) -> impl Iterator<Item = Member<'_, M>> {
        self.seats.iter_mut().flatten().map(|occupant| Member {
            id: &occupant.id,
            member: &occupant.member,
            standing: occupant.standing,
            activity: &mut occupant.activity,
        })
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
