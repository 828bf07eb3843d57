//! What was decided and why: the journal, one component's story, and what runs here. Added to the
//! original contract.

use std::sync::Arc;

use maelstrom_core::{
    names::{ComponentName, NodeId},
    rpc::{Registry, RpcError},
    time::WallTime,
    wire,
};

use super::errors::invalid;
use crate::{
    clock, cluster::ConfigurationCache, control::Control, journal::Journal, node::Node, router::Router,
};

/// Events of a component in its explanation: what fits a screen.
const EVENTS: i64 = 20;

/// What the methods need.
pub struct Insight {
    pub id: NodeId,
    pub configuration: Arc<ConfigurationCache>,
    pub journal: Arc<Journal>,
    pub node: Arc<Node>,
    pub control: Arc<Control>,
    pub router: Arc<Router>,
}

// === impl Insight ===

impl Insight {
    /// Adds the methods to `registry`.
    pub fn register(self: &Arc<Self>, registry: Registry) -> Registry {
        let (events, explain, version) = (self.clone(), self.clone(), self.clone());
        registry
            .on(wire::ListEvents, move |input| std::future::ready(events.events(&input)))
            .on(wire::ExplainComponent, move |input| std::future::ready(explain.explain(&input.name)))
            .on(wire::GetVersion, move |_| {
                std::future::ready(Ok(wire::GetVersionOutput {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    node_id: version.id.to_string(),
                }))
            })
    }

    fn events(&self, input: &wire::ListEventsInput) -> Result<wire::ListEventsOutput, RpcError> {
        if let Some(limit) = input.limit.filter(|limit| !(1..=1_000).contains(limit)) {
            return Err(invalid("limit", format!("is {limit}; 1 to 1000 are allowed")));
        }
        let component_name = input.component_name.as_ref().map(|name| name.to_ascii_lowercase());
        let query = wire::ListEventsInput { component_name, ..input.clone() };
        Ok(wire::ListEventsOutput { events: self.journal.list(&query) })
    }

    fn explain(&self, name: &str) -> Result<wire::ExplainComponentOutput, RpcError> {
        let known = ComponentName::parse(name)
            .ok()
            .and_then(|name| self.configuration.current().components.get(&name).cloned());
        let Some(component) = known else {
            return Err(RpcError::not_found(format_args!("name: component '{}'", name.escape_debug())));
        };
        let target = self.control.target(&component.name).unwrap_or_default();
        let load = self.router.component(component.name.as_str()).map(|pool| pool.load(clock::now()));
        let obstacle = self.control.obstacle(&component.name).map(|why| why.to_string());
        let here = self.node.explain(&component.name);
        let query = wire::ListEventsInput {
            component_name: Some(component.name.to_string()),
            limit: Some(EVENTS),
            ..Default::default()
        };
        let (last_failure, next_try_at, instances) =
            here.map_or_else(Default::default, |here| (here.last_failure, here.next_try_at, here.instances));
        Ok(wire::ExplainComponentOutput {
            component_name: component.name.to_string(),
            component_version: component.version,
            target_instances: i64::from(target.value),
            target_reasons: target.reasons,
            in_flight: load.as_ref().map_or(0, |load| i64::from(load.demand.in_flight)),
            waiting: load.as_ref().map_or(0, |load| i64::from(load.demand.waiting)),
            instances,
            last_failure: obstacle.or(last_failure),
            next_try_at: next_try_at.map(WallTime::as_millis),
            events: self.journal.list(&query),
        })
    }
}
