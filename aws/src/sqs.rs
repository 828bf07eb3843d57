//! Queues of Amazon SQS.
//!
//! * A queue's URL is asked for once and forgotten when the queue is.
//! * Each attempt at a request has a limit, a receive's beyond the time that it waits: a dead connection
//!   would otherwise hold a poller for ever.
//! * A receive from a FIFO queue that is made again after a lost answer is the same one to SQS, so that the
//!   messages of that answer come with it.

mod message;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::{
    Client, Config,
    config::http::HttpResponse,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        MessageSystemAttributeName, QueueAttributeName,
    },
};
use maelstrom_core::ports::{
    BoxFuture,
    queue::{
        MAX_VISIBILITY, NotDone, QueueAttributes, QueueError, QueueResult, Queues, Receive, Received, is_fifo,
    },
};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{
    account::{Account, FoundAccount},
    failure::{Service, Trouble},
};

const SQS: Service = Service { name: "SQS", variable: "AWS_ENDPOINT_URL_SQS" };
/// In a region a request takes ten milliseconds.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// All attempts together, beyond the time that a receive waits.
const REQUEST_LIMIT: Duration = Duration::from_secs(12);
/// Names in one answer of a list.
const PAGE: i32 = 1_000;
/// Queues of one prefix: a list without end is a mistake.
const MAX_LISTED: usize = 10_000;

/// See the module.
pub struct SqsQueues {
    account: FoundAccount,
    reach: OnceCell<Reach>,
    urls: Mutex<HashMap<String, String>>,
}

struct Reach {
    client: Client,
    region: String,
}

// === impl SqsQueues ===

impl SqsQueues {
    pub fn new(account: FoundAccount) -> Self {
        Self { account, reach: OnceCell::new(), urls: Mutex::default() }
    }

    async fn reach(&self, queue: &str) -> QueueResult<&Reach> {
        let connect = async || {
            let account = self.account.get().await?;
            Ok::<_, String>(Reach::new(account))
        };
        let found = self.reach.get_or_try_init(connect).await;
        found.map_err(|reason| QueueError::Unavailable { queue: queue.to_owned(), reason })
    }

    /// A queue may also be named by its URL, which needs no asking.
    async fn url(&self, queue: &str) -> QueueResult<String> {
        if queue.starts_with("https://") || queue.starts_with("http://") {
            return Ok(queue.to_owned());
        }
        if let Some(url) = self.urls.lock().get(queue) {
            return Ok(url.clone());
        }
        let reach = self.reach(queue).await?;
        let asked = reach.client.get_queue_url().queue_name(queue).send().await;
        let answer = asked.map_err(|error| self.tell(queue, "sqs:GetQueueUrl", reach, &error))?;
        let Some(url) = answer.queue_url else {
            let reason = "its answer names no URL".to_owned();
            return Err(QueueError::Unavailable { queue: queue.to_owned(), reason });
        };
        self.urls.lock().insert(queue.to_owned(), url.clone());
        Ok(url)
    }

    /// `action` is SQS's name of the request, as policies have it.
    fn tell<E>(
        &self,
        queue: &str,
        action: &'static str,
        reach: &Reach,
        error: &SdkError<E, HttpResponse>,
    ) -> QueueError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let told = |queue: String| match SQS.trouble(error) {
            Trouble::Denied(reason) => QueueError::Denied { queue, action, reason },
            Trouble::Throttled(reason) => QueueError::Throttled { queue, reason },
            Trouble::Unavailable(reason) => QueueError::Unavailable { queue, reason },
            Trouble::Refused { code, .. } if is_missing(&code) => {
                QueueError::NoSuchQueue { queue, place: format!(" in {}", reach.region) }
            }
            Trouble::Refused { reason, .. } => QueueError::Refused { queue, action, reason },
        };
        let told = told(queue.to_owned());
        // It may be made anew, elsewhere.
        if matches!(told, QueueError::NoSuchQueue { .. }) {
            self.urls.lock().remove(queue);
        }
        told
    }

    async fn all(&self, prefix: &str) -> QueueResult<Vec<String>> {
        let reach = self.reach(prefix).await?;
        let mut names = Vec::new();
        let mut next = None;
        loop {
            let request = reach.client.list_queues().queue_name_prefix(prefix).max_results(PAGE);
            let page = request.set_next_token(next).send().await;
            let page = page.map_err(|error| self.tell(prefix, "sqs:ListQueues", reach, &error))?;
            names.extend(page.queue_urls().iter().filter_map(|url| name_in(url)).map(ToOwned::to_owned));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() || names.len() >= MAX_LISTED {
                names.sort_unstable();
                names.dedup();
                return Ok(names);
            }
        }
    }

    async fn take(&self, queue: &str, receive: Receive) -> QueueResult<Received> {
        let url = self.url(queue).await?;
        let reach = self.reach(queue).await?;
        let request = reach
            .client
            .receive_message()
            .queue_url(&url)
            .max_number_of_messages(seconds(Duration::from_secs(receive.most.into())))
            .wait_time_seconds(seconds(receive.wait))
            .visibility_timeout(seconds(receive.visibility.min(MAX_VISIBILITY)))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .set_receive_request_attempt_id(is_fifo(queue).then(|| ulid::Ulid::generate().to_string()));
        let limits = Config::builder().timeout_config(limits(receive.wait));
        let answer = request.customize().config_override(limits).send().await;
        let answer = answer.map_err(|error| self.tell(queue, "sqs:ReceiveMessage", reach, &error))?;
        Ok(Received {
            messages: answer.messages.unwrap_or_default().into_iter().map(message::of).collect(),
            arn: arn(&url, &reach.region).unwrap_or_default(),
            region: reach.region.clone(),
        })
    }

    async fn remove(&self, queue: &str, receipts: &[String]) -> QueueResult<NotDone> {
        let url = self.url(queue).await?;
        let reach = self.reach(queue).await?;
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt).build()
        });
        let entries = built(queue, "sqs:DeleteMessage", entries)?;
        let request = reach.client.delete_message_batch().queue_url(&url).set_entries(Some(entries));
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.tell(queue, "sqs:DeleteMessage", reach, &error))?;
        Ok(not_done(&answer.failed, receipts.iter()))
    }

    async fn change(&self, queue: &str, changes: &[(String, Duration)]) -> QueueResult<NotDone> {
        const ACTION: &str = "sqs:ChangeMessageVisibility";
        let url = self.url(queue).await?;
        let reach = self.reach(queue).await?;
        let entries = changes.iter().enumerate().map(|(index, (receipt, to))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .visibility_timeout(seconds(*to))
                .build()
        });
        let entries = built(queue, ACTION, entries)?;
        let request = reach.client.change_message_visibility_batch().queue_url(&url);
        let answer = request.set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| self.tell(queue, ACTION, reach, &error))?;
        Ok(not_done(&answer.failed, changes.iter().map(|(receipt, _)| receipt)))
    }

    async fn describe(&self, queue: &str) -> QueueResult<QueueAttributes> {
        let url = self.url(queue).await?;
        let reach = self.reach(queue).await?;
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::RedrivePolicy,
        ];
        let request = reach.client.get_queue_attributes().queue_url(&url);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| self.tell(queue, "sqs:GetQueueAttributes", reach, &error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let text = |name: &QueueAttributeName| attributes.get(name).map(String::as_str);
        let number = |name| text(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(QueueAttributes {
            depth: number(&names[0]),
            in_flight: number(&names[1]),
            delayed: number(&names[2]),
            redrive: text(&names[3]).and_then(redrive),
        })
    }
}

