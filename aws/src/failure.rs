//! What can go wrong with a request to AWS, whatever the service: one table of codes, one of ways to fail.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

/// AWS says this without a code when the resource is fine and the credentials aren't.
pub(crate) const CREDENTIALS: [&str; 6] = [
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "MissingAuthenticationTokenException",
    "ExpiredTokenException",
    "InvalidClientTokenId",
];
const DENIED: [&str; 4] =
    ["AccessDenied", "AccessDeniedException", "KmsAccessDenied", "KmsAccessDeniedException"];
const THROTTLED: [&str; 9] = [
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "OverLimit",
    "KmsThrottled",
    "KmsThrottlingException",
    "ActivityWorkerLimitExceeded",
];

/// A service, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// What moves its endpoint.
    pub(crate) variable: &'static str,
}

/// What kind of thing is wrong, with words about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Denied(String),
    Throttled(String),
    /// May pass by itself.
    Unavailable(String),
    /// A code of the service itself: for the caller to know.
    Refused {
        code: String,
        reason: String,
    },
}

// === impl Service ===

impl Service {
    pub(crate) fn trouble<E>(self, error: &SdkError<E, HttpResponse>) -> Trouble
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Self { name, variable } = self;
        match error {
            SdkError::ServiceError(answered) => match answered.err().code() {
                Some(code) => refused(code, answered.err().message().unwrap_or("no message")),
                None => Trouble::Unavailable(format!(
                    "what answers is not {name}, or is ill: HTTP status {}; look at {variable} and proxies between",
                    answered.raw().status().as_u16()
                )),
            },
            SdkError::TimeoutError(_) => Trouble::Unavailable(format!(
                "no answer from {name} in time; look at the network between, at {variable} if that is set, and at the \
                 health of AWS"
            )),
            SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
                Trouble::Unavailable(format!(
                    "{}; look at routes, security groups, VPC endpoints and {variable} if that is set",
                    innermost(error)
                ))
            }
            SdkError::DispatchFailure(_) if is_about_credentials(error) => Trouble::Unavailable(format!(
                "no AWS credentials can be had: {}; give the instance a role, or set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY or AWS_PROFILE",
                innermost(error)
            )),
            _ => Trouble::Unavailable(innermost(error)),
        }
    }
}

fn refused(code: &str, message: &str) -> Trouble {
    let reason = format!("{message} ({code})");
    if DENIED.contains(&code) {
        return Trouble::Denied(message.to_owned());
    }
    if THROTTLED.contains(&code) {
        return Trouble::Throttled(reason);
    }
    if CREDENTIALS.contains(&code) {
        return Trouble::Unavailable(format!(
            "AWS does not accept the credentials: {reason}; renew them, and see that the clock is right"
        ));
    }
    if ["InternalError", "InternalFailure", "ServiceUnavailable"].contains(&code) {
        return Trouble::Unavailable(reason);
    }
    Trouble::Refused { code: code.to_owned(), reason }
}

pub(crate) fn is_about_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The first cause: what wraps it only says that something was wrong.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        let kind = |code: &str| match refused(code, "why") {
            Trouble::Denied(_) => "denied",
            Trouble::Throttled(_) => "throttled",
            Trouble::Unavailable(_) => "unavailable",
            Trouble::Refused { .. } => "refused",
        };
        for (code, expected) in [
            ("AccessDenied", "denied"),
            ("KmsAccessDenied", "denied"),
            ("RequestThrottled", "throttled"),
            ("OverLimit", "throttled"),
            ("ExpiredTokenException", "unavailable"),
            ("InternalError", "unavailable"),
            ("InvalidParameterValue", "refused"),
        ] {
            assert_eq!(kind(code), expected, "{code}");
        }
    }
}
