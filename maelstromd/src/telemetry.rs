//! Where log lines go: standard error, as text for people or one JSON object a line. The engine's client writes
//! whole requests at its finer levels, with environments and passwords: those are left out whatever is asked for.

use tracing::Level;
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::config::{LogFormat, Settings};

/// Of Docker.
const ENGINE_CLIENT: &str = "bollard";

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(settings: &Settings) {
    let discreet = filter_fn(|metadata| !tells_secrets(metadata.target(), *metadata.level()));
    let registry = tracing_subscriber::registry().with(filter(&settings.log_level)).with(discreet);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(lines.with_ansi(colour && std::env::var_os("NO_COLOR").is_none())).try_init()
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging runs already");
    }
}

/// The table checks levels, so that what can't be read here was refused before.
fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Whether a module writes secrets at a level.
fn tells_secrets(target: &str, level: Level) -> bool {
    let module = target.split("::").next().unwrap_or_default();
    module == ENGINE_CLIENT && level > Level::INFO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_client_is_never_heard_in_detail() {
        for (target, level, secret) in [
            (ENGINE_CLIENT.to_owned(), Level::TRACE, true),
            (format!("{ENGINE_CLIENT}::docker"), Level::DEBUG, true),
            (format!("{ENGINE_CLIENT}::docker"), Level::WARN, false),
            ("maelstromd::docker".to_owned(), Level::DEBUG, false),
        ] {
            assert_eq!(tells_secrets(&target, level), secret, "{target} {level}");
        }
    }
}
