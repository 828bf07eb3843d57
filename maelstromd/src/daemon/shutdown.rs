//! How the daemon leaves: does the steps of a drain ([`maelstrom_core::decide::drain::Step`]), in the order
//! and within the time that it says. A step that takes too long is cut off and the next one runs.
//!
//! Until instances stop everything scales and starts as ever: a request that was accepted gets its
//! instance. Where there are peers, theirs start for those that this node has not.
//!
//! A restart in place tells peers nothing: they find the next daemon at the same address in a moment, and
//! what they send meanwhile waits there.

use std::{io, os::unix::process::CommandExt as _, process::Command, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::drain::{End, Next, Signal, Step, View},
    journal::Kind,
};

use super::{
    Daemon, Ended, Order,
    listeners::{self, Listener},
    notify,
    signals::Signals,
};
use crate::{
    cloud::Cloud,
    cluster::{Peers, Roles},
    drain::{Drainer, Followed},
    journal::Entry,
    node::{Containers, Node},
    tasks::Tasks,
    workers::Workers,
};

/// Each step is bounded by the drain; this is for what one may take of it when others wait behind.
const CLOSING: Duration = Duration::from_secs(10);
/// A store that takes longer is away.
const STORE: Duration = Duration::from_secs(5);
/// Peers answer in a millisecond.
const PEERS: Duration = Duration::from_secs(1);
/// They end at the next await of what they run.
const WORKERS: Duration = Duration::from_secs(2);
/// Loops end at their next await.
const LOOPS: Duration = Duration::from_secs(10);

/// What is left to be ended.
struct Leaving {
    followed: Followed,
    keep_containers: bool,
    pause: Duration,
    in_flight: Duration,
    /// Closed unless they are handed on: who connects to a socket that nobody reads waits in vain.
    listeners: Vec<Listener>,
    public: Tasks,
    private: Tasks,
    workers: Arc<Workers>,
    events: Tasks,
    work: Tasks,
    base: Tasks,
    cloud: Arc<Cloud>,
    last: Tasks,
}

// === impl Daemon ===

impl Daemon {
    /// Serves until somebody says otherwise, then leaves in order.
    pub async fn run(self) -> Ended {
        let Self {
            cloud,
            last,
            settings,
            journal,
            followed,
            workers,
            listeners,
            signals,
            public,
            private,
            events,
            work,
            base,
        } = self;
        let drainer = followed.drainer.clone();
        base.spawn_cancellable("signals", take_signals(signals, drainer.clone()));
        drainer.leaving().await;
        let mut leaving = Leaving {
            followed,
            keep_containers: settings.keep_containers,
            pause: settings.shutdown_pause,
            in_flight: settings.drain + CLOSING,
            listeners: listeners.into(),
            public,
            private,
            workers,
            events,
            work,
            base,
            cloud,
            last,
        };
        let end = loop {
            match drainer.next(leaving.view()) {
                Next::Do(step) => {
                    drainer.bounded(step, leaving.run(step)).await;
                }
                Next::End(end) => break end,
                // It leaves: there is no way back.
                Next::Stay => break End::Stopped,
            }
        };
        leaving.last.stop(LOOPS).await;
        drainer.note("the node has left", |entry| entry);
        journal.record(Entry::new(Kind::Node, "has left"));
        Ended { end, listeners: leaving.listeners }
    }
}

/// Passes on what the daemon is told from outside, as long as it lives: a drain takes more signals in and
/// never starts over.
async fn take_signals(mut signals: Signals, drainer: Arc<Drainer>) {
    loop {
        let order = signals.next().await;
        drainer.signal(match order {
            Order::Stop => Signal::Stop,
            Order::Restart => Signal::Restart,
        });
        match order {
            Order::Stop => notify::stopping(drainer.longest()),
            Order::Restart => notify::reloading(drainer.longest()),
        }
    }
}

// === impl Leaving ===

impl Leaving {
    fn restarts(&self) -> bool {
        self.followed.drainer.is_restart()
    }

    fn containers(&self) -> Containers {
        let goes = self.followed.drainer.is_termination();
        match self.restarts() || self.keep_containers && !goes {
            true => Containers::Keep,
            false => Containers::Stop,
        }
    }

    fn view(&self) -> View {
        View {
            others: self.followed.peers.others_stay(),
            keeps_containers: self.containers() == Containers::Keep,
        }
    }

    async fn run(&mut self, step: Step) {
        let Followed { node, roles, peers, .. } = &self.followed;
        match step {
            Step::Tell => {
                self.followed.apply();
                peers.settle(PEERS).await;
            }
            Step::Move => move_away(node, peers).await,
            Step::Pause => tokio::time::sleep(self.pause).await,
            Step::Pollers => {
                self.events.stop(self.in_flight).await;
                give_back(roles).await;
            }
            Step::Close => {
                node.close_to_peers();
                peers.settle(PEERS).await;
            }
            Step::Public => {
                if !self.restarts() {
                    self.listeners.clear();
                }
                self.public.stop(self.in_flight).await;
            }
            Step::Private => self.private.stop(self.in_flight).await,
            Step::Containers => {
                let containers = self.containers();
                // They have no clients any more.
                self.workers.stop(WORKERS).await;
                node.stop(containers).await;
                // Not before: what is paused goes when a node drains, and may be kept for the next daemon.
                node.set_draining(true);
            }
            Step::Goodbye => peers.say_goodbye(PEERS).await,
            Step::Loops => {
                self.work.stop(LOOPS).await;
                self.base.stop(LOOPS).await;
            }
            Step::Heartbeat => leave(roles).await,
            Step::Complete => self.cloud.complete().await,
            Step::Letters => self.cloud.delete_letters().await,
            Step::Command => self.cloud.run_command().await,
        }
    }
}

/// Waits until this node's instances run elsewhere, as long as there is an elsewhere.
async fn move_away(node: &Node, peers: &Peers) {
    let mut changes = peers.changes();
    let alone = async {
        while peers.others_stay() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = node.relieved() => {}
        () = alone => {}
    }
}

/// What can't be told to the store is found out by this node's silence.
async fn give_back(roles: &Roles) {
    match tokio::time::timeout(STORE, roles.give_back()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "roles are not given back"),
        Err(_) => tracing::warn!(limit = ?STORE, "the store did not take the roles back in time"),
    }
}

/// Others call this node dead by its silence if that fails.
async fn leave(roles: &Roles) {
    match tokio::time::timeout(STORE, roles.leave()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "this node's heartbeat stays in the store"),
        Err(_) => tracing::warn!(limit = ?STORE, "the store did not forget this node in time"),
    }
}

// === impl Ended ===

impl Ended {
    /// Becomes the program at `program`, with the same arguments and the sockets open. Returns only if
    /// that failed.
    pub fn restart(self, program: &std::path::Path) -> io::Error {
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1));
        match listeners::pass_on(&self.listeners, &mut command) {
            Ok(()) => command.exec(),
            Err(error) => error,
        }
    }
}
