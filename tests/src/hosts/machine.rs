//! One simulated machine: a first process with namespaces of its own for network, processes, mounts, host
//! name and clocks. All that runs on the machine is its descendant and ends with it, the way everything
//! ends when a machine loses power: processes, containers, mounts, network.
//!
//! The first process lives as long as the pipe that this process holds: however a test ends, by `kill -9`
//! too, the kernel closes the pipe and no machine is left behind.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{command::finish, wait};

/// A kernel that ends processes needs far less.
const END: Duration = Duration::from_secs(10);

/// How far a machine's clocks are from the others': seconds, set for good when it boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// `CLOCK_BOOTTIME`, which leases are measured on, and `CLOCK_MONOTONIC`: machines boot at different
    /// times.
    pub up_seconds: i64,
    /// The wall clock, by `libfaketime`: namespaces have none of their own. Only programs started with
    /// [`Clocks::environment`] see it, containers don't.
    pub wall_seconds: i64,
}

/// See the module.
#[derive(Debug)]
pub struct Machine {
    name: String,
    clocks: Clocks,
    /// `unshare`, which holds the first process's standard input open.
    holder: Child,
    first: Pid,
}

/// A program on a machine.
#[derive(Debug)]
pub struct Program {
    /// `nsenter`, which ends as the program does.
    entered: Child,
    pid: Pid,
}

// === impl Clocks ===

