//! Nodes in one process, with real connections between them, over one store in memory.

mod stack;

use maelstrom_core::{
    testing::store::MemoryStore,
    wire::{ComponentInfo, FailureInfo, ListEventsInput},
};

use self::stack::{Manner, Stack, instance};
use super::*;

/// Nobody leaves within a test.
const LONG: Duration = Duration::from_secs(300);

async fn three(store: &MemoryStore) -> [Stack; 3] {
    let a = Stack::new(store, "a", "1", LONG).await;
    let b = Stack::new(store, "b", "1", LONG).await;
    let c = Stack::new(store, "c", "1", LONG).await;
    a.meets(&b).await;
    b.meets(&c).await;
    c.meets(&a).await;
    [a, b, c]
}

fn journal(stack: &Stack) -> Vec<String> {
    stack.journal.list(&ListEventsInput::default()).into_iter().map(|event| event.message).collect()
}

#[tokio::test]
async fn nodes_find_each_other_and_a_change_of_one_reaches_all() {
    let [a, b, c] = three(&MemoryStore::new()).await;
    a.change(|status| status.running_components = vec![instance("web"), instance("web"), instance("api")]);
    for peer in [&b, &c] {
        peer.told("a", "its instances", |told| {
            told.is_some_and(|t| t.serving == [("web".to_owned(), 2), ("api".to_owned(), 1)])
        })
        .await;
    }
    a.change(|status| {
        let standby = ComponentInfo { standby: Some(true), ..instance("web") };
        let suspect = ComponentInfo { suspect: Some(true), ..instance("web") };
        let starting = ComponentInfo { status: "starting".into(), ..instance("web") };
        status.running_components = vec![standby, suspect, starting, instance("web")];
    });
    b.told("a", "one that takes requests", |t| t.is_some_and(|t| t.serving == [("web".to_owned(), 1)])).await;
    a.change(|status| status.draining = Some(true));
    a.peers.settle(LONG).await;
    b.told("a", "the same while it drains", |told| told.is_some_and(|t| t.serving.len() == 1)).await;
    a.change(|status| status.closing = Some(true));
    b.told("a", "nothing when it closes", |told| told.is_some_and(|t| t.serving.is_empty())).await;
    let view: Vec<String> = b.peers.view().iter().map(|view| view.status.node_id.clone()).collect();
    assert_eq!(view, ["a", "c"]);
    assert_eq!(b.peers.url_of(&NodeId::new("a")), Some(a.address));
    assert!(journal(&b).contains(&"node 'a' can be reached".to_owned()), "{:?}", journal(&b));
}

#[tokio::test]
async fn many_changes_in_a_moment_go_as_few() {
    let [a, b, _c] = three(&MemoryStore::new()).await;
    let before = b.requests("NodeService.StatusChanged");
    for _ in 0..200 {
        a.change(|status| status.running_components = vec![instance("web")]);
    }
    b.told("a", "the last of them", |told| told.is_some_and(|t| t.serving.len() == 1)).await;
    a.peers.settle(LONG).await;
    assert_eq!(b.peers.view()[0].status.version, 201);
    let pushes = b.requests("NodeService.StatusChanged") - before;
    assert!(pushes <= 5, "{pushes} pushes");
}

#[tokio::test]
async fn a_restarted_daemon_replaces_its_last_run_at_once_wherever_it_listens() {
    let store = MemoryStore::new();
    let [a, b, _c] = three(&store).await;
    a.change(|status| status.running_components = vec![instance("web")]);
    b.told("a", "web", |told| told.is_some_and(|t| t.serving.len() == 1)).await;
    let before = a.address;
    a.die().await;
    b.told("a", "that it does not answer", |told| told.is_some_and(|t| t.held)).await;
    let a = Stack::new(&store, "a", "2", LONG).await;
    assert_ne!(a.address, before);
    b.told("a", "its new run, which serves nothing yet", |told| {
        told.is_some_and(|t| t.address == Some(a.address) && t.serving.is_empty() && !t.held)
    })
    .await;
    assert_eq!(b.peers.view()[0].status.incarnation.as_deref(), Some("2"));
    assert!(journal(&b).contains(&"node 'a' was started anew".to_owned()), "{:?}", journal(&b));
    // Named by its host from now on: where that is, is seen by connecting.
    a.die().await;
    let a = Stack::by_name(&store, "a", "3", LONG).await;
    b.told("a", "where it is", |told| told.is_some_and(|t| t.address == Some(a.address) && !t.held)).await;
}

/// Nothing was sent there: the kernel's word that the connection is gone is enough to ask.
#[tokio::test]
async fn a_dead_peer_is_found_out_by_its_closed_connection() {
    let [a, b, c] = three(&MemoryStore::new()).await;
    a.die().await;
    for peer in [&b, &c] {
        peer.told("a", "that it can't be reached", |told| told.is_some_and(|t| t.held)).await;
        let status = peer.peers.statuses().into_iter().find(|status| status.node_id == "a").unwrap();
        assert!(status.unreachable_since.is_some());
        assert!(peer.peers.statuses().iter().any(|status| status.unreachable_since.is_none()));
    }
}

/// The original evicted a peer on one failed check.
#[tokio::test]
async fn a_silent_peer_is_held_asked_again_and_resumed() {
    let [a, b, _c] = three(&MemoryStore::new()).await;
    b.manner.send_replace(Manner::Frozen);
    a.routing.suspect("b");
    a.told("b", "to hold it", |told| told.is_some_and(|t| t.held)).await;
    let asked = b.requests("NodeService.GetStatus");
    while b.requests("NodeService.GetStatus") < asked + 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(a.peers.view()[0].silent_since.is_some());
    b.manner.send_replace(Manner::Answers);
    a.told("b", "to use it again", |told| told.is_some_and(|t| !t.held)).await;
    assert!(a.peers.view()[0].silent_since.is_none());
}

