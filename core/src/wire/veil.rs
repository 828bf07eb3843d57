//! What somebody who may only look is not shown: values of the environment, registry passwords, headers that
//! cron rules send. That there is one, and under which name, is shown.

use super::{
    Component, EventSource, GetComponentOutput, GetEventSourceOutput, GetProjectOutput, ListComponentsOutput,
    ListEventSourcesOutput, Project, PutProjectOutput,
};

/// Stands for what is not shown. No put takes it: it would replace what it stands for.
pub const VEILED: &str = "(hidden: this token may only look)";

/// What is wrong with a value that was put and stands for one that was not shown.
pub(crate) const VEILED_PUT: &str =
    "stands for a value that a token which may only look was not shown; write the value itself";

// === impl Component ===

impl Component {
    /// Hides its secrets.
    pub fn veil(&mut self) {
        for variable in &mut self.environment {
            hide(&mut variable.value);
        }
        if let Some(docker) = &mut self.docker {
            docker.pull_password.as_mut().map(hide).unwrap_or_default();
            for option in docker.log_driver_options.iter_mut().flatten() {
                hide(&mut option.value);
            }
        }
    }
}

// === impl EventSource ===

impl EventSource {
    /// Hides its secrets.
    pub fn veil(&mut self) {
        let headers = self.cron.as_mut().and_then(|cron| cron.http.headers.as_mut());
        for header in headers.into_iter().flatten() {
            hide(&mut header.value);
        }
    }
}

// === impl Project ===

impl Project {
    /// Hides its secrets.
    pub fn veil(&mut self) {
        for with in &mut self.components {
            with.component.veil();
            with.event_sources.iter_mut().for_each(|source| source.event_source.veil());
        }
    }
}

fn hide(value: &mut String) {
    if !value.is_empty() {
        VEILED.clone_into(value);
    }
}

pub(super) fn project(output: &mut GetProjectOutput) {
    output.project.veil();
}

pub(super) fn changes(output: &mut PutProjectOutput) {
    output.components_added.iter_mut().chain(&mut output.components_updated).for_each(Component::veil);
    let sources = output.event_sources_added.iter_mut().chain(&mut output.event_sources_updated);
    sources.for_each(EventSource::veil);
}

pub(super) fn component(output: &mut GetComponentOutput) {
    output.component.veil();
}

pub(super) fn components(output: &mut ListComponentsOutput) {
    output.components.iter_mut().for_each(Component::veil);
}

pub(super) fn event_source(output: &mut GetEventSourceOutput) {
    output.event_source.veil();
}

pub(super) fn event_sources(output: &mut ListEventSourcesOutput) {
    output.event_sources.iter_mut().for_each(|source| source.event_source.veil());
}

pub(super) fn described(output: &mut super::DescribeEventSourceOutput) {
    output.event_source.veil();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{component, event_source, wire::EventSourceWithStatus};

    fn secretive() -> Component {
        serde_json::from_value(json!({
            "name": "web", "environment": [{"name": "A", "value": "hunter2"}, {"name": "EMPTY", "value": ""}],
            "docker": {"image": "i", "pullPassword": "hunter2", "logDriver": "x",
                "logDriverOptions": [{"name": "token", "value": "hunter2"}]},
        }))
        .unwrap()
    }

    fn rule() -> EventSource {
        serde_json::from_value(json!({
            "name": "tick", "componentName": "web", "version": 0, "modifiedAt": 0,
            "cron": {"schedule": "@every 5s", "http": {"method": "GET", "path": "/",
                "headers": [{"name": "Authorization", "value": "hunter2"}]}},
        }))
        .unwrap()
    }

    fn with_status() -> EventSourceWithStatus {
        EventSourceWithStatus { event_source: rule(), enabled: true }
    }

    #[test]
    fn no_answer_for_who_may_only_look_holds_a_secret() {
        let mut answers = Vec::new();
        let with = super::super::ComponentWithEventSources {
            component: secretive(),
            event_sources: vec![with_status()],
        };
        let mut one = GetProjectOutput { project: Project { name: "p".into(), components: vec![with] } };
        project(&mut one);
        answers.push(json!(one));
        let mut one = PutProjectOutput {
            components_added: vec![secretive()],
            components_updated: vec![secretive()],
            event_sources_added: vec![rule()],
            event_sources_updated: vec![rule()],
            ..PutProjectOutput::default()
        };
        changes(&mut one);
        answers.push(json!(one));
        let mut one = GetComponentOutput { component: secretive() };
        component(&mut one);
        answers.push(json!(one));
        let mut one = ListComponentsOutput { components: vec![secretive()], next_token: None };
        components(&mut one);
        answers.push(json!(one));
        let mut one = GetEventSourceOutput { event_source: rule() };
        event_source(&mut one);
        answers.push(json!(one));
        let mut one = ListEventSourcesOutput { event_sources: vec![with_status()], next_token: None };
        event_sources(&mut one);
        answers.push(json!(one));
        for answer in answers {
            let text = answer.to_string();
            assert!(!text.contains("hunter2") && text.contains(VEILED), "{text}");
        }
    }

    #[test]
    fn what_stands_for_a_secret_never_takes_its_place() {
        let mut component = secretive();
        component.veil();
        let problems = component::Component::parse(&component).unwrap_err().to_string();
        for field in ["environment", "pullPassword", "logDriverOptions"] {
            assert!(problems.contains(field), "{field}: {problems}");
        }
        assert!(component::Component::parse(&secretive()).is_ok());
        let mut source = rule();
        source.veil();
        let problems = event_source::EventSource::parse(&source).unwrap_err().to_string();
        assert!(problems.contains("http.headers"), "{problems}");
    }
}
