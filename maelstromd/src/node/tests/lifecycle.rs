//! Starting, serving, standing by, stopping.

use std::time::Duration;

use maelstrom_core::{
    decide::{converge::State, health::Probe, pool::Place},
    testing::engine::Delays,
};

use super::world::{World, docker, name, web};
use crate::{
    control::{NotSet, Targets},
    node::Containers,
};

#[tokio::test]
async fn a_cold_start_serves_its_waiter_and_marks_its_phases() {
    let world = World::new(web(|_| {})).await;
    let delays =
        Delays { create: Duration::from_millis(12), start: Duration::from_millis(200), ..Default::default() };
    world.engine.set_delays(delays);
    let waiter = world.request();
    world.settle().await;
    let cold_start = world.pool().cold_start().expect("somebody waits");
    world.target(1);
    world.serving(1).await;
    let slot = waiter.await.unwrap().unwrap();
    assert_eq!(slot.endpoint().place, Place::Here(world.ids()[0].clone()));
    let phases: Vec<String> = cold_start.phases().iter().map(|(phase, _)| format!("{phase:?}")).collect();
    assert_eq!(phases, ["Pulled", "Created", "Started", "Probed", "Served"]);
    assert!(world.story().contains("instance-started"));
}

#[tokio::test]
async fn containers_learn_who_they_are_and_how_to_call_others() {
    let component = web(|web| {
        web.project_name = Some("shop".into());
        web.environment = vec![
            maelstrom_core::wire::NameValue { name: "A".into(), value: "1".into() },
            maelstrom_core::wire::NameValue { name: "MAELSTROM_PRIVATE_URL".into(), value: "forged".into() },
        ];
    });
    let world = World::new(component).await;
    world.target(1);
    world.serving(1).await;
    let spec = world.engine.spec(&world.ids()[0]).unwrap();
    let variables: Vec<String> = spec.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        variables,
        [
            "A=1",
            "MAELSTROM_PRIVATE_URL=http://172.17.0.1:8374",
            "MAELSTROM_COMPONENT_NAME=web",
            "MAELSTROM_COMPONENT_VERSION=1",
            "MAELSTROM_PROJECT_NAME=shop",
        ]
    );
}

/// The original's shutdown did not wait for containers, and cut the requests in them.
#[tokio::test]
async fn a_stop_waits_for_the_requests_in_flight() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let slot = world.request().await.unwrap().unwrap();
    world.target(0);
    world.pass(Duration::from_secs(60), |world| assert_eq!(world.running().len(), 1)).await;
    assert_eq!(world.count(State::Stopping), 1);
    drop(slot);
    world.until("it is gone", |world| world.engine.containers().is_empty()).await;
    assert!(world.instances().is_empty());
}

#[tokio::test]
async fn a_request_that_never_ends_holds_its_instance_no_longer_than_its_deadline() {
    let world = World::new(web(|web| web.max_duration_seconds = Some(30))).await;
    world.target(1);
    world.serving(1).await;
    let _slot = world.request().await.unwrap().unwrap();
    let began = world.now();
    world.target(0);
    world.until("it is gone", |world| world.engine.containers().is_empty()).await;
    let took = world.now().since(began);
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(35), "{took:?}");
}

#[tokio::test]
async fn a_standby_instance_is_paused_resumed_and_replaced() {
    let world = World::new(web(|web| web.standby = Some(1))).await;
    world.until("one stands by", |world| world.count(State::Standby) == 1).await;
    assert_eq!(world.paused().len(), 1);
    let standby = world.ids();
    let asked = world.checker.asked.load(std::sync::atomic::Ordering::Relaxed);
    world.pass(Duration::from_secs(60), |_| {}).await;
    let asked_since = world.checker.asked.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(asked, asked_since, "a paused instance takes no health checks");

    let waiter = world.request();
    world.target(1);
    world.settle().await;
    let slot = waiter.await.unwrap().unwrap();
    assert_eq!(slot.endpoint().place, Place::Here(standby[0].clone()), "resumed, not started");
    world.until("another one stands by", |world| world.count(State::Standby) == 1).await;
    assert_eq!((world.count(State::Serving), world.creates()), (1, 2));
}

