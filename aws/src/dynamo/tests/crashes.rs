//! Nodes that end in the middle of a commit, answers that are lost, and what is left behind.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use maelstrom_core::ports::store::{Revision, Store as _, StoreError};

use super::harness::{Cut, Fixture, project, put, versions};

/// Pages that the table has: all, and those that are on their way out.
async fn pages(fixture: &Fixture) -> (usize, usize) {
    let query = fixture.client().query().table_name(&fixture.table).key_condition_expression("pk = :pk");
    let query = query.expression_attribute_values(":pk", AttributeValue::S("page".into()));
    let items = query.send().await.unwrap().items.unwrap();
    (items.len(), items.iter().filter(|item| item.contains_key("expires")).count())
}

/// Cuts a commit off at each of its requests in turn. What others read is what was before or what comes
/// after, never something between, and they can go on from there.
async fn cut_off_everywhere(cut: Cut) {
    const COUNT: usize = 30;
    let fixture = Fixture::new().await;
    let other = fixture.open().await;
    other.commit(project(COUNT, 0, 5_000)).await.unwrap();
    let (mut version, mut failed) = (1, 0);
    for requests in 0.. {
        let node = fixture.open_with(&cut).await;
        node.configuration().await.unwrap();
        cut.after(requests);
        let done = node.commit(project(COUNT, version, 5_000)).await;
        let (met, _ended) = (cut.was_met(), drop(node));
        cut.after(i64::MAX);
        let read = other.configuration().await.unwrap();
        let now = versions(&read);
        assert_eq!((now.len(), read.components.len()), (1, COUNT), "after {requests} requests: {now:?}");
        assert_eq!(fixture.open().await.configuration().await.unwrap(), read, "what a new node reads");
        match done {
            Ok(_) => assert_eq!(now, [version + 1]),
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
                assert!([version, version + 1].contains(&now[0]));
                failed += 1;
            }
        }
        other.commit(project(COUNT, now[0], 5_000)).await.expect("a later commit works");
        version = now[0] + 1;
        if !met {
            break;
        }
    }
    assert!(failed >= 5, "reading the root, writing several pages, writing the root: {failed}");
}

#[tokio::test]
async fn a_node_that_ends_anywhere_in_a_commit_leaves_the_old_or_the_new() {
    cut_off_everywhere(Cut::requests()).await;
}

#[tokio::test]
async fn answers_lost_anywhere_in_a_commit_leave_the_old_or_the_new() {
    cut_off_everywhere(Cut::answers()).await;
}

#[tokio::test]
async fn a_caller_that_gives_up_anywhere_leaves_the_old_or_the_new() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    store.commit(project(40, 0, 5_000)).await.unwrap();
    let mut version = 1;
    for millis in (0..60).step_by(4) {
        let commit = store.commit(project(40, version, 5_000));
        let _ = tokio::time::timeout(Duration::from_millis(millis), commit).await;
        let now = versions(&store.configuration().await.unwrap());
        assert!(now == [version] || now == [version + 1], "{now:?}");
        assert_eq!(versions(&fixture.open().await.configuration().await.unwrap()), now);
        version = now[0];
    }
    store.commit(project(40, version, 5_000)).await.expect("nothing is in the way");
}

#[tokio::test]
async fn what_cut_off_commits_leave_behind_is_found_and_let_go() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    store.commit(project(40, 0, 5_000)).await.unwrap();
    let (live, _) = pages(&fixture).await;
    // Its pages are written, its root isn't.
    let cut = Cut::requests();
    let ends = fixture.open_with(&cut).await;
    ends.configuration().await.unwrap();
    cut.after(1 + live as i64);
    ends.commit(project(40, 1, 5_000)).await.unwrap_err();
    assert_eq!(pages(&fixture).await, (2 * live, 0));
    // They might still become part of revision 2, so a node that starts now leaves them alone.
    let early = fixture.open().await;
    early.configuration().await.unwrap();
    early.commit(vec![put("new", 0, 10)]).await.unwrap();
    assert_eq!(pages(&fixture).await.1, 1, "the page that 'new' was added to");
    let late = fixture.open().await;
    late.configuration().await.unwrap();
    late.commit(vec![put("new", 1, 10)]).await.unwrap();
    let (all, leaving) = pages(&fixture).await;
    assert_eq!(all - leaving, live, "what is read, and nothing else, stays");
}

#[tokio::test]
async fn replaced_pages_expire_and_can_be_read_until_then() {
    let fixture = Fixture::new().await;
    let (store, slow) = (fixture.open().await, fixture.open().await);
    store.commit(vec![put("web", 0, 10)]).await.unwrap();
    slow.configuration().await.unwrap();
    for version in 1..4 {
        store.commit(vec![put("web", version, 10)]).await.unwrap();
    }
    assert_eq!(pages(&fixture).await, (4, 3));
    assert_eq!(slow.configuration().await.unwrap().components[0].version, 4);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_done_twice() {
    let fixture = Fixture::new().await;
    let cut = Cut::answers();
    let store = fixture.open_with(&cut).await;
    store.configuration().await.unwrap();
    // The root is read, the page written; the root's answer is lost.
    cut.after(2);
    store.commit(vec![put("web", 0, 10)]).await.unwrap_err();
    cut.after(i64::MAX);
    assert_eq!(store.revision().await, Ok(Revision(1)), "it was done");
    let again = store.commit(vec![put("web", 0, 10)]).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict { expected: 0, current: 1, .. }), "{again}");
}
