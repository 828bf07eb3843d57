//! Containers of an earlier run that no instance owns, while they end. They count against limits and hold memory
//! like instances that stop: so others hear of them, and converging waits for them where it has to.

use std::collections::{BTreeMap, BTreeSet};

use maelstrom_core::{
    component::Component,
    decide::converge::{Observed, State},
    names::{ComponentName, InstanceId},
    ports::engine::{Container, LABEL_COMPONENT, LABEL_VERSION},
    time::Moment,
    wire::ComponentInfo,
};
use parking_lot::Mutex;

#[derive(Default)]
pub(super) struct Leftovers {
    ending: Mutex<BTreeMap<InstanceId, Leftover>>,
    /// What is being removed, which may take longer than until the next look.
    removals: Mutex<BTreeSet<InstanceId>>,
}

#[derive(Clone, Debug)]
struct Leftover {
    component: ComponentName,
    version: i64,
    started_at: i64,
}

// === impl Leftovers ===

impl Leftovers {
    /// False: its removal goes on.
    pub(super) fn begin_removal(&self, id: &InstanceId) -> bool {
        self.removals.lock().insert(id.clone())
    }

    /// It is gone, or to be tried again.
    pub(super) fn end_removal(&self, id: &InstanceId) {
        self.removals.lock().remove(id);
    }

    /// True if that is news.
    pub(super) fn add(&self, container: &Container) -> bool {
        let label = |name: &str| container.labels.get(name);
        let Some(component) = label(LABEL_COMPONENT).and_then(|name| ComponentName::parse(name).ok()) else {
            return false;
        };
        let version = label(LABEL_VERSION).and_then(|version| version.parse().ok()).unwrap_or_default();
        let leftover = Leftover { component, version, started_at: container.started_at };
        self.ending.lock().insert(container.id.clone(), leftover).is_none()
    }

    /// It is gone. `Some`: it was one, of that component.
    pub(super) fn remove(&self, id: &InstanceId) -> Option<ComponentName> {
        self.ending.lock().remove(id).map(|leftover| leftover.component)
    }

    /// Forgets those that the engine has no more; true if there are any.
    pub(super) fn retain(&self, is_there: impl Fn(&InstanceId) -> bool) -> bool {
        let mut leftovers = self.ending.lock();
        let before = leftovers.len();
        leftovers.retain(|id, _| is_there(id));
        leftovers.len() < before
    }

    pub(super) fn count(&self, component: &ComponentName) -> u32 {
        let leftovers = self.ending.lock();
        let mine = leftovers.values().filter(|leftover| leftover.component == *component);
        u32::try_from(mine.count()).unwrap_or(u32::MAX)
    }

    /// Converging goes by them as by instances that stop: what must not run beside an older version waits.
    pub(super) fn observed(&self, component: &ComponentName) -> impl Iterator<Item = Observed> + use<> {
        let stopping = |index| Observed {
            // No instance ever gets there.
            serial: u64::MAX - u64::from(index),
            current: false,
            state: State::Stopping,
            in_flight: 0,
            since: Moment::ZERO,
        };
        (0..self.count(component)).map(stopping)
    }

    /// How a status shows those of `component`; their settings are not known any more.
    pub(super) fn infos(&self, component: &ComponentName, now: Option<&Component>) -> Vec<ComponentInfo> {
        let reserved = now.map_or(0, |component| component.docker.reserve_memory_mib);
        let leftovers = self.ending.lock();
        let mine = leftovers.iter().filter(|(_, leftover)| leftover.component == *component);
        mine.map(|(id, leftover)| ComponentInfo {
            component_name: leftover.component.to_string(),
            component_version: leftover.version,
            status: "stopping".to_owned(),
            memory_reserved_mib: i64::try_from(reserved).unwrap_or(i64::MAX),
            start_time: leftover.started_at,
            instance_id: Some(id.to_string()),
            ..ComponentInfo::default()
        })
        .collect()
    }
}
