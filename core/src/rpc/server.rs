//! Bytes of a request in, bytes of the answer out: finds the method's handler, reads its input, and tells
//! precisely what does not fit.

use std::{collections::HashMap, future::Future, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    RpcError, code,
    envelope::{self, Request},
};
use crate::{
    ports::BoxFuture,
    problem::{Problem, Problems},
    wire::{Access, Method},
};

/// Requests in one batch; more is a mistake or an attack, and would hold a connection for minutes.
pub const MAX_BATCH: usize = 1_000;

type Outcome = Result<Box<RawValue>, RpcError>;
type Handler = Box<dyn Fn(Option<&RawValue>, Access) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// The methods that a server offers.
#[derive(Default)]
pub struct Registry {
    handlers: HashMap<&'static str, Handler>,
}

/// What becomes of a request or a batch.
#[derive(Debug, Default)]
pub struct Answered {
    /// Empty when there is nothing to answer: only notifications came.
    pub body: Bytes,
    /// Nothing was done: the caller may do none of it.
    pub forbidden: bool,
}

// === impl Registry ===

impl Registry {
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers method `M` with `handler`.
    #[must_use]
    pub fn on<M, F, Fut>(self, method: M, handler: F) -> Self
    where
        M: Method,
        M::Input: 'static,
        F: Fn(M::Input) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Output, RpcError>> + Send + 'static,
    {
        self.on_for(method, move |input, _| handler(input))
    }

    /// Like [`Registry::on`], for a handler whose answer depends on what the caller may do.
    #[must_use]
    pub fn on_for<M, F, Fut>(mut self, _method: M, handler: F) -> Self
    where
        M: Method,
        M::Input: 'static,
        F: Fn(M::Input, Access) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Output, RpcError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let call = move |params: Option<&RawValue>, granted: Access| -> BoxFuture<'static, Outcome> {
            let input = input::<M::Input>(params);
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let input = input?;
                check(M::NAME, M::access(&input), granted)?;
                let mut output = handler(input, granted).await?;
                if granted == Access::Read {
                    M::veil(&mut output);
                }
                to_raw_value(&output).map_err(|error| {
                    RpcError::new(code::OTHER, format!("the answer can't be written: {error}"))
                })
            })
        };
        self.handlers.insert(M::NAME, Box::new(call));
        self
    }

    /// Names of all methods, sorted.
    pub fn methods(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.handlers.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// [`Registry::answer`] for a caller who may do everything. `None` when there is nothing to answer.
    pub async fn handle(&self, body: &[u8]) -> Option<Bytes> {
        Some(self.answer(body, Access::Peer).await.body).filter(|body| !body.is_empty())
    }

    /// Answers a request or a batch of a caller who may do so much. The requests of a batch run one after
    /// the other, in order.
    pub async fn answer(&self, body: &[u8], granted: Access) -> Answered {
        let refused = |error: RpcError| Answered { body: error.into_answer(), forbidden: false };
        let whole: &RawValue = match serde_json::from_slice(body) {
            Ok(whole) => whole,
            Err(error) => return refused(RpcError::new(code::PARSE, format!("not JSON: {error}"))),
        };
        if !whole.get().starts_with('[') {
            let (answer, forbidden) = self.answer_one(whole, granted).await;
            let body = answer.map(|answer| Bytes::from(answer.get().to_owned())).unwrap_or_default();
            return Answered { body, forbidden };
        }
        let batch: Vec<&RawValue> = serde_json::from_str(whole.get()).unwrap_or_default();
        if batch.is_empty() || batch.len() > MAX_BATCH {
            let why = format!("a batch of {} requests; 1 to {MAX_BATCH} are allowed", batch.len());
            return refused(RpcError::new(code::INVALID_REQUEST, why));
        }
        let mut answers = Vec::with_capacity(batch.len());
        let mut all_forbidden = true;
        for request in batch {
            let (answer, forbidden) = self.answer_one(request, granted).await;
            answers.extend(answer);
            all_forbidden &= forbidden;
        }
        let body = match answers.is_empty() {
            true => Bytes::new(),
            false => Bytes::from(serde_json::to_vec(&answers).unwrap_or_default()),
        };
        Answered { body, forbidden: all_forbidden }
    }

    /// With whether it was refused for want of a right.
    async fn answer_one(&self, raw: &RawValue, granted: Access) -> (Option<Box<RawValue>>, bool) {
        match envelope::read(raw) {
            Err((id, error)) => (Some(envelope::write(id, &Err(error))), false),
            Ok(request) => {
                let outcome = self.call(&request, granted).await;
                let forbidden = outcome.as_ref().is_err_and(|error| error.code == code::FORBIDDEN);
                (request.id.map(|id| envelope::write(Some(id), &outcome)), forbidden)
            }
        }
    }

    async fn call(&self, request: &Request<'_>, granted: Access) -> Outcome {
        let Some(handler) = self.handlers.get(request.method.as_str()) else {
            return Err(RpcError::new(code::NO_METHOD, self.unknown(&request.method)));
        };
        let run = async { handler(request.params, granted).await };
        // One request that trips over a defect must not take the daemon along.
        AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| {
            Err(RpcError::new(
                code::OTHER,
                format!("{} failed inside; the daemon's log says where", request.method),
            ))
        })
    }

    fn unknown(&self, method: &str) -> String {
        let shown: String = method.chars().take(80).collect();
        let nearest = self
            .methods()
            .into_iter()
            .map(|name| (strsim::jaro_winkler(name, &shown), name))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match nearest {
            Some((score, name)) if score > 0.85 => format!("no method '{shown}'; did you mean '{name}'?"),
            _ => format!("no method '{shown}'"),
        }
    }
}

