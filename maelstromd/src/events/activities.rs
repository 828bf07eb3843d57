//! Activities of AWS Step Functions: each task becomes a request, and the answer ends the task.
//!
//! ```text
//!   find or create ──► next task (a minute's call) ──► request, heartbeats beside it ──► success or failure
//! ```
//! A task that was handed out can't be given back: a poller that ends awaits its call, and works on what
//! that brings. What the state machine has given up meanwhile is over, and no failure of anybody's.

mod outcome;
mod task;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use maelstrom_core::{
    decide::poller::Patience,
    event_source::{EventSource, EventSourceKind, StepFunctionsSource},
    journal::Kind,
    names::NodeId,
    ports::{
        BoxFuture,
        activity::{Activities, Activity, ActivityError, ActivityResult, Task},
        clock::Clock,
    },
    time::Moment,
};
use tokio::task::JoinSet;

pub(super) use self::outcome::{Outcome, request};
use self::task::Ended;
use super::{
    Dispatch,
    complaints::Complaints,
    pollers::{Assignment, Poll, Turn},
};
use crate::{
    cluster::Source,
    journal::{Entry, Journal},
};

/// Characters of a worker's name.
const MAX_WORKER: usize = 80;

/// What the pollers of activities stand on.
pub(super) struct StepFunctions {
    pub(super) node: NodeId,
    pub(super) activities: Arc<dyn Activities>,
    pub(super) dispatch: Arc<dyn Dispatch>,
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) complaints: Complaints,
}

struct Poller {
    shared: Arc<StepFunctions>,
    turn: Turn,
    assignment: Assignment,
    activity: Option<Activity>,
    patience: Patience,
    asking: Option<BoxFuture<'static, Asked>>,
    tasks: JoinSet<Ended>,
}

enum Asked {
    Found(ActivityResult<Activity>),
    Next(Activity, ActivityResult<Option<Task>>),
}

// === impl StepFunctions ===

impl StepFunctions {
    fn troubled(&self, source: &EventSource, error: &ActivityError) {
        if self.complaints.failed(source.name.as_str(), error.kind(), self.clock.now()) {
            let message = format!("event source '{}' can't work on its activity", source.name);
            self.journal.record(entry(source, message).because(error.to_string()).warning());
        }
    }

    fn untroubled(&self, source: &EventSource) {
        if self.complaints.succeeded(source.name.as_str()) {
            let message = format!("event source '{}' can work on its activity again", source.name);
            self.journal.record(entry(source, message));
        }
    }

    fn task_failed(&self, source: &EventSource, why: &str) {
        if let Some(count) = self.complaints.message_failed(source.name.as_str(), self.clock.now()) {
            let many = if count == 1 { "a task" } else { "tasks" };
            let message = format!("{many} of event source '{}' failed", source.name);
            self.journal.record(entry(source, message).because(why).data("failed", count).warning());
        }
    }
}

impl Poll for StepFunctions {
    fn poll(self: Arc<Self>, turn: Turn) -> BoxFuture<'static, ()> {
        let poller = Poller {
            shared: self,
            assignment: turn.assignment(),
            turn,
            activity: None,
            patience: Patience::default(),
            asking: None,
            tasks: JoinSet::new(),
        };
        Box::pin(poller.run())
    }
}

// === impl Poller ===

impl Poller {
    async fn run(mut self) {
        loop {
            self.follow();
            let share = self.turn.share();
            let in_flight = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
            self.turn.report.hands(share, in_flight, 0);
            if in_flight < share {
                self.ask();
            }
            if share == 0 && self.asking.is_none() && self.tasks.is_empty() {
                return;
            }
            self.wait(share).await;
        }
    }

    fn follow(&mut self) {
        let before = std::mem::replace(&mut self.assignment, self.turn.assignment());
        let name = |assignment: &Assignment| settings(&assignment.source).map(|s| s.activity_name.clone());
        if name(&before) != name(&self.assignment) {
            self.activity = None;
            self.patience.succeeded();
        }
    }

    fn ask(&mut self) {
        let Some(settings) = settings(&self.assignment.source) else { return };
        if self.asking.is_some() || self.patience.is_waiting(self.shared.clock.now()) {
            return;
        }
        let activities = self.shared.activities.clone();
        let name = settings.activity_name.clone();
        let mut worker = format!("{}/{}", self.shared.node, self.turn.role());
        worker.truncate(worker.floor_char_boundary(MAX_WORKER));
        self.asking = Some(match self.activity.clone() {
            None => Box::pin(async move { Asked::Found(activities.find_or_create(name).await) }),
            Some(activity) => Box::pin(async move {
                let next = activities.next_task(activity.clone(), worker).await;
                Asked::Next(activity, next)
            }),
        });
    }

    async fn wait(&mut self, share: u32) {
        let clock = self.shared.clock.clone();
        let until = self.patience.until();
        let waits = self.asking.is_none() && share > 0 && self.patience.is_waiting(clock.now());
        let asked = async {
            match &mut self.asking {
                Some(asking) => asking.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.turn.changed() => {}
            asked = asked => {
                self.asking = None;
                self.asked(asked);
            }
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(ended) => self.ended(ended),
                Err(error) => tracing::error!(%error, "a task of an activity panicked; it will time out"),
            },
            () = clock.sleep_until(until), if waits => {}
        }
    }

    fn asked(&mut self, asked: Asked) {
        let source = self.assignment.source.clone();
        let result = match asked {
            Asked::Found(found) => found.map(|found| self.activity = Some(found)),
            Asked::Next(activity, next) => next.map(|task| {
                if let Some(task) = task {
                    let work = task::work(self.shared.clone(), self.assignment.clone(), activity, task);
                    self.tasks.spawn(work);
                }
            }),
        };
        match result {
            Ok(()) => {
                self.patience.succeeded();
                self.turn.report.trouble(None);
                self.shared.untroubled(&source.source);
            }
            Err(error) => self.troubled(&source, &error, self.shared.clock.now()),
        }
    }

    fn troubled(&mut self, source: &Source, error: &ActivityError, now: Moment) {
        if matches!(error, ActivityError::NoSuchActivity { .. }) {
            self.activity = None;
        }
        self.patience.failed(now, rand::random());
        self.turn.report.trouble(Some(error.to_string()));
        self.shared.troubled(&source.source, error);
    }

    fn ended(&mut self, ended: Ended) {
        let failed = ended.failure.is_some();
        self.turn.report.ended(u64::from(!failed), u64::from(failed));
        if let Some(why) = ended.failure {
            self.shared.task_failed(&ended.source.source, &why);
        }
    }
}

fn settings(source: &Source) -> Option<&StepFunctionsSource> {
    match &source.source.kind {
        EventSourceKind::StepFunctions(settings) => Some(settings),
        _ => None,
    }
}

fn entry(source: &EventSource, message: String) -> Entry {
    Entry::new(Kind::Poller, message).component(&source.component).data("source", source.name.as_str())
}
