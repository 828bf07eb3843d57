//! How a node is emptied and taken back, and how a daemon leaves in order. `decide::drain` says what is next
//! and for how long; what each step does, and when it has ended, as the daemon's `drain::follow` and
//! `daemon::shutdown` have it.

use std::time::Duration;

use super::{
    agenda::{Event, Wake},
    messages::Purpose,
    node::{Daemon, Leaving},
    stored::Call,
    world::{MS, World},
};
use crate::decide::drain::{Limits, Next, Phase, Signal, Step, View};

/// Load balancers notice within the pause, and requests have ended by their deadlines.
pub(super) const LIMITS: Limits = Limits { pause: Duration::from_secs(3), requests: Duration::from_secs(30) };
/// A store that does not take roles back by then is away.
const STORE: Duration = Duration::from_secs(5);
const LOOK_EVERY: u64 = 20 * MS;

// === impl World: what follows a drain ===

impl World {
    /// Somebody wants the node empty.
    pub(super) fn begin_to_empty(&mut self, node: usize) {
        let now = self.moment(node);
        self.nodes[node].stays_empty = true;
        let Some(daemon) = self.daemon(node) else { return };
        daemon.drain.signal(Signal::Hand, now);
        self.note(|world| format!("{} is to be empty", world.nodes[node].id));
        self.follow_drain(node);
    }

    /// And takes it back, unless it leaves by now.
    pub(super) fn undrain(&mut self, node: usize) {
        self.nodes[node].stays_empty = false;
        let Some(daemon) = self.daemon(node) else { return };
        if daemon.drain.undrain().is_ok() {
            self.note(|world| format!("{} is taken back", world.nodes[node].id));
            self.follow_drain(node);
        }
    }

    /// Whenever the drain, or who else is there, has changed. A restart in place tells nobody.
    pub(super) fn follow_drain(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        let drains = match daemon.drain.phase() {
            Phase::Serving => false,
            Phase::Emptying | Phase::Leaving => !daemon.drain.is_restart() || daemon.drain.stays_empty(),
        };
        let draining = drains && !daemon.links.is_empty();
        // Most nodes do neither, most of the time, and looking at all peers takes long.
        let abstains =
            daemon.drain.phase() != Phase::Serving && daemon.drain.leaves_roles(daemon.has_others());
        if std::mem::replace(&mut daemon.draining, draining) != draining {
            self.changed(node);
        }
        self.abstain(node, abstains);
    }
}

// === impl World: leaving ===

impl World {
    /// By SIGTERM, to come `back` after that time if at all; or by SIGHUP: then it is started again at once and
    /// finds its containers (`keep`).
    pub(super) fn begin_to_leave(&mut self, node: usize, back: Option<u64>, keep: bool) {
        let now = self.moment(node);
        let Some(daemon) = self.daemon(node) else { return };
        // One that has read no configuration yet serves nothing.
        if daemon.leaving.is_some() || daemon.configuration.components.is_empty() {
            return;
        }
        daemon.drain.signal(if keep { Signal::Restart } else { Signal::Stop }, now);
        daemon.leaving = Some(Leaving { back, keep, step: None, since: now });
        self.note(|world| {
            let how = if keep { "restarts in place" } else { "leaves" };
            format!("{} {how}", world.nodes[node].id)
        });
        if keep {
            self.nodes[node].balanced = false;
        }
        self.follow_drain(node);
        self.next_step(node);
        self.wake(node, self.now + LOOK_EVERY, Wake::Leaving(None));
    }

    /// The time of a step is over; `None`: it may have ended.
    pub(super) fn leave_on(&mut self, node: usize, over: Option<Step>) {
        let Some(leaving) = self.daemon(node).and_then(|daemon| daemon.leaving) else { return };
        match over {
            Some(_) if leaving.step == over => self.next_step(node),
            Some(_) => {}
            None => {
                if self.has_ended(node) {
                    self.next_step(node);
                }
                self.wake(node, self.now + LOOK_EVERY, Wake::Leaving(None));
            }
        }
    }

