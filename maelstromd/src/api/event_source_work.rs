//! Event sources at work: their queues, the pollers of all nodes, and events sent by hand. Added to the
//! original contract.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use maelstrom_core::{
    event_source::{EventSource, EventSourceKind, SqsSource},
    names::NodeId,
    ports::queue::{QueueAttributes, QueueError, Queues},
    rpc::{Registry, RpcError, code},
    wire::{self, DescribeEventSourceOutput, PollerInfo, QueueInfo},
};

use super::{ask_all::ask_all, errors::invalid};
use crate::{
    cluster::{ConfigurationCache, PeerError, Peers, Source},
    events::{Pollers, TrialError, Trials},
};

/// Queues of a prefix that are told of; people read no more.
const MAX_QUEUES: usize = 100;
/// Questions to queues at a time.
const AT_ONCE: usize = 8;
/// For all of them. People wait for it.
const LIMIT: Duration = Duration::from_secs(5);

/// What the methods need.
pub struct EventSourceService {
    pub configuration: Arc<ConfigurationCache>,
    pub queues: Arc<dyn Queues>,
    pub pollers: Arc<Pollers>,
    pub trials: Trials,
    pub peers: Arc<Peers>,
}

// === impl EventSourceService ===

impl EventSourceService {
    /// Adds the methods to `registry`.
    pub fn register(self: &Arc<Self>, registry: Registry) -> Registry {
        let (described, tried) = (self.clone(), self.clone());
        registry
            .on(wire::DescribeEventSource, move |input| {
                let this = described.clone();
                async move { this.describe(&input).await }
            })
            .on(wire::TestEventSource, move |input| {
                let this = tried.clone();
                async move { this.trials.run(&input).await.map_err(refused) }
            })
    }

    async fn describe(
        &self,
        input: &wire::DescribeEventSourceInput,
    ) -> Result<DescribeEventSourceOutput, RpcError> {
        let (source, event_source) = self.find(&input.name)?;
        let mut output =
            DescribeEventSourceOutput { event_source, enabled: source.enabled, ..Default::default() };
        let own = self.pollers.report(&source.source.name);
        if input.local == Some(true) {
            output.pollers = own;
            return Ok(output);
        }
        let (pollers, queues) = tokio::join!(self.all_pollers(&source.source, own), self.queues(&source));
        (output.pollers, output.missing) = pollers;
        (output.queues, output.queues_trouble) = queues;
        for queue in &mut output.queues {
            let oldest = output.pollers.iter().flat_map(|poller| &poller.oldest);
            let here = oldest.filter(|oldest| oldest.queue_name == queue.name);
            queue.oldest_age_seconds = here.map(|oldest| oldest.age_seconds).max();
        }
        Ok(output)
    }

    fn find(&self, name: &str) -> Result<(Arc<Source>, wire::EventSource), RpcError> {
        let snapshot = self.configuration.current();
        let lower = name.to_ascii_lowercase();
        let parsed = snapshot.event_sources.iter().find(|source| source.source.name.as_str() == lower);
        let stored = snapshot.wire.event_sources.iter().find(|stored| stored.event_source.name == lower);
        match (parsed, stored) {
            (Some(parsed), Some(stored)) => Ok((parsed.clone(), stored.event_source.clone())),
            _ => Err(RpcError::not_found(format_args!("name: event source '{}'", name.escape_debug()))),
        }
    }

    /// Those that there should be, each as the node that works as it tells.
    async fn all_pollers(
        &self,
        source: &EventSource,
        own: Vec<PollerInfo>,
    ) -> (Vec<PollerInfo>, Vec<wire::MissingNode>) {
        let mut told: HashMap<String, PollerInfo> =
            self.pollers.planned(&source.name).into_iter().map(|info| (info.role.clone(), info)).collect();
        let take = |told: &mut HashMap<String, PollerInfo>, reports: Vec<PollerInfo>| {
            told.extend(reports.into_iter().map(|info| (info.role.clone(), info)));
        };
        take(&mut told, own);
        let query = wire::DescribeEventSourceInput { name: source.name.to_string(), local: Some(true) };
        let ask = |node: NodeId, limit| {
            let query = &query;
            async move {
                match self.peers.call(&node, wire::DescribeEventSource, query, limit).await {
                    // It has not heard of the event source yet.
                    Err(PeerError::Call { error, .. }) if error.code() == Some(code::NOT_FOUND) => {
                        Ok(Vec::new())
                    }
                    answer => answer.map(|answer| answer.pollers),
                }
            }
        };
        let missing = ask_all(&self.peers, ask, |_, reports| take(&mut told, reports)).await;
        let mut pollers: Vec<PollerInfo> = told.into_values().collect();
        // By their numbers, which are not written with zeros in front.
        pollers.sort_by(|a, b| (a.role.len(), &a.role).cmp(&(b.role.len(), &b.role)));
        (pollers, missing)
    }

    async fn queues(&self, source: &Source) -> (Vec<QueueInfo>, Option<String>) {
        let EventSourceKind::Sqs(sqs) = &source.source.kind else { return (Vec::new(), None) };
        let asked = async {
            let names = self.names(sqs).await?;
            let mut queues: Vec<QueueInfo> = stream::iter(names.into_iter().take(MAX_QUEUES))
                .map(|name| self.queue(name))
                .buffered(AT_ONCE)
                .collect()
                .await;
            queues.sort_by(|a, b| a.name.cmp(&b.name));
            Ok::<_, QueueError>(queues)
        };
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok(queues)) => (queues, None),
            Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
            Err(_) => (Vec::new(), Some(format!("SQS did not answer within {} s", LIMIT.as_secs()))),
        }
    }

    async fn names(&self, sqs: &SqsSource) -> Result<Vec<String>, QueueError> {
        match sqs.name_as_prefix {
            true => self.queues.list(sqs.queue_name.clone()).await,
            false => Ok(vec![sqs.queue_name.clone()]),
        }
    }

    async fn queue(&self, name: String) -> QueueInfo {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match self.queues.attributes(name.clone()).await {
            Ok(QueueAttributes { depth, in_flight, delayed, redrive }) => {
                let (dead_letter_queue, most) = redrive.unzip();
                let dead = match &dead_letter_queue {
                    Some(dead) => self.queues.attributes(dead.clone()).await.ok(),
                    None => None,
                };
                QueueInfo {
                    name,
                    depth: number(depth),
                    in_flight: number(in_flight),
                    delayed: number(delayed),
                    oldest_age_seconds: None,
                    dead_letter_queue,
                    max_receives: most.map(i64::from),
                    dead_letters: dead.map(|dead| number(dead.depth + dead.in_flight)),
                    trouble: None,
                }
            }
            Err(error) => QueueInfo { name, trouble: Some(error.to_string()), ..Default::default() },
        }
    }
}

fn refused(error: TrialError) -> RpcError {
    match error {
        TrialError::NoSuchEventSource(name) => {
            RpcError::not_found(format_args!("name: event source '{}'", name.escape_debug()))
        }
        TrialError::Invalid { field, why } => invalid(field, why),
    }
}
