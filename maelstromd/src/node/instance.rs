//! One container as the node sees it, from the decision to start it until it is gone.
//!
//! The converger says what is wished; the instance's own task ([`super::life`]) makes it so and shows the
//! state here. States move as drawn in `decide::converge`; `Stopping` is never left but by going.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use maelstrom_core::{
    component::Component,
    decide::converge::{Observed, Purpose, State, StopReason},
    names::InstanceId,
    ports::engine::Container,
    time::{Moment, WallTime},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::death::Obituary;
use crate::router::ComponentPool;

/// What the converger wants of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Serve,
    Standby,
    Stop(StopReason),
}

#[derive(Debug)]
pub(super) struct Instance {
    /// Rises with each start on this node.
    pub(super) serial: u64,
    pub(super) component: Arc<Component>,
    /// The container's name, known before the container is.
    pub(super) name: String,
    /// When its start was decided.
    pub(super) since: Moment,
    pub(super) started_at: WallTime,
    pub(super) wish: watch::Sender<Wish>,
    /// What the engine reports of its end.
    pub(super) obituary: watch::Sender<Obituary>,
    /// A request failed on it: check now.
    pub(super) suspected: Notify,
    /// Its image is not the one that the component's image name points at.
    stale: AtomicBool,
    live: Mutex<Live>,
}

#[derive(Debug)]
struct Live {
    state: State,
    /// Known as soon as the container is made, so that no report of its end is missed.
    id: Option<InstanceId>,
    /// Set once it runs.
    container: Option<Container>,
    /// Set once it is reachable.
    address: Option<SocketAddr>,
    /// Where it is in rotation, or was.
    pool: Option<Arc<ComponentPool>>,
    healthy_since: Option<Moment>,
}

// === impl Instance ===

impl Instance {
    pub(super) fn new(
        serial: u64,
        component: Arc<Component>,
        name: String,
        purpose: Purpose,
        since: Moment,
        started_at: WallTime,
    ) -> Self {
        let wish = match purpose {
            Purpose::Serve => Wish::Serve,
            Purpose::Standby => Wish::Standby,
        };
        Self {
            serial,
            component,
            name,
            since,
            started_at,
            wish: watch::Sender::new(wish),
            obituary: watch::Sender::default(),
            suspected: Notify::new(),
            stale: AtomicBool::new(false),
            live: Mutex::new(Live {
                state: State::Starting(purpose),
                id: None,
                container: None,
                address: None,
                pool: None,
                healthy_since: None,
            }),
        }
    }

    pub(super) fn state(&self) -> State {
        self.live.lock().state
    }

    /// The engine's container, once it runs.
    pub(super) fn container(&self) -> Option<Container> {
        self.live.lock().container.clone()
    }

    pub(super) fn id(&self) -> Option<InstanceId> {
        self.live.lock().id.clone()
    }

    pub(super) fn has_id(&self, id: &InstanceId) -> bool {
        self.live.lock().id.as_ref() == Some(id)
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.live.lock().address
    }

    pub(super) fn pool(&self) -> Option<Arc<ComponentPool>> {
        self.live.lock().pool.clone()
    }

    /// Since when it has been healthy, if it ever was.
    pub(super) fn healthy_since(&self) -> Option<Moment> {
        self.live.lock().healthy_since
    }

    /// The container was made.
    pub(super) fn made(&self, id: &InstanceId) {
        self.live.lock().id = Some(id.clone());
    }

    /// The container runs. `None`: it has no address that the daemon can reach.
    pub(super) fn runs(&self, container: &Container) -> Option<SocketAddr> {
        let docker = &self.component.docker;
        let ip = match container.address {
            Some(ip) => ip,
            None if docker.network.as_deref() == Some("host") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            None => return None,
        };
        let address = SocketAddr::new(ip, docker.http_port);
        let mut live = self.live.lock();
        live.id = Some(container.id.clone());
        live.container = Some(container.clone());
        live.address = Some(address);
        Some(address)
    }

    pub(super) fn healthy(&self, now: Moment) {
        self.live.lock().healthy_since.get_or_insert(now);
    }

    pub(super) fn joins(&self, pool: Arc<ComponentPool>) {
        self.live.lock().pool = Some(pool);
    }

    /// The task shows what it has reached. Refused when the converger has decided otherwise meanwhile:
    /// a stopping instance stays so, and one that is to be resumed is not standby any more.
    pub(super) fn reach(&self, state: State) -> bool {
        let mut live = self.live.lock();
        let wish = *self.wish.borrow();
        let overruled = match live.state {
            State::Stopping => true,
            _ => state == State::Standby && wish != Wish::Standby,
        };
        if !overruled {
            live.state = state;
        }
        !overruled
    }

    /// The converger stops it; its task hears of it.
    pub(super) fn stop(&self, reason: StopReason) {
        self.live.lock().state = State::Stopping;
        self.wish.send_replace(Wish::Stop(reason));
    }

    /// The converger wants a standby instance to serve.
    pub(super) fn resume(&self) {
        let mut live = self.live.lock();
        if live.state != State::Stopping {
            live.state = State::Starting(Purpose::Serve);
            self.wish.send_replace(Wish::Serve);
        }
    }

    pub(super) fn note_end(&self, out_of_memory: bool) {
        self.obituary.send_modify(|obituary| {
            obituary.died |= !out_of_memory;
            obituary.out_of_memory |= out_of_memory;
        });
    }

    pub(super) fn set_stale(&self) -> bool {
        !self.stale.swap(true, Ordering::Relaxed)
    }

    /// Made from the component as it is now.
    pub(super) fn is_current(&self, component: Option<&Arc<Component>>) -> bool {
        !self.stale.load(Ordering::Relaxed)
            && component.is_some_and(|component| {
                Arc::ptr_eq(component, &self.component)
                    // A component removed and put again begins at version 1 once more.
                    || (component.version == self.component.version
                        && component.modified_at == self.component.modified_at)
            })
    }

    /// In rotation, or on its way there.
    pub(super) fn is_for_traffic(&self) -> bool {
        matches!(self.state(), State::Serving | State::Starting(Purpose::Serve))
    }

    /// Paused, or about to be.
    pub(super) fn is_standby(&self) -> bool {
        matches!(self.state(), State::Standby | State::Starting(Purpose::Standby))
    }

    pub(super) fn observed(&self, component: Option<&Arc<Component>>, in_flight: u32) -> Observed {
        Observed {
            serial: self.serial,
            current: self.is_current(component),
            state: self.state(),
            in_flight,
            since: self.since,
        }
    }
}
