//! What the engine's refusals mean to us, and what to do about them.

use bollard::errors::Error;
use maelstrom_core::{names::InstanceId, ports::engine::EngineError};

/// What a call was about, so that a 404 can be told apart: one code means a missing container, image or
/// network.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    Engine,
    Container(&'a InstanceId),
    Image(&'a str),
}

pub(super) fn translate(error: Error, host: &str, action: &str, subject: Subject<'_>) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            answered(status_code, &message, host, action, subject)
        }
        Error::DockerStreamError { error } => refused(action, &error),
        Error::SocketNotFoundError(_) => unavailable(host, "there is no such socket"),
        Error::UnsupportedURISchemeError { .. } => {
            unavailable(host, "DOCKER_HOST must begin with unix://, tcp:// or https://")
        }
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::APIVersionParseError {} => {
            refused(action, &format!("its answer was not understood: {error}"))
        }
        other => unavailable(host, &with_causes(&other)),
    }
}

fn answered(status: u16, message: &str, host: &str, action: &str, subject: Subject<'_>) -> EngineError {
    let lower = message.to_ascii_lowercase();
    // Docker answers while its own containerd is away or while it shuts down.
    if status == 503 || lower.contains("containerd.sock") || lower.contains("shutting down") {
        return unavailable(host, message);
    }
    match subject {
        Subject::Container(id) if status == 404 && lower.contains("no such container") => {
            EngineError::NoSuchContainer { id: id.clone() }
        }
        Subject::Image(image) if status == 404 && lower.contains("no such image") => {
            EngineError::ImageMissing { image: image.to_owned(), reason: message.trim().to_owned() }
        }
        _ => refused(action, message),
    }
}

pub(super) fn refused(action: &str, reason: &str) -> EngineError {
    let reason = reason.trim();
    let reason = match advice(reason) {
        Some(advice) => format!("{reason} ({advice})"),
        None => reason.to_owned(),
    };
    EngineError::Refused { action: action.to_owned(), reason }
}

pub(super) fn unavailable(host: &str, reason: &str) -> EngineError {
    let advice = if reason.to_ascii_lowercase().contains("permission denied") {
        "the daemon's user must be root or in the group 'docker'"
    } else {
        "is dockerd running?"
    };
    EngineError::Unavailable { reason: format!("{host}: {} ({advice})", reason.trim()) }
}

/// Image could not be fetched: which of the usual reasons it looks like.
pub(super) fn not_pulled(image: &str, reason: &str) -> EngineError {
    let lower = reason.to_ascii_lowercase();
    let advice = if ["unauthorized", "authentication", "denied", "no basic auth"]
        .iter()
        .any(|sign| lower.contains(sign))
    {
        " (check the name, 'pullusername' and 'pullpassword')"
    } else if ["manifest unknown", "not found", "no such"].iter().any(|sign| lower.contains(sign)) {
        " (check the name and tag, or push the image first)"
    } else if ["no such host", "connection refused", "timeout", "dial tcp"]
        .iter()
        .any(|sign| lower.contains(sign))
    {
        " (the registry is not reached from this node)"
    } else {
        ""
    };
    EngineError::ImageMissing { image: image.to_owned(), reason: format!("{}{advice}", reason.trim()) }
}

/// Sign in the engine's message → what a person can do.
const ADVICE: &[(&str, &str)] = &[
    ("port is already allocated", "another container publishes this port: free it or change 'ports'"),
    ("address already in use", "a program on the node listens on this port: free it or change 'ports'"),
    ("executable file not found", "the image has no such program: check 'command' and 'entrypoint'"),
    ("no such file or directory: unknown", "the image has no such program: check 'command' and 'entrypoint'"),
    ("exec format error", "the image is built for another kind of processor"),
    ("bind source path does not exist", "make it on this node or correct 'volumes'"),
    ("no space left on device", "free disk space on the node; MAEL_DOCKER_PRUNE_MINUTES does it regularly"),
    ("unable to find user", "the image has no such user: check 'user'"),
    ("is already in use by container", "remove the other container or let the daemon pick another name"),
    ("logging plugin", "check 'logdriver' and 'logdriveroptions'"),
    ("log driver", "check 'logdriver' and 'logdriveroptions'"),
    ("invalid capability", "check 'capadd' and 'capdrop'"),
    ("unknown capability", "check 'capadd' and 'capdrop'"),
    ("minimum memory limit", "raise 'limitmemory'"),
];

fn advice(message: &str) -> Option<&'static str> {
    let lower = message.to_ascii_lowercase();
    if lower.contains("network") && lower.contains("not found") {
        return Some("make it with 'docker network create' or correct 'networkname'");
    }
    ADVICE.iter().find(|(sign, _)| lower.contains(sign)).map(|(_, advice)| *advice)
}

/// The client's own texts end where it gets interesting.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16, message: &str, subject: Subject<'_>) -> EngineError {
        let error = Error::DockerResponseServerError { status_code, message: message.into() };
        translate(error, "unix:///x", "starting", subject)
    }

    #[test]
    fn one_code_is_told_apart_by_what_is_missing() {
        let id = InstanceId::new("abc");
        let subject = Subject::Container(&id);
        assert_eq!(
            answer(404, "No such container: abc", subject),
            EngineError::NoSuchContainer { id: id.clone() }
        );
        assert!(matches!(
            answer(404, "No such image: shop:1", Subject::Image("shop:1")),
            EngineError::ImageMissing { image, .. } if image == "shop:1"
        ));
        let network = answer(404, "network shop not found", subject);
        assert!(matches!(network, EngineError::Refused { .. }));
        assert!(network.to_string().contains("docker network create"), "{network}");
    }

    #[test]
    fn a_port_in_use_says_what_to_do() {
        let message = "driver failed programming external connectivity on endpoint x: Bind for \
                       0.0.0.0:80 failed: port is already allocated";
        let error = answer(500, message, Subject::Engine).to_string();
        assert!(error.contains("free it or change 'ports'"), "{error}");
    }

    #[test]
    fn an_engine_that_shuts_down_is_away_not_refusing() {
        for (status, message) in [(503, "x"), (500, "dial unix /run/containerd/containerd.sock: gone")] {
            let error = answer(status, message, Subject::Engine);
            assert!(matches!(error, EngineError::Unavailable { .. }), "{error:?}");
        }
    }

    #[test]
    fn a_pull_without_rights_points_to_the_credentials() {
        let error = not_pulled("r/x:1", "Head http://r/v2/x: no basic auth credentials").to_string();
        assert!(error.contains("pullusername"), "{error}");
    }
}
