//! Against the repository's own metadata server, which answers as EC2's does.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use maelstrom_core::ports::metadata::SpotNotice;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

const ID: &str = "i-0123456789abcdef0";

/// The server with one instance. Dropping it ends it.
struct Server {
    process: Child,
    control: String,
    url: String,
}

impl Server {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("localstack/metadata");
        let mut process = Command::new("python3")
            .arg(program)
            .args(["--control", "127.0.0.1:0", "--instance", &format!("{ID}@127.0.0.1:0")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(process.stdout.take().unwrap()));
        let mut word = || lines.next().unwrap().unwrap().split_once(' ').unwrap().1.to_owned();
        let (control, url) = (word(), word());
        Self { process, control, url }
    }

    fn metadata(&self) -> InstanceMetadata {
        InstanceMetadata::at(&self.url)
    }

    /// Steers it by its control port.
    async fn steer(&self, method: &str, path: &str, body: &str) {
        let address = self.control.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{method} /instances/{ID}{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_machine_learns_its_id_and_what_is_ahead_of_it() {
    let server = Server::start();
    let metadata = server.metadata();
    assert_eq!(metadata.instance().await.as_deref(), Ok(ID));
    assert_eq!(metadata.notices().await, Ok(Notices::default()));
    let spot = r#"{"action": "terminate", "time": "2030-01-01T00:02:00Z"}"#;
    server.steer("PUT", "/meta-data/spot/instance-action", spot).await;
    server.steer("PUT", "/meta-data/autoscaling/target-lifecycle-state", "Terminated").await;
    let rebalance = r#"{"noticeTime": "2030-01-01T00:00:00Z"}"#;
    server.steer("PUT", "/meta-data/events/recommendations/rebalance", rebalance).await;
    let told = metadata.notices().await.unwrap();
    let time = told.rebalance.map(|since| since + Duration::from_secs(120));
    assert_eq!(told.spot, Some(SpotNotice { action: "terminate".into(), time }));
    assert!(told.terminates && time.is_some());
    server.steer("DELETE", "/meta-data/spot/instance-action", "").await;
    assert_eq!(metadata.notices().await.unwrap().spot, None);
}

#[tokio::test]
async fn tokens_that_the_service_forgot_are_asked_for_anew() {
    let server = Server::start();
    let metadata = server.metadata();
    metadata.instance().await.unwrap();
    server.steer("DELETE", "/tokens", "").await;
    assert_eq!(metadata.instance().await.as_deref(), Ok(ID));
    assert_eq!(metadata.notices().await, Ok(Notices::default()));
}

#[tokio::test]
async fn a_service_that_is_ill_may_be_well_again() {
    let server = Server::start();
    let metadata = server.metadata();
    metadata.instance().await.unwrap();
    server.steer("PUT", "/trouble", r#"{"status": 503}"#).await;
    let error = metadata.notices().await.unwrap_err();
    assert!(matches!(&error, MetadataError::Unavailable(why) if why.contains("503")), "{error}");
    server.steer("PUT", "/trouble", "{}").await;
    assert_eq!(metadata.notices().await, Ok(Notices::default()));
}

#[tokio::test]
async fn where_there_is_no_cloud_that_is_found_out_soon() {
    let begun = Instant::now();
    // Nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = InstanceMetadata::at(&format!("http://{free}")).instance().await.unwrap_err();
    assert!(matches!(refused, MetadataError::Absent(_)), "{refused:?}");
    // Somebody does and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = InstanceMetadata::at(&url).notices().await.unwrap_err();
    assert!(!error.to_string().is_empty());
    assert!(begun.elapsed() < CALL_LIMIT + Duration::from_secs(3), "{:?}", begun.elapsed());
}