    fn next_step(&mut self, node: usize) {
        let now = self.moment(node);
        loop {
            let Some(daemon) = self.daemon(node) else { return };
            let others = daemon.has_others();
            let Some(leaving) = &mut daemon.leaving else { return };
            let view = View { others, keeps_containers: leaving.keep };
            let Next::Do(step) = daemon.drain.next(view, now) else { return self.has_left(node) };
            (leaving.step, leaving.since) = (Some(step), now);
            let (keep, until) = (leaving.keep, daemon.drain.until());
            self.begin_step(node, step, keep);
            if !self.has_ended(node) {
                if let Some(until) = until {
                    self.wake_at(node, until, Wake::Leaving(Some(step)));
                }
                return;
            }
        }
    }

    fn begin_step(&mut self, node: usize, step: Step, keep: bool) {
        match step {
            Step::Tell => self.announce(node),
            Step::Pollers => {
                self.nodes[node].balanced = false;
                self.stop_cron(node);
                self.give_roles_back(node);
            }
            Step::Close => {
                if let Some(daemon) = self.daemon(node) {
                    daemon.closed_to_peers = true;
                }
                self.changed(node);
                self.announce(node);
            }
            // What comes to sockets that the next run gets waits there.
            Step::Private if keep => drop(self.nodes[node].door.get_or_insert_default()),
            Step::Private => {
                if let Some(daemon) = self.daemon(node) {
                    daemon.gateway_closed = true;
                }
            }
            Step::Containers => {
                let Some(daemon) = self.daemon(node) else { return };
                daemon.closing = !keep;
                let names: Vec<_> = daemon.units.keys().cloned().collect();
                self.changed(node);
                for name in names {
                    self.converge_soon(node, &name);
                }
            }
            Step::Goodbye => self.say_goodbye(node),
            Step::Heartbeat => {
                let id = self.nodes[node].id.clone();
                let Some(daemon) = self.daemon(node) else { return };
                let incarnation = daemon.incarnation.to_string();
                self.ask_store(node, Call::Leave { node: id, incarnation });
            }
            Step::Move | Step::Pause | Step::Public | Step::Loops => {}
            // Nothing of the cloud's is in any story.
            Step::Complete | Step::Letters | Step::Command => {}
        }
    }

    fn has_ended(&self, node: usize) -> bool {
        let now = self.moment(node);
        let Some(daemon) = &self.nodes[node].daemon else { return false };
        let Some(Leaving { step: Some(step), since, keep, .. }) = daemon.leaving else { return false };
        match step {
            Step::Tell | Step::Close => all_told(daemon),
            Step::Move => !daemon.has_others() || daemon.units.values().all(|unit| unit.target == 0),
            Step::Pause => now >= since + LIMITS.pause,
            Step::Pollers => {
                let returned = daemon.roles.returned.is_empty() && !daemon.roles.looking;
                returned || now >= since + STORE
            }
            Step::Public => {
                let mut requests = self.requests.values().filter(|one| !one.closed);
                !requests.any(|one| one.entry == node && one.entry_run == daemon.run)
            }
            Step::Private => {
                let mut remotes = self.requests.values().flat_map(|one| &one.remotes);
                !remotes.any(|one| one.node == node)
            }
            Step::Containers => keep || daemon.instances() == 0,
            Step::Goodbye => !daemon.calls.values().any(|call| matches!(call.purpose, Purpose::Goodbye)),
            Step::Heartbeat => false,
            Step::Loops | Step::Complete | Step::Letters | Step::Command => true,
        }
    }

    /// Its heartbeat is gone from the store, or can't be removed.
    pub(super) fn heartbeat_removed(&mut self, node: usize) {
        self.leave_on(node, Some(Step::Heartbeat));
    }

    fn has_left(&mut self, node: usize) {
        let Some(leaving) = self.daemon(node).and_then(|daemon| daemon.leaving) else { return };
        self.note(|world| format!("{} has left", world.nodes[node].id));
        self.check_nothing_lost(node);
        self.end_daemon(node);
        let after = match leaving.back {
            _ if leaving.keep => Some(self.chance.between(200 * MS, 1_500 * MS)),
            back => back,
        };
        match after {
            Some(after) => self.agenda.plan(self.now + after, Event::Start { node, power: false }),
            None => self.nodes[node].returns = false,
        }
    }
}

/// Peers that can be reached have got the last announcement.
fn all_told(daemon: &Daemon) -> bool {
    let told = daemon.announced.0;
    daemon.links.iter().all(|(peer, link)| link.told >= told || !daemon.membership.is_reachable(peer))
}
