//! Who sits in a pool: instances and peers that come, go and are held, what is allowed to them, and what
//! can be read of them.

use super::{
    Activity, Handover, Limits, NEVER, Pool, TOLD_LIFE,
    line::Reach,
    seat::{OUT, Occupant, Place, Remote, Standing, Told, Work},
};
use crate::time::Moment;

/// An instance or a peer, for reading.
#[derive(Debug)]
pub struct Member<'a, M> {
    pub place: &'a Place,
    pub member: &'a M,
    pub standing: Standing,
    /// In rotation there: 1 for an instance.
    pub instances: u32,
    /// Requests from here that run, or wait, there.
    pub in_flight: u32,
    /// Of an instance of this node.
    pub activity: Option<&'a mut Activity>,
}

// === impl Pool ===

impl<M: Clone, W> Pool<M, W> {
    /// An instance of this node is in rotation from now on, again if it had been held or retired; or a
    /// peer is, with so many `instances`, and then `member` is what slots there lead to from now on.
    pub fn add(&mut self, place: &Place, member: M, instances: u32, now: Moment) -> Vec<Handover<M, W>> {
        let helps = self.sit(place, member, instances, Standing::InRotation, now);
        let served = self.serve(now);
        if helps && self.waiting_since.is_some() {
            self.waiting_since = Some(now);
        }
        served
    }

    /// The same, but it gets nothing before it is resumed.
    pub fn add_held(&mut self, place: &Place, member: M, instances: u32, now: Moment) {
        self.sit(place, member, instances, Standing::Held, now);
    }

    /// A suspect gets nothing until it is resumed. False: it isn't in rotation.
    pub fn hold(&mut self, place: &Place) -> bool {
        self.change(place, Standing::InRotation, Standing::Held)
    }

    /// A suspect was found to be well.
    pub fn resume(&mut self, place: &Place, now: Moment) -> Vec<Handover<M, W>> {
        if self.change(place, Standing::Held, Standing::InRotation) { self.serve(now) } else { Vec::new() }
    }

    /// A member gets nothing any more. Those without a request leave at once and are returned.
    pub fn retire(&mut self, place: &Place) -> Option<M> {
        let seat = self.find(place)?;
        self.stand(seat, Standing::Retired);
        let idle = self.seats[seat].as_ref().is_some_and(|occupant| occupant.level() == 0);
        if idle { self.remove(seat) } else { None }
    }

    /// A peer has told how many requests run or wait there in all, and on how many instances.
    pub fn tell(&mut self, place: &Place, in_flight: u32, instances: u32, now: Moment) {
        let until = now + TOLD_LIFE;
        let Some(seat) = self.find(place) else { return };
        if let Some(Occupant { work: Work::There(remote), .. }) = &mut self.seats[seat] {
            let others = in_flight.saturating_sub(remote.level);
            remote.told = Some(Told { others, instances, until });
            self.told_until = self.told_until.min(until);
        }
        self.rate(seat);
    }

    pub fn set_limits(&mut self, limits: Limits, now: Moment) -> Vec<Handover<M, W>> {
        self.limits = limits;
        for seat in 0..self.seats.len() {
            self.rate(seat);
        }
        self.serve(now)
    }

    /// All waiters, in order: they are to be turned away.
    pub fn turn_away(&mut self, now: Moment) -> Vec<W> {
        let waiters = std::iter::from_fn(|| self.line.pop_first()).collect();
        self.turned_away(waiters, now)
    }

    /// All waiters, in order, who could have been served on this node alone.
    pub fn turn_away_here(&mut self, now: Moment) -> Vec<W> {
        let waiters = std::iter::from_fn(|| self.line.pop(Reach::Here)).collect();
        self.turned_away(waiters, now)
    }

    fn turned_away(&mut self, waiters: Vec<W>, now: Moment) -> Vec<W> {
        for _ in &waiters {
            self.demand.end(now);
        }
        self.settle();
        waiters
    }

    /// What was told too long ago counts no more.
    #[cold]
    pub(super) fn forget_told(&mut self, now: Moment) {
        self.told_until = NEVER;
        for seat in 0..self.seats.len() {
            let Some(Occupant { work: Work::There(remote), .. }) = &mut self.seats[seat] else { continue };
            match remote.told {
                Some(told) if told.until > now => self.told_until = self.told_until.min(told.until),
                Some(_) => {
                    remote.told = None;
                    self.rate(seat);
                }
                None => {}
            }
        }
    }

