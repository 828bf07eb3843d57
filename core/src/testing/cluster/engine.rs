//! Simulated container engines: slow starts, crashes, events that nobody hears. Containers go on without
//! their daemon.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    agenda::{Event, Wake},
    world::World,
};
use crate::component::Component;

#[derive(Debug)]
pub(super) struct Container {
    pub(super) component: Arc<Component>,
    pub(super) running: bool,
    /// Its program answers from then on.
    pub(super) ready_at: u64,
    /// It was told to end.
    pub(super) stopping: bool,
    /// It has been in some daemon's rotation.
    pub(super) served: bool,
    pub(super) serving: BTreeSet<u64>,
}

// === impl Container ===

impl Container {
    pub(super) fn new(component: Arc<Component>, ready_at: u64) -> Self {
        Self { component, running: true, ready_at, stopping: false, served: false, serving: BTreeSet::new() }
    }
}

// === impl World: containers ===

impl World {
    /// A request is sent to an instance.
    pub(super) fn serve(&mut self, node: usize, container: u64, request: u64) {
        let now = self.now;
        let work = self.requests.get(&request).map_or(0, |request| request.work);
        match self.nodes[node].containers.get_mut(&container).filter(|one| one.running) {
            Some(one) => {
                one.serving.insert(request);
                self.agenda.plan(now + work, Event::Served { node, container, request });
                self.check_concurrency(node, container);
            }
            // Its connection is refused.
            None => self.wake(node, now + 200, Wake::Local { request, container, done: false }),
        }
    }

    pub(super) fn served(&mut self, node: usize, container: u64, request: u64) {
        let Some(one) = self.nodes[node].containers.get_mut(&container) else { return };
        if one.running && one.serving.remove(&request) {
            self.wake(node, self.now, Wake::Local { request, container, done: true });
        }
    }

    /// The process ends, because it was told to or by itself.
    pub(super) fn container_ends(&mut self, node: usize, container: u64) {
        let now = self.now;
        let Some(one) = self.nodes[node].containers.get_mut(&container).filter(|one| one.running) else {
            return;
        };
        one.running = false;
        let (stopping, serving) = (one.stopping, std::mem::take(&mut one.serving));
        for request in serving {
            self.wake(node, now + 100, Wake::Local { request, container, done: false });
        }
        if stopping {
            return;
        }
        self.note(|world| format!("container {container} of {} dies", world.nodes[node].id));
        // Events may be lost: a failed request or a look at the list finds it.
        if !self.chance.one_in(4) {
            let late = self.chance.between(1_000, 60_000);
            self.wake(node, now + late, Wake::Died(container));
        }
    }

    pub(super) fn make_container(&mut self, node: usize, component: Arc<Component>) -> u64 {
        self.containers += 1;
        let id = self.containers;
        let slow = !self.calm() && self.chance.one_in(15);
        let start = if slow { self.chance.below(12_000_000) } else { self.chance.between(50_000, 1_500_000) };
        self.nodes[node].containers.insert(id, Container::new(component, self.now + start));
        self.check_limits(node);
        id
    }
}
