//! New versions, other images, start orders.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{converge::State, health::Probe},
    testing::engine::{Delays, ImageBehaviour, Operation},
    wire::{ComponentInfo, NodeStatus},
};
use parking_lot::Mutex;

use super::world::{World, docker, web};

fn slow() -> Delays {
    Delays {
        create: Duration::from_millis(10),
        start: Duration::from_millis(300),
        stop: Duration::from_millis(200),
        ..Default::default()
    }
}

fn versions(world: &World) -> Vec<i64> {
    world.instances().iter().map(|instance| instance.component.version).collect()
}

#[tokio::test]
async fn a_startstop_deploy_never_serves_with_fewer() {
    let world = World::new(web(|_| {})).await;
    world.target(3);
    world.serving(3).await;
    world.engine.set_delays(slow());
    world.engine.add_image("other");
    world.configure([web(|web| {
        web.version = 2;
        docker(web).image = "other".into();
    })]);
    world
        .pass(Duration::from_secs(10), |world| {
            assert!(world.count(State::Serving) >= 3, "{:?}", world.story());
            assert!(world.engine.containers().len() <= 4, "one more at a time");
        })
        .await;
    assert_eq!(versions(&world), [2, 2, 2]);
    let story = world.story();
    assert!(
        story.contains("replaced by version 2") && story.contains("all instances are of version 2"),
        "{story}"
    );
}

#[tokio::test]
async fn a_request_on_the_old_version_ends_before_its_instance_does() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let slot = world.request().await.unwrap().unwrap();
    world.configure([web(|web| web.version = 2)]);
    world.until("the new version serves", |world| versions(world).contains(&2)).await;
    world.pass(Duration::from_secs(60), |world| assert_eq!(world.running().len(), 2)).await;
    let next = world.request().await.unwrap().unwrap();
    assert_ne!(next.endpoint().place, slot.endpoint().place, "the old one gets nothing new");
    drop(slot);
    world.serving(1).await;
}

#[tokio::test]
async fn a_stopstart_deploy_never_runs_both_versions() {
    let component = |version| {
        web(|web| {
            web.version = version;
            web.restart_order = Some("stopstart".into());
        })
    };
    let world = World::new(component(1)).await;
    world.target(1);
    world.serving(1).await;
    world.engine.set_delays(slow());
    world.configure([component(2)]);
    world.pass(Duration::from_secs(10), |world| assert!(world.engine.containers().len() <= 1)).await;
    assert_eq!(versions(&world), [2]);
}

/// With `startstop` the new instance would never get the port, and the deploy never end.
#[tokio::test]
async fn a_component_with_a_port_of_the_host_is_stopped_first() {
    let component = |version| {
        web(|web| {
            web.version = version;
            docker(web).ports = Some(vec!["9000:8080".into()]);
        })
    };
    let world = World::new(component(1)).await;
    world.target(1);
    world.serving(1).await;
    world.engine.set_delays(slow());
    world.configure([component(2)]);
    world.pass(Duration::from_secs(10), |world| assert!(world.engine.containers().len() <= 1)).await;
    assert_eq!(versions(&world), [2]);
}

#[tokio::test]
async fn a_broken_version_leaves_the_old_one_serving() {
    let world = World::new(web(|_| {})).await;
    world.engine.add_image("broken");
    world.engine.behave("broken", ImageBehaviour { exits_at_once: Some(1), ..Default::default() });
    world.target(2);
    world.serving(2).await;
    world.configure([web(|web| {
        web.version = 2;
        docker(web).image = "broken".into();
    })]);
    world.pass(Duration::from_secs(120), |world| assert_eq!(world.count(State::Serving), 2)).await;
    assert!(world.creates() <= 12, "no spin: {}", world.creates());
    assert_eq!(world.request().await.unwrap().unwrap().endpoint().version, Some(1));
    world.configure([web(|web| web.version = 3)]);
    world.serving(2).await;
    world.until("the repaired version is everywhere", |world| versions(world) == [3, 3]).await;
}

