//! A task as a request, and what its answer means for the task.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use maelstrom_core::ports::activity::{MAX_CAUSE, MAX_ERROR, MAX_OUTPUT};

use crate::events::exchange::Reply;

/// Bytes of an answer that are looked at.
pub(in crate::events) const KEPT_BYTES: usize = MAX_OUTPUT + 1;
const ERROR: &str = "step-func-error";
const CAUSE: &str = "step-func-cause";

/// How a task ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::events) enum Outcome {
    /// JSON.
    Success(String),
    Failure {
        error: String,
        cause: String,
    },
}

// === impl Outcome ===

impl Outcome {
    /// 200 is success, all else is not.
    pub(in crate::events) fn of(reply: &Reply) -> Self {
        if reply.status != StatusCode::OK {
            let error = reply.header(ERROR).map_or_else(
                || format!("maelstrom_{}", reply.status.as_u16()),
                |error| shorten(error, MAX_ERROR),
            );
            let cause = reply.header(CAUSE).map_or_else(|| reason(reply), |cause| shorten(cause, MAX_CAUSE));
            return Self::Failure { error, cause };
        }
        let output = output(&reply.body);
        if reply.cut || output.len() > MAX_OUTPUT {
            let cause = format!("the answer has more than the {MAX_OUTPUT} bytes that an output may have");
            return Self::Failure { error: "maelstrom_output_too_large".into(), cause };
        }
        Self::Success(output)
    }
}

pub(in crate::events) fn request(path: &str, input: &str) -> Result<Request<Full<Bytes>>, http::Error> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::copy_from_slice(input.as_bytes())))
}

/// What the answer says of itself, else what its status means.
fn reason(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    match text.trim() {
        "" => reply.status.canonical_reason().unwrap_or("no reason").to_owned(),
        text => shorten(text, MAX_CAUSE),
    }
}

/// JSON as it is; any other text as JSON's.
fn output(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => text.into_owned(),
        Err(_) => serde_json::Value::String(text.into_owned()).to_string(),
    }
}

fn shorten(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec(), cut: false }
    }

    fn failure(error: &str, cause: &str) -> Outcome {
        Outcome::Failure { error: error.into(), cause: cause.into() }
    }

    #[test]
    fn each_status_has_its_outcome() {
        for (status, body, expected) in [
            (200, r#"{"a":1}"#, Outcome::Success(r#"{"a":1}"#.into())),
            (200, "done\n", Outcome::Success(r#""done\n""#.into())),
            (200, "", Outcome::Success(r#""""#.into())),
            (204, "", failure("maelstrom_204", "No Content")),
            (302, "", failure("maelstrom_302", "Found")),
            (404, "no such order\n", failure("maelstrom_404", "no such order")),
            (599, "", failure("maelstrom_599", "no reason")),
        ] {
            assert_eq!(Outcome::of(&reply(status, body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_component_names_error_and_cause() {
        let mut reply = reply(422, "body");
        reply.headers.insert(ERROR, HeaderValue::from_static("Order.Invalid"));
        reply.headers.insert(CAUSE, HeaderValue::from_static("no amount"));
        assert_eq!(Outcome::of(&reply), failure("Order.Invalid", "no amount"));
        reply.headers.insert(ERROR, HeaderValue::from_str(&"e".repeat(300)).unwrap());
        reply.headers.insert(CAUSE, HeaderValue::from_str(&"c".repeat(40_000)).unwrap());
        let Outcome::Failure { error, cause } = Outcome::of(&reply) else { panic!("a failure") };
        assert_eq!((error.len(), cause.len()), (MAX_ERROR, MAX_CAUSE));
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_or_fails() {
        let Outcome::Failure { cause, .. } = Outcome::of(&reply(500, &"ü".repeat(MAX_CAUSE))) else {
            panic!("a failure")
        };
        assert_eq!(cause.len(), MAX_CAUSE);
        let large = format!("\"{}\"", "x".repeat(MAX_OUTPUT));
        let Outcome::Failure { error, .. } = Outcome::of(&reply(200, &large)) else { panic!("a failure") };
        assert_eq!(error, "maelstrom_output_too_large");
    }
}
