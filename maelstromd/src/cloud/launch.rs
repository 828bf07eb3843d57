//! A hook may hold a new machine until its node is of use: the node completes that itself, when it has joined,
//! its engine answers, and (where asked) the images of components that always run are here.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    lifecycle::{Action, Transition},
    ports::autoscaling::{Member, ScalingResult, Standing, Verdict},
};

use super::{Cloud, complaint::Complaint};
use crate::node::Occasion;

const PAUSE: Duration = Duration::from_secs(5);
/// AWS tells the end of a launch a moment late.
const LATE: Duration = Duration::from_secs(30);

// === impl Cloud ===

impl Cloud {
    /// Ends when the machine is in service, or was never on its way in.
    pub(super) async fn complete_launch(self: Arc<Self>) {
        let mut identity = self.identity.subscribe();
        let known = identity.wait_for(|identity| identity.group.is_some()).await;
        let Some(instance) = known.ok().and_then(|identity| identity.instance.clone()) else { return };
        let mut complaint = Complaint::about("completing the launch");
        let mut since_done = None;
        loop {
            match self.try_launch(&instance).await {
                Ok(Launch::InService) => return,
                Ok(Launch::Completed) => {
                    let now = self.parts.clock.now();
                    if now.since(*since_done.get_or_insert(now)) >= LATE {
                        return;
                    }
                }
                Ok(Launch::NotReady) => complaint.succeeded(),
                Err(error) => complaint.failed(error.kind(), &error),
            }
            self.pause(PAUSE).await;
        }
    }

    async fn try_launch(&self, instance: &str) -> ScalingResult<Launch> {
        let scaling = &self.parts.scaling;
        let Some(member) = scaling.member(instance.to_owned()).await? else { return Ok(Launch::InService) };
        if !member.is_pending() {
            return Ok(Launch::InService);
        }
        let hooks = scaling.hooks(member.group.clone()).await?;
        let names = hooks.into_iter().filter(|hook| hook.transition == Transition::Launching);
        let actions: Vec<Action> = names.map(|hook| action(&member, hook.name)).collect();
        if !self.is_of_use().await {
            for action in actions {
                scaling.beat(action).await?;
            }
            return Ok(Launch::NotReady);
        }
        for action in actions {
            // Whether one was open is told by a sign of life only.
            let open = scaling.beat(action.clone()).await? == Standing::Open;
            scaling.complete(action.clone(), Verdict::Continue).await?;
            if open {
                tracing::info!(%action, "the launch is completed: this node is of use");
            }
        }
        Ok(Launch::Completed)
    }

    /// Containers of earlier runs were looked at: the engine answers.
    async fn is_of_use(&self) -> bool {
        let adopting = self.parts.node.status().adopting.is_some();
        !adopting && (!self.settings.launch_images || self.has_images().await)
    }

    async fn has_images(&self) -> bool {
        let snapshot = self.parts.configuration.current();
        for component in snapshot.components.values().filter(|component| component.scaling.min_instances > 0)
        {
            if let Err(error) = self.parts.images.ensure(&component.docker, Occasion::Missing).await {
                tracing::warn!(image = component.docker.image, %error, "an image that the launch waits for is not here");
                return false;
            }
        }
        true
    }
}

enum Launch {
    InService,
    Completed,
    NotReady,
}

fn action(member: &Member, hook: String) -> Action {
    Action { group: member.group.clone(), hook, instance: member.instance.clone(), token: None }
}
