//! The Maelstrom command line: arguments in, an exit code out.
//!
//! [`cli`] has the arguments as typed, [`settings`] what they mean, [`token`] who asks, [`client`] talks to the daemon,
//! [`commands`] has one module a noun, [`output`] is the only one that prints, and [`failure`] knows the
//! exit codes. Ctrl-C is left to the system: it ends the program at once, also at a question; what the
//! daemon was told to do, it does.

mod cli;
mod client;
mod commands;
mod differences;
mod failure;
mod output;
mod settings;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::Cli,
    failure::{Exit, Failure},
    output::Output,
    settings::Settings,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::resolve(&cli.global) {
        Ok(settings) => settings,
        Err(failure) => {
            let fallback = cli.global.output;
            return end(&Output::plain(fallback), &failure);
        }
    };
    let output = Output::new(&settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli.command, &settings, &output)),
        Err(error) => Err(Failure::new(Exit::Failed, format!("cannot start: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&output, &failure),
    }
}

fn end(output: &Output, failure: &Failure) -> ExitCode {
    output.failure(failure);
    failure.exit.into()
}
