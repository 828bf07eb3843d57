//! A container engine in memory that fails on demand.
//!
//! It keeps the promises of [`crate::ports::engine`] (the conformance suite holds it to them) and lets a
//! test choose what may happen within them: slow pulls and starts, crashes, out-of-memory kills, lost
//! events, refusals, an engine that goes away and comes back. Ids count up from 1, so runs repeat.
//! Time passes only through the [`Clock`] it was given.
//!
//! Effects come as late callers must be prepared for: a container being created exists before `create`
//! returns, so a caller that gives up meanwhile leaves one behind; one being started doesn't run before
//! `start` returns.
//!
//! Nothing listens on a container's address unless the test puts something there: see
//! [`FakeEngine::on_change`].

mod calls;
mod streams;
#[cfg(test)]
mod tests;
mod world;

pub use world::{Call, Delays, ImageBehaviour, Operation};

use std::{fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    names::InstanceId,
    ports::{
        clock::Clock,
        engine::{Container, ContainerSpec, EngineError, EngineEvent, LogLine, LogStream},
    },
    time::Moment,
};
use world::World;

/// Clones share the engine.
#[derive(Clone)]
pub struct FakeEngine {
    clock: Arc<dyn Clock>,
    world: Arc<Mutex<World>>,
    hook: Arc<Mutex<Option<Hook>>>,
}

type Hook = Arc<dyn Fn(Change) + Send + Sync>;

/// What happens to a container's processes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Started { container: Container, spec: Box<ContainerSpec> },
    Paused { id: InstanceId },
    Unpaused { id: InstanceId },
    Ended { id: InstanceId },
}

// === impl FakeEngine ===

impl FakeEngine {
    /// An empty engine that answers at once.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, world: Arc::default(), hook: Arc::default() }
    }

    /// Puts an image on the node under `name` and returns its id. The same name again is a retag: what
    /// runs keeps its old image, and subscribers hear of it.
    pub fn add_image(&self, name: &str) -> String {
        self.change(|world| world.tag_new(name))
    }

    /// Puts an image into the registry, where `pull` finds it; the same name again replaces it there.
    pub fn publish(&self, name: &str) -> String {
        self.change(|world| world.publish(name, None))
    }

    /// Like [`Self::publish`], for a registry that asks for credentials.
    pub fn publish_private(&self, name: &str, username: &str, password: &str) -> String {
        self.change(|world| world.publish(name, Some((username.to_owned(), password.to_owned()))))
    }

    /// How containers of an image behave from their next start on.
    pub fn behave(&self, image: &str, behaviour: ImageBehaviour) {
        self.change(|world| world.behave(image, behaviour));
    }

    pub fn set_delays(&self, delays: Delays) {
        self.world.lock().delays = delays;
    }

    /// The next call of `operation` fails with `error`; several fail in the order given.
    pub fn fail_next(&self, operation: Operation, error: EngineError) {
        self.world.lock().failures.push((operation, error));
    }

    /// The first process of a container ends by itself.
    pub fn crash(&self, id: &InstanceId, code: i64) {
        self.end(id, code, false);
    }

    /// The kernel kills the first process of a container for want of memory.
    pub fn out_of_memory(&self, id: &InstanceId) {
        self.end(id, 137, true);
    }

    fn end(&self, id: &InstanceId, code: i64, oom_killed: bool) {
        if self.change(|world| world.end(id, code, oom_killed)) {
            self.tell(Change::Ended { id: id.clone() });
        }
    }

    /// While true, events vanish; what they would tell happens all the same.
    pub fn lose_events(&self, lose: bool) {
        self.world.lock().losing_events = lose;
    }

    /// Calls fail with `Unavailable`, streams are cut, events are missed. Containers live on.
    pub fn go_away(&self) {
        self.change(|world| world.available = false);
    }

    pub fn come_back(&self) {
        self.change(World::come_back);
    }

    /// A container writes a line.
    pub fn write_log(&self, id: &InstanceId, stream: LogStream, line: &str) {
        let second = self.clock.wall().as_millis().div_euclid(1_000);
        let line = LogLine { stream, line: Bytes::copy_from_slice(line.as_bytes()) };
        self.change(|world| world.write(id, second, line));
    }

    /// Called at each change, outside of all locks: where a test starts and stops the server that
    /// stands for a container.
    pub fn on_change(&self, hook: impl Fn(Change) + Send + Sync + 'static) {
        *self.hook.lock() = Some(Arc::new(hook));
    }

    /// All containers of all nodes, oldest first.
    pub fn containers(&self) -> Vec<Container> {
        self.world.lock().containers()
    }

    /// What a container was made from.
    pub fn spec(&self, id: &InstanceId) -> Option<ContainerSpec> {
        self.world.lock().spec(id)
    }

    /// Every call so far, refused ones included.
    pub fn calls(&self) -> Vec<Call> {
        self.world.lock().calls.clone()
    }

    /// How often an operation was asked for.
    pub fn count(&self, operation: Operation) -> usize {
        self.world.lock().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// Sends an event as it is, whether true or not.
    pub fn send_event(&self, event: EngineEvent) {
        self.change(|world| world.events.push(event));
    }

    /// Changes the world and wakes those who watch it.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock();
        let value = change(&mut world);
        let watchers = std::mem::take(&mut world.watchers);
        drop(world);
        watchers.into_iter().for_each(std::task::Waker::wake);
        value
    }

    fn tell(&self, change: Change) {
        let hook = self.hook.lock().clone();
        if let Some(hook) = hook {
            hook(change);
        }
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }
}

impl fmt::Debug for FakeEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.world.lock().fmt(f)
    }
}
