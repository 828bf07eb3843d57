//! What putting and removing projects changes.

use serde_json::{Value, json};

use super::*;

const NOW: WallTime = WallTime::from_millis(1_000);

fn project(value: Value) -> wire::Project {
    serde_json::from_value(value).unwrap()
}

fn shop() -> Value {
    json!({"name": "Shop", "components": [
        {"component": {"name": "Web", "docker": {"image": "web:1"}}, "eventSources": [
            {"eventSource": {"name": "home", "http": {"pathPrefix": "/"}}},
            {"eventSource": {"name": "tick", "cron": {"schedule": "@hourly",
                "http": {"method": "GET", "path": "/tick"}}}, "enabled": false}]},
        {"component": {"name": "shop_api", "docker": {"image": "api:1"}}}]})
}

/// A store in a few lines: applies the steps of a plan.
fn apply(configuration: &mut Configuration, ops: &[Op]) {
    for op in ops {
        match op.clone() {
            Op::PutComponent { component, based_on } => {
                configuration.components.retain(|stored| stored.name != component.name);
                configuration.components.push(wire::Component { version: based_on + 1, ..*component });
            }
            Op::PutEventSource { event_source, based_on } => {
                let event_source = wire::EventSource { version: based_on + 1, ..*event_source };
                let old =
                    configuration.event_sources.iter().find(|s| s.event_source.name == event_source.name);
                let enabled = old.is_none_or(|old| old.enabled);
                configuration.event_sources.retain(|stored| stored.event_source.name != event_source.name);
                configuration.event_sources.push(wire::EventSourceWithStatus { event_source, enabled });
            }
            Op::EnableEventSource { name, enabled } => {
                let mut sources = configuration.event_sources.iter_mut();
                sources.find(|stored| stored.event_source.name == name).unwrap().enabled = enabled;
            }
            Op::RemoveComponent { name, .. } => configuration.components.retain(|stored| stored.name != name),
            Op::RemoveEventSource { name, .. } => {
                configuration.event_sources.retain(|stored| stored.event_source.name != name);
            }
            other => panic!("not in a plan: {other:?}"),
        }
    }
    configuration.components.sort_by(|a, b| a.name.cmp(&b.name));
    configuration.event_sources.sort_by(|a, b| a.event_source.name.cmp(&b.event_source.name));
}

fn stored() -> Configuration {
    let mut configuration = Configuration::default();
    let plan = put(&configuration, &project(shop()), NOW).unwrap();
    apply(&mut configuration, &plan.ops);
    configuration
}

fn names<T>(list: &[T], name: impl Fn(&T) -> &str) -> Vec<String> {
    list.iter().map(|item| name(item).to_owned()).collect()
}

#[test]
fn names_get_the_prefix_once_and_lists_are_sorted() {
    let plan = put(&Configuration::default(), &project(shop()), NOW).unwrap();
    assert_eq!(plan.output.name, "shop");
    assert_eq!(names(&plan.output.components_added, |c| &c.name), ["shop_api", "shop_web"]);
    assert_eq!(names(&plan.output.event_sources_added, |e| &e.name), ["shop_home", "shop_tick"]);
    let web = &plan.output.components_added[1];
    assert_eq!((web.version, web.modified_at, web.project_name.as_deref()), (1, Some(1_000), Some("shop")));
    assert_eq!(plan.output.event_sources_added[0].component_name, "shop_web");
}

#[test]
fn a_new_event_source_begins_as_the_project_says() {
    let stored = stored();
    assert_eq!(stored.event_sources.iter().map(|s| s.enabled).collect::<Vec<_>>(), [true, false]);
}

/// The defect this prevents: each deploy restarts everything.
#[test]
fn putting_the_same_again_changes_nothing() {
    let stored = stored();
    let again = put(&stored, &project(shop()), WallTime::from_millis(2_000)).unwrap();
    assert_eq!(again.ops, []);
    let round_trip = get(&stored, "SHOP").unwrap();
    assert_eq!(put(&stored, &round_trip, NOW).unwrap().ops, []);
}

