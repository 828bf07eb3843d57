//! How the daemon leaves. Each step is bounded, a step that takes too long is cut off and the next one
//! runs, and nothing starts over.
//!
//! ```text
//!   1  public health check 503        load balancers send new requests elsewhere; so do peers, which are told
//!   2  pause                          MAEL_SHUTDOWN_PAUSE_SECONDS: until they have noticed
//!   3  cron and pollers stop, roles   what they began is finished, messages that were not begun go back to
//!      given back                     their queues at once; who decides from now on is a peer
//!   4  instances move to peers        one serves there before one ends here
//!   5  peers relay nothing more       until now they sent what only this node could serve
//!   6  public gateway stops           no new connections; requests in flight end (MAEL_DRAIN_SECONDS)
//!   7  private gateway stops          last, since requests in flight call other components through it
//!   8  workers end                    they have no clients any more
//!   9  containers stop, or are kept   for the next daemon
//!  10  peers told that it is over     they forget this node; so does the store
//!  11  loops end
//! ```
//! Until step 9 everything scales and starts as ever: a request that was accepted gets its instance. Where
//! there are peers, theirs start for those that this node has not. A node alone, or the last of many, does
//! without steps 4 and 5.
//!
//! A restart in place tells peers nothing: they find the next daemon at the same address in a moment, and
//! what they send meanwhile waits there.

use std::{io, os::unix::process::CommandExt as _, process::Command, time::Duration};

use maelstrom_core::journal::Kind;

use super::{
    Daemon, Ended, Order,
    listeners::{self, Listener},
    notify,
};
use crate::{
    cluster::{Peers, Roles},
    journal::Entry,
    node::{Containers, Node},
    tasks::Tasks,
};

/// Beyond the time that requests have, for closing what carried them.
const CLOSING: Duration = Duration::from_secs(10);
/// A store that takes longer is away.
const STORE: Duration = Duration::from_secs(5);
/// Peers answer in a millisecond.
const PEERS: Duration = Duration::from_secs(1);
/// For peers to start what runs here: a lease that changes hands, an image pulled, a slow start. What has
/// no place elsewhere ends here.
const MOVES: Duration = Duration::from_secs(45);
/// They end at the next await of what they run.
const WORKERS: Duration = Duration::from_secs(2);
/// Loops end at their next await.
const LOOPS: Duration = Duration::from_secs(10);

// === impl Daemon ===

impl Daemon {
    /// Serves until a signal says otherwise, then leaves in order.
    pub async fn run(mut self) -> Ended {
        let order = self.signals.next().await;
        let containers = match order {
            Order::Stop if !self.settings.keep_containers => Containers::Stop,
            Order::Stop | Order::Restart => Containers::Keep,
        };
        let limit = self.settings.shutdown_pause + MOVES + 3 * (self.settings.drain + CLOSING);
        match order {
            Order::Stop => notify::stopping(limit),
            Order::Restart => notify::reloading(limit),
        }
        let message = match order {
            Order::Stop => "leaves: a signal told it to stop",
            Order::Restart => "leaves to restart in place",
        };
        self.journal.record(
            Entry::new(Kind::Node, message).data("containers", format!("{containers:?}").to_lowercase()),
        );
        let Self {
            settings,
            node,
            gateway,
            workers,
            roles,
            peers,
            listeners,
            signals,
            public,
            private,
            events,
            work,
            base,
            journal,
        } = self;
        base.spawn_cancellable("signals", signals.ignore());

        // A restart in place is over in a moment, and a socket that somebody keeps open refuses nobody:
        // load balancers need not know.
        if order == Order::Stop {
            gateway.set_draining();
            // A node alone starts for its requests until the last one is served.
            if !peers.view().is_empty() {
                node.set_draining(true);
                step("peers", peers.settle(PEERS)).await;
            }
            tokio::time::sleep(settings.shutdown_pause).await;
        }
        let in_flight = settings.drain + CLOSING;
        step("cron and pollers", events.stop(in_flight)).await;
        step("roles", give_back(&roles)).await;
        if containers == Containers::Stop && are_there_others(&peers) {
            step("moves", move_away(&node, &peers, MOVES.min(settings.drain))).await;
            node.close_to_peers();
            step("peers", peers.settle(PEERS)).await;
        }
        // Closed here unless they are handed on: who connects to a socket that nobody reads waits in vain.
        let kept: Vec<Listener> = match order {
            Order::Restart => listeners.into(),
            Order::Stop => {
                drop(listeners);
                Vec::new()
            }
        };
        step("public gateway", public.stop(in_flight)).await;
        step("private gateway", private.stop(in_flight)).await;
        step("workers", workers.stop(WORKERS)).await;
        node.set_draining(true);
        step("containers", node.stop(containers)).await;
        if order == Order::Stop {
            step("goodbye", peers.say_goodbye(PEERS)).await;
        }
        step("loops", stop_all(&[work, base])).await;
        if order == Order::Stop {
            step("heartbeat", leave(&roles)).await;
        }
        journal.record(Entry::new(Kind::Node, "has left"));
        Ended { order, listeners: kept }
    }
}

/// Peers that can be reached and stay: they can take what runs here.
fn are_there_others(peers: &Peers) -> bool {
    peers.view().iter().any(|peer| peer.silent_since.is_none() && peer.status.draining != Some(true))
}

/// Waits until this node's instances run elsewhere, as long as there is an elsewhere.
async fn move_away(node: &Node, peers: &Peers, limit: Duration) {
    let mut changes = peers.changes();
    let alone = async {
        while are_there_others(peers) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = node.relieved() => {}
        () = alone => {}
        () = tokio::time::sleep(limit) => tracing::warn!(?limit, "not all instances found a place elsewhere in time"),
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

async fn step(name: &'static str, work: impl Future<Output = ()>) {
    let begin = crate::clock::now();
    work.await;
    tracing::info!(step = name, took = ?crate::clock::now().since(begin), "shutdown");
}

async fn stop_all(groups: &[Tasks]) {
    for group in groups {
        group.stop(LOOPS).await;
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
