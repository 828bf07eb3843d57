//! The SQLite store on real files: conformance, faults, locks.

use std::{os::unix::fs::PermissionsExt, process::Command, sync::Arc};

use maelstrom_core::{ports::store::Entity, wire};
use tempfile::TempDir;

use super::*;

async fn fresh() -> (Arc<dyn Store>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Arc::new(SqliteStore::open(directory.path().join("m.db")).await.unwrap()), directory)
}

maelstrom_core::store_conformance!(fresh);

fn put(name: &str, based_on: i64, bytes: usize) -> Op {
    let padding = wire::NameValue { name: "PADDING".into(), value: "x".repeat(bytes) };
    let component =
        wire::Component { name: name.into(), environment: vec![padding], ..wire::Component::default() };
    Op::PutComponent { component: Box::new(component), based_on }
}

async fn refused(path: &Path) -> String {
    match SqliteStore::open(path).await {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

fn unavailable(result: &StoreResult<Revision>, text: &str) {
    match result {
        Err(StoreError::Unavailable { reason }) => assert!(reason.contains(text), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![put("web", 0, 10)]).await.unwrap();
    store.claim_fire("r".into(), WallTime::from_millis(7), "n".into()).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.revision().await, Ok(Revision(1)));
    assert_eq!(store.configuration().await.unwrap().components[0].version, 1);
    assert_eq!(store.last_fires().await.unwrap().len(), 1);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "components may carry passwords");
}

/// An answer means that the disk has it: the settings that promise this are on.
#[tokio::test]
async fn commits_are_durable_before_they_are_answered() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("m.db")).await.unwrap();
    let read = |pragma: &'static str| {
        store.call(move |connection| {
            Ok(connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))?)
        })
    };
    assert_eq!(read("synchronous").await, Ok(2), "FULL");
    let mode = store.call(|connection| {
        Ok(connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))?)
    });
    assert_eq!(mode.await, Ok("wal".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_of_many_threads_race_for_one_claim() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(directory.path().join("m.db")).await.unwrap());
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..64 {
        let store = store.clone();
        racers.spawn(
            async move { store.claim_fire("r".into(), WallTime::from_millis(1), format!("n{n}")).await },
        );
    }
    let won = racers.join_all().await.into_iter().filter(|claim| *claim == Ok(true)).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn one_daemon_uses_a_file_and_the_error_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let error = refused(&path).await;
    assert!(error.contains(path.to_str().unwrap()) && error.contains("in use"), "{error}");
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(store);
    SqliteStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn what_can_not_be_a_store_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let error = refused(&path("none/m.db")).await;
    assert!(error.contains("there is no directory") && error.contains("none"), "{error}");

    std::fs::write(path("text.db"), "hello, this is not a database at all".repeat(100)).unwrap();
    let error = refused(&path("text.db")).await;
    assert!(error.contains("not an SQLite file"), "{error}");

    Connection::open(path("other.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let error = refused(&path("other.db")).await;
    assert!(error.contains("not a store of Maelstrom"), "{error}");

    drop(SqliteStore::open(path("new.db")).await.unwrap());
    Connection::open(path("new.db")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(&path("new.db")).await;
    assert!(error.contains("newer maelstromd (schema 99"), "{error}");

    std::fs::create_dir(path("directory.db")).unwrap();
    let error = refused(&path("directory.db")).await;
    assert!(error.contains("directory.db"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![put("web", 0, 100_000)]).await.unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4_096).skip(1) {
        page[..64].fill(0x5a);
    }
    std::fs::write(&path, bytes).unwrap();
    let error = refused(&path).await;
    assert!(error.contains("damaged") && error.contains("restore"), "{error}");
}

#[tokio::test]
async fn one_unreadable_entity_leaves_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("m.db")).await.unwrap();
    store.commit(vec![put("web", 0, 1), put("api", 0, 1)]).await.unwrap();
    let damage = "UPDATE components SET body = '{\"name\":7}' WHERE name = 'api'";
    store.call(move |connection| Ok(connection.execute(damage, ())?)).await.unwrap();
    let read = store.configuration().await.unwrap();
    assert_eq!(read.components.len(), 1);
    let unreadable = &read.unreadable[0];
    assert_eq!(
        (unreadable.entity, unreadable.name.as_str(), unreadable.version),
        (Entity::Component, "api", 1)
    );
    store.commit(vec![put("api", 1, 1)]).await.expect("a put repairs it");
    assert_eq!(store.configuration().await.unwrap().unreadable, []);
}

#[tokio::test]
async fn a_full_file_fails_clearly_and_works_again_with_space() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("m.db")).await.unwrap();
    let pages = |count: i64| {
        store.call(move |c| {
            Ok(c.query_row(&format!("PRAGMA max_page_count = {count}"), (), |r| r.get::<_, i64>(0))?)
        })
    };
    pages(20).await.unwrap();
    let before = store.configuration().await.unwrap();
    unavailable(
        &store.commit(vec![put("small", 0, 1), put("big", 0, 500_000)]).await,
        "is full; free some space",
    );
    assert_eq!(store.configuration().await.unwrap(), before, "nothing of it is there");
    pages(1_000_000).await.unwrap();
    store.commit(vec![put("small", 0, 1), put("big", 0, 500_000)]).await.unwrap();
}

