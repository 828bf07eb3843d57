//! Where log lines go: standard error, as text for people or one JSON object a line.

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, Settings};

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(settings: &Settings) {
    let builder = fmt().with_env_filter(filter(&settings.log_level)).with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(colour && std::env::var_os("NO_COLOR").is_none()).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging runs already");
    }
}

/// The table checks levels, so that what can't be read here was refused before.
fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}