impl RpcError {
    /// The answer to a request that could not be read, whose id is not known.
    pub fn into_answer(self) -> Bytes {
        Bytes::from(envelope::write(None, &Err(self)).get().to_owned())
    }
}

/// Refuses what the caller may not do, and says who may.
fn check(method: &str, needed: Access, granted: Access) -> Result<(), RpcError> {
    if needed <= granted {
        return Ok(());
    }
    let who = match needed {
        Access::Peer => "is for the nodes of the cluster alone, which share a MAEL_CLUSTER_SECRET",
        _ => "changes something, and this token may only look: use one of MAEL_API_TOKEN",
    };
    Err(RpcError::new(code::FORBIDDEN, format!("{method} {who}")))
}

/// Reads a method's input from `params`: an array with one object, or that object itself. Absent or empty
/// stands for an empty object, which fits methods whose fields are all optional.
fn input<T: DeserializeOwned>(params: Option<&RawValue>) -> Result<T, RpcError> {
    let given = match params.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(text) if text.starts_with('{') => text,
        Some(text) if text.starts_with('[') => {
            let list: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            match list.as_slice() {
                [] => "{}",
                [one] if one.get().starts_with('{') => one.get(),
                [_] => return Err(misfit("params[0]", "must be an object")),
                more => {
                    return Err(misfit(
                        "params",
                        &format!("has {} elements; one object is expected", more.len()),
                    ));
                }
            }
        }
        Some(_) => return Err(misfit("params", "must be an array with one object")),
    };
    let mut json = serde_json::Deserializer::from_str(given);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner().to_string();
        // The position is that inside the parameters, which nobody sees as such.
        let why = why.split(" at line ").next().unwrap_or_default();
        misfit(if path == "." { "params[0]" } else { &path }, why)
    })
}

fn misfit(field: &str, why: &str) -> RpcError {
    let problem = Problem { field: field.to_owned(), message: why.to_owned() };
    let mut error = RpcError::with_problems(code::INVALID_PARAMS, &Problems(vec![problem]));
    error.message = format!("the parameters don't fit: {}", error.message);
    error
}

#[cfg(test)]
mod tests;
