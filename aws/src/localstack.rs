//! The AWS that tests talk to: as the environment names it, else as the repository's launcher brings it up.

use std::{path::Path, process::Command};

use aws_config::{Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::OnceCell,
};

use crate::account::{self, Account};

/// Of an AWS at `endpoint`; nothing of the environment's is used.
pub(crate) fn account_at(endpoint: &str) -> Account {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    let config = SdkConfig::builder()
        .behavior_version(account::behavior())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    Account::with(config).unwrap()
}

/// Of LocalStack.
pub(crate) async fn account() -> Account {
    static ENDPOINT: OnceCell<String> = OnceCell::const_new();
    account_at(ENDPOINT.get_or_init(|| endpoint("AWS_ENDPOINT_URL", "localstack")).await)
}

/// Through the door that the repository's groups have for tests.
pub(crate) async fn steer_autoscaling(wanted: serde_json::Value) {
    let address = account().await.config().endpoint_url().unwrap().trim_start_matches("http://").to_owned();
    let address = address.trim_end_matches('/');
    let body = wanted.to_string();
    let request = format!(
        "PATCH /_maelstrom/autoscaling HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A whole answer of one that ends the connection with it.
pub(crate) async fn exchange(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What `variable` says; else the launcher's, when it has brought up that part.
pub(crate) async fn endpoint(variable: &'static str, part: &'static str) -> String {
    match std::env::var(variable) {
        Ok(endpoint) => endpoint,
        Err(_) => tokio::task::spawn_blocking(|| launch(variable, part)).await.unwrap(),
    }
}

fn launch(variable: &str, part: &str) -> String {
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("localstack/run");
    let run = |arguments: &[&str]| {
        let output = Command::new(&launcher).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["up", part]);
    let environment = run(&["env"]);
    let prefix = format!("export {variable}=");
    let mut lines = environment.lines();
    lines.find_map(|line| line.strip_prefix(&prefix)).expect("the launcher tells the endpoint").to_owned()
}
