//! How daemons come and go: start, SIGTERM, restart in place, `kill -9`, power. The orderly ways as the
//! daemon's `daemon::shutdown`, step by step.

use std::time::Duration;

use super::{
    Planted,
    agenda::{Event, Wake},
    messages::Packet,
    node::{Daemon, Leaving, Snapshot},
    roles::MARGIN,
    router::Outcome,
    stored::{Answer, Call},
    world::{MS, SECOND, World},
};

/// `MAEL_SHUTDOWN_PAUSE_SECONDS`: load balancers have noticed by then.
const PAUSE: u64 = 3 * SECOND;
const PEERS: u64 = SECOND;
const STORE: u64 = 5 * SECOND;
/// For peers to start what runs here.
const MOVING: u64 = 45 * SECOND;
const IN_FLIGHT: u64 = 40 * SECOND;
const CONTAINERS: u64 = 170 * SECOND;
const WATCH_EVERY: Duration = Duration::from_secs(1);

const SETTLES: u8 = 1;
const PAUSES: u8 = 2;
const GIVES_BACK: u8 = 3;
const MOVES: u8 = 4;
/// Peers relay nothing more from here on.
pub(super) const CLOSES: u8 = 5;
const PUBLIC_ENDS: u8 = 6;
const PRIVATE_ENDS: u8 = 7;
const STOPS: u8 = 8;
/// From here on it beats no more.
pub(super) const LAST: u8 = 9;

// === impl World: coming ===

impl World {
    pub(super) fn start_daemon(&mut self, node: usize, power: bool) {
        let margin = if self.story.planted == Some(Planted::NoMargin) { Duration::ZERO } else { MARGIN };
        let now = self.now;
        let state = &mut self.nodes[node];
        state.powered |= power;
        if !state.powered || state.daemon.is_some() {
            return;
        }
        state.runs += 1;
        state.frozen_until = 0;
        // It has to find the others first, and they it.
        state.disturbed = now + 30 * SECOND;
        let daemon = Daemon::new(state, now, margin);
        state.daemon = Some(Box::new(daemon));
        self.forget_beliefs(node);
        self.note(|world| format!("{} is started, run {}", world.nodes[node].id, world.nodes[node].runs));
        self.ask_store(node, Call::Load);
    }

    /// The daemon has its first configuration: everything begins.
    pub(super) fn loaded(&mut self, node: usize, answer: Answer) {
        let Answer::Configuration(snapshot) = answer else {
            self.wake_in(node, WATCH_EVERY, Wake::Load);
            return;
        };
        self.configure(node, snapshot);
        // The engine has to tell first what is there.
        let slow = !self.calm() && self.chance.one_in(8);
        let takes = if slow { self.chance.below(4 * SECOND) } else { self.chance.between(2 * MS, 50 * MS) };
        self.wake(node, self.now + takes, Wake::Adopt);
        for wake in [Wake::Beat, Wake::Discover, Wake::Watch, Wake::Tick, Wake::Cron] {
            let at = self.now + self.chance.below(20 * MS);
            self.wake(node, at, wake);
        }
        self.look_now(node);
        self.nodes[node].balanced = true;
        let run = self.nodes[node].runs;
        for packet in self.nodes[node].door.take().unwrap_or_default() {
            // It waited at a socket that this run has got.
            self.agenda.plan(self.now, Event::Packet(Packet { to_run: run, ..packet }));
        }
        self.note_cuts();
    }

    fn configure(&mut self, node: usize, snapshot: std::sync::Arc<Snapshot>) {
        if let Some(daemon) = self.daemon(node) {
            daemon.configuration = snapshot;
        }
        self.configure_pools(node);
        self.configure_units(node);
    }

    pub(super) fn watch(&mut self, node: usize) {
        self.wake_in(node, WATCH_EVERY, Wake::Watch);
        self.ask_store(node, Call::Revision);
    }

    pub(super) fn revision_read(&mut self, node: usize, answer: &Answer) {
        let Some(daemon) = self.daemon(node) else { return };
        match answer {
            Answer::Revision(revision) if daemon.configuration.revision != *revision => {
                self.ask_store(node, Call::Configuration);
            }
            Answer::Failed if self.story.planted == Some(Planted::EmptyWhenAway) => {
                self.configure(node, std::sync::Arc::default());
            }
            _ => {}
        }
    }

    pub(super) fn configuration_read(&mut self, node: usize, answer: Answer) {
        let Answer::Configuration(snapshot) = answer else { return };
        let Some(daemon) = self.daemon(node) else { return };
        if snapshot.revision > daemon.configuration.revision {
            self.configure(node, snapshot);
        }
    }
}

