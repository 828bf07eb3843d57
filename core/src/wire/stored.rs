//! The form in which entities are stored and given out: names in lower case, required fields filled in.
//! What two clients mean alike is stored alike, so that a project put again changes nothing.

use super::{Component, EventSource, NameValue};
use crate::component::{DEFAULT_HEALTH_CHECK_PATH, DEFAULT_HTTP_PORT, DEFAULT_MAX_CONCURRENCY};

// === impl Component ===

impl Component {
    /// The stored form of a component that was checked with `component::Component::parse`.
    #[must_use]
    pub fn stored(mut self) -> Self {
        self.name.make_ascii_lowercase();
        self.project_name = owner(self.project_name);
        if self.max_concurrency == 0 {
            self.max_concurrency = i64::from(DEFAULT_MAX_CONCURRENCY);
        }
        if let Some(docker) = &mut self.docker {
            if docker.http_port == 0 {
                docker.http_port = i64::from(DEFAULT_HTTP_PORT);
            }
            if docker.http_health_check_path.is_empty() {
                docker.http_health_check_path = DEFAULT_HEALTH_CHECK_PATH.to_owned();
            }
        }
        self
    }

    /// Whether both run the same: order of variables and options, and the empty lists that some clients
    /// send for what isn't set, make no difference.
    pub fn runs_like(&self, other: &Self) -> bool {
        self.clone().canonical() == other.clone().canonical()
    }

    fn canonical(mut self) -> Self {
        by_name(&mut self.environment);
        if let Some(docker) = &mut self.docker {
            if let Some(options) = &mut docker.log_driver_options {
                by_name(options);
            }
            unset_if_empty(&mut docker.log_driver_options);
            unset_if_empty(&mut docker.volumes);
            for list in [
                &mut docker.command,
                &mut docker.entrypoint,
                &mut docker.health_check_failed_command,
                &mut docker.ports,
                &mut docker.pull_command,
                &mut docker.dns,
                &mut docker.dns_options,
                &mut docker.dns_search,
                &mut docker.ulimits,
                &mut docker.capadd,
                &mut docker.capdrop,
            ] {
                unset_if_empty(list);
            }
        }
        self
    }
}

/// Sorted; of several of one name the last counts, and is left.
fn by_name(pairs: &mut Vec<NameValue>) {
    pairs.reverse();
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    pairs.dedup_by(|a, b| a.name == b.name);
}

fn unset_if_empty<T>(list: &mut Option<Vec<T>>) {
    if list.as_ref().is_some_and(Vec::is_empty) {
        *list = None;
    }
}

// === impl EventSource ===

impl EventSource {
    /// The stored form of an event source that was checked with `event_source::EventSource::parse`.
    #[must_use]
    pub fn stored(mut self) -> Self {
        self.name.make_ascii_lowercase();
        self.component_name.make_ascii_lowercase();
        self.project_name = owner(self.project_name);
        self
    }

    /// Whether both do the same: an empty list of headers is none.
    pub fn works_like(&self, other: &Self) -> bool {
        self.clone().canonical() == other.clone().canonical()
    }

    fn canonical(mut self) -> Self {
        if let Some(cron) = &mut self.cron {
            unset_if_empty(&mut cron.http.headers);
        }
        self
    }
}

fn owner(project: Option<String>) -> Option<String> {
    project.filter(|name| !name.is_empty()).map(|name| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DockerComponent;

    #[test]
    fn order_of_variables_and_empty_lists_make_no_difference() {
        let pair = |name: &str, value: &str| NameValue { name: name.into(), value: value.into() };
        let with = |environment: Vec<NameValue>, command: Option<Vec<String>>| Component {
            environment,
            docker: Some(DockerComponent { command, ..Default::default() }),
            ..Default::default()
        };
        let one = with(vec![pair("B", "1"), pair("A", "0"), pair("A", "2")], Some(Vec::new()));
        assert!(one.runs_like(&with(vec![pair("A", "2"), pair("B", "1")], None)));
        assert!(!one.runs_like(&with(vec![pair("A", "0"), pair("B", "1")], None)));
        assert!(!one.runs_like(&with(vec![pair("A", "2"), pair("B", "1")], Some(vec!["x".into()]))));
    }

    #[test]
    fn storing_twice_is_storing_once() {
        let given = Component {
            name: "Web".into(),
            project_name: Some(String::new()),
            docker: Some(DockerComponent { image: "i".into(), ..Default::default() }),
            ..Default::default()
        };
        let stored = given.stored();
        assert_eq!((stored.name.as_str(), stored.project_name.as_deref()), ("web", None));
        assert_eq!(stored.max_concurrency, 1);
        let docker = stored.docker.as_ref().unwrap();
        assert_eq!((docker.http_port, docker.http_health_check_path.as_str()), (8080, "/"));
        assert_eq!(stored.clone().stored(), stored);
    }
}
