//! The configuration and the instances that serve → pollers with their shares. The same on all nodes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use maelstrom_core::{
    component::{Component, ConcurrencyLimit},
    decide::poller::{Capacity, Limits, shares},
    event_source::{EventSource, EventSourceKind},
    names::{ComponentName, Role},
};

use super::Assignment;
use crate::{
    cluster::{Snapshot, Source},
    events::exchange,
};

/// The event sources that are polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::events) enum Kind {
    Sqs,
    StepFunctions,
}

/// Instances in the whole cluster that serve each component.
pub type Serving = HashMap<ComponentName, u32>;

pub(super) fn plan(snapshot: &Snapshot, serving: &Serving) -> BTreeMap<Role, Assignment> {
    let enabled = snapshot.event_sources.iter().filter(|source| source.enabled);
    let of_source = enabled.filter_map(|source| {
        let component = snapshot.components.get(&source.source.component)?;
        Some(pollers(source, component, serving))
    });
    of_source.flatten().collect()
}

fn pollers(source: &Arc<Source>, component: &Component, serving: &Serving) -> Vec<(Role, Assignment)> {
    let Some(limits) = limits(&source.source) else { return Vec::new() };
    let limit = exchange::limit(Some(component));
    let shares = shares(limits, capacity(component, serving)).into_iter().enumerate();
    let (kind, name) = (source.source.kind.name(), &source.source.name);
    shares
        .map(|(index, share)| {
            let role = Role::new(format!("{kind}/{name}/{index}"));
            (role, Assignment { source: source.clone(), share, limit })
        })
        .collect()
}

fn limits(source: &EventSource) -> Option<Limits> {
    match &source.kind {
        EventSourceKind::Sqs(sqs) => {
            Some(Limits { max_concurrency: sqs.max_concurrency, per_poller: sqs.concurrency_per_poller })
        }
        EventSourceKind::StepFunctions(tasks) => {
            Some(Limits { max_concurrency: tasks.max_concurrency, per_poller: tasks.concurrency_per_poller })
        }
        EventSourceKind::Http(_) | EventSourceKind::Cron(_) => None,
    }
}

fn capacity(component: &Component, serving: &Serving) -> Option<Capacity> {
    let scaling = &component.scaling;
    (scaling.concurrency_limit == ConcurrencyLimit::Hard).then(|| Capacity {
        instances: serving.get(&component.name).copied().unwrap_or_default(),
        max_instances: scaling.max_instances.map(Into::into),
        per_instance: scaling.max_concurrency.get(),
    })
}

// === impl Kind ===

impl Kind {
    pub(in crate::events) fn of(source: &EventSource) -> Option<Self> {
        match source.kind {
            EventSourceKind::Sqs(_) => Some(Self::Sqs),
            EventSourceKind::StepFunctions(_) => Some(Self::StepFunctions),
            EventSourceKind::Http(_) | EventSourceKind::Cron(_) => None,
        }
    }
}
