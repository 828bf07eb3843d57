//! One host of a cluster: a simulated machine with a Docker engine and a daemon, started, killed, frozen
//! and restarted like real ones.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bollard::{API_DEFAULT_VERSION, Docker, query_parameters::ListContainersOptionsBuilder};
use rustix::process::Signal;

use super::machine::{Clocks, Machine, Program};
use crate::{
    api::Api,
    client::Client,
    daemon::program,
    image,
    wait::{self, LONG},
};

/// Where each daemon listens, as on any machine of its own.
const PUBLIC_PORT: u16 = 80;
pub(super) const PRIVATE_PORT: u16 = 8374;
/// The engine's bridge: the same on all machines, as it is in real life.
const DOCKER_BRIDGE: &str = "172.17.0.1/16";

/// See the module.
#[derive(Debug)]
pub struct Host {
    node: String,
    mark: String,
    address: Ipv4Addr,
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    clocks: Clocks,
    /// Dropped in this order: the machine last, since all else runs on it.
    daemon: Option<Program>,
    engine: Option<Program>,
    machine: Option<Machine>,
    starts: u32,
}

/// What of a host stops and goes on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Daemon,
    Engine,
    /// All of its processes; containers, too. Its kernel goes on answering for them.
    Everything,
}

// === impl Host ===

impl Host {
    pub(super) fn new(node: String, mark: &str, address: Ipv4Addr, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(folder.join("daemon"))?;
        Ok(Self {
            node,
            mark: mark.to_owned(),
            address,
            folder,
            environment: BTreeMap::new(),
            clocks: Clocks::default(),
            daemon: None,
            engine: None,
            machine: None,
            starts: 0,
        })
    }

    /// The node's id.
    pub fn node(&self) -> &str {
        &self.node
    }

    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub fn public_address(&self) -> SocketAddr {
        (self.address, PUBLIC_PORT).into()
    }

    pub fn private_address(&self) -> SocketAddr {
        (self.address, PRIVATE_PORT).into()
    }

    /// A client of the public gateway.
    pub fn public(&self) -> Client {
        Client::new(self.public_address())
    }

    /// A client of the private gateway.
    pub fn private(&self) -> Client {
        Client::new(self.private_address())
    }

    /// The node's management API.
    pub fn api(&self) -> Api {
        Api::new(self.private())
    }

    /// Where the daemon works.
    pub fn folder(&self) -> PathBuf {
        self.folder.join("daemon")
    }

    /// Sets a variable of the daemon's environment for its next start.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Its clocks, from its next boot on.
    pub fn set_clocks(&mut self, clocks: Clocks) -> &mut Self {
        self.clocks = clocks;
        self
    }

    /// The machine that it runs on, while it has power.
    pub fn machine(&self) -> Result<&Machine> {
        self.machine.as_ref().with_context(|| format!("{} has no power", self.node))
    }

    // === The machine ===

    pub(super) fn boot(&mut self) -> Result<&Machine> {
        ensure!(self.machine.is_none(), "{} has power", self.node);
        let machine = Machine::boot(&self.node, &self.mark, self.clocks, &self.folder.join("machine.log"))?;
        Ok(self.machine.insert(machine))
    }

    pub(super) fn power_off(&mut self) -> Result<()> {
        if let Some(mut machine) = self.machine.take() {
            machine.power_off()?;
        }
        self.engine = None;
        self.daemon = None;
        Ok(())
    }

    pub fn has_power(&self) -> bool {
        self.machine.is_some()
    }

    // === The engine ===

