//! The size of the group follows demand, where that is asked for: the owner of the role `placement` does what
//! `decide::capacity` says.
//!
//! The group is read again right before it is changed: what somebody else has raised meanwhile is never lowered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        capacity::{Capacity, Launches, Leaving, Machine, Step, View},
        drain::Signal,
        placement::Wanted,
        scheduler::NodeState,
    },
    journal::Kind,
    names::{NodeId, Role},
    ports::autoscaling::{Group, ScalingError, ScalingResult},
    time::Moment,
    wire::{self, NodeStatus},
};

use super::{Cloud, complaint::Complaint};
use crate::{control, journal::Entry};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Reading the group costs a request; between those what is known of it is good enough to notice a need.
const READ_EVERY: Duration = Duration::from_secs(10);
/// A node answers at once.
const ASK_LIMIT: Duration = Duration::from_secs(4);

// === impl Cloud ===

impl Cloud {
    /// Never ends.
    pub(super) async fn follow_demand(self: Arc<Self>) {
        let Some(settings) = self.settings.capacity else { return };
        let role = Role::new(control::ROLE);
        let Some(name) = self.group_name().await else { return };
        let mut complaint = Complaint::about("making the group's size follow demand");
        let mut tenure = None;
        loop {
            self.pause(LOOK_EVERY).await;
            let term = self.parts.roles.owns(&role);
            let Some(term) = term else {
                if tenure.take().is_some() {
                    self.parts.control.note_no_room_comes(None);
                }
                continue;
            };
            // Nothing that an earlier tenure knew holds.
            let (capacity, group) = match &mut tenure {
                Some((known, capacity, group)) if *known == term => (capacity, group),
                tenure => {
                    let begun = tenure.insert((term, Capacity::new(settings), None));
                    (&mut begun.1, &mut begun.2)
                }
            };
            match self.look_at_demand(&name, capacity, group).await {
                Ok(()) => complaint.succeeded(),
                Err(error) => complaint.failed(error.kind(), &error),
            }
        }
    }

    async fn look_at_demand(
        &self,
        name: &str,
        capacity: &mut Capacity,
        read: &mut Option<(Moment, Group)>,
    ) -> ScalingResult<()> {
        let now = self.parts.clock.now();
        if read.as_ref().is_none_or(|(when, _)| now.since(*when) >= READ_EVERY) {
            *read = Some((now, self.read_group(name).await?));
        }
        let (Some((_, group)), Some(wanted)) = (read.as_ref(), self.parts.control.wanted()) else {
            return Ok(());
        };
        let statuses = self.statuses();
        let machines: Vec<Machine> = statuses.iter().map(machine).collect();
        let view =
            View { group, machines: &machines, wanted: &wanted, deploying: self.is_deploying(&statuses) };
        let decided = capacity.tick(view, now);
        if let Some(news) = capacity.settled() {
            self.tell_launches(name, &news);
        }
        let Some((step, reasons)) = decided else { return Ok(()) };
        if step == Step::Look {
            let activities = self.parts.scaling.activities(name.to_owned()).await?;
            if let Some(news) = capacity.looked(&activities, now, self.parts.clock.wall()) {
                self.tell_launches(name, &news);
            }
            return Ok(());
        }
        *read = None;
        self.take(&step, name, &reasons, &wanted).await
    }

    fn tell_launches(&self, group: &str, news: &Launches) {
        let entry = match news {
            Launches::Fail(why) => {
                let what = format!("the group '{group}' could not start a machine: {why}");
                self.parts.control.note_no_room_comes(Some(what.clone()));
                Entry::new(Kind::Capacity, what).warning().because("it is asked for no more until one starts")
            }
            Launches::Recovered => {
                self.parts.control.note_no_room_comes(None);
                Entry::new(Kind::Capacity, format!("the group '{group}' has the machines that it is to have"))
            }
        };
        self.parts.journal.record(entry);
    }

    async fn read_group(&self, name: &str) -> ScalingResult<Group> {
        let found = self.parts.scaling.group(name.to_owned()).await?;
        found.ok_or_else(|| ScalingError::Refused {
            action: "autoscaling:DescribeAutoScalingGroups",
            resource: name.to_owned(),
            reason: "there is no such group".to_owned(),
        })
    }

