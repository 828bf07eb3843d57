//! A project as one unit: what putting, reading or removing it changes. Pure: the current configuration
//! and a project in, steps of one commit and what to tell the client out.
//!
//! * Everything is checked before anything changes, and all problems are reported together.
//! * Names get the project's prefix. What is unchanged gets no step and so keeps its version; versions in
//!   the project put are ignored, since it replaces the whole.
//! * An event source that exists keeps its switch: a deploy must not turn on what somebody turned off.
//!   A new one begins as the project says.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    component::Component,
    event_source::EventSource,
    names::ProjectName,
    ports::store::{Configuration, Op},
    problem::Problems,
    time::WallTime,
    wire,
};

/// Steps of one commit and what they do, in words of the API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub ops: Vec<Op>,
    pub output: wire::PutProjectOutput,
}

/// A project's parts in stored form, by name.
#[derive(Debug, Default)]
struct Wanted {
    components: BTreeMap<String, wire::Component>,
    event_sources: BTreeMap<String, wire::EventSourceWithStatus>,
}

/// What makes the stored project equal to `project`.
pub fn put(configuration: &Configuration, project: &wire::Project, now: WallTime) -> Result<Plan, Problems> {
    let name = ProjectName::parse(&project.name).map_err(|error| {
        let mut problems = Problems::default();
        problems.add("name", error.to_string());
        problems
    })?;
    let wanted = check(configuration, &name, project)?;
    let mut plan = Plan::default();
    plan.output.name = name.to_string();
    plan.put_components(configuration, &wanted, now);
    plan.put_event_sources(configuration, &wanted, now);
    plan.remove(configuration, &name, &wanted);
    Ok(plan)
}

/// What removes the project `name`: its components with all their event sources. An empty list: there is
/// none.
pub fn remove(configuration: &Configuration, name: &str) -> Vec<Op> {
    let Ok(name) = ProjectName::parse(name) else { return Vec::new() };
    let mut plan = Plan::default();
    plan.remove(configuration, &name, &Wanted::default());
    plan.ops
}

/// The stored project `name`; `None`: there is none.
pub fn get(configuration: &Configuration, name: &str) -> Option<wire::Project> {
    let name = name.to_ascii_lowercase();
    let components: Vec<_> = configuration
        .components
        .iter()
        .filter(|component| component.project_name.as_deref() == Some(&name))
        .map(|component| wire::ComponentWithEventSources {
            component: component.clone(),
            event_sources: configuration
                .event_sources
                .iter()
                .filter(|source| source.event_source.component_name == component.name)
                .cloned()
                .collect(),
        })
        .collect();
    (!components.is_empty()).then_some(wire::Project { name, components })
}

/// All projects whose names begin with `prefix`, sorted by name.
pub fn list(configuration: &Configuration, prefix: &str) -> Vec<wire::ProjectInfo> {
    let mut found: BTreeMap<&str, wire::ProjectInfo> = BTreeMap::new();
    let owners: BTreeMap<&str, &str> = configuration
        .components
        .iter()
        .filter_map(|component| Some((component.name.as_str(), component.project_name.as_deref()?)))
        .collect();
    for project in owners.values() {
        found.entry(project).or_default().component_count += 1;
    }
    let sources = configuration.event_sources.iter().map(|source| &source.event_source);
    for project in sources.filter_map(|source| owners.get(source.component_name.as_str())) {
        found.entry(project).or_default().event_source_count += 1;
    }
    found
        .into_iter()
        .filter(|(name, _)| name.starts_with(&prefix.to_ascii_lowercase()))
        .map(|(name, info)| wire::ProjectInfo { project_name: name.to_owned(), ..info })
        .collect()
}

/// Brings the parts into stored form and checks each, as well as how they fit together.
fn check(
    configuration: &Configuration,
    name: &ProjectName,
    project: &wire::Project,
) -> Result<Wanted, Problems> {
    let mut problems = Problems::default();
    let mut wanted = Wanted::default();
    for part in &project.components {
        let mut component = part.component.clone();
        let place = format!("components.{}", component.name);
        component.name = name.prefixed(&component.name);
        component.project_name = Some(name.to_string());
        component.version = 0;
        if let Err(found) = Component::parse(&component) {
            problems.nest(&place, found);
        }
        let component = component.stored();
        let stored = configuration.components.iter().find(|stored| stored.name == component.name);
        claimed(name, stored.and_then(|stored| stored.project_name.as_deref()), &place, &mut problems);
        for source in &part.event_sources {
            let place = format!("{place}.eventSources.{}", source.event_source.name);
            let source = event_source(name, &component.name, source, &place, &mut problems);
            let stored = configuration.event_sources.iter().map(|stored| &stored.event_source);
            let stored = stored.filter(|stored| stored.name == source.event_source.name);
            let owner = stored.filter_map(|stored| stored.project_name.as_deref()).next();
            claimed(name, owner, &place, &mut problems);
            if let Some(twin) = wanted.event_sources.insert(source.event_source.name.clone(), source) {
                problems.add(place, format!("event source '{}' is there twice", twin.event_source.name));
            }
        }
        if let Some(twin) = wanted.components.insert(component.name.clone(), component) {
            problems.add(place, format!("component '{}' is there twice", twin.name));
        }
    }
    problems.into_result(wanted)
}

