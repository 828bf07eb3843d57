//! What every [`Store`] must do, as one suite. `store_conformance!(fresh)` turns it into tests, with
//! `fresh` an async function that makes an empty store (`Arc<dyn Store>`) and whatever must live as long.
//!
//! The cases know no async runtime; only the macro names Tokio's test attribute, in the caller's crate.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use crate::{
    names::{NodeId, Role},
    ports::store::{Entity, Heartbeat, Op, Revision, RoleRecord, Store, StoreError},
    time::WallTime,
    wire,
};

/// Callers that race in the cases about races.
const RACERS: usize = 32;

/// One test per case of the suite, each on a store of its own.
#[macro_export]
macro_rules! store_conformance {
    ($fresh:path) => {
        $crate::store_conformance!(@cases $fresh:
            an_empty_store_has_revision_zero
            what_is_put_is_read_back_with_its_version
            a_put_needs_the_current_version
            a_conflict_in_the_middle_changes_nothing
            expectations_guard_without_changing
            only_changes_raise_the_revision
            an_event_source_keeps_its_enabled_flag
            removals_need_the_current_version
            names_of_different_kinds_do_not_meet
            one_of_many_racing_puts_wins
            a_heartbeat_goes_on_after_a_lost_answer
            a_new_run_of_a_daemon_takes_over_its_heartbeat
            a_heartbeat_is_removed_by_its_own_run_only
            a_role_is_written_by_who_saw_its_version
            a_role_written_again_after_a_lost_answer_is_accepted
            one_of_many_racing_claims_of_a_role_wins
            a_due_time_is_claimed_once
            claims_only_move_forward
            one_of_many_racing_claims_of_a_fire_wins
            forgotten_rules_begin_anew
        );
    };
    (@cases $fresh:path: $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (store, _kept) = $fresh().await;
                $crate::testing::store_conformance::$case(store).await;
            }
        )*
    };
}