    async fn take(
        &self,
        step: &Step,
        group: &str,
        reasons: &[String],
        wanted: &[Wanted],
    ) -> ScalingResult<()> {
        match step {
            // Read, not done.
            Step::Look => {}
            Step::Raise { to } => {
                let fresh = self.read_group(group).await?;
                let to = (*to).min(fresh.most);
                if fresh.desired >= to {
                    return Ok(());
                }
                self.parts.scaling.set_desired(group.to_owned(), to).await?;
                let what = format!("group '{group}' is to have {to} machines, not {}", fresh.desired);
                self.tell_capacity(&what, reasons, wanted);
            }
            Step::Drain { node } => {
                if self.ask(node, wire::DrainNode).await {
                    self.tell_capacity(
                        &format!("node '{node}' is drained to be done without"),
                        reasons,
                        wanted,
                    );
                }
            }
            Step::Undrain { node } => {
                if self.ask(node, wire::UndrainNode).await {
                    self.tell_capacity(&format!("node '{node}' is needed after all"), reasons, wanted);
                }
            }
            Step::Remove { node, instance } => {
                let fresh = self.read_group(group).await?;
                if fresh.desired <= fresh.least {
                    return Ok(());
                }
                self.parts.scaling.remove(instance.clone()).await?;
                let what = format!("group '{group}' does without node '{node}' ({instance})");
                self.tell_capacity(&what, reasons, wanted);
            }
        }
        Ok(())
    }

    /// A node that does not answer is asked again when that is decided again.
    async fn ask<M>(&self, node: &NodeId, method: M) -> bool
    where
        M: wire::Method<Input = wire::DrainNodeInput, Output = wire::DrainNodeOutput>,
    {
        let input =
            wire::DrainNodeInput { node_id: node.to_string(), delegated: Some(true), surplus: Some(true) };
        if *node == self.parts.node_id {
            if M::NAME == <wire::DrainNode as wire::Method>::NAME {
                self.parts.drainer.signal(Signal::Surplus);
                return true;
            }
            return self.parts.drainer.needed().is_ok();
        }
        match self.parts.peers.call(node, method, &input, ASK_LIMIT).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, "a node could not be asked to drain, or to go on");
                false
            }
        }
    }

    fn tell_capacity(&self, what: &str, reasons: &[String], wanted: &[Wanted]) {
        let instances: u32 = wanted.iter().map(|wanted| wanted.count).sum();
        let entry = Entry::new(Kind::Capacity, what).reasons(reasons.iter().cloned());
        self.parts.journal.record(entry.data("instancesWanted", instances));
    }

    /// All nodes that can be reached, this one among them.
    pub(super) fn statuses(&self) -> Vec<Arc<NodeStatus>> {
        let peers = self.parts.peers.view().into_iter().filter(|peer| peer.silent_since.is_none());
        peers.map(|peer| peer.status).chain([Arc::new(self.parts.node.status())]).collect()
    }

    /// Instances of another version than the component's own run somewhere.
    fn is_deploying(&self, statuses: &[Arc<NodeStatus>]) -> bool {
        let snapshot = self.parts.configuration.current();
        let versions: BTreeMap<&str, i64> = snapshot
            .components
            .values()
            .map(|component| (component.name.as_str(), component.version))
            .collect();
        let mut running = statuses.iter().flat_map(|status| &status.running_components);
        running.any(|info| {
            let current = versions.get(info.component_name.as_str());
            current.is_none_or(|version| *version != info.component_version)
        })
    }
}

fn machine(status: &Arc<NodeStatus>) -> Machine {
    let state = NodeState::of(status);
    let empty = status.targets.iter().all(|target| target.target_count == 0)
        && status.running_components.iter().all(|info| info.standby == Some(true));
    let leaving = match &status.drain {
        Some(drain) if drain.surplus == Some(true) && drain.state != "leaving" => Leaving::Surplus { empty },
        Some(_) => Leaving::Otherwise,
        None => Leaving::Stays,
    };
    Machine { view: state.view, instance: status.instance_id.clone(), leaving }
}
