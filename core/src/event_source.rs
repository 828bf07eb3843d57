//! What turns an outside event into an HTTP request to a component: checked, with defaults applied.

mod parse;

use crate::{
    decide::cron::Schedule,
    names::{ComponentName, EventSourceName, ProjectName},
};

#[derive(Clone, Debug, PartialEq)]
pub struct EventSource {
    pub name: EventSourceName,
    pub component: ComponentName,
    pub project: Option<ProjectName>,
    pub version: i64,
    pub modified_at: i64,
    pub kind: EventSourceKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EventSourceKind {
    Http(HttpSource),
    Cron(CronSource),
    Sqs(SqsSource),
    StepFunctions(StepFunctionsSource),
}

/// At least one of hostname and path prefix is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSource {
    pub hostname: Option<Hostname>,
    /// Begins with `/`.
    pub path_prefix: Option<String>,
    pub strip_prefix: bool,
}

/// Lower case, no port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hostname {
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: matches any name that ends so.
    Wildcard(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronSource {
    pub schedule: Schedule,
    pub method: String,
    /// Begins with `/`; may carry a query.
    pub path: String,
    pub data: Option<String>,
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqsSource {
    pub queue_name: String,
    pub name_as_prefix: bool,
    pub path: String,
    pub max_concurrency: u32,
    pub messages_per_poll: u32,
    pub concurrency_per_poller: u32,
    pub visibility_timeout_seconds: u32,
    pub batch: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFunctionsSource {
    pub activity_name: String,
    pub path: String,
    pub max_concurrency: u32,
    pub concurrency_per_poller: u32,
}

impl EventSourceKind {
    pub const NAMES: [&'static str; 4] = ["http", "cron", "sqs", "awsstepfunc"];

    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Cron(_) => "cron",
            Self::Sqs(_) => "sqs",
            Self::StepFunctions(_) => "awsstepfunc",
        }
    }
}
