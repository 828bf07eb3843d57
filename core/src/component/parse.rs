//! Wire form → [`Component`]: defaults applied, limits checked, all problems reported together.

use std::{num::NonZeroU32, time::Duration};

use super::*;
use crate::{problem::Problems, wire};

/// Longer than any job that a request should be: a day.
const MAX_SECONDS: i64 = 86_400;

impl Component {
    /// Checks `wire` and applies defaults. Fields of problems are named as on the wire.
    pub fn parse(wire: &wire::Component) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let name = ComponentName::parse(&wire.name).map_err(|e| problems.add("name", e.to_string())).ok();
        let project =
            wire.project_name.as_deref().filter(|p| !p.is_empty()).and_then(|p| {
                ProjectName::parse(p).map_err(|e| problems.add("projectName", e.to_string())).ok()
            });
        let environment = environment(&wire.environment, "environment", &mut problems);
        let docker = match &wire.docker {
            Some(docker) => Some(docker::parse(docker, &mut problems)),
            None => {
                problems.add("docker", "is missing: it says which image to run");
                None
            }
        };
        let scaling = scaling(wire, &mut problems);
        let max_duration =
            seconds(wire.max_duration_seconds, DEFAULT_MAX_DURATION, 1, "maxDurationSeconds", &mut problems);
        let restart_order = choice(
            wire.restart_order.as_deref(),
            &[(RestartOrder::StartStop, "startstop"), (RestartOrder::StopStart, "stopstart")],
            RestartOrder::StartStop,
            "RestartOrder",
            &mut problems,
        );
        let start_parallelism = choice(
            wire.start_parallelism.as_deref(),
            &[
                (StartParallelism::Parallel, "parallel"),
                (StartParallelism::Series, "series"),
                (StartParallelism::SeriesFirst, "seriesfirst"),
            ],
            StartParallelism::Parallel,
            "startParallelism",
            &mut problems,
        );
        if wire.version < 0 {
            problems.add("version", format!("is {}; 0 stands for a new component", wire.version));
        }
        match (name, docker) {
            (Some(name), Some(docker)) if problems.is_empty() => Ok(Self {
                name,
                project,
                version: wire.version,
                modified_at: wire.modified_at.unwrap_or(0),
                environment,
                scaling,
                max_duration,
                restart_order,
                start_parallelism,
                docker,
            }),
            _ => Err(problems),
        }
    }
}

fn scaling(wire: &wire::Component, problems: &mut Problems) -> Scaling {
    let min = count(wire.min_instances, 0, "minInstances", problems);
    let max = NonZeroU32::new(count(wire.max_instances, 0, "maxInstances", problems));
    if let Some(max) = max
        && min > max.get()
    {
        problems.add("minInstances", format!("is {min}, more than maxInstances, {max}"));
    }
    let max_concurrency = match wire.max_concurrency {
        0 => DEFAULT_MAX_CONCURRENCY,
        given => count(Some(given), DEFAULT_MAX_CONCURRENCY, "maxConcurrency", problems),
    };
    let scale_up = share(wire.scale_up_concurrency_pct, DEFAULT_SCALE_UP, "scaleUpConcurrencyPct", problems);
    let scale_down =
        share(wire.scale_down_concurrency_pct, DEFAULT_SCALE_DOWN, "scaleDownConcurrencyPct", problems);
    if scale_up <= 0.0 {
        problems.add("scaleUpConcurrencyPct", "must be more than 0");
    }
    if scale_down >= scale_up {
        problems.add(
            "scaleDownConcurrencyPct",
            format!("is {scale_down}; it must be less than scaleUpConcurrencyPct, {scale_up}"),
        );
    }
    let idle = wire.docker.as_ref().and_then(|d| d.idle_timeout_seconds);
    Scaling {
        min_instances: min,
        max_instances: max,
        max_instances_per_node: NonZeroU32::new(count(
            wire.max_instances_per_node,
            0,
            "maxInstancesPerNode",
            problems,
        )),
        max_concurrency: NonZeroU32::new(max_concurrency).unwrap_or(NonZeroU32::MIN),
        concurrency_limit: if wire.soft_concurrency_limit == Some(true) {
            ConcurrencyLimit::Soft
        } else {
            ConcurrencyLimit::Hard
        },
        scale_up,
        scale_down,
        standby: count(wire.standby, 0, "standby", problems),
        max_queue: count(wire.max_queue, DEFAULT_MAX_QUEUE, "maxQueue", problems),
        idle_timeout: seconds(idle, DEFAULT_IDLE_TIMEOUT, 1, "docker.idleTimeoutSeconds", problems),
    }
}

/// Checks the names of environment variables; a later one of the same name wins.
pub(super) fn environment(
    given: &[wire::NameValue],
    field: &str,
    problems: &mut Problems,
) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::with_capacity(given.len());
    for pair in given {
        if pair.name.is_empty() || pair.name.contains(['=', '\0']) || pair.value.contains('\0') {
            problems.add(field, format!("'{}' is not the name of a variable", pair.name.escape_debug()));
            continue;
        }
        if pair.value == wire::VEILED {
            problems.add(field, format!("'{}' {}", pair.name.escape_debug(), wire::VEILED_PUT));
        }
        variables.retain(|(name, _)| *name != pair.name);
        variables.push((pair.name.clone(), pair.value.clone()));
    }
    variables
}

