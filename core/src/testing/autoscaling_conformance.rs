//! What all [`Autoscaling`] must do, as one suite. `autoscaling_conformance!(fresh)` turns it into tests, with
//! `fresh` an async function that makes a [`Subject`].

use std::{sync::Arc, time::Duration};

use crate::{
    lifecycle::{Action, Transition},
    ports::{
        BoxFuture,
        autoscaling::{ActivityState, Autoscaling, Group, ScalingError, Standing, Verdict},
    },
};

/// A group of two machines and at most four, whose hook [`HOOK`] holds those that go.
pub trait Subject: Send + Sync {
    fn scaling(&self) -> Arc<dyn Autoscaling>;
    fn group(&self) -> String;
    /// Somebody else terminates a machine.
    fn terminate(&self, instance: String) -> BoxFuture<'_, ()>;
    /// From now on the group can launch no machine, for this reason.
    fn fail_launches(&self, why: &'static str) -> BoxFuture<'_, ()>;
}

pub const HOOK: &str = "leave";
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// One test per case of the suite, each on a subject of its own.
#[macro_export]
macro_rules! autoscaling_conformance {
    ($fresh:path) => {
        $crate::autoscaling_conformance!(@cases $fresh:
            a_group_tells_its_bounds_its_machines_and_its_hooks
            an_action_is_open_until_it_is_completed
            what_is_over_is_no_error
            desired_capacity_is_set_within_bounds
            a_removed_machine_is_not_replaced
            a_launch_that_fails_says_why
            what_is_not_there_is_none
        );
    };
    (@cases $fresh:path: $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject: Box<dyn $crate::testing::autoscaling_conformance::Subject> = Box::new($fresh().await);
                $crate::testing::autoscaling_conformance::$case(&*subject).await;
            }
        )*
    };
}

async fn group(subject: &dyn Subject) -> Group {
    subject.scaling().group(subject.group()).await.unwrap().unwrap()
}

async fn first(subject: &dyn Subject) -> String {
    group(subject).await.members[0].instance.clone()
}

fn action(subject: &dyn Subject, instance: &str) -> Action {
    Action { group: subject.group(), hook: HOOK.into(), instance: instance.into(), token: None }
}

pub async fn a_group_tells_its_bounds_its_machines_and_its_hooks(subject: &dyn Subject) {
    let told = group(subject).await;
    assert_eq!((told.name.clone(), told.most, told.desired, told.members.len()), (subject.group(), 4, 2, 2));
    assert!(told.members.iter().all(|member| member.counts() && member.group == told.name), "{told:?}");
    let one = subject.scaling().member(told.members[1].instance.clone()).await.unwrap().unwrap();
    assert_eq!((one.instance.as_str(), one.group), (told.members[1].instance.as_str(), told.name));
    let hooks = subject.scaling().hooks(subject.group()).await.unwrap();
    let hook = hooks.iter().find(|hook| hook.name == HOOK).unwrap();
    assert_eq!((hook.transition, hook.timeout), (Transition::Terminating, TIMEOUT));
}

pub async fn an_action_is_open_until_it_is_completed(subject: &dyn Subject) {
    let (scaling, instance) = (subject.scaling(), first(subject).await);
    subject.terminate(instance.clone()).await;
    let held = scaling.member(instance.clone()).await.unwrap().unwrap();
    assert!(held.is_held_terminating() && !held.counts(), "{held:?}");
    let action = action(subject, &instance);
    assert_eq!(scaling.beat(action.clone()).await, Ok(Standing::Open));
    assert_eq!(scaling.complete(action.clone(), Verdict::Continue).await, Ok(Standing::Over));
    assert_eq!(scaling.beat(action).await, Ok(Standing::Over));
    let left = scaling.member(instance).await.unwrap();
    assert!(left.is_none_or(|member| !member.is_held_terminating()));
}

pub async fn what_is_over_is_no_error(subject: &dyn Subject) {
    let (scaling, instance) = (subject.scaling(), first(subject).await);
    let never = action(subject, &instance);
    assert_eq!(scaling.beat(never.clone()).await, Ok(Standing::Over));
    assert_eq!(scaling.complete(never.clone(), Verdict::Continue).await, Ok(Standing::Over));
    let token = Some("00000000-0000-0000-0000-000000000000".to_owned());
    subject.terminate(instance).await;
    let other = Action { token, ..never.clone() };
    assert_eq!(
        scaling.complete(other, Verdict::Continue).await,
        Ok(Standing::Over),
        "another action's token"
    );
    assert_eq!(scaling.beat(never).await, Ok(Standing::Open), "ends nothing");
}

pub async fn desired_capacity_is_set_within_bounds(subject: &dyn Subject) {
    let scaling = subject.scaling();
    scaling.set_desired(subject.group(), 3).await.unwrap();
    let grown = group(subject).await;
    assert_eq!(grown.desired, 3);
    let refused = scaling.set_desired(subject.group(), 5).await.unwrap_err();
    assert!(matches!(refused, ScalingError::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("autoscaling:SetDesiredCapacity on "), "{refused}");
}

pub async fn a_removed_machine_is_not_replaced(subject: &dyn Subject) {
    let (scaling, instance) = (subject.scaling(), first(subject).await);
    scaling.remove(instance.clone()).await.unwrap();
    assert_eq!(group(subject).await.desired, 1);
    assert!(scaling.member(instance).await.unwrap().unwrap().is_held_terminating(), "its hooks come first");
}

pub async fn a_launch_that_fails_says_why(subject: &dyn Subject) {
    let scaling = subject.scaling();
    subject.fail_launches("InsufficientInstanceCapacity of t3.micro").await;
    scaling.set_desired(subject.group(), 3).await.unwrap();
    let told = group(subject).await;
    assert_eq!((told.desired, told.members.len()), (3, 2));
    let activities = scaling.activities(subject.group()).await.unwrap();
    let last = &activities[0];
    assert!(last.is_launch() && last.state == ActivityState::Failed, "{activities:?}");
    assert!(last.reason.contains("InsufficientInstanceCapacity of t3.micro"), "{last:?}");
    assert!(last.began.as_millis() > 0, "{last:?}");
}

pub async fn what_is_not_there_is_none(subject: &dyn Subject) {
    let scaling = subject.scaling();
    assert_eq!(scaling.group("no-such-group".into()).await, Ok(None));
    assert_eq!(scaling.member("i-00000000000000000".into()).await, Ok(None));
}
