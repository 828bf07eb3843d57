//! Commits of several nodes at once, and of projects that don't fit into an item.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use maelstrom_core::ports::store::{Entity, Op, Revision, Store as _, StoreError};

use super::harness::{Fixture, project, put, versions};

const NODES: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_commit_at_once_and_nothing_is_lost() {
    const EACH: usize = 2;
    let fixture = Fixture::new().await;
    let stores = join_all((0..NODES).map(|_| fixture.open())).await;
    let commits = stores.iter().enumerate().map(|(node, store)| async move {
        for n in 0..EACH {
            store.commit(vec![put(&format!("n{node}-{n}"), 0, 10)]).await.unwrap();
        }
    });
    join_all(commits).await;
    let read = fixture.open().await.configuration().await.unwrap();
    assert_eq!(read.revision, Revision((NODES * EACH) as u64), "one revision each");
    assert_eq!(read.components.len(), NODES * EACH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_eight_nodes_wins_each_version() {
    let fixture = Fixture::new().await;
    let stores = join_all((0..NODES).map(|_| fixture.open())).await;
    for round in 0..5 {
        let done = join_all(stores.iter().map(|store| store.commit(vec![put("web", round, 10)]))).await;
        assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 1, "{done:?}");
        for lost in done.into_iter().filter_map(Result::err) {
            let (entity, name) = (Entity::Component, "web".to_owned());
            let expected = StoreError::Conflict { entity, name, expected: round, current: round + 1 };
            assert_eq!(lost, expected);
        }
    }
    let read = stores[3].configuration().await.unwrap();
    assert_eq!((read.revision, read.components[0].version), (Revision(5), 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_of_300_components_is_put_at_once_to_every_reader() {
    const COUNT: usize = 300;
    let fixture = Fixture::new().await;
    let (writer, reader) = (fixture.open().await, Arc::new(fixture.open().await));
    let reading = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.last() != Some(&3) {
            let read = reader.configuration().await.unwrap();
            let versions = versions(&read);
            assert!(versions.len() <= 1, "of several revisions: {versions:?}");
            assert!([0, COUNT].contains(&read.components.len()), "{} components", read.components.len());
            assert_eq!(read.revision.0, versions.first().map_or(0, |version| version.unsigned_abs()));
            seen.extend(versions);
        }
        seen
    });
    for based_on in 0..3 {
        writer.commit(project(COUNT, based_on, 2_000)).await.unwrap();
    }
    let seen = tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap().unwrap();
    assert!(seen.len() >= 3, "looked while it was put");
}

#[tokio::test]
async fn a_large_configuration_is_changed_and_shrinks_page_by_page() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    store.commit(project(100, 0, 10_000)).await.unwrap();
    store.commit(vec![put("c050", 1, 20)]).await.unwrap();
    let remove = |n: usize| Op::RemoveComponent { name: format!("c{n:03}"), based_on: 1 };
    store.commit((0..50).map(remove).collect()).await.unwrap();
    let read = fixture.open().await.configuration().await.unwrap();
    assert_eq!(read, store.configuration().await.unwrap(), "what a new node reads");
    assert_eq!(read.components.len(), 50);
    assert_eq!((read.components[0].name.as_str(), read.components[0].version), ("c050", 2));
    let names: Vec<_> = read.components.iter().map(|component| component.name.clone()).collect();
    assert!(names.is_sorted());
}

#[tokio::test]
async fn an_entity_too_large_for_an_item_says_so_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    store.commit(vec![put("large", 0, 380 * 1024)]).await.expect("nearly an item");
    let error = store.commit(vec![put("small", 0, 10), put("huge", 0, 400 * 1024)]).await.unwrap_err();
    let StoreError::Broken { reason } = &error else { panic!("{error}") };
    assert!(reason.contains("component 'huge' takes 401 KiB"), "{reason}");
    assert_eq!(store.configuration().await.unwrap().components.len(), 1);
}
