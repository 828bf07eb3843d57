//! What goes wrong, when, and for how long.

use super::{
    Faults,
    agenda::Event,
    control::ROLE,
    world::{MS, SECOND, World},
};
use crate::names::{ComponentName, Role};

/// Rates up to this are none.
pub(super) const NEVER: u64 = 1;
/// There are no more nodes than that many beyond those at the beginning.
const MORE_NODES: usize = 3;

// === impl World ===

impl World {
    pub(super) fn plan_faults(&mut self) {
        match self.story.faults {
            Faults::None => {}
            Faults::StoreAway => {
                // After everything has been started.
                self.agenda.plan(30 * SECOND, Event::Trouble);
            }
            Faults::All
            | Faults::Drains
            | Faults::Kills
            | Faults::Handovers
            | Faults::Lapses
            | Faults::Splits => {
                self.plan_trouble(15 * SECOND);
            }
        }
    }

    fn plan_trouble(&mut self, after: u64) {
        let at = self.now + after;
        if at < self.trouble_until {
            self.agenda.plan(at, Event::Trouble);
        }
    }

    /// True time at which a fault of up to `most` seconds ends, and that is noted.
    fn lasts(&mut self, most: u64) -> u64 {
        let long = self.chance.between(200 * MS, most * SECOND);
        self.until(self.now + long)
    }

    fn until(&mut self, end: u64) -> u64 {
        let end = end.min(self.trouble_until.max(self.now + MS));
        self.agenda.plan(end, Event::Over);
        self.note_cuts();
        end
    }

    fn some_node(&mut self) -> usize {
        self.chance.index(self.nodes.len())
    }

    fn some_component(&mut self) -> Option<ComponentName> {
        let index = self.chance.index(self.workload.components.len());
        ComponentName::parse(&self.workload.components.get(index)?.name).ok()
    }

    pub(super) fn trouble(&mut self) {
        match self.story.faults {
            Faults::None => {}
            Faults::StoreAway => {
                self.net.store_away_until = self.trouble_until;
                let end = self.trouble_until;
                self.until(end);
                self.note(|_| "the store goes away".to_owned());
            }
            Faults::Drains => {
                match self.chance.one_in(3) {
                    true => self.empty_one(),
                    false => self.drain_one(),
                }
                let pause = self.chance.between(5 * SECOND, 20 * SECOND);
                self.plan_trouble(pause);
            }
            Faults::Kills => {
                self.kill_one();
                let pause = self.chance.between(5 * SECOND, 20 * SECOND);
                self.plan_trouble(pause);
            }
            Faults::Handovers => {
                self.hand_over();
                let pause = self.chance.between(6 * SECOND, 10 * SECOND);
                self.plan_trouble(pause);
            }
            Faults::Lapses => {
                self.cut_owner_off();
                let pause = self.chance.between(24 * SECOND, 30 * SECOND);
                self.plan_trouble(pause);
            }
            Faults::Splits => {
                self.split_owner_off();
                let pause = self.chance.between(30 * SECOND, 50 * SECOND);
                self.plan_trouble(pause);
            }
            Faults::All => {
                self.anything();
                let pause = self.chance.between(SECOND, 10 * SECOND);
                self.plan_trouble(pause);
            }
        }
    }

    fn anything(&mut self) {
        match self.chance.below(20) {
            0 | 1 => self.kill_one(),
            2 => self.power_off(),
            3 | 4 => self.freeze(),
            5 | 6 => self.part(),
            7 => self.part_one_way(),
            8 => self.cut_store(),
            9 => self.store_goes_away(),
            10 => self.slow_down(),
            11 | 12 => self.crash_container(),
            13 => self.break_image(),
            14 => match self.chance.one_in(2) {
                true => self.drain_one(),
                false => self.empty_one(),
            },
            15 => self.restart_in_place(),
            16 => self.join(),
            17 => self.deploy(),
            18 => self.change_load(),
            _ => self.set_clock(),
        }
    }

    fn kill_one(&mut self) {
        let node = self.some_node();
        if self.nodes[node].door.is_some() {
            return;
        }
        self.kill(node);
        let after = self.chance.between(500 * MS, 20 * SECOND);
        self.agenda.plan(self.now + after, Event::Start { node, power: false });
    }

    fn power_off(&mut self) {
        let node = self.some_node();
        if !self.nodes[node].powered {
            return;
        }
        self.nodes[node].door = None;
        self.cut_power(node);
        let up = self.nodes.iter().filter(|node| node.powered && node.returns).count();
        if up < 3 || !self.chance.one_in(4) {
            let after = self.chance.between(2 * SECOND, 50 * SECOND);
            self.agenda.plan(self.now + after, Event::Start { node, power: true });
        } else {
            self.nodes[node].returns = false;
        }
    }

    /// SIGSTOP, or a machine that is suspended.
    fn freeze(&mut self) {
        let node = self.some_node();
        let end = self.lasts(40);
        self.nodes[node].frozen_until = end;
        // Whoever was away for long has left, and is found anew.
        let found = if end > self.now + 15 * SECOND { 30 * SECOND } else { 0 };
        self.nodes[node].disturbed = self.nodes[node].disturbed.max(end + found);
        self.note(|world| format!("{} freezes until {:.3}", world.nodes[node].id, end as f64 / 1e6));
        self.note_cuts();
    }

    fn part(&mut self) {
        let count = self.nodes.len();
        let end = self.lasts(40);
        let side: Vec<usize> = (0..count).filter(|_| self.chance.one_in(3)).collect();
        self.note(|_| format!("nodes {side:?} are cut off until {:.3}", end as f64 / 1e6));
        self.part_from_all(&side, end);
        if self.chance.one_in(3) {
            for one in side {
                self.net.cut_store(one, end);
            }
        }
        self.note_cuts();
    }

