//! What the tests of this folder share.

use std::sync::Arc;

use maelstrom_core::{
    component::Component, names::NodeId, ports::clock::Clock, testing::engine::FakeEngine, wire,
};

use super::{PruneSettings, Pruner, Pulls};
use crate::{clock::PausedClock, cluster::Snapshot, journal::Journal};

pub(super) struct World {
    pub(super) engine: FakeEngine,
    clock: Arc<dyn Clock>,
    journal: Arc<Journal>,
}

pub(super) fn world() -> World {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new());
    let journal = Arc::new(Journal::new(NodeId::new("n1")));
    World { engine: FakeEngine::new(clock.clone()), clock, journal }
}

impl World {
    pub(super) fn pulls(&self) -> Pulls {
        Pulls::new(Arc::new(self.engine.clone()), self.journal.clone(), self.clock.clone())
    }

    pub(super) fn pruner(&self, settings: PruneSettings) -> Pruner {
        Pruner {
            node: NodeId::new("n1"),
            engine: Arc::new(self.engine.clone()),
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            settings,
        }
    }
}

pub(super) fn component(
    name: &str,
    image: &str,
    change: impl FnOnce(&mut wire::DockerComponent),
) -> Arc<Component> {
    let mut docker = wire::DockerComponent { image: image.into(), ..Default::default() };
    change(&mut docker);
    let wire = wire::Component { name: name.into(), docker: Some(docker), version: 1, ..Default::default() };
    Arc::new(Component::parse(&wire).unwrap())
}

pub(super) fn snapshot(components: impl IntoIterator<Item = Arc<Component>>) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for component in components {
        let docker = wire::DockerComponent { image: component.docker.image.clone(), ..Default::default() };
        let wire =
            wire::Component { name: component.name.to_string(), docker: Some(docker), ..Default::default() };
        snapshot.wire.components.push(wire);
        snapshot.components.insert(component.name.clone(), component);
    }
    Arc::new(snapshot)
}
