//! Every route and every method × every caller, on a real daemon: what is not meant for a caller is refused, does
//! nothing, and says what would help; and no token is ever told.

use std::{collections::BTreeSet, net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use maelstrom_core::wire::{METHODS, Method as _};
use maelstrom_tests::{
    client::{self, Client},
    daemon::{self, Daemon},
};
use maelstromd::access::{PeerSecret, Secret};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

const ADMIN: &str = "admin-0123456789abcdef";
const NEXT: &str = "admin-fedcba9876543210";
const READER: &str = "reader-0123456789abcdef";
const SECRET: &str = "cluster-0123456789abcdef";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    /// From the network of a container, with what a container has.
    Container,
    Stranger,
    Reader,
    Admin,
    Peer,
}

const CALLERS: [Caller; 6] =
    [Caller::Nobody, Caller::Container, Caller::Stranger, Caller::Reader, Caller::Admin, Caller::Peer];

/// Who is let through, and what all others get.
#[derive(Clone, Copy, Debug)]
enum For {
    Everybody,
    /// With a token, or a node.
    Readers,
    Admins,
    Peers,
    /// A node; a token makes no difference.
    PeersAlone,
}

impl For {
    /// The status of a refusal; `None`: it is not refused.
    fn refusal(self, caller: Caller) -> Option<u16> {
        use Caller::{Admin, Peer, Reader};
        match (self, caller) {
            (Self::Everybody, _) | (_, Peer) | (Self::Readers | Self::Admins, Admin) => None,
            (Self::Readers, Reader) => None,
            (Self::PeersAlone, _) => Some(403),
            (Self::Admins | Self::Peers, Reader) | (Self::Peers, Admin) => Some(403),
            _ => Some(401),
        }
    }
}

/// A request as bytes; what it takes besides is who sends it.
struct Asked {
    what: String,
    public: bool,
    line: String,
    headers: String,
    body: String,
    meant: For,
    /// Of those who are let through.
    status: u16,
}

fn route(line: &str, headers: &str, meant: For, status: u16) -> Asked {
    let (what, line) = (format!("{line} {headers}"), line.to_owned());
    Asked { what, public: false, line, headers: headers.to_owned(), body: String::new(), meant, status }
}

fn public(line: &str, headers: &str, status: u16) -> Asked {
    Asked { public: true, ..route(line, headers, For::Everybody, status) }
}

fn method(name: &str, params: Value, meant: For) -> Asked {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": name, "params": [params] }).to_string();
    Asked { what: name.to_owned(), body, ..route("POST /_mael/v1", "", meant, 200) }
}

fn routes() -> Vec<Asked> {
    let relayed = "maelstrom-component: web\r\nmaelstrom-relay-path: n7\r\n";
    vec![
        route("GET /_mael_health_check", "", For::Everybody, 200),
        route("GET /_mael/ui", "", For::Everybody, 308),
        route("GET /_mael/ui/", "", For::Everybody, 200),
        route("GET /_mael/ui/nothing", "", For::Everybody, 404),
        route("POST /_mael/ui/", "", For::Readers, 405),
        route("GET /_mael/v1/live", "", For::Readers, 200),
        route("GET /_mael/logs", "", For::Readers, 200),
        route("GET /_mael/logs?follow=false&local=true", "", For::Readers, 200),
        route("GET /_mael/metrics", "", For::Readers, 200),
        route("GET /_mael/v1", "", For::Readers, 405),
        route("DELETE /_mael/v1", "", For::Readers, 405),
        route("GET /_mael/nothing", "", For::Readers, 404),
        route("GET /_mael/", "", For::Readers, 404),
        route("GET /_mael/v1/live", "origin: http://elsewhere.example\r\n", For::Readers, 403),
        // Services call each other without any of this, also on paths that look like the node's.
        route("GET /", "maelstrom-component: web\r\n", For::Everybody, 200),
        route("GET /_mael/v1", "maelstrom-component: web\r\n", For::Everybody, 404),
        route("GET /app/", "", For::Everybody, 200),
        route("GET /none", "", For::Everybody, 404),
        route("GET /", relayed, For::PeersAlone, 200),
        route("POST /_mael/v1", relayed, For::PeersAlone, 404),
        // From outside there is no management, and no header makes anybody a peer.
        public("GET /_mael_health_check", "", 200),
        public("GET /_mael/ui/", "", 404),
        public("GET /_mael/v1/live", "", 404),
        public("GET /_mael/metrics", "", 404),
        public("POST /_mael/v1", "", 404),
        public("GET /none", relayed, 404),
        public("GET /app/", relayed, 200),
    ]
}

