//! How the service starts, gets ready and stops: read once from the environment.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `PORT` | port to listen on (8080) |
//! | `APP_VERSION` | what `/` and the header `x-app-version` say (0) |
//! | `APP_LISTEN_AFTER_MS` | refuse connections for so long |
//! | `APP_READY_AFTER_MS` | answer `/` and `/health` with 503 for so long |
//! | `APP_HEALTH=fail` | answer them with 503 for good |
//! | `APP_EXIT=code` | never serve: exit with the code, after `APP_EXIT_AFTER_MS` |
//! | `APP_IGNORE_TERM=1` | go on serving when asked to stop |
//! | `APP_THREADS` | worker threads (1) |
//! | `APP_LEDGER` | file to which `/work` adds a line for each message that is done; instances may share it |

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub(crate) struct Settings {
    pub(crate) port: u16,
    pub(crate) version: String,
    pub(crate) listen_after: Duration,
    pub(crate) ready_after: Duration,
    pub(crate) healthy: bool,
    pub(crate) exit: Option<Exit>,
    pub(crate) ignore_term: bool,
    pub(crate) threads: usize,
    pub(crate) ledger: Option<PathBuf>,
}

/// An instance that ends by itself.
#[derive(Clone, Copy)]
pub(crate) struct Exit {
    pub(crate) code: u8,
    pub(crate) after: Duration,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Self, String> {
        let exit_after = milliseconds("APP_EXIT_AFTER_MS")?;
        let exit = number::<u8>("APP_EXIT")?.map(|code| Exit { code, after: exit_after });
        Ok(Self {
            port: number("PORT")?.unwrap_or(8080),
            version: env::var("APP_VERSION").unwrap_or_else(|_| "0".into()),
            listen_after: milliseconds("APP_LISTEN_AFTER_MS")?,
            ready_after: milliseconds("APP_READY_AFTER_MS")?,
            healthy: env::var("APP_HEALTH").as_deref() != Ok("fail"),
            exit,
            ignore_term: env::var("APP_IGNORE_TERM").as_deref() == Ok("1"),
            threads: number("APP_THREADS")?.unwrap_or(1),
            ledger: env::var_os("APP_LEDGER").map(PathBuf::from),
        })
    }
}

fn milliseconds(name: &str) -> Result<Duration, String> {
    Ok(Duration::from_millis(number(name)?.unwrap_or(0)))
}

fn number<T: FromStr>(name: &str) -> Result<Option<T>, String> {
    match env::var(name) {
        Ok(text) => text.parse().map(Some).map_err(|_| format!("{name}={text:?} is not a number that fits")),
        Err(_) => Ok(None),
    }
}
