//! Groups of EC2 Auto Scaling.
//!
//! Actions and resources are named in errors as policies have them.

#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_autoscaling::{
    Client,
    config::{Builder, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    types::{AutoScalingGroup, Instance, LifecycleHook, ScalingActivityStatusCode},
};
use maelstrom_core::{
    lifecycle::{Action, Transition},
    ports::{
        BoxFuture,
        autoscaling::{
            Activity, ActivityState, Autoscaling, Group, Hook, Member, ScalingError, ScalingResult, Standing,
            Verdict,
        },
    },
    time::WallTime,
};
use tokio::sync::OnceCell;

use crate::{
    account::{Account, FoundAccount},
    failure::{Service, Trouble},
};

const SERVICE: Service = Service { name: "Auto Scaling", variable: "AWS_ENDPOINT_URL_AUTO_SCALING" };
/// An answer takes some hundred milliseconds; groups that are busy take seconds.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// The last ones that are asked for: launches and terminations of some minutes.
const ACTIVITIES: i32 = 20;
/// AWS's default, which hooks have whose answer doesn't tell.
const HOOK_TIMEOUT: Duration = Duration::from_secs(3_600);
/// How AWS says that an action is over, or never was: a validation error with these words.
const OVER: &str = "No active Lifecycle Action";

/// See the module.
pub struct AutoScalingGroups {
    account: FoundAccount,
    client: OnceCell<Client>,
}

// === impl AutoScalingGroups ===

impl AutoScalingGroups {
    pub fn new(account: FoundAccount) -> Self {
        Self { account, client: OnceCell::new() }
    }

    async fn client(&self, action: &'static str, resource: &str) -> ScalingResult<&Client> {
        let make = async || {
            let account = self.account.get().await?;
            Ok::<_, String>(connect(account))
        };
        let found = self.client.get_or_try_init(make).await;
        found.map_err(|reason| ScalingError::Unavailable { action, resource: resource.to_owned(), reason })
    }

