//! Messages through a poller: what is deleted, what comes back and when, what is held, what is given back.
//! The names of some are defects that others have had.

use std::time::Duration;

use maelstrom_core::{
    ports::queue::{QueueError, Queues},
    wire,
};

use crate::events::testing::{Answer, World, seconds, sqs, within};

fn send(world: &World, queue: &str, bodies: std::ops::Range<u32>) {
    for body in bodies {
        world.queues.send(queue, &body.to_string());
    }
}

/// Visible and in flight.
async fn numbers(world: &World, queue: &str) -> (u64, u64) {
    let told = Queues::attributes(&world.queues, queue.into()).await.unwrap();
    (told.depth, told.in_flight)
}

#[tokio::test(start_paused = true)]
async fn messages_are_answered_once_and_deleted_in_batches() {
    let world = World::new();
    send(&world, "q", 0..200);
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_millis(20)));
    within(60, "an empty queue", || world.queues.is_empty("q")).await;
    let mut bodies: Vec<u32> = world.component.bodies().iter().map(|body| body.parse().unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..200).collect::<Vec<_>>());
    assert_eq!(world.component.most_in_flight(), 10);
    let asked = &world.component.asked()[0];
    assert_eq!(asked.target, "/work");
    assert_eq!(asked.headers["maelstrom-sqs-queue-name"], "q");
    let calls = world.queues.calls();
    assert!(calls.receives <= 30 && calls.deletes <= 30, "{calls:?}");
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn any_2xx_is_success_and_all_else_comes_back_after_its_time_out() {
    let world = World::new();
    for status in ["200", "201", "204", "302", "404", "500"] {
        world.queues.send("q", status);
    }
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    world.component.behaves(|asked| Answer::status(asked.body.parse().unwrap()));
    within(5, "three deletes", || world.queues.len("q") == 3).await;
    seconds(20).await;
    assert_eq!(world.component.asked().len(), 6, "not before the time-out");
    seconds(25).await;
    assert_eq!(world.component.asked().len(), 9);
    let again = world.component.asked()[8].headers["maelstrom-sqs-receive-count"].clone();
    assert_eq!(again, "2");
    assert_eq!(node.told().len(), 1, "{:?}", node.told());
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_says_when_a_message_comes_back() {
    let world = World::new();
    send(&world, "q", 0..1);
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    world.component.behaves(|asked| match asked.headers["maelstrom-sqs-receive-count"].to_str().unwrap() {
        "1" => Answer::status(503).header("retry-after", "3"),
        _ => Answer::ok(),
    });
    within(20, "the second answer", || world.queues.is_empty("q")).await;
    let asked = world.component.asked();
    let between = asked[1].at - asked[0].at;
    assert!((Duration::from_secs(3)..Duration::from_secs(6)).contains(&between), "{between:?}");
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_longer_than_the_visibility_time_out_is_not_repeated() {
    let world = World::new();
    send(&world, "q", 0..3);
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_secs(200)));
    within(300, "an empty queue", || world.queues.is_empty("q")).await;
    assert_eq!(world.component.asked().len(), 3);
    node.stop().await;
}

