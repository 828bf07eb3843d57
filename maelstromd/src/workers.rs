//! The threads that serve clients, each with a runtime of its own. A client's connection is given to the
//! worker that has the fewest, and stays there with its requests, streams and tunnels and the connections to
//! instances that they use: a warm request wakes no other thread.
//!
//! ```text
//!   sockets ──► accepted in the main runtime ──► gateway-0   clients ─► requests ─► connections to instances
//!                        the fewest clients │──► gateway-1   clients ─► requests ─► …
//!                                           └──► …
//!   main runtime: loops, store, engine, management API, HTTP/2 connections that all workers share
//! ```
//! One socket per gateway, read by one loop, instead of one per worker (`SO_REUSEPORT`): a socket that is
//! closed resets whom the kernel had queued for it, and one that is handed on to the next daemon is one.
//!
//! What a worker runs must not hold it up: its other clients wait.

use std::{
    cell::OnceCell,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// More would only divide the connections to instances into ever smaller parts.
const MAX_WORKERS: usize = 64;

thread_local! {
    /// Set on workers' threads alone.
    static HERE: OnceCell<Here> = const { OnceCell::new() };
}

#[derive(Debug)]
struct Here {
    home: Home,
    main: Handle,
}

/// Whose reactor tells of a socket: that of a worker, or the main runtime's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home(usize);

/// All workers of a daemon. They end when it is dropped; [`Workers::stop`] waits for that.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    stop: CancellationToken,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    clients: Arc<AtomicUsize>,
}

/// A client's connection, or what became of it, in a worker's charge: counted there until the last clone is
/// dropped.
#[derive(Debug)]
pub struct Charge {
    runtime: Handle,
    clients: Arc<AtomicUsize>,
}

/// How many suit this machine: half of its processors. Containers need at least as much for a request as it
/// costs here, and few threads with much to do cost less than many that sleep and are woken between requests:
/// on two processors one thread serves more than two do.
pub fn suitable() -> usize {
    std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1))
}

/// The runtime for what all workers share, and for what may hold up others.
pub fn main_runtime() -> Handle {
    HERE.with(|here| here.get().map(|here| here.main.clone())).unwrap_or_else(Handle::current)
}

// === impl Home ===

impl Home {
    /// That of the thread that asks.
    #[inline]
    pub fn here() -> Self {
        HERE.with(|here| here.get().map_or(Self(0), |here| here.home))
    }

    /// Small: homes are numbered from 0.
    #[inline]
    pub fn index(self) -> usize {
        self.0
    }
}

// === impl Workers ===

impl Workers {
    /// So many threads; the runtime that this is called in is the main one.
    pub fn start(count: usize) -> io::Result<Arc<Self>> {
        let main = Handle::current();
        // From here on an error ends those that run already.
        let mut all = Self { workers: Vec::new(), stop: CancellationToken::new(), threads: Mutex::default() };
        for index in 0..count.clamp(1, MAX_WORKERS) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let worker = Worker { runtime: runtime.handle().clone(), clients: Arc::default() };
            // The main runtime is home 0.
            let here = Here { home: Home(index + 1), main: main.clone() };
            let stop = all.stop.clone();
            let run = move || {
                HERE.with(|cell| cell.get_or_init(move || here).home);
                runtime.block_on(stop.cancelled());
                // With the tasks that are left, which nobody waits for any more.
                runtime.shutdown_background();
            };
            let thread = std::thread::Builder::new().name(format!("gateway-{index}")).spawn(run)?;
            all.threads.get_mut().push(thread);
            all.workers.push(worker);
        }
        Ok(Arc::new(all))
    }

    /// The worker with the fewest clients gets one more.
    pub fn engage(&self) -> Charge {
        let [first, others @ ..] = self.workers.as_slice() else { unreachable!("there is at least one") };
        let fewest = others.iter().fold((first, first.load()), |(fewest, load), other| match other.load() {
            less if less < load => (other, less),
            _ => (fewest, load),
        });
        Charge::new(fewest.0.runtime.clone(), Arc::clone(&fewest.0.clients))
    }

    /// Clients of each worker.
    pub fn clients(&self) -> Vec<usize> {
        self.workers.iter().map(Worker::load).collect()
    }

    /// Ends all workers, with whatever they still run, and waits for their threads, but no longer than
    /// `limit`.
    pub async fn stop(&self, limit: Duration) {
        self.stop.cancel();
        let threads = std::mem::take(&mut *self.threads.lock());
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let name = thread.thread().name().unwrap_or_default().to_owned();
                if thread.join().is_err() {
                    tracing::error!(name, "a worker panicked");
                }
            }
        });
        if tokio::time::timeout(limit, joined).await.is_err() {
            tracing::warn!(limit = ?limit, "workers did not end in time and are left behind");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

// === impl Worker ===

impl Worker {
    fn load(&self) -> usize {
        self.clients.load(Relaxed)
    }
}

// === impl Charge ===

impl Charge {
    fn new(runtime: Handle, clients: Arc<AtomicUsize>) -> Self {
        clients.fetch_add(1, Relaxed);
        Self { runtime, clients }
    }

    /// Where the client's connection is to be served.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Clone for Charge {
    fn clone(&self) -> Self {
        Self::new(self.runtime.clone(), Arc::clone(&self.clients))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.clients.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_one_with_the_fewest_clients_gets_the_next() {
        let workers = Workers::start(3).unwrap();
        let mut all: Vec<Charge> = (0..7).map(|_| workers.engage()).collect();
        assert_eq!(workers.clients(), [3, 2, 2]);
        // One that became a tunnel is still there.
        let tunnel = all[1].clone();
        all.truncate(3);
        drop(all.remove(2));
        assert_eq!(workers.clients(), [1, 2, 0]);
        drop((all, tunnel));
        assert_eq!(workers.clients(), [0, 0, 0]);
    }

    #[tokio::test]
    async fn each_worker_is_a_home_of_its_own_and_knows_the_main_runtime() {
        let workers = Workers::start(2).unwrap();
        let mut homes = vec![Home::here()];
        for _ in 0..2 {
            let charge = workers.engage();
            let main = Handle::current().id();
            let told = charge.runtime().spawn(async move { (Home::here(), main_runtime().id() == main) });
            let (home, knows) = tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap();
            assert!(knows);
            assert!(!homes.contains(&home), "{home:?} twice");
            homes.push(home);
            std::mem::forget(charge);
        }
        workers.stop(PATIENCE).await;
    }

    /// Said when its task is dropped.
    struct Last(mpsc::Sender<&'static str>);

    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }

    #[tokio::test]
    async fn workers_end_with_what_they_run() {
        let workers = Workers::start(2).unwrap();
        let (sender, receiver) = mpsc::channel();
        let charges = [workers.engage(), workers.engage()];
        for charge in &charges {
            let last = Last(sender.clone());
            charge.runtime().spawn(async move {
                let _last = last;
                std::future::pending::<()>().await;
            });
        }
        workers.stop(PATIENCE).await;
        // Their threads have ended: nothing is sent later.
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["dropped", "dropped"]);
    }

    #[tokio::test]
    async fn a_worker_that_is_held_up_is_not_waited_for_for_ever() {
        let workers = Workers::start(1).unwrap();
        let (let_go, held) = mpsc::channel::<()>();
        let charge = workers.engage();
        let (began, begun) = tokio::sync::oneshot::channel();
        charge.runtime().spawn(async move {
            let _ = began.send(());
            let _ = held.recv();
        });
        begun.await.unwrap();
        tokio::time::timeout(PATIENCE, workers.stop(Duration::from_millis(10))).await.unwrap();
        drop(let_go);
    }
}
