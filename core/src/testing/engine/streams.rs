//! Events and log lines of the engine in memory: each reader has its own place in a shared list.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, stream::poll_fn};
use parking_lot::Mutex;

use super::world::{World, is_up};
use crate::{
    names::InstanceId,
    ports::engine::{EngineEvent, EngineResult, LogLine, LogQuery},
};

pub(super) fn events(world: Arc<Mutex<World>>) -> impl Stream<Item = EngineEvent> + Send {
    let mut generation = None;
    let mut next = 0;
    poll_fn(move |context| {
        let mut world = world.lock();
        if !world.available {
            return wait(&mut world, context);
        }
        if generation != Some(world.generation) {
            // The first subscription begins now, later ones where the engine came back.
            next = if generation.is_none() { world.events.len() } else { world.generation_begins_at };
            generation = Some(world.generation);
            return Poll::Ready(Some(EngineEvent::Resubscribed));
        }
        match world.events.get(next).cloned() {
            Some(event) => {
                next += 1;
                Poll::Ready(Some(event))
            }
            None => wait(&mut world, context),
        }
    })
}

pub(super) fn logs(
    world: Arc<Mutex<World>>,
    id: InstanceId,
    query: LogQuery,
) -> impl Stream<Item = EngineResult<LogLine>> + Send {
    let mut next = None;
    let mut ended = false;
    poll_fn(move |context| {
        if ended {
            return Poll::Ready(None);
        }
        let mut world = world.lock();
        let lines = world.check_available().and_then(|()| world.lines(&id));
        let lines = match lines {
            Ok(lines) => lines,
            Err(error) => {
                ended = true;
                // A container removed under its reader is an end; one that never was is an error.
                return Poll::Ready((next.is_none() || !world.available).then_some(Err(error)));
            }
        };
        let place = *next.get_or_insert_with(|| first(lines, &query));
        if let Some((_, line)) = lines.get(place) {
            next = Some(place + 1);
            return Poll::Ready(Some(Ok(line.clone())));
        }
        ended = !query.follow || !world.container(&id).is_ok_and(|container| is_up(&container));
        if ended { Poll::Ready(None) } else { wait(&mut world, context) }
    })
}

fn first(lines: &[(i64, LogLine)], query: &LogQuery) -> usize {
    let since = query.since.map_or(0, |since| lines.partition_point(|(second, _)| *second < since));
    let tail = query.tail.map_or(0, |tail| lines.len().saturating_sub(tail as usize));
    since.max(tail)
}

fn wait<T>(world: &mut World, context: &mut Context<'_>) -> Poll<T> {
    if !world.watchers.iter().any(|watcher| watcher.will_wake(context.waker())) {
        world.watchers.push(context.waker().clone());
    }
    Poll::Pending
}
