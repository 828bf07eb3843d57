//! What all [`Activities`] must do, as one suite. `activity_conformance!(fresh)` turns it into tests, with
//! `fresh` an async function that makes a [`Subject`].

use std::sync::Arc;

use crate::ports::{
    BoxFuture,
    activity::{Activities, Activity, ActivityError, Task},
};

/// Activities, and what tests do from the other side of them.
pub trait Subject: Send + Sync {
    fn activities(&self) -> Arc<dyn Activities>;
    /// A name that nobody has used.
    fn name(&self) -> String;
    /// Has a state machine hand out a task; returns what names its execution.
    fn start(&self, activity: Activity, input: String) -> BoxFuture<'_, String>;
    /// Waits for an execution's end: its output, or error and cause.
    fn end(&self, execution: String) -> BoxFuture<'_, Result<String, (String, String)>>;
}

/// One test per case of the suite, each on a subject of its own.
#[macro_export]
macro_rules! activity_conformance {
    ($fresh:path) => {
        $crate::activity_conformance!(@cases $fresh:
            an_activity_is_made_once
            a_task_is_handed_out_once_and_succeeds
            a_task_fails_with_error_and_cause
            an_answer_to_a_task_that_is_over_does_no_harm
        );
    };
    (@cases $fresh:path: $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject: Box<dyn $crate::testing::activity_conformance::Subject> =
                    Box::new($fresh().await);
                $crate::testing::activity_conformance::$case(&*subject).await;
            }
        )*
    };
}

async fn task(subject: &dyn Subject, input: &str) -> (Activity, String, Task) {
    let activities = subject.activities();
    let activity = activities.find_or_create(subject.name()).await.unwrap();
    let execution = subject.start(activity.clone(), input.to_owned()).await;
    let task = activities.next_task(activity.clone(), "test".into()).await.unwrap().expect("a task");
    (activity, execution, task)
}

pub async fn an_activity_is_made_once(subject: &dyn Subject) {
    let name = subject.name();
    let made = subject.activities().find_or_create(name.clone()).await.unwrap();
    let found = subject.activities().find_or_create(name.clone()).await.unwrap();
    assert_eq!((&made.name, &made), (&name, &found));
}

pub async fn a_task_is_handed_out_once_and_succeeds(subject: &dyn Subject) {
    let (activity, execution, task) = task(subject, r#"{"n":7}"#).await;
    assert_eq!(task.input.replace(' ', ""), r#"{"n":7}"#);
    let activities = subject.activities();
    activities.heartbeat(activity.clone(), task.token.clone()).await.unwrap();
    activities.succeed(activity, task.token, r#"{"done":true}"#.into()).await.unwrap();
    let output = subject.end(execution).await.unwrap();
    assert_eq!(output.replace(' ', ""), r#"{"done":true}"#);
}

pub async fn a_task_fails_with_error_and_cause(subject: &dyn Subject) {
    let (activity, execution, task) = task(subject, "{}").await;
    subject.activities().fail(activity, task.token, "my.error".into(), "because".into()).await.unwrap();
    assert_eq!(subject.end(execution).await, Err(("my.error".into(), "because".into())));
}

pub async fn an_answer_to_a_task_that_is_over_does_no_harm(subject: &dyn Subject) {
    let (activity, execution, task) = task(subject, "{}").await;
    let activities = subject.activities();
    activities.succeed(activity.clone(), task.token.clone(), "1".into()).await.unwrap();
    let output = subject.end(execution.clone()).await;
    for answer in [
        activities.succeed(activity.clone(), task.token.clone(), "2".into()).await,
        activities.fail(activity.clone(), task.token.clone(), "e".into(), "c".into()).await,
        activities.heartbeat(activity, task.token).await,
    ] {
        // LocalStack has no objection where AWS says that it is over.
        assert!(matches!(answer, Ok(()) | Err(ActivityError::TaskGone)), "{answer:?}");
    }
    assert_eq!((output.as_deref(), subject.end(execution).await.as_deref()), (Ok("1"), Ok("1")));
}
