//! Arguments in, exit code out; everything else is the library's.
//!
//! Exit codes: 0 stopped as asked · 1 could not start or run, the log says why · 2 wrong arguments or
//! configuration · 3 the cloud takes the machine away: nothing should start it again.

use std::{io::Write as _, process::ExitCode, time::Duration};

use maelstromd::{
    args::{self, Action},
    config::{self, Settings},
    daemon::{self, Daemon, End},
    telemetry,
};

const EXIT_USAGE: u8 = 2;
/// The systemd unit knows it, too.
const EXIT_TERMINATED: u8 = 3;
/// For threads in the middle of a write when everything else has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    serve(loaded.settings)
}

/// The daemon's life, and that of the next one where it restarts in place.
fn serve(settings: Settings) -> ExitCode {
    // Asked for at the beginning: after an upgrade the path leads to the new program.
    let program = std::env::current_exe();
    daemon::raise_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the system gives no threads");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match Daemon::start(settings).await {
            Ok(daemon) => Ok(daemon.run().await),
            Err(error) => Err(error),
        }
    });
    // Threads that still write are waited for: the store's last word is on the disk.
    runtime.shutdown_timeout(LAST_WORDS);
    match (ended, program) {
        (Err(error), _) => {
            tracing::error!("can't start: {error}");
            ExitCode::FAILURE
        }
        (Ok(ended), Ok(program)) if ended.end == End::Restarted => {
            let error = ended.restart(&program);
            tracing::error!(%error, program = %program.display(), "can't restart in place");
            ExitCode::FAILURE
        }
        (Ok(ended), _) if ended.end == End::Terminated => ExitCode::from(EXIT_TERMINATED),
        (Ok(_), _) => ExitCode::SUCCESS,
    }
}

/// Variables that are not Unicode can't be settings.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