    /// Starts the engine and waits until it answers, with the test service's images in it.
    pub async fn start_engine(&mut self) -> Result<()> {
        let (folder, machine) = (self.folder.join("engine"), self.machine()?);
        fs::create_dir_all(&folder)?;
        let path = |name: &str| folder.join(name).display().to_string();
        // Left by a killed one; the number may be another process's now.
        for stale in ["pid", "exec/containerd/containerd.pid"] {
            let _ = fs::remove_file(folder.join(stale));
        }
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let mut command = machine.command(&folder, "dockerd");
        command
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["-H", &self.docker_host(), "--bip", DOCKER_BRIDGE, "--shutdown-timeout", "2"])
            .args([
                "--exec-opt",
                "native.cgroupdriver=cgroupfs",
                "--cgroup-parent",
                &format!("/{}", self.mark),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.engine = Some(machine.spawn(&mut command)?);
        let answers = wait::until("dockerd", LONG, || async { Ok(Some(self.docker()?.ping().await?)) }).await;
        answers.with_context(|| tail(&folder.join("log"), 20))?;
        image::prepare(&self.docker()?).await
    }

    /// Stops the engine as an operator would; its containers end.
    pub async fn stop_engine(&mut self) -> Result<()> {
        if let Some(mut engine) = self.engine.take() {
            engine.signal(Signal::TERM)?;
            engine.wait("dockerd", LONG).await?;
        }
        Ok(())
    }

    /// `kill -9` of the engine alone; containers run on without it.
    pub async fn kill_engine(&mut self) -> Result<()> {
        if let Some(mut engine) = self.engine.take() {
            engine.kill9("dockerd").await?;
            // Its containerd would be in the next one's way.
            let machine = self.machine()?;
            machine.run(&[
                "bash",
                "-c",
                "pkill -9 -x containerd; while pgrep -x containerd; do sleep 0.01; done",
            ])?;
        }
        Ok(())
    }

    pub fn docker(&self) -> Result<Docker> {
        let socket = self.folder.join("engine/docker.sock");
        Ok(Docker::connect_with_unix(&socket.display().to_string(), 30, API_DEFAULT_VERSION)?)
    }

    fn docker_host(&self) -> String {
        format!("unix://{}", self.folder.join("engine/docker.sock").display())
    }

    /// Its containers of a component, as the engine tells it: id and state.
    pub async fn containers(&self, component: &str) -> Result<Vec<(String, String)>> {
        let filters = std::collections::HashMap::from([(
            "label",
            vec![format!("maelstrom.node={}", self.node), format!("maelstrom.component={component}")],
        )]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker()?.list_containers(Some(options)).await?;
        let id_and_state = |c: bollard::models::ContainerSummary| {
            (c.id.unwrap_or_default(), c.state.map(|s| s.to_string()).unwrap_or_default())
        };
        Ok(found.into_iter().map(id_and_state).collect())
    }

    /// Where the engine keeps what containers write.
    pub(super) fn container_folder(&self) -> PathBuf {
        self.folder.join("engine/data/containers")
    }

    // === The daemon ===

    /// Starts the daemon and waits until both gateways answer.
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait_ready().await
    }

    /// Starts the daemon without waiting.
    pub fn spawn(&mut self) -> Result<()> {
        self.starts += 1;
        let log = File::create(self.log_path())?;
        let machine = self.machine()?;
        let mut command = machine.command(&self.folder(), program("maelstromd")?);
        command
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| name == "PATH"))
            .env("DOCKER_HOST", self.docker_host())
            .env("MAEL_NODE_ID", &self.node)
            .env("MAEL_PUBLIC_PORT", PUBLIC_PORT.to_string())
            .env("MAEL_PUBLIC_HTTPS_PORT", "0")
            .env("MAEL_PRIVATE_PORT", PRIVATE_PORT.to_string())
            .envs(machine.clocks().environment()?)
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.daemon = Some(machine.spawn(&mut command)?);
        Ok(())
    }

    /// Waits until both gateways answer; fails at once when the daemon ends.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let (public, private) = (self.public(), self.private());
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.daemon_mut()?.ended()? {
                bail!("maelstromd of {} ended with {status}:\n{}", self.node, self.log());
            }
            let healthy = async {
                let one = public.get("/_mael_health_check").await.is_ok_and(|a| a.status == 200);
                one && private.get("/_mael_health_check").await.is_ok_and(|a| a.status == 200)
            };
            if tokio::time::timeout(Duration::from_secs(2), healthy).await == Ok(true) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{} did not get ready in {LONG:?}:\n{}", self.node, self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn daemon_mut(&mut self) -> Result<&mut Program> {
        self.daemon.as_mut().with_context(|| format!("maelstromd of {} is not running", self.node))
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let daemon = self.daemon.as_ref();
        daemon.with_context(|| format!("maelstromd of {} is not running", self.node))?.signal(signal)
    }

    /// `kill -9` of the daemon alone; engine and containers run on.
    pub async fn kill9(&mut self) -> Result<()> {
        self.daemon_mut()?.kill9("maelstromd").await?;
        self.daemon = None;
        Ok(())
    }

    /// Waits for the daemon's end.
    pub async fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let ended = self.daemon_mut()?.wait("maelstromd", limit).await;
        let status = ended.with_context(|| self.log())?;
        self.daemon = None;
        Ok(status)
    }

    /// SIGTERM and wait.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_exit(LONG).await
    }

    /// Whether the daemon was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|daemon| matches!(daemon.ended(), Ok(None)))
    }

    /// Stops a part in the middle of what it does.
    pub fn freeze(&self, part: Part) -> Result<()> {
        self.signal_part(part, Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self, part: Part) -> Result<()> {
        self.signal_part(part, Signal::CONT)
    }

    fn signal_part(&self, part: Part, signal: Signal) -> Result<()> {
        match part {
            Part::Daemon => self.signal(signal),
            Part::Engine => {
                let engine = self.engine.as_ref();
                engine.with_context(|| format!("dockerd of {} is not running", self.node))?.signal(signal)
            }
            Part::Everything => {
                self.machine()?.signal_all(signal)?;
                // For those who wait for them.
                self.daemon.iter().chain(&self.engine).try_for_each(|program| program.signal(signal))
            }
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join(format!("log-{}.txt", self.starts))
    }

    /// What the daemon wrote since its last start, the last lines.
    pub fn log(&self) -> String {
        tail(&self.log_path(), 60)
    }

    /// All that the daemon wrote since its last start.
    pub fn whole_log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

fn tail(path: &Path, count: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
