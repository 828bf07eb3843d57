//! `NodeService`: what nodes tell and ask each other, and what `maelctl cluster` shows.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    component::Component,
    decide::lease::Term,
    names::{ComponentName, NodeId},
    rpc::{Registry, RpcError, code},
    wire,
};

use super::errors::invalid;
use crate::{
    cluster::{ConfigurationCache, Peers},
    control::{Control, Delta, NotSet, OldTerm, PlaceError, Placed, Target, Targets as _},
    node::Node,
};

/// A blocking caller is answered by then whatever happened: starts are bounded by their checks, and
/// callers have time limits of their own.
const BLOCK_MAX: Duration = Duration::from_secs(120);
/// Peers that have not answered by then are shown as they were known last.
const REFRESH_LIMIT: Duration = Duration::from_secs(2);
/// No node's targets ever have it.
const NO_VERSION: i64 = 0;
/// Counts beyond it are a mistake.
const COUNT_MAX: i64 = 10_000;

/// What the methods need.
pub struct NodeService {
    pub id: NodeId,
    pub node: Arc<Node>,
    pub control: Arc<Control>,
    pub configuration: Arc<ConfigurationCache>,
    pub peers: Arc<Peers>,
}

// === impl NodeService ===

impl NodeService {
    /// Adds the service's methods to `registry`.
    pub fn register(self: &Arc<Self>, registry: Registry) -> Registry {
        let (all, one, told, place) = (self.clone(), self.clone(), self.clone(), self.clone());
        let (targets, demand) = (self.clone(), self.clone());
        registry
            .on(wire::ListNodeStatus, move |input| {
                let this = all.clone();
                async move { Ok(this.all(&input).await) }
            })
            .on(wire::GetStatus, move |input| std::future::ready(one.status(input)))
            .on(wire::StatusChanged, move |input| {
                told.status_changed(input);
                std::future::ready(Ok(wire::StatusChangedOutput { node_id: told.id.to_string() }))
            })
            .on(wire::PlaceComponent, move |input| {
                let this = place.clone();
                async move { this.place(&input).await }
            })
            .on(wire::ReportDemand, move |input| {
                let accepted = demand.control.report(&input);
                std::future::ready(Ok(wire::ReportDemandOutput { accepted }))
            })
            .on(wire::StartStopComponents, move |input| {
                let this = targets.clone();
                async move { this.start_stop(input).await }
            })
    }

    async fn all(&self, input: &wire::ListNodeStatusInput) -> wire::ListNodeStatusOutput {
        if input.force_refresh == Some(true) {
            self.peers.refresh(REFRESH_LIMIT).await;
        }
        let mut nodes = self.peers.statuses();
        nodes.push(self.node.status());
        nodes.sort_by(|a, b| (a.started_at, &a.node_id).cmp(&(b.started_at, &b.node_id)));
        wire::ListNodeStatusOutput { responding_node_id: self.id.to_string(), nodes }
    }

    fn status_changed(&self, input: wire::StatusChangedInput) {
        match (input.exiting, input.status) {
            (true, status) => self.peers.leaves(&NodeId::new(input.node_id), status.as_ref()),
            (false, Some(status)) => self.peers.observe(status),
            (false, None) => {}
        }
    }

    fn status(&self, input: wire::GetStatusInput) -> Result<wire::GetStatusOutput, RpcError> {
        if let Some(status) = input.status {
            self.peers.observe(status);
        }
        // Before the status is taken: nothing that it tells is changed by orders of older terms.
        if let Some(term) = input.placement_term.and_then(term) {
            self.node.fence(term).map_err(|error| old_term(&error))?;
        }
        Ok(wire::GetStatusOutput { status: self.node.status() })
    }

    async fn place(&self, input: &wire::PlaceComponentInput) -> Result<wire::PlaceComponentOutput, RpcError> {
        let name = input.component_name.to_ascii_lowercase();
        match self.control.place(&name, input.delegated == Some(true)).await {
            Ok(Placed::Here) => {
                Ok(wire::PlaceComponentOutput { component_name: name, node: self.node.status() })
            }
            Ok(Placed::There(status)) => {
                Ok(wire::PlaceComponentOutput { component_name: name, node: *status })
            }
            Err(error) => Err(no_place(&name, error)),
        }
    }

    async fn start_stop(
        &self,
        input: wire::StartStopComponentsInput,
    ) -> Result<wire::StartStopComponentsOutput, RpcError> {
        let mut output = wire::StartStopComponentsOutput::default();
        let targets = self.targets(&input, &mut output.errors)?;
        let term = input.placement_term.and_then(term);
        // What was on its way to an earlier run may find the same version here by chance.
        let of_this_run =
            input.target_incarnation.as_deref().is_none_or(|run| run == self.node.incarnation());
        let expected = if of_this_run { input.target_version } else { NO_VERSION };
        match self.node.set_targets(term, Some(expected), &targets) {
            Err(NotSet::Outdated(_)) => output.target_version_mismatch = true,
            Err(NotSet::Fenced(error)) => return Err(old_term(&error)),
            Ok(deltas) => {
                for delta in &deltas {
                    let told = self.delta(delta);
                    if told.delta > 0 { output.started.push(told) } else { output.stopped.push(told) }
                }
                if input.block == Some(true) {
                    self.settle(&deltas, &mut output).await;
                }
            }
        }
        if input.return_status == Some(true) || output.target_version_mismatch {
            output.target_status = Some(self.node.status());
        }
        Ok(output)
    }

