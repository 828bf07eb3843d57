//! The engine's events, subscribed to for ever.
//!
//! ```text
//!   away ──ping answered──► subscribed ──stream ends, or a ping fails while it is silent──► away
//!     │ back-off ▲              │
//!     └──────────┘              └─ first of all `Resubscribed`, then events
//! ```
//!
//! A subscription reaches back a second before the moment it was made: the engine may take a
//! subscriber in a little after it was asked, and replays what it still holds (the last 256). So an event
//! may be told twice, but none between `Resubscribed` and the next interruption is missed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bollard::{
    models::{EventActor, EventMessage, EventMessageTypeEnum as Kind},
    query_parameters::EventsOptionsBuilder,
};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use maelstrom_core::{
    names::InstanceId,
    ports::engine::{EngineEvent, LABEL_NODE},
};

use super::connection::Connection;
use crate::clock;

const BACK_OFF_MIN: Duration = Duration::from_millis(100);
/// A returning engine is noticed within this time: containers must not stay unwatched for long.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// A stream silent for so long is checked: a connection over a network can die without a word.
const SILENCE: Duration = Duration::from_secs(15);
/// The client sends its request when it is first waited for: so long it is, before anybody hears that the
/// subscription stands. The engine takes it in within a few milliseconds.
const SETTLING: Duration = Duration::from_millis(50);
/// How far back a subscription reaches.
const OVERLAP_SECONDS: i64 = 1;

type Told = Result<EventMessage, bollard::errors::Error>;

struct Subscription {
    connection: Arc<Connection>,
    live: Option<BoxStream<'static, Told>>,
    /// What came while the subscription settled.
    first: Option<Option<Told>>,
    back_off: Duration,
}

pub(super) fn events(connection: Arc<Connection>) -> impl Stream<Item = EngineEvent> + Send {
    let subscription = Subscription { connection, live: None, first: None, back_off: BACK_OFF_MIN };
    stream::unfold(subscription, async |mut subscription| {
        let event = subscription.next().await;
        Some((event, subscription))
    })
}

// === impl Subscription ===

impl Subscription {
    async fn next(&mut self) -> EngineEvent {
        loop {
            let Some(live) = &mut self.live else {
                self.subscribe().await;
                return EngineEvent::Resubscribed;
            };
            let told = match self.first.take() {
                Some(told) => Ok(told),
                None => tokio::time::timeout(SILENCE, live.next()).await,
            };
            match told {
                Ok(Some(Ok(message))) => {
                    self.back_off = BACK_OFF_MIN;
                    if let Some(event) = translate(message) {
                        return event;
                    }
                }
                Ok(Some(Err(error))) => self.interrupted(&error.to_string()).await,
                Ok(None) => self.interrupted("the engine ended the stream").await,
                Err(_) => match self.connection.ping().await {
                    Ok(()) => self.back_off = BACK_OFF_MIN,
                    Err(error) => self.interrupted(&error.to_string()).await,
                },
            }
        }
    }

    async fn interrupted(&mut self, reason: &str) {
        tracing::warn!(reason, "the container engine's events are interrupted; subscribing again");
        self.live = None;
        self.connection.forget();
        self.wait().await;
    }

    async fn subscribe(&mut self) {
        loop {
            let since = clock::wall().as_millis().div_euclid(1_000) - OVERLAP_SECONDS;
            let connected = async {
                self.connection.ping().await?;
                self.connection.client().await
            };
            match connected.await {
                Ok(docker) => {
                    let filters = HashMap::from([
                        ("type", vec!["container", "image"]),
                        ("event", vec!["die", "oom", "tag", "untag", "delete", "pull", "import", "load"]),
                    ]);
                    let options =
                        EventsOptionsBuilder::default().since(&since.to_string()).filters(&filters).build();
                    let mut live = docker.events(Some(options)).boxed();
                    self.first = tokio::time::timeout(SETTLING, live.next()).await.ok();
                    self.live = Some(live);
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "the container engine's events can't be subscribed to yet");
                    self.wait().await;
                }
            }
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.back_off).await;
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }
}

fn translate(message: EventMessage) -> Option<EngineEvent> {
    let actor = message.actor.unwrap_or_default();
    match (message.typ?, message.action?.as_str()) {
        (Kind::CONTAINER, "die") if is_ours(&actor) => {
            let exit_code = attribute(&actor, "exitCode").and_then(|code| code.parse().ok());
            Some(EngineEvent::Died { id: id(actor)?, exit_code })
        }
        (Kind::CONTAINER, "oom") if is_ours(&actor) => Some(EngineEvent::OutOfMemory { id: id(actor)? }),
        (Kind::IMAGE, _) => {
            let name = attribute(&actor, "name").map(str::to_owned);
            Some(EngineEvent::ImageChanged { image: name.or(actor.id)? })
        }
        _ => None,
    }
}

fn is_ours(actor: &EventActor) -> bool {
    attribute(actor, LABEL_NODE).is_some()
}

fn id(actor: EventActor) -> Option<InstanceId> {
    actor.id.map(InstanceId::new)
}

fn attribute<'a>(actor: &'a EventActor, name: &str) -> Option<&'a str> {
    actor.attributes.as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(message: serde_json::Value) -> Option<EngineEvent> {
        translate(serde_json::from_value(message).unwrap())
    }

    #[test]
    fn only_containers_of_a_node_are_told_of() {
        let died = |labels: serde_json::Value| {
            event(json!({"Type": "container", "Action": "die", "Actor": {"ID": "abc", "Attributes": labels}}))
        };
        let ours = died(json!({"maelstrom.node": "n1", "exitCode": "137"}));
        assert_eq!(ours, Some(EngineEvent::Died { id: InstanceId::new("abc"), exit_code: Some(137) }));
        assert_eq!(died(json!({"exitCode": "0"})), None);
    }

    #[test]
    fn images_are_told_by_name() {
        let tagged = event(json!({
            "Type": "image", "Action": "tag", "Actor": {"ID": "sha256:1", "Attributes": {"name": "web:1"}}}));
        assert_eq!(tagged, Some(EngineEvent::ImageChanged { image: "web:1".into() }));
    }
}
