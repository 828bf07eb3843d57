//! Those who wait, in one order of arrival, although not all of them may go everywhere: who was relayed
//! here is served here or not at all, so it may be passed by those behind it on their way to a peer.

use super::queue::{Queue, Ticket as Place};

/// Where a request may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    Anywhere,
    /// On this node's own instances alone: a peer has sent it.
    Here,
}

/// A waiter's place in line. Worthless once the waiter was taken or has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    reach: Reach,
    place: Place,
}

/// Waiters in order, with the bytes that each of them holds.
#[derive(Debug)]
pub(super) struct Line<W> {
    anywhere: Queue<W>,
    here: Queue<W>,
    /// Rises with every waiter of either kind: tells who came first, and no ticket twice.
    number: u64,
}

// === impl Line ===

impl<W> Line<W> {
    pub(super) const fn new() -> Self {
        Self { anywhere: Queue::new(), here: Queue::new(), number: 0 }
    }

    pub(super) fn len(&self) -> u32 {
        self.anywhere.len() + self.here.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.anywhere.is_empty() && self.here.is_empty()
    }

    /// Nobody waits who may go anywhere.
    pub(super) fn stays_here(&self) -> bool {
        self.anywhere.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.anywhere.bytes() + self.here.bytes()
    }

    /// Where the first of all may go.
    pub(super) fn first_reach(&self) -> Option<Reach> {
        match (self.anywhere.first_number(), self.here.first_number()) {
            (None, None) => None,
            (Some(_), None) => Some(Reach::Anywhere),
            (None, Some(_)) => Some(Reach::Here),
            (Some(anywhere), Some(here)) => Some(if here < anywhere { Reach::Here } else { Reach::Anywhere }),
        }
    }

    pub(super) fn first(&self) -> Option<&W> {
        self.queue(self.first_reach()?).first()
    }

    pub(super) fn push(&mut self, waiter: W, reach: Reach, bytes: usize) -> Ticket {
        self.number += 1;
        let number = self.number;
        Ticket { reach, place: self.queue_mut(reach).push(waiter, bytes, number) }
    }

    /// The first of those with this reach.
    pub(super) fn pop(&mut self, reach: Reach) -> Option<W> {
        self.queue_mut(reach).pop()
    }

    /// The first of all.
    pub(super) fn pop_first(&mut self) -> Option<W> {
        self.pop(self.first_reach()?)
    }

    /// The waiter leaves; `None` when it isn't there any more.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        self.queue_mut(ticket.reach).leave(ticket.place)
    }

    fn queue(&self, reach: Reach) -> &Queue<W> {
        match reach {
            Reach::Anywhere => &self.anywhere,
            Reach::Here => &self.here,
        }
    }

    fn queue_mut(&mut self, reach: Reach) -> &mut Queue<W> {
        match reach {
            Reach::Anywhere => &mut self.anywhere,
            Reach::Here => &mut self.here,
        }
    }
}
