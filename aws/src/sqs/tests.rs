use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_sqs::{
    primitives::Blob,
    types::{MessageAttributeValue, QueueAttributeName as Name},
};
use maelstrom_core::{
    ports::queue::{AttributeValue, Message},
    testing::queue_conformance::Subject,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::localstack::{self, account_at};

struct LocalStack {
    queues: Arc<SqsQueues>,
    client: Client,
    prefix: String,
}

async fn localstack() -> LocalStack {
    let account = localstack::account().await;
    let client = Client::new(account.config());
    let prefix = format!("t-{}-", ulid::Ulid::generate());
    LocalStack { queues: Arc::new(SqsQueues::new(account.into())), client, prefix }
}

impl Subject for LocalStack {
    fn queues(&self) -> Arc<dyn Queues> {
        self.queues.clone()
    }

    fn prefix(&self) -> String {
        self.prefix.clone()
    }

    fn create(&self, queue: String, redrive: Option<(String, u32)>) -> BoxFuture<'_, ()> {
        let mut request = self.client.create_queue().queue_name(&queue);
        if is_fifo(&queue) {
            request = request.attributes(Name::FifoQueue, "true");
            request = request.attributes(Name::ContentBasedDeduplication, "true");
        }
        if let Some((to, most)) = redrive {
            let arn = format!("arn:aws:sqs:us-east-1:000000000000:{to}");
            let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{most}}}"#);
            request = request.attributes(Name::RedrivePolicy, policy);
        }
        Box::pin(async move { drop(request.send().await.unwrap()) })
    }

    fn send(&self, queue: String, message: Message) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let url = self.queues.url(&queue).await.unwrap();
            let mut request = self.client.send_message().queue_url(url).message_body(message.body);
            for attribute in message.attributes {
                let value = MessageAttributeValue::builder().data_type(attribute.kind);
                let value = match attribute.value {
                    AttributeValue::Text(text) => value.string_value(text),
                    AttributeValue::Binary(bytes) => value.binary_value(Blob::new(bytes)),
                };
                request = request.message_attributes(attribute.name, value.build().unwrap());
            }
            request.set_message_group_id(message.group).send().await.unwrap();
        })
    }

    fn pass(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

maelstrom_core::queue_conformance!(localstack);

/// An HTTP server that answers everything with this error of SQS's.
async fn refusing(status: &'static str, code: &'static str, message: &'static str) -> SqsQueues {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let body = format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"{message}"}}"#);
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.read(&mut [0; 8192]).await;
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    SqsQueues::new(account_at(&endpoint).into())
}

fn says(error: &QueueError, words: &[&str]) {
    let error = error.to_string();
    for word in words {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
}

#[tokio::test]
async fn what_is_not_permitted_is_told_with_action_and_queue() {
    let queues = refusing("403 Forbidden", "AccessDenied", "no policy allows it").await;
    queues.urls.lock().insert("orders".into(), "http://127.0.0.1:1/0/orders".into());
    let receive = Receive { most: 1, wait: Duration::ZERO, visibility: Duration::ZERO };
    let error = queues.receive("orders".into(), receive).await.unwrap_err();
    assert_eq!(error.kind(), "denied");
    says(&error, &["sqs:ReceiveMessage", "'orders'", "no policy allows it", "IAM role"]);
}

#[tokio::test]
async fn throttling_is_retried_a_little_and_then_told() {
    let queues = refusing("400 Bad Request", "RequestThrottled", "too fast").await;
    let began = Instant::now();
    let error = queues.attributes("orders".into()).await.unwrap_err();
    assert_eq!(error.kind(), "throttled");
    says(&error, &["'orders'", "too fast"]);
    assert!(began.elapsed() < REQUEST_LIMIT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_endpoint_that_is_silent_ends_a_receive_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let queues = SqsQueues::new(account_at(&endpoint).into());
    queues.urls.lock().insert("orders".into(), format!("{endpoint}/0/orders"));
    let receive = Receive { most: 1, wait: Duration::from_secs(1), visibility: Duration::from_secs(1) };
    let began = Instant::now();
    let error = queues.receive("orders".into(), receive).await.unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    says(&error, &["'orders'", "AWS_ENDPOINT_URL_SQS"]);
    assert!(began.elapsed() < REQUEST_LIMIT + Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn urls_name_queues_and_accounts() {
    let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo";
    assert_eq!(name_in(url), Some("orders.fifo"));
    assert_eq!(arn(url, "eu-west-1").as_deref(), Some("arn:aws:sqs:eu-west-1:123456789012:orders.fifo"));
    assert_eq!(arn(url, "cn-north-1").as_deref(), Some("arn:aws-cn:sqs:cn-north-1:123456789012:orders.fifo"));
    assert_eq!(name_in(""), None);
}

#[test]
fn the_redrive_policy_says_where_failed_messages_go() {
    for most in ["3", "\"3\""] {
        let policy = format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:r:1:dead","maxReceiveCount":{most}}}"#);
        assert_eq!(redrive(&policy), Some(("dead".to_owned(), 3)));
    }
    assert_eq!(redrive("{}"), None);
}

#[test]
fn fractions_of_seconds_are_rounded_up() {
    let all = [0, 1, 1_000, 1_001].map(|millis| seconds(Duration::from_millis(millis)));
    assert_eq!(all, [0, 1, 1, 2]);
}