    /// True if there is more to take slots from than before.
    fn sit(&mut self, place: &Place, member: M, instances: u32, standing: Standing, now: Moment) -> bool {
        let Some(seat) = self.find(place) else {
            let work = match place {
                Place::Here(_) => Work::Here(Box::new(Activity::new(now))),
                Place::There(_) => Work::There(Remote { instances, level: 0, told: None }),
            };
            self.seat(Occupant { place: place.clone(), member, standing, work });
            return true;
        };
        let mut helps = true;
        if let Some(occupant) = &mut self.seats[seat]
            && let Work::There(remote) = &mut occupant.work
        {
            helps = occupant.standing != Standing::InRotation || instances > remote.instances;
            remote.instances = instances;
            occupant.member = member;
        }
        self.stand(seat, standing);
        helps
    }

    fn seat(&mut self, occupant: Occupant<M>) {
        let key = occupant.key(&self.limits);
        match self.seats.iter().position(Option::is_none) {
            Some(seat) => {
                self.seats[seat] = Some(occupant);
                self.keys[seat] = key;
            }
            None => {
                self.seats.push(Some(occupant));
                self.keys.push(key);
            }
        }
    }

    pub(super) fn remove(&mut self, seat: usize) -> Option<M> {
        self.keys[seat] = OUT;
        let occupant = self.seats[seat].take()?;
        while let Some(None) = self.seats.last() {
            self.seats.pop();
            self.keys.pop();
        }
        Some(occupant.member)
    }

    pub(super) fn find(&self, place: &Place) -> Option<usize> {
        self.seats.iter().position(|seat| seat.as_ref().is_some_and(|occupant| occupant.place == *place))
    }

    fn change(&mut self, place: &Place, from: Standing, to: Standing) -> bool {
        let Some(seat) = self.find(place) else { return false };
        let applies = self.seats[seat].as_ref().is_some_and(|occupant| occupant.standing == from);
        if applies {
            self.stand(seat, to);
        }
        applies
    }

    fn stand(&mut self, seat: usize, standing: Standing) {
        if let Some(occupant) = &mut self.seats[seat] {
            occupant.standing = standing;
        }
        self.rate(seat);
    }

    /// Makes the seat's key what its occupant has come to.
    fn rate(&mut self, seat: usize) {
        self.keys[seat] = self.seats[seat].as_ref().map_or(OUT, |occupant| occupant.key(&self.limits));
    }
}

// === impl Pool: reading ===

impl<M, W> Pool<M, W> {
    pub fn waiting(&self) -> u32 {
        self.line.len()
    }

    /// Since when requests have been waiting without a new instance coming to their help.
    pub fn waiting_since(&self) -> Option<Moment> {
        self.waiting_since
    }

    pub fn first_waiter(&self) -> Option<&W> {
        self.line.first()
    }

    /// Something is, or may soon be again, in rotation, here or there.
    pub fn has_instances(&self) -> bool {
        self.occupants().any(|occupant| occupant.standing != Standing::Retired)
    }

    /// The same of this node alone.
    pub fn has_instances_here(&self) -> bool {
        self.occupants().any(|occupant| occupant.is_here() && occupant.standing != Standing::Retired)
    }

    /// Nothing is in rotation, and nothing here is about to be. Peers that are held don't count: they may
    /// be gone, and whoever places instances knows more of them than this pool.
    pub fn is_deserted(&self) -> bool {
        !self.occupants().any(|occupant| match occupant.standing {
            Standing::InRotation => true,
            Standing::Held => occupant.is_here(),
            Standing::Retired => false,
        })
    }

    /// Requests that run on this node or wait.
    pub fn demand(&mut self) -> &mut Activity {
        &mut self.demand
    }

    /// Requests that run on this node.
    pub fn in_flight(&self) -> u32 {
        self.demand.level() - self.line.len()
    }

    pub fn members(&mut self) -> impl Iterator<Item = Member<'_, M>> {
        self.seats.iter_mut().flatten().map(|occupant| {
            let (instances, in_flight) = (occupant.instances(), occupant.level());
            let activity = match &mut occupant.work {
                Work::Here(activity) => Some(&mut **activity),
                Work::There(_) => None,
            };
            Member {
                place: &occupant.place,
                member: &occupant.member,
                standing: occupant.standing,
                instances,
                in_flight,
                activity,
            }
        })
    }

    fn occupants(&self) -> impl Iterator<Item = &Occupant<M>> {
        self.seats.iter().flatten()
    }
}
