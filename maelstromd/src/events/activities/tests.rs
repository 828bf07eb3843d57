//! Tasks through a poller: success, failure, heartbeats, what is over, what can't be told.

use std::time::Duration;

use maelstrom_core::{ports::activity::ActivityError, wire};

use crate::events::testing::{Answer, Node, World, seconds, within};

async fn node(world: &World, at_a_time: i64) -> Node {
    let node = world.node("a").await;
    node.put_tasks(wire::AwsStepFunctionEventSource {
        activity_name: "work".into(),
        path: "/task".into(),
        max_concurrency: Some(at_a_time),
        concurrency_per_poller: Some(at_a_time),
    })
    .await;
    within(5, "the activity", || world.activities.exists("work")).await;
    node
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_with_the_components_answer() {
    let world = World::new();
    let node = node(&world, 4).await;
    world.component.behaves(|asked| match asked.body.as_str() {
        "1" => Answer::ok().body(r#"{"n":1}"#),
        "2" => Answer::status(422).header("step-func-error", "My.Error").header("step-func-cause", "why"),
        _ => Answer::status(500).body("broken"),
    });
    let tokens = ["1", "2", "3"].map(|input| world.activities.start("work", input));
    let ended = |token: &str| world.activities.progress(token).ended;
    within(5, "all ends", || tokens.iter().all(|token| ended(token).is_some())).await;
    assert_eq!(ended(&tokens[0]), Some(Ok(r#"{"n":1}"#.into())));
    assert_eq!(ended(&tokens[1]), Some(Err(("My.Error".into(), "why".into()))));
    assert_eq!(ended(&tokens[2]), Some(Err(("maelstrom_500".into(), "broken".into()))));
    assert_eq!(world.component.asked()[0].target, "/task");
    assert_eq!(node.told().len(), 1, "{:?}", node.told());
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_failure_without_a_cause_is_a_failure_and_nothing_more() {
    let world = World::new();
    let node = node(&world, 1).await;
    world.component.behaves(|_| Answer::status(503));
    let token = world.activities.start("work", "{}");
    within(5, "its end", || world.activities.progress(&token).ended.is_some()).await;
    let expected = ("maelstrom_503".to_owned(), "Service Unavailable".to_owned());
    assert_eq!(world.activities.progress(&token).ended, Some(Err(expected)));
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_takes_long_sends_heartbeats() {
    let world = World::new();
    let node = node(&world, 1).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_secs(60)));
    let token = world.activities.start("work", "{}");
    within(120, "its end", || world.activities.progress(&token).ended.is_some()).await;
    let progress = world.activities.progress(&token);
    let mut last = progress.taken_at.unwrap();
    for beat in &progress.heartbeats {
        assert!(beat.since(last) <= Duration::from_secs(5), "{progress:?}");
        last = *beat;
    }
    assert!(progress.heartbeats.len() >= 12, "{progress:?}");
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_given_up_is_over_and_nobodys_failure() {
    let world = World::new();
    let node = node(&world, 1).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_secs(30)));
    let token = world.activities.start("work", "{}");
    within(5, "the task", || world.component.in_flight() == 1).await;
    world.activities.give_up(&token);
    let next = world.activities.start("work", "{}");
    within(90, "the next one", || world.activities.progress(&next).ended.is_some()).await;
    assert_eq!(node.told(), Vec::<String>::new());
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn never_more_at_a_time_than_allowed() {
    let world = World::new();
    let node = node(&world, 3).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_secs(1)));
    let tokens: Vec<String> = (0..20).map(|_| world.activities.start("work", "{}")).collect();
    within(60, "all", || tokens.iter().all(|t| world.activities.progress(t).ended.is_some())).await;
    assert_eq!(world.component.most_in_flight(), 3);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_can_not_be_told_is_told_later() {
    let world = World::new();
    let node = node(&world, 1).await;
    let activities = world.activities.clone();
    world.component.behaves(move |_| {
        activities
            .set_trouble(Some(ActivityError::Unavailable { activity: "work".into(), reason: "a".into() }));
        Answer::ok().body("1")
    });
    let token = world.activities.start("work", "{}");
    seconds(60).await;
    assert_eq!((world.activities.progress(&token).ended, node.told().len()), (None, 1));
    world.activities.set_trouble(None);
    within(40, "its end", || world.activities.progress(&token).ended.is_some()).await;
    assert_eq!((world.component.asked().len(), node.told().len()), (1, 2), "{:?}", node.told());
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_the_last_call_is_awaited_and_its_task_is_done() {
    let world = World::new();
    let node = node(&world, 2).await;
    seconds(10).await;
    let stop = tokio::spawn(node.stop());
    seconds(10).await;
    let token = world.activities.start("work", "{}");
    let began = tokio::time::Instant::now();
    stop.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(
        world.activities.progress(&token).ended.is_some(),
        "a task that is handed out can't be given back"
    );
}