impl Queues for SqsQueues {
    fn list(&self, prefix: String) -> BoxFuture<'_, QueueResult<Vec<String>>> {
        Box::pin(async move { self.all(&prefix).await })
    }

    fn receive(&self, queue: String, receive: Receive) -> BoxFuture<'_, QueueResult<Received>> {
        Box::pin(async move { self.take(&queue, receive).await })
    }

    fn delete(&self, queue: String, receipts: Vec<String>) -> BoxFuture<'_, QueueResult<NotDone>> {
        Box::pin(async move { self.remove(&queue, &receipts).await })
    }

    fn change_visibility(
        &self,
        queue: String,
        changes: Vec<(String, Duration)>,
    ) -> BoxFuture<'_, QueueResult<NotDone>> {
        Box::pin(async move { self.change(&queue, &changes).await })
    }

    fn attributes(&self, queue: String) -> BoxFuture<'_, QueueResult<QueueAttributes>> {
        Box::pin(async move { self.describe(&queue).await })
    }
}

// === impl Reach ===

impl Reach {
    fn new(account: &Account) -> Self {
        let config = aws_sdk_sqs::config::Builder::from(account.config())
            .timeout_config(limits(Duration::ZERO))
            .build();
        Self { client: Client::from_conf(config), region: account.region().to_owned() }
    }
}

/// For a request that the service answers only after `wait`, if it has to.
fn limits(wait: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(wait + ATTEMPT_LIMIT)
        .operation_timeout(wait + REQUEST_LIMIT)
        .build()
}

fn is_missing(code: &str) -> bool {
    ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"].contains(&code)
}

/// Rounded up.
fn seconds(duration: Duration) -> i32 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

fn built<T>(
    queue: &str,
    action: &'static str,
    entries: impl Iterator<Item = Result<T, BuildError>>,
) -> QueueResult<Vec<T>> {
    let all: Result<Vec<T>, BuildError> = entries.collect();
    all.map_err(|error| QueueError::Refused { queue: queue.to_owned(), action, reason: error.to_string() })
}

/// By the places that are the ids of a batch's entries.
fn not_done<'a>(failed: &[BatchResultErrorEntry], receipts: impl Iterator<Item = &'a String>) -> NotDone {
    let receipts: Vec<&String> = receipts.collect();
    let told = failed.iter().filter_map(|entry| {
        let receipt = receipts.get(entry.id().parse::<usize>().ok()?)?;
        let reason = entry.message().unwrap_or("no message");
        Some(((*receipt).clone(), format!("{reason} ({})", entry.code())))
    });
    told.collect()
}

/// The last part of a queue's URL is its name.
fn name_in(url: &str) -> Option<&str> {
    url.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty())
}

/// The part before that is the account.
fn arn(url: &str, region: &str) -> Option<String> {
    let mut parts = url.trim_end_matches('/').rsplit('/');
    let (name, account) = (parts.next()?, parts.next()?);
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    Some(format!("arn:{partition}:sqs:{region}:{account}:{name}"))
}

/// Name of the dead-letter queue, and after how many receivings a message goes there.
fn redrive(policy: &str) -> Option<(String, u32)> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let name = policy["deadLetterTargetArn"].as_str()?.rsplit(':').next()?.to_owned();
    let most = &policy["maxReceiveCount"];
    // A number, or one written as text.
    let most = most.as_u64().or_else(|| most.as_str()?.parse().ok())?;
    Some((name, u32::try_from(most).unwrap_or(u32::MAX)))
}
