//! The cluster's machines as instances of an autoscaling group: LocalStack with the repository's plugin, and an
//! instance metadata service for each machine. Tests act as whoever runs the group.
//!
//! Spoken in AWS's query protocol, without a library: few requests are needed, and nothing checks signatures.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::relay::Relay;
use crate::command::finish;

const HOOK: &str = "leave";
/// LocalStack on a busy machine answers within seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// See the module. Dropping it removes the group, its queue, and the metadata service.
#[derive(Debug)]
pub struct Cloud {
    endpoint: SocketAddr,
    relay: Relay,
    group: String,
    queue: String,
    instances: Vec<Instance>,
    metadata: Child,
    control: SocketAddr,
}

#[derive(Debug)]
struct Instance {
    id: String,
    /// Where its metadata are, as it sees them.
    metadata: String,
}

// === impl Cloud ===

impl Cloud {
    /// A group of so many machines, of at most `most`, whose hook holds those that go for `hold` without a sign
    /// of life. `address` is this machine's, as the cluster's machines see it.
    pub(super) async fn create(
        group: &str,
        address: Ipv4Addr,
        count: usize,
        most: usize,
        hold: Duration,
    ) -> Result<Self> {
        let endpoint = endpoint()?;
        let relay = Relay::start(address, endpoint).await?;
        let (metadata, control) = start_metadata()?;
        let mut cloud = Self {
            endpoint,
            relay,
            group: group.to_owned(),
            queue: String::new(),
            instances: Vec::new(),
            metadata,
            control,
        };
        cloud.queue = cloud.sqs("CreateQueue", &[("QueueName", group)])?;
        cloud.queue = text(&cloud.queue, "QueueUrl").context("no queue")?;
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{group}");
        let (count_text, most, hold) = (count.to_string(), most.to_string(), hold.as_secs().to_string());
        let named = ("LaunchConfigurationName", group);
        let of_group = ("AutoScalingGroupName", group);
        cloud.scale(
            "CreateLaunchConfiguration",
            &[named, ("ImageId", "ami-12345678"), ("InstanceType", "t3.micro")],
        )?;
        cloud.scale(
            "CreateAutoScalingGroup",
            &[
                of_group,
                named,
                ("AvailabilityZones.member.1", "us-east-1a"),
                ("MinSize", "0"),
                ("MaxSize", &most),
                ("DesiredCapacity", &count_text),
            ],
        )?;
        cloud.scale(
            "PutLifecycleHook",
            &[
                of_group,
                ("LifecycleHookName", HOOK),
                ("LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
                ("HeartbeatTimeout", &hold),
                ("DefaultResult", "ABANDON"),
                ("NotificationTargetARN", &arn),
                ("RoleARN", "arn:aws:iam::000000000000:role/hook"),
            ],
        )?;
        for id in cloud.members()?.into_iter().map(|(id, _)| id) {
            cloud.serve_metadata(&id, address)?;
        }
        ensure!(cloud.instances.len() == count, "{} machines were launched", cloud.instances.len());
        Ok(cloud)
    }

    /// One more machine: one that the group has launched by itself, else one that it is told to.
    pub(super) fn launch(&mut self, address: Ipv4Addr) -> Result<()> {
        let mut new = self.unknown()?;
        if new.is_none() {
            let desired = (self.desired()? + 1).to_string();
            let input = [("AutoScalingGroupName", self.group.as_str()), ("DesiredCapacity", &desired)];
            self.scale("SetDesiredCapacity", &input)?;
            new = self.unknown()?;
        }
        self.serve_metadata(&new.context("no machine was launched")?, address)
    }

    /// A machine of the group that is no host yet.
    fn unknown(&self) -> Result<Option<String>> {
        let known = |id: &str| self.instances.iter().any(|instance| instance.id == id);
        Ok(self.members()?.into_iter().map(|(id, _)| id).find(|id| !known(id)))
    }

    fn serve_metadata(&mut self, id: &str, address: Ipv4Addr) -> Result<()> {
        let listen = json!({ "listen": format!("{address}:0") });
        let answer = self.steer("PUT", &format!("/instances/{id}"), &listen.to_string())?;
        let url = serde_json::from_str::<Value>(&answer)?["url"].as_str().context("no url")?.to_owned();
        self.instances.push(Instance { id: id.to_owned(), metadata: url });
        Ok(())
    }

    /// What a host's daemon needs to be a machine of the group.
    pub(super) fn environment(&self, host: usize) -> Vec<(&'static str, String)> {
        let Some(instance) = self.instances.get(host) else { return Vec::new() };
        let relay = format!("http://{}", self.relay.address());
        vec![
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.metadata.clone()),
            ("AWS_ENDPOINT_URL_SQS", relay.clone()),
            ("AWS_ENDPOINT_URL_AUTO_SCALING", relay),
            ("MAEL_AWS_TERMINATE_QUEUE_URL", self.queue.clone()),
            ("MAEL_AWS_SPOT_TERMINATE_POLL_SECONDS", "1".to_owned()),
        ]
    }

    /// The machine of a host.
    pub fn instance(&self, host: usize) -> &str {
        &self.instances[host].id
    }

    // === What its owner does ===

    /// Has the machine terminated, and one less from then on.
    pub fn terminate(&self, host: usize) -> Result<()> {
        let id = self.instance(host);
        let input = [("InstanceId", id), ("ShouldDecrementDesiredCapacity", "true")];
        self.scale("TerminateInstanceInAutoScalingGroup", &input).map(drop)
    }

