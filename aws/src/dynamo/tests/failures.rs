//! AWS that can't be used: each way has its sentence, and ends in bounded time.

use std::time::{Duration, Instant};

use aws_config::{Region, SdkConfig, profile::ProfileFileCredentialsProvider};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use maelstrom_core::{
    names::NodeId,
    ports::store::{Op, Store as _, StoreError, StoreResult},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::harness::{Fixture, account_at, clock};
use crate::{Account, DynamoStore, account, dynamo::CALL_LIMIT};

async fn open(account: &Account) -> String {
    let began = Instant::now();
    let error = DynamoStore::open(account, "t", clock()).await.err().expect("it can't be opened");
    assert!(began.elapsed() < CALL_LIMIT + Duration::from_secs(1), "{:?}: {error}", began.elapsed());
    error.to_string()
}

/// An HTTP server that answers everything with this error of DynamoDB's.
async fn refusing(status: &'static str, code: &'static str, message: &'static str) -> Account {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"}}"#);
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
    account_at(&endpoint)
}

fn says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
}

#[tokio::test]
async fn an_endpoint_where_nothing_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = open(&account_at(&endpoint)).await;
    says(
        &error,
        &["not available", "can't be reached at", &endpoint, "refused", "AWS_ENDPOINT_URL_DYNAMODB"],
    );
}

#[tokio::test]
async fn an_endpoint_that_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let error = open(&account_at(&endpoint)).await;
    says(&error, &["not available", "no answer from DynamoDB at", &endpoint, "DescribeTable", "'t'"]);
}

#[tokio::test]
async fn an_endpoint_that_is_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.read(&mut [0; 8192]).await;
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        }
    });
    let error = open(&account_at(&endpoint)).await;
    says(&error, &["what answers at", &endpoint, "is not DynamoDB", "HTTP status 200"]);
}

#[tokio::test]
async fn no_region() {
    let config = SdkConfig::builder().behavior_version(account::behavior()).build();
    let error = Account::with(config).unwrap_err().to_string();
    says(&error, &["no AWS region", "AWS_REGION"]);
}

#[tokio::test]
async fn no_credentials() {
    let config = SdkConfig::builder()
        .behavior_version(account::behavior())
        .region(Region::new("eu-central-1"))
        .endpoint_url("http://127.0.0.1:1")
        .credentials_provider(SharedCredentialsProvider::new(
            ProfileFileCredentialsProvider::builder().profile_name("nobody").build(),
        ))
        .build();
    let error = open(&Account::with(config).unwrap()).await;
    says(&error, &["not available", "no AWS credentials", "AWS_ACCESS_KEY_ID"]);
}

#[tokio::test]
async fn wrong_credentials() {
    let message = "The security token included in the request is invalid.";
    let account = refusing("400 Bad Request", "UnrecognizedClientException", message).await;
    says(&open(&account).await, &["does not accept the credentials", message, "'t'"]);
}

#[tokio::test]
async fn a_role_that_may_not() {
    let message =
        "User: arn:aws:sts::1:assumed-role/web/i-1 is not authorized to perform: dynamodb:DescribeTable";
    let account = refusing("400 Bad Request", "AccessDeniedException", message).await;
    let error = open(&account).await;
    says(
        &error,
        &["failed", "table 't' in us-east-1", "allow dynamodb:DescribeTable", "assumed-role/web/i-1"],
    );
}

#[tokio::test]
async fn a_table_that_is_throttled() {
    let code = "ProvisionedThroughputExceededException";
    let account = refusing("400 Bad Request", code, "The level of configured throughput").await;
    says(&open(&account).await, &["not available", "is throttled", code, "on-demand"]);
}

#[tokio::test]
async fn a_service_that_is_ill() {
    let account = refusing("500 Internal Server Error", "InternalServerError", "Could not").await;
    says(&open(&account).await, &["not available", "failed to do DescribeTable", "InternalServerError"]);
}

/// The table is taken away under a running daemon: each call ends, with the table's name.
#[tokio::test]
async fn every_call_says_which_table_is_gone() {
    let fixture = Fixture::new().await;
    let store = fixture.open().await;
    fixture.client().delete_table().table_name(&fixture.table).send().await.unwrap();
    fn told<T>(result: StoreResult<T>) -> StoreError {
        result.err().expect("it fails")
    }
    let errors = [
        told(store.revision().await),
        told(store.configuration().await),
        told(store.commit(vec![Op::RemoveComponent { name: "web".into(), based_on: 0 }]).await),
        told(store.heartbeats().await),
        told(store.roles().await),
        told(store.last_fires().await),
        told(store.forget_fires(vec!["r".into()]).await),
        told(store.remove_heartbeat(NodeId::new("n"), "run".into()).await),
    ];
    for error in errors {
        says(&error.to_string(), &[&fixture.table, "does not exist", "maelctl store init"]);
    }
}
