//! Decisions on components: the current configuration and a request in, steps of a commit and the
//! answer out.

use maelstrom_core::{
    component::Component,
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

/// 1001 with all problems, 1004.
pub(super) fn put(
    configuration: &Configuration,
    given: &wire::Component,
    now: WallTime,
) -> Decision<wire::PutOutput> {
    Component::parse(given)?;
    let mut component = given.clone().stored();
    component.modified_at = Some(now.as_millis());
    let (name, based_on) = (component.name.clone(), given.version);
    let current = configuration.component_version(&name);
    if based_on != current {
        return Err(not_current("component", &name, based_on, current));
    }
    let op = Op::PutComponent { component: Box::new(component), based_on };
    Ok((vec![op], wire::PutOutput { name, version: based_on + 1 }))
}

/// 1003.
pub(super) fn get(configuration: &Configuration, name: &str) -> Result<wire::Component, RpcError> {
    let lower = name.to_ascii_lowercase();
    let found = configuration.components.iter().find(|component| component.name == lower);
    found
        .cloned()
        .ok_or_else(|| RpcError::not_found(format_args!("name: component '{}'", name.escape_debug())))
}

/// Removes its event sources, too.
pub(super) fn remove(configuration: &Configuration, name: &str) -> Decision<wire::RemoveOutput> {
    let name = name.to_ascii_lowercase();
    let based_on = configuration.component_version(&name);
    if based_on == 0 {
        return Ok((Vec::new(), wire::RemoveOutput { name, found: false }));
    }
    let sources = configuration.event_sources.iter().map(|source| &source.event_source);
    let mut ops: Vec<Op> = sources
        .filter(|source| source.component_name == name)
        .map(|source| Op::RemoveEventSource { name: source.name.clone(), based_on: source.version })
        .collect();
    ops.push(Op::RemoveComponent { name: name.clone(), based_on });
    Ok((ops, wire::RemoveOutput { name, found: true }))
}

/// 1001.
pub(super) fn list(
    configuration: &Configuration,
    input: wire::ListComponentsInput,
) -> Result<wire::ListComponentsOutput, RpcError> {
    let page = Page::new(input.limit, input.next_token)?;
    let selection = Selection::new(input.name_prefix).project(input.project_name);
    let chosen = configuration.components.iter().filter(|component| selection.takes_component(component));
    let (components, next_token) = page.cut(chosen, |component| component.name.as_str());
    Ok(wire::ListComponentsOutput { components, next_token })
}
