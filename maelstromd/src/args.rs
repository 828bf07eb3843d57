//! The command line: `maelstromd`, `maelstromd config`, and a flag for each setting, made from the table.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

use crate::config::{Kind, SETTINGS, Setting, Sources};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Args {
    pub action: Action,
    pub sources: Sources,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Be the daemon.
    Run,
    /// Print the effective configuration and leave.
    PrintConfig,
}

/// Reads the command line; `--help`, `--version` and mistakes come back as clap's error, which prints
/// itself and knows its exit code.
pub fn parse(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    environment: Vec<(String, String)>,
) -> Result<Args, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let flags: Vec<(String, String)> = flagged()
        .filter_map(|setting| Some((setting.key.to_owned(), matches.get_one::<String>(setting.key)?.clone())))
        .collect();
    let action = match matches.subcommand() {
        Some(("config", _)) => Action::PrintConfig,
        _ => Action::Run,
    };
    Ok(Args {
        action,
        sources: Sources {
            toml: matches.get_one::<PathBuf>("config-file").cloned(),
            env_file: matches.get_one::<PathBuf>("env-file").cloned(),
            environment,
            flags,
        },
    })
}

/// Those that may be given as flags.
fn flagged() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.kind != Kind::Secrets)
}

fn command() -> Command {
    let file = |id: &'static str| {
        Arg::new(id)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .action(ArgAction::Set)
            .global(true)
    };
    let mut command = Command::new("maelstromd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Routes HTTP requests to containers, starts them on demand and scales them.")
        .after_help(
            "Each setting is also a variable; `maelstromd config` prints all with where they came from.",
        )
        .arg(file("config-file").long("config").help("settings as TOML"))
        .arg(file("env-file").short('f').long("env-file").help("settings as NAME=value lines"))
        .subcommand(
            Command::new("config").about("Print the effective configuration and where each value came from"),
        );
    for setting in flagged() {
        let default = setting.default.map_or_else(String::new, |default| format!(" [default: {default}]"));
        command = command.arg(
            Arg::new(setting.key)
                .long(setting.flag())
                .value_name("VALUE")
                .action(ArgAction::Set)
                .allow_hyphen_values(true)
                .global(true)
                .hide(setting.not_built.is_some())
                .help(format!("{}{default} [variable: {}]", setting.help, setting.name)),
        );
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Args, clap::Error> {
        let all = std::iter::once("maelstromd").chain(arguments.iter().copied());
        parse(all.map(std::ffi::OsString::from), Vec::new())
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_are_read_before_and_after_the_subcommand() {
        for arguments in [["--public-port", "0", "config"], ["config", "--public-port", "0"]] {
            let args = parsed(&arguments).unwrap();
            assert_eq!(args.action, Action::PrintConfig);
            assert_eq!(args.sources.flags, [("public_port".to_owned(), "0".to_owned())]);
        }
    }

    #[test]
    fn what_nobody_may_see_is_no_argument() {
        assert_eq!(parsed(&["--api-token", "0123456789abcdef"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_mistake_has_exit_code_2() {
        assert_eq!(parsed(&["--public-prot", "0"]).unwrap_err().exit_code(), 2);
        assert_eq!(parsed(&["--version"]).unwrap_err().exit_code(), 0);
    }
}
