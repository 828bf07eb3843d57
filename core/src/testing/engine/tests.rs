//! What the engine in memory does beyond the contract: the faults that tests ask for.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{
    component::{Component, DockerSpec},
    names::{ComponentName, NodeId},
    ports::engine::{ContainerEngine, ContainerState, LogQuery},
    testing::clock::SimulatedClock,
    wire,
};

fn docker(image: &str) -> DockerSpec {
    let wire = wire::Component {
        name: "web".into(),
        docker: Some(wire::DockerComponent { image: image.into(), ..Default::default() }),
        ..Default::default()
    };
    Component::parse(&wire).unwrap().docker
}

fn spec(name: &str, image: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.into(),
        node: NodeId::new("n1"),
        component: ComponentName::parse("web").unwrap(),
        version: 1,
        environment: Vec::new(),
        docker: docker(image),
    }
}

fn engine() -> (SimulatedClock, FakeEngine) {
    let clock = SimulatedClock::new();
    (clock.clone(), FakeEngine::new(Arc::new(clock)))
}

fn run(engine: &FakeEngine, name: &str) -> InstanceId {
    let id = engine.create(spec(name, "web")).now_or_never().unwrap().unwrap();
    engine.start(id.clone()).now_or_never().unwrap().unwrap();
    id
}

#[test]
fn a_slow_start_takes_its_time_and_a_given_up_create_leaves_a_container() {
    let (clock, engine) = engine();
    engine.add_image("web");
    let second = Duration::from_secs(1);
    engine.set_delays(Delays { create: second, start: second * 2, ..Delays::default() });
    let given_up = engine.create(spec("a", "web")).now_or_never();
    assert!(given_up.is_none());
    let id = engine.containers()[0].id.clone();
    let mut start = engine.start(id);
    assert!((&mut start).now_or_never().is_none());
    clock.advance(second);
    assert!((&mut start).now_or_never().is_none());
    clock.advance(second);
    assert_eq!(start.now_or_never().unwrap().unwrap().state, ContainerState::Running);
}

#[test]
fn an_absent_engine_refuses_calls_and_its_streams_come_back() {
    let (_, engine) = engine();
    engine.add_image("web");
    let id = run(&engine, "a");
    let mut events = engine.events();
    assert_eq!(events.next().now_or_never().flatten(), Some(EngineEvent::Resubscribed));
    let follow = LogQuery { since: None, tail: None, follow: true };
    let mut logs = engine.logs(id.clone(), follow);
    assert!(logs.next().now_or_never().is_none());
    engine.go_away();
    engine.crash(&id, 1);
    assert!(matches!(engine.ping().now_or_never(), Some(Err(EngineError::Unavailable { .. }))));
    assert!(matches!(logs.next().now_or_never().flatten(), Some(Err(EngineError::Unavailable { .. }))));
    assert!(events.next().now_or_never().is_none());
    engine.come_back();
    assert_eq!(events.next().now_or_never().flatten(), Some(EngineEvent::Resubscribed));
    assert!(events.next().now_or_never().is_none(), "what happened meanwhile is not told");
    let seen = engine.inspect(id).now_or_never().unwrap().unwrap();
    assert_eq!(seen.state, ContainerState::Exited { code: 1, oom_killed: false });
}

#[test]
fn deaths_are_told_unless_events_get_lost() {
    let (_, engine) = engine();
    engine.add_image("web");
    let mut events = engine.events();
    assert_eq!(events.next().now_or_never().flatten(), Some(EngineEvent::Resubscribed));
    let first = run(&engine, "a");
    engine.out_of_memory(&first);
    let second = run(&engine, "b");
    engine.lose_events(true);
    engine.crash(&second, 1);
    engine.lose_events(false);
    assert_eq!(events.next().now_or_never().flatten(), Some(EngineEvent::OutOfMemory { id: first.clone() }));
    let died = EngineEvent::Died { id: first, exit_code: Some(137) };
    assert_eq!(events.next().now_or_never().flatten(), Some(died));
    assert!(events.next().now_or_never().is_none());
}

#[test]
fn private_images_need_their_credentials() {
    let (_, engine) = engine();
    let published = engine.publish_private("shop/web:1", "user", "secret");
    let mut pull = docker("shop/web:1").pull;
    let refused = engine.pull("shop/web:1".into(), pull.clone()).now_or_never().unwrap();
    assert!(matches!(refused, Err(EngineError::ImageMissing { .. })), "{refused:?}");
    pull.username = Some("user".into());
    pull.password = Some("secret".into());
    engine.pull("shop/web:1".into(), pull).now_or_never().unwrap().unwrap();
    let id = engine.image_id("shop/web:1".into()).now_or_never().unwrap().unwrap();
    assert_eq!(id, Some(published));
}

#[test]
fn asked_for_failures_come_once() {
    let (_, engine) = engine();
    engine.add_image("web");
    let error = EngineError::Refused { action: "a".into(), reason: "b".into() };
    engine.fail_next(Operation::Create, error.clone());
    assert_eq!(engine.create(spec("a", "web")).now_or_never(), Some(Err(error)));
    assert!(engine.create(spec("a", "web")).now_or_never().unwrap().is_ok());
    assert_eq!(engine.count(Operation::Create), 2);
}
