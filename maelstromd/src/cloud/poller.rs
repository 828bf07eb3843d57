//! The termination poller: the owner of the role receives what the group's hook writes into its queue and does
//! what `decide::termination` says. Now and then it looks at the group itself, for what no message told.
//!
//! Who loses the role gives all messages back to the queue, where the next owner finds them at once.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::{
        drain::Signal,
        lease::Term,
        poller::Patience,
        termination::{Order, Outcome, Received, Seat, Sorted, Terminations, Told, VISIBILITY, What, World},
    },
    journal::Kind,
    lifecycle::{Action, Letter, Transition},
    names::{NodeId, Role},
    ports::{
        autoscaling::{ScalingResult, Standing, Verdict},
        queue::{MAX_BATCH, Message, NotDone, QueueResult, Receive, Received as Batch},
    },
    time::Moment,
    wire,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Cloud, complaint::Complaint, hook_of};
use crate::{
    cluster::{PeerView, Wanted},
    journal::Entry,
};

/// The role whose owner polls.
pub const ROLE: &str = "aws-terminate-poller";
/// Messages come at once; this is for how long a receive waits, and so how long giving up takes at most.
const RECEIVE_WAIT: Duration = Duration::from_secs(5);
/// Nodes that come, go and fall silent are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// A node answers at once: its drain goes on afterwards.
const HAND_LIMIT: Duration = Duration::from_secs(4);

/// What is under way, by what it tells when it ends.
enum Ended {
    Received(QueueResult<Batch>),
    Swept(ScalingResult<Vec<Action>>),
    Done(Order, Outcome),
    /// A message that says nothing was deleted, or comes back and is deleted then.
    Cleared,
}

/// One tenure of the role.
struct Tenure {
    cloud: Arc<Cloud>,
    queue: String,
    terminations: Terminations,
    work: JoinSet<Ended>,
    receiving: bool,
    swept: Option<Moment>,
    patience: Patience,
    receives: Complaint,
    sweeps: Complaint,
}

// === impl Cloud ===

impl Cloud {
    /// Polls while this node owns the role, until `token` fires.
    pub(super) async fn poll(self: Arc<Self>, queue: String, token: CancellationToken) {
        let wanted = self.parts.roles.want_one(Role::new(ROLE));
        loop {
            let term = tokio::select! {
                () = token.cancelled() => return,
                term = wanted.owned() => term,
            };
            let mut tenure = Tenure::new(self.clone(), queue.clone());
            tokio::select! {
                () = token.cancelled() => {}
                () = tenure.act(&wanted, term) => {}
            }
            tenure.end().await;
        }
    }

    /// The nodes by machine, this one among them.
    fn world(&self) -> World {
        let now = self.parts.clock.now();
        let peers = self.parts.peers.view();
        let seat = |peer: &PeerView| {
            let silent_for = peer.silent_since.map(|since| now.since(since));
            Some((
                peer.status.instance_id.clone()?,
                Seat { node: NodeId::new(peer.status.node_id.as_str()), silent_for },
            ))
        };
        let identity = self.identity();
        let own = identity
            .instance
            .map(|instance| (instance, Seat { node: self.parts.node_id.clone(), silent_for: None }));
        World { nodes: peers.iter().filter_map(seat).chain(own).collect(), group: identity.group }
    }

    async fn execute(&self, what: &What) -> Outcome {
        match what.clone() {
            What::Beat(action) => standing(self.parts.scaling.beat(action).await),
            What::Complete(action) => standing(self.parts.scaling.complete(action, Verdict::Continue).await),
            What::Hand { node, action, letter } => self.hand(&node, action, letter).await,
            What::Extend { letter, .. } => {
                let changes = vec![(letter.receipt, VISIBILITY)];
                message(self.parts.queues.change_visibility(letter.queue, changes).await)
            }
            What::Delete { letter, .. } => {
                message(self.parts.queues.delete(letter.queue, vec![letter.receipt]).await)
            }
        }
    }

