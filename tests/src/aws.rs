//! The part of AWS that tests look at from the other side: queues are filled and emptied, state machines
//! run. LocalStack as `AWS_ENDPOINT_URL` names it, else as the repository's launcher brings it up.
//!
//! In AWS's own protocol, without a library: a handful of requests is not worth one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    client::Client,
    command::finish,
    wait::{self, LONG},
};

/// LocalStack's own account.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";
/// Messages in one request.
const BATCH: usize = 10;
/// Requests at a time that fill a queue.
const SENDERS: usize = 4;

/// See the module.
#[derive(Clone, Debug)]
pub struct Aws {
    address: SocketAddr,
    client: Client,
    /// Nobody else's names begin so.
    prefix: String,
}

/// Messages of a queue: visible, and received or delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub visible: u64,
    pub invisible: u64,
}

// === impl Aws ===

impl Aws {
    /// With names of its own.
    pub fn new() -> Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let address = endpoint()?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("t{}-{since}-{count}-", std::process::id());
        Ok(Self { address, client: Client::new(address), prefix })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What a daemon needs to use it, when it finds it at `address`.
    pub fn environment(address: SocketAddr) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL_SQS", format!("http://{address}")),
            ("AWS_ENDPOINT_URL_SFN", format!("http://{address}")),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    async fn call(&self, target: &str, service: &str, version: &str, input: Value) -> Result<Value> {
        let content = format!("application/x-amz-json-{version}");
        // Nothing checks the signature.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=test/20200101/{REGION}/{service}/aws4_request, SignedHeaders=host, \
             Signature=none"
        );
        let headers =
            [("content-type", content.as_str()), ("x-amz-target", target), ("authorization", &authorization)];
        let answer = self.client.send(Method::POST, "/", &headers, input.to_string().into()).await?;
        if answer.status != 200 {
            bail!("{target}: {} {}", answer.status, answer.text());
        }
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    // === Queues ===

    pub async fn sqs(&self, action: &str, input: Value) -> Result<Value> {
        self.call(&format!("AmazonSQS.{action}"), "sqs", "1.0", input).await
    }

    pub fn url(&self, queue: &str) -> String {
        format!("http://{}/{ACCOUNT}/{}", self.address, self.name(queue))
    }

    pub async fn create_queue(&self, queue: &str) -> Result<()> {
        let attributes = match queue.ends_with(".fifo") {
            true => json!({ "FifoQueue": "true", "ContentBasedDeduplication": "true" }),
            false => json!({}),
        };
        self.sqs("CreateQueue", json!({ "QueueName": self.name(queue), "Attributes": attributes })).await?;
        Ok(())
    }

    /// Messages received `most` times go to the queue `dead`.
    pub async fn set_redrive(&self, queue: &str, dead: &str, most: u32) -> Result<()> {
        let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", self.name(dead));
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": most }).to_string();
        let input = json!({ "QueueUrl": self.url(queue), "Attributes": { "RedrivePolicy": policy } });
        self.sqs("SetQueueAttributes", input).await?;
        Ok(())
    }

    pub async fn delete_queue(&self, queue: &str) -> Result<()> {
        self.sqs("DeleteQueue", json!({ "QueueUrl": self.url(queue) })).await?;
        Ok(())
    }

    pub async fn send(&self, queue: &str, body: &str) -> Result<()> {
        self.send_all(queue, &[body.to_owned()], None).await
    }