#[tokio::test]
async fn a_new_version_replaces_standby_instances_in_the_background() {
    let component = |version| {
        web(|web| {
            web.version = version;
            web.standby = Some(1);
        })
    };
    let world = World::new(component(1)).await;
    world.until("one stands by", |world| world.count(State::Standby) == 1).await;
    world.configure([component(2)]);
    world
        .until("the new one stands by", |world| versions(world) == [2] && world.count(State::Standby) == 1)
        .await;
    assert_eq!(world.paused().len(), 1);
}

#[tokio::test]
async fn a_removed_component_stops_its_instances() {
    let world = World::new(web(|_| {})).await;
    world.target(2);
    world.serving(2).await;
    world.configure([]);
    world.until("all are gone", |world| world.engine.containers().is_empty()).await;
    assert!(world.node.context.units().is_empty());
    world.configure([web(|_| {})]);
    world.settle().await;
    world.target(1);
    world.serving(1).await;
}

#[tokio::test]
async fn a_retagged_image_restarts_its_instances_once() {
    let world = World::new(web(|_| {})).await;
    world.target(2);
    world.serving(2).await;
    let before = world.ids();
    let image = world.engine.add_image("app");
    world.pass(Duration::from_secs(60), |world| assert!(world.count(State::Serving) >= 2)).await;
    assert_eq!(world.creates(), 4);
    assert!(world.ids().iter().all(|id| !before.contains(id)));
    assert!(world.running().iter().all(|container| container.image_id == image));
    assert!(world.story().contains("another image now"));
}

#[tokio::test]
async fn an_image_is_pulled_before_each_start_if_asked_for() {
    let world = World::new(web(|web| docker(web).pull_image_on_start = Some(true))).await;
    world.engine.publish("app");
    world.target(1);
    world.serving(1).await;
    assert_eq!(world.engine.count(Operation::Pull), 1);
}

async fn most_starts_at_a_time(parallelism: &str) -> usize {
    let component = web(|web| web.start_parallelism = Some(parallelism.into()));
    let world = World::new(component).await;
    world.engine.set_delays(slow());
    *world.checker.answer.lock() = Some(Probe::Failed("not yet".into()));
    world.target(4);
    world.pass(Duration::from_secs(5), |_| {}).await;
    let most = world.engine.containers().len();
    *world.checker.answer.lock() = None;
    world.serving(4).await;
    most
}

#[tokio::test]
async fn series_starts_one_at_a_time() {
    assert_eq!(most_starts_at_a_time("series").await, 1);
}

#[tokio::test]
async fn seriesfirst_starts_the_first_alone() {
    assert_eq!(most_starts_at_a_time("seriesfirst").await, 1);
}

#[tokio::test]
async fn seriesfirst_starts_all_when_the_first_serves_on_another_node() {
    let component = web(|web| web.start_parallelism = Some("seriesfirst".into()));
    let version = component.version;
    let world = World::new(component).await;
    *world.checker.answer.lock() = Some(Probe::Failed("not yet".into()));
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let (told, (changed, changes)) = (statuses.clone(), tokio::sync::watch::channel(0));
    let proofs = world.node.clone().follow_proofs(move || told.lock().clone(), changes);
    let proofs = tokio::spawn(proofs);
    world.target(4);
    world.pass(Duration::from_secs(5), |world| assert_eq!(world.engine.containers().len(), 1)).await;
    let serving = |version| {
        let web = ComponentInfo {
            component_name: "web".into(),
            component_version: version,
            status: "active".into(),
            ..Default::default()
        };
        Arc::new(NodeStatus { running_components: vec![web], ..Default::default() })
    };
    *statuses.lock() = vec![serving(version + 1)];
    changed.send_replace(1);
    world.pass(Duration::from_secs(5), |world| assert_eq!(world.engine.containers().len(), 1)).await;
    *statuses.lock() = vec![serving(version)];
    changed.send_replace(2);
    world.until("four start beside each other", |world| world.engine.containers().len() == 4).await;
    proofs.abort();
}

#[tokio::test]
async fn parallel_starts_all() {
    assert_eq!(most_starts_at_a_time("parallel").await, 4);
}
