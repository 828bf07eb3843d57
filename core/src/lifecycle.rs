//! The words of a machine's life in a cloud: what an autoscaling group holds it for, and who told of it.

mod message;

use std::fmt;

pub use message::{Notice, read};

/// A lifecycle action: a group holds a machine until somebody completes it, or its time is over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action {
    pub group: String,
    pub hook: String,
    /// The machine's id in the cloud.
    pub instance: String,
    /// Names this one of the hook's actions; where it is not known the machine does.
    pub token: Option<String>,
}

/// Which way a machine goes when it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transition {
    Launching,
    Terminating,
}

/// A received message that told of an action: it is deleted when that is over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Letter {
    /// The queue's URL.
    pub queue: String,
    pub receipt: String,
}

// === impl Transition ===

impl Transition {
    /// As AWS writes it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "autoscaling:EC2_INSTANCE_LAUNCHING" => Some(Self::Launching),
            "autoscaling:EC2_INSTANCE_TERMINATING" => Some(Self::Terminating),
            _ => None,
        }
    }
}

// === impl Action ===

impl Action {
    /// Of the same hook for the same machine, whatever is known of it.
    pub fn is_same(&self, other: &Action) -> bool {
        (&self.group, &self.hook, &self.instance) == (&other.group, &other.hook, &other.instance)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hook '{}' of group '{}' for instance {}", self.hook, self.group, self.instance)
    }
}