fn event_source(
    name: &ProjectName,
    component: &str,
    given: &wire::EventSourceWithStatus,
    place: &str,
    problems: &mut Problems,
) -> wire::EventSourceWithStatus {
    let mut source = given.clone();
    let event_source = &mut source.event_source;
    let other = &event_source.component_name;
    if !other.is_empty() && name.prefixed(other) != component {
        problems.add(
            format!("{place}.componentName"),
            format!("is '{}', but it stands under component '{component}'", other.escape_debug()),
        );
    }
    component.clone_into(&mut event_source.component_name);
    event_source.name = name.prefixed(&event_source.name);
    event_source.project_name = Some(name.to_string());
    event_source.version = 0;
    if let Err(mut found) = EventSource::parse(event_source) {
        // A component's bad name is told once, where it stands.
        found.0.retain(|problem| problem.field != "componentName");
        problems.nest(place, found);
    }
    source.event_source = source.event_source.stored();
    source
}

/// `shop` with `x_web` and `shop_x` with `web` make the same name; the first project to have it keeps it.
fn claimed(name: &ProjectName, owner: Option<&str>, place: &str, problems: &mut Problems) {
    if let Some(owner) = owner.filter(|owner| *owner != name.as_str()) {
        problems.add(
            place,
            format!("with the prefix '{name}_' its name belongs to project '{owner}'; choose another"),
        );
    }
}

// === impl Plan ===

impl Plan {
    fn put_components(&mut self, configuration: &Configuration, wanted: &Wanted, now: WallTime) {
        for component in wanted.components.values() {
            let stored = configuration.components.iter().find(|stored| stored.name == component.name);
            let based_on = configuration.component_version(&component.name);
            let mut next = component.clone();
            if let Some(stored) = stored {
                next.version = stored.version;
                next.modified_at = stored.modified_at;
                if next.runs_like(&stored.clone().stored()) {
                    continue;
                }
            }
            next.version = based_on + 1;
            next.modified_at = Some(now.as_millis());
            self.ops.push(Op::PutComponent { component: Box::new(next.clone()), based_on });
            let told = if based_on == 0 {
                &mut self.output.components_added
            } else {
                &mut self.output.components_updated
            };
            told.push(next);
        }
    }

    fn put_event_sources(&mut self, configuration: &Configuration, wanted: &Wanted, now: WallTime) {
        for wire::EventSourceWithStatus { event_source, enabled } in wanted.event_sources.values() {
            let mut stored = configuration.event_sources.iter().map(|stored| &stored.event_source);
            let stored = stored.find(|stored| stored.name == event_source.name);
            let based_on = configuration.event_source_version(&event_source.name);
            let mut next = event_source.clone();
            if let Some(stored) = stored {
                next.version = stored.version;
                next.modified_at = stored.modified_at;
                if next.works_like(&stored.clone().stored()) {
                    continue;
                }
            }
            next.version = based_on + 1;
            next.modified_at = now.as_millis();
            self.ops.push(Op::PutEventSource { event_source: Box::new(next.clone()), based_on });
            if based_on == 0 {
                if !enabled {
                    self.ops.push(Op::EnableEventSource { name: next.name.clone(), enabled: false });
                }
                self.output.event_sources_added.push(next);
            } else {
                self.output.event_sources_updated.push(next);
            }
        }
    }

    /// Removes what the project has and is not wanted, and the event sources of removed components even
    /// when they were put on their own: they would lead nowhere.
    fn remove(&mut self, configuration: &Configuration, name: &ProjectName, wanted: &Wanted) {
        let owned = |project: &Option<String>| project.as_deref() == Some(name.as_str());
        let gone: Vec<&wire::Component> = configuration
            .components
            .iter()
            .filter(|stored| owned(&stored.project_name) && !wanted.components.contains_key(&stored.name))
            .collect();
        let gone_names: BTreeSet<&str> = gone.iter().map(|component| component.name.as_str()).collect();
        for stored in configuration.event_sources.iter().map(|source| &source.event_source) {
            let orphan = gone_names.contains(stored.component_name.as_str());
            if (owned(&stored.project_name) || orphan) && !wanted.event_sources.contains_key(&stored.name) {
                self.ops.push(Op::RemoveEventSource { name: stored.name.clone(), based_on: stored.version });
                self.output.event_sources_removed.push(stored.name.clone());
            }
        }
        for stored in gone {
            self.ops.push(Op::RemoveComponent { name: stored.name.clone(), based_on: stored.version });
            self.output.components_removed.push(stored.name.clone());
        }
    }
}

#[cfg(test)]
mod tests;
