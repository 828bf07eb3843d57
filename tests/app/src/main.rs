//! The service inside the containers of tests, benches and the demo.
//!
//! One static binary, an image `FROM scratch`, ready some 2 ms after its exec. It
//! behaves by default and misbehaves on request: how it starts and stops comes
//! from the environment ([`settings`]), how it answers from the path of a request
//! ([`routes`]). It keeps no state beyond its own memory and knows nothing of
//! Maelstrom but `MAELSTROM_PRIVATE_URL`.
//!
//! `mael-app` serves; `mael-app mark TEXT` writes TEXT where `GET /mark` of the
//! same container finds it, so that commands run inside a container can be seen.

mod bodies;
mod calls;
mod inflight;
mod query;
mod routes;
mod server;
mod settings;
mod state;
mod work;

use std::io;
use std::process::ExitCode;

use settings::Settings;

/// Where `mael-app mark` leaves its text.
const MARK_FILE: &str = "/tmp/mark";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("mark") => std::fs::write(MARK_FILE, arguments[1..].join(" ")),
        // Anything else is for `/process` to show: a command given to a container.
        _ => return serve(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            state::log_error(&format!("could not write {MARK_FILE}: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve() -> ExitCode {
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(message) => {
            state::log_error(&message);
            return ExitCode::from(2);
        }
    };
    if let Some(exit) = settings.exit {
        std::thread::sleep(exit.after);
        state::log_error(&format!("exiting with {} as APP_EXIT asks", exit.code));
        return ExitCode::from(exit.code);
    }
    match runtime(settings.threads).and_then(|runtime| runtime.block_on(server::run(settings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            state::log_error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// One thread starts fastest and is all that a test needs; a bench asks for more.
fn runtime(threads: usize) -> io::Result<tokio::runtime::Runtime> {
    match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build(),
    }
}
