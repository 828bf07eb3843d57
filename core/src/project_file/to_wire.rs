//! The file's structure as the wire form, field by field: nothing is checked or defaulted here.

use super::{interpolate::Variables, shape::*};
use crate::{names::ProjectName, wire};

/// The component `name`, with the variables it runs with.
pub(super) fn component(
    name: &str,
    project: Option<&ProjectName>,
    shape: ComponentShape,
    environment: Variables,
) -> wire::Component {
    wire::Component {
        name: name.to_owned(),
        project_name: project.map(ToString::to_string),
        environment: pairs(environment),
        min_instances: shape.mininstances,
        max_instances: shape.maxinstances,
        max_instances_per_node: shape.maxinstancespernode,
        max_concurrency: shape.maxconcurrency.unwrap_or_default(),
        soft_concurrency_limit: shape.softconcurrencylimit,
        scale_up_concurrency_pct: shape.scaleupconcurrencypct,
        scale_down_concurrency_pct: shape.scaledownconcurrencypct,
        max_duration_seconds: shape.maxdurationseconds,
        start_parallelism: shape.startparallelism,
        restart_order: shape.restartorder,
        standby: shape.standby,
        max_queue: shape.maxqueue,
        version: 0,
        modified_at: None,
        docker: Some(wire::DockerComponent {
            image: shape.image.unwrap_or_default(),
            command: list(shape.command),
            entrypoint: list(shape.entrypoint),
            http_port: shape.httpport.unwrap_or_default(),
            http_health_check_path: shape.httphealthcheckpath.unwrap_or_default(),
            http_start_health_check_seconds: shape.httpstarthealthcheckseconds,
            http_health_check_seconds: shape.httphealthcheckseconds,
            http_health_check_max_failures: shape.httphealthcheckmaxfailures,
            health_check_failed_command: list(shape.healthcheckfailedcommand),
            idle_timeout_seconds: shape.idletimeoutseconds,
            ports: list(shape.ports),
            volumes: volumes(shape.volumes),
            network_name: shape.networkname,
            log_driver: shape.logdriver,
            log_driver_options: Some(pairs(shape.logdriveroptions)).filter(|options| !options.is_empty()),
            cpu_shares: shape.cpushares,
            reserve_memory_mib: shape.reservememory,
            limit_memory_mib: shape.limitmemory,
            pull_command: list(shape.pullcommand),
            pull_username: shape.pullusername,
            pull_password: shape.pullpassword,
            pull_image_on_put: shape.pullimageonput,
            pull_image_on_start: shape.pullimageonstart,
            dns: list(shape.dns),
            dns_options: list(shape.dnsoptions),
            dns_search: list(shape.dnssearch),
            ulimits: list(shape.ulimits.iter().map(|limit| ulimit(limit)).collect()),
            init: shape.containerinit,
            hostname: shape.hostname,
            domainname: shape.domainname,
            user: shape.user,
            capadd: list(shape.capadd),
            capdrop: list(shape.capdrop),
            http_protocol: shape.httpprotocol,
        }),
    }
}

/// The event source `name` of `component`.
pub(super) fn event_source(
    name: &str,
    component: &str,
    project: Option<&ProjectName>,
    shape: EventSourceShape,
) -> wire::EventSource {
    wire::EventSource {
        name: name.to_owned(),
        component_name: component.to_owned(),
        project_name: project.map(ToString::to_string),
        http: shape.http.map(|http| wire::HttpEventSource {
            hostname: http.hostname,
            path_prefix: http.pathprefix,
            strip_prefix: http.stripprefix,
        }),
        cron: shape.cron.map(cron),
        sqs: shape.sqs.map(sqs),
        awsstepfunc: shape.awsstepfunc.map(|tasks| wire::AwsStepFunctionEventSource {
            activity_name: tasks.activityname.unwrap_or_default(),
            path: tasks.path.unwrap_or_default(),
            max_concurrency: tasks.maxconcurrency,
            concurrency_per_poller: tasks.concurrencyperpoller,
        }),
        ..Default::default()
    }
}

fn list(items: Vec<String>) -> Option<Vec<String>> {
    (!items.is_empty()).then_some(items)
}

/// Files write `name=soft:hard` as docker's command line has it; the API's form is `name:soft:hard`.
fn ulimit(text: &str) -> String {
    text.replacen('=', ":", 1)
}

fn pairs(variables: Variables) -> Vec<wire::NameValue> {
    variables.into_iter().map(|(name, value)| wire::NameValue { name, value }).collect()
}

fn volumes(shapes: Vec<VolumeShape>) -> Option<Vec<wire::VolumeMount>> {
    let volumes: Vec<_> = shapes
        .into_iter()
        .map(|shape| wire::VolumeMount {
            kind: shape.r#type,
            source: shape.source.unwrap_or_default(),
            target: shape.target.unwrap_or_default(),
            read_only: shape.readonly,
        })
        .collect();
    (!volumes.is_empty()).then_some(volumes)
}

fn cron(shape: CronShape) -> wire::CronEventSource {
    let header = |shape: NameValueShape| wire::NameValue {
        name: shape.name.unwrap_or_default(),
        value: shape.value.unwrap_or_default(),
    };
    let headers: Vec<_> = shape.http.headers.into_iter().map(header).collect();
    wire::CronEventSource {
        schedule: shape.schedule.unwrap_or_default(),
        http: wire::CronHttpRequest {
            method: shape.http.method.unwrap_or_default(),
            path: shape.http.path.unwrap_or_default(),
            data: shape.http.data,
            headers: (!headers.is_empty()).then_some(headers),
        },
    }
}

fn sqs(shape: SqsShape) -> wire::SqsEventSource {
    wire::SqsEventSource {
        queue_name: shape.queuename.unwrap_or_default(),
        name_as_prefix: shape.nameasprefix,
        path: shape.path.unwrap_or_default(),
        max_concurrency: shape.maxconcurrency,
        messages_per_poll: shape.messagesperpoll,
        concurrency_per_poller: shape.concurrencyperpoller,
        visibility_timeout: shape.visibilitytimeout,
        batch: shape.batch,
    }
}
