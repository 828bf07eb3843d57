//! What to measure and for how long.
//!
//! | variable | default | meaning |
//! | --- | --- | --- |
//! | `PART` | all | comma list of parts |
//! | `ROUNDS` | 12 (20 for cold and standby; in a cluster 50 and 5; 4 for queues) | interleaved rounds |
//! | `STARTS` | 4 | times that all proxies of `warm` and `latency` are started anew, for an equal part of the rounds |
//! | `BENCH_SECONDS` | 2 | of load per subject and round |
//! | `CONNECTIONS` | `32,256` | of the warm path |
//! | `RATES` | `500,1000` | requests a second of the latency part |
//! | `WORKERS` | half of the processors | of each proxy, as maelstromd chooses by itself |
//! | `MAELSTROMD` | `target/release/maelstromd` | the program to measure; `none`: only what it would be measured against |
//! | `QUEUE_LOOP` | `target/release/examples/queue-loop` | what queues are measured against |

use std::env;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Warm,
    Latency,
    Memory,
    Cold,
    Standby,
    Cluster,
    Queues,
}

const PARTS: [(&str, Part); 7] = [
    ("warm", Part::Warm),
    ("latency", Part::Latency),
    ("memory", Part::Memory),
    ("cold", Part::Cold),
    ("standby", Part::Standby),
    ("cluster", Part::Cluster),
    ("queues", Part::Queues),
];

pub(crate) struct Options {
    parts: Vec<Part>,
    rounds: Option<usize>,
    pub(crate) starts: usize,
    pub(crate) load: Duration,
    pub(crate) connections: Vec<usize>,
    pub(crate) rates: Vec<u32>,
    pub(crate) workers: usize,
    /// The client's, whatever the proxies have.
    pub(crate) processors: usize,
    pub(crate) maelstromd: Option<PathBuf>,
    /// What queues are measured against.
    pub(crate) queue_loop: PathBuf,
    /// Configurations, stores and logs; emptied at the start, left for reading.
    pub(crate) scratch: PathBuf,
}

impl Options {
    pub(crate) fn from_environment() -> Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace folder")?;
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let maelstromd = value("MAELSTROMD")?.unwrap_or_else(|| workspace.join("target/release/maelstromd"));
        let maelstromd = (maelstromd != Path::new("none")).then_some(maelstromd);
        if let Some(program) = &maelstromd {
            ensure!(program.is_file(), "{} is missing: run 'make bench', which builds it", program.display());
        }
        let scratch = workspace.join(".run/bench");
        // Absent at the first run; anything else shows when it is made again.
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
        Ok(Self {
            parts: parts()?,
            rounds: value("ROUNDS")?,
            starts: value("STARTS")?.unwrap_or(4).max(1),
            load: Duration::from_secs(value("BENCH_SECONDS")?.unwrap_or(2)),
            connections: list("CONNECTIONS", &[32, 256])?,
            rates: list("RATES", &[500, 1000])?,
            workers: value("WORKERS")?.unwrap_or((processors / 2).max(1)),
            processors,
            maelstromd,
            queue_loop: value("QUEUE_LOOP")?
                .unwrap_or_else(|| workspace.join("target/release/examples/queue-loop")),
            scratch,
        })
    }

    pub(crate) fn runs(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    pub(crate) fn runs_any(&self, parts: &[Part]) -> bool {
        parts.iter().any(|part| self.runs(*part))
    }

    pub(crate) fn rounds(&self, default: usize) -> usize {
        self.rounds.unwrap_or(default)
    }

    /// Of one start of the proxies.
    pub(crate) fn rounds_per_start(&self) -> usize {
        self.rounds(12).div_ceil(self.starts)
    }
}

fn parts() -> Result<Vec<Part>> {
    let Some(names) = value::<String>("PART")? else {
        return Ok(PARTS.map(|(_, part)| part).to_vec());
    };
    let part = |name: &str| match PARTS.iter().find(|(known, _)| *known == name) {
        Some((_, part)) => Ok(*part),
        None => bail!("PART={names}: {name:?} is none of {}", PARTS.map(|(known, _)| known).join(", ")),
    };
    names.split(',').map(|name| part(name.trim())).collect()
}

/// Absent and empty are the same: make passes on what nobody set as empty.
fn value<T: FromStr>(name: &str) -> Result<Option<T>> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => bail!("{name}={text:?} is not a number that fits"),
        },
        _ => Ok(None),
    }
}

fn list<T: FromStr + Copy>(name: &str, default: &[T]) -> Result<Vec<T>> {
    let Some(text) = value::<String>(name)? else { return Ok(default.to_vec()) };
    text.split(',')
        .map(|item| {
            item.trim().parse().ok().with_context(|| format!("{name}={text:?}: {item:?} is not a number"))
        })
        .collect()
}