/// A mount made for a test, taken down at its end.
struct Mount {
    path: PathBuf,
    directory: TempDir,
}

impl Mount {
    /// `None` where mounting is not allowed: the tests that need it then prove nothing.
    fn tmpfs(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = Self { path: directory.path().to_owned(), directory };
        mount.make(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).then_some(mount)
    }

    /// Lays a read-only view of `path` over it: what is open stays writable, what is opened anew isn't, as
    /// on a disk that the kernel has set read-only.
    fn read_only(path: PathBuf, directory: TempDir) -> Option<Self> {
        let bind = path.to_str().unwrap().to_owned();
        let mount = Self { path, directory };
        let bound = mount.make(&["--bind", &bind]);
        (bound && mount.make(&["-o", "remount,bind,ro"])).then_some(mount)
    }

    fn make(&self, arguments: &[&str]) -> bool {
        let output = Command::new("mount").args(arguments).arg(&self.path).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn take_down(&self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.take_down();
    }
}

#[tokio::test]
async fn a_full_disk_fails_clearly_and_works_again_with_space() {
    let Some(mount) = Mount::tmpfs("1m") else { return };
    let path = mount.directory.path().join("m.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![put("web", 0, 100)]).await.unwrap();
    let filler = mount.directory.path().join("filler");
    // As much as there is room for.
    let _ = std::fs::write(&filler, vec![1; 2 << 20]);
    let full = store.commit(vec![put("web", 1, 100_000)]).await;
    unavailable(&full, path.to_str().unwrap());
    assert_eq!(store.configuration().await.unwrap().components[0].version, 1, "reading goes on");
    std::fs::remove_file(&filler).unwrap();
    store.commit(vec![put("web", 1, 100_000)]).await.expect("works again without a restart");
    assert_eq!(store.configuration().await.unwrap().components[0].version, 2);
}

/// What is open stays writable under such a mount; a disk that turns read-only fails that, too.
async fn fail_once(store: &SqliteStore) {
    let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
    let failing = move |_: &mut Connection| Err::<(), _>(rusqlite::Error::SqliteFailure(error, None).into());
    store.call(failing).await.unwrap_err();
}

#[tokio::test]
async fn a_read_only_disk_fails_clearly_and_works_again_when_writable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![put("web", 0, 100)]).await.unwrap();
    fail_once(&store).await;
    let Some(mount) = Mount::read_only(directory.path().to_owned(), directory) else { return };
    for _ in 0..3 {
        unavailable(&store.commit(vec![put("web", 1, 100)]).await, path.to_str().unwrap());
    }
    mount.take_down();
    store.commit(vec![put("web", 1, 100)]).await.expect("works again without a restart");
    assert_eq!(store.configuration().await.unwrap().components[0].version, 2);
}

/// SQLite opens a file for reading if it may not write it, and would stay with that.
#[tokio::test]
async fn a_read_only_file_is_read_and_written_as_soon_as_it_is_writable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![put("web", 0, 100)]).await.unwrap();
    fail_once(&store).await;
    let Some(mount) = Mount::read_only(path, directory) else { return };
    unavailable(&store.commit(vec![put("web", 1, 100)]).await, "can't be written");
    assert_eq!(store.revision().await, Ok(Revision(1)), "reading goes on");
    mount.take_down();
    store.commit(vec![put("web", 1, 100)]).await.expect("the first write after that works");
}

/// Making a new, empty file would mean that every component is to be stopped.
#[tokio::test]
async fn a_file_that_went_away_is_not_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (path, aside) = (directory.path().join("m.db"), directory.path().join("aside"));
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![put("web", 0, 1)]).await.unwrap();
    std::fs::rename(&path, &aside).unwrap();
    unavailable(&store.commit(vec![put("api", 0, 1)]).await, "is gone");
    assert!(store.configuration().await.is_err() && !path.exists());
    std::fs::write(&path, "").unwrap();
    unavailable(&store.commit(vec![put("api", 0, 1)]).await, "is another file now");
    std::fs::rename(&aside, &path).unwrap();
    store.commit(vec![put("api", 0, 1)]).await.expect("put back, it works on");
}

#[tokio::test]
async fn people_may_look_inside_meanwhile_and_a_lock_they_hold_passes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let person = Connection::open(&path).unwrap();
    store.commit(vec![put("web", 0, 1)]).await.unwrap();
    let seen: i64 = person.query_row("SELECT count(*) FROM components", (), |row| row.get(0)).unwrap();
    assert_eq!(seen, 1);
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = store.commit(vec![put("api", 0, 1)]);
    let release = async {
        // Reading needs no lock; it queues behind the commit that waits for one.
        tokio::time::sleep(Duration::from_millis(100)).await;
        person.execute_batch("ROLLBACK").unwrap();
    };
    let (committed, ()) = tokio::join!(waiting, release);
    committed.unwrap();
}