#[tokio::test]
async fn standby_instances_take_no_more_memory_than_there_is() {
    let component = web(|web| {
        web.standby = Some(3);
        docker(web).reserve_memory_mib = Some(1_500);
    });
    let world = World::new(component).await;
    world.pass(Duration::from_secs(60), |_| {}).await;
    assert_eq!(world.count(State::Standby), 2, "4096 MiB hold two of 1500");
    assert_eq!(world.node.status().free_memory_mib, 4_096 - 3_000);
}

#[tokio::test]
async fn without_a_start_check_an_open_port_is_enough() {
    let world = World::new(web(|web| docker(web).http_start_health_check_seconds = Some(-1))).await;
    *world.checker.answer.lock() = Some(Probe::Failed("answered 404".into()));
    world.target(1);
    world.settle().await;
    assert_eq!(world.count(State::Serving), 1);
}

#[tokio::test]
async fn what_placement_sees_adds_up() {
    let world = World::new(web(|web| web.standby = Some(1))).await;
    world.until("one stands by", |world| world.count(State::Standby) == 1).await;
    let view = world.node.view();
    assert_eq!((view.targets[&name()], view.standby[&name()], view.other_memory_mib), (0, 1, 0));
    world.target(1);
    let view = world.node.view();
    assert_eq!((view.targets[&name()], view.standby[&name()]), (1, 0), "the target has claimed it");
    world.until("all is there", |world| world.count(State::Standby) == 1).await;
    let _slot = world.request().await.unwrap().unwrap();
    world.target(0);
    world.settle().await;
    let view = world.node.view();
    assert_eq!((view.targets[&name()], view.standby[&name()], view.other_memory_mib), (0, 1, 128));
    let outdated = world.node.set_targets(None, Some(view.version - 1), &[]);
    assert!(matches!(outdated, Err(NotSet::Outdated(error)) if error.current == view.version));
}

#[tokio::test]
async fn the_status_tells_instances_and_their_activity() {
    let world = World::new(web(|_| {})).await;
    let before = world.node.status().version;
    world.target(1);
    world.serving(1).await;
    let slot = world.request().await.unwrap().unwrap();
    let status = world.node.status();
    assert!(status.version > before);
    let info = &status.running_components[0];
    assert_eq!((info.status.as_str(), info.component_version, info.in_flight), ("active", 1, Some(1)));
    assert_eq!(info.total_requests, 1);
    drop(slot);
    let explain = world.node.explain(&name()).unwrap();
    assert_eq!((explain.target, explain.plan.len(), explain.last_failure), (1, 0, None));
}

#[tokio::test]
async fn the_node_stops_all_instances_when_asked() {
    let world = World::new(web(|web| web.standby = Some(1))).await;
    world.target(3);
    world
        .until("all run", |world| world.count(State::Serving) == 3 && world.count(State::Standby) == 1)
        .await;
    let slot = world.request().await.unwrap().unwrap();
    let node = world.node.clone();
    let stop = tokio::spawn(async move { node.stop(Containers::Stop).await });
    world.until("the idle ones are gone", |world| world.engine.containers().len() == 1).await;
    assert!(!stop.is_finished(), "a request is being served");
    drop(slot);
    world.until("all are gone", |world| world.engine.containers().is_empty()).await;
    stop.await.unwrap();
}

#[tokio::test]
async fn the_node_can_leave_its_containers_running() {
    let world = World::new(web(|_| {})).await;
    world.target(2);
    world.serving(2).await;
    world.node.stop(Containers::Keep).await;
    world.settle().await;
    assert_eq!(world.running().len(), 2);
}
