//! The configuration in memory against a store that is away, late and changed by others.

use maelstrom_core::{names::NodeId, testing::store::MemoryStore, wire};

use super::*;

fn put(name: &str, based_on: i64) -> Op {
    let component = Box::new(wire::Component {
        name: name.into(),
        docker: Some(wire::DockerComponent { image: "i".into(), ..Default::default() }),
        ..Default::default()
    });
    Op::PutComponent { component, based_on }
}

async fn cache(store: &MemoryStore) -> Arc<ConfigurationCache> {
    let journal = Arc::new(Journal::new(NodeId::new("n")));
    ConfigurationCache::load(Arc::new(store.clone()), journal).await.unwrap()
}

fn told(cache: &ConfigurationCache, kind: Kind) -> Vec<String> {
    let query = wire::ListEventsInput { kinds: Some(vec![kind.name().into()]), ..Default::default() };
    cache.journal.list(&query).into_iter().map(|event| event.message).collect()
}

#[tokio::test]
async fn a_commit_is_visible_when_it_returns() {
    let cache = cache(&MemoryStore::new()).await;
    let mut changes = cache.subscribe();
    let committed = cache.commit(vec![put("web", 0)]).await.unwrap();
    assert!(Arc::ptr_eq(&committed, &cache.current()));
    assert_eq!(cache.current().components["web"].version, 1);
    assert!(changes.has_changed().unwrap());
    assert_eq!(changes.borrow_and_update().revision, Revision(1));
    assert_eq!(told(&cache, Kind::Configuration), ["component put, version 1"]);
}

/// The original read its database under a lock on the request path and served nothing without it.
#[tokio::test(start_paused = true)]
async fn the_configuration_is_served_while_the_store_is_away() {
    let store = MemoryStore::new();
    let cache = cache(&store).await;
    cache.commit(vec![put("web", 0)]).await.unwrap();
    let token = CancellationToken::new();
    let run = tokio::spawn(cache.clone().run(token.clone()));
    store.set_away(true);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(cache.current().components.contains_key("web"));
    assert!(cache.commit(vec![put("api", 0)]).await.is_err());
    store.set_away(false);
    tokio::time::sleep(Duration::from_secs(3)).await;
    token.cancel();
    run.await.unwrap();
    let told = told(&cache, Kind::Dependency);
    assert_eq!(told.len(), 2, "once away, once back: {told:?}");
    assert!(store.calls() < 400, "no spin: {} calls", store.calls());
}

/// The original never repaired a change whose notification it had missed.
#[tokio::test(start_paused = true)]
async fn a_change_by_another_node_is_seen_without_a_notification() {
    let store = MemoryStore::new();
    let (here, there) = (cache(&store).await, cache(&store).await);
    let token = CancellationToken::new();
    let run = tokio::spawn(here.clone().run(token.clone()));
    let mut changes = here.subscribe();
    changes.mark_unchanged();
    there.commit(vec![put("web", 0)]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(2), changes.changed()).await.unwrap().unwrap();
    assert!(here.current().components.contains_key("web"));
    token.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn what_does_not_parse_is_left_out_and_the_rest_works() {
    let store = MemoryStore::new();
    let bad = wire::Component { name: "bad".into(), ..Default::default() };
    let op = Op::PutComponent { component: Box::new(bad), based_on: 0 };
    store.commit(vec![op, put("web", 0)]).await.unwrap();
    let cache = cache(&store).await;
    assert_eq!(cache.current().components.len(), 1);
    assert_eq!(cache.current().wire.components.len(), 2);
    assert_eq!(cache.refresh.lock().await.complained.len(), 1);
    cache.commit(vec![put("bad", 1)]).await.unwrap();
    assert_eq!(cache.current().components.len(), 2);
    assert_eq!(cache.refresh.lock().await.complained.len(), 0);
}

#[tokio::test]
async fn a_decision_is_taken_again_when_somebody_was_first() {
    let store = MemoryStore::new();
    let cache = cache(&store).await;
    store.intrude(vec![put("other", 0)]);
    let seen = cache
        .update(|snapshot| {
            let seen = snapshot.components.len();
            Ok::<_, ()>((vec![put("web", 0)], seen))
        })
        .await
        .unwrap();
    assert_eq!(seen, 1, "the decision that was committed had seen the other one");
    assert_eq!(cache.current().components.len(), 2);
}

#[tokio::test]
async fn a_change_stored_but_not_read_back_is_told_and_repaired() {
    let store = MemoryStore::new();
    let cache = cache(&store).await;
    store.lose_answers(1);
    assert!(matches!(cache.commit(vec![put("web", 0)]).await, Err(StoreError::Unavailable { .. })));
    cache.look().await.unwrap();
    assert!(cache.current().components.contains_key("web"));
}
