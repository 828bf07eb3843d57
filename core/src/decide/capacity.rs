//! How many machines the group should have: more when what is wanted has no room, fewer when it would have room
//! without one of them. Opt-in; decided by who places.
//!
//! ```text
//!   no room ─► batched (1 s of quiet, 10 s at most) ─► desired capacity raised by what is lacking
//!                                                      less what was asked for and has not come yet
//!   room without one machine, for 10 minutes ─► looked at again after 15 s ─► that node drains
//!      ▲                                                                         │ empty
//!      └── undrained when room is wanted again ◄──────────────────────────────┐  ▼
//!                                                                     else terminated, one less from then on
//! ```
//! Which node is on its way out stands in its own status: a new owner of the role goes on where the last one
//! stopped.
//!
//! What was asked for and is not launched is looked after: while launches fail nothing more is asked for.
//!
//! Never: lowers the desired capacity by itself, goes below the group's minimum or above its maximum, takes a
//! machine while a deploy runs or one is coming, takes more machines in an hour than the budget allows.

mod arrival;
mod measure;
mod room;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use arrival::Arrival;
pub use arrival::Launches;
pub use measure::{Measures, measure};
pub use room::{Lacking, lacking, spare};

use super::placement::{NodeView, Wanted};
use crate::{
    names::NodeId,
    ports::autoscaling::{Activity, Group},
    time::{Moment, WallTime},
};

/// Needs that come together are asked for together.
const QUIET: Duration = Duration::from_secs(1);
const BATCH_MAX: Duration = Duration::from_secs(10);
/// What was asked for shows in the group within seconds; until then nothing more is asked for.
const COOL_DOWN: Duration = Duration::from_secs(15);
/// Work that fits elsewhere for so long is taken to go on doing so.
const FITS_FOR: Duration = Duration::from_secs(600);
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// What is not empty by then has something that fits nowhere else after all.
const DRAIN_MAX: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// MiB that stay free on some node, for what comes next.
    pub headroom_mib: u64,
    pub removals_per_hour: usize,
}

/// A node and the machine under it.
#[derive(Clone, Debug)]
pub struct Machine {
    pub view: NodeView,
    /// Its id in the cloud.
    pub instance: Option<String>,
    pub leaving: Leaving,
}

/// Why a node drains, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    Stays,
    /// The group is to do without it.
    Surplus {
        /// Nothing runs on it any more.
        empty: bool,
    },
    /// For a reason of its own.
    Otherwise,
}

