//! A message, or a batch of them, as a request, and what its answer means for each.

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header::CONTENT_TYPE};
use http_body_util::Full;
use maelstrom_core::{
    decide::poller::{Event, MAX_ANSWER, Verdict, judge, kept, lambda_event, retry_after},
    event_source::SqsSource,
    ports::queue::{AttributeValue, Message, is_fifo},
    time::WallTime,
};

use crate::events::{base64, exchange::Reply};

/// Header names begin so.
const PREFIX: &str = "maelstrom-sqs-";
/// A longer attribute would not fit into what servers take for a head.
const MAX_VALUE: usize = 4_096;

/// Where messages came from.
#[derive(Clone, Debug)]
pub(in crate::events) struct Origin {
    pub(in crate::events) queue: Arc<str>,
    pub(in crate::events) arn: Arc<str>,
    pub(in crate::events) region: Arc<str>,
}

/// What goes out as one request.
#[derive(Debug)]
pub(in crate::events) struct Delivery {
    pub(in crate::events) origin: Origin,
    /// At least one.
    pub(in crate::events) messages: Vec<Message>,
    pub(in crate::events) batch: bool,
}

impl AsRef<str> for Origin {
    fn as_ref(&self) -> &str {
        &self.queue
    }
}

// === impl Delivery ===

impl Delivery {
    /// Bytes of the answer that are looked at.
    pub(in crate::events) const KEPT_BYTES: usize = MAX_ANSWER + 1;

    pub(in crate::events) fn request(&self, source: &SqsSource) -> Result<Request<Full<Bytes>>, http::Error> {
        let (kind, body) = match self.messages.as_slice() {
            [message] if !self.batch => (content_type(&message.body), message.body.clone()),
            messages => ("application/json", self.event(messages)),
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(source.path.as_str())
            .header(CONTENT_TYPE, kind)
            .body(Full::new(Bytes::from(body)))?;
        let headers = request.headers_mut();
        let mut put = |name: &str, value: &str| {
            let name = HeaderName::try_from(format!("{PREFIX}{name}"));
            if let (Ok(name), Some(value)) = (name, header_value(value)) {
                headers.append(name, value);
            }
        };
        put("queue-name", &self.origin.queue);
        if let ([message], false) = (self.messages.as_slice(), self.batch) {
            put("message-id", &message.id);
            put("receive-count", &message.receive_count.to_string());
            if let Some(group) = &message.group {
                put("message-group-id", group);
            }
            if let Some(sent_at) = message.sent_at {
                put("sent-timestamp", &sent_at.as_millis().to_string());
            }
            for attribute in &message.attributes {
                let name = format!("attribute-{}", attribute.name);
                match &attribute.value {
                    AttributeValue::Text(text) => put(&name, text),
                    AttributeValue::Binary(binary) => put(&name, &base64::encode(binary)),
                }
            }
        } else {
            put("message-count", &self.messages.len().to_string());
        }
        Ok(request)
    }

    fn event(&self, messages: &[Message]) -> String {
        let messages: Vec<&Message> = messages.iter().collect();
        let event = Event { arn: &self.origin.arn, region: &self.origin.region };
        lambda_event(event, &messages, base64::encode).to_string()
    }

    /// For each message; why, if any of them is not done.
    pub(in crate::events) fn verdicts(&self, reply: &Reply, now: WallTime) -> (Vec<Verdict>, Option<String>) {
        let after = reply.header("retry-after").and_then(|value| retry_after(value, now));
        let verdict = judge(reply.status.as_u16(), after);
        if verdict != Verdict::Delete {
            return (vec![verdict; self.messages.len()], Some(reply.told()));
        }
        if !self.batch {
            return (vec![verdict], None);
        }
        let ids: Vec<&str> = self.messages.iter().map(|message| message.id.as_str()).collect();
        let leave = Verdict::Leave { back_after: after };
        match kept(&reply.body, &ids, is_fifo(&self.origin.queue)) {
            Ok(kept) if kept.is_empty() => (vec![Verdict::Delete; ids.len()], None),
            Ok(kept) => {
                let verdict = |index| if kept.contains(&index) { leave } else { Verdict::Delete };
                let why = format!("its answer keeps {} of {} messages", kept.len(), ids.len());
                ((0..ids.len()).map(verdict).collect(), Some(why))
            }
            Err(why) => (vec![leave; ids.len()], Some(why.into_owned())),
        }
    }
}

fn content_type(body: &str) -> &'static str {
    let looks_so = body.trim_start().starts_with(['{', '[']);
    if looks_so && serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok() {
        return "application/json";
    }
    "text/plain; charset=utf-8"
}

