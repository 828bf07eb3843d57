//! The methods beside the stream: what a node tells another one of itself, a component's last hour over
//! the cluster, and its configuration as people write it.

use std::{collections::BTreeMap, sync::Arc};

use maelstrom_core::{
    decide::traffic::{self, once, quantile},
    names::{ComponentName, NodeId},
    project_file,
    rpc::{Registry, RpcError},
    wire::{self, Access, HistorySample, ListEventsInput, TrafficSample},
};

use super::{History, history::STEP_MILLIS};
use crate::{
    api::{ask_all::ask_all, components},
    cluster::{ConfigurationCache, Peers},
    journal::Journal,
    node::Node,
};

/// Events of one node in one answer: what somebody who has just opened the page reads.
const EVENTS: i64 = 200;

/// What a node can tell.
pub struct Observer {
    pub configuration: Arc<ConfigurationCache>,
    pub journal: Arc<Journal>,
    pub node: Arc<Node>,
    pub peers: Arc<Peers>,
    pub history: Arc<History>,
}

// === impl Observer ===

impl Observer {
    /// Adds the methods to `registry`.
    pub fn register(self: &Arc<Self>, registry: Registry) -> Registry {
        let (observe, traffic, history, describe) = (self.clone(), self.clone(), self.clone(), self.clone());
        registry
            .on(wire::Observe, move |input| std::future::ready(Ok(observe.observe(&input))))
            .on(wire::ReadTraffic, move |input: wire::ReadTrafficInput| {
                std::future::ready(Ok(traffic.traffic(&input.component_name)))
            })
            .on(wire::ReadHistory, move |input: wire::NameInput| {
                let this = history.clone();
                async move { this.history(&input.name).await }
            })
            .on_for(wire::DescribeComponent, move |input: wire::NameInput, granted| {
                std::future::ready(describe.describe(&input.name, granted))
            })
    }

    /// Of this node.
    pub(super) fn observe(&self, input: &wire::ObserveInput) -> wire::ObserveOutput {
        let query =
            ListEventsInput { since: input.events_since, limit: Some(EVENTS), ..ListEventsInput::default() };
        wire::ObserveOutput {
            status: self.node.status(),
            traffic: self.history.traffic(),
            events: self.journal.list(&query),
        }
    }

    fn traffic(&self, component: &str) -> wire::ReadTrafficOutput {
        let samples = ComponentName::parse(component).map(|name| self.history.samples(&name));
        wire::ReadTrafficOutput { step_millis: STEP_MILLIS, samples: samples.unwrap_or_default() }
    }

    async fn history(&self, name: &str) -> Result<wire::ReadHistoryOutput, RpcError> {
        let component = components::get(&self.configuration.current().wire, name)?;
        let input = wire::ReadTrafficInput { component_name: component.name };
        let mut sums = BTreeMap::new();
        add_all(&mut sums, self.traffic(&input.component_name).samples);
        let ask = |node: NodeId, limit| {
            let input = &input;
            async move { self.peers.call(&node, wire::ReadTraffic, input, limit).await }
        };
        let missing = ask_all(&self.peers, ask, |_, answer| add_all(&mut sums, answer.samples)).await;
        let samples = sums.into_values().map(|sample| shown(&sample)).collect();
        Ok(wire::ReadHistoryOutput { step_millis: STEP_MILLIS, samples, missing })
    }

    fn describe(&self, name: &str, granted: Access) -> Result<wire::DescribeComponentOutput, RpcError> {
        let configuration = self.configuration.current();
        let component = components::get(&configuration.wire, name)?;
        let own =
            |source: &&wire::EventSourceWithStatus| source.event_source.component_name == component.name;
        let event_sources = configuration.wire.event_sources.iter().filter(own).cloned().collect();
        let mut project = wire::Project {
            name: component.project_name.clone().unwrap_or_default(),
            components: vec![wire::ComponentWithEventSources { component, event_sources }],
        };
        if granted == Access::Read {
            project.veil();
        }
        Ok(wire::DescribeComponentOutput { yaml: project_file::to_yaml(&project) })
    }
}

fn add_all(sums: &mut BTreeMap<i64, TrafficSample>, samples: Vec<TrafficSample>) {
    for sample in samples {
        let sum = sums
            .entry(sample.time)
            .or_insert_with(|| TrafficSample { time: sample.time, ..TrafficSample::default() });
        traffic::add(&mut sum.traffic, &sample.traffic);
        sum.in_flight += sample.in_flight;
        sum.waiting += sample.waiting;
        sum.instances += sample.instances;
    }
}

fn shown(sample: &TrafficSample) -> HistorySample {
    let traffic = &sample.traffic;
    let seconds = std::time::Duration::from_millis(STEP_MILLIS.unsigned_abs()).as_secs_f64();
    HistorySample {
        time: sample.time,
        requests_per_second: once(traffic, traffic.requests) / seconds,
        errors_per_second: once(traffic, traffic.errors) / seconds,
        p50: quantile(traffic, 0.5),
        p99: quantile(traffic, 0.99),
        in_flight: sample.in_flight,
        waiting: sample.waiting,
        instances: sample.instances,
    }
}

#[cfg(test)]
mod tests {
    use maelstrom_core::wire::Traffic;

    use super::*;

    #[test]
    fn samples_of_several_nodes_meet_and_relayed_requests_count_once() {
        let sample = |time, requests, relayed, instances| TrafficSample {
            time,
            traffic: Traffic { requests, relayed, durations: vec![(12, requests)], ..Traffic::default() },
            in_flight: 1.5,
            waiting: 1,
            instances,
        };
        let mut sums = BTreeMap::new();
        add_all(&mut sums, vec![sample(0, 100, 0, 0), sample(10_000, 50, 0, 2)]);
        add_all(&mut sums, vec![sample(0, 100, 100, 1)]);
        let told: Vec<HistorySample> = sums.into_values().map(|sample| shown(&sample)).collect();
        assert_eq!(told.len(), 2);
        assert!((told[0].requests_per_second - 10.0).abs() < 1e-9, "{told:?}");
        assert!((told[0].in_flight - 3.0).abs() < 1e-9);
        assert_eq!((told[0].instances, told[1].instances), (1, 2));
        assert!(told[0].p50.is_some_and(|p50| (2.048..=4.096).contains(&p50)), "{told:?}");
    }
}
