//! Paused instances are those of the whole cluster: what a node holds follows what its peers tell.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    component::Component,
    decide::{converge::State, scheduler::LOST_AFTER},
    names::ComponentName,
    testing::{clock::SimulatedClock, engine::FakeEngine},
    wire::{NodeStatus, TargetInfo},
};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::world::{World, docker, name, web};
use crate::{
    cluster::PeerView,
    control::{Target, Targets},
};

/// What the node knows of others.
struct Peers {
    views: Arc<Mutex<Vec<PeerView>>>,
    changed: watch::Sender<u64>,
}

impl Peers {
    /// Told from now on.
    fn of(world: &World, first: Vec<PeerView>) -> Self {
        let views = Arc::new(Mutex::new(first));
        let (changed, changes) = watch::channel(0);
        let told = views.clone();
        tokio::spawn(world.node.clone().follow_peers(move || told.lock().clone(), changes));
        Self { views, changed }
    }

    async fn are(&self, world: &World, views: Vec<PeerView>) {
        *self.views.lock() = views;
        self.changed.send_modify(|number| *number += 1);
        world.settle().await;
    }
}

/// A node with memory and so many instances, serving and paused.
fn peer(serving: i64, standby: i64) -> PeerView {
    let web = TargetInfo { component_name: "web".into(), target_count: serving, standby };
    let status = NodeStatus {
        node_id: "n2".into(),
        version: 1,
        total_memory_mib: 4_096,
        targets: vec![web],
        ..NodeStatus::default()
    };
    PeerView { status: Arc::new(status), silent_since: None, beats: false }
}

/// One that has no memory beside what it runs.
fn full(serving: i64) -> PeerView {
    let status =
        NodeStatus { total_memory_mib: 128 * serving, ..NodeStatus::clone(&peer(serving, 0).status) };
    PeerView { status: Arc::new(status), silent_since: None, beats: false }
}

fn standing_by() -> Arc<Component> {
    web(|web| {
        web.standby = Some(1);
        web.max_instances = Some(2);
    })
}

/// A node whose peer holds the one paused instance.
async fn held_elsewhere() -> (World, Peers) {
    let world = World::new(web(|_| {})).await;
    let peers = Peers::of(&world, vec![peer(0, 1)]);
    world.settle().await;
    world.configure([standing_by()]);
    world.pass(Duration::from_secs(30), |world| assert!(world.instances().is_empty(), "a second one")).await;
    (world, peers)
}

async fn stands_by(world: &World) {
    world.until("one stands by", |world| world.count(State::Standby) == 1).await;
}

async fn none_is_left(world: &World) {
    world.until("none is left", |world| world.engine.containers().is_empty()).await;
}

#[tokio::test]
async fn what_a_peer_holds_is_not_held_here_until_the_peer_is_lost() {
    let (world, peers) = held_elsewhere().await;
    let silent = PeerView { silent_since: Some(world.now()), ..peer(0, 1) };
    peers.are(&world, vec![silent]).await;
    let almost = LOST_AFTER.saturating_sub(Duration::from_millis(1));
    world.pass(almost, |world| assert!(world.instances().is_empty(), "it may answer again")).await;
    // Nobody tells that it is lost now.
    stands_by(&world).await;
    // Others that come without one move nothing.
    peers.are(&world, vec![peer(0, 0)]).await;
    world.pass(Duration::from_secs(30), |world| assert_eq!(world.count(State::Standby), 1)).await;
}

#[tokio::test]
async fn a_peer_that_leaves_or_whose_own_is_resumed_leaves_it_to_another() {
    let (world, peers) = held_elsewhere().await;
    peers.are(&world, vec![]).await;
    stands_by(&world).await;
    let (world, peers) = held_elsewhere().await;
    peers.are(&world, vec![full(1)]).await;
    stands_by(&world).await;
}

#[tokio::test]
async fn instances_of_peers_leave_fewer_to_stand_by() {
    let world = World::new(standing_by()).await;
    stands_by(&world).await;
    let peers = Peers::of(&world, vec![peer(1, 0)]);
    world.pass(Duration::from_secs(30), |world| assert_eq!(world.count(State::Standby), 1)).await;
    peers.are(&world, vec![peer(2, 0)]).await;
    none_is_left(&world).await;
    peers.are(&world, vec![full(1)]).await;
    stands_by(&world).await;
}

/// The daemon that was started anew takes over what its last run had paused, but has not looked yet.
#[tokio::test]
async fn a_peer_that_restarts_has_what_it_had() {
    let (world, peers) = held_elsewhere().await;
    let mut anew = NodeStatus::clone(&peer(0, 0).status);
    (anew.adopting, anew.targets) = (Some(true), Vec::new());
    peers
        .are(&world, vec![PeerView { status: Arc::new(anew.clone()), silent_since: None, beats: false }])
        .await;
    world.pass(Duration::from_secs(30), |world| assert!(world.instances().is_empty())).await;
    // It found that all its memory is taken.
    (anew.adopting, anew.other_memory_mib) = (None, Some(4_096));
    peers.are(&world, vec![PeerView { status: Arc::new(anew), silent_since: None, beats: false }]).await;
    stands_by(&world).await;
}

#[tokio::test]
async fn a_node_that_just_came_first_listens_who_is_there() {
    const LISTENS: Duration = Duration::from_secs(3);
    let clock = SimulatedClock::new();
    let engine = FakeEngine::new(Arc::new(clock.clone()));
    engine.add_image("app");
    let world = World::listening(clock, engine, standing_by(), LISTENS).await;
    let _peers = Peers::of(&world, vec![]);
    let almost = LISTENS.saturating_sub(Duration::from_millis(1));
    world.pass(almost, |world| assert!(world.instances().is_empty())).await;
    stands_by(&world).await;
    // The next run keeps what it finds.
    let (clock, engine) = world.crash().await;
    let world = World::listening(clock, engine, standing_by(), LISTENS).await;
    world.pass(LISTENS, |world| assert_eq!(world.count(State::Standby), 1)).await;
    assert_eq!(world.creates(), 1);
}

#[tokio::test]
async fn a_node_that_drains_holds_none() {
    let world = World::new(standing_by()).await;
    let peers = Peers::of(&world, vec![peer(0, 0)]);
    stands_by(&world).await;
    world.node.set_draining(true);
    none_is_left(&world).await;
    world.node.set_draining(false);
    peers.are(&world, vec![]).await;
    stands_by(&world).await;
}

#[tokio::test]
async fn memory_that_other_components_give_back_is_used() {
    let other = web(|other| {
        other.name = "other".into();
        docker(other).reserve_memory_mib = Some(4_000);
    });
    let large = web(|web| {
        web.standby = Some(1);
        docker(web).reserve_memory_mib = Some(1_000);
    });
    let world = World::new(other.clone()).await;
    let _peers = Peers::of(&world, vec![]);
    let order = |component: ComponentName, count| {
        let target = Target { component, count, reasons: vec!["a test".into()] };
        world.node.set_targets(None, None, &[target]).unwrap();
    };
    order(other.name.clone(), 1);
    world.until("it runs", |world| world.running().len() == 1).await;
    world.configure([other.clone(), large]);
    world.pass(Duration::from_secs(30), |world| assert!(world.paused().is_empty(), "no memory")).await;
    order(other.name.clone(), 0);
    world.until("one stands by", |world| world.paused().len() == 1).await;
    order(name(), 1);
    world
        .until("it was replaced", |world| world.count(State::Serving) == 1 && world.paused().len() == 1)
        .await;
}
