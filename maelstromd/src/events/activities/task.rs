//! One task: its request with heartbeats beside it, then its end, told until Step Functions has heard it.

use std::{sync::Arc, time::Duration};

use maelstrom_core::{
    decide::poller::Patience,
    ports::activity::{Activity, ActivityError, ActivityResult, Task},
};

use super::{Outcome, StepFunctions, outcome, settings};
use crate::{
    cluster::Source,
    events::{exchange, pollers::Assignment},
};

/// Nobody tells how long a state machine waits for one; less than ten seconds is rare.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
/// A state machine that can't be told an end for so long has to find out by itself.
const TELL_FOR: Duration = Duration::from_secs(300);

/// What has become of a task.
pub(super) struct Ended {
    pub(super) source: Arc<Source>,
    /// Why it did not succeed.
    pub(super) failure: Option<String>,
}

pub(super) async fn work(
    shared: Arc<StepFunctions>,
    assignment: Assignment,
    activity: Activity,
    task: Task,
) -> Ended {
    let Assignment { source, limit, .. } = assignment;
    let outcome = tokio::select! {
        outcome = ask(&shared, &source, &task, limit) => outcome,
        never = beat(&shared, &source, &activity, &task) => match never {},
    };
    let failure = match &outcome {
        Outcome::Success(_) => None,
        Outcome::Failure { error, cause } => Some(format!("{error}: {}", first_line(cause))),
    };
    // Until it is heard the task is alive.
    let told = tokio::select! {
        told = tell(&shared, &source, &activity, &task, outcome) => told,
        never = beat(&shared, &source, &activity, &task) => match never {},
    };
    Ended { source, failure: failure.or(told) }
}

async fn ask(shared: &StepFunctions, source: &Source, task: &Task, limit: Duration) -> Outcome {
    let invalid = |cause: String| Outcome::Failure { error: "maelstrom_invalid".into(), cause };
    let Some(settings) = settings(source) else {
        return invalid("it is no activity's event source".into());
    };
    let request = match outcome::request(&settings.path, &task.input) {
        Ok(request) => request,
        Err(error) => return invalid(error.to_string()),
    };
    let component = &source.source.component;
    let keep = outcome::KEPT_BYTES;
    Outcome::of(&exchange::ask(shared.dispatch.as_ref(), component, request, keep, limit).await)
}

/// For as long as it is awaited.
async fn beat(
    shared: &StepFunctions,
    source: &Source,
    activity: &Activity,
    task: &Task,
) -> std::convert::Infallible {
    loop {
        shared.clock.sleep_until(shared.clock.now() + HEARTBEAT_EVERY).await;
        match shared.activities.heartbeat(activity.clone(), task.token.clone()).await {
            Ok(()) => {}
            // It has no use for heartbeats, or for the answer; the component works on it all the same.
            Err(ActivityError::TaskGone) => return std::future::pending().await,
            Err(error) => shared.troubled(&source.source, &error),
        }
    }
}

/// Says why it could not be told.
async fn tell(
    shared: &StepFunctions,
    source: &Source,
    activity: &Activity,
    task: &Task,
    mut outcome: Outcome,
) -> Option<String> {
    let end = shared.clock.now() + TELL_FOR;
    let mut patience = Patience::default();
    loop {
        match send(shared, activity, task, outcome.clone()).await {
            Ok(()) | Err(ActivityError::TaskGone) => {
                shared.untroubled(&source.source);
                return None;
            }
            Err(error @ ActivityError::Refused { .. }) => match outcome {
                // The output may be what is not allowed; the state machine should hear that.
                Outcome::Success(_) => {
                    let cause = error.to_string();
                    outcome = Outcome::Failure { error: "maelstrom_output_refused".into(), cause };
                    continue;
                }
                Outcome::Failure { .. } => return Some(error.to_string()),
            },
            Err(error) if shared.clock.now() >= end => return Some(error.to_string()),
            Err(error) => shared.troubled(&source.source, &error),
        }
        patience.failed(shared.clock.now(), rand::random());
        shared.clock.sleep_until(patience.until()).await;
    }
}

async fn send(
    shared: &StepFunctions,
    activity: &Activity,
    task: &Task,
    outcome: Outcome,
) -> ActivityResult<()> {
    let (activity, token) = (activity.clone(), task.token.clone());
    match outcome {
        Outcome::Success(output) => shared.activities.succeed(activity, token, output).await,
        Outcome::Failure { error, cause } => shared.activities.fail(activity, token, error, cause).await,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}