/// Without extensions the message is somebody else's by then.
#[tokio::test(start_paused = true)]
async fn a_message_that_waited_too_long_is_not_begun() {
    let world = World::new();
    send(&world, "q", 0..10);
    let node = world.node("a").await;
    node.put_sqs(wire::SqsEventSource { max_concurrency: Some(1), ..sqs() }).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_millis(20)));
    within(10, "a pace that fetches ahead", || world.queues.is_empty("q")).await;
    send(&world, "q", 10..20);
    world.component.behaves(|_| Answer::ok().after(Duration::from_secs(60)));
    within(10, "a slow one", || world.component.in_flight() == 1).await;
    let asked = world.component.asked().len();
    let away = QueueError::Unavailable { queue: "q".into(), reason: "away".into() };
    world.queues.set_trouble("q", Some(away));
    seconds(120).await;
    assert_eq!(world.component.asked().len(), asked, "what may be somebody else's was begun");
    world.queues.set_trouble("q", None);
    within(900, "an empty queue", || world.queues.is_empty("q")).await;
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_component_pauses_its_poller_once() {
    let world = World::new();
    send(&world, "q", 0..1);
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    world.component.behaves(|asked| match asked.body.as_str() {
        "0" => Answer::ok().header("pause-seconds", "60"),
        _ => Answer::ok(),
    });
    within(5, "the first", || world.component.asked().len() == 1).await;
    send(&world, "q", 1..3);
    seconds(55).await;
    assert_eq!(world.component.asked().len(), 1);
    within(20, "the end of the pause", || world.component.asked().len() == 3).await;
    assert!(world.queues.is_empty("q"));
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_is_told_once_and_asked_ever_more_rarely() {
    let world = World::new();
    world.queues.create("q");
    let denied = QueueError::Denied { queue: "q".into(), action: "sqs:ReceiveMessage", reason: "no".into() };
    world.queues.set_trouble("q", Some(denied));
    let node = world.node("a").await;
    // Ten pollers.
    node.put_sqs(wire::SqsEventSource { concurrency_per_poller: Some(1), ..sqs() }).await;
    seconds(600).await;
    let told = node.told();
    assert_eq!(told.len(), 1, "{told:?}");
    for word in ["'jobs'", "'q'", "sqs:ReceiveMessage", "IAM role"] {
        assert!(told[0].contains(word), "{word} is not in {}", told[0]);
    }
    let receives = world.queues.calls().receives;
    assert!(receives < 10 * 60, "{receives} receives in ten minutes are a hot loop");
    world.queues.set_trouble("q", None);
    send(&world, "q", 0..1);
    within(40, "recovery", || world.queues.is_empty("q")).await;
    assert_eq!(node.told().len(), 2, "{:?}", node.told());
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_queue_in_trouble_leaves_the_others_alone() {
    let world = World::new();
    for queue in ["q-0", "q-1"] {
        world.queues.create(queue);
    }
    world.queues.set_trouble("q-0", Some(QueueError::Throttled { queue: "q-0".into(), reason: "t".into() }));
    let node = world.node("a").await;
    let source = wire::SqsEventSource { queue_name: "q-".into(), name_as_prefix: Some(true), ..sqs() };
    node.put_sqs(source).await;
    seconds(30).await;
    send(&world, "q-1", 0..100);
    within(5, "the other queue", || world.queues.is_empty("q-1")).await;
    // One that is made while others are polled is found.
    send(&world, "q-2", 0..1);
    within(30, "a new queue", || world.queues.is_empty("q-2")).await;
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_and_can_not_be_deleted_is_held_and_not_done_twice() {
    let world = World::new();
    send(&world, "q", 0..10);
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    let queues = world.queues.clone();
    world.component.behaves(move |_| {
        queues.set_trouble("q", Some(QueueError::Unavailable { queue: "q".into(), reason: "away".into() }));
        Answer::ok()
    });
    // Less than the visibility time-out: nobody can hold anything without the queue.
    seconds(20).await;
    world.component.behaves(|_| Answer::ok());
    world.queues.set_trouble("q", None);
    within(60, "an empty queue", || world.queues.is_empty("q")).await;
    assert_eq!(world.component.asked().len(), 10);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_back_what_was_not_begun_and_awaits_what_runs() {
    let world = World::new();
    send(&world, "q", 0..10);
    let node = world.node("a").await;
    node.put_sqs(wire::SqsEventSource { max_concurrency: Some(1), ..sqs() }).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_millis(20)));
    within(10, "a pace that fetches ahead", || world.queues.is_empty("q")).await;
    send(&world, "q", 10..30);
    world.component.behaves(|_| Answer::ok().after(Duration::from_secs(8)));
    within(10, "a slow one", || world.component.in_flight() == 1).await;
    let (asked, left) = (world.component.asked().len(), world.queues.len("q"));
    let began = tokio::time::Instant::now();
    node.stop().await;
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    assert_eq!((world.component.in_flight(), world.component.asked().len()), (0, asked));
    assert_eq!(world.queues.len("q"), left - 1, "what ran was deleted");
    // Another node gets all of them at once, not after the visibility time-out.
    world.component.behaves(|_| Answer::ok());
    let next = world.node("b").await;
    within(10, "an empty queue", || world.queues.is_empty("q")).await;
    next.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_poller_ends_with_its_look_and_keeps_no_message() {
    let world = World::new();
    world.queues.create("q");
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    seconds(1).await;
    let began = tokio::time::Instant::now();
    let stop = tokio::spawn(node.stop());
    seconds(1).await;
    // It comes while the last look waits.
    send(&world, "q", 0..1);
    stop.await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    assert!(world.component.asked().is_empty());
    assert_eq!(numbers(&world, "q").await, (1, 0), "it was given back");
}

#[tokio::test(start_paused = true)]
async fn a_group_keeps_its_order_also_over_failures() {
    let world = World::new();
    world.queues.create("q.fifo");
    for number in 0..30 {
        for group in ["a", "b", "c"] {
            world.queues.send_to_group("q.fifo", group, &format!("{group}{number:02}"));
        }
    }
    let node = world.node("a").await;
    node.put_sqs(wire::SqsEventSource { queue_name: "q.fifo".into(), ..sqs() }).await;
    world.component.behaves(|asked| {
        let fails = asked.body.ends_with('7') && asked.headers["maelstrom-sqs-receive-count"] == "1";
        Answer::status(if fails { 500 } else { 200 }).after(Duration::from_millis(30))
    });
    within(600, "an empty queue", || world.queues.is_empty("q.fifo")).await;
    for group in ["a", "b", "c"] {
        let mut done: Vec<String> = world.component.answered();
        done.retain(|body| body.starts_with(group));
        done.dedup();
        let expected: Vec<String> = (0..30).map(|number| format!("{group}{number:02}")).collect();
        assert_eq!(done, expected);
    }
    assert!(world.component.most_in_flight() >= 2, "groups do not wait for each other");
    node.stop().await;
}

/// Some queues hand out whatever is visible, also beside an earlier one of its group that is not.
#[tokio::test(start_paused = true)]
async fn what_follows_a_message_in_its_group_is_not_seen_before_it() {
    let world = World::new();
    world.queues.create("q.fifo");
    let send = |bodies: [&str; 3]| bodies.map(|body| world.queues.send_to_group("q.fifo", "a", body));
    send(["a1", "a2", "a3"]);
    let node = world.node("a").await;
    node.put_sqs(wire::SqsEventSource { queue_name: "q.fifo".into(), ..sqs() }).await;
    world.component.behaves(|asked| {
        let fails = asked.body == "a1" && asked.headers["maelstrom-sqs-receive-count"] == "1";
        Answer::status(if fails { 500 } else { 200 })
    });
    within(5, "a failure", || world.component.asked().len() == 1).await;
    seconds(20).await;
    assert_eq!(numbers(&world, "q.fifo").await, (0, 3), "those behind it wait with it");
    within(30, "an empty queue", || world.queues.is_empty("q.fifo")).await;
    assert_eq!(world.component.answered(), ["a1", "a1", "a2", "a3"]);

    // A poller that ends keeps them until the one before them has ended.
    world.component.behaves(|_| Answer::ok().after(Duration::from_secs(20)));
    send(["a4", "a5", "a6"]);
    within(5, "a slow one", || world.component.in_flight() == 1).await;
    let stop = tokio::spawn(node.stop());
    seconds(15).await;
    assert_eq!(numbers(&world, "q.fifo").await, (0, 3));
    stop.await.unwrap();
    assert_eq!(numbers(&world, "q.fifo").await, (2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_second_queue_begins_after_the_first_is_empty_and_the_first_is_not_forgotten() {
    let world = World::new();
    for queue in ["q-0", "q-1"] {
        for number in 0..50 {
            world.queues.send(queue, &format!("{queue}/{number}"));
        }
    }
    let node = world.node("a").await;
    let source = wire::SqsEventSource { queue_name: "q-".into(), name_as_prefix: Some(true), ..sqs() };
    node.put_sqs(source).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_millis(200)));
    within(10, "the second queue", || world.component.bodies().iter().any(|body| body.starts_with("q-1")))
        .await;
    assert!(world.queues.len("q-0") <= 10, "{} are left in the first", world.queues.len("q-0"));
    // A backlog without end in the second.
    for number in 0..5_000 {
        world.queues.send("q-1", &format!("q-1/{number}"));
    }
    seconds(3).await;
    world.queues.send("q-0", "late");
    within(15, "the first queue again", || world.component.bodies().contains(&"late".to_owned())).await;
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_in_lambdas_words() {
    let world = World::new();
    send(&world, "q", 0..10);
    let node = world.node("a").await;
    node.put_sqs(wire::SqsEventSource { batch: Some(true), ..sqs() }).await;
    world.component.behaves(|asked| {
        let event: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        let records = event["Records"].as_array().unwrap();
        let failed = records
            .iter()
            .filter(|record| record["body"] == "3" && record["attributes"]["ApproximateReceiveCount"] == "1");
        let failed: Vec<serde_json::Value> =
            failed.map(|record| serde_json::json!({ "itemIdentifier": record["messageId"] })).collect();
        Answer::ok().body(&serde_json::json!({ "batchItemFailures": failed }).to_string())
    });
    within(5, "nine deletes", || world.queues.len("q") == 1).await;
    assert_eq!(world.component.asked().len(), 1);
    within(60, "the tenth", || world.queues.is_empty("q")).await;
    assert_eq!(world.component.asked().len(), 2);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_fail_too_often_go_to_the_dead_letter_queue() {
    let world = World::new();
    world.queues.create("dead");
    world.queues.create("q");
    world.queues.set_redrive("q", "dead", 2);
    send(&world, "q", 0..4);
    let node = world.node("a").await;
    node.put_sqs(wire::SqsEventSource { visibility_timeout: Some(5), ..sqs() }).await;
    world.component.behaves(|asked| Answer::status(if asked.body == "1" { 500 } else { 200 }));
    within(60, "the dead-letter queue", || world.queues.len("dead") == 1).await;
    assert!(world.queues.is_empty("q"));
    assert_eq!(world.component.asked().len(), 5);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_for_a_queue_that_was_left_meanwhile_goes_back() {
    let world = World::new();
    for queue in ["q", "other"] {
        world.queues.create(queue);
    }
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    seconds(1).await;
    let other = wire::SqsEventSource { queue_name: "other".into(), path: "/other".into(), ..sqs() };
    node.put_sqs(other).await;
    seconds(1).await;
    // The look at the first queue still waits.
    world.queues.send("q", "late");
    world.queues.send("other", "new");
    within(15, "the other queue", || world.queues.is_empty("other")).await;
    let asked = world.component.asked();
    assert_eq!(asked.iter().map(|asked| asked.target.as_str()).collect::<Vec<_>>(), ["/other"]);
    assert_eq!(numbers(&world, "q").await, (1, 0), "it was given back");
    node.stop().await;
}
