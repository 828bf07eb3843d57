//! Commands inside a container: bounded in time and in output.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use maelstrom_core::{names::InstanceId, ports::engine::*};

use super::{
    connection::Connection,
    containers::{ASK_LIMIT, short},
    errors::Subject,
};

/// Output beyond it is read and thrown away: it is for a log line or a journal entry, not a file.
const OUTPUT_BYTES: usize = 64 * 1024;

pub(super) async fn exec(
    connection: &Connection,
    id: InstanceId,
    command: Vec<String>,
    limit: Duration,
) -> EngineResult<ExecOutput> {
    let action = format!("running '{}' in container {}", command.join(" "), short(&id));
    match tokio::time::timeout(limit, run(connection, &id, command, &action)).await {
        Ok(output) => output,
        Err(_) => {
            let reason = format!("it did not end within {} s", limit.as_secs_f64());
            Err(EngineError::Refused { action, reason })
        }
    }
}

async fn run(
    connection: &Connection,
    id: &InstanceId,
    command: Vec<String>,
    action: &str,
) -> EngineResult<ExecOutput> {
    let options = CreateExecOptions {
        cmd: Some(command),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let subject = Subject::Container(id);
    let docker = connection.client().await?;
    let failed = |error| connection.failed(error, action, subject);
    let made = docker.create_exec(id.as_str(), options).await.map_err(failed)?;
    let started = docker.start_exec(&made.id, None).await.map_err(failed)?;
    let mut kept = Vec::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(part) = output.next().await {
            let part = part.map_err(failed)?.into_bytes();
            let room = OUTPUT_BYTES - kept.len();
            kept.extend_from_slice(&part[..part.len().min(room)]);
        }
    }
    let ended = connection
        .call(ASK_LIMIT, action, subject, async |docker| docker.inspect_exec(&made.id).await)
        .await?;
    Ok(ExecOutput {
        exit_code: ended.exit_code.unwrap_or(-1),
        output: String::from_utf8_lossy(&kept).into_owned(),
    })
}
