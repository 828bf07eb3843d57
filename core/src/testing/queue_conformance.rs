//! What all [`Queues`] must do, as one suite. `queue_conformance!(fresh)` turns it into tests, with `fresh`
//! an async function that makes a [`Subject`].
//!
//! The cases know no async runtime; only the macro names Tokio's test attribute, in the caller's crate.

use std::{sync::Arc, time::Duration};

use crate::ports::{
    BoxFuture,
    queue::{AttributeValue, Message, MessageAttribute, QueueError, Queues, Receive},
};

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(30);

/// Queues, and what tests do from the other side of them.
pub trait Subject: Send + Sync {
    fn queues(&self) -> Arc<dyn Queues>;
    /// A beginning of names that is this subject's alone.
    fn prefix(&self) -> String;
    /// Messages received `redrive.1` times go to `redrive.0`, which is there.
    fn create(&self, queue: String, redrive: Option<(String, u32)>) -> BoxFuture<'_, ()>;
    /// Only body, group and attributes count.
    fn send(&self, queue: String, message: Message) -> BoxFuture<'_, ()>;
    fn pass(&self, time: Duration) -> BoxFuture<'_, ()>;
}

/// One test per case of the suite, each on a subject of its own.
#[macro_export]
macro_rules! queue_conformance {
    ($fresh:path) => {
        $crate::queue_conformance!(@cases $fresh:
            a_message_comes_as_it_was_sent
            a_message_comes_back_until_it_is_deleted
            a_message_comes_back_when_it_is_said_to
            an_extended_message_stays_away
            a_group_keeps_its_order_and_waits
            numbers_and_the_end_of_failed_messages_are_told
            names_are_listed_by_prefix_in_order
            a_queue_that_is_not_there_is_named
        );
    };
    (@cases $fresh:path: $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject: Box<dyn $crate::testing::queue_conformance::Subject> = Box::new($fresh().await);
                $crate::testing::queue_conformance::$case(&*subject).await;
            }
        )*
    };
}

fn text(body: &str) -> Message {
    Message { body: body.into(), ..Message::default() }
}

fn grouped(group: &str, body: &str) -> Message {
    Message { group: Some(group.into()), ..text(body) }
}

async fn queue(subject: &dyn Subject, name: &str) -> String {
    let name = subject.prefix() + name;
    subject.create(name.clone(), None).await;
    name
}

/// What is there now, invisible for so long from then on.
async fn take(subject: &dyn Subject, queue: &str, most: u32, visibility: Duration) -> Vec<Message> {
    let receive = Receive { most, wait: Duration::ZERO, visibility };
    subject.queues().receive(queue.to_owned(), receive).await.unwrap().messages
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

fn receipts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.receipt.clone()).collect()
}

pub async fn a_message_comes_as_it_was_sent(subject: &dyn Subject) {
    let queue = queue(subject, "plain").await;
    let attribute =
        |name: &str, kind: &str, value| MessageAttribute { name: name.into(), kind: kind.into(), value };
    let attributes = vec![
        attribute("color", "String", AttributeValue::Text("grün".into())),
        attribute("count", "Number", AttributeValue::Text("7".into())),
        attribute("raw", "Binary", AttributeValue::Binary(vec![0, 255].into())),
    ];
    let sent = Message { attributes, ..text("{\"a\": \"ü\"}\n") };
    subject.send(queue.clone(), sent.clone()).await;
    let taken = take(subject, &queue, 10, LONG).await;
    assert_eq!(taken.len(), 1);
    assert_eq!((&taken[0].body, &taken[0].attributes), (&sent.body, &sent.attributes));
    assert_eq!(taken[0].receive_count, 1);
    assert!(!taken[0].id.is_empty() && !taken[0].receipt.is_empty() && taken[0].sent_at.is_some());
    assert_eq!((&taken[0].group, &taken[0].sequence), (&None, &None));
}

pub async fn a_message_comes_back_until_it_is_deleted(subject: &dyn Subject) {
    let queue = queue(subject, "back").await;
    subject.send(queue.clone(), text("x")).await;
    let first = take(subject, &queue, 10, SHORT).await;
    assert!(take(subject, &queue, 10, SHORT).await.is_empty(), "it is invisible");
    subject.pass(SHORT * 2).await;
    let second = take(subject, &queue, 10, LONG).await;
    assert_eq!((second[0].id.as_str(), second[0].receive_count), (first[0].id.as_str(), 2));
    for _ in 0..2 {
        // Again: what is gone already counts as removed.
        let not_done = subject.queues().delete(queue.clone(), receipts(&second)).await.unwrap();
        assert_eq!(not_done, []);
    }
    assert_eq!(subject.queues().attributes(queue).await.unwrap().in_flight, 0);
}

