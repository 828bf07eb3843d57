//! A daemon that starts beside the containers of its previous run.

use std::time::Duration;

use maelstrom_core::{
    decide::{converge::State, health::Probe, pool::Place},
    names::NodeId,
    ports::engine::{ContainerEngine, ContainerSpec},
    testing::engine::Delays,
};

use super::world::{World, docker, name, web};

/// A restart of the original's daemon killed every container.
#[tokio::test]
async fn running_containers_are_taken_over() {
    let world = World::new(web(|_| {})).await;
    world.target(2);
    world.serving(2).await;
    let mut before = world.ids();
    let (clock, engine) = world.crash().await;
    let world = World::on(clock, engine, web(|_| {})).await;
    world.serving(2).await;
    let mut after = world.ids();
    before.sort();
    after.sort();
    assert_eq!(before, after);
    assert!(world.request().await.unwrap().is_ok());
    assert_eq!(world.creates(), 2, "nothing was started");
    assert!(world.story().contains("adopted"));
}

#[tokio::test]
async fn a_paused_container_stands_by_again() {
    let component = || web(|web| web.standby = Some(1));
    let world = World::new(component()).await;
    world.until("one stands by", |world| world.count(State::Standby) == 1).await;
    let ids = world.ids();
    let (clock, engine) = world.crash().await;
    let world = World::on(clock, engine, component()).await;
    world.until("it stands by again", |world| world.count(State::Standby) == 1).await;
    assert_eq!(world.ids(), ids);
    let waiter = world.request();
    world.target(1);
    world.settle().await;
    assert_eq!(waiter.await.unwrap().unwrap().endpoint().place, Place::Here(ids[0].clone()));
}

#[tokio::test]
async fn a_paused_container_that_nobody_wants_is_removed() {
    let world = World::new(web(|web| web.standby = Some(1))).await;
    world.until("one stands by", |world| world.count(State::Standby) == 1).await;
    let (clock, engine) = world.crash().await;
    let world = World::on(clock, engine, web(|_| {})).await;
    world.until("it is gone", |world| world.engine.containers().is_empty()).await;
}

#[tokio::test]
async fn containers_of_another_version_are_removed() {
    let world = World::new(web(|_| {})).await;
    world.target(2);
    world.serving(2).await;
    let (clock, engine) = world.crash().await;
    let world = World::on(clock, engine, web(|web| web.version = 2)).await;
    world.until("they are gone", |world| world.engine.containers().is_empty()).await;
}

/// Others start what is missing elsewhere, up to maxinstances: what still ends here counts.
#[tokio::test]
async fn containers_of_another_version_are_told_of_until_they_are_gone() {
    let component = |version| {
        web(|web| {
            web.version = version;
            docker(web).reserve_memory_mib = Some(1_000);
        })
    };
    let world = World::new(component(1)).await;
    world.target(2);
    world.serving(2).await;
    let (clock, engine) = world.crash().await;
    engine.set_delays(Delays { stop: Duration::from_secs(5), ..Delays::default() });
    let world = World::on(clock, engine, component(2)).await;
    let told = |world: &World| {
        let status = world.node.status();
        let ending = status.running_components.iter().filter(|one| one.status == "stopping");
        (ending.count(), status.free_memory_mib, status.other_memory_mib)
    };
    assert_eq!(told(&world), (2, 2_096, Some(2_000)));
    let version = world.node.status().version;
    world.until("they are gone", |world| world.engine.containers().is_empty()).await;
    world.until("that is told", |world| told(world) == (0, 4_096, Some(0))).await;
    assert!(world.node.status().version > version);
}

/// They may take longer than it takes until containers are looked at again.
#[tokio::test]
async fn containers_that_are_slow_to_end_are_stopped_once() {
    let component = |version| web(|web| web.version = version);
    let world = World::new(component(1)).await;
    world.target(1);
    world.serving(1).await;
    let (clock, engine) = world.crash().await;
    engine.set_delays(Delays { stop: Duration::from_secs(50), ..Delays::default() });
    let world = World::on(clock, engine, component(2)).await;
    world.pass(Duration::from_secs(45), |world| assert_eq!(world.engine.containers().len(), 1)).await;
    world.until("it is gone", |world| world.engine.containers().is_empty()).await;
    let story = world.story();
    assert_eq!(story.matches("a container of no current instance is removed").count(), 1, "{story}");
}

#[tokio::test]
async fn what_must_not_run_beside_its_older_version_waits_for_containers_that_were_left() {
    let component = |version| {
        web(|web| {
            web.version = version;
            web.restart_order = Some("stopstart".into());
        })
    };
    let world = World::new(component(1)).await;
    world.target(1);
    world.serving(1).await;
    let (clock, engine) = world.crash().await;
    engine.set_delays(Delays { stop: Duration::from_secs(5), ..Delays::default() });
    let world = World::on(clock, engine, component(2)).await;
    world.target(1);
    world.pass(Duration::from_secs(4), |world| assert_eq!(world.running().len(), 1)).await;
    assert_eq!(world.creates(), 1, "nothing was started");
    world.serving(1).await;
    assert_eq!((world.running().len(), world.creates()), (1, 2));
}

#[tokio::test]
async fn a_container_that_no_longer_answers_is_replaced() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let ids = world.ids();
    let (clock, engine) = world.crash().await;
    let world = World::on(clock, engine, web(|_| {})).await;
    *world.checker.answer.lock() = Some(Probe::Failed("was refused".into()));
    // The first check may have passed before the answer was set.
    world.until("it is replaced", |world| !world.ids().contains(&ids[0])).await;
    *world.checker.answer.lock() = None;
    world.serving(1).await;
}

#[tokio::test]
async fn other_nodes_containers_are_left_alone_and_half_made_ones_removed() {
    let world = World::new(web(|_| {})).await;
    let spec = |node: &str, name: &str| ContainerSpec {
        name: name.to_owned(),
        node: NodeId::new(node),
        component: super::world::name(),
        version: 1,
        environment: Vec::new(),
        docker: web(|_| {}).docker.clone(),
    };
    let foreign = world.engine.create(spec("n2", "foreign")).await.unwrap();
    world.engine.start(foreign.clone()).await.unwrap();
    world.engine.create(spec("n1", "half-made")).await.unwrap();
    let (clock, engine) = world.crash().await;
    let world = World::on(clock, engine, web(|_| {})).await;
    world.until("only the other node's is left", |world| world.engine.containers().len() == 1).await;
    assert_eq!(world.engine.containers()[0].id, foreign);
    world.pass(Duration::from_secs(60), |world| assert_eq!(world.running().len(), 1)).await;
}

#[tokio::test]
async fn an_image_retagged_while_the_daemon_was_away_restarts_its_instances() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let (clock, engine) = world.crash().await;
    let image = engine.add_image("app");
    let world = World::on(clock, engine, web(|_| {})).await;
    world
        .until("the new image serves", |world| {
            world.count(State::Serving) == 1 && world.running().iter().all(|c| c.image_id == image)
        })
        .await;
}

#[tokio::test]
async fn memory_of_taken_over_containers_is_counted() {
    let component = || web(|web| docker(web).reserve_memory_mib = Some(1_000));
    let world = World::new(component()).await;
    world.target(2);
    world.serving(2).await;
    let (clock, engine) = world.crash().await;
    let world = World::on(clock, engine, component()).await;
    world.serving(2).await;
    assert_eq!(world.node.status().free_memory_mib, 2_096);
    assert_eq!(crate::control::Targets::view(world.node.as_ref()).targets[&name()], 2);
}
