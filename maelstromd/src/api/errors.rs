//! Failures of the parts underneath → errors of the API. The one table.

use maelstrom_core::{
    ports::store::{Entity, StoreError},
    problem::Problems,
    rpc::{RpcError, code},
};

use crate::cluster::UpdateError;

pub(super) fn store(error: StoreError) -> RpcError {
    match error {
        StoreError::Conflict {
            entity: entity @ (Entity::Component | Entity::EventSource),
            name,
            expected,
            current,
        } => not_current(&entity.to_string(), &name, expected, current),
        other => RpcError::new(code::STORE, other.to_string()),
    }
}

pub(super) fn update(error: UpdateError<RpcError>) -> RpcError {
    match error {
        UpdateError::Refused(refused) => refused,
        UpdateError::Store(error) => store(error),
    }
}

/// 1004: says what to base the next attempt on.
pub(super) fn not_current(what: &str, name: &str, given: i64, current: i64) -> RpcError {
    let message = match (given, current) {
        (_, 0) => format!("version: is {given}, but there is no {what} '{name}'; a new one has version 0"),
        (0, _) => {
            format!(
                "version: is 0, but {what} '{name}' exists with version {current}; put it with that version"
            )
        }
        _ => format!("version: is {given}, but {what} '{name}' has version {current} by now"),
    };
    RpcError::new(code::NOT_CURRENT, message)
}

/// 1001 for one field.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> RpcError {
    let mut problems = Problems::default();
    problems.add(field, message);
    RpcError::invalid(&problems)
}