// === impl World: leaving in order ===

impl World {
    pub(super) fn begin_to_leave(&mut self, node: usize, back: Option<u64>, keep: bool) {
        let now = self.now;
        let Some(daemon) = self.daemon(node) else { return };
        if daemon.leaving.is_some() || daemon.configuration.components.is_empty() {
            return;
        }
        daemon.leaving = Some(Leaving { back, keep, step: 0, since: now });
        let alone = daemon.links.is_empty();
        self.note(|world| {
            let how = if keep { "restarts in place" } else { "leaves" };
            format!("{} {how}", world.nodes[node].id)
        });
        if keep {
            self.nodes[node].balanced = false;
            self.step(node, GIVES_BACK);
            return;
        }
        if !alone {
            if let Some(daemon) = self.daemon(node) {
                daemon.draining = true;
            }
            self.changed(node);
            self.announce(node);
        }
        self.step(node, SETTLES);
    }

    /// Goes on to a step, and looks at once whether that has ended.
    fn step(&mut self, node: usize, step: u8) {
        let now = self.now;
        let others = self.daemon(node).is_some_and(|daemon| daemon.has_others());
        let Some(leaving) = self.daemon(node).and_then(|daemon| daemon.leaving.as_mut()) else { return };
        if step == MOVES && (leaving.keep || !others) {
            return self.step(node, PUBLIC_ENDS);
        }
        (leaving.step, leaving.since) = (step, now);
        let keep = leaving.keep;
        let limit = match step {
            SETTLES | CLOSES => PEERS,
            PAUSES => PAUSE,
            GIVES_BACK => STORE,
            MOVES => MOVING,
            PUBLIC_ENDS | PRIVATE_ENDS => IN_FLIGHT,
            STOPS => CONTAINERS,
            _ => STORE,
        };
        match step {
            PAUSES => {}
            GIVES_BACK => {
                self.stop_cron(node);
                self.give_roles_back(node);
                self.nodes[node].balanced = false;
            }
            CLOSES => {
                if let Some(daemon) = self.daemon(node) {
                    daemon.closed_to_peers = true;
                }
                self.changed(node);
                self.announce(node);
            }
            PRIVATE_ENDS => {
                if keep {
                    self.nodes[node].door.get_or_insert_default();
                } else if let Some(daemon) = self.daemon(node) {
                    daemon.gateway_closed = true;
                }
            }
            STOPS => {
                let Some(daemon) = self.daemon(node) else { return };
                daemon.closing = !keep;
                let names: Vec<_> = daemon.units.keys().cloned().collect();
                self.changed(node);
                for name in names {
                    self.converge_soon(node, &name);
                }
            }
            LAST => {
                if keep {
                    return self.has_left(node);
                }
                self.say_goodbye(node);
                let Some(daemon) = self.daemon(node) else { return };
                let incarnation = daemon.incarnation.to_string();
                let id = self.nodes[node].id.clone();
                // After the goodbyes, which take a moment.
                self.ask_store(node, Call::Leave { node: id, incarnation });
            }
            _ => {}
        }
        self.wake(node, now + limit, Wake::Leaving(step));
        self.leave_on_if_done(node);
    }

    /// The time of a step is over.
    pub(super) fn leave_on(&mut self, node: usize, step: u8) {
        let leaving = self.daemon(node).and_then(|daemon| daemon.leaving);
        match leaving {
            Some(_) if step == 0 => self.leave_on_if_done(node),
            Some(leaving) if leaving.step == step && step == LAST => self.has_left(node),
            Some(leaving) if leaving.step == step => self.step(node, step + 1),
            _ => {}
        }
    }

    /// Peers have got the status that says so.
    pub(super) fn settled_by(&mut self, node: usize) {
        let settles = |one: Leaving| matches!(one.step, SETTLES | CLOSES);
        if self.daemon(node).is_some_and(|daemon| daemon.leaving.is_some_and(settles)) {
            self.leave_on_if_done(node);
        }
    }

    pub(super) fn leave_if_empty(&mut self, node: usize) {
        if self.daemon(node).is_some_and(|daemon| daemon.leaving.is_some_and(|one| one.step == STOPS)) {
            self.leave_on_if_done(node);
        }
    }

