//! A slot of an instance, held for as long as a request, stream or upgraded connection runs. Dropping it
//! gives it to the first waiter, if there is one.

use std::{sync::Arc, time::Duration};

use maelstrom_core::decide::pool::{Place, Seat};
use tokio_util::sync::CancellationToken;

use super::{ColdStart, ComponentPool, Endpoint, Phase};
use crate::clock;

/// Permission to send one request to one instance, or to a peer that serves the component.
#[derive(Debug)]
#[must_use = "dropping a slot gives it back"]
pub struct Slot {
    pool: Arc<ComponentPool>,
    seated: Arc<Seated>,
    /// Taken when the slot is given back.
    seat: Option<Seat>,
    waited: Duration,
    cold_start: Option<Arc<ColdStart>>,
}

/// An instance or a peer in a pool.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) endpoint: Arc<Endpoint>,
    /// Fires when it has left: retired, and its last request has ended.
    pub(super) left: CancellationToken,
}

// === impl Slot ===

impl Slot {
    pub(super) fn new(
        pool: Arc<ComponentPool>,
        seated: Arc<Seated>,
        seat: Seat,
        waited: Duration,
        cold_start: Option<Arc<ColdStart>>,
    ) -> Self {
        Self { pool, seated, seat: Some(seat), waited, cold_start }
    }

    #[inline]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.seated.endpoint
    }

    #[inline]
    pub fn pool(&self) -> &Arc<ComponentPool> {
        &self.pool
    }

    /// Time in the queue; zero for who didn't wait.
    #[inline]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Set on the slot of the request that a cold start was made for.
    pub fn cold_start(&self) -> Option<&Arc<ColdStart>> {
        self.cold_start.as_ref()
    }

    /// The response has begun: ends a cold start's last phase. Costs nothing on other slots.
    #[inline]
    pub fn first_byte(&mut self) {
        if let Some(cold_start) = self.cold_start.take() {
            cold_start.mark(Phase::FirstByte, clock::now());
            self.pool.record_cold_start(&cold_start);
        }
    }

    /// The instance has failed the request before its first byte: it gets no others until the node has
    /// checked it. So does a peer, for all components, until it has answered a probe.
    pub fn fail(&self) {
        let endpoint = &self.seated.endpoint;
        match (&endpoint.place, endpoint.peer()) {
            (_, Some(peer)) => peer.fail(),
            (Place::Here(id), None) => self.pool.hold(id),
            (Place::There(_), None) => {}
        }
    }

    /// The peer has none of the component's instances. It gets no more of its requests until it tells
    /// otherwise in a status later than the one of that number.
    pub fn missing(&self, status: u64) {
        if let Some(peer) = self.seated.endpoint.peer() {
            peer.misses(&self.pool, status);
        }
    }

    /// The peer has told how many of the component's requests it has in all, on how many instances.
    pub fn heard(&self, in_flight: u32, instances: u32) {
        self.pool.tell(&self.seated.endpoint.place, in_flight, instances);
    }

    /// Takes the seat out of a slot that nobody received; it is then for the caller to give it back.
    pub(super) fn into_seat(mut self) -> (Option<Seat>, Option<Arc<ColdStart>>) {
        (self.seat.take(), self.cold_start.take())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(cold_start) = self.cold_start.take() {
            self.pool.record_cold_start(&cold_start);
        }
        if let Some(seat) = self.seat.take() {
            self.pool.give_back(seat);
        }
    }
}