#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub group: &'a Group,
    pub machines: &'a [Machine],
    /// Everything that should run.
    pub wanted: &'a [Wanted],
    /// A version is being rolled out: what runs is twice there for a while.
    pub deploying: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Raise {
        to: u32,
    },
    /// What the group has done lately is needed: [`Capacity::looked`].
    Look,
    Drain {
        node: NodeId,
    },
    Undrain {
        node: NodeId,
    },
    Remove {
        node: NodeId,
        instance: String,
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Capacity {
    settings: Settings,
    need: Option<Need>,
    cool_until: Moment,
    arrival: Arrival,
    /// Since when a machine could be spared, and when that is looked at once more.
    fits: Option<Moment>,
    again: Option<Moment>,
    draining: Option<(NodeId, Moment)>,
    removals: VecDeque<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Need {
    machines: u32,
    first: Moment,
    changed: Moment,
}

// === impl Capacity ===

impl Capacity {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            need: None,
            cool_until: Moment::ZERO,
            arrival: Arrival::default(),
            fits: None,
            again: None,
            draining: None,
            removals: VecDeque::new(),
        }
    }

    /// What to do now, with why. To be asked every second or so, with the group as it was just read.
    pub fn tick(&mut self, view: View<'_>, now: Moment) -> Option<(Step, Vec<String>)> {
        if self.arrival.watch(view.group, now) {
            let why = format!("group '{}' has fewer machines than it is to have", view.group.name);
            return Some((Step::Look, vec![why]));
        }
        let room = Room::of(view, self.settings.headroom_mib);
        if room.lacking.machines > 0 {
            self.fits = None;
            self.again = None;
            if let Some(machine) = surplus(view) {
                self.draining = None;
                return Some((Step::Undrain { node: machine.view.id.clone() }, room.lacking.reasons));
            }
            return self.grow(view, room, now);
        }
        self.need = None;
        self.shrink(view, &room, now)
    }

    /// Takes in what the group has done lately, newest first. Only news are returned.
    pub fn looked(&mut self, activities: &[Activity], now: Moment, wall: WallTime) -> Option<Launches> {
        self.arrival.looked(activities, now, wall)
    }

    /// Tells once that launches which failed are wanted no more. To be asked after each tick.
    pub fn settled(&mut self) -> Option<Launches> {
        self.arrival.settled()
    }

    /// Why the group's last launch failed, as long as machines are lacking for it.
    pub fn failing(&self) -> Option<&str> {
        self.arrival.failing()
    }

    fn grow(&mut self, view: View<'_>, room: Room, now: Moment) -> Option<(Step, Vec<String>)> {
        let machines = room.lacking.machines.saturating_sub(room.coming);
        let to = (view.group.desired + machines).min(view.group.most);
        if machines == 0 || to <= view.group.desired || self.arrival.failing().is_some() {
            self.need = None;
            return None;
        }
        let need = self.need.get_or_insert(Need { machines, first: now, changed: now });
        if need.machines != machines {
            *need = Need { machines, changed: now, ..*need };
        }
        let settled = now.since(need.changed) >= QUIET || now.since(need.first) >= BATCH_MAX;
        if !settled || now < self.cool_until {
            return None;
        }
        self.need = None;
        self.cool_until = now + COOL_DOWN;
        let mut reasons = room.lacking.reasons;
        if room.coming > 0 {
            reasons.push(format!("{} of the machines are coming already", room.coming));
        }
        Some((Step::Raise { to }, reasons))
    }

    fn shrink(&mut self, view: View<'_>, room: &Room, now: Moment) -> Option<(Step, Vec<String>)> {
        while self.removals.front().is_some_and(|removal| now.since(*removal) >= HOUR) {
            self.removals.pop_front();
        }
        let allowed = !view.deploying && room.coming == 0 && view.group.desired > view.group.least;
        if let Some(machine) = surplus(view) {
            return self.go_on(machine, allowed, now);
        }
        self.draining = None;
        if !allowed || room.joined < 2 || self.removals.len() >= self.settings.removals_per_hour {
            self.fits = None;
            self.again = None;
            return None;
        }
        let node = spare(&candidates(view), &views(view), view.wanted, self.settings.headroom_mib);
        let Some(node) = node else {
            self.fits = None;
            self.again = None;
            return None;
        };
        let since = *self.fits.get_or_insert(now);
        if now.since(since) < FITS_FOR || now < *self.again.get_or_insert(now + LOOK_AGAIN) {
            return None;
        }
        self.fits = None;
        self.again = None;
        self.draining = Some((node.clone(), now));
        let minutes = FITS_FOR.as_secs() / 60;
        let why = format!("all that is wanted has had room without it for {minutes} minutes");
        Some((Step::Drain { node }, vec![why]))
    }

    /// A node is on its way out.
    fn go_on(&mut self, machine: &Machine, allowed: bool, now: Moment) -> Option<(Step, Vec<String>)> {
        let node = machine.view.id.clone();
        let since = match &self.draining {
            Some((known, since)) if *known == node => *since,
            _ => self.draining.insert((node.clone(), now)).1,
        };
        match (&machine.instance, machine.leaving) {
            (Some(instance), Leaving::Surplus { empty: true }) if allowed => {
                self.draining = None;
                self.removals.push_back(now);
                let instance = instance.clone();
                Some((Step::Remove { node, instance }, vec!["nothing runs on it any more".to_owned()]))
            }
            _ if now.since(since) >= DRAIN_MAX => {
                self.draining = None;
                Some((Step::Undrain { node }, vec!["it does not become empty".to_owned()]))
            }
            _ => None,
        }
    }
}

/// Where things stand.
struct Room {
    lacking: Lacking,
    /// Machines that are nodes.
    joined: u32,
    /// Machines that were asked for and are no nodes yet.
    coming: u32,
}

// === impl Room ===

impl Room {
    fn of(view: View<'_>, headroom_mib: u64) -> Self {
        let joined = view.machines.iter().filter(|machine| is_member(view.group, machine)).count();
        let joined = u32::try_from(joined).unwrap_or(u32::MAX);
        let most = view.group.most.saturating_sub(joined);
        Self {
            lacking: lacking(&views(view), view.wanted, headroom_mib, most),
            joined,
            coming: view.group.desired.saturating_sub(joined),
        }
    }
}

/// A machine of the group that counts and is a node.
fn is_member(group: &Group, machine: &Machine) -> bool {
    let Some(instance) = &machine.instance else { return false };
    group.members.iter().any(|member| member.instance == *instance && member.counts())
}

fn surplus<'a>(view: View<'a>) -> Option<&'a Machine> {
    let all = view.machines.iter().filter(|machine| matches!(machine.leaving, Leaving::Surplus { .. }));
    all.filter(|machine| is_member(view.group, machine)).min_by(|a, b| a.view.id.cmp(&b.view.id))
}

fn views(view: View<'_>) -> Vec<NodeView> {
    view.machines.iter().map(|machine| machine.view.clone()).collect()
}

/// Nodes that could be done without.
fn candidates(view: View<'_>) -> Vec<NodeId> {
    let staying = view.machines.iter().filter(|machine| machine.leaving == Leaving::Stays);
    staying.filter(|machine| is_member(view.group, machine)).map(|m| m.view.id.clone()).collect()
}
