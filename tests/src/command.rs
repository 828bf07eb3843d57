//! Programs of the system that tests use as an operator would: `ip`, `iptables`, `mount`.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs it to its end and returns what it printed; what it complained of is the error.
pub fn run(command: &[&str]) -> Result<String> {
    let (program, arguments) = command.split_first().context("no program")?;
    finish(Command::new(program).args(arguments))
}

/// The same for a command that is built already.
pub fn finish(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| {
        format!("running {command:?} (a root's job, and tests/setup/packages must have run)")
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
