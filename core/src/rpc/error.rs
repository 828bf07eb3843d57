//! The one table of error codes, and the error that travels.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::{Problem, Problems};

/// Codes of `error.code`.
pub mod code {
    /// A value is not allowed; `error.data` lists every problem found.
    pub const INVALID: i64 = 1001;
    pub const ALREADY_EXISTS: i64 = 1002;
    pub const NOT_FOUND: i64 = 1003;
    /// The version that a change was based on is not the current one.
    pub const NOT_CURRENT: i64 = 1004;
    /// The body is not JSON.
    pub const PARSE: i64 = -32700;
    /// JSON, but not a request.
    pub const INVALID_REQUEST: i64 = -32600;
    pub const NO_METHOD: i64 = -32601;
    /// The parameters don't fit the method; the message says which field.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Any other failure.
    pub const OTHER: i64 = -32000;
    /// The store failed or can't be reached.
    pub const STORE: i64 = -32001;
    /// The caller acts in an older term than the node has heard of: another node decides by now.
    pub const OLD_TERM: i64 = -32002;
    /// The caller has not shown who it is.
    pub const UNAUTHENTICATED: i64 = -32003;
    /// The caller may not do this.
    pub const FORBIDDEN: i64 = -32004;
}

/// An error as it stands in an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    pub code: i64,
    /// What, where and what is allowed.
    pub message: String,
    /// All problems found, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

// === impl RpcError ===

impl RpcError {
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// 1001 with all problems, in words and as data.
    pub fn invalid(problems: &Problems) -> Self {
        Self::with_problems(code::INVALID, problems)
    }

    /// 1003: `what` is not there.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(code::NOT_FOUND, format!("{what} does not exist"))
    }

    /// The error in the answer to a single request, e.g. one that came with an HTTP status of its own.
    pub fn in_answer(answer: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            error: RpcError,
        }
        serde_json::from_slice::<Answer>(answer).ok().map(|answer| answer.error)
    }

    /// An error whose `data` lists `problems`.
    pub fn with_problems(code: i64, problems: &Problems) -> Self {
        Self { code, message: problems.to_string(), data: serde_json::to_value(problems).ok() }
    }

    /// The problems in `data`, if that is what it carries.
    pub fn problems(&self) -> Vec<Problem> {
        self.data
            .as_ref()
            .and_then(|data| serde_json::from_value::<Problems>(data.clone()).ok())
            .map_or_else(Vec::new, |problems| problems.0)
    }
}

impl From<Problems> for RpcError {
    fn from(problems: Problems) -> Self {
        Self::invalid(&problems)
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}
