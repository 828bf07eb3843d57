//! Arguments in, exit code out; everything else is the library's.
//!
//! Exit codes: 0 stopped as asked · 1 could not start or run, the log says why · 2 wrong arguments or
//! configuration.

use std::{io::Write as _, process::ExitCode};

use maelstromd::{
    args::{self, Action},
    config, telemetry,
};

const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os(), environment()) {
        Ok(args) => args,
        Err(error) => {
            // Nothing is left to tell the error to when this fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    let loaded = match config::load(&args.sources) {
        Ok(loaded) => loaded,
        Err(bad) => {
            let _ = writeln!(std::io::stderr(), "maelstromd: the configuration can't be used:\n{bad}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if args.action == Action::PrintConfig {
        let _ = write!(std::io::stdout(), "{}", config::describe(&loaded.effective));
        for warning in &loaded.warnings {
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        }
        return ExitCode::SUCCESS;
    }
    telemetry::start(&loaded.settings);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    ExitCode::SUCCESS
}

/// Variables that are not Unicode can't be settings.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
