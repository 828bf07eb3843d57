//! A project from the API as a project file, such that putting the file changes nothing.
//!
//! What the file has several spellings for gets one: variables are written per component, a `crontab`
//! block as its cron event sources. Fields that are unset stay away.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{interpolate::escape, shape::*};
use crate::{names::ProjectName, wire};

/// Fields of the wire form that messages may mention.
pub(super) const WIRE_NAMES: &[&str] = &[
    "minInstances",
    "maxInstances",
    "maxInstancesPerNode",
    "maxConcurrency",
    "softConcurrencyLimit",
    "scaleUpConcurrencyPct",
    "scaleDownConcurrencyPct",
    "maxDurationSeconds",
    "startParallelism",
    "RestartOrder",
    "maxQueue",
    "httpPort",
    "httpHealthCheckPath",
    "idleTimeoutSeconds",
    "reserveMemoryMiB",
    "limitMemoryMiB",
    "cpuShares",
    "pathPrefix",
    "messagesPerPoll",
    "concurrencyPerPoller",
];

/// `project` as the text of a project file.
pub fn to_yaml(project: &wire::Project) -> String {
    let name = ProjectName::parse(&project.name).ok();
    let short =
        |full: &str| name.as_ref().map_or_else(|| full.to_owned(), |project| unprefixed(project, full));
    let components = project.components.iter().map(|with| {
        let sources = with
            .event_sources
            .iter()
            .map(|source| (short(&source.event_source.name), event_source(&source.event_source)));
        let shape = ComponentShape { eventsources: sources.collect(), ..component(&with.component) };
        (short(&with.component.name), shape)
    });
    let shape = ProjectShape {
        name: Some(project.name.clone()),
        components: components.collect(),
        ..Default::default()
    };
    // Serializing strings, numbers, lists and maps with text keys to a String has no way to fail.
    escape(&serde_saphyr::to_string(&shape).unwrap_or_default())
}

/// Without the project's prefix, if putting it back gives the same name.
fn unprefixed(project: &ProjectName, full: &str) -> String {
    let short = full.strip_prefix(&format!("{project}_")).unwrap_or(full);
    if !short.is_empty() && project.prefixed(short) == full { short.to_owned() } else { full.to_owned() }
}

/// The fields of a component that are set, as the file names and writes them.
pub fn component_fields(wire: &wire::Component) -> Map<String, Value> {
    fields(&component(wire))
}

/// The fields of an event source that are set, as the file names and writes them.
pub fn event_source_fields(wire: &wire::EventSource) -> Map<String, Value> {
    fields(&event_source(wire))
}

fn fields(shape: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(shape) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn component(wire: &wire::Component) -> ComponentShape {
    let docker = wire.docker.clone().unwrap_or_default();
    let list = |items: Option<Vec<String>>| items.unwrap_or_default();
    let set = |number: i64| (number != 0).then_some(number);
    ComponentShape {
        image: Some(docker.image),
        command: list(docker.command),
        entrypoint: list(docker.entrypoint),
        environment: wire.environment.iter().map(|pair| format!("{}={}", pair.name, pair.value)).collect(),
        user: docker.user,
        hostname: docker.hostname,
        domainname: docker.domainname,
        containerinit: docker.init,
        mininstances: wire.min_instances,
        maxinstances: wire.max_instances,
        maxinstancespernode: wire.max_instances_per_node,
        maxconcurrency: set(wire.max_concurrency),
        softconcurrencylimit: wire.soft_concurrency_limit,
        scaledownconcurrencypct: wire.scale_down_concurrency_pct,
        scaleupconcurrencypct: wire.scale_up_concurrency_pct,
        maxdurationseconds: wire.max_duration_seconds,
        idletimeoutseconds: docker.idle_timeout_seconds,
        standby: wire.standby,
        maxqueue: wire.max_queue,
        reservememory: docker.reserve_memory_mib,
        limitmemory: docker.limit_memory_mib,
        cpushares: docker.cpu_shares,
        ulimits: list(docker.ulimits).into_iter().map(|limit| limit.replacen(':', "=", 1)).collect(),
        capadd: list(docker.capadd),
        capdrop: list(docker.capdrop),
        httpport: set(docker.http_port),
        httpprotocol: docker.http_protocol,
        httphealthcheckpath: Some(docker.http_health_check_path).filter(|path| !path.is_empty()),
        httpstarthealthcheckseconds: docker.http_start_health_check_seconds,
        httphealthcheckseconds: docker.http_health_check_seconds,
        httphealthcheckmaxfailures: docker.http_health_check_max_failures,
        healthcheckfailedcommand: list(docker.health_check_failed_command),
        restartorder: wire.restart_order.clone(),
        startparallelism: wire.start_parallelism.clone(),
        pullcommand: list(docker.pull_command),
        pullusername: docker.pull_username,
        pullpassword: docker.pull_password,
        pullimageonput: docker.pull_image_on_put,
        pullimageonstart: docker.pull_image_on_start,
        ports: list(docker.ports),
        volumes: docker.volumes.unwrap_or_default().into_iter().map(volume).collect(),
        networkname: docker.network_name,
        dns: list(docker.dns),
        dnsoptions: list(docker.dns_options),
        dnssearch: list(docker.dns_search),
        logdriver: docker.log_driver,
        logdriveroptions: map(docker.log_driver_options.unwrap_or_default()),
        eventsources: BTreeMap::new(),
        crontab: None,
    }
}

fn map(pairs: Vec<wire::NameValue>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
}

fn volume(wire: wire::VolumeMount) -> VolumeShape {
    VolumeShape {
        r#type: wire.kind,
        source: Some(wire.source).filter(|source| !source.is_empty()),
        target: Some(wire.target),
        readonly: wire.read_only,
    }
}

fn event_source(wire: &wire::EventSource) -> EventSourceShape {
    EventSourceShape {
        http: wire.http.clone().map(|http| HttpShape {
            hostname: http.hostname,
            pathprefix: http.path_prefix,
            stripprefix: http.strip_prefix,
        }),
        cron: wire.cron.clone().map(cron),
        sqs: wire.sqs.clone().map(|sqs| SqsShape {
            queuename: Some(sqs.queue_name),
            nameasprefix: sqs.name_as_prefix,
            path: Some(sqs.path),
            maxconcurrency: sqs.max_concurrency,
            messagesperpoll: sqs.messages_per_poll,
            concurrencyperpoller: sqs.concurrency_per_poller,
            visibilitytimeout: sqs.visibility_timeout,
            batch: sqs.batch,
        }),
        awsstepfunc: wire.awsstepfunc.clone().map(|tasks| StepFunctionsShape {
            activityname: Some(tasks.activity_name),
            path: Some(tasks.path),
            maxconcurrency: tasks.max_concurrency,
            concurrencyperpoller: tasks.concurrency_per_poller,
        }),
    }
}

fn cron(wire: wire::CronEventSource) -> CronShape {
    let header = |pair: wire::NameValue| NameValueShape { name: Some(pair.name), value: Some(pair.value) };
    CronShape {
        schedule: Some(wire.schedule),
        http: CronRequestShape {
            method: Some(wire.http.method),
            path: Some(wire.http.path),
            data: wire.http.data,
            headers: wire.http.headers.unwrap_or_default().into_iter().map(header).collect(),
        },
    }
}
