//! What each path does.
//!
//! | path | answer |
//! | --- | --- |
//! | `/`, `/health` | 200 `mael-app VERSION INSTANCE`; 503 while not ready or not healthy; `/health?set=fail` or `ok` switches |
//! | `/echo` | the request's body as it comes; its line and headers as `x-echo-*` |
//! | `/headers`, `/process` | JSON of the headers seen; of pid, arguments, environment, status |
//! | `/sleep?ms=` | after so long |
//! | `/bytes?n=` | so many bytes |
//! | `/stream?chunks=&ms=`, `/sse?chunks=&ms=` | numbered chunks or server-sent events, a pause between |
//! | `/status?code=&step-func-error=&step-func-cause=&pause-seconds=&retry-after=` | that status, with those headers |
//! | `/inflight?ms=`, `/inflight/max` | parallel requests of this instance, now and at most |
//! | `/counter` | counts this instance's calls of it from 1 |
//! | `/call?component=&path=` | what that component answers through the private gateway |
//! | `/trailers` | a trailer `x-checksum` after the body (for clients that say `TE: trailers`) |
//! | `/early?code=` | answers before it reads the body |
//! | `/hang` | never answers |
//! | `/reset` | the connection is reset before any byte |
//! | `/cut?sent=&length=` | so many bytes of the body, then the connection closes |
//! | `/crash?code=&sent=` | the process exits while answering; after so many bytes if `sent` is given |
//! | `/log?line=&stream=stderr&n=` | writes the line to stdout or stderr, n times |
//! | `/memory?mib=` | takes and keeps so much memory |
//! | `/mark` | what `mael-app mark` wrote |
//! | `/work?fail=&slow=&ms=&slowms=` | a message of a queue: of a hundred so many fail the first time, so many are slow |
//! | `/work/report`, `/work/count` | the messages that were begun and done, in order, and the most of each queue at a time; how many were done |
//! | any, with `Upgrade: echo` | 101, then echoes bytes until the client ends |
//!
//! `/`, `/health`, `/process`, `/inflight/max`, `/work/report` and `/work/count` are not counted as
//! parallel requests: health checks and questions of a test come beside the load.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRAILER, UPGRADE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::bodies::{self, Body};
use crate::calls;
use crate::inflight::Guard;
use crate::query::Query;
use crate::server::Hangup;
use crate::state::{State, log, log_raw_error};

/// Answers one request; an error ends its connection without an answer.
pub(crate) async fn answer(
    state: Arc<State>,
    hangup: Hangup,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let mut response = match request.uri().path() {
        _ if request.headers().contains_key(UPGRADE) => upgrade(&state, request),
        "/" | "/health" => health(&state, &request),
        "/inflight/max" => text(StatusCode::OK, state.inflight.max().to_string()),
        "/work/count" => text(StatusCode::OK, state.work.count().to_string()),
        "/work/report" => reply_json(StatusCode::OK, &state.work.report()),
        "/process" => process(),
        _ => {
            let guard = state.inflight.enter();
            work(&state, hangup, guard, request).await?
        }
    };
    let headers = response.headers_mut();
    headers.insert("x-app-version", state.version_header.clone());
    headers.insert("x-app-instance", state.instance_header.clone());
    Ok(response)
}

/// The paths that count as work of the instance.
async fn work(
    state: &Arc<State>,
    hangup: Hangup,
    guard: Guard,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let query = Query::of(&head.uri);
    let pause = Duration::from_millis(query.number("ms", 0));
    let chunks = query.number("chunks", 5);
    Ok(match head.uri.path() {
        "/echo" => echo(&head, body, guard),
        "/headers" => reply_json(StatusCode::OK, &headers_seen(&head.headers)),
        "/sleep" => {
            tokio::time::sleep(pause).await;
            text(StatusCode::OK, format!("slept {} ms\n", pause.as_millis()))
        }
        "/bytes" => Response::new(bodies::filler(query.number("n", 100), guard)),
        "/stream" => Response::new(bodies::lines(chunks, pause, |n| format!("chunk {n}\n"), guard)),
        "/sse" => server_sent_events(bodies::lines(
            chunks,
            pause,
            |n| format!("id: {n}\ndata: event {n}\n\n"),
            guard,
        )),
        "/status" => failing(&query),
        "/inflight" => {
            let now = state.inflight.now();
            tokio::time::sleep(pause).await;
            reply_json(StatusCode::OK, &json!({ "now": now, "max": state.inflight.max() }))
        }
        "/counter" => text(StatusCode::OK, state.count().to_string()),
        "/call" => {
            let component = query.text("component").unwrap_or_default();
            let path = query.text("path").unwrap_or_else(|| "/".into());
            let (status, report) = calls::call(&component, &path, &head.headers).await;
            reply_json(status, &report)
        }
        "/trailers" => trailers(),
        "/early" => text(status(&query, StatusCode::OK), "answered early\n".into()),
        "/hang" => std::future::pending().await,
        "/reset" => return Err(hangup.reset()),
        "/cut" => cut(&query, guard),
        "/crash" => crash(&query, guard),
        "/log" => log_lines(&query),
        "/memory" => take_memory(state, query.number("mib", 1)).await,
        "/work" => do_work(state, &head, body).await?,
        "/mark" => match std::fs::read_to_string(crate::MARK_FILE) {
            Ok(mark) => text(StatusCode::OK, mark),
            Err(_) => text(StatusCode::NOT_FOUND, "no mark\n".into()),
        },
        path => text(StatusCode::NOT_FOUND, format!("mael-app has no path {path}\n")),
    })
}

