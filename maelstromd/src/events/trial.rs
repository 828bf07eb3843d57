//! One event sent by hand, made and sent as the event source's own are, to see the answer and what the event
//! source would make of it. Neither queue nor activity is touched.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::Full;
use maelstrom_core::{
    decide::poller::Verdict,
    event_source::{CronSource, EventSourceKind, Hostname, HttpSource, SqsSource, StepFunctionsSource},
    names::{ComponentName, NodeId},
    ports::{clock::Clock, queue::Message},
    wire::{NameValue, TestEventSourceInput, TestEventSourceOutput},
};

use super::{
    Dispatch,
    activities::{self, Outcome},
    cron,
    exchange::{self, Reply},
    sqs::{Delivery, Origin},
};
use crate::{
    cluster::{ConfigurationCache, Source},
    router::Router,
};

/// Of the answer's body, for people.
const SHOWN_BYTES: usize = 65_536;

/// What trials stand on.
pub struct Trials {
    pub node: NodeId,
    pub configuration: Arc<ConfigurationCache>,
    pub router: Arc<Router>,
    pub dispatch: Arc<dyn Dispatch>,
    pub clock: Arc<dyn Clock>,
}

/// Why nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    #[error("event source '{0}'")]
    NoSuchEventSource(String),
    #[error("{field}: {why}")]
    Invalid { field: &'static str, why: String },
}

/// A request, and for whom.
struct Prepared {
    component: ComponentName,
    request: Request<Full<Bytes>>,
    judge: Box<dyn Fn(&Reply) -> String + Send + Sync>,
}

// === impl Trials ===

impl Trials {
    pub async fn run(&self, input: &TestEventSourceInput) -> Result<TestEventSourceOutput, TrialError> {
        let snapshot = self.configuration.current();
        let name = input.name.to_ascii_lowercase();
        let found = snapshot.event_sources.iter().find(|source| source.source.name.as_str() == name);
        let Some(source) = found else { return Err(TrialError::NoSuchEventSource(input.name.clone())) };
        let Prepared { component, request, judge } = self.prepare(source, input)?;
        let limit = exchange::limit(snapshot.components.get(&component).map(|component| &**component));
        let sent = format!("{} {}", request.method(), request.uri());
        let began = self.clock.now();
        let reply = exchange::ask(self.dispatch.as_ref(), &component, request, SHOWN_BYTES, limit).await;
        let took = self.clock.now().since(began);
        let verdict = judge(&reply);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = reply
            .headers
            .iter()
            .map(|(name, value)| NameValue { name: name.to_string(), value: text(value.as_bytes()) });
        Ok(TestEventSourceOutput {
            node_id: self.node.to_string(),
            component_name: component.to_string(),
            request: sent,
            status: i64::from(reply.status.as_u16()),
            headers: headers.collect(),
            body: text(&reply.body),
            body_cut: reply.cut,
            duration_millis: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            verdict,
        })
    }

    fn prepare(&self, source: &Source, input: &TestEventSourceInput) -> Result<Prepared, TrialError> {
        let component = source.source.component.clone();
        let kind = &source.source.kind;
        if !matches!(kind, EventSourceKind::Http(_)) {
            for (field, given) in [("method", &input.method), ("path", &input.path)] {
                if given.is_some() {
                    let why = format!("an event source of type {} has its own", kind.name());
                    return Err(TrialError::Invalid { field, why });
                }
            }
        }
        match kind {
            EventSourceKind::Http(http) => self.http(source, http, input),
            EventSourceKind::Cron(rule) => cron_event(component, rule, input),
            EventSourceKind::Sqs(sqs) => self.message(component, sqs, input),
            EventSourceKind::StepFunctions(tasks) => task(component, tasks, input),
        }
    }

