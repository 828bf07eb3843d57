//! Activities of AWS Step Functions.
//!
//! A call for a task is answered after a minute without one: its limit is beyond that, and it is not made
//! again by the SDK, since an attempt that is given up may have taken a task.

#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_config::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sfn::{
    Client, Config,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use maelstrom_core::ports::{
    BoxFuture,
    activity::{Activities, Activity, ActivityError, ActivityResult, TASK_WAIT, Task},
};
use tokio::sync::OnceCell;

use crate::{
    account::{Account, FoundAccount},
    failure::{Service, Trouble},
};

const STEP_FUNCTIONS: Service = Service { name: "Step Functions", variable: "AWS_ENDPOINT_URL_SFN" };
/// In a region a request takes some ten milliseconds.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(12);
/// Beyond the minute that a call for a task is held; AWS advises at least five seconds.
const TASK_LIMIT: Duration = TASK_WAIT.saturating_add(Duration::from_secs(10));
/// Pages of a thousand activities that are looked through.
const MAX_PAGES: usize = 100;
const PAGE: i32 = 1_000;

/// See the module.
pub struct StepFunctions {
    account: FoundAccount,
    client: OnceCell<Client>,
}

// === impl StepFunctions ===

impl StepFunctions {
    pub fn new(account: FoundAccount) -> Self {
        Self { account, client: OnceCell::new() }
    }

    async fn client(&self, activity: &str) -> ActivityResult<&Client> {
        let connect = async || Ok::<_, String>(client(self.account.get().await?));
        let found = self.client.get_or_try_init(connect).await;
        found.map_err(|reason| ActivityError::Unavailable { activity: activity.to_owned(), reason })
    }

    async fn find(&self, name: &str) -> ActivityResult<Option<Activity>> {
        let client = self.client(name).await?;
        let mut next = None;
        for _ in 0..MAX_PAGES {
            let request = client.list_activities().max_results(PAGE).set_next_token(next);
            let page = request.send().await.map_err(|error| tell(name, "states:ListActivities", &error))?;
            if let Some(found) = page.activities().iter().find(|activity| activity.name() == name) {
                return Ok(Some(Activity { name: name.to_owned(), arn: found.activity_arn().to_owned() }));
            }
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                break;
            }
        }
        Ok(None)
    }

    async fn create(&self, name: &str) -> ActivityResult<Activity> {
        let made = self.client(name).await?.create_activity().name(name).send().await;
        let made = made.map_err(|error| tell(name, "states:CreateActivity", &error))?;
        Ok(Activity { name: name.to_owned(), arn: made.activity_arn().to_owned() })
    }

    async fn next(&self, activity: &Activity, worker: &str) -> ActivityResult<Option<Task>> {
        let request = self.client(&activity.name).await?.get_activity_task();
        let limits =
            Config::builder().timeout_config(limits(TASK_LIMIT)).retry_config(RetryConfig::disabled());
        let request = request.activity_arn(&activity.arn).worker_name(worker);
        let answer = request.customize().config_override(limits).send().await;
        let answer = answer.map_err(|error| tell(&activity.name, "states:GetActivityTask", &error))?;
        Ok(match answer.task_token {
            Some(token) if !token.is_empty() => Some(Task { token, input: answer.input.unwrap_or_default() }),
            _ => None,
        })
    }
}

impl Activities for StepFunctions {
    fn find_or_create(&self, name: String) -> BoxFuture<'_, ActivityResult<Activity>> {
        Box::pin(async move {
            match self.find(&name).await? {
                Some(found) => Ok(found),
                None => self.create(&name).await,
            }
        })
    }

    fn next_task(&self, activity: Activity, worker: String) -> BoxFuture<'_, ActivityResult<Option<Task>>> {
        Box::pin(async move { self.next(&activity, &worker).await })
    }

    fn heartbeat(&self, activity: Activity, token: String) -> BoxFuture<'_, ActivityResult<()>> {
        Box::pin(async move {
            let sent =
                self.client(&activity.name).await?.send_task_heartbeat().task_token(token).send().await;
            sent.map_err(|error| tell(&activity.name, "states:SendTaskHeartbeat", &error))?;
            Ok(())
        })
    }

    fn succeed(
        &self,
        activity: Activity,
        token: String,
        output: String,
    ) -> BoxFuture<'_, ActivityResult<()>> {
        Box::pin(async move {
            let request = self.client(&activity.name).await?.send_task_success();
            let sent = request.task_token(token).output(output).send().await;
            sent.map_err(|error| tell(&activity.name, "states:SendTaskSuccess", &error))?;
            Ok(())
        })
    }

    fn fail(
        &self,
        activity: Activity,
        token: String,
        error: String,
        cause: String,
    ) -> BoxFuture<'_, ActivityResult<()>> {
        Box::pin(async move {
            let request = self.client(&activity.name).await?.send_task_failure();
            let sent = request.task_token(token).error(error).cause(cause).send().await;
            sent.map_err(|error| tell(&activity.name, "states:SendTaskFailure", &error))?;
            Ok(())
        })
    }
}

fn client(account: &Account) -> Client {
    let config = aws_sdk_sfn::config::Builder::from(account.config());
    Client::from_conf(config.timeout_config(limits(ATTEMPT_LIMIT)).build())
}

fn limits(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt.max(REQUEST_LIMIT))
        .build()
}

/// `action` is the service's name of the request, as policies have it.
fn tell<E>(activity: &str, action: &'static str, error: &SdkError<E, HttpResponse>) -> ActivityError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let activity = activity.to_owned();
    match STEP_FUNCTIONS.trouble(error) {
        Trouble::Denied(reason) => ActivityError::Denied { activity, action, reason },
        Trouble::Throttled(reason) => ActivityError::Throttled { activity, reason },
        Trouble::Unavailable(reason) => ActivityError::Unavailable { activity, reason },
        Trouble::Refused { code, reason } => match code.as_str() {
            "ActivityDoesNotExist" => ActivityError::NoSuchActivity { activity },
            // LocalStack says that a token is invalid where AWS says that its time is over.
            "TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken" => ActivityError::TaskGone,
            _ => ActivityError::Refused { activity, action, reason },
        },
    }
}