fn health(state: &State, request: &Request<Incoming>) -> Response<Body> {
    match Query::of(request.uri()).text("set").as_deref() {
        Some("fail") => state.set_healthy(false),
        Some("ok") => state.set_healthy(true),
        _ => {}
    }
    let status = if state.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(status, format!("mael-app {} {}\n", state.settings.version, state.instance))
}

fn upgrade(state: &State, request: Request<Incoming>) -> Response<Body> {
    if request.headers().get(UPGRADE).is_none_or(|protocol| protocol != "echo") {
        return text(StatusCode::BAD_REQUEST, "the only protocol to upgrade to is 'echo'\n".into());
    }
    let guard = state.inflight.enter();
    state.upgraded.spawn(async move {
        let _guard = guard;
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
        // The peer that goes away is the normal end of it.
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut write).await;
    });
    let mut response = Response::new(bodies::full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

fn echo(head: &hyper::http::request::Parts, body: Incoming, guard: Guard) -> Response<Body> {
    let mut response = Response::new(bodies::echo(body, guard));
    let headers = response.headers_mut();
    if let Some(kind) = head.headers.get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    if let Ok(method) = HeaderValue::from_str(head.method.as_str()) {
        headers.insert("x-echo-method", method);
    }
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    if let Ok(target) = HeaderValue::from_str(target) {
        headers.insert("x-echo-target", target);
    }
    if let Ok(version) = HeaderValue::try_from(format!("{:?}", head.version)) {
        headers.insert("x-echo-version", version);
    }
    for (name, value) in &head.headers {
        if let Ok(name) = HeaderName::try_from(format!("x-echo-header-{name}")) {
            headers.append(name, value.clone());
        }
    }
    response
}

fn headers_seen(headers: &HeaderMap) -> Value {
    let mut seen = BTreeMap::<&str, Vec<String>>::new();
    for (name, value) in headers {
        seen.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    json!(seen)
}

fn process() -> Response<Body> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let fields: BTreeMap<&str, &str> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let report = json!({
        "pid": std::process::id(),
        "arguments": std::env::args().collect::<Vec<_>>(),
        "environment": environment,
        "status": fields,
        "resolv": std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        "limits": std::fs::read_to_string("/proc/self/limits").unwrap_or_default(),
        "mounts": std::fs::read_to_string("/proc/self/mounts").unwrap_or_default(),
    });
    reply_json(StatusCode::OK, &report)
}

fn trailers() -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("7"));
    let mut response = Response::new(bodies::with_trailers("seven\n", trailers));
    response.headers_mut().insert(TRAILER, HeaderValue::from_static("x-checksum"));
    response
}

fn server_sent_events(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn cut(query: &Query<'_>, guard: Guard) -> Response<Body> {
    let sent = usize::try_from(query.number("sent", 10)).unwrap_or(usize::MAX);
    let cut = || async { io::Error::other("cut as /cut asks") };
    let mut response = Response::new(bodies::cut(sent, guard, cut));
    if let Some(length) = query.text("length").and_then(|length| HeaderValue::try_from(length).ok()) {
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    response
}

fn crash(query: &Query<'_>, guard: Guard) -> Response<Body> {
    let code = i32::try_from(query.number("code", 17)).unwrap_or(17);
    match query.text("sent").and_then(|sent| sent.parse().ok()) {
        Some(sent) => {
            Response::new(bodies::cut(sent, guard, move || async move { std::process::exit(code) }))
        }
        None => std::process::exit(code),
    }
}

fn log_lines(query: &Query<'_>) -> Response<Body> {
    let line = query.text("line").unwrap_or_else(|| "a line".into());
    let write = if query.text("stream").as_deref() == Some("stderr") { log_raw_error } else { log };
    for _ in 0..query.number("n", 1) {
        write(&line);
    }
    text(StatusCode::OK, "logged\n".into())
}

async fn take_memory(state: &State, mib: u64) -> Response<Body> {
    let length = usize::try_from(mib << 20).unwrap_or(usize::MAX);
    let mut ballast = state.ballast.lock().await;
    // Written to, or the kernel would not count it.
    ballast.push(vec![1; length]);
    let held: usize = ballast.iter().map(Vec::len).sum();
    text(StatusCode::OK, format!("holding {} MiB\n", held >> 20))
}

/// With what a failed task says of itself, where that is given.
fn failing(query: &Query<'_>) -> Response<Body> {
    let mut response = text(status(query, StatusCode::OK), String::new());
    for name in ["step-func-error", "step-func-cause", "pause-seconds", "retry-after"] {
        if let Some(value) = query.text(name).and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

async fn do_work(
    state: &State,
    head: &hyper::http::request::Parts,
    body: Incoming,
) -> io::Result<Response<Body>> {
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let message = String::from_utf8_lossy(&body);
    let queue = head.headers.get("maelstrom-sqs-queue-name").and_then(|name| name.to_str().ok());
    let _flight = state.work.enter(queue.unwrap_or_default());
    let again = head.headers.get("maelstrom-sqs-receive-count").is_some_and(|count| count != "1");
    let order = state.work.begin(&message, again, &Query::of(&head.uri));
    tokio::time::sleep(order.takes).await;
    if order.fails {
        return Ok(text(StatusCode::INTERNAL_SERVER_ERROR, "fails the first time\n".into()));
    }
    state.work.done(&message)?;
    Ok(text(StatusCode::OK, "done\n".into()))
}

fn status(query: &Query<'_>, default: StatusCode) -> StatusCode {
    let code = u16::try_from(query.number("code", 0)).unwrap_or(0);
    StatusCode::from_u16(code).unwrap_or(default)
}

fn text(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(bodies::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn reply_json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(bodies::full(format!("{value}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
