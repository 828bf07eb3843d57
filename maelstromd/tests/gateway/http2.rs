//! HTTP/2 without TLS on both sides: by prior knowledge in front, and to containers that ask for it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::{self as client, SendRequest},
    server::conn::http2 as server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use maelstrom_core::component::HttpProtocol;
use maelstromd::{clock, upstream};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    backend::{Backend, ok},
    world::{PATIENCE, World, eventually},
};

pub async fn connect(
    world: &World,
) -> (SendRequest<Full<Bytes>>, tokio::task::JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(world.public).await.unwrap();
    let (sender, connection) = client::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

pub fn post(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(format!("http://web{path}")).header("te", "trailers").body(body.into()).unwrap()
}

/// Answers like a gRPC server: the body back, then trailers. `/hang` never answers.
pub async fn grpc_like() -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let service = service_fn(|request: Request<Incoming>| async move {
                    if request.uri().path() == "/hang" {
                        std::future::pending::<()>().await;
                    }
                    let told = format!(
                        "{} {} {:?} te={:?} ",
                        request.method(),
                        request.uri(),
                        request.version(),
                        request.headers().get("te")
                    );
                    let collected = request.into_body().collect().await.unwrap();
                    let asked = collected.trailers().and_then(|trailers| trailers.get("x-asked")).cloned();
                    let mut body = Bytes::from(told).to_vec();
                    body.extend_from_slice(&collected.to_bytes());
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", "0".parse().unwrap());
                    trailers.extend(asked.map(|value| (http::HeaderName::from_static("x-asked"), value)));
                    let frames =
                        [Ok::<_, Infallible>(Frame::data(Bytes::from(body))), Ok(Frame::trailers(trailers))];
                    Ok::<_, Infallible>(Response::new(StreamBody::new(futures_util::stream::iter(frames))))
                });
                let _ = server::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, task)
}

#[tokio::test]
async fn http2_in_front_and_http1_behind() {
    let backend = Backend::echo().await;
    let world = World::new().await;
    world.web(backend.address).await;
    let (sender, _connection) = connect(&world).await;
    let mut asked = tokio::task::JoinSet::new();
    for i in 0..20 {
        let mut sender = sender.clone();
        asked.spawn(async move {
            let response = sender.send_request(post(&format!("/{i}?a=b"), "data")).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let got = String::from_utf8_lossy(&body).into_owned();
            assert!(got.starts_with(&format!("POST /{i}?a=b HTTP/1.1\r\nhost: web\r\n")), "{got}");
            assert!(got.ends_with("\r\n\r\ndata") && got.contains("content-length: 4\r\n"), "{got}");
        });
    }
    asked.join_all().await;
}

#[tokio::test]
async fn http2_from_end_to_end_with_trailers_both_ways() {
    let (address, _task) = grpc_like().await;
    let world = World::new().await;
    let pool =
        world.component("web", |component| component.scaling.max_concurrency = 100.try_into().unwrap());
    world.source("web", "web", None, false);
    world.add_protocol(&pool, "one", address, HttpProtocol::H2c);
    let stream = TcpStream::connect(world.public).await.unwrap();
    let (mut sender, connection) =
        client::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let trailers =
            HeaderMap::from_iter([(http::HeaderName::from_static("x-asked"), "7".parse().unwrap())]);
        let frames =
            [Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"ping"))), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let request = Request::post("http://web/svc/Method").header("te", "trailers").body(body).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(
            (trailers["grpc-status"].as_bytes(), trailers["x-asked"].as_bytes()),
            (&b"0"[..], &b"7"[..])
        );
        let got = String::from_utf8(collected.to_bytes().to_vec()).unwrap();
        assert_eq!(got, "POST http://web/svc/Method HTTP/2.0 te=Some(\"trailers\") ping");
    }
}

#[tokio::test]
async fn an_http1_client_reaches_a_container_that_speaks_http2() {
    let (address, _task) = grpc_like().await;
    let world = World::new().await;
    let pool = world.component("web", |_| {});
    world.source("web", "web", None, false);
    world.add_protocol(&pool, "one", address, HttpProtocol::H2c);
    let mut client = crate::world::Raw::connect(world.public).await;
    for _ in 0..2 {
        client.send("POST /a?b HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nping").await;
        let answer = client.until("0\r\n\r\n").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.contains("POST http://web/a?b HTTP/2.0"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_reset_stream_frees_its_slot_and_a_lost_instance_is_502() {
    let (address, task) = grpc_like().await;
    let world = World::new().await;
    let pool = world.component("web", |_| {});
    world.source("web", "web", None, false);
    world.add_protocol(&pool, "one", address, HttpProtocol::H2c);
    let (mut sender, _connection) = connect(&world).await;
    let hanging = sender.send_request(post("/hang", ""));
    let hanging = tokio::spawn(hanging);
    eventually("it is served", || pool.reading(clock::now()).load.demand.in_flight == 1).await;
    hanging.abort();
    eventually("the slot is free", || pool.reading(clock::now()).load.demand.in_flight == 0).await;
    let hanging = tokio::spawn(sender.send_request(post("/hang", "body")));
    eventually("it is served", || pool.reading(clock::now()).load.demand.in_flight == 1).await;
    task.abort();
    let response = tokio::time::timeout(PATIENCE, hanging).await.unwrap().unwrap().unwrap();
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn stopping_says_goaway_and_finishes_the_streams() {
    let finish = Arc::new(tokio::sync::Notify::new());
    let go = Arc::clone(&finish);
    let backend = Backend::start(move |mut connection| {
        let go = Arc::clone(&go);
        async move {
            connection.request().await;
            go.notified().await;
            connection.send(&ok("done")).await;
        }
    })
    .await;
    let world = World::new().await;
    let pool = world.web(backend.address).await;
    let (mut sender, connection) = connect(&world).await;
    let answer = tokio::spawn(sender.send_request(post("/", "")));
    eventually("it is served", || pool.reading(clock::now()).load.demand.in_flight == 1).await;
    world.stop.cancel();
    // The listener goes last of what the stop does to newcomers.
    eventually("nobody is accepted", || std::net::TcpStream::connect(world.public).is_err()).await;
    finish.notify_one();
    let response = answer.await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
    tokio::time::timeout(PATIENCE, connection).await.expect("the connection ends").unwrap().unwrap();
    assert!(sender.send_request(post("/", "")).await.is_err());
}

#[tokio::test]
async fn probes_count_only_http_answers() {
    let limit = Duration::from_millis(500);
    let good = Backend::answering(ok("")).await;
    let ill = Backend::answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let mute = Backend::start(|mut connection| async move { connection.closed().await }).await;
    let (h2, _task) = grpc_like().await;
    let probe = async |address, protocol| upstream::probe(address, protocol, "/health", limit).await;
    assert_eq!(probe(good.address, HttpProtocol::Http1).await.unwrap(), 200);
    assert_eq!(probe(ill.address, HttpProtocol::Http1).await.unwrap(), 503);
    assert_eq!(probe(h2, HttpProtocol::H2c).await.unwrap(), 200);
    assert!(probe(mute.address, HttpProtocol::Http1).await.is_err());
    assert!(probe(mute.address, HttpProtocol::H2c).await.is_err());
    assert!(probe(good.address, HttpProtocol::H2c).await.is_err());
}
