//! The AWS that tests talk to: as the environment names it, else as the repository's launcher brings it up.

use std::{path::Path, process::Command};

use aws_config::{Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use tokio::sync::OnceCell;

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
