//! What can go wrong with a DynamoDB table, in words that say what to do.

use std::{
    error::Error,
    sync::{Arc, OnceLock},
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, http::HttpResponse,
        interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::{BoxError, ProvideErrorMetadata, SdkError},
};
use maelstrom_core::ports::store::StoreError;

use crate::failure::{CREDENTIALS, innermost, is_about_credentials};

/// Which table this is about, for messages.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) table: String,
    pub(super) region: String,
    pub(super) endpoint: Endpoint,
}

/// Where requests go: known once the first one is under way, since the SDK decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint(Arc<OnceLock<String>>);

const THROTTLED: [&str; 4] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "LimitExceededException",
];

// === impl Endpoint ===

impl Intercept for Endpoint {
    fn name(&self) -> &'static str {
        "endpoint"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.get_or_init(|| context.request().uri().trim_end_matches('/').to_owned());
        Ok(())
    }
}

// === impl Place ===

impl Place {
    /// Table and region, as sentences about them begin.
    pub(super) fn name(&self) -> String {
        format!("DynamoDB table '{}' in {}", self.table, self.region)
    }

    fn endpoint(&self) -> String {
        self.endpoint.0.get().cloned().unwrap_or_else(|| format!("its endpoint in {}", self.region))
    }

    pub(super) fn broken(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Broken { reason: format!("{} {what}", self.name()) }
    }

    pub(super) fn unavailable(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable { reason: format!("{} {what}", self.name()) }
    }

    /// `action` is DynamoDB's name of the request, as policies have it.
    pub(super) fn tell<E>(&self, action: &str, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let unavailable = |reason| StoreError::Unavailable { reason };
        match error {
            SdkError::ServiceError(refused) if refused.err().code().is_some() => {
                self.refused(action, refused.err())
            }
            SdkError::TimeoutError(_) => unavailable(format!(
                "no answer from DynamoDB at {} in time ({action} on table '{}'); look at the network between, \
                 and at the health of AWS in {}",
                self.endpoint(),
                self.table,
                self.region
            )),
            SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
                unavailable(format!(
                    "DynamoDB can't be reached at {}: {}; look at routes, security groups, VPC endpoints and \
                     AWS_ENDPOINT_URL_DYNAMODB if that is set",
                    self.endpoint(),
                    innermost(error)
                ))
            }
            SdkError::DispatchFailure(_) if is_about_credentials(error) => unavailable(format!(
                "no AWS credentials can be had: {}; give the instance a role, or set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY or AWS_PROFILE",
                innermost(error)
            )),
            SdkError::ServiceError(answered) => unavailable(format!(
                "what answers at {} is not DynamoDB, or is ill: {action} on table '{}' ended with HTTP status {}; \
                 look at AWS_ENDPOINT_URL_DYNAMODB and proxies between",
                self.endpoint(),
                self.table,
                answered.raw().status().as_u16()
            )),
            _ => unavailable(format!(
                "{action} on table '{}' could not be asked of DynamoDB at {}: {}",
                self.table,
                self.endpoint(),
                innermost(error)
            )),
        }
    }

    fn refused<E: ProvideErrorMetadata>(&self, action: &str, error: &E) -> StoreError {
        let code = error.code().unwrap_or("no code");
        let message = error.message().unwrap_or("no message");
        if code == "ResourceNotFoundException" {
            return self.broken(format_args!(
                "does not exist; make it with `maelctl store init dynamodb:{}`, or correct table, region \
                 or account",
                self.table
            ));
        }
        if code == "AccessDeniedException" {
            return self.broken(format_args!(
                "may not be used: allow dynamodb:{action} on it in the policy of the instance's role or user \
                 (AWS says: {message})"
            ));
        }
        if CREDENTIALS.contains(&code) {
            return StoreError::Unavailable {
                reason: format!(
                    "AWS does not accept the credentials: {message} ({code}, {action} on table '{}'); renew \
                     them, and see that the clock is right",
                    self.table
                ),
            };
        }
        if THROTTLED.contains(&code) {
            return self.unavailable(format_args!(
                "is throttled ({code} on {action}: {message}); it passes by itself, unless the table has \
                 provisioned capacity or a limit: set it to on-demand"
            ));
        }
        if code == "ValidationException" {
            return self.broken(format_args!("does not take what was sent ({action}): {message}"));
        }
        self.unavailable(format_args!("failed to do {action}: {message} ({code})"))
    }
}