pub async fn a_message_comes_back_when_it_is_said_to(subject: &dyn Subject) {
    let queue = queue(subject, "said").await;
    for body in ["1", "2"] {
        subject.send(queue.clone(), text(body)).await;
    }
    let taken = take(subject, &queue, 10, LONG).await;
    assert_eq!(taken.len(), 2);
    let changes = receipts(&taken).into_iter().zip([Duration::ZERO, SHORT]).collect();
    let not_done = subject.queues().change_visibility(queue.clone(), changes).await.unwrap();
    assert_eq!(not_done, []);
    let at_once = take(subject, &queue, 10, LONG).await;
    assert_eq!(bodies(&at_once), [taken[0].body.as_str()]);
    subject.pass(SHORT * 2).await;
    assert_eq!(bodies(&take(subject, &queue, 10, LONG).await), [taken[1].body.as_str()]);
}

pub async fn an_extended_message_stays_away(subject: &dyn Subject) {
    let queue = queue(subject, "extended").await;
    subject.send(queue.clone(), text("x")).await;
    let taken = take(subject, &queue, 1, SHORT * 2).await;
    let changes = vec![(taken[0].receipt.clone(), LONG)];
    subject.queues().change_visibility(queue.clone(), changes).await.unwrap();
    subject.pass(SHORT * 3).await;
    assert!(take(subject, &queue, 1, SHORT).await.is_empty());
    assert_eq!(subject.queues().attributes(queue).await.unwrap().in_flight, 1);
}

pub async fn a_group_keeps_its_order_and_waits(subject: &dyn Subject) {
    let queue = queue(subject, "order.fifo").await;
    for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
        subject.send(queue.clone(), grouped(group, body)).await;
    }
    let first = take(subject, &queue, 1, LONG).await;
    assert_eq!((bodies(&first), first[0].group.as_deref()), (vec!["a1"], Some("a")));
    assert!(first[0].sequence.is_some());
    assert_eq!(bodies(&take(subject, &queue, 10, LONG).await), ["b1"], "of the other group only");
    subject.queues().delete(queue.clone(), receipts(&first)).await.unwrap();
    assert_eq!(bodies(&take(subject, &queue, 10, LONG).await), ["a2"]);
}

pub async fn numbers_and_the_end_of_failed_messages_are_told(subject: &dyn Subject) {
    let dead = queue(subject, "dead").await;
    let queue = subject.prefix() + "numbers";
    subject.create(queue.clone(), Some((dead.clone(), 1))).await;
    for body in ["1", "2", "3"] {
        subject.send(queue.clone(), text(body)).await;
    }
    assert_eq!(take(subject, &queue, 1, SHORT).await.len(), 1);
    let told = subject.queues().attributes(queue.clone()).await.unwrap();
    assert_eq!((told.depth, told.in_flight, told.redrive), (2, 1, Some((dead.clone(), 1))));
    subject.pass(SHORT * 2).await;
    let others = take(subject, &queue, 10, LONG).await;
    assert_eq!(others.len(), 2, "the first one was received too often");
    assert_eq!(subject.queues().attributes(dead).await.unwrap().depth, 1);
}

pub async fn names_are_listed_by_prefix_in_order(subject: &dyn Subject) {
    for name in ["q-1", "q-0", "r-0", "q-10"] {
        queue(subject, name).await;
    }
    let prefix = subject.prefix();
    let listed = subject.queues().list(prefix.clone() + "q-").await.unwrap();
    assert_eq!(listed, ["q-0", "q-1", "q-10"].map(|name| prefix.clone() + name));
    assert_eq!(subject.queues().list(prefix + "none").await, Ok(vec![]));
}

pub async fn a_queue_that_is_not_there_is_named(subject: &dyn Subject) {
    let (queues, name) = (subject.queues(), subject.prefix() + "missing");
    let receive = Receive { most: 1, wait: Duration::ZERO, visibility: SHORT };
    let errors = [
        queues.receive(name.clone(), receive).await.unwrap_err(),
        queues.delete(name.clone(), vec!["r".into()]).await.unwrap_err(),
        queues.change_visibility(name.clone(), vec![("r".into(), SHORT)]).await.unwrap_err(),
        queues.attributes(name.clone()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(&error, QueueError::NoSuchQueue { queue, .. } if *queue == name), "{error}");
    }
}