    async fn find_member(&self, instance: &str) -> ScalingResult<Option<Member>> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingInstances";
        let client = self.client(ACTION, instance).await?;
        let asked = client.describe_auto_scaling_instances().instance_ids(instance).send().await;
        let answer = asked.map_err(|error| told(ACTION, instance, &error))?;
        Ok(answer.auto_scaling_instances.unwrap_or_default().into_iter().next().map(|found| Member {
            instance: found.instance_id.unwrap_or_default(),
            group: found.auto_scaling_group_name.unwrap_or_default(),
            state: canonical(&found.lifecycle_state.unwrap_or_default()),
            protected: found.protected_from_scale_in.unwrap_or_default(),
        }))
    }

    async fn find_group(&self, group: &str) -> ScalingResult<Option<Group>> {
        const ACTION: &str = "autoscaling:DescribeAutoScalingGroups";
        let client = self.client(ACTION, group).await?;
        let asked = client.describe_auto_scaling_groups().auto_scaling_group_names(group).send().await;
        let answer = asked.map_err(|error| told(ACTION, group, &error))?;
        Ok(answer.auto_scaling_groups.unwrap_or_default().into_iter().next().map(group_of))
    }

    async fn find_hooks(&self, group: &str) -> ScalingResult<Vec<Hook>> {
        const ACTION: &str = "autoscaling:DescribeLifecycleHooks";
        let client = self.client(ACTION, group).await?;
        let asked = client.describe_lifecycle_hooks().auto_scaling_group_name(group).send().await;
        let answer = asked.map_err(|error| told(ACTION, group, &error))?;
        Ok(answer.lifecycle_hooks.unwrap_or_default().into_iter().filter_map(hook_of).collect())
    }

    async fn find_activities(&self, group: &str) -> ScalingResult<Vec<Activity>> {
        const ACTION: &str = "autoscaling:DescribeScalingActivities";
        let client = self.client(ACTION, group).await?;
        let request = client.describe_scaling_activities().auto_scaling_group_name(group);
        let asked = request.max_records(ACTIVITIES).send().await;
        let answer = asked.map_err(|error| told(ACTION, group, &error))?;
        Ok(answer.activities.unwrap_or_default().into_iter().map(activity_of).collect())
    }

    async fn send_beat(&self, about: Action) -> ScalingResult<Standing> {
        const ACTION: &str = "autoscaling:RecordLifecycleActionHeartbeat";
        let resource = about.to_string();
        let client = self.client(ACTION, &resource).await?;
        let request = client
            .record_lifecycle_action_heartbeat()
            .auto_scaling_group_name(about.group)
            .lifecycle_hook_name(about.hook)
            .instance_id(about.instance)
            .set_lifecycle_action_token(about.token);
        standing(request.send().await.map(drop).map_err(|error| told(ACTION, &resource, &error)))
    }

    async fn send_complete(&self, about: Action, verdict: Verdict) -> ScalingResult<Standing> {
        const ACTION: &str = "autoscaling:CompleteLifecycleAction";
        let resource = about.to_string();
        let client = self.client(ACTION, &resource).await?;
        let request = client
            .complete_lifecycle_action()
            .auto_scaling_group_name(about.group)
            .lifecycle_hook_name(about.hook)
            .instance_id(about.instance)
            .set_lifecycle_action_token(about.token)
            .lifecycle_action_result(match verdict {
                Verdict::Continue => "CONTINUE",
                Verdict::Abandon => "ABANDON",
            });
        let sent = request.send().await.map(drop).map_err(|error| told(ACTION, &resource, &error));
        // Done is as over as it gets.
        standing(sent).map(|_| Standing::Over)
    }

    async fn send_desired(&self, group: &str, desired: u32) -> ScalingResult<()> {
        const ACTION: &str = "autoscaling:SetDesiredCapacity";
        let client = self.client(ACTION, group).await?;
        let capacity = i32::try_from(desired).unwrap_or(i32::MAX);
        // A cool-down is for policies that don't know what is on its way; this one does.
        let request = client.set_desired_capacity().auto_scaling_group_name(group).desired_capacity(capacity);
        let sent = request.honor_cooldown(false).send().await;
        sent.map(drop).map_err(|error| told(ACTION, group, &error))
    }

    async fn send_remove(&self, instance: &str) -> ScalingResult<()> {
        const ACTION: &str = "autoscaling:TerminateInstanceInAutoScalingGroup";
        let client = self.client(ACTION, instance).await?;
        let request = client.terminate_instance_in_auto_scaling_group().instance_id(instance);
        let sent = request.should_decrement_desired_capacity(true).send().await;
        sent.map(drop).map_err(|error| told(ACTION, instance, &error))
    }
}

impl Autoscaling for AutoScalingGroups {
    fn member(&self, instance: String) -> BoxFuture<'_, ScalingResult<Option<Member>>> {
        Box::pin(async move { self.find_member(&instance).await })
    }

    fn group(&self, group: String) -> BoxFuture<'_, ScalingResult<Option<Group>>> {
        Box::pin(async move { self.find_group(&group).await })
    }

    fn hooks(&self, group: String) -> BoxFuture<'_, ScalingResult<Vec<Hook>>> {
        Box::pin(async move { self.find_hooks(&group).await })
    }

    fn activities(&self, group: String) -> BoxFuture<'_, ScalingResult<Vec<Activity>>> {
        Box::pin(async move { self.find_activities(&group).await })
    }

    fn beat(&self, action: Action) -> BoxFuture<'_, ScalingResult<Standing>> {
        Box::pin(self.send_beat(action))
    }

    fn complete(&self, action: Action, verdict: Verdict) -> BoxFuture<'_, ScalingResult<Standing>> {
        Box::pin(self.send_complete(action, verdict))
    }

    fn set_desired(&self, group: String, desired: u32) -> BoxFuture<'_, ScalingResult<()>> {
        Box::pin(async move { self.send_desired(&group, desired).await })
    }

    fn remove(&self, instance: String) -> BoxFuture<'_, ScalingResult<()>> {
        Box::pin(async move { self.send_remove(&instance).await })
    }
}

