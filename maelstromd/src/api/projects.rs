//! Decisions on projects, from `core::project` into the API's words.

use maelstrom_core::{
    ports::store::{Configuration, Op},
    project,
    rpc::RpcError,
    time::WallTime,
    wire,
};

type Decision<T> = Result<(Vec<Op>, T), RpcError>;

/// 1001 with all problems.
pub(super) fn put(
    configuration: &Configuration,
    given: &wire::Project,
    now: WallTime,
) -> Decision<wire::PutProjectOutput> {
    let plan = project::put(configuration, given, now)?;
    Ok((plan.ops, plan.output))
}

/// 1003.
pub(super) fn get(configuration: &Configuration, name: &str) -> Result<wire::GetProjectOutput, RpcError> {
    let project = project::get(configuration, name)
        .ok_or_else(|| RpcError::not_found(format_args!("name: project '{}'", name.escape_debug())))?;
    Ok(wire::GetProjectOutput { project })
}

pub(super) fn remove(configuration: &Configuration, name: &str) -> Decision<wire::RemoveOutput> {
    let ops = project::remove(configuration, name);
    let found = !ops.is_empty();
    Ok((ops, wire::RemoveOutput { name: name.to_ascii_lowercase(), found }))
}

pub(super) fn list(
    configuration: &Configuration,
    input: wire::ListProjectsInput,
) -> Result<wire::ListProjectsOutput, RpcError> {
    let projects = project::list(configuration, &input.name_prefix.unwrap_or_default());
    Ok(wire::ListProjectsOutput { projects })
}
