//! Asks an instance how it is. A seam, so that tests decide what instances answer.

use std::{net::SocketAddr, time::Duration};

use http::StatusCode;
use maelstrom_core::{component::DockerSpec, decide::health::Probe, ports::BoxFuture};
use tokio::net::TcpStream;

use crate::upstream::{ProbeError, probe};

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
            match probe(address, protocol, &path, patience).await {
                Ok(StatusCode::OK) => Probe::Passed,
                Ok(status) => Probe::Failed(format!("GET {path} answered {status}")),
                Err(ProbeError::Failed(error)) => Probe::Failed(format!("GET {path} had no answer: {error}")),
                Err(ProbeError::TimedOut(_)) => Probe::TimedOut { busy: false },
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