    fn part_one_way(&mut self) {
        let (from, to) = (self.some_node(), self.some_node());
        let end = self.lasts(30);
        if from != to {
            self.note(|_| format!("nothing gets from {from} to {to} until {:.3}", end as f64 / 1e6));
            self.net.cut(from, to, end);
        }
    }

    fn cut_store(&mut self) {
        let node = self.some_node();
        let end = self.lasts(60);
        self.note(|world| {
            format!("{} can't reach the store until {:.3}", world.nodes[node].id, end as f64 / 1e6)
        });
        self.net.cut_store(node, end);
        self.note_cuts();
    }

    /// Whoever decides can't tell the store that it lives, for longer than its lease lasts.
    fn cut_owner_off(&mut self) {
        let Some(owner) = self.whoever_decides() else { return };
        let long = self.chance.between(16 * SECOND, 20 * SECOND);
        let end = self.until(self.now + long);
        self.note(|world| format!("{} can't reach the store for {long} µs", world.nodes[owner].id));
        self.net.cut_store(owner, end);
        self.note_cuts();
    }

    /// Whoever decides is alone with another node, and still believes that it does.
    fn split_owner_off(&mut self) {
        let Some(owner) = self.whoever_decides() else { return };
        let other = self.some_node();
        let long = self.chance.between(16 * SECOND, 24 * SECOND);
        let end = self.until(self.now + long);
        let side = [owner, other];
        self.note(|_| format!("nodes {side:?} are cut off until {:.3}", end as f64 / 1e6));
        self.part_from_all(&side, end);
        for one in side {
            self.net.cut_store(one, end);
        }
        for rate in &mut self.workload.rates {
            *rate = self.chance.between(2_000, 10_000);
        }
        self.note_cuts();
    }

    fn part_from_all(&mut self, side: &[usize], end: u64) {
        for one in side {
            for other in (0..self.nodes.len()).filter(|other| !side.contains(other)) {
                self.net.cut(*one, other, end);
                self.net.cut(other, *one, end);
            }
        }
    }

    fn whoever_decides(&self) -> Option<usize> {
        let role = Role::new(ROLE);
        self.nodes.iter().position(|node| self.acts(node, &role).is_some())
    }

    fn store_goes_away(&mut self) {
        let end = self.lasts(60);
        self.note(|_| format!("the store is away until {:.3}", end as f64 / 1e6));
        self.net.store_away_until = end;
        self.note_cuts();
    }

    fn slow_down(&mut self) {
        let end = self.lasts(20);
        let most = self.chance.between(10 * MS, 3 * SECOND);
        let node = self.some_node();
        self.note(|_| format!("packets of node {node} take up to {most} µs until {:.3}", end as f64 / 1e6));
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.net.slow(node, other, end, most);
            self.net.slow(other, node, end, most);
        }
    }

    fn crash_container(&mut self) {
        let node = self.some_node();
        let running: Vec<u64> =
            self.nodes[node].containers.iter().filter(|(_, one)| one.running).map(|(id, _)| *id).collect();
        if let Some(container) = self.chance.pick(&running) {
            self.container_ends(node, container);
        }
    }

    fn break_image(&mut self) {
        let node = self.some_node();
        let end = self.lasts(30);
        if let Some(component) = self.some_component() {
            self.note(|_| {
                format!("{component} can't be pulled on node {node} until {:.3}", end as f64 / 1e6)
            });
            self.nodes[node].failing.insert(component, end);
        }
    }

    fn drain_one(&mut self) {
        let node = self.some_node();
        let staying = self
            .nodes
            .iter()
            .filter(|one| one.is_up() && one.daemon.as_ref().is_some_and(|daemon| daemon.leaving.is_none()));
        if staying.count() < 2 {
            return;
        }
        let back = self.chance.between(SECOND, 20 * SECOND);
        self.begin_to_leave(node, Some(back), false);
    }

    /// Somebody wants a node empty, and takes it back.
    fn empty_one(&mut self) {
        let node = self.some_node();
        let end = self.lasts(40);
        self.begin_to_empty(node);
        self.agenda.plan(end, Event::Undrain(node));
    }

    /// The decider orders something, which is late, and gives its role back meanwhile.
    fn hand_over(&mut self) {
        let Some(decider) = self.whoever_decides() else { return };
        let end = self.lasts(4);
        for other in (0..self.nodes.len()).filter(|other| *other != decider) {
            self.net.slow(decider, other, end, 3 * SECOND);
        }
        self.crash_container();
        let soon = self.chance.below(SECOND);
        self.agenda.plan(self.now + soon, Event::Restart(decider));
    }

    fn restart_in_place(&mut self) {
        let node = self.some_node();
        self.begin_to_leave(node, Some(0), true);
    }

    fn join(&mut self) {
        if self.nodes.len() < self.story.nodes + MORE_NODES {
            let node = self.add_node();
            self.agenda.plan(self.now, Event::Start { node, power: false });
        }
    }

    fn change_load(&mut self) {
        let index = self.chance.index(self.workload.rates.len());
        let rate = if self.chance.one_in(4) { NEVER } else { self.chance.between(200, 8_000) };
        if let Some(now) = self.workload.rates.get_mut(index) {
            *now = rate.max(100);
        }
    }

    /// By an operator or NTP: only the wall clock.
    fn set_clock(&mut self) {
        let node = self.some_node();
        let by = i64::try_from(self.chance.below(20_000)).unwrap_or(0) - 10_000;
        self.nodes[node].clock.wall_offset = by;
        self.note(|world| {
            format!("the wall clock of {} is set to {by} ms beside the time", world.nodes[node].id)
        });
    }

    pub(super) fn fault_is_over(&mut self) {
        self.note_cuts();
    }
}
