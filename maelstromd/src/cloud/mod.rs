//! The machine that this node runs on, as its cloud has it: whether it is about to be taken away, what waits
//! for the node before that may happen, and what the node owes when it has come.
//!
//! ```text
//!   metadata ──► notices ─► signals to the drain          own: signs of life while it drains
//!   queue ─────► poller (one node, by its role) ─► hands actions to the nodes that they hold
//!   drain ─────► farewell: actions completed, messages deleted, the operator's command
//!   joined ────► launch: the action that holds a new machine completed
//!   demand ────► capacity: the group has as many machines as are needed (one node, by its role)
//!          └───► measure: the same in numbers, for the group's own policies
//! ```
//! Off the cloud, and where nothing of this is asked for, all of it is off and asks nobody anything.

mod capacity;
mod complaint;
mod farewell;
mod identity;
mod launch;
mod measure;
mod own;
mod poller;
#[cfg(test)]
mod tests;
mod watch;

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::capacity::Settings as CapacitySettings,
    lifecycle::{Action, Letter},
    names::NodeId,
    ports::{
        autoscaling::Autoscaling, clock::Clock, metadata::Metadata, monitoring::Monitoring, queue::Queues,
    },
    wire::AwsLifecycleHook,
};

pub use identity::Identity;
pub use poller::ROLE;
use tokio::sync::watch::Sender;

use crate::{
    cluster::{ConfigurationCache, Peers, Roles},
    control::Control,
    drain::Drainer,
    journal::Journal,
    node::{Images, Node},
    tasks::Tasks,
};

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudSettings {
    /// The machine's id; `None`: as its metadata say.
    pub instance: Option<String>,
    /// URL of the queue that the hook for terminations writes into.
    pub queue: Option<String>,
    /// Older messages are deleted.
    pub max_age: Duration,
    /// Between two looks at the metadata; `None`: never.
    pub poll: Option<Duration>,
    pub follow_rebalance: bool,
    /// Complete the hook for launches; only when the images of components that always run are here.
    pub launch_images: bool,
    /// The group's size follows demand.
    pub capacity: Option<CapacitySettings>,
    /// The group's own policies get numbers to follow.
    pub metrics: bool,
    /// Run when the machine is taken away.
    pub command: Option<String>,
}

/// What it stands on.
pub struct CloudParts {
    pub node_id: NodeId,
    pub metadata: Arc<dyn Metadata>,
    pub scaling: Arc<dyn Autoscaling>,
    pub queues: Arc<dyn Queues>,
    pub monitoring: Arc<dyn Monitoring>,
    pub images: Arc<dyn Images>,
    pub configuration: Arc<ConfigurationCache>,
    pub drainer: Arc<Drainer>,
    pub node: Arc<Node>,
    pub control: Arc<Control>,
    pub peers: Arc<Peers>,
    pub roles: Arc<Roles>,
    pub journal: Arc<Journal>,
    pub clock: Arc<dyn Clock>,
}

/// See the module.
pub struct Cloud {
    settings: CloudSettings,
    parts: CloudParts,
    identity: Sender<Identity>,
}

// === impl CloudSettings ===

impl CloudSettings {
    /// Anything of the cloud is asked for.
    pub fn is_on(&self) -> bool {
        let follows = self.capacity.is_some() || self.metrics;
        self.queue.is_some() || self.poll.is_some() || self.instance.is_some() || follows
    }
}

// === impl Cloud ===

impl Cloud {
    pub fn new(settings: CloudSettings, parts: CloudParts) -> Arc<Self> {
        Arc::new(Self { settings, parts, identity: Sender::default() })
    }

    /// Sets everything going: `base` outlives the steps of a drain until the farewell is over, `events` are
    /// stopped with the other pollers.
    pub fn launch(self: &Arc<Self>, base: &Tasks, events: &Tasks) {
        if !self.settings.is_on() {
            return;
        }
        base.spawn_cancellable("identity", self.clone().learn());
        base.spawn_cancellable("signs of life", self.clone().keep_own());
        base.spawn_cancellable("launch", self.clone().complete_launch());
        base.spawn_cancellable("capacity", self.clone().follow_demand());
        base.spawn_cancellable("capacity metrics", self.clone().send_measures());
        if let Some(period) = self.settings.poll {
            base.spawn_cancellable("instance metadata", self.clone().watch(period));
        }
        if let Some(queue) = &self.settings.queue {
            events.spawn("termination poller", self.clone().poll(queue.clone(), events.token().clone()));
        }
    }

    /// As far as it is known.
    pub fn identity(&self) -> Identity {
        self.identity.borrow().clone()
    }
}

/// An action and its message as one node hands them to another.
fn hook_of(action: Action, letter: Option<Letter>) -> AwsLifecycleHook {
    let (queue_url, message_receipt_handle) =
        letter.map_or_else(Default::default, |letter| (letter.queue, letter.receipt));
    AwsLifecycleHook {
        queue_url,
        message_receipt_handle,
        auto_scaling_group_name: action.group,
        instance_id: action.instance,
        lifecycle_action_token: action.token.unwrap_or_default(),
        lifecycle_hook_name: action.hook,
    }
}

/// The other way.
pub fn action_of(hook: AwsLifecycleHook) -> (Action, Option<Letter>) {
    let action = Action {
        group: hook.auto_scaling_group_name,
        hook: hook.lifecycle_hook_name,
        instance: hook.instance_id,
        token: Some(hook.lifecycle_action_token).filter(|token| !token.is_empty()),
    };
    let letter = Letter { queue: hook.queue_url, receipt: hook.message_receipt_handle };
    (action, Some(letter).filter(|letter| !letter.receipt.is_empty()))
}