    fn leave_on_if_done(&mut self, node: usize) {
        let Some(daemon) = self.daemon(node) else { return };
        let Some(leaving) = daemon.leaving else { return };
        let run = daemon.run;
        let (told, instances, returned) = (
            daemon.announced.0,
            daemon.instances(),
            daemon.roles.returned.is_empty() && !daemon.roles.looking,
        );
        let relieved = !daemon.has_others() || daemon.units.values().all(|unit| unit.target == 0);
        let all_told = daemon
            .links
            .iter()
            .all(|(peer, link)| link.told >= told || !daemon.membership.is_reachable(peer));
        let done = match leaving.step {
            SETTLES | CLOSES => all_told,
            MOVES => relieved,
            GIVES_BACK => returned,
            PUBLIC_ENDS => {
                !self.requests.values().any(|one| !one.closed && one.entry == node && one.entry_run == run)
            }
            PRIVATE_ENDS => !self.requests.values().any(|one| one.remotes.iter().any(|one| one.node == node)),
            STOPS => leaving.keep || instances == 0,
            _ => false,
        };
        if done {
            self.step(node, leaving.step + 1);
        } else if matches!(leaving.step, GIVES_BACK | MOVES | PUBLIC_ENDS | PRIVATE_ENDS | STOPS) {
            self.wake(node, self.now + 20 * MS, Wake::Leaving(0));
        }
    }

    pub(super) fn has_left(&mut self, node: usize) {
        let Some(leaving) = self.daemon(node).and_then(|daemon| daemon.leaving) else { return };
        self.note(|world| format!("{} has left", world.nodes[node].id));
        self.check_nothing_lost(node);
        self.end_daemon(node);
        let now = self.now;
        match leaving.back {
            _ if leaving.keep => {
                let soon = self.chance.between(200 * MS, 1_500 * MS);
                self.agenda.plan(now + soon, Event::Start { node, power: false });
            }
            Some(back) => self.agenda.plan(now + back, Event::Start { node, power: false }),
            None => self.nodes[node].returns = false,
        }
    }
}

// === impl World: leaving without order ===

impl World {
    /// `kill -9`: containers run on.
    pub(super) fn kill(&mut self, node: usize) {
        if self.nodes[node].daemon.is_none() {
            return;
        }
        self.note(|world| format!("{}'s daemon is killed", world.nodes[node].id));
        self.nodes[node].disturbed = self.nodes[node].disturbed.max(self.now);
        self.lose_requests(node);
        self.end_daemon(node);
    }

    pub(super) fn cut_power(&mut self, node: usize) {
        self.note(|world| format!("{} loses power", world.nodes[node].id));
        self.nodes[node].disturbed = self.nodes[node].disturbed.max(self.now);
        self.nodes[node].powered = false;
        self.lose_requests(node);
        self.end_daemon(node);
        let containers = std::mem::take(&mut self.nodes[node].containers);
        for id in containers.into_keys() {
            self.promises.serves_no_more(node, id);
        }
    }

    fn lose_requests(&mut self, node: usize) {
        let mine: Vec<u64> = self
            .requests
            .iter()
            .filter(|(_, one)| !one.closed && one.entry == node)
            .map(|(id, _)| *id)
            .collect();
        for id in mine {
            self.end(id, Outcome::Lost);
        }
    }

    /// The process is gone, and with it what it knew; its connections break.
    fn end_daemon(&mut self, node: usize) {
        self.nodes[node].balanced = false;
        let powered = self.nodes[node].powered;
        let kept = self.nodes[node].door.is_some();
        let Some(daemon) = self.nodes[node].daemon.take() else { return };
        for unit in daemon.units.values() {
            for container in unit.instances.iter().filter_map(|one| one.container) {
                self.promises.serves_no_more(node, container);
            }
        }
        for request in self.requests.values_mut() {
            request.remotes.retain(|remote| remote.node != node);
            if request.entry == node {
                request.at = super::router::At::Nowhere;
            }
        }
        self.requests.retain(|_, one| !one.closed || !one.remotes.is_empty() || one.entry != node);
        // What waits at sockets that the next run gets is not broken.
        if powered && !kept {
            self.break_connections(node);
        }
        self.note_cuts();
    }

    fn break_connections(&mut self, node: usize) {
        let mut broken = Vec::new();
        for (index, other) in self.nodes.iter().enumerate() {
            let Some(daemon) = other.daemon.as_ref() else { continue };
            let open = daemon.calls.iter().filter(|(_, pending)| pending.to == node);
            broken.extend(open.map(|(call, _)| (index, daemon.run, *call)));
        }
        for (to, run, call) in broken {
            self.answer_call(node, to, run, call, super::messages::Answer::Reset);
        }
    }
}
