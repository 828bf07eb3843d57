//! Starts that fail and instances that die: clear reasons, no spin, recovery.

use std::time::Duration;

use maelstrom_core::{
    decide::{converge::State, health::Probe},
    ports::engine::{EngineError, LogLine, LogStream},
    testing::engine::{ImageBehaviour, Operation},
};

use super::world::{World, docker, name, web};
use crate::router::AcquireError;

/// The answer to a request that can't be served.
async fn refusal(world: &World) -> (u16, String) {
    let waiter = world.request();
    world.until("the waiter is answered", |_| waiter.is_finished()).await;
    match waiter.await.unwrap() {
        Err(AcquireError::StartFailed(failure)) => (failure.status, failure.reason),
        other => panic!("a failed start was expected, not {other:?}"),
    }
}

/// The original started a crashing container again and again without any pause.
async fn assert_no_spin(world: &World) {
    let before = world.creates();
    world.pass(Duration::from_secs(120), |_| {}).await;
    let tries = world.creates() - before;
    assert!((1..=8).contains(&tries), "{tries} tries in two minutes");
}

#[tokio::test]
async fn a_missing_image_is_told_to_who_waits() {
    let world = World::new(web(|web| docker(web).image = "nowhere".into())).await;
    world.target(1);
    let (status, reason) = refusal(&world).await;
    assert!(status == 502 && reason.contains("'nowhere'") && reason.contains("web"), "{status} {reason}");
    assert!(world.story().contains("start-failed"));
    assert_no_spin(&world).await;
    world.engine.add_image("nowhere");
    world.serving(1).await;
}

#[tokio::test]
async fn a_missing_image_is_pulled() {
    let world = World::new(web(|web| docker(web).image = "remote".into())).await;
    world.engine.publish("remote");
    world.target(1);
    world.serving(1).await;
    assert_eq!(world.engine.count(Operation::Pull), 1);
}

#[tokio::test]
async fn an_image_that_exits_at_once_is_told_with_its_code_and_last_words() {
    let world = World::new(web(|_| {})).await;
    let line = LogLine { stream: LogStream::Stderr, line: "no database".into() };
    let behaviour = ImageBehaviour { exits_at_once: Some(3), prints: vec![line], ..Default::default() };
    world.engine.behave("app", behaviour);
    world.target(1);
    let (status, reason) = refusal(&world).await;
    assert!(status == 502 && reason.contains("code 3") && reason.contains("no database"), "{reason}");
    assert_no_spin(&world).await;
    world.engine.behave("app", ImageBehaviour::default());
    world.serving(1).await;
}

#[tokio::test]
async fn a_dead_container_ends_the_wait_for_its_health_check() {
    let world = World::new(web(|_| {})).await;
    *world.checker.answer.lock() = Some(Probe::Failed("was refused".into()));
    world.target(1);
    world.until("it starts", |world| world.running().len() == 1).await;
    let began = world.now();
    world.engine.crash(&world.running()[0].id, 7);
    world.settle().await;
    assert!(world.story().contains("code 7"), "{}", world.story());
    assert!(world.now().since(began) < Duration::from_secs(1));
}

#[tokio::test]
async fn a_health_check_that_never_passes_is_told_at_its_limit() {
    let world = World::new(web(|web| docker(web).http_start_health_check_seconds = Some(5))).await;
    *world.checker.answer.lock() = Some(Probe::Failed("GET / answered 500".into()));
    world.target(1);
    let (status, reason) = refusal(&world).await;
    assert!(status == 502 && reason.contains("5 s") && reason.contains("answered 500"), "{reason}");
    world.until("its container is gone", |world| world.engine.containers().is_empty()).await;
    *world.checker.answer.lock() = None;
    world.serving(1).await;
}

#[tokio::test]
async fn a_start_that_the_engine_refuses_leaves_no_container_behind() {
    let world = World::new(web(|_| {})).await;
    let reason = "port 80 is already allocated".to_owned();
    world.engine.fail_next(Operation::Start, EngineError::Refused { action: "starting".into(), reason });
    world.target(1);
    let (_, reason) = refusal(&world).await;
    assert!(reason.contains("already allocated"), "{reason}");
    world.serving(1).await;
    assert_eq!(world.engine.containers().len(), 1);
}

