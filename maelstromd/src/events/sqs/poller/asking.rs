//! What a poller asks its queues for: names, where a prefix stands for several, and messages. One question at a
//! time.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::poller::{Hands, Look, Order, Pace, appetite},
    ports::queue::{QueueError, QueueResult, Receive, Received},
};

use super::Poller;
use crate::{
    cluster::Source,
    events::sqs::{
        Origin,
        names::{LIST_EVERY, Listed},
        place,
    },
};

/// The answer to a question.
pub(super) enum Asked {
    Names(QueueResult<Listed>),
    Look { looked: Looked, result: QueueResult<Received> },
}

/// What was looked at, and for whom: that may change meanwhile.
pub(super) struct Looked {
    source: Arc<Source>,
    look: Look,
    queue: String,
    visibility: Duration,
}

// === impl Poller ===

impl Poller {
    /// Of a single queue the name is known; those of a prefix are to be asked for.
    pub(super) fn name_queues(&mut self) {
        let Some(source) = self.sqs_source() else { return };
        let names: Listed = match source.name_as_prefix {
            true => Arc::new([]),
            false => Arc::new([source.queue_name.clone()]),
        };
        self.list_at = self.sqs.clock.now();
        self.order = Order::default();
        self.order.set_queues(names.len(), None);
        self.names = names;
        self.troubles.clear();
    }

    pub(super) fn per_poll(&self) -> u32 {
        self.sqs_source().map_or(1, |source| source.messages_per_poll)
    }

    /// Asks the queues for names or messages, if it has room for them.
    pub(super) fn ask(&mut self, share: u32) {
        let Some(source) = self.sqs_source().cloned() else { return };
        let now = self.sqs.clock.now();
        if self.asking.is_some() || self.paused_until.is_some() {
            return;
        }
        if source.name_as_prefix && now >= self.list_at {
            let (sqs, prefix) = (self.sqs.clone(), source.queue_name);
            self.asking = Some(Box::pin(async move { Asked::Names(sqs.names.of_prefix(&prefix).await) }));
            return;
        }
        let (in_flight, waiting) = (self.in_flight, self.waiting());
        let hands = Hands { share, in_flight, waiting, per_poll: source.messages_per_poll };
        // Of a batch's request nothing is known about a message.
        let most = appetite(hands, if source.batch { Pace::default() } else { self.pace });
        if most == 0 {
            return;
        }
        let (names, troubles, settling) = (&self.names, &self.troubles, &self.settling);
        let troubled = |index: usize| {
            let name = &names[index];
            settling.is_failing(name) || troubles.get(name).is_some_and(|patience| patience.is_waiting(now))
        };
        let Some(look) = self.order.next(now, troubled) else { return };
        let queue = self.names[look.queue].clone();
        let visibility = Duration::from_secs(source.visibility_timeout_seconds.into());
        let receive = Receive { most, wait: look.wait, visibility };
        let queues = self.sqs.queues.clone();
        let looked = Looked { source: self.source(), look, queue: queue.clone(), visibility };
        self.asking = Some(Box::pin(async move {
            let result = queues.receive(queue, receive).await;
            Asked::Look { looked, result }
        }));
    }

    pub(super) fn asked(&mut self, asked: Asked, ending: bool) {
        match asked {
            Asked::Names(result) => self.listed(result),
            Asked::Look { looked, result } => match result {
                Ok(received) => self.received(&looked, received, ending),
                Err(error) => self.troubled(&looked.queue, &error),
            },
        }
    }

    fn listed(&mut self, result: QueueResult<Listed>) {
        let now = self.sqs.clock.now();
        self.list_at = now + LIST_EVERY;
        let Some(source) = self.sqs_source() else { return };
        let (sqs, event_source, all) = (self.sqs.clone(), self.source(), place(source));
        match result {
            Ok(names) if names.is_empty() => {
                let why = format!("no queue's name begins with '{}'", source.queue_name);
                self.turn.report.trouble(Some(why.clone()));
                sqs.troubled(&event_source.source, &all, "missing", &why);
                self.set_names(names);
            }
            Ok(names) => {
                if self.troubles.is_empty() {
                    self.turn.report.trouble(None);
                }
                sqs.untroubled(&event_source.source, &all);
                self.set_names(names);
            }
            Err(error) => {
                self.turn.report.trouble(Some(error.to_string()));
                sqs.troubled(&event_source.source, &all, error.kind(), &error.to_string());
            }
        }
    }

    fn set_names(&mut self, names: Listed) {
        if *names == *self.names {
            return;
        }
        let at = self.names.get(self.order.at());
        let now_at = at.and_then(|at| names.iter().position(|name| name == at));
        self.order.set_queues(names.len(), now_at);
        self.troubles.retain(|name, _| names.contains(name));
        self.names = names;
    }

    fn received(&mut self, looked: &Looked, received: Received, ending: bool) {
        let Looked { source, look, queue, visibility } = looked;
        self.untroubled(queue);
        // The names may have changed meanwhile.
        if self.names.get(look.queue).is_some_and(|name| name == queue) {
            self.order.looked(*look, received.messages.len());
        }
        let now = self.sqs.clock.now();
        let [arn, region] = [received.arn, received.region].map(Arc::from);
        let origin = Origin { queue: queue.as_str().into(), arn, region };
        let unwanted = ending || !is_same_work(source, &self.assignment.source);
        for message in received.messages {
            if unwanted {
                self.settling.come_back(queue, message.receipt, Duration::ZERO);
                continue;
            }
            self.keeper.hold(&message.receipt, queue, *visibility, now);
            self.turn.report.took(&message.receipt, queue, message.sent_at);
            self.lanes.push(message, origin.clone());
        }
    }

    pub(super) fn troubled(&mut self, queue: &str, error: &QueueError) {
        let now = self.sqs.clock.now();
        self.troubles.entry(queue.to_owned()).or_default().failed(now, rand::random());
        self.turn.report.trouble(Some(error.to_string()));
        self.sqs.troubled(&self.assignment.source.source, queue, error.kind(), &error.to_string());
    }

    fn untroubled(&mut self, queue: &str) {
        if self.troubles.remove(queue).is_some() {
            self.turn.report.trouble(None);
        }
        self.sqs.untroubled(&self.assignment.source.source, queue);
    }
}

/// Messages that came for the one are the other's, too.
pub(super) fn is_same_work(a: &Source, b: &Source) -> bool {
    a.source.kind == b.source.kind && a.source.component == b.source.component
}
