//! What was read from the API, written as a file and put again, is the same.

use proptest::prelude::*;

use super::*;
use crate::{ports::store::Configuration, project, time::WallTime};

#[track_caller]
fn same_after(project: &wire::Project) {
    let yaml = to_yaml(project);
    let again = load("again.yml", &yaml, &variables(&[("A", "not me")]), no_env_file)
        .unwrap_or_else(|report| panic!("{report}\n{yaml}"));
    assert_eq!(&again.project, project, "{yaml}");
    assert!(again.warnings.is_empty(), "{yaml}");
}

#[test]
fn every_field_comes_back() {
    let project = super::forms::full();
    same_after(&project);
    let yaml = to_yaml(&project);
    assert!(yaml.starts_with("name: myproject\n"), "{yaml}");
    assert!(yaml.contains("\n  component_1:\n"), "the prefix is left out:\n{yaml}");
}

#[test]
fn a_prefix_that_would_be_lost_stays() {
    let mut project = good("name: d\ncomponents:\n  web: {image: a}\n");
    project.components[0].component.name = "d_d_web".into();
    same_after(&project);
}

#[test]
fn references_in_values_stay_text() {
    let mut project = good("name: d\ncomponents:\n  web: {image: a}\n");
    let docker = project.components[0].component.docker.as_mut().unwrap();
    docker.command = Some(vec!["echo ${A} $${A} ${} ${".into(), "}".into()]);
    same_after(&project);
}

/// What another client stored in its own order, with empty lists for what isn't set.
#[test]
fn putting_what_was_got_changes_nothing_whoever_put_it() {
    let mut project = super::forms::full();
    let with = &mut project.components[0];
    with.component.environment.reverse();
    let docker = with.component.docker.as_mut().unwrap();
    docker.log_driver_options.as_mut().unwrap().reverse();
    docker.dns = Some(Vec::new());
    docker.user = Some(String::new());
    for source in &mut with.event_sources {
        if let Some(cron) = &mut source.event_source.cron {
            cron.http.headers.get_or_insert_default();
        }
    }
    let now = WallTime::from_millis(1);
    let plan = project::put(&Configuration::default(), &project, now).unwrap();
    let stored = Configuration {
        components: plan.output.components_added,
        event_sources: plan
            .output
            .event_sources_added
            .into_iter()
            .map(|event_source| wire::EventSourceWithStatus { event_source, enabled: true })
            .collect(),
        ..Default::default()
    };
    let got = project::get(&stored, "myproject").unwrap();
    let file = load("f", &to_yaml(&got), &Variables::new(), no_env_file).unwrap();
    assert_eq!(project::put(&stored, &file.project, now).unwrap().ops, []);
}

proptest! {
    #[test]
    fn any_text_comes_back(words in proptest::collection::vec(any::<String>(), 1..4), value in any::<String>()) {
        let mut project = good("name: d\ncomponents:\n  web: {image: a}\n");
        let component = &mut project.components[0].component;
        // A container's command and variables can hold anything but NUL.
        let words: Vec<String> = words.iter().map(|word| word.replace('\0', "")).collect();
        component.docker.as_mut().unwrap().command = Some(words);
        component.environment = vec![wire::NameValue { name: "V".into(), value: value.replace('\0', "") }];
        same_after(&project);
    }

    #[test]
    fn any_awkward_text_comes_back(words in proptest::collection::vec("[ \\n\\t#:'\"{}$A~|>&*!%@`,\\[\\]?-]{0,9}|yes|null|0x1|1e3|~|\u{feff}|\u{85}", 1..5)) {
        let mut project = good("name: d\ncomponents:\n  web: {image: a}\n");
        project.components[0].component.docker.as_mut().unwrap().command = Some(words);
        same_after(&project);
    }
}