fn connect(account: &Account) -> Client {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_LIMIT)
        .operation_timeout(REQUEST_LIMIT)
        .build();
    Client::from_conf(Builder::from(account.config()).timeout_config(timeouts).build())
}

fn told<E>(action: &'static str, resource: &str, error: &SdkError<E, HttpResponse>) -> ScalingError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let resource = resource.to_owned();
    match SERVICE.trouble(error) {
        Trouble::Denied(reason) => ScalingError::Denied { action, resource, reason },
        Trouble::Throttled(reason) => ScalingError::Throttled { action, resource, reason },
        Trouble::Unavailable(reason) => ScalingError::Unavailable { action, resource, reason },
        // The group is busy with something else for a moment.
        Trouble::Refused { code, reason }
            if ["ResourceContention", "ScalingActivityInProgress"].contains(&code.as_str()) =>
        {
            ScalingError::Throttled { action, resource, reason }
        }
        Trouble::Refused { reason, .. } => ScalingError::Refused { action, resource, reason },
    }
}

fn standing(sent: ScalingResult<()>) -> ScalingResult<Standing> {
    match sent {
        Ok(()) => Ok(Standing::Open),
        Err(ScalingError::Refused { reason, .. }) if reason.contains(OVER) => Ok(Standing::Over),
        Err(error) => Err(error),
    }
}

fn group_of(group: AutoScalingGroup) -> Group {
    let count = |number: Option<i32>| u32::try_from(number.unwrap_or_default()).unwrap_or_default();
    let name = group.auto_scaling_group_name.unwrap_or_default();
    let members = group.instances.unwrap_or_default().into_iter();
    Group {
        least: count(group.min_size),
        most: count(group.max_size),
        desired: count(group.desired_capacity),
        members: members.map(|instance| member_of(&name, instance)).collect(),
        name,
    }
}

fn member_of(group: &str, instance: Instance) -> Member {
    Member {
        instance: instance.instance_id.unwrap_or_default(),
        group: group.to_owned(),
        state: instance.lifecycle_state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
        protected: instance.protected_from_scale_in.unwrap_or_default(),
    }
}

fn activity_of(activity: aws_sdk_autoscaling::types::Activity) -> Activity {
    let what = activity.description.unwrap_or_default();
    let reason = activity.status_message.filter(|message| !message.is_empty());
    Activity {
        began: WallTime::from_millis(
            activity.start_time.and_then(|time| time.to_millis().ok()).unwrap_or_default(),
        ),
        state: match activity.status_code {
            Some(ScalingActivityStatusCode::Successful) => ActivityState::Done,
            Some(ScalingActivityStatusCode::Failed | ScalingActivityStatusCode::Cancelled) => {
                ActivityState::Failed
            }
            _ => ActivityState::UnderWay,
        },
        reason: reason.or(activity.cause).unwrap_or_default(),
        what,
    }
}

/// One of AWS's two lists of machines writes states in capitals.
fn canonical(state: &str) -> String {
    let words = state.split(':').map(|word| match word.to_ascii_uppercase().as_str() {
        "PENDING" => "Pending".to_owned(),
        "TERMINATING" => "Terminating".to_owned(),
        "WAIT" => "Wait".to_owned(),
        "PROCEED" => "Proceed".to_owned(),
        "INSERVICE" => "InService".to_owned(),
        _ => word.to_owned(),
    });
    words.collect::<Vec<String>>().join(":")
}

fn hook_of(hook: LifecycleHook) -> Option<Hook> {
    let seconds = hook.heartbeat_timeout.and_then(|seconds| u64::try_from(seconds).ok());
    Some(Hook {
        name: hook.lifecycle_hook_name?,
        transition: Transition::parse(hook.lifecycle_transition.as_deref()?)?,
        timeout: seconds.map_or(HOOK_TIMEOUT, Duration::from_secs),
    })
}
