//! Which machine this is, and of which group.

use std::{sync::Arc, time::Duration};

use maelstrom_core::ports::metadata::MetadataError;

use super::{Cloud, complaint::Complaint};

/// A machine that is none of the cloud's stays so: looked at now and then all the same, since a service that
/// starts late says the same.
const ABSENT_PAUSE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(5);
/// A machine may be attached to a group later.
const NO_GROUP_PAUSE: Duration = Duration::from_secs(300);

/// What is known of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub instance: Option<String>,
    pub group: Option<String>,
}

// === impl Cloud ===

impl Cloud {
    /// Finds both out, and ends.
    pub(super) async fn learn(self: Arc<Self>) {
        let instance = self.learn_instance().await;
        self.parts.node.show_machine(&instance);
        self.identity.send_modify(|identity| identity.instance = Some(instance.clone()));
        let group = self.learn_group(&instance).await;
        tracing::info!(instance, group, "this machine is one of an autoscaling group");
        self.identity.send_modify(|identity| identity.group = Some(group));
    }

    async fn learn_instance(&self) -> String {
        if let Some(given) = &self.settings.instance {
            return given.clone();
        }
        let mut complaint = Complaint::about("the instance metadata");
        loop {
            let pause = match self.parts.metadata.instance().await {
                Ok(instance) => return instance,
                Err(error @ MetadataError::Absent(_)) => {
                    tracing::debug!(%error, "this is no machine of EC2, it seems");
                    ABSENT_PAUSE
                }
                Err(error) => {
                    complaint.failed("unavailable", &error);
                    PAUSE
                }
            };
            self.pause(pause).await;
        }
    }

    async fn learn_group(&self, instance: &str) -> String {
        let mut complaint = Complaint::about("finding the machine's group");
        loop {
            let pause = match self.parts.scaling.member(instance.to_owned()).await {
                Ok(Some(member)) => return member.group,
                Ok(None) => {
                    complaint.succeeded();
                    NO_GROUP_PAUSE
                }
                Err(error) => {
                    complaint.failed(error.kind(), &error);
                    PAUSE * 6
                }
            };
            self.pause(pause).await;
        }
    }

    /// Waits until the machine's group is known.
    pub(super) async fn group_name(&self) -> Option<String> {
        let mut identity = self.identity.subscribe();
        let known = identity.wait_for(|identity| identity.group.is_some()).await;
        known.ok().and_then(|identity| identity.group.clone())
    }

    pub(super) async fn pause(&self, time: Duration) {
        let clock = &self.parts.clock;
        clock.sleep_until(clock.now() + time).await;
    }
}
