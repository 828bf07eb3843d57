//! Wire form → [`EventSource`]: defaults applied, limits checked, all problems reported together.

use super::*;
use crate::{decide::cron::Schedule, problem::Problems, wire};

const DEFAULT_SQS_CONCURRENCY: u32 = 10;
const DEFAULT_VISIBILITY_SECONDS: u32 = 300;
/// SQS: ReceiveMessage returns at most ten messages.
const MAX_MESSAGES_PER_POLL: u32 = 10;
/// SQS: a message can be invisible for at most 12 hours.
const MAX_VISIBILITY_SECONDS: u32 = 43_200;

impl EventSource {
    /// Checks `wire` and applies defaults. Fields of problems are named as on the wire. Whether the
    /// component exists is for the caller to ask.
    pub fn parse(wire: &wire::EventSource) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let name = EventSourceName::parse(&wire.name).map_err(|e| problems.add("name", e.to_string())).ok();
        let component = ComponentName::parse(&wire.component_name)
            .map_err(|e| problems.add("componentName", e.to_string()))
            .ok();
        let project =
            wire.project_name.as_deref().filter(|p| !p.is_empty()).and_then(|p| {
                ProjectName::parse(p).map_err(|e| problems.add("projectName", e.to_string())).ok()
            });
        let kind = kind(wire, &mut problems);
        if wire.version < 0 {
            problems.add("version", format!("is {}; 0 stands for a new event source", wire.version));
        }
        match (name, component, kind) {
            (Some(name), Some(component), Some(kind)) if problems.is_empty() => Ok(Self {
                name,
                component,
                project,
                version: wire.version,
                modified_at: wire.modified_at,
                kind,
            }),
            _ => Err(problems),
        }
    }
}

fn kind(wire: &wire::EventSource, problems: &mut Problems) -> Option<EventSourceKind> {
    let mut kinds = Vec::new();
    let mut nested = |name: &str, parse: &mut dyn FnMut(&mut Problems) -> Option<EventSourceKind>| {
        let mut found = Problems::default();
        kinds.push(parse(&mut found));
        problems.nest(name, found);
    };
    if let Some(source) = &wire.http {
        nested("http", &mut |found| Some(EventSourceKind::Http(http(source, found))));
    }
    if let Some(source) = &wire.cron {
        nested("cron", &mut |found| cron(source, found).map(EventSourceKind::Cron));
    }
    if let Some(source) = &wire.sqs {
        nested("sqs", &mut |found| Some(EventSourceKind::Sqs(sqs(source, found))));
    }
    if let Some(source) = &wire.awsstepfunc {
        nested("awsstepfunc", &mut |found| {
            Some(EventSourceKind::StepFunctions(step_functions(source, found)))
        });
    }
    if kinds.len() != 1 {
        let names = EventSourceKind::NAMES.join(", ");
        problems.add("", format!("has {} types; exactly one of {names} is needed", kinds.len()));
        return None;
    }
    kinds.pop().flatten()
}

fn http(wire: &wire::HttpEventSource, problems: &mut Problems) -> HttpSource {
    let hostname = wire
        .hostname
        .as_deref()
        .filter(|text| !text.is_empty())
        .and_then(|text| Hostname::parse(text).map_err(|why| problems.add("hostname", why)).ok());
    let path_prefix = wire.path_prefix.clone().filter(|text| !text.is_empty());
    if let Some(prefix) = &path_prefix {
        path(prefix, "pathPrefix", problems);
        if prefix.contains('?') {
            problems.add("pathPrefix", format!("is '{prefix}'; a query can't be matched"));
        }
    }
    let neither = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    if neither(&wire.hostname) && neither(&wire.path_prefix) {
        problems.add("", "has neither hostname nor pathPrefix; at least one is needed");
    }
    HttpSource { hostname, path_prefix, strip_prefix: wire.strip_prefix.unwrap_or(false) }
}

fn cron(wire: &wire::CronEventSource, problems: &mut Problems) -> Option<CronSource> {
    let schedule =
        Schedule::parse(&wire.schedule).map_err(|error| problems.add("schedule", error.to_string())).ok();
    let method = wire.http.method.to_ascii_uppercase();
    if method.is_empty() {
        problems.add("http.method", "is missing");
    } else if !method.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
        problems.add("http.method", format!("is '{}', not an HTTP method", wire.http.method.escape_debug()));
    }
    path(&wire.http.path, "http.path", problems);
    let mut headers = Vec::new();
    for header in wire.http.headers.iter().flatten() {
        let token = !header.name.is_empty()
            && header.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !token || header.value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
            problems.add("http.headers", format!("'{}' is not an HTTP header", header.name.escape_debug()));
        }
        if header.value == wire::VEILED {
            problems.add("http.headers", format!("'{}' {}", header.name.escape_debug(), wire::VEILED_PUT));
        }
        headers.push((header.name.clone(), header.value.clone()));
    }
    Some(CronSource {
        schedule: schedule?,
        method,
        path: wire.http.path.clone(),
        data: wire.http.data.clone(),
        headers,
    })
}

