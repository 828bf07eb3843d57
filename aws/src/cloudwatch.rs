//! Numbers for CloudWatch.
//!
//! One small request a minute is not worth a client library of its own, which brings a second HTTP stack for
//! compressing bodies: it is written in AWS's query protocol, and everything around it – credentials,
//! signature, time-outs, retries, connections – is the SDK's as for all other services.

mod query;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use aws_config::SdkConfig;
use aws_runtime::{
    auth::{SigV4OperationSigningConfig, sigv4},
    retries::classifiers::AwsErrorCodeClassifier,
};
use aws_smithy_runtime::client::{
    orchestrator::operation::Operation, retries::classifiers::TransientErrorClassifier,
};
use aws_smithy_runtime_api::client::{
    auth::{
        AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
        static_resolver::StaticAuthSchemeOptionResolver,
    },
    result::SdkError,
    runtime_components::RuntimeComponentsBuilder,
    runtime_plugin::StaticRuntimePlugin,
};
use aws_smithy_types::config_bag::Layer;
use aws_types::{SigningName, region::SigningRegion, service_config::ServiceConfigKey};
use maelstrom_core::ports::{
    BoxFuture,
    monitoring::{Monitoring, MonitoringError, MonitoringResult, Sample},
};
use query::Refused;
use tokio::sync::OnceCell;

use crate::{
    account::{Account, FoundAccount},
    failure::{Service, Trouble},
};

const SERVICE: Service = Service { name: "CloudWatch", variable: "AWS_ENDPOINT_URL_CLOUDWATCH" };
/// What signatures and endpoints call the service.
const SIGNED_AS: &str = "monitoring";

type PutMetricData = Operation<String, (), Refused>;

/// See the module.
pub struct CloudWatch {
    account: FoundAccount,
    operation: OnceCell<PutMetricData>,
}

// === impl CloudWatch ===

impl CloudWatch {
    pub fn new(account: FoundAccount) -> Self {
        Self { account, operation: OnceCell::new() }
    }

    async fn send(&self, group: &str, samples: &[Sample]) -> MonitoringResult {
        let make = async || Ok::<_, String>(operation(self.account.get().await?));
        let found = self.operation.get_or_try_init(make).await;
        let operation = found.map_err(|reason| MonitoringError::Unavailable { reason })?;
        operation.invoke(query::body(group, samples)).await.map_err(|error| told(&error))
    }
}

impl Monitoring for CloudWatch {
    fn put(&self, group: String, samples: Vec<Sample>) -> BoxFuture<'_, MonitoringResult> {
        Box::pin(async move { self.send(&group, &samples).await })
    }
}

fn operation(account: &Account) -> PutMetricData {
    let config = account.config();
    let mut builder = Operation::builder()
        .service_name(SERVICE.name)
        .operation_name("PutMetricData")
        .behavior_version(crate::account::behavior())
        .endpoint_url(&endpoint(config, account.region()))
        .retry_classifier(TransientErrorClassifier::<Refused>::new())
        .retry_classifier(AwsErrorCodeClassifier::<Refused>::new())
        .runtime_plugin(signing(config, account.region()));
    if let Some(client) = config.http_client() {
        builder = builder.http_client(client);
    }
    if let Some(timeouts) = config.timeout_config() {
        builder = builder.timeout_config(timeouts.clone());
    }
    if let Some(retries) = config.retry_config() {
        builder = builder.standard_retry(retries);
    }
    builder.serializer(query::request).deserializer(query::answer).build()
}

/// As the environment or a profile has it, for this service or for all; else the region's own.
fn endpoint(config: &SdkConfig, region: &str) -> String {
    let key =
        ServiceConfigKey::builder().service_id(SERVICE.name).env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let own = key.build().ok().and_then(|key| config.service_config()?.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned)).unwrap_or_else(|| {
        let host = if config.use_fips() == Some(true) { "monitoring-fips" } else { SIGNED_AS };
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://{host}.{region}.{domain}")
    })
}

fn signing(config: &SdkConfig, region: &str) -> StaticRuntimePlugin {
    let region = aws_config::Region::new(Cow::Owned(region.to_owned()));
    let mut layer = Layer::new("signing");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(region)),
        name: Some(SigningName::from_static(SIGNED_AS)),
        ..SigV4OperationSigningConfig::default()
    });
    let schemes = StaticAuthSchemeOptionResolver::new(vec![sigv4::SCHEME_ID]);
    let mut components = RuntimeComponentsBuilder::new("signing")
        .with_auth_scheme(SharedAuthScheme::new(sigv4::SigV4AuthScheme::new()))
        .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(schemes)))
        .with_identity_cache(config.identity_cache());
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(sigv4::SCHEME_ID, credentials);
    }
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

fn told(error: &SdkError<Refused, query::Response>) -> MonitoringError {
    match SERVICE.trouble(error) {
        Trouble::Denied(reason) => MonitoringError::Denied { reason },
        Trouble::Throttled(reason) => MonitoringError::Throttled { reason },
        Trouble::Unavailable(reason) => MonitoringError::Unavailable { reason },
        Trouble::Refused { reason, .. } => MonitoringError::Refused { reason },
    }
}