/// What no header may carry is written as `%0A`; what is too long is left out.
fn header_value(value: &str) -> Option<HeaderValue> {
    if value.len() > MAX_VALUE {
        return None;
    }
    let mut safe = String::with_capacity(value.len());
    for char in value.chars() {
        match char {
            '\t' | ' '..='~' => safe.push(char),
            // As UTF-8, which headers may carry.
            char if !char.is_ascii() => safe.push(char),
            // Nothing can go wrong with writing to a string.
            char => {
                let _ = write!(safe, "%{:02X}", u32::from(char));
            }
        }
    }
    HeaderValue::from_bytes(safe.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use http_body_util::BodyExt as _;
    use maelstrom_core::ports::queue::MessageAttribute;
    use serde_json::Value;

    use super::*;

    fn source() -> SqsSource {
        SqsSource {
            queue_name: "orders".into(),
            name_as_prefix: false,
            path: "/order?x=1".into(),
            max_concurrency: 10,
            messages_per_poll: 10,
            concurrency_per_poller: 10,
            visibility_timeout_seconds: 30,
            batch: false,
        }
    }

    fn delivery(queue: &str, bodies: &[&str], batch: bool) -> Delivery {
        let message =
            |body: &&str| Message { id: format!("id-{body}"), body: (*body).into(), ..Message::default() };
        let origin = Origin { queue: queue.into(), arn: "arn:q".into(), region: "r".into() };
        Delivery { origin, messages: bodies.iter().map(message).collect(), batch }
    }

    fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Reply {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, headers, body: body.as_bytes().to_vec(), cut: false }
    }

    #[tokio::test]
    async fn a_message_is_a_post_with_its_attributes_as_headers() {
        let mut delivery = delivery("orders", &["{\"a\":1}"], false);
        let text = |name: &str, text: &str| MessageAttribute {
            name: name.into(),
            kind: "String".into(),
            value: AttributeValue::Text(text.into()),
        };
        delivery.messages[0].receive_count = 3;
        delivery.messages[0].attributes = vec![
            text("Color.a", "grün\nrot"),
            text("long", &"x".repeat(MAX_VALUE + 1)),
            MessageAttribute {
                name: "raw".into(),
                kind: "Binary".into(),
                value: AttributeValue::Binary(vec![0, 255].into()),
            },
        ];
        let request = delivery.request(&source()).unwrap();
        assert_eq!((request.method(), request.uri().to_string()), (&Method::POST, "/order?x=1".to_owned()));
        let header = |name: &str| {
            request.headers().get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        for (name, expected) in [
            ("content-type", Some("application/json")),
            ("maelstrom-sqs-queue-name", Some("orders")),
            ("maelstrom-sqs-message-id", Some("id-{\"a\":1}")),
            ("maelstrom-sqs-receive-count", Some("3")),
            ("maelstrom-sqs-attribute-color.a", Some("grün%0Arot")),
            ("maelstrom-sqs-attribute-raw", Some("AP8=")),
            ("maelstrom-sqs-attribute-long", None),
        ] {
            assert_eq!(header(name).as_deref(), expected, "{name}");
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "{\"a\":1}");
    }

    #[tokio::test]
    async fn a_batch_is_one_request_in_lambdas_shape_even_of_one_message() {
        let request = delivery("orders", &["a"], true).request(&source()).unwrap();
        assert_eq!(request.headers()["maelstrom-sqs-message-count"], "1");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let event: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(event["Records"][0]["messageId"], "id-a");
        assert_eq!(event["Records"][0]["eventSourceARN"], "arn:q");
    }

    #[test]
    fn answers_say_what_becomes_of_each_message() {
        let now = WallTime::from_millis(0);
        let (delete, leave) = (Verdict::Delete, Verdict::Leave { back_after: None });
        let failures = r#"{"batchItemFailures":[{"itemIdentifier":"id-b"}]}"#;
        for (queue, batch, status, body, expected) in [
            ("q", false, 204, "", vec![delete]),
            ("q", false, 500, "", vec![leave]),
            ("q", true, 200, "ok", vec![delete, delete, delete]),
            ("q", true, 200, failures, vec![delete, leave, delete]),
            ("q.fifo", true, 200, failures, vec![delete, leave, leave]),
            ("q", true, 200, r#"{"batchItemFailures":7}"#, vec![leave, leave, leave]),
            ("q", true, 500, failures, vec![leave, leave, leave]),
        ] {
            let bodies = if batch { &["a", "b", "c"][..] } else { &["a"] };
            let (verdicts, why) = delivery(queue, bodies, batch).verdicts(&reply(status, &[], body), now);
            assert_eq!(verdicts, expected, "{queue} {batch} {status} {body}");
            assert_eq!(why.is_some(), expected.contains(&leave));
        }
        let reply = reply(503, &[("retry-after", "7")], "later");
        let (verdicts, why) = delivery("q", &["a"], false).verdicts(&reply, now);
        assert_eq!(verdicts, [Verdict::Leave { back_after: Some(std::time::Duration::from_secs(7)) }]);
        assert_eq!(why.as_deref(), Some("503: later"));
    }
}
