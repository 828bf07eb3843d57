//! How daemons come and how they die: start, `kill -9`, power. The first as the daemon's `daemon` does.

use std::time::Duration;

use super::{
    Planted,
    agenda::{Event, Wake},
    messages::Packet,
    node::{Daemon, Snapshot},
    roles::MARGIN,
    router::Outcome,
    stored::{Answer, Call},
    world::{MS, SECOND, World},
};

const WATCH_EVERY: Duration = Duration::from_secs(1);

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
        if self.nodes[node].stays_empty {
            self.begin_to_empty(node);
        }
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

// === impl World: dying ===

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
    pub(super) fn end_daemon(&mut self, node: usize) {
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
