//! `MaelstromService`: what users register. Each change is decided on the current configuration and
//! committed while that is current, so that two clients can't overwrite each other unnoticed.

use std::sync::Arc;

use maelstrom_core::{
    names::NodeId,
    ports::{
        clock::Clock,
        store::{Configuration, Op},
    },
    rpc::{Registry, RpcError},
    wire,
};

use super::{components, errors, event_sources, projects};
use crate::cluster::ConfigurationCache;

/// What the methods need.
pub struct MaelstromService {
    pub node: NodeId,
    pub configuration: Arc<ConfigurationCache>,
    pub clock: Arc<dyn Clock>,
    /// Puts the newest configuration in place on this node, so that a client finds what it put.
    pub put_in_place: Arc<dyn Fn() + Send + Sync>,
}

// === impl MaelstromService ===

impl MaelstromService {
    /// Adds the service's methods to `registry`.
    pub fn register(self: &Arc<Self>, registry: Registry) -> Registry {
        let registry = self.register_projects(registry);
        let registry = self.register_components(registry);
        self.register_event_sources(registry)
    }

    fn register_projects(self: &Arc<Self>, registry: Registry) -> Registry {
        let (all, put, one, remove) = (self.clone(), self.clone(), self.clone(), self.clone());
        registry
            .on(wire::ListProjects, move |input| all.read(|current| projects::list(current, input)))
            .on(wire::PutProject, move |input| {
                let this = put.clone();
                async move {
                    let now = this.clock.wall();
                    if input.diff_only == Some(true) {
                        let planned = this.read(|current| projects::put(current, &input.project, now)).await;
                        return planned.map(|(_, output)| output);
                    }
                    this.change(|configuration| projects::put(configuration, &input.project, now)).await
                }
            })
            .on(wire::GetProject, move |input| one.read(|current| projects::get(current, &input.name)))
            .on(wire::RemoveProject, move |input| {
                let this = remove.clone();
                async move { this.change(|configuration| projects::remove(configuration, &input.name)).await }
            })
    }

    fn register_components(self: &Arc<Self>, registry: Registry) -> Registry {
        let (put, one, remove, all) = (self.clone(), self.clone(), self.clone(), self.clone());
        let notified = self.clone();
        registry
            .on(wire::PutComponent, move |input| {
                let this = put.clone();
                async move {
                    let now = this.clock.wall();
                    this.change(|configuration| components::put(configuration, &input.component, now)).await
                }
            })
            .on(wire::GetComponent, move |input| {
                one.read(|current| {
                    let component = components::get(current, &input.name)?;
                    Ok(wire::GetComponentOutput { component })
                })
            })
            .on(wire::RemoveComponent, move |input| {
                let this = remove.clone();
                async move { this.change(|configuration| components::remove(configuration, &input.name)).await }
            })
            .on(wire::ListComponents, move |input| all.read(|current| components::list(current, input)))
            .on(wire::NotifyDataChanged, move |_| {
                let this = notified.clone();
                async move {
                    // The notice says that something changed; what is true now stands in the store.
                    this.configuration.look().await.map_err(errors::store)?;
                    Ok(wire::NotifyDataChangedOutput { responding_node_id: this.node.to_string() })
                }
            })
    }

    fn register_event_sources(self: &Arc<Self>, registry: Registry) -> Registry {
        let (put, one, remove, toggle, all) =
            (self.clone(), self.clone(), self.clone(), self.clone(), self.clone());
        registry
            .on(wire::PutEventSource, move |input| {
                let this = put.clone();
                async move {
                    let now = this.clock.wall();
                    this.change(|configuration| event_sources::put(configuration, &input.event_source, now)).await
                }
            })
            .on(wire::GetEventSource, move |input| {
                one.read(|current| {
                    let event_source = event_sources::get(current, &input.name)?;
                    Ok(wire::GetEventSourceOutput { event_source })
                })
            })
            .on(wire::RemoveEventSource, move |input| {
                let this = remove.clone();
                async move { this.change(|configuration| event_sources::remove(configuration, &input.name)).await }
            })
            .on(wire::ToggleEventSources, move |input| {
                let this = toggle.clone();
                async move { this.change(|configuration| event_sources::toggle(configuration, &input)).await }
            })
            .on(wire::ListEventSources, move |input| all.read(|current| event_sources::list(current, input)))
    }

    /// Looks something up in the current configuration.
    fn read<T>(&self, find: impl FnOnce(&Configuration) -> T) -> std::future::Ready<T> {
        std::future::ready(find(&self.configuration.current().wire))
    }

    async fn change<T>(
        &self,
        decide: impl Fn(&Configuration) -> Result<(Vec<Op>, T), RpcError>,
    ) -> Result<T, RpcError> {
        let changed = self.configuration.update(|snapshot| decide(&snapshot.wire)).await;
        (self.put_in_place)();
        changed.map_err(errors::update)
    }
}

#[cfg(test)]
mod tests;
