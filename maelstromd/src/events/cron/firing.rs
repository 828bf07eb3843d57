//! One due time of one rule: claim, request, journal.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Full};
use maelstrom_core::{
    event_source::{CronSource, EventSourceKind},
    time::WallTime,
};

use super::{Cron, entry, rules::Fire};
use crate::cluster::Source;

/// Of an answer that is no success, this much is told.
const TOLD_BYTES: usize = 200;

/// What became of a due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Fired, or claimed by somebody else.
    Settled,
    /// The store did not answer: nobody may have claimed it.
    NotClaimed,
}

/// How a request ended.
enum Answer {
    Status(StatusCode, String),
    /// Its body broke off.
    Broken(StatusCode, String),
    TimedOut,
    /// The rule makes no request.
    Invalid(String),
}

pub(super) async fn run(cron: Arc<Cron>, fire: Fire, limit: Duration) -> Outcome {
    if fire.forget_first {
        let rule = fire.source.source.name.to_string();
        if cron.store.forget_fires(vec![rule]).await.is_err() {
            return Outcome::NotClaimed;
        }
    }
    match claim(&cron, &fire.source, fire.due).await {
        None => return Outcome::NotClaimed,
        Some(false) => return Outcome::Settled,
        Some(true) => {}
    }
    let late = cron.clock.wall().as_millis() - fire.due.as_millis();
    let begun = cron.clock.now();
    let answer = tokio::time::timeout(limit, request(&cron, &fire.source)).await.unwrap_or(Answer::TimedOut);
    let took = cron.clock.now().since(begun);
    tell(&cron, &fire, &answer, late, took);
    Outcome::Settled
}

/// Has the due time count as handled in the whole cluster, as far as the store can be reached.
pub(super) async fn claim_only(cron: Arc<Cron>, source: Arc<Source>, due: WallTime) -> Outcome {
    claim(&cron, &source, due).await;
    Outcome::Settled
}

/// Whether the due time is this node's to fire; `None`: the store did not say.
async fn claim(cron: &Cron, source: &Source, due: WallTime) -> Option<bool> {
    let rule = source.source.name.to_string();
    match cron.store.claim_fire(rule, due, cron.claimant.clone()).await {
        Ok(claimed) => Some(claimed),
        Err(error) => {
            let rule = source.source.name.as_str();
            tracing::warn!(rule, due = due.as_millis(), %error, "a cron rule waits for the store");
            None
        }
    }
}

async fn request(cron: &Cron, source: &Source) -> Answer {
    let EventSourceKind::Cron(rule) = &source.source.kind else {
        return Answer::Invalid("it is no cron rule".into());
    };
    let request = match build(rule, source.source.component.as_str()) {
        Ok(request) => request,
        Err(error) => return Answer::Invalid(error.to_string()),
    };
    let response = cron.dispatch.call(&source.source.component, request).await;
    let status = response.status();
    let mut body = response.into_body();
    let mut told = Vec::new();
    // The run ends with the answer's last byte.
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => {
                let room = TOLD_BYTES.saturating_sub(told.len()).min(data.len());
                told.extend_from_slice(&data[..room]);
            }
            Ok(Err(_trailers)) => {}
            Err(error) => return Answer::Broken(status, error.to_string()),
        }
    }
    Answer::Status(status, String::from_utf8_lossy(&told).trim().escape_debug().to_string())
}

/// The request that a rule makes.
pub(in crate::events) fn build(
    rule: &CronSource,
    component: &str,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let data = rule.data.clone().unwrap_or_default();
    let mut request = Request::builder()
        .method(rule.method.as_str())
        .uri(rule.path.as_str())
        .body(Full::new(Bytes::from(data.into_bytes())))?;
    let headers = request.headers_mut();
    for (name, value) in &rule.headers {
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_str(component)?);
    }
    Ok(request)
}

fn tell(cron: &Cron, fire: &Fire, answer: &Answer, late_ms: i64, took: Duration) {
    let (what, status, why) = match answer {
        Answer::Status(status, _) if status.is_success() => {
            (format!("answered {}", status.as_u16()), Some(status), None)
        }
        Answer::Status(status, body) => {
            (format!("failed with {}", status.as_u16()), Some(status), Some(body.clone()))
        }
        Answer::Broken(status, error) => {
            ("failed".into(), Some(status), Some(format!("its answer broke off: {error}")))
        }
        Answer::TimedOut => ("failed".into(), None, Some("no answer by the component's deadline".into())),
        Answer::Invalid(error) => ("failed".into(), None, Some(error.clone())),
    };
    cron.counts.fired.fetch_add(1, Relaxed);
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let mut told = entry(&fire.source, &what, fire.due).data("ms", took).data("late_ms", late_ms);
    if let Some(status) = status {
        told = told.data("status", status.as_u16());
    }
    if let Some(why) = why {
        cron.counts.failed.fetch_add(1, Relaxed);
        told = told.warning();
        if !why.is_empty() {
            told = told.because(why);
        }
    }
    cron.journal.record(told);
}