/// Each does no harm where it is let through.
fn methods() -> Vec<Asked> {
    use For::{Admins, Peers, Readers};
    let none = || json!({ "name": "none" });
    let web = || json!({ "name": "web" });
    let project = |diff: bool| json!({ "project": { "name": "none", "components": [] }, "diffOnly": diff });
    let status = json!({ "nodeId": "n7", "startedAt": 1, "observedAt": 1, "version": 1,
        "peerUrl": "http://127.0.0.1:9", "totalMemoryMiB": 0, "freeMemoryMiB": 0, "numCPUs": 1,
        "loadAvg1m": 0.0, "loadAvg5m": 0.0, "loadAvg15m": 0.0, "runningComponents": [] });
    let maelstrom = |name: &str, params, meant| method(&format!("MaelstromService.{name}"), params, meant);
    let node = |name: &str, params, meant| method(&format!("NodeService.{name}"), params, meant);
    vec![
        maelstrom("ListProjects", json!({}), Readers),
        maelstrom("PutProject", project(true), Readers),
        maelstrom("PutProject", project(false), Admins),
        maelstrom("GetProject", none(), Readers),
        maelstrom("RemoveProject", none(), Admins),
        maelstrom(
            "PutComponent",
            json!({ "component": { "name": "web", "version": 77, "environment": [], "maxConcurrency": 1 } }),
            Admins,
        ),
        maelstrom("GetComponent", web(), Readers),
        maelstrom("RemoveComponent", none(), Admins),
        maelstrom("ListComponents", json!({}), Readers),
        maelstrom(
            "PutEventSource",
            json!({ "eventSource": { "name": "none", "componentName": "none", "version": 0, "modifiedAt": 0 } }),
            Admins,
        ),
        maelstrom("GetEventSource", none(), Readers),
        maelstrom("RemoveEventSource", none(), Admins),
        maelstrom("ToggleEventSources", json!({ "enabled": false, "name": "none" }), Admins),
        maelstrom("ListEventSources", json!({}), Readers),
        maelstrom("NotifyDataChanged", json!({ "nodeId": "n7", "changes": [] }), Peers),
        maelstrom("ListEvents", json!({}), Readers),
        maelstrom("ExplainComponent", web(), Readers),
        maelstrom("GetVersion", json!({}), Readers),
        maelstrom("ReadHistory", web(), Readers),
        maelstrom("DescribeComponent", web(), Readers),
        maelstrom("DescribeEventSource", none(), Readers),
        maelstrom("TestEventSource", none(), Admins),
        node("ListNodeStatus", json!({}), Readers),
        node("GetStatus", json!({}), Readers),
        node("GetStatus", json!({ "status": status }), Peers),
        node("GetStatus", json!({ "placementTerm": 1 }), Peers),
        node("StatusChanged", json!({ "nodeId": "n7", "exiting": true }), Peers),
        node("PlaceComponent", json!({ "componentName": "none" }), Admins),
        node(
            "StartStopComponents",
            json!({ "clientNodeId": "n7", "targetVersion": -1, "targetCounts": [] }),
            Peers,
        ),
        node("TerminateNode", json!({}), Admins),
        node(
            "ReportDemand",
            json!({ "nodeId": "n7", "incarnation": "x", "sequence": 1, "components": [] }),
            Peers,
        ),
        node("DrainNode", json!({ "nodeId": "none" }), Admins),
        node("UndrainNode", json!({ "nodeId": "none" }), Admins),
        node("Observe", json!({}), Readers),
        node("ReadTraffic", json!({ "componentName": "web" }), Readers),
    ]
}

