//! A commit: all steps or none, each under its condition.

use maelstrom_core::ports::store::{Entity, Op, Revision, StoreError};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::{Done, conflict, integer, revision};

pub(in super::super) fn commit(connection: &mut Connection, ops: &[Op]) -> Done<Revision> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut changed = 0;
    for op in ops {
        changed += apply(&transaction, op)?;
    }
    if changed > 0 {
        transaction.execute("UPDATE revision SET value = value + 1", ())?;
    }
    let revision = revision(&transaction)?;
    transaction.commit()?;
    Ok(revision)
}

/// Rows changed.
fn apply(transaction: &Transaction<'_>, op: &Op) -> Done<usize> {
    match op {
        Op::PutComponent { component, based_on } => {
            expect(transaction, Entity::Component, &component.name, *based_on)?;
            let put = "INSERT OR REPLACE INTO components VALUES (?1, ?2, ?3)";
            let row = params![component.name, based_on + 1, body(component)?];
            Ok(transaction.prepare_cached(put)?.execute(row)?)
        }
        Op::PutEventSource { event_source, based_on } => {
            expect(transaction, Entity::EventSource, &event_source.name, *based_on)?;
            let put = "INSERT INTO event_sources VALUES (?1, ?2, 1, ?3) ON CONFLICT (name) DO UPDATE
                       SET version = excluded.version, body = excluded.body";
            let row = params![event_source.name, based_on + 1, body(event_source)?];
            Ok(transaction.prepare_cached(put)?.execute(row)?)
        }
        Op::RemoveComponent { name, based_on } => {
            expect(transaction, Entity::Component, name, *based_on)?;
            Ok(transaction.prepare_cached("DELETE FROM components WHERE name = ?1")?.execute([name])?)
        }
        Op::RemoveEventSource { name, based_on } => {
            expect(transaction, Entity::EventSource, name, *based_on)?;
            Ok(transaction.prepare_cached("DELETE FROM event_sources WHERE name = ?1")?.execute([name])?)
        }
        Op::EnableEventSource { name, enabled } => {
            let switch = "UPDATE event_sources SET enabled = ?2 WHERE name = ?1 AND enabled <> ?2";
            Ok(transaction.prepare_cached(switch)?.execute(params![name, enabled])?)
        }
        Op::ExpectComponent { name, version } => {
            expect(transaction, Entity::Component, name, *version)?;
            Ok(0)
        }
        Op::ExpectRevision { revision: expected } => {
            let current = revision(transaction)?;
            if current != *expected {
                let (expected, current) = (integer(expected.0), integer(current.0));
                return Err(conflict(Entity::Configuration, "", expected, current));
            }
            Ok(0)
        }
    }
}

fn expect(transaction: &Transaction<'_>, entity: Entity, name: &str, expected: i64) -> Done<()> {
    let query = match entity {
        Entity::Component => "SELECT version FROM components WHERE name = ?1",
        _ => "SELECT version FROM event_sources WHERE name = ?1",
    };
    let current: Option<i64> =
        transaction.prepare_cached(query)?.query_row([name], |row| row.get(0)).optional()?;
    let current = current.unwrap_or(0);
    if current != expected {
        return Err(conflict(entity, name, expected, current));
    }
    Ok(())
}

fn body(entity: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(entity).map_err(|error| StoreError::Broken {
        reason: format!("what was put can't be written as JSON: {error}"),
    })
}