    async fn hand(&self, node: &NodeId, action: Action, letter: Option<Letter>) -> Outcome {
        if *node == self.parts.node_id {
            self.parts.drainer.signal(Signal::Hook { action, letter });
            return Outcome::Accepted;
        }
        let input = wire::TerminateNodeInput { aws_lifecycle_hook: Some(hook_of(action, letter)) };
        match self.parts.peers.call(node, wire::TerminateNode, &input, HAND_LIMIT).await {
            Ok(answer) if answer.accepted_message => Outcome::Accepted,
            Ok(answer) => {
                Outcome::Failed(format!("it runs on machine {:?}", answer.instance_id.unwrap_or_default()))
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Actions that hold machines of the group on their way out.
    async fn sweep(&self, group: String) -> ScalingResult<Vec<Action>> {
        let Some(found) = self.parts.scaling.group(group.clone()).await? else { return Ok(Vec::new()) };
        let mut held = found.members.into_iter().filter(|member| member.is_held_terminating()).peekable();
        if held.peek().is_none() {
            return Ok(Vec::new());
        }
        let hooks = self.parts.scaling.hooks(group.clone()).await?;
        let hooks: Vec<String> = hooks
            .into_iter()
            .filter(|hook| hook.transition == Transition::Terminating)
            .map(|hook| hook.name)
            .collect();
        let of = |instance: String| {
            let group = group.clone();
            hooks.iter().map(move |hook| Action {
                group: group.clone(),
                hook: hook.clone(),
                instance: instance.clone(),
                token: None,
            })
        };
        Ok(held.flat_map(|member| of(member.instance)).collect())
    }
}

// === impl Tenure ===

impl Tenure {
    fn new(cloud: Arc<Cloud>, queue: String) -> Self {
        Self {
            terminations: Terminations::new(cloud.settings.max_age),
            cloud,
            queue,
            work: JoinSet::new(),
            receiving: false,
            swept: None,
            patience: Patience::default(),
            receives: Complaint::about("receiving from the termination queue"),
            sweeps: Complaint::about("looking at the autoscaling group"),
        }
    }

    /// Until the role is lost.
    async fn act(&mut self, wanted: &Wanted, term: Term) {
        let mut changes = self.cloud.parts.peers.changes();
        let lost = wanted.lost(term);
        tokio::pin!(lost);
        loop {
            changes.mark_unchanged();
            self.begin_what_is_due();
            tokio::select! {
                () = &mut lost => return,
                Some(ended) = self.work.join_next() => {
                    if let Ok(ended) = ended {
                        self.ended(ended);
                    }
                }
                _ = changes.changed() => {}
                () = self.cloud.pause(LOOK_EVERY) => {}
            }
        }
    }

    fn begin_what_is_due(&mut self) {
        let (now, world) = (self.cloud.parts.clock.now(), self.cloud.world());
        for order in self.terminations.next(&world, now) {
            let cloud = self.cloud.clone();
            self.work.spawn(async move {
                let outcome = cloud.execute(&order.what).await;
                Ended::Done(order, outcome)
            });
        }
        if !self.receiving && self.terminations.has_room() && !self.patience.is_waiting(now) {
            self.receiving = true;
            let (cloud, queue) = (self.cloud.clone(), self.queue.clone());
            let most = u32::try_from(MAX_BATCH).unwrap_or(1);
            let receive = Receive { most, wait: RECEIVE_WAIT, visibility: VISIBILITY };
            self.work.spawn(async move { Ended::Received(cloud.parts.queues.receive(queue, receive).await) });
        }
        let due = self.swept.is_none_or(|swept| now.since(swept) >= SWEEP_EVERY);
        if let Some(group) = world.group.filter(|_| due) {
            self.swept = Some(now);
            let cloud = self.cloud.clone();
            self.work.spawn(async move { Ended::Swept(cloud.sweep(group).await) });
        }
    }

    fn ended(&mut self, ended: Ended) {
        let now = self.cloud.parts.clock.now();
        match ended {
            Ended::Done(order, outcome) => {
                if let Some(told) = self.terminations.done(&order, &outcome, now) {
                    self.tell(told);
                }
            }
            Ended::Swept(Ok(actions)) => {
                self.sweeps.succeeded();
                self.terminations.swept(actions, now);
            }
            Ended::Cleared => {}
            Ended::Swept(Err(error)) => self.sweeps.failed(error.kind(), &error),
            Ended::Received(Ok(received)) => {
                self.receiving = false;
                self.receives.succeeded();
                self.patience.succeeded();
                for message in received.messages {
                    self.sort(message);
                }
            }
            Ended::Received(Err(error)) => {
                self.receiving = false;
                self.receives.failed(error.kind(), &error);
                // One node polls: there is nobody to be out of step with.
                self.patience.failed(now, 1.0);
            }
        }
    }

    fn sort(&mut self, message: Message) {
        let (now, wall) = (self.cloud.parts.clock.now(), self.cloud.parts.clock.wall());
        let letter = Letter { queue: self.queue.clone(), receipt: message.receipt };
        let received =
            Received { id: message.id, letter: letter.clone(), body: message.body, sent_at: message.sent_at };
        let group = self.cloud.identity().group;
        match self.terminations.receive(received, group.as_deref(), now, wall) {
            Sorted::Kept => {}
            Sorted::Leave(why) => tracing::warn!(why, "a message in the termination queue is left alone"),
            Sorted::Delete(why) => {
                tracing::info!(why, "a message in the termination queue is deleted");
                let cloud = self.cloud.clone();
                self.work.spawn(async move {
                    cloud.execute(&What::Delete { id: String::new(), letter }).await;
                    Ended::Cleared
                });
            }
        }
    }

    fn tell(&self, told: Told) {
        let mut entry = Entry::new(Kind::Drain, told.what);
        if let Some(why) = told.why {
            entry = entry.because(why);
        }
        self.cloud.parts.journal.record(if told.warning { entry.warning() } else { entry });
    }

    /// What is under way ends by itself within its bounds; then all messages are given back.
    async fn end(mut self) {
        while let Some(ended) = self.work.join_next().await {
            if let Ok(ended) = ended {
                self.ended_late(ended);
            }
        }
        let letters = self.terminations.give_up();
        for batch in letters.chunks(MAX_BATCH) {
            let changes = batch.iter().map(|letter| (letter.receipt.clone(), Duration::ZERO)).collect();
            if let Err(error) = self.cloud.parts.queues.change_visibility(self.queue.clone(), changes).await {
                tracing::warn!(%error, "messages of the hook come back to the next poller only after a minute");
            }
        }
    }

    /// Like [`Self::ended`], with nothing begun any more: messages that still came are kept to be given back.
    fn ended_late(&mut self, ended: Ended) {
        match ended {
            Ended::Received(Ok(received)) => {
                for message in received.messages {
                    self.sort(message);
                }
            }
            Ended::Done(order, outcome) => {
                let now = self.cloud.parts.clock.now();
                self.terminations.done(&order, &outcome, now);
            }
            Ended::Swept(_) | Ended::Received(Err(_)) | Ended::Cleared => {}
        }
    }
}

fn standing(answered: ScalingResult<Standing>) -> Outcome {
    match answered {
        Ok(standing) => Outcome::Standing(standing),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Of a call about one message.
fn message(answered: QueueResult<NotDone>) -> Outcome {
    match answered {
        Ok(not_done) if not_done.is_empty() => Outcome::Done,
        Ok(_) => Outcome::Gone,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}