    /// In order within a group.
    pub async fn send_all(&self, queue: &str, bodies: &[String], group: Option<&str>) -> Result<()> {
        let senders = if group.is_some() { 1 } else { SENDERS };
        let batches: Vec<&[String]> = bodies.chunks(BATCH).collect();
        let mut left = batches.as_slice();
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(senders));
            left = later;
            futures_util::future::try_join_all(now.iter().map(|batch| self.send_batch(queue, batch, group)))
                .await?;
        }
        Ok(())
    }

    async fn send_batch(&self, queue: &str, bodies: &[String], group: Option<&str>) -> Result<()> {
        let entry = |(index, body): (usize, &String)| {
            let mut entry = json!({ "Id": index.to_string(), "MessageBody": body });
            if let Some(group) = group {
                entry["MessageGroupId"] = group.into();
            }
            entry
        };
        let entries: Vec<Value> = bodies.iter().enumerate().map(entry).collect();
        let sent =
            self.sqs("SendMessageBatch", json!({ "QueueUrl": self.url(queue), "Entries": entries })).await?;
        match sent["Failed"].as_array() {
            Some(failed) if !failed.is_empty() => bail!("sending to {queue}: {failed:?}"),
            _ => Ok(()),
        }
    }

    pub async fn numbers(&self, queue: &str) -> Result<Numbers> {
        const NAMES: [&str; 3] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let input = json!({ "QueueUrl": self.url(queue), "AttributeNames": NAMES });
        let told = self.sqs("GetQueueAttributes", input).await?;
        let number = |name: &str| -> Result<u64> {
            Ok(told["Attributes"][name].as_str().with_context(|| format!("no {name}"))?.parse()?)
        };
        Ok(Numbers { visible: number(NAMES[0])?, invisible: number(NAMES[1])? + number(NAMES[2])? })
    }

    /// Waits until nothing is in the queue.
    pub async fn wait_empty(&self, queue: &str, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let numbers = self.numbers(queue).await?;
            if numbers == (Numbers { visible: 0, invisible: 0 }) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("after {limit:?} {queue} still has {numbers:?}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    // === State machines ===

    pub async fn states(&self, action: &str, input: Value) -> Result<Value> {
        self.call(&format!("AWSStepFunctions.{action}"), "states", "1.0", input).await
    }

    /// A state machine of one task of the activity; `fields` are more of the task's. Returns its ARN.
    pub async fn create_state_machine(&self, name: &str, activity: &str, fields: Value) -> Result<String> {
        let resource = format!("arn:aws:states:{REGION}:{ACCOUNT}:activity:{}", self.name(activity));
        let mut task = json!({ "Type": "Task", "Resource": resource, "End": true });
        if let (Value::Object(task), Value::Object(fields)) = (&mut task, fields) {
            task.extend(fields);
        }
        let definition = json!({ "StartAt": "Work", "States": { "Work": task } }).to_string();
        let role = format!("arn:aws:iam::{ACCOUNT}:role/tests");
        let input = json!({ "name": self.name(name), "definition": definition, "roleArn": role });
        let made = self.states("CreateStateMachine", input).await?;
        Ok(made["stateMachineArn"].as_str().context("no ARN")?.to_owned())
    }

    /// Runs a state machine to its end: status, and output, or error and cause.
    pub async fn execute(&self, machine: &str, input: &Value) -> Result<Value> {
        let input = json!({ "stateMachineArn": machine, "input": input.to_string() });
        let started = self.states("StartExecution", input).await?;
        let execution = started["executionArn"].clone();
        wait::until("the execution's end", LONG, || async {
            let told = self.states("DescribeExecution", json!({ "executionArn": execution })).await?;
            Ok((told["status"] != "RUNNING").then_some(told))
        })
        .await
    }
}

fn endpoint() -> Result<SocketAddr> {
    let url = match std::env::var("AWS_ENDPOINT_URL") {
        Ok(url) => url,
        Err(_) => {
            let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack/run");
            finish(Command::new(&launcher).args(["up", "localstack"]))?;
            let told = finish(Command::new(&launcher).arg("env"))?;
            let url = told.lines().find_map(|line| line.split_once("AWS_ENDPOINT_URL=").map(|(_, url)| url));
            url.context("the launcher names no LocalStack")?.to_owned()
        }
    };
    let address = url.trim_start_matches("http://").trim_end_matches('/').replace("localhost", "127.0.0.1");
    let address: SocketAddr =
        address.parse().with_context(|| format!("AWS_ENDPOINT_URL: {url} is not http://ADDRESS:PORT"))?;
    anyhow::ensure!(address.ip() != Ipv4Addr::UNSPECIFIED, "AWS_ENDPOINT_URL: {url} is no place to reach");
    Ok(address)
}
