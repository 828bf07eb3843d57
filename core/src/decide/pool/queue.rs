//! Waiters of one kind, first come first served. Any of them may leave at any time in constant
//! time, and the memory is that of the most that ever waited together, whatever the order they left in.

/// Marks the end of a chain.
const NONE: u32 = u32::MAX;

/// A waiter's place. Worthless once the waiter was taken or has left: it is never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    place: u32,
    number: u64,
}

/// Waiters in order, with the bytes that each of them holds.
#[derive(Debug)]
pub(super) struct Queue<W> {
    places: Vec<Place<W>>,
    first: u32,
    last: u32,
    vacant: u32,
    len: u32,
    bytes: usize,
}

#[derive(Debug)]
struct Place<W> {
    waiter: Option<W>,
    bytes: usize,
    /// Of the waiter, so that a ticket can't stand for another's place.
    number: u64,
    before: u32,
    after: u32,
}

// === impl Queue ===

impl<W> Queue<W> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), first: NONE, last: NONE, vacant: NONE, len: 0, bytes: 0 }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn first(&self) -> Option<&W> {
        self.places.get(self.first as usize)?.waiter.as_ref()
    }

    pub(super) fn first_number(&self) -> Option<u64> {
        Some(self.places.get(self.first as usize)?.number)
    }

    /// `number` is higher than any before.
    pub(super) fn push(&mut self, waiter: W, bytes: usize, number: u64) -> Ticket {
        let place = self.vacate();
        let slot = &mut self.places[place as usize];
        slot.waiter = Some(waiter);
        slot.bytes = bytes;
        slot.number = number;
        slot.before = self.last;
        slot.after = NONE;
        let ticket = Ticket { place, number };
        match self.last {
            NONE => self.first = place,
            last => self.places[last as usize].after = place,
        }
        self.last = place;
        self.len += 1;
        self.bytes += bytes;
        ticket
    }

    /// A place to use: one that was left, or a new one.
    fn vacate(&mut self) -> u32 {
        if self.vacant != NONE {
            let place = self.vacant;
            self.vacant = self.places[place as usize].after;
            return place;
        }
        let place = u32::try_from(self.places.len()).unwrap_or(NONE);
        self.places.push(Place { waiter: None, bytes: 0, number: 0, before: NONE, after: NONE });
        place
    }

    pub(super) fn pop(&mut self) -> Option<W> {
        if self.first == NONE { None } else { self.unlink(self.first) }
    }

    /// The waiter leaves; `None` when it isn't there any more.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        let slot = self.places.get(ticket.place as usize)?;
        if slot.number != ticket.number { None } else { self.unlink(ticket.place) }
    }

    fn unlink(&mut self, place: u32) -> Option<W> {
        let vacant = self.vacant;
        let slot = &mut self.places[place as usize];
        let waiter = slot.waiter.take()?;
        let (before, after, bytes) = (slot.before, slot.after, slot.bytes);
        slot.after = vacant;
        self.vacant = place;
        match before {
            NONE => self.first = after,
            before => self.places[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.places[after as usize].before = before,
        }
        self.len -= 1;
        self.bytes -= bytes;
        if self.len == 0 {
            self.shrink();
        }
        Some(waiter)
    }

    /// An empty queue gives the memory of a burst back, where that is worth it.
    fn shrink(&mut self) {
        const KEPT: usize = 1_024;
        if self.places.len() > KEPT {
            self.places.truncate(KEPT);
            self.places.shrink_to_fit();
            self.vacant = NONE;
            for place in (0..self.places.len()).rev() {
                self.places[place].after = self.vacant;
                self.vacant = u32::try_from(place).unwrap_or(NONE);
            }
        }
    }
}
