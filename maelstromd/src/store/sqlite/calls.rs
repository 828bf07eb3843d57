//! The calls of `ports::store` as SQL. Each is one transaction.

mod commit;

use std::time::Duration;

use maelstrom_core::{
    names::{NodeId, Role},
    ports::store::{Configuration, Entity, Heartbeat, Revision, RoleRecord, StoreError, Unreadable},
    time::WallTime,
    wire,
};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use serde::de::DeserializeOwned;

use super::failure::Failure;

pub(super) use commit::commit;

type Done<T> = Result<T, Failure>;

pub(super) fn revision(connection: &Connection) -> Done<Revision> {
    let value: i64 =
        connection.prepare_cached("SELECT value FROM revision")?.query_row((), |row| row.get(0))?;
    Ok(Revision(value.unsigned_abs()))
}

pub(super) fn configuration(connection: &mut Connection) -> Done<Configuration> {
    // One transaction, so that all is of one revision.
    let transaction = connection.transaction()?;
    let mut read = Configuration { revision: revision(&transaction)?, ..Configuration::default() };
    let mut statement =
        transaction.prepare_cached("SELECT name, version, body FROM components ORDER BY name")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        if let Some(component) = decode::<wire::Component>(row, Entity::Component, &mut read)? {
            read.components.push(wire::Component { version: row.get("version")?, ..component });
        }
    }
    let query = "SELECT name, version, enabled, body FROM event_sources ORDER BY name";
    let mut statement = transaction.prepare_cached(query)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        if let Some(source) = decode::<wire::EventSource>(row, Entity::EventSource, &mut read)? {
            let event_source = wire::EventSource { version: row.get("version")?, ..source };
            read.event_sources
                .push(wire::EventSourceWithStatus { event_source, enabled: row.get("enabled")? });
        }
    }
    Ok(read)
}

/// One damaged entity must not take the others with it.
fn decode<T: DeserializeOwned>(row: &Row<'_>, entity: Entity, read: &mut Configuration) -> Done<Option<T>> {
    let body: String = row.get("body")?;
    match serde_json::from_str(&body) {
        Ok(decoded) => Ok(Some(decoded)),
        Err(error) => {
            read.unreadable.push(Unreadable {
                entity,
                name: row.get("name")?,
                version: row.get("version")?,
                reason: error.to_string(),
            });
            Ok(None)
        }
    }
}

pub(super) fn beat(connection: &mut Connection, heartbeat: &Heartbeat) -> Done<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let stored: Option<(String, i64)> = transaction
        .prepare_cached("SELECT incarnation, beat FROM heartbeats WHERE node = ?1")?
        .query_row([heartbeat.node.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let beat = integer(heartbeat.beat);
    if let Some((incarnation, current)) = stored
        && incarnation == heartbeat.incarnation
        && current != beat
        && current != beat - 1
    {
        return Err(conflict(Entity::Heartbeat, heartbeat.node.as_str(), beat - 1, current));
    }
    transaction
        .prepare_cached("INSERT OR REPLACE INTO heartbeats VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            heartbeat.node.as_str(),
            heartbeat.incarnation,
            beat,
            i64::try_from(heartbeat.duration.as_millis()).unwrap_or(i64::MAX),
            heartbeat.peer_url,
            heartbeat.written_at.as_millis(),
        ])?;
    Ok(transaction.commit()?)
}

pub(super) fn heartbeats(connection: &Connection) -> Done<Vec<Heartbeat>> {
    let mut statement = connection.prepare_cached("SELECT * FROM heartbeats ORDER BY node")?;
    let rows = statement.query_map((), |row| {
        Ok(Heartbeat {
            node: NodeId::new(row.get::<_, String>("node")?),
            incarnation: row.get("incarnation")?,
            beat: row.get::<_, i64>("beat")?.unsigned_abs(),
            duration: Duration::from_millis(row.get::<_, i64>("duration_ms")?.unsigned_abs()),
            peer_url: row.get("peer_url")?,
            written_at: WallTime::from_millis(row.get("written_at")?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn remove_heartbeat(connection: &Connection, node: &NodeId, incarnation: &str) -> Done<()> {
    connection
        .prepare_cached("DELETE FROM heartbeats WHERE node = ?1 AND incarnation = ?2")?
        .execute([node.as_str(), incarnation])?;
    Ok(())
}

pub(super) fn roles(connection: &Connection) -> Done<Vec<RoleRecord>> {
    let mut statement = connection.prepare_cached("SELECT * FROM roles ORDER BY role")?;
    let rows = statement.query_map((), role)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn role(row: &Row<'_>) -> rusqlite::Result<RoleRecord> {
    Ok(RoleRecord {
        role: Role::new(row.get::<_, String>("role")?),
        owner: row.get::<_, Option<String>>("owner")?.map(NodeId::new),
        incarnation: row.get("incarnation")?,
        term: row.get::<_, i64>("term")?.unsigned_abs(),
        version: row.get::<_, i64>("version")?.unsigned_abs(),
    })
}

pub(super) fn write_role(connection: &mut Connection, record: &RoleRecord, seen: u64) -> Done<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let stored = transaction
        .prepare_cached("SELECT * FROM roles WHERE role = ?1")?
        .query_row([record.role.as_str()], role)
        .optional()?;
    if stored.as_ref() == Some(record) {
        return Ok(());
    }
    let current = stored.map_or(0, |stored| stored.version);
    if current != seen {
        return Err(conflict(Entity::Role, record.role.as_str(), integer(seen), integer(current)));
    }
    transaction.prepare_cached("INSERT OR REPLACE INTO roles VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(
        params![
            record.role.as_str(),
            record.owner.as_ref().map(NodeId::as_str),
            record.incarnation,
            integer(record.term),
            integer(record.version),
        ],
    )?;
    Ok(transaction.commit()?)
}

pub(super) fn claim_fire(
    connection: &mut Connection,
    rule: &str,
    due: WallTime,
    claimant: &str,
) -> Done<bool> {
    let claim = "INSERT INTO fires VALUES (?1, ?2, ?3) ON CONFLICT (rule) DO UPDATE
                 SET due = excluded.due, claimant = excluded.claimant
                 WHERE excluded.due > due OR (excluded.due = due AND excluded.claimant = claimant)";
    let written = connection.prepare_cached(claim)?.execute(params![rule, due.as_millis(), claimant])?;
    Ok(written == 1)
}

pub(super) fn last_fires(connection: &Connection) -> Done<Vec<(String, WallTime)>> {
    let mut statement = connection.prepare_cached("SELECT rule, due FROM fires ORDER BY rule")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, WallTime::from_millis(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn forget_fires(connection: &mut Connection, rules: &[String]) -> Done<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for rule in rules {
        transaction.prepare_cached("DELETE FROM fires WHERE rule = ?1")?.execute([rule])?;
    }
    Ok(transaction.commit()?)
}

fn conflict(entity: Entity, name: &str, expected: i64, current: i64) -> Failure {
    StoreError::Conflict { entity, name: name.to_owned(), expected, current }.into()
}

/// SQLite's integers are signed; counters don't come near that in centuries.
fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
