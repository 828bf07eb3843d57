//! The way to the engine: made at the first call, kept, made anew after it failed.
//!
//! Never part of construction: Docker may start after the daemon, restart with another API version, or
//! be gone for a while. The version is negotiated once per connection and the client forgotten when
//! the engine stops answering, so the next call negotiates with whatever answers then.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use bollard::Docker;
use maelstrom_core::ports::engine::{EngineError, EngineResult};
use parking_lot::Mutex;

use super::errors::{Subject, translate, unavailable};

/// The engine's own default socket, as its command line tool has it.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// A healthy engine tells its version in milliseconds, a busy one in a second or two.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(5);
/// Off: the client's limit covers the wait for an answer's head, which a quiet log sends with its first
/// line, and a stop with a long grace at its end. Every call has a limit of its own instead.
const CLIENT_LIMIT: Duration = Duration::from_secs(365 * 24 * 3_600);

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    host: String,
    client: Mutex<Option<Docker>>,
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(host: Option<String>) -> Self {
        let host = host
            .or_else(|| std::env::var("DOCKER_HOST").ok())
            .filter(|host| !host.is_empty())
            .unwrap_or_else(|| DEFAULT_HOST.to_owned());
        Self { host, client: Mutex::default() }
    }

    /// The engine runs on this machine: its processes can be watched from here.
    pub(super) fn is_local(&self) -> bool {
        self.host.starts_with("unix://")
    }

    /// Where a container in the engine's own network namespace is reached.
    pub(super) fn host_address(&self) -> Option<IpAddr> {
        if self.is_local() {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        let (_, rest) = self.host.split_once("://")?;
        let name = rest.split('/').next()?;
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
        name.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    pub(super) async fn ping(&self) -> EngineResult<()> {
        self.call(PING_LIMIT, "asking whether it is there", Subject::Engine, async |docker| {
            docker.ping().await.map(drop)
        })
        .await
    }

    /// Runs one exchange with the engine within `limit`. `action` is what the error says was tried.
    pub(super) async fn call<T>(
        &self,
        limit: Duration,
        action: &str,
        subject: Subject<'_>,
        exchange: impl AsyncFnOnce(Docker) -> Result<T, bollard::errors::Error>,
    ) -> EngineResult<T> {
        let docker = self.client().await?;
        let answer = self.within(limit, action, exchange(docker)).await?;
        answer.map_err(|error| self.failed(error, action, subject))
    }

    /// The connected client, for streams; they bound their waits themselves.
    pub(super) async fn client(&self) -> EngineResult<Docker> {
        let known = self.client.lock().clone();
        if let Some(docker) = known {
            return Ok(docker);
        }
        let action = "connecting";
        let connecting = async {
            let docker = Docker::connect_with_host(&self.host)?.with_timeout(CLIENT_LIMIT);
            docker.negotiate_version().await
        };
        let docker = self.within(PING_LIMIT, action, connecting).await?;
        let docker = docker.map_err(|error| self.failed(error, action, Subject::Engine))?;
        *self.client.lock() = Some(docker.clone());
        Ok(docker)
    }

    /// Translates an error; forgets the client when the engine was not reached.
    pub(super) fn failed(
        &self,
        error: bollard::errors::Error,
        action: &str,
        subject: Subject<'_>,
    ) -> EngineError {
        let error = translate(error, &self.host, action, subject);
        if matches!(error, EngineError::Unavailable { .. }) {
            self.forget();
        }
        error
    }

    pub(super) fn forget(&self) {
        *self.client.lock() = None;
    }

    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        action: &str,
        work: impl Future<Output = T>,
    ) -> EngineResult<T> {
        tokio::time::timeout(limit, work).await.map_err(|_| {
            let reason = format!("{action} got no answer within {} s", limit.as_secs());
            unavailable(&self.host, &reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_remote_engine_is_read_from_its_host() {
        let address = |host: &str| Connection::new(Some(host.into())).host_address();
        assert_eq!(address("unix:///var/run/docker.sock"), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(address("tcp://10.1.2.3:2375"), Some(Ipv4Addr::new(10, 1, 2, 3).into()));
        assert_eq!(address("tcp://[fd00::1]:2375"), "fd00::1".parse().ok());
        assert_eq!(address("tcp://docker.example:2375"), None);
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_unavailable_and_the_error_says_where_it_was_sought() {
        let folder = tempfile::tempdir().unwrap();
        let host = format!("unix://{}/none.sock", folder.path().display());
        let error = Connection::new(Some(host.clone())).ping().await.unwrap_err();
        assert!(matches!(error, EngineError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains(&host), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_never_answers_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deaf.sock");
        let _deaf = tokio::net::UnixListener::bind(&path).unwrap();
        let connection = Connection::new(Some(format!("unix://{}", path.display())));
        let error = connection.ping().await.unwrap_err();
        assert!(matches!(error, EngineError::Unavailable { .. }), "{error:?}");
    }
}
