//! One component's slots and waiters: events go in, what is to be done comes out. No lock, no clock, no
//! I/O; the shell that holds the lock is `maelstromd::router`.
//!
//! ```text
//!            add                 hold                       retire              last request ended
//! (unknown) ─────► in rotation ◄──────► held (suspect) ──┐ ─────────► retired ─────────────────────► (left)
//!                       │        resume                  │              ▲
//!                       └────────────────────────────────┴──────────────┘   add: back in rotation
//! ```
//! A seat is an instance of this node, or a peer with all the instances that it has in rotation. What is
//! counted of a peer is what this node has under way there; it queues by itself what is too much for it,
//! and of what others send there it tells the sum now and then.
//!
//! Invariants, held by properties in the tests:
//! * Under a hard limit no instance here gets a request while it has `max_concurrency` of them, and no peer
//!   gets more than that per instance from here.
//! * First come, first served: nobody gets a slot while another waits who came earlier and could take it.
//! * Nobody waits while a seat in rotation that it may take has room.
//! * Who was relayed here never gets a seat at a peer.
//! * What was taken and given back leaves all counts where they were.

mod line;
mod members;
mod queue;
mod seat;

use std::time::Duration;

pub use line::{Reach, Ticket};
pub use members::Member;
pub use seat::{Place, Standing};

use line::Line;
use seat::{OUT, Occupant, Work, is_there};

use super::activity::Activity;
use crate::{component::ConcurrencyLimit, time::Moment};

/// For how long it counts what a peer told of its load: longer than a busy peer is silent, and little
/// enough that a burst which is over doesn't keep requests away.
pub const TOLD_LIFE: Duration = Duration::from_secs(1);
/// Further away than anything.
const NEVER: Moment = Moment::from_nanos(u64::MAX);

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

/// A seat of a pool. Valid as long as a request holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat(u32);

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
    /// A retired member whose last request this was.
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

/// `M` is what a slot leads to, `W` what stands for a waiter.
#[derive(Debug)]
pub struct Pool<M, W> {
    limits: Limits,
    /// How busy each seat is, dense for the search; [`OUT`] where no request may be given. The lowest bit
    /// says whether the seat lies at a peer, so that among equals those here come first.
    keys: Vec<u32>,
    seats: Vec<Option<Occupant<M>>>,
    /// Where the search begins, so that equally busy seats take turns.
    turn: usize,
    /// When something that a peer told is no longer to be believed.
    told_until: Moment,
    line: Line<W>,
    /// Since when somebody waits, or the last instance was added to help.
    waiting_since: Option<Moment>,
    /// Of all requests that run on instances of this node or wait: what the component is asked for here.
    demand: Activity,
}

// === impl Pool: requests ===

impl<M: Clone, W> Pool<M, W> {
    pub fn new(limits: Limits, now: Moment) -> Self {
        Self {
            limits,
            keys: Vec::new(),
            seats: Vec::new(),
            turn: 0,
            told_until: NEVER,
            line: Line::new(),
            waiting_since: None,
            demand: Activity::new(now),
        }
    }

    /// A slot at once, if there is one and nobody waits who could take it. `avoid` is taken only when
    /// nothing else is free.
    #[inline]
    pub fn take(&mut self, reach: Reach, avoid: Option<&Place>, now: Moment) -> Option<Grant<M>> {
        if !self.line.is_empty() && !self.may_pass(reach) {
            return None;
        }
        let seat = self.least_busy(reach, avoid, now)?;
        if !is_there(self.keys[seat]) {
            self.demand.begin(now);
        }
        Some(self.occupy(seat, now))
    }

    /// Only those wait who have to be served here, where nothing has room.
    #[cold]
    fn may_pass(&self, reach: Reach) -> bool {
        reach == Reach::Anywhere && self.line.stays_here()
    }

    /// The request waits, if the queue has room. To be called when [`Pool::take`] had nothing.
    pub fn wait(&mut self, waiter: W, reach: Reach, bytes: usize, now: Moment) -> Result<Ticket, QueueFull> {
        if self.line.len() >= self.limits.queue_len {
            return Err(QueueFull::Count { waiting: self.line.len() });
        }
        if self.line.bytes().saturating_add(bytes) > self.limits.queue_bytes {
            return Err(QueueFull::Bytes { bytes: self.line.bytes() });
        }
        self.demand.begin(now);
        self.waiting_since.get_or_insert(now);
        Ok(self.line.push(waiter, reach, bytes))
    }