#[test]
fn only_what_changed_gets_a_new_version() {
    let mut changed = project(shop());
    changed.components[0].component.docker.as_mut().unwrap().image = "web:2".into();
    changed.components[0].event_sources[0].event_source.http.as_mut().unwrap().path_prefix =
        Some("/x".into());
    let plan = put(&stored(), &changed, WallTime::from_millis(2_000)).unwrap();
    assert_eq!(plan.ops.len(), 2);
    let web = &plan.output.components_updated[0];
    assert_eq!((web.name.as_str(), web.version, web.modified_at), ("shop_web", 2, Some(2_000)));
    assert_eq!(plan.output.event_sources_updated[0].version, 2);
    assert!(plan.output.components_added.is_empty() && plan.output.components_removed.is_empty());
}

#[test]
fn a_deploy_does_not_turn_on_what_somebody_turned_off() {
    let mut stored = stored();
    stored.event_sources[0].enabled = false;
    let mut changed = project(shop());
    changed.components[0].event_sources[0].event_source.http.as_mut().unwrap().path_prefix =
        Some("/x".into());
    let plan = put(&stored, &changed, NOW).unwrap();
    apply(&mut stored, &plan.ops);
    assert!(!stored.event_sources[0].enabled);
}

#[test]
fn what_is_not_in_the_project_any_more_is_removed() {
    let mut stored = stored();
    // Put on its own, without the project, but it would lead nowhere.
    let loose =
        wire::EventSource { name: "loose".into(), component_name: "shop_api".into(), ..Default::default() };
    stored.event_sources.push(wire::EventSourceWithStatus { event_source: loose, enabled: true });
    let mut smaller = project(shop());
    smaller.components.pop();
    smaller.components[0].event_sources.pop();
    let plan = put(&stored, &smaller, NOW).unwrap();
    assert_eq!(plan.output.components_removed, ["shop_api"]);
    assert_eq!(plan.output.event_sources_removed, ["shop_tick", "loose"]);
    let ops = remove(&stored, "shop");
    apply(&mut stored, &ops);
    assert_eq!((stored.components.len(), stored.event_sources.len()), (0, 0));
    assert_eq!(remove(&stored, "shop"), []);
    assert_eq!(get(&stored, "shop"), None);
}

#[test]
fn all_problems_of_a_project_are_reported_together() {
    let bad = json!({"name": "shop", "components": [
        {"component": {"name": "we b", "docker": {"image": ""}}, "eventSources": [
            {"eventSource": {"name": "a", "componentName": "other", "http": {}}},
            {"eventSource": {"name": "c", "cron": {"schedule": "nonsense", "http": {"method": "GET", "path": "/"}}}}]},
        {"component": {"name": "api", "maxConcurrency": -1}},
        {"component": {"name": "API", "docker": {"image": "x"}}}]});
    let problems = put(&Configuration::default(), &project(bad), NOW).unwrap_err();
    let text = problems.to_string();
    for part in [
        "components.we b.name:",
        "components.we b.docker.image",
        "components.we b.eventSources.a.componentName: is 'other'",
        "components.we b.eventSources.a.http:",
        "components.we b.eventSources.c.cron.schedule",
        "components.api.maxConcurrency",
        "components.api.docker: is missing",
        "component 'shop_api' is there twice",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn two_projects_can_not_claim_the_same_name() {
    let mut stored = stored();
    let other =
        json!({"name": "shop_web", "components": [{"component": {"name": "x", "docker": {"image": "i"}}}]});
    let plan = put(&stored, &project(other), NOW).unwrap();
    apply(&mut stored, &plan.ops);
    let clash =
        json!({"name": "shop", "components": [{"component": {"name": "web_x", "docker": {"image": "i"}}}]});
    let problems = put(&stored, &project(clash), NOW).unwrap_err().to_string();
    assert!(problems.contains("belongs to project 'shop_web'"), "{problems}");
}

#[test]
fn projects_are_listed_with_their_counts() {
    let mut stored = stored();
    let alone = wire::Component { name: "alone".into(), ..Default::default() };
    stored.components.push(alone);
    let info = wire::ProjectInfo { project_name: "shop".into(), component_count: 2, event_source_count: 2 };
    assert_eq!(list(&stored, ""), std::slice::from_ref(&info));
    assert_eq!(list(&stored, "SH"), [info]);
    assert_eq!(list(&stored, "x"), []);
}
