//! The form in which entities are stored and given out: names in lower case, required fields filled in.
//! What two clients mean alike is stored alike, so that a project put again changes nothing.

use super::{Component, EventSource};
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
}

fn owner(project: Option<String>) -> Option<String> {
    project.filter(|name| !name.is_empty()).map(|name| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DockerComponent;

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