    /// As a client of the public gateway would be routed, which may be by another event source.
    fn http(
        &self,
        source: &Source,
        http: &HttpSource,
        input: &TestEventSourceInput,
    ) -> Result<Prepared, TrialError> {
        let host = match &http.hostname {
            Some(Hostname::Exact(name)) => name.clone(),
            Some(Hostname::Wildcard(suffix)) => format!("test{suffix}"),
            None => "localhost".to_owned(),
        };
        let target = input.path.clone().or_else(|| http.path_prefix.clone()).unwrap_or_else(|| "/".into());
        if !target.starts_with('/') {
            return Err(TrialError::Invalid {
                field: "path",
                why: format!("is '{target}'; it begins with '/'"),
            });
        }
        let path = target.split('?').next().unwrap_or_default();
        let Some(pick) = self.router.pick(&host, path) else {
            let why = match source.enabled {
                true => format!("no event source takes {host}{path}"),
                false => format!("no event source takes {host}{path}: '{}' is disabled", source.source.name),
            };
            return Err(TrialError::Invalid { field: "path", why });
        };
        let stripped = target.get(pick.strip..).unwrap_or("/");
        let stripped = if stripped.starts_with('/') { stripped.to_owned() } else { format!("/{stripped}") };
        let method = input.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
        let request = Request::builder()
            .method(method.as_str())
            .uri(stripped)
            .header(HOST, &host)
            .body(body(input.data.as_deref().unwrap_or_default()));
        let taken_by = match self.router.explain(&host, path).value {
            Some(other) if other != source.source.name => {
                format!("event source '{other}' takes such requests, not this one")
            }
            _ => "answered to the client as it is".to_owned(),
        };
        prepared(pick.pool.name().clone(), request, move |_| taken_by.clone())
    }

    fn message(
        &self,
        component: ComponentName,
        sqs: &SqsSource,
        input: &TestEventSourceInput,
    ) -> Result<Prepared, TrialError> {
        let message = Message {
            id: format!("test-{}", ulid::Ulid::generate()),
            receipt: "test".into(),
            body: input.data.clone().unwrap_or_default(),
            receive_count: 1,
            sent_at: Some(self.clock.wall()),
            first_received_at: Some(self.clock.wall()),
            ..Message::default()
        };
        let region = Arc::from("test");
        let arn = format!("arn:aws:sqs:test:000000000000:{}", sqs.queue_name).into();
        let origin = Origin { queue: sqs.queue_name.as_str().into(), arn, region };
        let delivery = Delivery { origin, messages: vec![message], batch: sqs.batch };
        let request = delivery.request(sqs);
        let (clock, visibility) = (self.clock.clone(), sqs.visibility_timeout_seconds);
        prepared(component, request, move |reply| {
            let (verdicts, why) = delivery.verdicts(reply, clock.wall());
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            match verdicts.first() {
                Some(Verdict::Delete) => "the message would be deleted".to_owned(),
                Some(Verdict::Leave { back_after: Some(after) }) => {
                    format!("the message would come back after {} s{why}", after.as_secs())
                }
                _ => format!("the message would come back after {visibility} s{why}"),
            }
        })
    }
}

fn cron_event(
    component: ComponentName,
    rule: &CronSource,
    input: &TestEventSourceInput,
) -> Result<Prepared, TrialError> {
    let rule = CronSource { data: input.data.clone().or_else(|| rule.data.clone()), ..rule.clone() };
    let request = cron::request(&rule, component.as_str());
    prepared(component, request, |reply| match reply.status.is_success() {
        true => "the rule would have succeeded".to_owned(),
        false => "the rule would have failed".to_owned(),
    })
}

fn task(
    component: ComponentName,
    tasks: &StepFunctionsSource,
    input: &TestEventSourceInput,
) -> Result<Prepared, TrialError> {
    let request = activities::request(&tasks.path, input.data.as_deref().unwrap_or("{}"));
    prepared(component, request, |reply| match Outcome::of(reply) {
        Outcome::Success(_) => "the task would succeed with this output".to_owned(),
        Outcome::Failure { error, cause } => {
            let cause: String = cause.chars().take(200).collect();
            format!("the task would fail with error '{error}' and cause '{}'", cause.escape_debug())
        }
    })
}

fn prepared(
    component: ComponentName,
    request: Result<Request<Full<Bytes>>, http::Error>,
    judge: impl Fn(&Reply) -> String + Send + Sync + 'static,
) -> Result<Prepared, TrialError> {
    match request {
        Ok(request) => Ok(Prepared { component, request, judge: Box::new(judge) }),
        Err(error) => Err(TrialError::Invalid { field: "path", why: error.to_string() }),
    }
}

fn body(text: &str) -> Full<Bytes> {
    Full::new(Bytes::copy_from_slice(text.as_bytes()))
}