#[tokio::test]
async fn a_failure_explains_itself_and_says_when_the_next_try_is_due() {
    let world = World::new(web(|web| docker(web).image = "nowhere".into())).await;
    world.target(1);
    world.until("it failed", |world| world.story().contains("start-failed")).await;
    let explain = world.node.explain(&name()).unwrap();
    assert!(explain.last_failure.unwrap().contains("nowhere"));
    assert!(explain.next_try_at.is_some());
    // A new version may have repaired it: no back-off for that.
    world.configure([web(|web| web.version = 2)]);
    world.settle().await;
    assert_eq!(world.count(State::Serving), 1);
    assert_eq!(world.node.explain(&name()).unwrap().last_failure, None);
}

#[tokio::test]
async fn one_of_two_that_dies_is_replaced_at_once() {
    let world = World::new(web(|_| {})).await;
    world.target(2);
    world.serving(2).await;
    let victim = world.ids()[0].clone();
    let began = world.now();
    world.engine.crash(&victim, 137);
    world.serving(2).await;
    assert!(world.now().since(began) < Duration::from_millis(100));
    assert!(!world.ids().contains(&victim));
    assert!(world.story().contains("code 137"));
    world.until("its container is gone", |world| world.engine.containers().len() == 2).await;
}

#[tokio::test]
async fn a_component_that_keeps_dying_backs_off() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let end = world.now() + Duration::from_secs(120);
    let mut deaths = 0;
    while world.now() < end {
        for container in world.running() {
            world.engine.crash(&container.id, 1);
            deaths += 1;
        }
        world.settle().await;
        world.clock.advance_to_next();
    }
    assert!((4..=10).contains(&deaths), "{deaths} deaths in two minutes");
    world.serving(1).await;
}

#[tokio::test]
async fn failed_checks_run_the_command_and_replace_the_instance() {
    let component = web(|web| {
        docker(web).http_health_check_max_failures = Some(2);
        docker(web).health_check_failed_command = Some(vec!["dump".into()]);
    });
    let world = World::new(component).await;
    world.target(1);
    world.serving(1).await;
    let first = world.ids();
    *world.checker.answer.lock() = Some(Probe::Failed("answered 500".into()));
    world.pass(Duration::from_secs(15), |_| {}).await;
    assert_eq!(world.ids(), first, "one failure of two is allowed");
    world.until("it is replaced", |world| !world.ids().contains(&first[0])).await;
    assert_eq!(world.engine.count(Operation::Exec), 1);
    *world.checker.answer.lock() = None;
    world.serving(1).await;
}

#[tokio::test]
async fn a_suspect_is_checked_at_once_and_put_back() {
    let world = World::new(web(|web| web.max_concurrency = 5)).await;
    world.target(1);
    world.serving(1).await;
    let slot = world.request().await.unwrap().unwrap();
    slot.fail();
    assert_eq!(world.pool().suspects().len(), 1);
    world.settle().await;
    assert!(world.pool().suspects().is_empty());
    assert_eq!(world.count(State::Serving), 1);
}

#[tokio::test]
async fn a_suspect_that_fails_its_check_is_replaced_at_once() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let first = world.ids()[0].clone();
    let slot = world.request().await.unwrap().unwrap();
    *world.checker.answer.lock() = Some(Probe::Failed("was refused".into()));
    let began = world.now();
    slot.fail();
    drop(slot);
    world.settle().await;
    *world.checker.answer.lock() = None;
    world.serving(1).await;
    assert!(!world.ids().contains(&first));
    assert!(world.now().since(began) < Duration::from_secs(1));
}

#[tokio::test]
async fn a_full_instance_that_misses_a_check_goes_on_serving() {
    let world = World::new(web(|_| {})).await;
    world.target(1);
    world.serving(1).await;
    let slot = world.request().await.unwrap().unwrap();
    *world.checker.answer.lock() = Some(Probe::TimedOut { busy: false });
    world.pass(Duration::from_secs(60), |world| assert_eq!(world.count(State::Serving), 1)).await;
    drop(slot);
    world.until("idle and silent is replaced", |world| world.creates() == 2).await;
}
