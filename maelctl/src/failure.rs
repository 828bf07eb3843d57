//! Why a command ends without success: what to print and the exit code, in one table.

use std::process::ExitCode;

use maelstrom_core::rpc::{CallError, RpcError, TransportError, code};
use serde_json::{Value, json};

/// Shown by `maelctl help exit-codes`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done; for project diff and --exit-code: nothing differs
    1  failed, or refused by the daemon; for project diff and --exit-code: something differs
    2  wrong arguments, or a project file that is wrong
    3  what was named does not exist
    4  the daemon can't be reached, or its store fails
    5  somebody else changed it in the meantime: look at it and try again
    6  timed out
    7  not allowed: the API token is missing, wrong, or may only look
  130  interrupted (Ctrl-C)";

const FORBIDDEN: &str =
    "whose token is it? one of MAEL_API_TOKEN may change things, one of MAEL_API_TOKEN_READONLY may not";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Unreachable = 4,
    Conflict = 5,
    TimedOut = 6,
    Denied = 7,
}

/// A failure, ready to be told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Empty when everything has been said already.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// As the API numbers it.
    pub(crate) code: Option<i64>,
    pub(crate) data: Option<Value>,
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, code: None, data: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The exit code alone: the output said it all.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// For `-o json`, on standard error.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "message": self.message, "exitCode": self.exit as u8 });
        let optional = [
            ("code", self.code.map(Value::from)),
            ("hint", self.hint.clone().map(Value::from)),
            ("data", self.data.clone()),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                error[key] = value;
            }
        }
        json!({ "error": error })
    }

    fn transport(method: &str, error: TransportError) -> Self {
        const REACH: &str =
            "is maelstromd running? set --url or MAELSTROM_PRIVATE_URL to its private gateway";
        match error {
            TransportError::Connect { address, reason } => {
                Self::new(Exit::Unreachable, format!("cannot reach {address} for {method}: {reason}"))
                    .hint(REACH)
            }
            TransportError::TimedOut { address, seconds } => {
                Self::new(Exit::TimedOut, format!("{address} did not answer {method} within {seconds} s"))
                    .hint("--timeout sets how long to wait; the daemon may have done it nevertheless")
            }
            TransportError::Status { address, status: 401, text } => {
                Self::new(Exit::Denied, format!("{address} refused {method}: {text}")).hint(
                    "give maelctl one of the node's tokens: --token-file FILE, or MAEL_API_TOKEN in the environment",
                )
            }
            TransportError::Status { address, status: 403, text } => {
                Self::new(Exit::Denied, format!("{address} refused {method}: {text}")).hint(FORBIDDEN)
            }
            TransportError::Status { address, status, text } => {
                let message = format!("{address} answered {method} with HTTP status {status}: {text}");
                Self::new(Exit::Unreachable, message)
                    .hint("does --url or MAELSTROM_PRIVATE_URL lead to a private gateway (port 8374)?")
            }
            TransportError::Broken { address, reason } => {
                let message = format!("the connection to {address} broke during {method}: {reason}");
                Self::new(Exit::Unreachable, message).hint("look whether it was done before trying again")
            }
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Transport { method, error } => Self::transport(method, error),
            CallError::Refused { method, error } => {
                let exit = match error.code {
                    code::NOT_FOUND => Exit::NotFound,
                    code::NOT_CURRENT => Exit::Conflict,
                    code::STORE => Exit::Unreachable,
                    code::UNAUTHENTICATED | code::FORBIDDEN => Exit::Denied,
                    _ => Exit::Failed,
                };
                let mut failure = Self::new(exit, refusal(&error));
                failure.hint = match error.code {
                    code::NOT_CURRENT => {
                        Some("somebody changed it in the meantime: look and try again".into())
                    }
                    code::STORE => Some("the daemon runs, but its store fails: see its log".into()),
                    code::FORBIDDEN => Some(FORBIDDEN.into()),
                    code::NO_METHOD => {
                        Some(format!("the daemon does not know {method}: is it older than maelctl?"))
                    }
                    _ => None,
                };
                failure.code = Some(error.code);
                failure.data = error.data;
                failure
            }
            CallError::Foreign { .. } => Self::new(Exit::Unreachable, error.to_string()),
        }
    }
}

/// All that the daemon found wrong, one a line.
fn refusal(error: &RpcError) -> String {
    let problems = error.problems();
    if problems.len() < 2 {
        return error.message.clone();
    }
    let lines = problems.iter().map(|problem| format!("\n  {}: {}", problem.field, problem.message));
    format!("the daemon found {} problems:{}", problems.len(), lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use maelstrom_core::problem::Problems;

    use super::*;

    #[test]
    fn each_failure_has_its_exit_code() {
        let refused = |code| CallError::Refused { method: "S.M", error: RpcError::new(code, "why") };
        let transport = |error| CallError::Transport { method: "S.M", error };
        let address = || "http://h".to_owned();
        let status = |status| TransportError::Status { address: address(), status, text: "why".into() };
        for (error, exit) in [
            (refused(code::INVALID), Exit::Failed),
            (refused(code::NOT_FOUND), Exit::NotFound),
            (refused(code::NOT_CURRENT), Exit::Conflict),
            (refused(code::STORE), Exit::Unreachable),
            (refused(code::NO_METHOD), Exit::Failed),
            (refused(code::FORBIDDEN), Exit::Denied),
            (transport(status(401)), Exit::Denied),
            (transport(status(403)), Exit::Denied),
            (transport(status(404)), Exit::Unreachable),
            (
                transport(TransportError::Connect { address: address(), reason: "r".into() }),
                Exit::Unreachable,
            ),
            (transport(TransportError::TimedOut { address: address(), seconds: 3 }), Exit::TimedOut),
            (transport(TransportError::Broken { address: address(), reason: "r".into() }), Exit::Unreachable),
        ] {
            assert_eq!(Failure::from(error.clone()).exit, exit, "{error}");
        }
    }

    #[test]
    fn problems_come_one_a_line() {
        let mut problems = Problems::default();
        problems.add("a", "is 1");
        let error =
            |problems: &Problems| CallError::Refused { method: "S.M", error: RpcError::invalid(problems) };
        assert_eq!(Failure::from(error(&problems)).message, "a: is 1");
        problems.add("b", "is 2");
        let message = Failure::from(error(&problems)).message;
        assert_eq!(message, "the daemon found 2 problems:\n  a: is 1\n  b: is 2");
    }

    #[test]
    fn every_exit_code_is_documented() {
        for exit in [
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::Unreachable,
            Exit::Conflict,
            Exit::TimedOut,
            Exit::Denied,
        ] {
            assert!(
                EXIT_CODES.lines().any(|line| line.trim().starts_with(&format!("{} ", exit as u8))),
                "{exit:?}"
            );
        }
    }

    #[test]
    fn json_keeps_code_and_data() {
        let mut failure = Failure::new(Exit::NotFound, "no").data(json!([1]));
        failure.code = Some(1003);
        let expected = json!({"error": {"message": "no", "exitCode": 3, "code": 1003, "data": [1]}});
        assert_eq!(failure.to_json(), expected);
    }
}