    /// Checks what is asked; components that don't exist here become errors of their own in the answer.
    fn targets(
        &self,
        input: &wire::StartStopComponentsInput,
        errors: &mut Vec<wire::ComponentDeltaError>,
    ) -> Result<Vec<Target>, RpcError> {
        let mut targets = Vec::with_capacity(input.target_counts.len());
        for (index, asked) in input.target_counts.iter().enumerate() {
            let Some(count) =
                u32::try_from(asked.target_count).ok().filter(|_| asked.target_count <= COUNT_MAX)
            else {
                return Err(invalid(
                    &format!("targetCounts[{index}].targetCount"),
                    format!("is {}; 0 to {COUNT_MAX} are allowed", asked.target_count),
                ));
            };
            match self.component(&asked.component_name) {
                Some(component) => targets.push(Target {
                    component: component.name.clone(),
                    count,
                    reasons: vec![format!("node '{}' asked for {count}", input.client_node_id)],
                }),
                None => errors.push(wire::ComponentDeltaError {
                    component_delta: wire::ComponentDelta {
                        component_name: asked.component_name.clone(),
                        delta: asked.target_count,
                        required_memory_mib: asked.required_memory_mib,
                    },
                    error: format!("component '{}' does not exist", asked.component_name.escape_debug()),
                }),
            }
        }
        Ok(targets)
    }

    fn component(&self, name: &str) -> Option<Arc<Component>> {
        let name = ComponentName::parse(name).ok()?;
        self.configuration.current().components.get(&name).cloned()
    }

    fn delta(&self, delta: &Delta) -> wire::ComponentDelta {
        let component = self.component(delta.component.as_str());
        let memory = component.map_or(0, |component| component.docker.reserve_memory_mib);
        wire::ComponentDelta {
            component_name: delta.component.to_string(),
            delta: i64::from(delta.to) - i64::from(delta.from),
            required_memory_mib: i64::try_from(memory).unwrap_or(i64::MAX),
        }
    }

    /// Waits until the components run as many instances as they should, or can't be started.
    async fn settle(&self, deltas: &[Delta], output: &mut wire::StartStopComponentsOutput) {
        let mut changes = self.node.changes();
        let unsettled = || deltas.iter().filter(|delta| !self.is_settled(delta));
        let settled = changes.wait_for(|_| unsettled().next().is_none());
        if tokio::time::timeout(BLOCK_MAX, settled).await.is_ok() {
            self.tell_failures(deltas, output);
            return;
        }
        for delta in unsettled() {
            let component_delta = self.delta(delta);
            let error = format!("did not happen within {} s and goes on", BLOCK_MAX.as_secs());
            output.errors.push(wire::ComponentDeltaError { component_delta, error });
        }
    }

    fn is_settled(&self, delta: &Delta) -> bool {
        let Some(now) = self.node.explain(&delta.component) else { return true };
        let active = now
            .instances
            .iter()
            .filter(|instance| instance.status == "active" && instance.standby != Some(true));
        // A newer target by somebody else, or a start that failed, is as settled as it gets.
        now.target != delta.to || now.last_failure.is_some() || active.count() == delta.to as usize
    }

    fn tell_failures(&self, deltas: &[Delta], output: &mut wire::StartStopComponentsOutput) {
        for delta in deltas {
            if let Some(error) = self.node.explain(&delta.component).and_then(|now| now.last_failure) {
                output.errors.push(wire::ComponentDeltaError { component_delta: self.delta(delta), error });
            }
        }
    }
}

fn term(number: i64) -> Option<Term> {
    u64::try_from(number).ok().map(Term)
}

fn old_term(error: &OldTerm) -> RpcError {
    RpcError::new(code::OLD_TERM, format!("placementTerm: {error}"))
}

fn no_place(name: &str, error: PlaceError) -> RpcError {
    let message = format!("componentName: component '{name}' has no place: {error}");
    match error {
        PlaceError::NoSuchComponent(name) => {
            RpcError::not_found(format_args!("componentName: component '{}'", name.escape_debug()))
        }
        PlaceError::Unplaceable { why, retry_after } => {
            wire::PlacementRefusal::new(why.to_string(), retry_after).into_error(message)
        }
        PlaceError::Told(error) => error,
        _ => RpcError::new(code::OTHER, message),
    }
}

#[cfg(test)]
pub(super) mod tests;
