//! Taking, keeping and giving back roles on a store in memory.

use maelstrom_core::{testing::store::MemoryStore, wire::ListEventsInput};

use super::*;
use crate::{clock::PausedClock, tasks::Tasks};

fn cron() -> Role {
    Role::new("cron")
}

fn node(store: &MemoryStore, name: &str, run: &str) -> Arc<Roles> {
    let journal = Arc::new(Journal::new(NodeId::new(name)));
    let settings = RolesSettings::new(NodeId::new(name), run.into(), "http://127.0.0.1:8374".into());
    let wanted = vec![cron(), Role::new("placement")];
    Roles::new(Arc::new(store.clone()), journal, Arc::new(PausedClock::new()), settings, wanted)
}

fn start(tasks: &Tasks, roles: &Arc<Roles>) {
    tasks.spawn("roles", roles.clone().run(tasks.token().clone()));
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

fn told(roles: &Roles) -> Vec<String> {
    roles.journal.list(&ListEventsInput::default()).into_iter().map(|event| event.message).collect()
}

#[tokio::test(start_paused = true)]
async fn one_node_has_all_roles_at_once_and_keeps_them_while_the_store_is_away() {
    let store = MemoryStore::exclusive();
    let first = node(&store, "a", "1");
    first.acquire().await.unwrap();
    assert_eq!(first.owns(&cron()), Some(Term(1)));
    assert_eq!(told(&first).len(), 2);
    drop(first);
    let second = node(&store, "renamed", "2");
    second.acquire().await.unwrap();
    assert_eq!(second.owns(&cron()), Some(Term(2)), "its former record is no other owner");
    let tasks = Tasks::new();
    start(&tasks, &second);
    store.set_away(true);
    seconds(600).await;
    assert_eq!(second.owns(&cron()), Some(Term(2)));
    assert_eq!(store.heartbeats().await.ok(), None);
    store.set_away(false);
    assert_eq!(store.heartbeats().await, Ok(vec![]), "nobody is there to read one");
    second.give_back().await.unwrap();
    assert_eq!(second.owns(&cron()), None);
    assert!(store.roles().await.unwrap().iter().all(|record| record.owner.is_none()));
    tasks.stop(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_taken_within_a_second_or_so() {
    let store = MemoryStore::new();
    let (a, b) = (node(&store, "a", "1"), node(&store, "b", "1"));
    a.acquire().await.unwrap();
    let (tasks_a, tasks_b) = (Tasks::new(), Tasks::new());
    start(&tasks_a, &a);
    start(&tasks_b, &b);
    seconds(300).await;
    assert_eq!((a.owns(&cron()), b.owns(&cron())), (Some(Term(1)), None), "it stays where it is");
    let mut changes = b.changes();
    changes.mark_unchanged();
    assert_eq!(b.owner_of(&cron()), Some((NodeId::new("a"), Term(1))));
    a.give_back().await.unwrap();
    assert_eq!(a.owns(&cron()), None);
    tokio::time::timeout(Duration::from_millis(1_100), changes.changed()).await.unwrap().unwrap();
    assert_eq!(b.owns(&cron()), Some(Term(2)));
    assert!(told(&a).iter().any(|line| line == "role 'cron' given back, term 1"));
    seconds(60).await;
    assert_eq!(b.owns(&cron()), Some(Term(2)), "who leaves takes nothing back while it drains");
    assert_eq!(a.owner_of(&cron()), Some((NodeId::new("b"), Term(2))));
    assert_eq!(store.heartbeats().await.unwrap().len(), 2, "it lives as long as it drains");
    tasks_a.stop(Duration::from_secs(1)).await;
    a.leave().await.unwrap();
    assert_eq!(store.heartbeats().await.unwrap().len(), 1);
    tasks_b.stop(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_followed_after_its_duration_and_never_before() {
    let store = MemoryStore::new();
    let (a, b) = (node(&store, "a", "1"), node(&store, "b", "1"));
    let (tasks_a, tasks_b) = (Tasks::new(), Tasks::new());
    a.acquire().await.unwrap();
    start(&tasks_a, &a);
    start(&tasks_b, &b);
    seconds(60).await;
    tasks_a.stop(Duration::from_secs(1)).await;
    // Within 20 s: its duration, the time until its last beat was first seen, a look.
    for _ in 0..200 {
        assert!(a.owns(&cron()).is_none() || b.owns(&cron()).is_none());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(b.owns(&cron()), Some(Term(2)));
    tasks_b.stop(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_shared_store_away_for_long_ends_ownership_and_lost_answers_do_not() {
    let store = MemoryStore::new();
    let a = node(&store, "a", "1");
    let tasks = Tasks::new();
    a.acquire().await.unwrap();
    start(&tasks, &a);
    for _ in 0..20 {
        store.lose_answers(1);
        seconds(10).await;
        assert!(a.owns(&cron()).is_some());
    }
    store.set_away(true);
    seconds(20).await;
    assert_eq!(a.owns(&cron()), None);
    assert!(told(&a).contains(&"role 'cron' lost, term 1".to_owned()));
    store.set_away(false);
    seconds(7).await;
    assert_eq!(a.owns(&cron()), Some(Term(2)));
    tasks.stop(Duration::from_secs(1)).await;
}

fn start_web() -> Role {
    Role::new("start/web")
}

#[tokio::test(start_paused = true)]
async fn a_role_wanted_for_a_while_goes_from_hand_to_hand() {
    let store = MemoryStore::new();
    let (a, b) = (node(&store, "a", "1"), node(&store, "b", "1"));
    let tasks = Tasks::new();
    for roles in [&a, &b] {
        roles.acquire().await.unwrap();
        start(&tasks, roles);
    }
    seconds(3).await;
    let begin = a.clock.now();
    let (at_a, again_at_a) = (a.want_one(start_web()), a.want_one(start_web()));
    let term = at_a.owned().await;
    assert!(a.clock.now().since(begin) < Duration::from_millis(100), "a bid does not wait for the next look");
    let at_b = b.want_one(start_web());
    seconds(5).await;
    assert_eq!((at_b.term(), again_at_a.term()), (None, Some(term)));
    drop(at_a);
    assert_eq!(again_at_a.term(), Some(term), "somebody on the node wants it still");
    let begin = a.clock.now();
    drop(again_at_a);
    assert_eq!(a.owns(&start_web()), None, "at once");
    assert!(at_b.owned().await > term);
    assert!(a.clock.now().since(begin) <= Duration::from_secs(2));
    drop(at_b);
    seconds(2).await;
    let record = store.roles().await.unwrap().into_iter().find(|record| record.role == start_web()).unwrap();
    assert_eq!(record.owner, None);
    tasks.stop(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_role_given_back_while_the_store_is_away_is_given_back_later() {
    let store = MemoryStore::new();
    let a = node(&store, "a", "1");
    let tasks = Tasks::new();
    a.acquire().await.unwrap();
    start(&tasks, &a);
    let wanted = a.want_one(start_web());
    wanted.owned().await;
    store.set_away(true);
    drop(wanted);
    seconds(3).await;
    store.set_away(false);
    seconds(3).await;
    let record = store.roles().await.unwrap().into_iter().find(|record| record.role == start_web()).unwrap();
    assert_eq!(record.owner, None);
    tasks.stop(Duration::from_secs(1)).await;
}
