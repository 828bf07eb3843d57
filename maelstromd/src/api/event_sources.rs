//! Decisions on event sources: the current configuration and a request in, steps of a commit and the
//! answer out.

use maelstrom_core::{
    event_source::EventSource,
    ports::store::{Configuration, Op},
    rpc::RpcError,
    time::WallTime,
    wire,
};

use super::{
    errors::not_current,
    select::{Page, Selection},
};

type Decision<T> = Result<(Vec<Op>, T), RpcError>;

/// 1001 with all problems, 1003 for an unknown component, 1004.
pub(super) fn put(
    configuration: &Configuration,
    given: &wire::EventSource,
    now: WallTime,
) -> Decision<wire::PutOutput> {
    EventSource::parse(given)?;
    let mut source = given.clone().stored();
    source.modified_at = now.as_millis();
    let component = configuration.component_version(&source.component_name);
    if component == 0 {
        return Err(RpcError::not_found(format_args!(
            "componentName: component '{}'",
            source.component_name
        )));
    }
    let (name, based_on) = (source.name.clone(), given.version);
    let current = configuration.event_source_version(&name);
    if based_on != current {
        return Err(not_current("event source", &name, based_on, current));
    }
    let op = Op::PutEventSource { event_source: Box::new(source), based_on };
    Ok((vec![op], wire::PutOutput { name, version: based_on + 1 }))
}

/// 1003.
pub(super) fn get(configuration: &Configuration, name: &str) -> Result<wire::EventSource, RpcError> {
    let lower = name.to_ascii_lowercase();
    let mut sources = configuration.event_sources.iter().map(|source| &source.event_source);
    let found = sources.find(|source| source.name == lower);
    found
        .cloned()
        .ok_or_else(|| RpcError::not_found(format_args!("name: event source '{}'", name.escape_debug())))
}

pub(super) fn remove(configuration: &Configuration, name: &str) -> Decision<wire::RemoveOutput> {
    let name = name.to_ascii_lowercase();
    let based_on = configuration.event_source_version(&name);
    let found = based_on != 0;
    let ops = if found { vec![Op::RemoveEventSource { name: name.clone(), based_on }] } else { Vec::new() };
    Ok((ops, wire::RemoveOutput { name, found }))
}

/// Names only those whose state changes. 1001.
pub(super) fn toggle(
    configuration: &Configuration,
    input: &wire::ToggleEventSourcesInput,
) -> Decision<wire::ToggleEventSourcesOutput> {
    let enabled = input.enabled;
    let selection = Selection::new(input.name_prefix.clone())
        .component(input.component_name.clone())
        .project(input.project_name.clone())
        .kind(input.event_source_type.clone())?;
    let name = input.name.as_ref().map(|name| name.to_ascii_lowercase());
    let named = |source: &wire::EventSource| name.as_ref().is_none_or(|name| source.name == *name);
    let event_source_names: Vec<String> = configuration
        .event_sources
        .iter()
        .filter(|source| source.enabled != enabled && named(&source.event_source))
        .filter(|source| selection.takes_event_source(&source.event_source))
        .map(|source| source.event_source.name.clone())
        .collect();
    let ops =
        event_source_names.iter().map(|name| Op::EnableEventSource { name: name.clone(), enabled }).collect();
    Ok((ops, wire::ToggleEventSourcesOutput { enabled, event_source_names }))
}

/// 1001.
pub(super) fn list(
    configuration: &Configuration,
    input: wire::ListEventSourcesInput,
) -> Result<wire::ListEventSourcesOutput, RpcError> {
    let page = Page::new(input.limit, input.next_token)?;
    let selection = Selection::new(input.name_prefix)
        .component(input.component_name)
        .project(input.project_name)
        .kind(input.event_source_type)?;
    let chosen = configuration
        .event_sources
        .iter()
        .filter(|source| selection.takes_event_source(&source.event_source));
    let (event_sources, next_token) = page.cut(chosen, |source| source.event_source.name.as_str());
    Ok(wire::ListEventSourcesOutput { event_sources, next_token })
}