/// The daemon with one component that runs, and where its container's network is.
struct Scene {
    daemon: Daemon,
    proof: String,
    container: u32,
}

impl Scene {
    async fn new() -> Result<Self> {
        let mut daemon = Daemon::prepare().await?;
        daemon.set("MAEL_API_TOKEN", ADMIN).set("MAEL_API_TOKEN_READONLY", READER);
        daemon.set("MAEL_CLUSTER_SECRET", SECRET).set("MAEL_LOG_LEVEL", "debug");
        daemon.start().await?;
        let api = daemon.api_with(ADMIN);
        api.put_component("web", json!({ "minInstances": 1 }), json!({})).await?;
        api.put_route("app", "web", json!({ "pathPrefix": "/app", "stripPrefix": true })).await?;
        api.wait_instances("web", 1).await?;
        let (id, _) = daemon.containers().await?.pop().context("no container")?;
        let found = daemon::docker()?.inspect_container(&id, None).await?;
        let pid = found.state.and_then(|state| state.pid).context("the container has no process")?;
        let secret = PeerSecret::new(&Secret::list(SECRET).context("the secret of the test")?);
        let proof = secret.proof().context("no proof")?.to_str()?.to_owned();
        Ok(Self { daemon, proof, container: u32::try_from(pid)? })
    }

    fn credentials(&self, caller: Caller) -> String {
        match caller {
            Caller::Nobody | Caller::Container => String::new(),
            Caller::Stranger => "authorization: Bearer stranger-0123456789\r\n".to_owned(),
            Caller::Reader => format!("authorization: Bearer {READER}\r\n"),
            Caller::Admin => format!("authorization: Bearer {ADMIN}\r\n"),
            Caller::Peer => format!("maelstrom-peer: {}\r\n", self.proof),
        }
    }

    /// The answer's beginning: streams go on.
    async fn ask(&self, caller: Caller, asked: &Asked) -> Result<String> {
        let address = if asked.public { self.daemon.public_address() } else { self.daemon.private_address() };
        let request = format!(
            "{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{}{}\r\n{}",
            asked.line,
            asked.body.len(),
            asked.headers,
            self.credentials(caller),
            asked.body
        );
        match caller {
            Caller::Container => self.ask_inside(address, &request).await,
            _ => Ok(client::raw(address, request.as_bytes(), Duration::from_millis(400)).await?.0),
        }
    }

