//! Which node works as which poller, and how that follows event sources, switches, instances and nodes.

use std::time::Duration;

use maelstrom_core::wire;

use crate::events::testing::{Answer, Node, World, seconds, sqs, within};

/// Twelve pollers, one message each.
fn twelve() -> wire::SqsEventSource {
    wire::SqsEventSource {
        max_concurrency: Some(12),
        messages_per_poll: Some(1),
        concurrency_per_poller: Some(1),
        ..sqs()
    }
}

fn counts(nodes: &[&Node]) -> Vec<usize> {
    nodes.iter().map(|node| node.working().len()).collect()
}

#[tokio::test(start_paused = true)]
async fn pollers_follow_the_event_source_and_its_switch() {
    let world = World::new();
    world.queues.create("q");
    let node = world.node("a").await;
    node.put_sqs(twelve()).await;
    within(3, "twelve pollers", || node.working().len() == 12).await;
    node.put_sqs(wire::SqsEventSource { max_concurrency: Some(3), ..twelve() }).await;
    within(15, "three pollers", || node.working().len() == 3).await;
    node.enable("jobs", false).await;
    within(15, "none", || node.working().is_empty()).await;
    node.enable("jobs", true).await;
    within(15, "three again", || node.working().len() == 3).await;
    node.put_sqs(wire::SqsEventSource { queue_name: "other".into(), ..twelve() }).await;
    world.queues.send("other", "x");
    within(15, "the other queue", || world.queues.is_empty("other")).await;
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_switch_takes_effect_within_two_seconds() {
    let world = World::new();
    let node = world.node("a").await;
    node.put_sqs(sqs()).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_millis(100)));
    for body in 0..10_000 {
        world.queues.send("q", &body.to_string());
    }
    within(5, "work", || world.component.asked().len() > 50).await;
    node.enable("jobs", false).await;
    seconds(2).await;
    let asked = world.component.asked().len();
    seconds(60).await;
    assert_eq!((world.component.asked().len(), world.component.in_flight()), (asked, 0));
    let queue = maelstrom_core::ports::queue::Queues::attributes(&world.queues, "q".into()).await.unwrap();
    assert_eq!(queue.in_flight, 0, "what was not begun was given back");
    node.enable("jobs", true).await;
    within(2, "work again", || world.component.asked().len() > asked).await;
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pollers_and_shares_follow_the_instances() {
    let world = World::new();
    world.queues.create("q");
    let node = world.node("a").await;
    node.put_component(2, false).await;
    node.put_sqs(wire::SqsEventSource { concurrency_per_poller: Some(4), ..sqs() }).await;
    let shares = || node.working().into_values().collect::<Vec<_>>();
    within(3, "room for the first instance", || shares() == [2]).await;
    world.around.serve(2);
    within(3, "room for a third one", || shares() == [4, 2]).await;
    world.around.serve(20);
    within(3, "all", || shares() == [4, 4, 2]).await;
    world.around.serve(0);
    within(15, "room for one", || shares() == [2]).await;
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nodes_share_pollers_and_one_that_comes_gets_its_part() {
    let world = World::shared();
    world.queues.create("q");
    let a = world.node("a").await;
    a.put_sqs(twelve()).await;
    within(20, "all on the only node", || counts(&[&a]) == [12]).await;
    let b = world.node("b").await;
    within(60, "a part on each", || {
        let counts = counts(&[&a, &b]);
        counts.iter().sum::<usize>() == 12 && counts.iter().all(|count| *count >= 2)
    })
    .await;
    b.stop().await;
    world.around.leaves("b");
    within(15, "all on the one that is left", || counts(&[&a]) == [12]).await;
    a.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_killed_node_are_done_by_the_others_and_the_limit_holds() {
    let world = World::shared();
    let (a, b) = (world.node("a").await, world.node("b").await);
    a.put_sqs(twelve()).await;
    seconds(60).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_millis(50)));
    for body in 0..4_000 {
        world.queues.send("q", &body.to_string());
    }
    within(30, "work", || world.component.asked().len() > 500).await;
    assert!(counts(&[&a, &b]).iter().all(|count| *count > 0), "{:?}", counts(&[&a, &b]));
    b.kill().await;
    world.around.leaves("b");
    within(600, "an empty queue", || world.queues.is_empty("q")).await;
    assert!(world.component.most_in_flight() <= 12, "{}", world.component.most_in_flight());
    let mut done: Vec<u32> = world.component.answered().iter().map(|body| body.parse().unwrap()).collect();
    done.sort_unstable();
    done.dedup();
    assert_eq!(done.len(), 4_000);
    a.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_moves_never_adds_to_what_its_last_owner_has_in_flight() {
    let world = World::shared();
    let (a, b) = (world.node("a").await, world.node("b").await);
    a.put_sqs(wire::SqsEventSource { max_concurrency: Some(4), ..twelve() }).await;
    world.component.behaves(|_| Answer::ok().after(Duration::from_secs(7)));
    for body in 0..100 {
        world.queues.send("q", &body.to_string());
    }
    seconds(60).await;
    world.around.leaves("a");
    seconds(60).await;
    assert_eq!(counts(&[&a, &b]), [0, 4]);
    assert_eq!(world.component.most_in_flight(), 4);
    b.stop().await;
    a.stop().await;
}

#[tokio::test(start_paused = true)]
async fn planned_pollers_are_told_with_their_nodes() {
    let world = World::new();
    world.queues.create("q");
    let node = world.node("a").await;
    node.put_sqs(twelve()).await;
    within(3, "twelve pollers", || node.working().len() == 12).await;
    let name = maelstrom_core::names::EventSourceName::parse("jobs").unwrap();
    let planned = node.pollers.planned(&name);
    assert_eq!(planned.len(), 12);
    assert!(planned.iter().all(|poller| poller.node_id.as_deref() == Some("a") && poller.share == 1));
    node.stop().await;
}
