//! A batch of messages as one request, in the JSON that AWS Lambda's SQS events have, and what its answer
//! says about each of them, so that handlers written for Lambda run unchanged.
//!
//! Sources: "Using Lambda with Amazon SQS", the example event, and "Implementing partial batch responses".

use std::{borrow::Cow, collections::HashSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    ports::queue::{AttributeValue, Message},
    time::WallTime,
};

/// Bytes of an answer that are read. Ten identifiers take less than one kibibyte.
pub const MAX_ANSWER: usize = 65_536;

/// Where a batch came from.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub arn: &'a str,
    pub region: &'a str,
}

/// `{"Records": […]}`; `encode` writes binary attributes as base64.
pub fn lambda_event(event: Event<'_>, messages: &[&Message], encode: impl Fn(&[u8]) -> String) -> Value {
    let records: Vec<Value> = messages
        .iter()
        .map(|message| {
            json!({
                "messageId": message.id,
                "receiptHandle": message.receipt,
                "body": message.body,
                "attributes": attributes(message),
                "messageAttributes": message_attributes(message, &encode),
                "md5OfBody": message.body_md5,
                "eventSource": "aws:sqs",
                "eventSourceARN": event.arn,
                "awsRegion": event.region,
            })
        })
        .collect();
    json!({ "Records": records })
}

fn attributes(message: &Message) -> Map<String, Value> {
    let millis = |time: Option<WallTime>| time.map(|time| time.as_millis().to_string());
    let all = [
        ("ApproximateReceiveCount", Some(message.receive_count.to_string())),
        ("SentTimestamp", millis(message.sent_at)),
        ("SenderId", message.sender.clone()),
        ("ApproximateFirstReceiveTimestamp", millis(message.first_received_at)),
        ("SequenceNumber", message.sequence.clone()),
        ("MessageGroupId", message.group.clone()),
        ("MessageDeduplicationId", message.deduplication.clone()),
    ];
    let known = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))));
    known.collect()
}

fn message_attributes(message: &Message, encode: &impl Fn(&[u8]) -> String) -> Map<String, Value> {
    let attributes = message.attributes.iter().map(|attribute| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => json!({
                "stringValue": text, "stringListValues": [], "binaryListValues": [],
                "dataType": attribute.kind,
            }),
            AttributeValue::Binary(bytes) => json!({
                "binaryValue": encode(bytes), "stringListValues": [], "binaryListValues": [],
                "dataType": attribute.kind,
            }),
        };
        (attribute.name.clone(), value)
    });
    attributes.collect()
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "batchItemFailures", default)]
    failures: Option<Vec<Failure>>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    identifier: String,
}

/// Which messages stay in the queue after a 2xx answer, by their place in `ids`, or why all do. An answer
/// that is no JSON object says nothing of failures; one that says something that can't be understood keeps
/// all, since a message done twice is better than one lost. With `ordered` all from the first failure on
/// stay.
pub fn kept(body: &[u8], ids: &[&str], ordered: bool) -> Result<Vec<usize>, Cow<'static, str>> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Ok(Vec::new());
    }
    if body.len() > MAX_ANSWER {
        return Err("its answer is too long to be read".into());
    }
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| Cow::Owned(format!("its answer can't be understood: {error}")))?;
    let failures = answer.failures.unwrap_or_default();
    let named: HashSet<&str> = failures.iter().map(|failure| failure.identifier.as_str()).collect();
    if let Some(unknown) = named.iter().find(|name| !ids.contains(name)) {
        let shown: String = unknown.chars().take(80).collect();
        return Err(format!("its answer names '{}', which was not sent", shown.escape_debug()).into());
    }
    let failed = (0..ids.len()).filter(|index| named.contains(ids[*index]));
    Ok(match failed.min() {
        Some(first) if ordered => (first..ids.len()).collect(),
        Some(_) => (0..ids.len()).filter(|index| named.contains(ids[*index])).collect(),
        None => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::queue::MessageAttribute;

    #[test]
    fn the_event_has_lambdas_shape() {
        let message = Message {
            id: "059f36b4-87a3-44ab-83d2-661975830a7d".into(),
            receipt: "AQEB".into(),
            body: "Test message.".into(),
            body_md5: "e4e6".into(),
            receive_count: 1,
            sent_at: Some(WallTime::from_millis(1_545_082_649_183)),
            first_received_at: Some(WallTime::from_millis(1_545_082_649_185)),
            sender: Some("AIDA".into()),
            group: Some("g".into()),
            deduplication: None,
            sequence: Some("18".into()),
            attributes: vec![
                MessageAttribute {
                    name: "kind".into(),
                    kind: "String".into(),
                    value: AttributeValue::Text("x".into()),
                },
                MessageAttribute {
                    name: "raw".into(),
                    kind: "Binary".into(),
                    value: AttributeValue::Binary(vec![1, 2].into()),
                },
            ],
        };
        let event = Event { arn: "arn:aws:sqs:us-east-2:1:q.fifo", region: "us-east-2" };
        let shape = lambda_event(event, &[&message], |bytes| format!("{bytes:?}"));
        let expected = json!({ "Records": [{
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "receiptHandle": "AQEB",
            "body": "Test message.",
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1545082649183",
                "SenderId": "AIDA",
                "ApproximateFirstReceiveTimestamp": "1545082649185",
                "SequenceNumber": "18",
                "MessageGroupId": "g",
            },
            "messageAttributes": {
                "kind": {
                    "stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String",
                },
                "raw": {
                    "binaryValue": "[1, 2]", "stringListValues": [], "binaryListValues": [],
                    "dataType": "Binary",
                },
            },
            "md5OfBody": "e4e6",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-2:1:q.fifo",
            "awsRegion": "us-east-2",
        }]});
        assert_eq!(shape, expected);
    }

    #[test]
    fn the_failures_that_are_named_stay() {
        let ids = ["a", "b", "c"];
        for (body, ordered, expected) in [
            ("", false, Some(vec![])),
            ("OK", false, Some(vec![])),
            ("null", false, Some(vec![])),
            ("{}", false, Some(vec![])),
            (r#"{"batchItemFailures":null}"#, false, Some(vec![])),
            (r#"{"batchItemFailures":[]}"#, false, Some(vec![])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, false, Some(vec![1])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, true, Some(vec![1, 2])),
            (
                r#" {"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"}]}"#,
                false,
                Some(vec![0, 2]),
            ),
            // What Lambda takes for a failure of all.
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, false, None),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, false, None),
            (r#"{"batchItemFailures":[{"id":"a"}]}"#, false, None),
            (r#"{"batchItemFailures":[{"itemIdentifier":"d"}]}"#, false, None),
            (r#"{"batchItemFailures":"#, false, None),
        ] {
            assert_eq!(kept(body.as_bytes(), &ids, ordered).ok(), expected, "{body}");
        }
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(MAX_ANSWER));
        assert!(kept(long.as_bytes(), &ids, false).is_err());
    }
}