    /// Sends the bytes from the network that the container is in, to the address that it knows.
    async fn ask_inside(&self, address: SocketAddr, request: &str) -> Result<String> {
        let gateway = self.daemon.private().component("web", "/process").await?.json()?;
        let url = gateway["environment"]["MAELSTROM_PRIVATE_URL"].as_str().context("no private URL")?;
        let host = url.trim_start_matches("http://").split(':').next().unwrap_or_default();
        let script = r#"exec 3<>"/dev/tcp/$0/$1"; cat >&3; timeout 2 cat <&3 || [ $? = 124 ]"#;
        let mut child = Command::new("nsenter")
            .args(["--net", "-t", &self.container.to_string(), "bash", "-c", script])
            .args([host, &address.port().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("nsenter (of util-linux), which needs root")?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(request.as_bytes()).await?;
        drop(stdin);
        let output = tokio::time::timeout(Duration::from_secs(10), child.wait_with_output()).await??;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a refused caller must not have changed.
    async fn configuration(&self) -> Result<Value> {
        let api = self.daemon.api_with(ADMIN);
        let components = api.rpc("MaelstromService.ListComponents", json!({})).await?;
        let sources = api.rpc("MaelstromService.ListEventSources", json!({})).await?;
        let nodes = api.rpc("NodeService.ListNodeStatus", json!({})).await?;
        let ids: Vec<Value> =
            nodes["nodes"].as_array().into_iter().flatten().map(|node| node["nodeId"].clone()).collect();
        Ok(json!([components, sources, ids]))
    }
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[tokio::test]
async fn every_caller_reaches_what_is_meant_for_it_and_nothing_else() -> Result<()> {
    let scene = Scene::new().await?;
    let table: Vec<Asked> = routes().into_iter().chain(methods()).collect();
    let named: BTreeSet<&str> = table.iter().map(|asked| asked.what.as_str()).collect();
    for name in METHODS {
        assert!(named.contains(name), "{name} is not in the table: who may call it?");
    }
    let before = scene.configuration().await?;
    let mut wrong = Vec::new();
    // Peers last: they may say what changes the picture.
    for caller in CALLERS {
        for asked in &table {
            let answer = scene.ask(caller, asked).await?;
            let expected = asked.meant.refusal(caller).unwrap_or(asked.status);
            let said = match (expected, asked.meant) {
                (401, _) => answer.contains("www-authenticate: Bearer") && answer.contains("MAEL_API_TOKEN"),
                (403, For::Admins | For::Readers) if asked.headers.is_empty() => {
                    answer.contains("MAEL_API_TOKEN")
                }
                (403, For::Peers | For::PeersAlone) => answer.contains("MAEL_CLUSTER_SECRET"),
                _ => true,
            };
            if status(&answer) != Some(expected) || !said {
                wrong.push(format!("{caller:?} {}: expected {expected}: {answer}", asked.what));
            }
        }
        if caller == Caller::Reader {
            assert_eq!(scene.configuration().await?, before, "something was done for nobody in particular");
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len() * CALLERS.len(), wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn no_token_is_told_to_containers_logs_or_answers() -> Result<()> {
    let scene = Scene::new().await?;
    for asked in [route("GET /headers", "maelstrom-component: web\r\n", For::Everybody, 200)] {
        let answer = scene.ask(Caller::Peer, &asked).await?;
        assert!(answer.contains("x-request-id") && !answer.contains("maelstrom-peer"), "{answer}");
    }
    for asked in routes().iter().chain(&methods()) {
        for caller in [Caller::Stranger, Caller::Reader] {
            scene.ask(caller, asked).await?;
        }
    }
    let mut told = scene.daemon.private().component("web", "/process").await?.text();
    told += &scene.daemon.whole_log();
    let reader = scene.daemon.api_with(READER);
    for method in [maelstrom_core::wire::ListEvents::NAME, "NodeService.Observe"] {
        told += &reader.rpc(method, json!({})).await?.to_string();
    }
    told += &scene.ask(Caller::Reader, &route("GET /_mael/metrics", "", For::Readers, 200)).await?;
    for hidden in [ADMIN, READER, SECRET, &scene.proof, "stranger-0123456789"] {
        assert!(!told.contains(hidden), "somebody was told {hidden}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_token_everybody_is_served_and_the_log_says_so_and_tokens_are_rotated() -> Result<()> {
    let mut daemon = Daemon::run().await?;
    daemon.rpc("MaelstromService.RemoveProject", json!({ "name": "none" })).await?;
    assert!(daemon.whole_log().contains("MAEL_API_TOKEN makes it ask for a token"), "{}", daemon.log());
    for (tokens, taken) in [
        (ADMIN.to_owned(), [true, false]),
        (format!("{NEXT},{ADMIN}"), [true, true]),
        (NEXT.to_owned(), [false, true]),
    ] {
        daemon.stop().await?;
        daemon.set("MAEL_API_TOKEN", &tokens).start().await?;
        for (token, taken) in [ADMIN, NEXT].into_iter().zip(taken) {
            let answer = daemon.api_with(token).rpc("MaelstromService.ListProjects", json!({})).await;
            assert_eq!(answer.is_ok(), taken, "{token} with {tokens}: {answer:?}");
        }
        assert!(daemon.rpc("MaelstromService.ListProjects", json!({})).await.is_err());
        assert!(!daemon.whole_log().contains("makes it ask for a token"));
    }
    daemon.stop().await?;
    daemon.set("MAEL_API_TOKEN", "short").spawn()?;
    let ended = daemon.wait_exit(Duration::from_secs(20)).await?;
    assert_eq!(ended.code(), Some(2));
    assert!(daemon.whole_log().contains("MAEL_API_TOKEN = '(hidden)'"), "{}", daemon.whole_log());
    Ok(())
}

/// As an application sends it: the client's own headers don't matter.
#[tokio::test]
async fn http2_callers_are_asked_for_a_token_too() -> Result<()> {
    let mut daemon = Daemon::prepare().await?;
    daemon.set("MAEL_API_TOKEN", ADMIN).start().await?;
    let client = Client::h2(daemon.private_address());
    assert_eq!(client.get("/_mael/metrics").await?.status, 401);
    let headers = [("authorization", format!("Bearer {ADMIN}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = client.send(hyper::Method::GET, "/_mael/metrics", &headers, Default::default()).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("maelstrom-access"), Some("change"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    Ok(())
}

const KEY: &str = "seal-0123456789abcdef";
const HIDDEN: &str = "hunter2-of-the-environment";

#[tokio::test]
async fn secrets_are_sealed_in_the_store_and_told_to_nobody_who_only_looks() -> Result<()> {
    let mut daemon = Daemon::prepare().await?;
    daemon.set("MAEL_API_TOKEN", ADMIN).set("MAEL_API_TOKEN_READONLY", READER);
    daemon.set("MAEL_SECRETS_KEY", KEY).set("MAEL_LOG_LEVEL", "debug").start().await?;
    let api = daemon.api_with(ADMIN);
    let environment = json!({ "environment": [{ "name": "GREETING", "value": HIDDEN }], "minInstances": 1 });
    api.put_component("web", environment, json!({ "pullPassword": HIDDEN })).await?;
    api.wait_instances("web", 1).await?;
    let inside = daemon.private().component("web", "/process").await?.json()?;
    assert_eq!(inside["environment"]["GREETING"], HIDDEN);

    let reader = daemon.api_with(READER);
    let mut told = daemon.whole_log();
    for (method, params) in [
        ("MaelstromService.ListComponents", json!({})),
        ("MaelstromService.GetComponent", json!({ "name": "web" })),
        ("MaelstromService.DescribeComponent", json!({ "name": "web" })),
        ("MaelstromService.ExplainComponent", json!({ "name": "web" })),
        ("MaelstromService.ListEvents", json!({})),
        ("NodeService.Observe", json!({})),
    ] {
        told += &reader.rpc(method, params).await?.to_string();
    }
    told += &daemon.private().token(READER).get("/_mael/metrics").await?.text();
    assert!(!told.contains(HIDDEN) && told.contains("GREETING"), "{told}");
    // What was shown in its place is no value.
    let shown = reader.rpc("MaelstromService.GetComponent", json!({ "name": "web" })).await?;
    let refused = api.rpc("MaelstromService.PutComponent", json!({ "component": shown["component"] })).await;
    assert!(format!("{refused:?}").contains("write the value itself"), "{refused:?}");

    daemon.stop().await?;
    for entry in std::fs::read_dir(daemon.folder())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("store.db")) {
            let bytes = std::fs::read(&path)?;
            let found = bytes.windows(HIDDEN.len()).any(|window| window == HIDDEN.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    // Another key first: what the old one sealed still opens.
    daemon.set("MAEL_SECRETS_KEY", &format!("{NEXT},{KEY}")).start().await?;
    let kept = daemon.api_with(ADMIN).rpc("MaelstromService.GetComponent", json!({ "name": "web" })).await?;
    assert_eq!(kept["component"]["environment"][0]["value"], HIDDEN);
    daemon.stop().await?;
    // Without it the component is said to be unreadable, and is still there.
    daemon.set("MAEL_SECRETS_KEY", NEXT).start().await?;
    assert!(
        daemon.api_with(ADMIN).rpc("MaelstromService.GetComponent", json!({ "name": "web" })).await.is_err()
    );
    assert!(daemon.whole_log().contains("MAEL_SECRETS_KEY has to list it"), "{}", daemon.log());
    Ok(())
}
