//! Nodes that end in the middle of a commit, answers that are lost, and what is left behind.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use maelstrom_core::ports::store::{Revision, Store as _, StoreError};

use tokio::runtime::Handle;

use super::harness::{Between, Cut, Fixture, project, put, versions};

/// Pages that are in the table.
async fn pages(fixture: &Fixture) -> usize {
    let query = fixture.client().query().table_name(&fixture.table).key_condition_expression("pk = :pk");
    let query = query.expression_attribute_values(":pk", AttributeValue::S("page".into()));
    query.send().await.unwrap().items.unwrap().len()
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
async fn what_cut_off_commits_leave_behind_is_found_and_removed() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    store.commit(project(40, 0, 5_000)).await.unwrap();
    let live = pages(&fixture).await;
    // Its pages are written, its root isn't.
    let cut = Cut::requests();
    let ends = fixture.open_with(&cut).await;
    ends.configuration().await.unwrap();
    cut.after(1 + live as i64);
    ends.commit(project(40, 1, 5_000)).await.unwrap_err();
    assert_eq!(pages(&fixture).await, 2 * live);
    // They might still become part of revision 2, so a node that starts now leaves them alone.
    let early = fixture.open().await;
    early.configuration().await.unwrap();
    early.commit(vec![put("c000", 1, 5_000)]).await.unwrap();
    assert_eq!(pages(&fixture).await, 2 * live + 1, "and the page that this replaced");
    let late = fixture.open().await;
    late.configuration().await.unwrap();
    late.commit(vec![put("c000", 2, 5_000)]).await.unwrap();
    assert_eq!(pages(&fixture).await, live + 1, "what is read, and the page that this replaced");
}

#[tokio::test]
async fn a_replaced_page_stays_until_its_node_commits_again() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    for version in 0..4 {
        store.commit(vec![put("web", version, 10)]).await.unwrap();
        assert_eq!(pages(&fixture).await, if version == 0 { 1 } else { 2 });
    }
}

/// The root is read, then its pages are replaced and removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_comes_too_late_for_its_pages_reads_what_came_after() {
    let fixture = Fixture::new().await;
    let store = Arc::new(fixture.open().await);
    store.commit(project(40, 0, 5_000)).await.unwrap();
    for version in [1, 3] {
        let (writer, here) = (store.clone(), Handle::current());
        let between = Between::new(move || {
            here.block_on(async {
                writer.commit(project(40, version, 5_000)).await.unwrap();
                writer.commit(project(40, version + 1, 5_000)).await.unwrap();
            });
        });
        let reader = fixture.open_with(&between).await;
        between.before(1);
        let read = reader.configuration().await.unwrap();
        assert_eq!(versions(&read), [version + 2], "met: {}", between.was_met());
        assert!(between.was_met());
    }
}

/// As when the answer to a commit's last request is lost: it is done, others commit, and it is sent again.
/// `others`: how many commits, each of these components.
async fn sent_twice(names: &'static [&'static str], others: i64) -> Result<Revision, StoreError> {
    let fixture = Fixture::new().await;
    let other = Arc::new(fixture.open().await);
    other.commit(vec![put("other", 0, 70_000)]).await.unwrap();
    let here = Handle::current();
    let between = Between::twice(move || {
        here.block_on(async {
            for version in 1..=others {
                let puts = names.iter().map(|name| put(name, version, 70_000));
                other.commit(puts.collect()).await.unwrap();
            }
        });
    });
    let store = fixture.open_with(&between).await;
    store.configuration().await.unwrap();
    // After the root was read and two pages written: the large entry goes into one of its own.
    between.before(3);
    let done = store.commit(vec![put("web", 0, 10)]).await;
    assert!(between.was_met());
    let read = store.configuration().await.unwrap();
    let web: Vec<_> = read.components.iter().filter(|component| component.name == "web").collect();
    let version = if names.contains(&"web") { 1 + others } else { 1 };
    assert_eq!((web.len(), web[0].version), (1, version), "it was done, once");
    store.commit(vec![put("last", 0, 10)]).await.unwrap();
    let read = fixture.open().await.configuration().await.unwrap();
    assert_eq!(read.components.len(), 3, "its page was not taken for garbage");
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_done_before_its_repetition_has_succeeded() {
    assert_eq!(sent_twice(&["other"], 0).await, Ok(Revision(2)));
    assert_eq!(sent_twice(&["other"], 3).await, Ok(Revision(2)));
    assert_eq!(sent_twice(&["web"], 3).await, Ok(Revision(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_found_by_its_page_when_its_name_is_forgotten() {
    assert_eq!(sent_twice(&["other"], 20).await, Ok(Revision(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_which_no_trace_is_left_is_in_doubt_and_not_repeated() {
    let error = sent_twice(&["other", "web"], 20).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("it can't be told whether this was done"), "{error}");
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
