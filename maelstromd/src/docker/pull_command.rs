//! A command of the node that fetches an image instead of the engine, e.g. to log in to a registry with
//! short-lived credentials first. It runs as the daemon's user, without a shell.

use std::{process::Stdio, time::Duration};

use maelstrom_core::ports::engine::{EngineError, EngineResult};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

use crate::config;

/// Stands for the image in every word of the command.
const PLACEHOLDER: &str = "<image>";
/// The end of its output goes into the error: that is where programs say what went wrong.
const OUTPUT_BYTES: usize = 4 * 1024;

/// Runs the command to its end, at most for `limit`; then it and what it started are killed.
pub(super) async fn run(command: &[String], image: &str, limit: Duration) -> EngineResult<()> {
    let words: Vec<String> = command.iter().map(|word| word.replace(PLACEHOLDER, image)).collect();
    let shown = words.join(" ");
    let failed = |reason: String| EngineError::ImageMissing {
        image: image.to_owned(),
        reason: format!("pull command '{shown}' {reason}"),
    };
    let Some((program, arguments)) = words.split_first() else {
        return Err(failed("is empty".into()));
    };
    let mut command = Command::new(program);
    config::secret_variables().for_each(|name| {
        command.env_remove(name);
    });
    let child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("can't be run: {error}")))?;
    let mut group = Group(child);
    let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
    let ended = async { tokio::join!(tail(stdout), tail(stderr), group.0.wait()) };
    let Ok((stdout, stderr, status)) = tokio::time::timeout(limit, ended).await else {
        return Err(failed(format!("did not end within {} s and was killed", limit.as_secs())));
    };
    let status = status.map_err(|error| failed(format!("was lost: {error}")))?;
    if status.success() {
        return Ok(());
    }
    let said = [stderr, stdout].map(|output| String::from_utf8_lossy(&output).trim().to_owned());
    let said = said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    Err(failed(format!("ended with {status}: {said}")))
}

/// Kills the command with everything it started when dropped before its end.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// The last bytes of a stream.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = [0; 2 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        let surplus = kept.len().saturating_sub(OUTPUT_BYTES);
        kept.drain(..surplus);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn the_image_is_filled_in_and_a_failure_tells_the_output() {
        let command = shell("echo got <image>; echo trouble >&2; exit 3");
        let error = run(&command, "web:1", LIMIT).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("got web:1"), "{error}");
        assert!(error.contains("trouble"), "{error}");
        run(&shell("test <image> = web:1"), "web:1", LIMIT).await.unwrap();
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_is_named() {
        let error = run(&["/no/such/program".into()], "web:1", LIMIT).await.unwrap_err().to_string();
        assert!(error.contains("/no/such/program"), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let error = run(&shell(&script), "web:1", Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(error.contains("did not end within 1 s"), "{error}");
        let pid = std::fs::read_to_string(file).unwrap();
        let status = format!("/proc/{}/stat", pid.trim());
        // Gone, or a zombie that nobody reaped yet.
        let ended = async {
            while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, ended).await.unwrap();
    }
}
