//! An engine that loses events, goes away and comes back.

use std::time::Duration;

use maelstrom_core::{decide::converge::State, testing::engine::Operation};

use super::world::{World, web};
use crate::router::AcquireError;

#[tokio::test]
async fn a_death_whose_event_was_lost_is_found() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let victim = world.ids()[0].clone();
    world.engine.lose_events(true);
    world.engine.crash(&victim, 9);
    let began = world.now();
    world
        .until("it is replaced", |world| world.count(State::Serving) == 1 && !world.ids().contains(&victim))
        .await;
    assert!(world.now().since(began) <= Duration::from_secs(35));
}

/// The original never subscribed again after the engine had restarted.
#[tokio::test]
async fn deaths_while_the_engine_was_away_are_found_when_it_is_back() {
    let world = World::new(web(|_| {})).await;
    world.target(2);
    world.serving(2).await;
    let victim = world.ids()[0].clone();
    world.engine.go_away();
    world.engine.crash(&victim, 9);
    world.pass(Duration::from_secs(60), |world| assert!(world.count(State::Serving) >= 1)).await;
    world.engine.come_back();
    world.serving(2).await;
    assert!(!world.ids().contains(&victim));
    world.until("nothing is left behind", |world| world.engine.containers().len() == 2).await;
}

#[tokio::test]
async fn instances_stay_in_rotation_while_the_engine_is_away() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let ids = world.ids();
    world.engine.go_away();
    world.pass(Duration::from_secs(600), |world| assert_eq!(world.count(State::Serving), 1)).await;
    world.engine.come_back();
    world.pass(Duration::from_secs(60), |_| {}).await;
    assert_eq!(world.ids(), ids);
}

#[tokio::test]
async fn starts_fail_clearly_while_the_engine_is_away_and_succeed_when_it_is_back() {
    let world = World::new(web(|_| {})).await;
    world.engine.go_away();
    world.target(1);
    let waiter = world.request();
    world.settle().await;
    let Err(AcquireError::StartFailed(failure)) = waiter.await.unwrap() else { panic!("refused expected") };
    assert!(failure.status == 503 && failure.reason.contains("engine"), "{failure:?}");
    let before = world.creates();
    world.pass(Duration::from_secs(120), |_| {}).await;
    assert!(world.engine.count(Operation::Create) - before <= 8, "no spin");
    world.engine.come_back();
    let began = world.now();
    world.serving(1).await;
    assert!(world.now().since(began) < Duration::from_secs(5), "not after the longest pause");
    assert!(world.request().await.unwrap().is_ok());
}

#[tokio::test]
async fn what_could_not_be_removed_is_removed_later() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    world.engine.go_away();
    world.target(0);
    world.until("the node has given up on it", |world| world.instances().is_empty()).await;
    assert_eq!(world.engine.containers().len(), 1);
    world.engine.come_back();
    world.until("it is gone", |world| world.engine.containers().is_empty()).await;
}

#[tokio::test]
async fn an_engine_that_is_away_at_the_start_is_waited_for() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let ids = world.ids();
    let (clock, engine) = world.crash().await;
    engine.go_away();
    let world = World::on(clock, engine, web(|_| {})).await;
    world.pass(Duration::from_secs(30), |_| {}).await;
    world.engine.come_back();
    world.serving(1).await;
    assert_eq!(world.ids(), ids, "adopted, late");
}
