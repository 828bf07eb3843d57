//! The last things: the group is told that the machine may go, the messages that told of it are deleted, and
//! what the operator wants to be run is run. Each is tried until it is done or its time is over.

use std::{process::Stdio, time::Duration};

use maelstrom_core::ports::autoscaling::Verdict;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::{Cloud, complaint::Complaint};
use crate::config;

const PAUSE: Duration = Duration::from_secs(1);

// === impl Cloud ===

impl Cloud {
    /// Has all actions that hold this machine end.
    pub async fn complete(&self) {
        let mut complaint = Complaint::about("completing the lifecycle action");
        let mut left: Vec<_> = self.parts.drainer.actions().into_iter().map(|(action, _)| action).collect();
        while !left.is_empty() {
            let mut failed = Vec::new();
            for action in left {
                match self.parts.scaling.complete(action.clone(), Verdict::Continue).await {
                    Ok(_) => self.parts.drainer.note(&format!("drain: {action} completed"), |entry| entry),
                    Err(error) => {
                        complaint.failed(error.kind(), &error);
                        failed.push(action);
                    }
                }
            }
            left = failed;
            if !left.is_empty() {
                self.pause(PAUSE).await;
            }
        }
    }

    /// Deletes the messages that told of them. One that stays is deleted by the poller, which finds that its
    /// action is over.
    pub async fn delete_letters(&self) {
        for letter in self.parts.drainer.actions().into_iter().filter_map(|(_, letter)| letter) {
            match self.parts.queues.delete(letter.queue, vec![letter.receipt]).await {
                Ok(not_done) => {
                    for (_, reason) in not_done {
                        tracing::info!(reason, "a message of the hook is left to the poller");
                    }
                }
                Err(error) => tracing::warn!(%error, "a message of the hook is left to the poller"),
            }
        }
    }

    /// What it writes stands in the log; it is killed when its time is over.
    pub async fn run_command(&self) {
        let Some(command) = &self.settings.command else { return };
        let mut shell = Command::new("sh");
        config::secret_variables().for_each(|name| {
            shell.env_remove(name);
        });
        let spawned = shell
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, "MAEL_TERMINATE_COMMAND can't be run");
                return;
            }
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ((), (), ended) = tokio::join!(log(stdout), log(stderr), child.wait());
        match ended {
            Ok(status) if status.success() => tracing::info!("MAEL_TERMINATE_COMMAND has run"),
            Ok(status) => tracing::warn!(%status, "MAEL_TERMINATE_COMMAND failed"),
            Err(error) => tracing::warn!(%error, "how MAEL_TERMINATE_COMMAND ended is not known"),
        }
    }
}

/// What is no text is left out.
async fn log(output: Option<impl tokio::io::AsyncRead + Unpin>) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!(line, "MAEL_TERMINATE_COMMAND");
    }
}