fn component(name: &str) -> wire::Component {
    wire::Component {
        name: name.into(),
        environment: vec![wire::NameValue { name: "A".into(), value: "ü'\"\n".into() }],
        max_concurrency: 7,
        scale_up_concurrency_pct: Some(0.5),
        modified_at: Some(1_234),
        docker: Some(wire::DockerComponent {
            image: "i:1".into(),
            command: Some(vec![]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn event_source(name: &str) -> wire::EventSource {
    wire::EventSource {
        name: name.into(),
        component_name: "web".into(),
        modified_at: 99,
        http: Some(wire::HttpEventSource { path_prefix: Some("/".into()), ..Default::default() }),
        ..Default::default()
    }
}

fn put(name: &str, based_on: i64) -> Op {
    Op::PutComponent { component: Box::new(component(name)), based_on }
}

fn put_source(name: &str, based_on: i64) -> Op {
    Op::PutEventSource { event_source: Box::new(event_source(name)), based_on }
}

fn conflict(entity: Entity, name: &str, expected: i64, current: i64) -> StoreError {
    StoreError::Conflict { entity, name: name.into(), expected, current }
}

pub async fn an_empty_store_has_revision_zero(store: Arc<dyn Store>) {
    assert_eq!(store.revision().await, Ok(Revision(0)));
    let configuration = store.configuration().await.unwrap();
    assert_eq!(configuration, Default::default());
    assert_eq!(store.heartbeats().await, Ok(vec![]));
    assert_eq!(store.roles().await, Ok(vec![]));
    assert_eq!(store.last_fires().await, Ok(vec![]));
}

pub async fn what_is_put_is_read_back_with_its_version(store: Arc<dyn Store>) {
    let revision = store.commit(vec![put("web", 0), put("api", 0), put_source("home", 0)]).await.unwrap();
    assert_eq!(revision, Revision(1));
    let read = store.configuration().await.unwrap();
    assert_eq!(read.revision, revision);
    assert_eq!(store.revision().await, Ok(revision));
    let expected = |name: &str| wire::Component { version: 1, ..component(name) };
    assert_eq!(read.components, [expected("api"), expected("web")], "sorted, complete");
    let source = wire::EventSource { version: 1, ..event_source("home") };
    assert_eq!(
        read.event_sources,
        [wire::EventSourceWithStatus { event_source: source, enabled: true }],
        "a new event source is enabled"
    );
    assert_eq!(read.unreadable, []);
}

pub async fn a_put_needs_the_current_version(store: Arc<dyn Store>) {
    let put_as = |based_on| store.commit(vec![put("web", based_on)]);
    assert_eq!(put_as(3).await, Err(conflict(Entity::Component, "web", 3, 0)));
    put_as(0).await.unwrap();
    assert_eq!(put_as(0).await, Err(conflict(Entity::Component, "web", 0, 1)));
    put_as(1).await.unwrap();
    assert_eq!(put_as(1).await, Err(conflict(Entity::Component, "web", 1, 2)));
    let error = store.commit(vec![put_source("s", 1)]).await;
    assert_eq!(error, Err(conflict(Entity::EventSource, "s", 1, 0)));
    // The version inside the component doesn't count.
    let component = Box::new(wire::Component { version: 77, ..component("web") });
    store.commit(vec![Op::PutComponent { component, based_on: 2 }]).await.unwrap();
    assert_eq!(store.configuration().await.unwrap().components[0].version, 3);
}

pub async fn a_conflict_in_the_middle_changes_nothing(store: Arc<dyn Store>) {
    store.commit(vec![put("old", 0), put_source("s", 0)]).await.unwrap();
    let before = store.configuration().await.unwrap();
    let ops = vec![
        put("new", 0),
        Op::RemoveComponent { name: "old".into(), based_on: 1 },
        Op::EnableEventSource { name: "s".into(), enabled: false },
        put("other", 5),
        put("last", 0),
    ];
    assert_eq!(store.commit(ops).await, Err(conflict(Entity::Component, "other", 5, 0)));
    assert_eq!(store.configuration().await.unwrap(), before);
}

pub async fn expectations_guard_without_changing(store: Arc<dyn Store>) {
    let expect = |name: &str, version| Op::ExpectComponent { name: name.into(), version };
    let at = |revision| Op::ExpectRevision { revision: Revision(revision) };
    store.commit(vec![expect("web", 0), at(0), put("web", 0)]).await.unwrap();
    assert_eq!(store.commit(vec![expect("web", 1), at(1)]).await, Ok(Revision(1)));
    let stale = store.commit(vec![expect("web", 2), put_source("s", 0)]).await;
    assert_eq!(stale, Err(conflict(Entity::Component, "web", 2, 1)));
    let stale = store.commit(vec![at(0), put_source("s", 0)]).await.unwrap_err();
    assert!(stale.is_outdated_revision(), "{stale}");
    assert_eq!(store.configuration().await.unwrap().event_sources, []);
    assert_eq!(store.revision().await, Ok(Revision(1)));
}

pub async fn only_changes_raise_the_revision(store: Arc<dyn Store>) {
    assert_eq!(store.commit(vec![]).await, Ok(Revision(0)));
    assert_eq!(store.commit(vec![put_source("s", 0)]).await, Ok(Revision(1)));
    let enable = |enabled| Op::EnableEventSource { name: "s".into(), enabled };
    assert_eq!(store.commit(vec![enable(true)]).await, Ok(Revision(1)), "it was enabled");
    assert_eq!(store.commit(vec![enable(false)]).await, Ok(Revision(2)));
    let gone = Op::EnableEventSource { name: "gone".into(), enabled: false };
    assert_eq!(store.commit(vec![gone]).await, Ok(Revision(2)));
    // Heartbeats, roles and fires are no configuration.
    store.beat(heartbeat("n", "run", 1)).await.unwrap();
    store.write_role(role("cron", "n", 1), 0).await.unwrap();
    store.claim_fire("r".into(), WallTime::from_millis(1), "n".into()).await.unwrap();
    assert_eq!(store.revision().await, Ok(Revision(2)));
}

pub async fn an_event_source_keeps_its_enabled_flag(store: Arc<dyn Store>) {
    let disable = Op::EnableEventSource { name: "s".into(), enabled: false };
    store.commit(vec![put_source("s", 0), disable]).await.unwrap();
    let read = || async { store.configuration().await.unwrap().event_sources[0].clone() };
    let disabled = read().await;
    assert_eq!((disabled.enabled, disabled.event_source.version), (false, 1), "versions don't change");
    store.commit(vec![put_source("s", 1)]).await.unwrap();
    let put_again = read().await;
    assert_eq!((put_again.enabled, put_again.event_source.version), (false, 2));
    store.commit(vec![Op::RemoveEventSource { name: "s".into(), based_on: 2 }]).await.unwrap();
    store.commit(vec![put_source("s", 0)]).await.unwrap();
    assert!(read().await.enabled, "a removed and new one starts enabled");
}

pub async fn removals_need_the_current_version(store: Arc<dyn Store>) {
    store.commit(vec![put("web", 0), put_source("s", 0)]).await.unwrap();
    let remove = |based_on| Op::RemoveComponent { name: "web".into(), based_on };
    let remove_source = |based_on| Op::RemoveEventSource { name: "s".into(), based_on };
    assert_eq!(store.commit(vec![remove(2)]).await, Err(conflict(Entity::Component, "web", 2, 1)));
    assert_eq!(store.commit(vec![remove_source(0)]).await, Err(conflict(Entity::EventSource, "s", 0, 1)));
    store.commit(vec![remove_source(1), remove(1)]).await.unwrap();
    let read = store.configuration().await.unwrap();
    assert_eq!((read.components.len(), read.event_sources.len()), (0, 0));
    assert_eq!(store.commit(vec![remove(1)]).await, Err(conflict(Entity::Component, "web", 1, 0)));
    assert_eq!(store.commit(vec![put("web", 0)]).await, Ok(Revision(3)), "versions begin again");
}

pub async fn names_of_different_kinds_do_not_meet(store: Arc<dyn Store>) {
    store.commit(vec![put("same", 0), put_source("same", 0)]).await.unwrap();
    store.commit(vec![put("same", 1)]).await.unwrap();
    let read = store.configuration().await.unwrap();
    assert_eq!((read.components[0].version, read.event_sources[0].event_source.version), (2, 1));
}

pub async fn one_of_many_racing_puts_wins(store: Arc<dyn Store>) {
    let race = (0..RACERS).map(|_| store.commit(vec![put("web", 0)]));
    let won = join_all(race).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
    assert_eq!(store.revision().await, Ok(Revision(1)));
}

fn heartbeat(node: &str, incarnation: &str, beat: u64) -> Heartbeat {
    Heartbeat {
        node: NodeId::new(node),
        incarnation: incarnation.into(),
        beat,
        duration: Duration::from_millis(12_345),
        peer_url: "http://127.0.0.1:8374".into(),
        written_at: WallTime::from_millis(5),
    }
}

pub async fn a_heartbeat_goes_on_after_a_lost_answer(store: Arc<dyn Store>) {
    store.beat(heartbeat("b", "run", 1)).await.unwrap();
    store.beat(heartbeat("b", "run", 1)).await.expect("sent again");
    store.beat(heartbeat("b", "run", 2)).await.unwrap();
    store.beat(heartbeat("a", "run", 9)).await.expect("the first beat may have any number");
    assert_eq!(store.heartbeats().await, Ok(vec![heartbeat("a", "run", 9), heartbeat("b", "run", 2)]));
    let late = store.beat(heartbeat("b", "run", 1)).await;
    assert!(matches!(late, Err(StoreError::Conflict { entity: Entity::Heartbeat, current: 2, .. })));
    let gap = store.beat(heartbeat("b", "run", 4)).await;
    assert!(matches!(gap, Err(StoreError::Conflict { entity: Entity::Heartbeat, .. })), "{gap:?}");
    assert_eq!(store.heartbeats().await.unwrap()[1].beat, 2);
}

pub async fn a_new_run_of_a_daemon_takes_over_its_heartbeat(store: Arc<dyn Store>) {
    store.beat(heartbeat("n", "first", 7)).await.unwrap();
    store.beat(heartbeat("n", "second", 1)).await.unwrap();
    assert_eq!(store.heartbeats().await, Ok(vec![heartbeat("n", "second", 1)]));
}

pub async fn a_heartbeat_is_removed_by_its_own_run_only(store: Arc<dyn Store>) {
    store.beat(heartbeat("n", "second", 1)).await.unwrap();
    store.remove_heartbeat(NodeId::new("n"), "first".into()).await.unwrap();
    assert_eq!(store.heartbeats().await.unwrap().len(), 1);
    store.remove_heartbeat(NodeId::new("n"), "second".into()).await.unwrap();
    store.remove_heartbeat(NodeId::new("n"), "second".into()).await.expect("gone is fine");
    assert_eq!(store.heartbeats().await, Ok(vec![]));
}

fn role(name: &str, owner: &str, version: u64) -> RoleRecord {
    RoleRecord {
        role: Role::new(name),
        owner: Some(NodeId::new(owner)),
        incarnation: "run".into(),
        term: 100 + version,
        version,
    }
}

pub async fn a_role_is_written_by_who_saw_its_version(store: Arc<dyn Store>) {
    store.write_role(role("cron", "a", 1), 0).await.unwrap();
    let late = store.write_role(role("cron", "b", 1), 0).await;
    assert_eq!(late, Err(conflict(Entity::Role, "cron", 0, 1)));
    store.write_role(role("cron", "b", 2), 1).await.unwrap();
    let given_back = RoleRecord { owner: None, ..role("cron", "b", 3) };
    store.write_role(given_back.clone(), 2).await.unwrap();
    let unseen = store.write_role(role("placement", "a", 5), 4).await;
    assert_eq!(unseen, Err(conflict(Entity::Role, "placement", 4, 0)));
    store.write_role(role("autoscale", "a", 1), 0).await.unwrap();
    assert_eq!(store.roles().await, Ok(vec![role("autoscale", "a", 1), given_back]));
}

pub async fn a_role_written_again_after_a_lost_answer_is_accepted(store: Arc<dyn Store>) {
    store.write_role(role("cron", "a", 1), 0).await.unwrap();
    store.write_role(role("cron", "a", 1), 0).await.expect("the same record");
    let other = RoleRecord { incarnation: "other run".into(), ..role("cron", "a", 1) };
    assert_eq!(store.write_role(other, 0).await, Err(conflict(Entity::Role, "cron", 0, 1)));
}

pub async fn one_of_many_racing_claims_of_a_role_wins(store: Arc<dyn Store>) {
    let race = (0..RACERS).map(|n| store.write_role(role("cron", &format!("n{n}"), 1), 0));
    assert_eq!(join_all(race).await.into_iter().filter(Result::is_ok).count(), 1);
}

pub async fn a_due_time_is_claimed_once(store: Arc<dyn Store>) {
    let claim = |by: &str| store.claim_fire("nightly".into(), WallTime::from_millis(60_000), by.into());
    assert_eq!(claim("a").await, Ok(true));
    assert_eq!(claim("b").await, Ok(false));
    assert_eq!(claim("a").await, Ok(true), "its answer may have been lost");
}

pub async fn claims_only_move_forward(store: Arc<dyn Store>) {
    let claim = |due| store.claim_fire("r".into(), WallTime::from_millis(due), "a".into());
    assert_eq!(claim(20).await, Ok(true));
    assert_eq!(claim(10).await, Ok(false));
    assert_eq!(claim(30).await, Ok(true));
    assert_eq!(claim(20).await, Ok(false));
    assert_eq!(store.last_fires().await, Ok(vec![("r".into(), WallTime::from_millis(30))]));
}

pub async fn one_of_many_racing_claims_of_a_fire_wins(store: Arc<dyn Store>) {
    let race = (0..RACERS).map(|n| store.claim_fire("r".into(), WallTime::from_millis(1), format!("n{n}")));
    let won = join_all(race).await.into_iter().filter(|claim| *claim == Ok(true)).count();
    assert_eq!(won, 1);
}

pub async fn forgotten_rules_begin_anew(store: Arc<dyn Store>) {
    for rule in ["a", "b"] {
        store.claim_fire(rule.into(), WallTime::from_millis(50), "n".into()).await.unwrap();
    }
    store.forget_fires(vec!["a".into(), "never there".into()]).await.unwrap();
    assert_eq!(store.last_fires().await, Ok(vec![("b".into(), WallTime::from_millis(50))]));
    assert_eq!(store.claim_fire("a".into(), WallTime::from_millis(10), "n".into()).await, Ok(true));
}
