//! How AWS is reached: region and credentials as every AWS tool finds them (variables, profiles, the
//! instance's role), and how long a request may take.
//!
//! Every request ends: an attempt that hangs is given up and made again on a fresh connection, and all
//! attempts together fit in the limit that callers of a port count with.

use std::{sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use maelstrom_core::ports::store::{StoreError, StoreResult};
use tokio::sync::OnceCell;

/// Outside of EC2 the address of the instance metadata service may swallow packets.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);
/// In a region this takes milliseconds; a lost first packet is sent again by the kernel after 1 s.
const CONNECT_LIMIT: Duration = Duration::from_millis(1_500);
/// The slowest answers that DynamoDB gives in practice take some hundred milliseconds.
const ATTEMPT_LIMIT: Duration = Duration::from_millis(1_500);
/// Two attempts that hang, and time for a third. Less than [`crate::dynamo::CALL_LIMIT`], so that the
/// request's own error comes first.
const REQUEST_LIMIT: Duration = Duration::from_secs(4);
/// Throttling passes in moments; quick failures are worth some more tries than slow ones have time for.
const ATTEMPTS: u32 = 6;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(1);

/// Other places to reach AWS at, where they are set.
const ENDPOINTS: [&str; 6] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_AUTO_SCALING",
    "AWS_ENDPOINT_URL_CLOUDWATCH",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SFN",
    "AWS_ENDPOINT_URL_SQS",
];

/// Where and as whom AWS is used.
#[derive(Clone, Debug)]
pub struct Account {
    config: SdkConfig,
    region: String,
}

/// The account, looked for with the first request, so that a node that needs no AWS needs no region. What
/// was not found is looked for again with the next one. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FoundAccount(Arc<OnceCell<Account>>);

// === impl Account ===

impl Account {
    /// From the environment, as every AWS tool has it. Credentials are looked for with the first request;
    /// on EC2 region and credentials come from the instance itself.
    pub async fn from_environment() -> StoreResult<Self> {
        for name in ENDPOINTS {
            if let Ok(url) = std::env::var(name) {
                check_endpoint(name, &url)?;
            }
        }
        let loaded = tokio::time::timeout(LOOKUP_LIMIT, aws_config::defaults(behavior()).load()).await;
        Self::with(loaded.map_err(|_| StoreError::Unavailable {
            reason: format!(
                "the AWS region could not be found out within {} s; set AWS_REGION",
                LOOKUP_LIMIT.as_secs()
            ),
        })?)
    }

    /// From a configuration made elsewhere; time-outs and retries are set here.
    pub(crate) fn with(config: SdkConfig) -> StoreResult<Self> {
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(StoreError::Broken {
                reason:
                    "no AWS region is known; set AWS_REGION, or `region` in the profile of ~/.aws/config \
                         (on EC2 the instance metadata service tells it, if it may be asked)"
                        .into(),
            });
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_attempt_timeout(ATTEMPT_LIMIT)
            .operation_timeout(REQUEST_LIMIT)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(LAST_BACKOFF);
        let config = config.into_builder().timeout_config(timeouts).retry_config(retries).build();
        Ok(Self { config, region })
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }
}

// === impl FoundAccount ===

impl FoundAccount {
    /// Why there is none is told in words.
    pub(crate) async fn get(&self) -> Result<&Account, String> {
        self.0.get_or_try_init(Account::from_environment).await.map_err(|error| error.to_string())
    }
}

impl From<Account> for FoundAccount {
    fn from(account: Account) -> Self {
        Self(Arc::new(OnceCell::new_with(Some(account))))
    }
}

/// The SDK panics at an empty one, and takes one without a scheme for a problem of its own.
fn check_endpoint(name: &str, url: &str) -> StoreResult<()> {
    if ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme) && url.len() > scheme.len()) {
        return Ok(());
    }
    Err(StoreError::Broken { reason: format!("{name} is '{url}', which is no URL; correct or unset it") })
}

/// Pinned, so that an update of the SDK changes no defaults behind our back.
pub(crate) fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_no_url_is_told_by_its_variable() {
        for url in ["", "127.0.0.1:8000", "htp://x", "http://"] {
            let error = check_endpoint("AWS_ENDPOINT_URL", url).unwrap_err().to_string();
            assert!(error.contains("AWS_ENDPOINT_URL is '"), "{error}");
        }
        check_endpoint("AWS_ENDPOINT_URL", "http://127.0.0.1:8000").unwrap();
    }
}
