//! A management API on real TCP with one project in it, which can misbehave.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{Request, Response, body::Frame, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use maelstrom_core::{
    rpc::{Registry, RpcError, code},
    wire,
};
use tokio::{net::TcpListener, sync::oneshot};

/// How it misbehaves.
#[derive(Clone, Copy, Default)]
pub(crate) struct Behaviour {
    /// Connections that are closed before they answer.
    pub(crate) broken_connections: usize,
    /// Something else than the API listens.
    pub(crate) foreign: bool,
    /// Nothing is ever answered.
    pub(crate) silent: bool,
    /// Each log stream ends after its lines.
    pub(crate) log_streams_end: bool,
    /// Asked for with everything.
    pub(crate) token: Option<&'static str>,
}

pub(crate) struct Api {
    pub(crate) url: String,
    seen: Arc<Seen>,
    _stop: oneshot::Sender<()>,
}

#[derive(Default)]
struct Seen {
    bodies: Mutex<Vec<String>>,
    log_queries: Mutex<Vec<String>>,
}

// === impl Api ===

impl Api {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let for_server = Arc::clone(&seen);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, behaviour, for_server) => {}
                    _ = stopped => {}
                }
            });
        });
        let address: SocketAddr = told.recv_timeout(Duration::from_secs(30)).unwrap();
        Self { url: format!("http://{address}"), seen, _stop: stop }
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.seen.bodies.lock().unwrap().iter().filter(|body| body.contains(&format!(".{method}\""))).count()
    }

    pub(crate) fn log_queries(&self) -> Vec<String> {
        self.seen.log_queries.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, behaviour: Behaviour, seen: Arc<Seen>) {
    let registry = Arc::new(registry());
    let mut broken = behaviour.broken_connections;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if broken > 0 {
            broken -= 1;
            continue;
        }
        let (registry, seen) = (Arc::clone(&registry), Arc::clone(&seen));
        let service = service_fn(move |request| {
            let (registry, seen) = (Arc::clone(&registry), Arc::clone(&seen));
            async move { Ok::<_, Infallible>(answer(request, behaviour, &registry, &seen).await) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    behaviour: Behaviour,
    registry: &Registry,
    seen: &Seen,
) -> Response<Body> {
    if behaviour.silent {
        std::future::pending::<()>().await;
    }
    let full = |bytes: Bytes| Full::new(bytes).boxed();
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    if let Some(token) = behaviour.token
        && authorization != Some(&format!("Bearer {token}"))
    {
        let error = RpcError::new(code::UNAUTHENTICATED, "a token is asked for");
        return Response::builder().status(401).body(full(error.into_answer())).unwrap();
    }
    match request.uri().path() {
        "/_mael/v1" if !behaviour.foreign => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            seen.bodies.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
            Response::new(full(registry.handle(&body).await.unwrap_or_default()))
        }
        "/_mael/logs" => {
            seen.log_queries.lock().unwrap().push(request.uri().query().unwrap_or_default().to_owned());
            Response::new(logs(behaviour.log_streams_end))
        }
        _ => Response::builder().status(404).body(full(Bytes::from("nothing here"))).unwrap(),
    }
}

/// Two lines, cut in the middle, then heartbeats.
fn logs(end: bool) -> Body {
    let first = "{\"Component\":\"demo_web\",\"Stream\":\"stdout\",\"Da";
    let second =
        "ta\":\"one\"}\r\n{\"Component\":\"demo_web\",\"Stream\":\"stderr\",\"Data\":\"two\"}\r\nPING\r\n";
    let frames = stream::unfold(0, move |index| async move {
        let text = match index {
            0 => first,
            1 => second,
            _ if end => return None,
            _ => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                "PING\r\n"
            }
        };
        Some((Ok(Frame::data(Bytes::from(text))), index + 1))
    });
    BodyExt::boxed(StreamBody::new(
        Box::pin(frames) as std::pin::Pin<Box<dyn stream::Stream<Item = _> + Send + Sync>>
    ))
}

fn web(image: &str) -> wire::Component {
    wire::Component {
        name: "demo_web".into(),
        project_name: Some("demo".into()),
        max_concurrency: 4,
        version: 1,
        docker: Some(wire::DockerComponent { image: image.into(), ..Default::default() }),
        ..Default::default()
    }
}

fn project() -> wire::Project {
    let with = wire::ComponentWithEventSources { component: web("web:1"), event_sources: Vec::new() };
    wire::Project { name: "demo".into(), components: vec![with] }
}

fn tick() -> wire::EventSourceWithStatus {
    let http = wire::CronHttpRequest { method: "GET".into(), path: "/tick".into(), ..Default::default() };
    let cron = wire::CronEventSource { schedule: "@every 5s".into(), http };
    let event_source = wire::EventSource {
        name: "demo_tick".into(),
        component_name: "demo_web".into(),
        cron: Some(cron),
        ..Default::default()
    };
    wire::EventSourceWithStatus { event_source, enabled: true }
}

fn cold_start() -> wire::JournalEvent {
    let mut data = serde_json::Map::new();
    data.insert("createMs".into(), 100.into());
    data.insert("startMs".into(), 200.into());
    wire::JournalEvent {
        sequence: 1,
        time: 1_000,
        node_id: "n1".into(),
        kind: "cold-start".into(),
        component_name: Some("demo_web".into()),
        message: "a cold start of demo_web took 300 ms".into(),
        reasons: Vec::new(),
        data,
    }
}

fn node() -> wire::NodeStatus {
    let info = wire::ComponentInfo {
        component_name: "demo_web".into(),
        status: "active".into(),
        ..Default::default()
    };
    wire::NodeStatus { node_id: "n1".into(), running_components: vec![info], ..Default::default() }
}

fn registry() -> Registry {
    Registry::new()
        .on(wire::ListProjects, |_| async {
            let info =
                wire::ProjectInfo { project_name: "demo".into(), component_count: 1, event_source_count: 1 };
            Ok(wire::ListProjectsOutput { projects: vec![info] })
        })
        .on(wire::GetProject, |input: wire::NameInput| async move {
            match input.name.as_str() {
                "demo" => Ok(wire::GetProjectOutput { project: project() }),
                name => Err(RpcError::not_found(format!("project '{name}'"))),
            }
        })
        .on(wire::PutProject, |input: wire::PutProjectInput| async move {
            let new = &input.project.components[0].component;
            let old = wire::Component { version: new.version, modified_at: new.modified_at, ..web("web:1") };
            let updated = if *new == old { Vec::new() } else { vec![new.clone()] };
            Ok(wire::PutProjectOutput {
                name: input.project.name,
                components_updated: updated,
                ..Default::default()
            })
        })
        .on(wire::RemoveProject, |input: wire::NameInput| async move {
            let found = input.name == "demo";
            Ok(wire::RemoveOutput { name: input.name, found })
        })
        .on(wire::ListComponents, |_| async {
            Ok(wire::ListComponentsOutput { components: vec![web("web:1")], next_token: None })
        })
        .on(wire::GetComponent, |input: wire::NameInput| async move {
            match input.name.as_str() {
                "demo_web" => Ok(wire::GetComponentOutput { component: web("web:1") }),
                name => Err(RpcError::not_found(format!("component '{name}'"))),
            }
        })
        .on(wire::ListEventSources, |input: wire::ListEventSourcesInput| async move {
            let prefix = input.name_prefix.unwrap_or_default();
            let event_sources = if "demo_tick".starts_with(&prefix) { vec![tick()] } else { Vec::new() };
            Ok(wire::ListEventSourcesOutput { event_sources, next_token: None })
        })
        .on(wire::ToggleEventSources, |input: wire::ToggleEventSourcesInput| async move {
            let event_source_names = vec!["demo_tick".to_owned()];
            Ok(wire::ToggleEventSourcesOutput { enabled: input.enabled, event_source_names })
        })
        .on(wire::ListEvents, |_| async {
            Ok(wire::ListEventsOutput { events: vec![cold_start()], ..Default::default() })
        })
        .on(wire::ExplainComponent, |input: wire::ExplainComponentInput| async move {
            match input.name.as_str() {
                "demo_web" => Ok(wire::ExplainComponentOutput {
                    component_name: input.name,
                    target_instances: 1,
                    events: vec![cold_start()],
                    ..Default::default()
                }),
                name => Err(RpcError::not_found(format!("component '{name}'"))),
            }
        })
        .on(wire::ListNodeStatus, |_| async {
            Ok(wire::ListNodeStatusOutput { responding_node_id: "n1".into(), nodes: vec![node()] })
        })
        .on(wire::GetVersion, |_| async {
            Ok(wire::GetVersionOutput { version: "0.1.0".into(), node_id: "n1".into() })
        })
}