    /// Ids and states of the group's machines.
    pub fn members(&self) -> Result<Vec<(String, String)>> {
        let answer =
            self.scale("DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", &self.group)])?;
        let member = |part: &str| Some((text(part, "InstanceId")?, text(part, "LifecycleState")?));
        Ok(answer.split("<member>").filter_map(member).collect())
    }

    /// How many machines the group is to have.
    pub fn desired(&self) -> Result<usize> {
        let answer =
            self.scale("DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", &self.group)])?;
        Ok(text(&answer, "DesiredCapacity").context("no capacity")?.parse()?)
    }

    /// The state of a host's machine; `None`: it is gone.
    pub fn state(&self, host: usize) -> Result<Option<String>> {
        let members = self.members()?;
        Ok(members.into_iter().find(|(id, _)| id == self.instance(host)).map(|(_, state)| state))
    }

    /// From now on the group can launch no machine, for this reason; or it can again.
    pub fn fail_launches(&self, why: Option<&str>) -> Result<()> {
        let fault = |why| json!({ "operation": "LaunchInstance", "message": why, "group": self.group });
        let faults: Vec<Value> = why.into_iter().map(fault).collect();
        let wanted = json!({ "faults": faults }).to_string();
        let head = "Content-Type: application/json";
        exchange(self.endpoint, "PATCH", "/_maelstrom/autoscaling", head, &wanted).map(drop)
    }

    /// Puts a message into the hook's queue.
    pub fn send(&self, body: &str) -> Result<()> {
        self.sqs("SendMessage", &[("QueueUrl", &self.queue), ("MessageBody", body)]).map(drop)
    }

    /// A message as the hook writes it for a machine.
    pub fn message(&self, instance: &str, token: &str) -> String {
        json!({
            "Origin": "AutoScalingGroup", "Destination": "EC2", "LifecycleHookName": HOOK,
            "AccountId": "000000000000", "RequestId": "f5c1a1a2", "Service": "AWS Auto Scaling",
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", "AutoScalingGroupName": self.group,
            "Time": "2026-01-01T00:00:00.000Z", "EC2InstanceId": instance, "LifecycleActionToken": token,
        })
        .to_string()
    }

    /// Messages in the queue: visible, and received by somebody.
    pub fn messages(&self) -> Result<(usize, usize)> {
        let input = [("QueueUrl", self.queue.as_str()), ("AttributeName.1", "All")];
        let answer = self.sqs("GetQueueAttributes", &input)?;
        let number = |name: &str| -> Result<usize> {
            let (_, after) =
                answer.split_once(&format!("<Name>{name}</Name>")).context("no such attribute")?;
            Ok(text(after, "Value").context("no value")?.parse()?)
        };
        Ok((number("ApproximateNumberOfMessages")?, number("ApproximateNumberOfMessagesNotVisible")?))
    }

    /// Sets what a host's metadata say at a path.
    pub fn notice(&self, host: usize, path: &str, value: &str) -> Result<()> {
        let path = format!("/instances/{}/meta-data/{path}", self.instance(host));
        self.steer("PUT", &path, value).map(drop)
    }

    // === How it is spoken to ===

    fn scale(&self, action: &str, input: &[(&str, &str)]) -> Result<String> {
        self.query("autoscaling", "2011-01-01", action, input)
    }

    fn sqs(&self, action: &str, input: &[(&str, &str)]) -> Result<String> {
        self.query("sqs", "2012-11-05", action, input)
    }

    fn query(&self, service: &str, version: &str, action: &str, input: &[(&str, &str)]) -> Result<String> {
        let fields = [("Action", action), ("Version", version)];
        let fields = fields.iter().chain(input).map(|(name, value)| format!("{name}={}", escaped(value)));
        let body = fields.collect::<Vec<String>>().join("&");
        let head = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20200101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=none"
        );
        exchange(self.endpoint, "POST", "/", &head, &body).with_context(|| action.to_owned())
    }

    fn steer(&self, method: &str, path: &str, body: &str) -> Result<String> {
        exchange(self.control, method, path, "X-Steers: yes", body)
            .with_context(|| format!("{method} {path}"))
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.metadata.kill();
        let _ = self.metadata.wait();
        let _ = self.scale(
            "DeleteAutoScalingGroup",
            &[("AutoScalingGroupName", &self.group), ("ForceDelete", "true")],
        );
        let _ = self.scale("DeleteLaunchConfiguration", &[("LaunchConfigurationName", &self.group)]);
        let _ = self.sqs("DeleteQueue", &[("QueueUrl", &self.queue)]);
    }
}

/// One request; the body of its answer.
fn exchange(to: SocketAddr, method: &str, path: &str, head: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{head}\n{body}");
    }
    Ok(body.to_owned())
}

/// What stands in the first element of that name.
fn text(xml: &str, name: &str) -> Option<String> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    Some(after.split_once('<')?.0.to_owned())
}

/// For a form.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The service, with no machine yet, and where it is steered.
fn start_metadata() -> Result<(Child, SocketAddr)> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack/metadata");
    let mut process = Command::new("python3")
        .arg(program)
        .args(["--control", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3")?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
    let url = line.trim().strip_prefix("control http://").with_context(|| format!("it says '{line}'"))?;
    Ok((process, url.parse()?))
}

/// As the environment names it; else as the repository's launcher brings it up.
fn endpoint() -> Result<SocketAddr> {
    let url = match std::env::var("AWS_ENDPOINT_URL") {
        Ok(url) => url,
        Err(_) => {
            let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack/run");
            finish(Command::new(&launcher).args(["up", "localstack"]))?;
            let told = finish(Command::new(&launcher).arg("env"))?;
            let variable = |line: &str| line.split_once("AWS_ENDPOINT_URL=").map(|(_, url)| url.to_owned());
            told.lines().find_map(variable).context("the launcher names no LocalStack")?
        }
    };
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    address.parse().with_context(|| format!("AWS_ENDPOINT_URL: {url} is not http://ADDRESS:PORT"))
}