impl Clocks {
    /// For a program that is to see the wall clock of its machine.
    pub fn environment(self) -> Result<BTreeMap<String, String>> {
        if self.wall_seconds == 0 {
            return Ok(BTreeMap::new());
        }
        let library = faketime().context("no libfaketime here: run tests/setup/packages cluster")?;
        let variables = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", format!("{:+}s", self.wall_seconds)),
            // Timers and leases run on the clocks of the time namespace.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_RESET", "1".to_owned()),
        ];
        Ok(variables.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

fn faketime() -> Option<PathBuf> {
    let folder = format!("/usr/lib/{}-linux-gnu/faketime", std::env::consts::ARCH);
    Some(Path::new(&folder).join("libfaketime.so.1")).filter(|path| path.exists())
}

// === impl Machine ===

impl Machine {
    /// Boots it. Its first process shows `mark` in the process table and complains into the file `log`.
    pub(super) fn boot(name: &str, mark: &str, clocks: Clocks, log: &Path) -> Result<Self> {
        // /run is its own: containerd keeps sockets there whose names could meet another machine's.
        const FIRST: &str = r#"
            set -e
            hostname "$1"
            mount -t tmpfs -o mode=755 tmpfs /run
            ip link set lo up
            echo up
            read -r _ || true
        "#;
        let mut command = Command::new("unshare");
        // A terminal's Ctrl-C is for who holds the machines.
        command.process_group(0);
        command.args(["--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "--mount-proc"]);
        command.arg("--kill-child=KILL");
        if clocks.up_seconds != 0 {
            let up = clocks.up_seconds.to_string();
            command.args(["--time", "--boottime", &up, "--monotonic", &up]);
        }
        let mut holder = command
            .args(["bash", "-c", FIRST, mark, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .context("running unshare (a root's job, and tests/setup/packages cluster must have run)")?;
        let mut line = String::new();
        let said = holder.stdout.take().context("no output of the first process")?;
        BufReader::new(said).read_line(&mut line)?;
        if line.trim() != "up" {
            let _ = holder.kill();
            let _ = holder.wait();
            bail!("machine {name} did not boot: {}", fs::read_to_string(log)?);
        }
        let first = only_child(holder.id())?;
        Ok(Self { name: name.to_owned(), clocks, holder, first })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// The id of its first process, for `ip link … netns`.
    pub fn first(&self) -> u32 {
        self.first.as_raw_nonzero().get().unsigned_abs()
    }

    /// A command that will run on the machine, in a folder.
    pub fn command(&self, folder: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.process_group(0);
        command.args(["--target", &self.first().to_string(), "--net", "--pid", "--mount", "--uts", "--ipc"]);
        if self.clocks.up_seconds != 0 {
            command.arg("--time");
        }
        command.arg(format!("--wdns={}", folder.display())).arg("--").arg(program);
        command
    }

    /// Runs a command on the machine to its end and returns what it printed.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let (program, arguments) = words.split_first().context("no program")?;
        finish(self.command(Path::new("/"), program).args(arguments))
            .with_context(|| format!("on {}", self.name))
    }

    /// Starts what [`Machine::command`] built.
    pub fn spawn(&self, command: &mut Command) -> Result<Program> {
        let entered = command.spawn().with_context(|| format!("running {command:?}"))?;
        let pid = only_child(entered.id()).with_context(|| format!("{command:?} on {}", self.name))?;
        Ok(Program { entered, pid })
    }

    /// Everything that runs on it, containers included.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (pid, parent) in table()? {
            children.entry(parent).or_default().push(pid);
        }
        let (mut found, mut next) = (Vec::new(), vec![self.first.as_raw_nonzero().get()]);
        while let Some(pid) = next.pop() {
            found.extend(Pid::from_raw(pid));
            next.extend(children.remove(&pid).unwrap_or_default());
        }
        Ok(found)
    }

    /// Sends a signal to everything that runs on it but the first process.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        for pid in self.processes()?.into_iter().filter(|pid| *pid != self.first) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }

    /// Ends everything on it at once; nothing gets to say goodbye. Its network must have been cut before,
    /// or the kernel closes its connections.
    pub fn power_off(&mut self) -> Result<()> {
        let _ = kill_process(self.first, Signal::KILL);
        self.holder.kill().ok();
        self.holder.wait().context("waiting for the machine's end")?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.power_off();
    }
}

// === impl Program ===

impl Program {
    /// As this machine's kernel counts, not the simulated one.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let sent =
            kill_process(self.pid, signal).with_context(|| format!("sending {signal:?} to {:?}", self.pid));
        if signal == Signal::CONT {
            self.go_on();
        }
        sent
    }

    /// What entered the machine stops when the program stops, and would not see it go on or end.
    fn go_on(&self) {
        if let Some(entered) = Pid::from_raw(self.entered.id().cast_signed()) {
            let _ = kill_process(entered, Signal::CONT);
        }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.entered.try_wait()?)
    }

    /// Waits for its end.
    pub async fn wait(&mut self, what: &str, limit: Duration) -> Result<std::process::ExitStatus> {
        // Its Drop must not run while it is looked at.
        let entered = std::cell::RefCell::new(&mut self.entered);
        wait::until(&format!("the end of {what}"), limit, || {
            let ended = entered.borrow_mut().try_wait();
            async { Ok(ended?) }
        })
        .await
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill9(&mut self, what: &str) -> Result<()> {
        if self.ended()?.is_none() {
            // A frozen process dies by this signal, too.
            let _ = kill_process(self.pid, Signal::KILL);
            self.go_on();
            self.wait(what, END).await?;
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.entered.try_wait(), Ok(None)) {
            let _ = kill_process(self.pid, Signal::KILL);
            self.go_on();
            let _ = self.entered.wait();
        }
    }
}

/// The one child of a process that has just been started and starts it itself.
fn only_child(parent: u32) -> Result<Pid> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let end = std::time::Instant::now() + END;
    loop {
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        if let Some(pid) = text.split_whitespace().next() {
            return Pid::from_raw(pid.parse()?).context("process 0");
        }
        ensure!(std::time::Instant::now() < end, "process {parent} started nothing");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All processes: id and parent.
fn table() -> Result<Vec<(i32, i32)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended meanwhile.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name in parentheses may hold anything; state and parent follow it.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        found.extend(parent.map(|parent| (pid, parent)));
    }
    Ok(found)
}
