//! The cluster's table in DynamoDB: the one that `AWS_ENDPOINT_URL_DYNAMODB` names, else the one that the
//! repository's launcher brings up. Each cluster has a table of its own, which goes with it.
//!
//! It is deleted in its own protocol, without a library: one request is not worth one.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{command::finish, daemon::program};

/// DynamoDB Local on a busy machine answers within seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// See the module. Dropping it deletes the table.
#[derive(Debug)]
pub(super) struct Store {
    endpoint: SocketAddr,
    table: String,
}

// === impl Store ===

impl Store {
    /// Makes the table as an operator does.
    pub(super) fn create(table: &str) -> Result<Self> {
        let store = Self { endpoint: endpoint()?, table: table.to_owned() };
        let environment = store.environment(store.endpoint);
        let mut command = Command::new(program("maelctl")?);
        finish(command.args(["store", "init", &format!("dynamodb:{table}")]).envs(environment))?;
        Ok(store)
    }

    pub(super) fn endpoint(&self) -> SocketAddr {
        self.endpoint
    }

    /// What a daemon needs to use the table, when it finds the service at `address`.
    pub(super) fn environment(&self, address: SocketAddr) -> [(&'static str, String); 5] {
        [
            ("MAEL_STORE", format!("dynamodb:{}", self.table)),
            ("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{address}")),
            ("AWS_REGION", "us-east-1".to_owned()),
            // DynamoDB Local takes any, but takes none for an error.
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// Heartbeats of so many more nodes, as one that was stopped in the middle leaves its own: read by all,
    /// and written by nobody again.
    pub(super) fn add_heartbeats(&self, count: usize) -> Result<()> {
        for index in 0..count {
            let text = |text: String| json!({ "S": text });
            let number = |number: u64| json!({ "N": number.to_string() });
            let item = json!({
                "pk": text("heartbeat".into()),
                "sk": text(format!("pretended-node-{index}")),
                "incarnation": text(format!("{index:026}")),
                "beat": number(1_000_000),
                "duration_ms": number(20_000),
                "peer_url": text(format!("http://10.11.12.{index}:8374")),
                "written_at": number(1_700_000_000_000),
                "expires": number(4_000_000_000),
            });
            self.call("PutItem", &json!({ "TableName": self.table, "Item": item }))?;
        }
        Ok(())
    }

    fn call(&self, action: &str, input: &Value) -> Result<Value> {
        let mut stream = TcpStream::connect_timeout(&self.endpoint, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let body = input.to_string();
        // Nothing checks the signature.
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.0\r\n\
             X-Amz-Target: DynamoDB_20120810.{action}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20200101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=none\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.endpoint,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).with_context(|| format!("{action} at {}", self.endpoint))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("{action} of {}: {head}\n{body}", self.table);
        }
        serde_json::from_str(body).with_context(|| format!("{action}: {body}"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.call("DeleteTable", &json!({ "TableName": self.table }));
    }
}

fn endpoint() -> Result<SocketAddr> {
    let url = match std::env::var("AWS_ENDPOINT_URL_DYNAMODB") {
        Ok(url) => url,
        Err(_) => {
            let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack/run");
            finish(Command::new(&launcher).args(["up", "dynamodb"]))?;
            let told = finish(Command::new(&launcher).arg("env"))?;
            let variable =
                |line: &str| line.split_once("AWS_ENDPOINT_URL_DYNAMODB=").map(|(_, url)| url.to_owned());
            told.lines().find_map(variable).context("the launcher names no DynamoDB")?
        }
    };
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    address.parse().with_context(|| format!("AWS_ENDPOINT_URL_DYNAMODB: {url} is not http://ADDRESS:PORT"))
}