#[tokio::test]
async fn a_frozen_peer_is_found_out_without_any_request() {
    let [a, b, _c] = three(&MemoryStore::new()).await;
    b.manner.send_replace(Manner::Frozen);
    a.told("b", "to hold it", |told| told.is_some_and(|t| t.held)).await;
}

#[tokio::test]
async fn who_gives_no_sign_of_life_leaves_and_its_heartbeat_goes() {
    let store = MemoryStore::new();
    let mut a = Stack::new(&store, "a", "1", Duration::from_secs(3)).await;
    let b = Stack::new(&store, "b", "1", Duration::from_secs(3)).await;
    a.meets(&b).await;
    b.die().await;
    a.told("b", "that it has left", |told| told.is_none()).await;
    assert_eq!(a.peers.view(), []);
    a.beat().await;
    while store.heartbeats().await.unwrap().len() > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(journal(&a).contains(&"node 'b' has left the cluster".to_owned()));
    let unknown = a.peers.call(&NodeId::new("b"), wire::GetVersion, &Default::default(), LONG).await;
    assert_eq!(unknown, Err(PeerError::Unknown(NodeId::new("b"))));
}

#[tokio::test]
async fn who_says_goodbye_is_gone_at_once() {
    let store = MemoryStore::new();
    let [a, b, c] = three(&store).await;
    a.peers.say_goodbye(LONG).await;
    assert!(b.peers.view().iter().all(|view| view.status.node_id != "a"));
    c.told("a", "that it has left", |told| told.is_none()).await;
    // What it still says is of a run that is over.
    a.change(|status| status.running_components = vec![instance("web")]);
    a.peers.settle(LONG).await;
    assert!(b.peers.view().iter().all(|view| view.status.node_id != "a"));
    let a = Stack::new(&store, "a", "2", LONG).await;
    a.meets(&b).await;
}

#[tokio::test]
async fn a_refresh_asks_everybody_and_waits_for_nobody_for_long() {
    let [a, b, c] = three(&MemoryStore::new()).await;
    b.quietly(|status| status.free_memory_mib = 77);
    c.manner.send_replace(Manner::Frozen);
    a.peers.refresh(Duration::from_millis(500)).await;
    assert_eq!(a.peers.view()[0].status.free_memory_mib, 77);
    assert_eq!(a.peers.view().len(), 2);
}

#[tokio::test]
async fn a_failed_start_is_told_once_while_it_lasts() {
    let [a, b, _c] = three(&MemoryStore::new()).await;
    let failure = FailureInfo {
        component_name: "web".into(),
        status: 502,
        reason: "no such image".into(),
        retry_after_millis: 60_000,
    };
    a.change(|status| status.failures = vec![failure.clone()]);
    b.told("a", "the failure", |told| told.is_some_and(|t| t.refused.len() == 1)).await;
    a.change(|status| status.draining = Some(true));
    a.change(|status| status.draining = None);
    a.change(|status| status.running_components = vec![instance("api")]);
    b.told("a", "more", |told| told.is_some_and(|t| t.serving.len() == 1)).await;
    b.told("a", "the failure no second time", |told| {
        told.is_some_and(|t| t.refused == ["web: no such image (on node a)"])
    })
    .await;
}

#[tokio::test]
async fn a_commit_is_noticed_by_all() {
    let [a, mut b, mut c] = three(&MemoryStore::new()).await;
    a.commits.send_replace(Revision(1));
    for peer in [&mut b, &mut c] {
        tokio::time::timeout(LONG, peer.notices.wait_for(|notices| *notices > 0)).await.unwrap().unwrap();
    }
    assert_eq!(*a.notices.borrow(), 0);
}

#[tokio::test]
async fn a_node_alone_makes_no_traffic() {
    let store = MemoryStore::new();
    let a = Stack::new(&store, "a", "1", LONG).await;
    while store.calls() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..50 {
        a.change(|status| status.draining = None);
        a.commits.send_modify(|revision| revision.0 += 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*a.connections.borrow(), 0);
    assert_eq!(store.calls(), 2, "its heartbeat and one look for others");
    assert!(a.peers.announced.borrow().status.is_none(), "not even a status was made");
}

#[tokio::test]
async fn calls_are_bounded_and_tell_of_the_peer_s_health() {
    let [a, b, _c] = three(&MemoryStore::new()).await;
    let node = NodeId::new("b");
    let version = a.peers.call(&node, wire::GetVersion, &Default::default(), LONG).await.unwrap();
    assert_eq!(version.node_id, "b");
    let unknown = a.peers.call(&node, wire::ListProjects, &Default::default(), LONG).await.unwrap_err();
    assert!(
        unknown.to_string().starts_with("node 'b': MaelstromService.ListProjects: no method"),
        "{unknown}"
    );
    b.manner.send_replace(Manner::Frozen);
    let limit = Duration::from_millis(100);
    let late = a.peers.call(&node, wire::GetVersion, &Default::default(), limit).await.unwrap_err();
    assert_eq!(late.to_string(), "node 'b' did not answer MaelstromService.GetVersion within 100ms");
    a.told("b", "to hold it", |told| told.is_some_and(|t| t.held)).await;
}
