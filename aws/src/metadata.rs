//! EC2's instance metadata, version 2: the SDK asks for tokens and keeps them.
//!
//! The service is on the machine's own host: an answer takes a millisecond, and where nothing answers within
//! a second there is none.

#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_config::{
    imds::client::{Client, error::ImdsError},
    provider_config::ProviderConfig,
};
use maelstrom_core::ports::{
    BoxFuture,
    metadata::{CALL_LIMIT, Metadata, MetadataError, Notices},
};
use parking_lot::Mutex;

use crate::account::behavior;

const CONNECT_LIMIT: Duration = Duration::from_secs(1);
const READ_LIMIT: Duration = Duration::from_secs(1);
/// Once more when the first try found the service starting anew.
const ATTEMPTS: u32 = 2;
const ROOT: &str = "/latest/meta-data/";
/// The service forgot its tokens, which the SDK doesn't notice.
const UNAUTHORIZED: u16 = 401;
/// There is no such value, for now.
const NOT_FOUND: u16 = 404;

/// See the module.
#[derive(Debug)]
pub struct InstanceMetadata {
    endpoint: Option<String>,
    client: Mutex<Client>,
}

// === impl InstanceMetadata ===

impl InstanceMetadata {
    /// Where the SDK's own variables say, else at the address that all machines of EC2 have.
    pub fn new() -> Self {
        Self { client: Mutex::new(connect(None)), endpoint: None }
    }

    #[cfg(test)]
    fn at(endpoint: &str) -> Self {
        Self { client: Mutex::new(connect(Some(endpoint))), endpoint: Some(endpoint.to_owned()) }
    }

    /// The value at a path; `None`: there is none.
    async fn value(&self, path: &str) -> Result<Option<String>, MetadataError> {
        let client = self.client.lock().clone();
        match get(&client, path).await {
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == UNAUTHORIZED => {
                let fresh = connect(self.endpoint.as_deref());
                *self.client.lock() = fresh.clone();
                told(get(&fresh, path).await)
            }
            answered => told(answered),
        }
    }

    async fn all(&self) -> Result<Notices, MetadataError> {
        let (target, spot, rebalance) = tokio::try_join!(
            self.value("autoscaling/target-lifecycle-state"),
            self.value("spot/instance-action"),
            self.value("events/recommendations/rebalance"),
        )?;
        Ok(Notices::parse(target.as_deref(), spot.as_deref(), rebalance.as_deref()))
    }
}

impl Default for InstanceMetadata {
    fn default() -> Self {
        Self::new()
    }
}

impl Metadata for InstanceMetadata {
    fn instance(&self) -> BoxFuture<'_, Result<String, MetadataError>> {
        Box::pin(bounded(async {
            let id = self.value("instance-id").await?;
            id.map(|id| id.trim().to_owned())
                .filter(|id| !id.is_empty())
                .ok_or_else(|| MetadataError::Absent("it knows no instance-id".to_owned()))
        }))
    }

    fn notices(&self) -> BoxFuture<'_, Result<Notices, MetadataError>> {
        Box::pin(bounded(self.all()))
    }
}

async fn bounded<T>(asked: impl Future<Output = Result<T, MetadataError>>) -> Result<T, MetadataError> {
    let late = |_| MetadataError::Unavailable(format!("no answer within {} s", CALL_LIMIT.as_secs()));
    tokio::time::timeout(CALL_LIMIT, asked).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
}

fn connect(endpoint: Option<&str>) -> Client {
    let builder = Client::builder()
        .configure(&ProviderConfig::without_region().with_behavior_version(Some(behavior())))
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(READ_LIMIT)
        .max_attempts(ATTEMPTS);
    match endpoint {
        // One that is no URI finds nothing, and says so when it is asked.
        Some(endpoint) => builder.clone().endpoint(endpoint).unwrap_or(builder).build(),
        None => builder.build(),
    }
}

async fn get(client: &Client, path: &str) -> Result<String, ImdsError> {
    Ok(client.get(format!("{ROOT}{path}")).await?.into())
}

fn told(answered: Result<String, ImdsError>) -> Result<Option<String>, MetadataError> {
    let error = match answered {
        Ok(value) => return Ok(Some(value)),
        Err(error) => error,
    };
    match &error {
        ImdsError::ErrorResponse(answer) => match answer.response().status().as_u16() {
            NOT_FOUND => Ok(None),
            status => Err(MetadataError::Unavailable(format!("it answers with HTTP status {status}"))),
        },
        // Nothing took the connection, or what did is no metadata service.
        ImdsError::FailedToLoadToken(_) => Err(MetadataError::Absent(crate::failure::innermost(&error))),
        _ => Err(MetadataError::Unavailable(crate::failure::innermost(&error))),
    }
}
