//! One request under way, and what has come of it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use maelstrom_core::{
    decide::poller::{Lane, Verdict, pause},
    event_source::{EventSourceKind, SqsSource},
};

use super::{Delivery, Sqs};
use crate::{cluster::Source, events::exchange};

/// Of the component's answer.
const PAUSE_SECONDS: &str = "pause-seconds";

/// What goes out, and for how long it may take.
pub(super) struct Flight {
    pub(super) source: Arc<Source>,
    pub(super) delivery: Delivery,
    /// Of each message.
    pub(super) lanes: Vec<Lane>,
    pub(super) limit: Duration,
}

/// What has come of it.
pub(super) struct Landed {
    pub(super) source: Arc<Source>,
    pub(super) queue: Arc<str>,
    pub(super) messages: Vec<LandedMessage>,
    pub(super) pause: Option<Duration>,
    pub(super) took: Duration,
    /// Why something of it has to be done again.
    pub(super) why: Option<String>,
}

pub(super) struct LandedMessage {
    pub(super) receipt: String,
    pub(super) verdict: Verdict,
    pub(super) lane: Lane,
}

// === impl Flight ===

impl Flight {
    pub(super) async fn run(self, sqs: Arc<Sqs>) -> Landed {
        let Self { source, delivery, lanes, limit } = self;
        let began = sqs.clock.now();
        let answer = AssertUnwindSafe(answer(&sqs, &source, &delivery, limit)).catch_unwind().await;
        let (verdicts, why, pause) = answer.unwrap_or_else(|_| all_stay(&delivery, "its request panicked"));
        let took = sqs.clock.now().since(began);
        let messages = delivery.messages.into_iter().zip(lanes).zip(verdicts);
        let messages = messages
            .map(|((message, lane), verdict)| LandedMessage { receipt: message.receipt, verdict, lane })
            .collect();
        Landed { source, queue: delivery.origin.queue, messages, pause, took, why }
    }
}

/// What becomes of each message, why if one stays, and the pause that was asked for.
type Outcome = (Vec<Verdict>, Option<String>, Option<Duration>);

fn all_stay(delivery: &Delivery, why: &str) -> Outcome {
    (vec![Verdict::Leave { back_after: None }; delivery.messages.len()], Some(why.to_owned()), None)
}

async fn answer(sqs: &Sqs, source: &Source, delivery: &Delivery, limit: Duration) -> Outcome {
    let Some(settings) = settings(source) else {
        return all_stay(delivery, "it is no queue's event source");
    };
    let request = match delivery.request(settings) {
        Ok(request) => request,
        Err(error) => return all_stay(delivery, &error.to_string()),
    };
    let component = &source.source.component;
    let keep = Delivery::KEPT_BYTES;
    let reply = exchange::ask(sqs.dispatch.as_ref(), component, request, keep, limit).await;
    let (verdicts, why) = delivery.verdicts(&reply, sqs.clock.wall());
    (verdicts, why, reply.header(PAUSE_SECONDS).and_then(pause))
}

pub(super) fn settings(source: &Source) -> Option<&SqsSource> {
    match &source.source.kind {
        EventSourceKind::Sqs(sqs) => Some(sqs),
        _ => None,
    }
}