    /// A waiter goes away. `None`: it had been served or turned away before.
    pub fn leave(&mut self, ticket: Ticket, now: Moment) -> Option<W> {
        let waiter = self.line.leave(ticket)?;
        self.demand.end(now);
        self.settle();
        Some(waiter)
    }

    /// A request has ended; its slot goes to the first waiter who may take it, if the seat may be given
    /// another request.
    #[inline]
    pub fn give_back(&mut self, seat: Seat, now: Moment) -> GivenBack<M, W> {
        let left = self.vacate(seat, now);
        let handover = if self.line.is_empty() { None } else { self.serve_first(now) };
        GivenBack { handover, left }
    }

    /// The least busy seat that has room; turns begin behind the one picked last.
    #[inline]
    fn least_busy(&mut self, reach: Reach, avoid: Option<&Place>, now: Moment) -> Option<usize> {
        if now >= self.told_until {
            self.forget_told(now);
        }
        let seat = match (reach, avoid) {
            (Reach::Anywhere, None) => self.least(),
            (Reach::Here, None) => self.least_here(),
            (reach, Some(place)) => self.least_but(reach, place),
        }?;
        self.turn = seat + 1;
        Some(seat)
    }

    /// Two passes over a dense array: the compiler makes vectors of the first, and the second ends early.
    #[inline]
    fn least(&self) -> Option<usize> {
        let least = self.keys.iter().copied().min().filter(|least| *least != OUT)?;
        self.next_with(least)
    }

    /// The same among the instances of this node.
    fn least_here(&self) -> Option<usize> {
        // OUT is odd, too.
        let least = self.keys.iter().copied().filter(|key| !is_there(*key)).min()?;
        self.next_with(least)
    }

    #[inline]
    fn next_with(&self, least: u32) -> Option<usize> {
        let turn = self.turn.min(self.keys.len());
        let (early, late) = self.keys.split_at(turn);
        let behind = late.iter().position(|key| *key == least).map(|seat| seat + turn);
        behind.or_else(|| early.iter().position(|key| *key == least))
    }

    #[cold]
    fn least_but(&mut self, reach: Reach, avoid: &Place) -> Option<usize> {
        let least = |pool: &Self| match reach {
            Reach::Anywhere => pool.least(),
            Reach::Here => pool.least_here(),
        };
        let Some(avoid) = self.find(avoid) else { return least(self) };
        let key = std::mem::replace(&mut self.keys[avoid], OUT);
        let other = least(self);
        self.keys[avoid] = key;
        other.or_else(|| least(self))
    }

    #[inline]
    fn occupy(&mut self, seat: usize, now: Moment) -> Grant<M> {
        let occupant = self.seats[seat].as_mut().expect("a seat with a key has an occupant");
        match &mut occupant.work {
            Work::Here(activity) => activity.begin(now),
            Work::There(remote) => remote.level += 1,
        }
        self.keys[seat] = occupant.key(&self.limits);
        Grant { seat: Seat(seat as u32), member: occupant.member.clone() }
    }

    /// Ends a request at `seat`; a retired member leaves with its last one.
    #[inline]
    fn vacate(&mut self, seat: Seat, now: Moment) -> Option<M> {
        let index = seat.0 as usize;
        let occupant = self.seats[index].as_mut().expect("who holds a slot keeps its seat in the pool");
        match &mut occupant.work {
            Work::Here(activity) => {
                activity.end(now);
                self.demand.end(now);
            }
            Work::There(remote) => remote.level -= 1,
        }
        if occupant.standing == Standing::Retired && occupant.level() == 0 {
            return self.remove(index);
        }
        self.keys[index] = occupant.key(&self.limits);
        None
    }

    /// The first of all who wait, or, where only a peer has room, the first who may go there.
    fn serve_first(&mut self, now: Moment) -> Option<Handover<M, W>> {
        let first = self.line.first_reach()?;
        let (reach, seat) = match self.least_busy(first, None, now) {
            Some(seat) => (first, seat),
            None if first == Reach::Here && !self.line.stays_here() => {
                (Reach::Anywhere, self.least_busy(Reach::Anywhere, None, now)?)
            }
            None => return None,
        };
        let waiter = self.line.pop(reach)?;
        self.settle();
        if is_there(self.keys[seat]) {
            // It is demand of the node that serves it.
            self.demand.end(now);
        }
        Some(Handover { waiter, grant: self.occupy(seat, now) })
    }

    /// All that can be served now, in order.
    fn serve(&mut self, now: Moment) -> Vec<Handover<M, W>> {
        std::iter::from_fn(|| self.serve_first(now)).collect()
    }

    fn settle(&mut self) {
        if self.line.is_empty() {
            self.waiting_since = None;
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
