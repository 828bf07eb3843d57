//! Asks an instance how it is. A seam, so that tests decide what instances answer.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use maelstrom_core::{
    component::{DockerSpec, HttpProtocol},
    decide::health::Probe,
    ports::BoxFuture,
};
use tokio::net::TcpStream;

/// What containers see in their access logs.
const USER_AGENT: &str = "maelstromd-health-check";

/// Health checks of instances.
pub trait Checker: Send + Sync {
    /// Asks once, for at most `patience`. Only an HTTP 200 passes: a paused container accepts connections,
    /// too.
    fn check(
        &self,
        address: SocketAddr,
        docker: &DockerSpec,
        patience: Duration,
    ) -> BoxFuture<'static, Probe>;

    /// Whether the port accepts connections: all that is asked of an instance without a start check.
    fn accepts(&self, address: SocketAddr, patience: Duration) -> BoxFuture<'static, Probe>;
}

/// Asks over the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpChecker;

// === impl HttpChecker ===

impl Checker for HttpChecker {
    fn check(
        &self,
        address: SocketAddr,
        docker: &DockerSpec,
        patience: Duration,
    ) -> BoxFuture<'static, Probe> {
        let (path, protocol) = (docker.health.path.clone(), docker.http_protocol);
        Box::pin(async move {
            match tokio::time::timeout(patience, ask(address, protocol, &path)).await {
                Ok(Ok(StatusCode::OK)) => Probe::Passed,
                Ok(Ok(status)) => Probe::Failed(format!("GET {path} answered {status}")),
                Ok(Err(error)) => Probe::Failed(format!("GET {path} had no answer: {error}")),
                Err(_) => Probe::TimedOut { busy: false },
            }
        })
    }

    fn accepts(&self, address: SocketAddr, patience: Duration) -> BoxFuture<'static, Probe> {
        Box::pin(async move {
            match tokio::time::timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(_)) => Probe::Passed,
                Ok(Err(error)) => Probe::Failed(format!("connecting to {address} failed: {error}")),
                Err(_) => Probe::TimedOut { busy: false },
            }
        })
    }
}

/// One request on a connection of its own, which is closed as soon as the status is known.
async fn ask(address: SocketAddr, protocol: HttpProtocol, path: &str) -> Result<StatusCode, String> {
    let told = |error: hyper::Error| error.to_string();
    let request = request(address, protocol, path).map_err(|error| error.to_string())?;
    let stream = connect(address).await.map_err(|error| error.to_string())?;
    match protocol {
        HttpProtocol::Http1 => {
            let (mut sender, connection) = conn::http1::handshake(stream).await.map_err(told)?;
            let answer = sender.send_request(request);
            driven(answer, connection).await
        }
        HttpProtocol::H2c => {
            let executor = TokioExecutor::new();
            let (mut sender, connection) = conn::http2::handshake(executor, stream).await.map_err(told)?;
            let answer = sender.send_request(request);
            driven(answer, connection).await
        }
    }
}

/// Polls the connection for as long as the answer needs it.
async fn driven<B>(
    answer: impl Future<Output = hyper::Result<http::Response<B>>>,
    connection: impl Future<Output = hyper::Result<()>>,
) -> Result<StatusCode, String> {
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    let answered = tokio::select! {
        biased;
        answered = &mut answer => answered,
        // The answer may have come with the connection's end.
        ended = &mut connection => match (ended, answer.await) {
            (Err(error), Err(_)) => Err(error),
            (_, answered) => answered,
        },
    };
    answered.map(|response| response.status()).map_err(|error| error.to_string())
}

fn request(address: SocketAddr, protocol: HttpProtocol, path: &str) -> http::Result<Request<Empty<Bytes>>> {
    let request = Request::get(match protocol {
        HttpProtocol::Http1 => path.to_owned(),
        HttpProtocol::H2c => format!("http://{address}{path}"),
    });
    let request = request.header(header::USER_AGENT, USER_AGENT);
    let request = match protocol {
        HttpProtocol::Http1 => {
            request.header(header::HOST, address.to_string()).header(header::CONNECTION, "close")
        }
        HttpProtocol::H2c => request,
    };
    request.body(Empty::new())
}

async fn connect(address: SocketAddr) -> io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}
