//! While this machine is taken away: finds the actions that hold it, whoever else told of them, and gives
//! signs of life so that they wait until the node is done.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::drain::{Signal, heartbeat_every},
    lifecycle::{Action, Transition},
    ports::autoscaling::{ScalingResult, Standing},
    time::Moment,
};

use super::{Cloud, complaint::Complaint};

/// Between looks for actions; AWS itself shows them with some seconds' delay.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The shortest that a hook can have, until its own is known.
const TIMEOUT_LEAST: Duration = Duration::from_secs(30);

/// Hooks by group and name.
type Timeouts = BTreeMap<(String, String), Duration>;

// === impl Cloud ===

impl Cloud {
    /// Never ends.
    pub(super) async fn keep_own(self: Arc<Self>) {
        let mut changes = self.parts.drainer.changes();
        let mut timeouts = Timeouts::new();
        let mut beaten: BTreeMap<Action, Moment> = BTreeMap::new();
        let mut complaint = Complaint::about("the autoscaling group");
        let mut looked: Option<Moment> = None;
        loop {
            changes.mark_unchanged();
            if !self.parts.drainer.is_termination() {
                // The sender lives as long as the drainer.
                let _ = changes.changed().await;
                continue;
            }
            let now = self.parts.clock.now();
            if looked.is_none_or(|looked| now.since(looked) >= LOOK_EVERY) {
                looked = Some(now);
                match self.look(&mut timeouts).await {
                    Ok(()) => complaint.succeeded(),
                    Err(error) => complaint.failed(error.kind(), &error),
                }
            }
            for (action, _) in self.parts.drainer.actions() {
                let named = (action.group.clone(), action.hook.clone());
                let every = heartbeat_every(timeouts.get(&named).copied().unwrap_or(TIMEOUT_LEAST));
                let now = self.parts.clock.now();
                if beaten.get(&action).is_some_and(|beaten| now.since(*beaten) < every) {
                    continue;
                }
                beaten.insert(action.clone(), now);
                match self.parts.scaling.beat(action.clone()).await {
                    Ok(Standing::Open) => tracing::debug!(%action, "sign of life sent"),
                    Ok(Standing::Over) => tracing::info!(%action, "this action is over already"),
                    Err(error) => complaint.failed(error.kind(), &error),
                }
            }
            tokio::select! {
                () = self.pause(Duration::from_secs(1)) => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// Asks the group whether it holds this machine, and by which hooks.
    async fn look(&self, timeouts: &mut Timeouts) -> ScalingResult<()> {
        let Some(instance) = self.identity().instance else { return Ok(()) };
        let Some(member) = self.parts.scaling.member(instance.clone()).await? else { return Ok(()) };
        let known = |timeouts: &Timeouts| timeouts.keys().any(|(group, _)| *group == member.group);
        if !known(timeouts) {
            let hooks = self.parts.scaling.hooks(member.group.clone()).await?;
            let terminating = hooks.into_iter().filter(|hook| hook.transition == Transition::Terminating);
            timeouts.extend(terminating.map(|hook| ((member.group.clone(), hook.name), hook.timeout)));
        }
        if !member.is_held_terminating() {
            return Ok(());
        }
        for (group, hook) in timeouts.keys().filter(|(group, _)| *group == member.group) {
            let action =
                Action { group: group.clone(), hook: hook.clone(), instance: instance.clone(), token: None };
            self.parts.drainer.signal(Signal::Hook { action, letter: None });
        }
        Ok(())
    }
}