fn sqs(wire: &wire::SqsEventSource, problems: &mut Problems) -> SqsSource {
    if wire.queue_name.is_empty() {
        problems.add("queueName", "is missing");
    }
    path(&wire.path, "path", problems);
    let messages_per_poll =
        number(wire.messages_per_poll, 1, MAX_MESSAGES_PER_POLL, "messagesPerPoll", problems);
    SqsSource {
        queue_name: wire.queue_name.clone(),
        name_as_prefix: wire.name_as_prefix.unwrap_or(false),
        path: wire.path.clone(),
        max_concurrency: number(
            wire.max_concurrency,
            DEFAULT_SQS_CONCURRENCY,
            u32::MAX,
            "maxConcurrency",
            problems,
        ),
        messages_per_poll,
        concurrency_per_poller: number(
            wire.concurrency_per_poller,
            messages_per_poll,
            u32::MAX,
            "concurrencyPerPoller",
            problems,
        ),
        visibility_timeout_seconds: number(
            wire.visibility_timeout,
            DEFAULT_VISIBILITY_SECONDS,
            MAX_VISIBILITY_SECONDS,
            "visibilityTimeout",
            problems,
        ),
        batch: wire.batch.unwrap_or(false),
    }
}

fn step_functions(wire: &wire::AwsStepFunctionEventSource, problems: &mut Problems) -> StepFunctionsSource {
    if wire.activity_name.is_empty() {
        problems.add("activityName", "is missing");
    }
    path(&wire.path, "path", problems);
    StepFunctionsSource {
        activity_name: wire.activity_name.clone(),
        path: wire.path.clone(),
        max_concurrency: number(wire.max_concurrency, 1, u32::MAX, "maxConcurrency", problems),
        concurrency_per_poller: number(
            wire.concurrency_per_poller,
            1,
            u32::MAX,
            "concurrencyPerPoller",
            problems,
        ),
    }
}

fn path(text: &str, field: &str, problems: &mut Problems) {
    if text.is_empty() {
        problems.add(field, "is missing");
    } else if !text.starts_with('/') || text.bytes().any(|b| b <= 0x20 || b == 0x7f || b == b'#') {
        problems.add(field, format!("is '{}'; it must be a path that begins with '/'", text.escape_debug()));
    }
}

/// 0 stands for the default, as the original's clients send it.
fn number(given: Option<i64>, default: u32, most: u32, field: &str, problems: &mut Problems) -> u32 {
    match given {
        None | Some(0) => default,
        Some(given) => u32::try_from(given).ok().filter(|n| *n <= most).unwrap_or_else(|| {
            problems.add(field, format!("is {given}; 1 to {most} are allowed"));
            default
        }),
    }
}

// === impl Hostname ===

impl Hostname {
    /// Reads `name`, `*.name`, an IPv4 or a bracketed IPv6 address; a port is not part of a hostname.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let (name, wildcard) = match lower.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (lower.as_str(), false),
        };
        let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let valid = match literal {
            Some(address) => !wildcard && address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !name.is_empty() && name.split('.').all(label),
        };
        if !valid {
            return Err(format!(
                "is '{}'; a name like example.com or *.example.com is allowed",
                text.escape_debug()
            ));
        }
        Ok(if wildcard { Self::Wildcard(format!(".{name}")) } else { Self::Exact(name.to_owned()) })
    }
}

fn label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: impl FnOnce(&mut wire::EventSource)) -> Result<EventSource, Problems> {
        let mut wire =
            wire::EventSource { name: "E".into(), component_name: "web".into(), ..Default::default() };
        kind(&mut wire);
        EventSource::parse(&wire)
    }

    #[test]
    fn exactly_one_type_is_needed() {
        assert!(source(|_| ()).is_err());
        let both = source(|wire| {
            wire.http = Some(wire::HttpEventSource { path_prefix: Some("/".into()), ..Default::default() });
            wire.sqs =
                Some(wire::SqsEventSource { queue_name: "q".into(), path: "/".into(), ..Default::default() });
        });
        assert!(both.unwrap_err().to_string().contains("2 types"));
    }

    #[test]
    fn http_needs_a_hostname_or_a_path_prefix() {
        assert!(source(|wire| wire.http = Some(Default::default())).is_err());
    }

    #[test]
    fn cron_needs_a_method_and_a_path() {
        let problems = source(|wire| {
            wire.cron = Some(wire::CronEventSource { schedule: "* * * * *".into(), ..Default::default() });
        })
        .unwrap_err();
        assert_eq!(problems.0.len(), 2, "{problems}");
    }

    #[test]
    fn a_bad_schedule_is_told_with_the_other_problems() {
        let problems = source(|wire| {
            wire.cron = Some(wire::CronEventSource { schedule: "61 * * * *".into(), ..Default::default() });
        })
        .unwrap_err();
        assert_eq!(problems.0[0].field, "cron.schedule");
        assert_eq!(problems.0.len(), 3, "{problems}");
    }

    #[test]
    fn hostnames_fold_case_and_know_wildcards() {
        assert_eq!(Hostname::parse("Example.COM"), Ok(Hostname::Exact("example.com".into())));
        assert_eq!(Hostname::parse("*.Example.com"), Ok(Hostname::Wildcard(".example.com".into())));
        assert_eq!(Hostname::parse("[::1]"), Ok(Hostname::Exact("[::1]".into())));
        for bad in ["", "*", "a..b", "*.", "a:80", "*.[::1]", "a b"] {
            assert!(Hostname::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sqs_defaults_follow_the_batch() {
        let parsed = source(|wire| {
            wire.sqs = Some(wire::SqsEventSource {
                queue_name: "q".into(),
                path: "/q".into(),
                messages_per_poll: Some(5),
                ..Default::default()
            });
        })
        .unwrap();
        let EventSourceKind::Sqs(sqs) = parsed.kind else { panic!("not sqs") };
        assert_eq!(
            (sqs.max_concurrency, sqs.concurrency_per_poller, sqs.visibility_timeout_seconds),
            (10, 5, 300)
        );
    }
}