pub(super) fn count(given: Option<i64>, default: u32, field: &str, problems: &mut Problems) -> u32 {
    match given {
        None => default,
        Some(given) => u32::try_from(given).unwrap_or_else(|_| {
            problems.add(field, format!("is {given}; a number from 0 to {} is allowed", u32::MAX));
            default
        }),
    }
}

pub(super) fn seconds(
    given: Option<i64>,
    default: Duration,
    least: i64,
    field: &str,
    problems: &mut Problems,
) -> Duration {
    match given {
        // The original's clients send 0 for "not set".
        None | Some(0) => default,
        Some(given) if (least..=MAX_SECONDS).contains(&given) => Duration::from_secs(given.unsigned_abs()),
        Some(given) => {
            problems.add(field, format!("is {given}; {least} to {MAX_SECONDS} seconds are allowed"));
            default
        }
    }
}

fn share(given: Option<f64>, default: f64, field: &str, problems: &mut Problems) -> f64 {
    match given {
        None => default,
        Some(given) if (0.0..=1.0).contains(&given) => given,
        Some(given) => {
            problems.add(field, format!("is {given}; a number from 0 to 1 is allowed"));
            default
        }
    }
}

pub(super) fn choice<T: Copy>(
    given: Option<&str>,
    choices: &[(T, &str)],
    default: T,
    field: &str,
    problems: &mut Problems,
) -> T {
    let Some(given) = given.filter(|text| !text.is_empty()) else { return default };
    let found = choices.iter().find(|(_, name)| given.eq_ignore_ascii_case(name));
    found.map_or_else(
        || {
            let names: Vec<&str> = choices.iter().map(|(_, name)| *name).collect();
            problems.add(field, format!("is '{given}'; one of {} is allowed", names.join(", ")));
            default
        },
        |(value, _)| *value,
    )
}

#[path = "parse_docker.rs"]
mod docker;

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> wire::Component {
        wire::Component {
            name: "Web".into(),
            docker: Some(wire::DockerComponent { image: "web:1".into(), ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let web = Component::parse(&minimal()).unwrap();
        assert_eq!(web.name.as_str(), "web");
        assert_eq!(web.scaling.max_concurrency.get(), 1);
        assert_eq!(web.scaling.max_instances, None);
        assert_eq!(web.scaling.max_queue, 10_000);
        assert_eq!((web.scaling.scale_up, web.scaling.scale_down), (0.75, 0.25));
        assert_eq!(web.max_duration, Duration::from_secs(300));
        assert_eq!(web.scaling.idle_timeout, Duration::from_secs(300));
        assert_eq!(web.docker.http_port, 8080);
        assert_eq!(web.docker.health.path, "/");
        assert_eq!(web.docker.health.start, Some(Duration::from_secs(60)));
        assert_eq!(web.docker.health.interval, Some(Duration::from_secs(10)));
        assert_eq!(web.docker.health.max_failures, 1);
        assert_eq!(web.docker.reserve_memory_mib, 128);
    }

    #[test]
    fn all_problems_are_reported_together() {
        let wire = wire::Component {
            name: "no spaces".into(),
            min_instances: Some(5),
            max_instances: Some(2),
            max_concurrency: -1,
            restart_order: Some("sideways".into()),
            docker: Some(wire::DockerComponent {
                http_port: 70_000,
                ulimits: Some(vec!["nofile".into()]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let problems = Component::parse(&wire).unwrap_err();
        let fields: Vec<&str> = problems.0.iter().map(|p| p.field.as_str()).collect();
        for field in [
            "name",
            "minInstances",
            "maxConcurrency",
            "RestartOrder",
            "docker.image",
            "docker.httpPort",
            "docker.ulimits",
        ] {
            assert!(fields.contains(&field), "{field} missing in {fields:?}");
        }
    }

    #[test]
    fn a_negative_start_check_means_none() {
        let mut wire = minimal();
        wire.docker.as_mut().unwrap().http_start_health_check_seconds = Some(-1);
        assert_eq!(Component::parse(&wire).unwrap().docker.health.start, None);
    }

    #[test]
    fn ports_are_read_like_dockers() {
        let mut wire = minimal();
        wire.docker.as_mut().unwrap().ports =
            Some(vec!["80".into(), "8080:80/udp".into(), "127.0.0.1:9:9".into(), "[::1]:9:9".into()]);
        let ports = Component::parse(&wire).unwrap().docker.ports;
        assert_eq!(ports[0].host_port, None);
        assert_eq!((ports[1].host_port, ports[1].protocol.as_str()), (Some(8080), "udp"));
        assert_eq!(ports[2].host_address.as_deref(), Some("127.0.0.1"));
        assert_eq!(ports[3].host_address.as_deref(), Some("::1"));
        wire.docker.as_mut().unwrap().ports = Some(vec!["http".into()]);
        assert!(Component::parse(&wire).is_err());
    }
}
