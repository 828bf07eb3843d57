//! What becomes of lifecycle actions that hold machines on their way out: decided by one node for all, the
//! owner of the role `aws-terminate-poller`.
//!
//! ```text
//!  message ─► is it open? ─yes─► its node is there ──► handed over: the node drains, completes, deletes
//!  sweep   ─►     │                   │ no                  │ gone before it did
//!                 │                   ▼                     ▼
//!                 │            signs of life are sent for a while, in case it comes (back)
//!                 │                   ▼
//!                 └─over─► message deleted ◄── completed in its place
//! ```
//! A message stays in its queue, invisible, until its action is over: a crash of anybody hands it to the next
//! poller. Actions don't wait for each other; there is no limit on how many go on, but one on how many are
//! held here.
//!
//! Never: hands an action over of which it knows that it is over, since an old message must not end a node;
//! ends a node because of a launch; touches what is another group's.

mod held;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    lifecycle::{self, Action, Letter, Notice, Transition},
    names::NodeId,
    ports::autoscaling::Standing,
    time::{Moment, WallTime},
};
use held::Held;

/// For so long a received message is invisible to others. A dead poller's messages come back after that.
pub const VISIBILITY: Duration = Duration::from_secs(60);
/// Messages whose actions wait are made invisible for longer; one such call may be lost.
const EXTEND_EVERY: Duration = Duration::from_secs(20);
/// Signs of life in place of a node. The shortest time-out of a hook is 30 s.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// A machine that is no node may still be booting its daemon, and one that left completes by itself within
/// seconds.
pub const UNKNOWN_GRACE: Duration = Duration::from_secs(30);
/// A node that is silent for so long does not drain any more.
pub const SILENT_GRACE: Duration = Duration::from_secs(30);
/// Between tries of what failed.
const RETRY: Duration = Duration::from_secs(2);
/// Nobody has as many machines going at once; what is beyond waits in the queue.
const HELD_MAX: usize = 1_000;

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The same over all receivings.
    pub id: String,
    pub letter: Letter,
    pub body: String,
    pub sent_at: Option<WallTime>,
}

/// What to do with a message at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sorted {
    /// Its action is looked after.
    Kept,
    /// It says nothing that matters any more.
    Delete(String),
    /// It is somebody else's, or may be: it comes back by itself.
    Leave(String),
}

/// The nodes of the cluster, and whose group this is.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// By machine.
    pub nodes: BTreeMap<String, Seat>,
    /// The group that this cluster's machines are in, when it is known.
    pub group: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub node: NodeId,
    /// For how long it can't be reached; `None`: it can.
    pub silent_for: Option<Duration>,
}

/// Names an action: a machine held by a hook, and which of its holdings, so that an old message says nothing of a
/// new one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    group: String,
    hook: String,
    instance: String,
    token: Option<String>,
}

/// Something to be done; its outcome is told by [`Terminations::done`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub key: Key,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A sign of life, which also tells whether the action is open.
    Beat(Action),
    Hand {
        node: NodeId,
        action: Action,
        letter: Option<Letter>,
    },
    /// In place of a node that will not do it.
    Complete(Action),
    Extend {
        id: String,
        letter: Letter,
    },
    Delete {
        id: String,
        letter: Letter,
    },
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a sign of life or a completion.
    Standing(Standing),
    /// The node drains, or does already.
    Accepted,
    /// Of a message: done.
    Done,
    /// Of a message: it is not there any more, or somebody else's.
    Gone,
    Failed(String),
}

/// For the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub what: String,
    pub why: Option<String>,
    pub warning: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Terminations {
    /// Older messages are deleted, unless their actions are known to be open.
    max_age: Duration,
    held: BTreeMap<Key, Held>,
}

// === impl Key ===

impl Key {
    pub fn of(action: &Action) -> Self {
        let Action { group, hook, instance, token } = action.clone();
        Self { group, hook, instance, token }
    }
}

// === impl Terminations ===

impl Terminations {
    pub fn new(max_age: Duration) -> Self {
        Self { max_age, held: BTreeMap::new() }
    }

    /// More messages can be taken.
    pub fn has_room(&self) -> bool {
        self.held.len() < HELD_MAX
    }

    /// Takes a message in.
    pub fn receive(&mut self, message: Received, group: Option<&str>, now: Moment, wall: WallTime) -> Sorted {
        let age = message.sent_at.map_or(Duration::ZERO, |sent| {
            Duration::from_millis(u64::try_from(wall.as_millis() - sent.as_millis()).unwrap_or(0))
        });
        let is_old = age > self.max_age;
        let action = match lifecycle::read(&message.body) {
            Notice::Test => return Sorted::Delete("a hook was made and tried its queue".to_owned()),
            Notice::Other(why) if is_old => return Sorted::Delete(why),
            Notice::Other(why) => return Sorted::Leave(why),
            Notice::Action { transition: Transition::Launching, .. } => {
                return Sorted::Delete("a machine launches: its own node completes that".to_owned());
            }
            Notice::Action { action, transition: Transition::Terminating } => action,
        };
        if group.is_some_and(|group| group != action.group) {
            return Sorted::Leave(format!("it is of group '{}'", action.group));
        }
        let held = self.held.entry(Key::of(&action)).or_insert_with(|| Held::new(action.clone(), now));
        held.receive(message.id, message.letter, is_old, now);
        Sorted::Kept
    }

    /// Takes in what the group itself says to be open, of which no message came.
    pub fn swept(&mut self, actions: impl IntoIterator<Item = Action>, now: Moment) {
        for action in actions {
            let is_told = self.held.values().any(|held| held.is_about(&action));
            if self.has_room() && !is_told {
                self.held.entry(Key::of(&action)).or_insert_with(|| Held::new(action, now));
            }
        }
    }

    /// What is to be done now.
    pub fn next(&mut self, world: &World, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        for (key, held) in &mut self.held {
            let whats = held.next(world.nodes.get(&key.instance), now);
            orders.extend(whats.into_iter().map(|what| Order { key: key.clone(), what }));
        }
        self.held.retain(|_, held| !held.is_settled());
        orders
    }

    /// What became of an order.
    pub fn done(&mut self, order: &Order, outcome: &Outcome, now: Moment) -> Option<Told> {
        let held = self.held.get_mut(&order.key)?;
        let told = held.done(&order.what, outcome, now);
        if held.is_settled() {
            self.held.remove(&order.key);
        }
        told
    }

    /// Everything is given up: the messages that others should find at once.
    pub fn give_up(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.held).into_values().flat_map(Held::into_letters).collect()
    }

    /// Machines whose actions are looked after.
    pub fn instances(&self) -> BTreeSet<&str> {
        self.held.keys().map(|key| key.instance.as_str()).collect()
    }
}
