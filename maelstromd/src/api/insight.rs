//! What was decided and why: the journal, one component's story, and what runs. Asked of any node, told of
//! all; a node that can't be asked is named. Added to the original contract.

use std::sync::Arc;

use maelstrom_core::{
    names::{ComponentName, NodeId, Role},
    rpc::{Registry, RpcError, code},
    time::WallTime,
    wire::{self, ExplainComponentOutput, JournalEvent},
};

use super::{ask_all::ask_all, errors::invalid};
use crate::{
    clock,
    cluster::{ConfigurationCache, PeerError, Peers, Roles},
    control::{self, Control},
    journal::Journal,
    node::Node,
    router::Router,
};

/// Events of a component in its explanation: what fits a screen.
const EVENTS: usize = 20;
/// Events in an answer when the client doesn't say.
const DEFAULT_EVENTS: usize = 200;

/// What the methods need.
pub struct Insight {
    pub id: NodeId,
    pub configuration: Arc<ConfigurationCache>,
    pub journal: Arc<Journal>,
    pub node: Arc<Node>,
    pub control: Arc<Control>,
    pub router: Arc<Router>,
    pub roles: Arc<Roles>,
    pub peers: Arc<Peers>,
}

// === impl Insight ===

impl Insight {
    /// Adds the methods to `registry`.
    pub fn register(self: &Arc<Self>, registry: Registry) -> Registry {
        let (events, explain, version) = (self.clone(), self.clone(), self.clone());
        registry
            .on(wire::ListEvents, move |input| {
                let this = events.clone();
                async move { this.events(input).await }
            })
            .on(wire::ExplainComponent, move |input| {
                let this = explain.clone();
                async move { this.explain(&input).await }
            })
            .on(wire::GetVersion, move |_| {
                std::future::ready(Ok(wire::GetVersionOutput {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    node_id: version.id.to_string(),
                }))
            })
    }

    async fn events(&self, input: wire::ListEventsInput) -> Result<wire::ListEventsOutput, RpcError> {
        if let Some(limit) = input.limit.filter(|limit| !(1..=1_000).contains(limit)) {
            return Err(invalid("limit", format!("is {limit}; 1 to 1000 are allowed")));
        }
        let component_name = input.component_name.as_ref().map(|name| name.to_ascii_lowercase());
        let query = wire::ListEventsInput { component_name, local: Some(true), ..input };
        let mut events = self.journal.list(&query);
        // Each node counts its events for itself.
        if input.local == Some(true) || query.after_sequence.is_some() {
            return Ok(wire::ListEventsOutput { events, missing: Vec::new() });
        }
        let limit = query.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(DEFAULT_EVENTS);
        let ask = |node: NodeId, limit| {
            let query = &query;
            async move { self.peers.call(&node, wire::ListEvents, query, limit).await }
        };
        let missing = ask_all(&self.peers, ask, |_, answer| merge(&mut events, answer.events, limit)).await;
        Ok(wire::ListEventsOutput { events, missing })
    }

    async fn explain(&self, input: &wire::ExplainComponentInput) -> Result<ExplainComponentOutput, RpcError> {
        let name = input.name.as_str();
        let mut explained = self.explain_here(name)?;
        if input.local == Some(true) {
            return Ok(explained);
        }
        let decider = self.roles.owner_of(&Role::new(control::ROLE)).map(|(node, _)| node);
        let query = wire::ExplainComponentInput { name: name.to_owned(), local: Some(true) };
        let ask = |node: NodeId, limit| {
            let query = &query;
            async move {
                match self.peers.call(&node, wire::ExplainComponent, query, limit).await {
                    // It has not heard of the component yet.
                    Err(PeerError::Call { error, .. }) if error.code() == Some(code::NOT_FOUND) => Ok(None),
                    answer => answer.map(Some),
                }
            }
        };
        let take = |node: &NodeId, answer: Option<ExplainComponentOutput>| {
            if let Some(answer) = answer {
                combine(&mut explained, node, answer, decider.as_ref() == Some(node));
            }
        };
        let missing = ask_all(&self.peers, ask, take).await;
        Ok(ExplainComponentOutput { missing, ..explained })
    }

    fn explain_here(&self, name: &str) -> Result<ExplainComponentOutput, RpcError> {
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
            limit: i64::try_from(EVENTS).ok(),
            ..Default::default()
        };
        let (last_failure, next_try_at, mut instances) =
            here.map_or_else(Default::default, |here| (here.last_failure, here.next_try_at, here.instances));
        for instance in &mut instances {
            instance.node_id = Some(self.id.to_string());
        }
        Ok(ExplainComponentOutput {
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
            missing: Vec::new(),
        })
    }
}

/// Adds what a peer knows. What is wanted is told by who decides on it.
fn combine(
    explained: &mut ExplainComponentOutput,
    node: &NodeId,
    told: ExplainComponentOutput,
    decides: bool,
) {
    if decides {
        explained.target_instances = told.target_instances;
        explained.target_reasons = told.target_reasons;
    }
    explained.in_flight += told.in_flight;
    explained.waiting += told.waiting;
    explained.instances.extend(told.instances);
    if explained.last_failure.is_none() {
        explained.last_failure = told.last_failure.map(|why| format!("{why} (node {node})"));
    }
    let tries = [explained.next_try_at, told.next_try_at];
    explained.next_try_at = tries.into_iter().flatten().min();
    merge(&mut explained.events, told.events, EVENTS);
}

/// Keeps the newest `limit`, oldest first.
fn merge(events: &mut Vec<JournalEvent>, more: Vec<JournalEvent>, limit: usize) {
    events.extend(more);
    events.sort_by(|a, b| (a.time, &a.node_id, a.sequence).cmp(&(b.time, &b.node_id, b.sequence)));
    events.drain(..events.len().saturating_sub(limit));
}
