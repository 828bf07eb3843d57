//! The file's schema: numbered migrations, all in one transaction. `user_version` holds the number of the
//! last one; `application_id` tells our files from others'.

use std::path::Path;

use maelstrom_core::ports::store::StoreError;
use rusqlite::{Connection, TransactionBehavior};

use super::failure::Failure;

/// "MAEL"
const APPLICATION_ID: i64 = 0x4d41_454c;

/// Never changed once released; new ones are added at the end.
pub(super) const MIGRATIONS: [&str; 2] =
    [include_str!("migrations/1_configuration.sql"), include_str!("migrations/2_cluster.sql")];

const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Refuses files of other programs and of newer versions of this one.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Failure> {
    let path = path.display();
    let (version, application) = (number(connection, "user_version")?, number(connection, "application_id")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let empty = version == 0 && application == 0 && tables == 0;
    let reason = if !empty && application != APPLICATION_ID {
        format!("{path} is an SQLite file, but not a store of Maelstrom; name another file")
    } else if version > NEWEST {
        format!(
            "{path} was written by a newer maelstromd (schema {version}, this one knows up to {NEWEST}); \
             use that version or restore a backup"
        )
    } else {
        return Ok(());
    };
    Err(StoreError::Broken { reason }.into())
}

/// Applies what is missing: all of it or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    apply(connection, &MIGRATIONS)
}

fn apply(connection: &mut Connection, migrations: &[&str]) -> Result<(), Failure> {
    let done = usize::try_from(number(connection, "user_version")?).unwrap_or(0);
    if done >= migrations.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &migrations[done..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", migrations.len() as i64)?;
    transaction.commit()?;
    Ok(())
}

fn number(connection: &Connection, pragma: &str) -> Result<i64, Failure> {
    Ok(connection.pragma_query_value(None, pragma, |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_failed_migration_leaves_nothing_behind() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = [MIGRATIONS[0], "CREATE TABLE half (a); CREATE TABLE half (a);"];
        assert!(apply(&mut connection, &broken).is_err());
        assert_eq!((tables(&connection), number(&connection, "user_version").unwrap()), (0, 0));
        migrate(&mut connection).unwrap();
        assert_eq!(number(&connection, "user_version").unwrap(), NEWEST);
    }

    #[test]
    fn each_version_is_brought_up_to_date_with_its_contents() {
        for first in 1..=MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            apply(&mut connection, &MIGRATIONS[..first]).unwrap();
            connection.execute("INSERT INTO components VALUES ('web', 3, '{\"name\":\"web\"}')", ()).unwrap();
            connection.execute("UPDATE revision SET value = 8", ()).unwrap();
            migrate(&mut connection).unwrap();
            migrate(&mut connection).unwrap();
            assert_eq!(number(&connection, "user_version").unwrap(), NEWEST);
            let found: (i64, i64) = connection
                .query_row("SELECT value, version FROM revision, components", (), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap();
            assert_eq!(found, (8, 3), "from version {first}");
            assert!(connection.execute("DELETE FROM fires", ()).is_ok());
        }
    }
}
