//! What surrounds a call: `jsonrpc`, `id`, `method`, `params` on the way in; `result` or `error` on the
//! way out. Ids and parameters stay raw text, so that an id comes back byte for byte.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{RpcError, code};

/// A checked request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// `None` for a notification, which gets no answer.
    pub(super) id: Option<&'a RawValue>,
    pub(super) method: String,
    pub(super) params: Option<&'a RawValue>,
}

/// The members of a request before they are checked. Unknown members are ignored.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

/// Tells `null` from absent, which `Option` alone doesn't.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Serialize)]
pub(super) struct Answer<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
}

/// Reads one request. An error comes with the id to answer to, if one could be read.
pub(super) fn read(raw: &RawValue) -> Result<Request<'_>, (Option<&RawValue>, RpcError)> {
    if !raw.get().starts_with('{') {
        return Err((None, refuse("a request must be an object")));
    }
    let members: Members<'_> =
        serde_json::from_str(raw.get()).map_err(|error| (None, refuse(&error.to_string())))?;
    let id = match members.id {
        Some(id) if !is_id(id) => {
            return Err((None, refuse("'id' must be a string or a number")));
        }
        id => id,
    };
    let fail = |why: &str| (id, refuse(why));
    if let Some(version) = members.jsonrpc
        && serde_json::from_str::<String>(version.get()).ok().as_deref() != Some("2.0")
    {
        return Err(fail("'jsonrpc' must be \"2.0\""));
    }
    let method = members.method.ok_or_else(|| fail("'method' is missing"))?;
    let method = serde_json::from_str(method.get()).map_err(|_| fail("'method' must be a string"))?;
    Ok(Request { id, method, params: members.params })
}

/// Writes the answer to the request with this id (`null` when it could not be read).
pub(super) fn write(id: Option<&RawValue>, outcome: &Result<Box<RawValue>, RpcError>) -> Box<RawValue> {
    let answer = Answer {
        jsonrpc: "2.0",
        id: id.unwrap_or(RawValue::NULL),
        result: outcome.as_ref().ok().map(|result| &**result),
        error: outcome.as_ref().err(),
    };
    serde_json::value::to_raw_value(&answer).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn refuse(why: &str) -> RpcError {
    RpcError::new(code::INVALID_REQUEST, format!("not a JSON-RPC request: {why}"))
}

/// `null` is tolerated, as JSON-RPC 2.0 does.
fn is_id(raw: &RawValue) -> bool {
    raw.get() == "null"
        || raw.get().starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}
