//! Text or TOML → a checked value of a setting's kind; says what is allowed when it isn't one.

use std::net::IpAddr;

use figment::value::Value;

use crate::{
    access::{LEAST, MOST, Secret},
    daemon::identity::is_node_id,
};

use super::table::{Kind, Setting};

/// Reads `text` as a value of `setting`. `Ok(None)`: empty, which stands for unset.
pub(super) fn parse(setting: &Setting, text: &str) -> Result<Option<Value>, String> {
    let text = text.trim();
    if text.is_empty() {
        return match setting.kind {
            Kind::Text | Kind::NodeId | Kind::Url | Kind::Secrets => Ok(None),
            _ => Err(allowed(setting)),
        };
    }
    let fits = match setting.kind {
        Kind::Text => true,
        Kind::NodeId => is_node_id(text),
        Kind::Address => text.parse::<IpAddr>().is_ok(),
        Kind::Store => ["sqlite:", "dynamodb:"]
            .iter()
            .any(|kind| text.strip_prefix(kind).is_some_and(|rest| !rest.is_empty())),
        Kind::Url => is_url(text),
        Kind::Secrets => Secret::list(text).is_some_and(|list| !list.is_empty()),
        Kind::Port => text.parse::<u16>().is_ok(),
        Kind::Number { least, most } => {
            text.parse::<u64>().is_ok_and(|number| (least..=most).contains(&number))
        }
        Kind::Switch => switch(text).is_some(),
        Kind::LogLevel => is_log_level(text),
        Kind::Choice(words) => words.contains(&text),
    };
    if !fits {
        return Err(allowed(setting));
    }
    Ok(Some(match setting.kind {
        Kind::Port | Kind::Number { .. } => Value::from(text.parse::<u64>().unwrap_or_default()),
        Kind::Switch => Value::from(switch(text).unwrap_or_default()),
        _ => Value::from(text),
    }))
}

/// What a value of this setting may be, for people.
pub(super) fn allowed(setting: &Setting) -> String {
    match setting.kind {
        Kind::Text => "a text".into(),
        Kind::NodeId => "up to 64 of a-z, A-Z, 0-9, '-', '_', '.' are allowed".into(),
        Kind::Address => "an IP address like 0.0.0.0, 127.0.0.1 or :: is allowed".into(),
        Kind::Store => "sqlite:PATH or dynamodb:TABLE is allowed".into(),
        Kind::Url => "a URL like http://10.0.0.1:8374 is allowed".into(),
        Kind::Secrets => format!(
            "a comma-separated list of texts of {LEAST} to {MOST} letters, digits and marks is allowed; \
             `openssl rand -hex 32` makes one"
        ),
        Kind::Port => "a port from 0 to 65535 is allowed".into(),
        Kind::Number { least, most } => format!("a whole number from {least} to {most} is allowed"),
        Kind::Switch => "true or false is allowed".into(),
        Kind::LogLevel => {
            "error, warn, info, debug or trace, or a list like info,maelstromd::gateway=debug is allowed"
                .into()
        }
        Kind::Choice(words) => format!("{} is allowed", words.join(" or ")),
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("http")
            && uri
                .authority()
                .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
            && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
    })
}

/// Stricter than the filter that uses it, which takes an unknown word for a module's name.
fn is_log_level(text: &str) -> bool {
    let level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    tracing_subscriber::EnvFilter::try_new(text).is_ok()
        && text.split(',').all(|part| level(part.rsplit('=').next().unwrap_or_default().trim()))
}
