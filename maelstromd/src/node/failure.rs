//! Why an instance could not be started or was lost, in words for the client, the journal and the CLI.

use std::time::Duration;

use futures_util::StreamExt;
use maelstrom_core::{
    names::InstanceId,
    ports::engine::{ContainerEngine, ContainerState, EngineError, LogQuery},
};

/// What is shown of a container's last words.
const LAST_LINES: u32 = 5;
const LINE_CHARS_MAX: usize = 200;
/// The engine notices an end up to 100 ms after the process is gone; more patience is for a loaded machine.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(3);
const EXIT_POLL: Duration = Duration::from_millis(20);

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// It may pass by itself: the engine was away.
    passing: bool,
    pub(super) image_missing: bool,
}

// === impl Failure ===

impl Failure {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), passing: false, image_missing: false }
    }

    pub(super) fn is_passing(&self) -> bool {
        self.passing
    }

    /// The answer to who waits: 503 while the engine is away, 502 when the instance is at fault.
    pub(super) fn status(&self) -> u16 {
        if self.passing { 503 } else { 502 }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self {
            passing: matches!(error, EngineError::Unavailable { .. }),
            image_missing: matches!(error, EngineError::ImageMissing { .. }),
            reason: error.to_string(),
        }
    }
}

/// How a container ended (`when` adds to that) and what it said last. Takes bounded time.
pub(super) async fn last_words(
    engine: &dyn ContainerEngine,
    id: &InstanceId,
    out_of_memory: bool,
    when: &str,
) -> String {
    let told = async {
        let end = how_it_ended(engine, id, out_of_memory).await;
        let lines = last_lines(engine, id).await;
        match lines.is_empty() {
            true => format!("{end}{when}"),
            false => format!("{end}{when}; its last output: {}", lines.join(" | ")),
        }
    };
    tokio::time::timeout(LAST_WORDS_LIMIT, told)
        .await
        .unwrap_or_else(|_| format!("it ended{when}; the engine did not tell in time how"))
}

async fn how_it_ended(engine: &dyn ContainerEngine, id: &InstanceId, out_of_memory: bool) -> String {
    loop {
        match engine.inspect(id.clone()).await {
            Ok(container) => match container.state {
                ContainerState::Exited { oom_killed: true, .. } => {
                    return "it was killed for want of memory".to_owned();
                }
                ContainerState::Exited { .. } if out_of_memory => {
                    return "it was killed for want of memory".to_owned();
                }
                ContainerState::Exited { code, .. } => return format!("it exited with code {code}"),
                ContainerState::Gone => return "it was removed".to_owned(),
                _ => tokio::time::sleep(EXIT_POLL).await,
            },
            Err(EngineError::NoSuchContainer { .. }) => return "it was removed".to_owned(),
            Err(error) => return format!("it ended; {error}"),
        }
    }
}

async fn last_lines(engine: &dyn ContainerEngine, id: &InstanceId) -> Vec<String> {
    let query = LogQuery { since: None, tail: Some(LAST_LINES), follow: false };
    let lines = engine.logs(id.clone(), query).take(LAST_LINES as usize);
    let text = lines.filter_map(|line| async {
        let line = line.ok()?.line;
        let text: String = String::from_utf8_lossy(&line).trim().chars().take(LINE_CHARS_MAX).collect();
        (!text.is_empty()).then_some(text)
    });
    text.collect().await
}
