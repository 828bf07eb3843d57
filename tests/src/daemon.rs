//! A real `maelstromd` with a scratch folder, real Docker and ports of its own, and everything of it
//! cleaned away at the end.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bollard::{
    Docker,
    query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    api::Api,
    client::{Answer, Client},
    engine::OwnEngine,
    image,
    wait::LONG,
};

/// A daemon under test. Dropping it kills it and removes its containers.
pub struct Daemon {
    folder: TempDir,
    process: Option<Child>,
    environment: BTreeMap<String, String>,
    public: SocketAddr,
    private: SocketAddr,
    node: String,
    starts: u32,
    /// Listening sockets that outlive the daemon, as systemd holds them: public, private.
    sockets: Option<[TcpListener; 2]>,
}

// === impl Daemon ===

impl Daemon {
    /// Prepared, not started: [`Daemon::set`], then [`Daemon::start`].
    pub async fn prepare() -> Result<Self> {
        image::prepare(&docker()?).await?;
        Self::with_environment([])
    }

    /// Like [`Daemon::prepare`], beside an engine of the test's own.
    pub async fn prepare_with(engine: &OwnEngine) -> Result<Self> {
        image::prepare(&engine.docker()?).await?;
        Self::with_environment([("DOCKER_HOST", engine.host())])
    }

    fn with_environment<const N: usize>(more: [(&str, String); N]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let node = format!("suite-{}-{count}", std::process::id());
        let (public, private) = (free_port()?, free_port()?);
        let folder = TempDir::with_prefix("maelstrom-")?;
        let environment = [
            ("MAEL_STORE", format!("sqlite:{}", folder.path().join("store.db").display())),
            ("MAEL_NODE_ID", node.clone()),
            ("MAEL_PUBLIC_PORT", public.to_string()),
            ("MAEL_PRIVATE_PORT", private.to_string()),
            ("MAEL_PUBLIC_HTTPS_PORT", "0".to_owned()),
            ("MAEL_TOTAL_MEMORY", "4096".to_owned()),
        ];
        let environment = environment.into_iter().chain(more);
        Ok(Self {
            folder,
            process: None,
            environment: environment.map(|(name, value)| (name.to_owned(), value)).collect(),
            public: (Ipv4Addr::LOCALHOST, public).into(),
            private: (Ipv4Addr::LOCALHOST, private).into(),
            node,
            starts: 0,
            sockets: None,
        })
    }

    /// A started daemon with the defaults of this harness.
    pub async fn run() -> Result<Self> {
        let mut daemon = Self::prepare().await?;
        daemon.start().await?;
        Ok(daemon)
    }

    /// Sets a variable of its environment for the next start.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// From the next start on its listening sockets are held here and passed to it.
    pub fn hold_sockets(&mut self) -> Result<()> {
        let sockets = [
            TcpListener::bind(self.public)?,
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.private.port()))?,
        ];
        for socket in &sockets {
            // The shell that starts the daemon must inherit them.
            rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty())?;
        }
        self.sockets = Some(sockets);
        self.set("LISTEN_FDS", "2").set("LISTEN_FDNAMES", "public:private");
        Ok(())
    }

    /// Starts it and waits until both gateways answer.
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait_ready().await
    }

    /// Starts it without waiting.
    pub fn spawn(&mut self) -> Result<()> {
        self.starts += 1;
        let log = File::create(self.log_path(self.starts))?;
        let mut command = match &self.sockets {
            None => Command::new(program("maelstromd")?),
            Some([public, private]) => {
                // What systemd does: descriptors 3 and 4, and the process id that they are meant for.
                let mut shell = Command::new("bash");
                let script = r#"exec 3<&"$1" 4<&"$2"; export LISTEN_PID=$$; exec "$0""#;
                shell.args(["-c", script]).arg(program("maelstromd")?);
                shell.args([public.as_raw_fd().to_string(), private.as_raw_fd().to_string()]);
                shell
            }
        };
        let child = command
            .current_dir(self.folder.path())
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| name == "PATH" || name == "DOCKER_HOST"))
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting maelstromd")?;
        self.process = Some(child);
        Ok(())
    }

    /// Waits until both gateways answer; fails at once when the process ends.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let (public, private) = (self.public(), self.private());
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.exit_status()? {
                bail!("maelstromd ended with {status}:\n{}", self.log());
            }
            let healthy = async {
                let one = public.get("/_mael_health_check").await.is_ok_and(|a| a.status == 200);
                one && private.get("/_mael_health_check").await.is_ok_and(|a| a.status == 200)
            };
            if healthy.await {
                return Ok(());
            }
            ensure!(Instant::now() < end, "maelstromd did not get ready in {LONG:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client of the public gateway.
    pub fn public(&self) -> Client {
        Client::new(self.public)
    }

    /// A client of the private gateway.
    pub fn private(&self) -> Client {
        Client::new(self.private)
    }

    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    pub fn private_address(&self) -> SocketAddr {
        self.private
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn node(&self) -> &str {
        &self.node
    }

    pub fn pid(&self) -> Result<u32> {
        self.process.as_ref().map(Child::id).context("maelstromd is not running")
    }

    /// Sends a signal by name, e.g. `TERM`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid()?.to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status()?;
        ensure!(status.success(), "kill -{name} {pid} failed");
        Ok(())
    }

    /// Its exit status once it has ended.
    pub fn exit_status(&mut self) -> Result<Option<std::process::ExitStatus>> {
        match &mut self.process {
            Some(process) => Ok(process.try_wait()?),
            None => Ok(None),
        }
    }

    /// Waits for its end.
    pub async fn wait_exit(&mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.exit_status()? {
                self.process = None;
                return Ok(status);
            }
            ensure!(Instant::now() < end, "maelstromd still runs after {limit:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// SIGTERM and wait.
    pub async fn stop(&mut self) -> Result<std::process::ExitStatus> {
        self.signal("TERM")?;
        self.wait_exit(LONG).await
    }

    /// Gives the running process away, so that a second one can be started beside it.
    pub fn detach(&mut self) -> Option<Child> {
        self.process.take()
    }

    /// What the running daemon wrote, its last lines.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.log_path(self.starts)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// All that it wrote since its last start.
    pub fn whole_log(&self) -> String {
        fs::read_to_string(self.log_path(self.starts)).unwrap_or_default()
    }

    fn log_path(&self, start: u32) -> PathBuf {
        self.folder.path().join(format!("log-{start}.txt"))
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kib * 1024)
    }

    // === The management API ===

    /// The management API, for what has no short form here.
    pub fn api(&self) -> Api {
        Api::new(self.private())
    }

    /// The management API, for who has this token.
    pub fn api_with(&self, token: &str) -> Api {
        Api::new(self.private().token(token))
    }

    /// See [`Api::rpc_raw`].
    pub async fn rpc_raw(&self, body: impl Into<bytes::Bytes>) -> Result<Answer> {
        self.api().rpc_raw(body).await
    }

    /// See [`Api::rpc`].
    pub async fn rpc(&self, method: &str, params: Value) -> Result<Value> {
        self.api().rpc(method, params).await
    }

    /// See [`Api::put_component`].
    pub async fn put_component(&self, name: &str, fields: Value, docker: Value) -> Result<i64> {
        self.api().put_component(name, fields, docker).await
    }

    /// See [`Api::put_route`].
    pub async fn put_route(&self, name: &str, component: &str, http: Value) -> Result<()> {
        self.api().put_route(name, component, http).await
    }

    /// See [`Api::instances`].
    pub async fn instances(&self, component: &str) -> Result<Vec<Value>> {
        self.api().instances(component).await
    }

    /// See [`Api::wait_instances`].
    pub async fn wait_instances(&self, component: &str, count: usize) -> Result<Vec<Value>> {
        self.api().wait_instances(component, count).await.with_context(|| self.log())
    }

    /// Containers of this node on the engine, as Docker tells it: id and state.
    pub async fn containers(&self) -> Result<Vec<(String, String)>> {
        containers(&self.node).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            let text = fs::read_to_string(self.log_path(self.starts)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(80)..].join("\n");
            report(&format!("--- log of {} ---\n{tail}\n---", self.node));
        }
        let node = self.node.clone();
        // Drop can't await: a thread with a runtime of its own does.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(remove_containers(&node))
        });
        if !matches!(cleaner.join(), Ok(Ok(()))) {
            report(&format!("containers of {} may be left", self.node));
        }
    }
}

/// The test runner shows what a failed test wrote.
#[allow(clippy::print_stderr)]
pub(crate) fn report(text: &str) {
    eprintln!("{text}");
}

/// The engine that the tests use.
pub fn docker() -> Result<Docker> {
    Docker::connect_with_defaults().context("no Docker engine: run tests/setup/docker")
}

async fn containers(node: &str) -> Result<Vec<(String, String)>> {
    let filters = std::collections::HashMap::from([("label", vec![format!("maelstrom.node={node}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = docker()?.list_containers(Some(options)).await?;
    let id_and_state = |c: bollard::models::ContainerSummary| {
        (c.id.unwrap_or_default(), c.state.map(|s| s.to_string()).unwrap_or_default())
    };
    Ok(found.into_iter().map(id_and_state).collect())
}

async fn remove_containers(node: &str) -> Result<()> {
    let docker = docker()?;
    for (id, _) in containers(node).await? {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        docker.remove_container(&id, Some(options)).await?;
    }
    Ok(())
}

/// A port that nobody listens on now. Another process may take it before the daemon does; the kernel
/// hands out ephemeral ports in turn, so that this does not happen in practice.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

/// A program of this workspace, beside the folder of the running test binary.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folder = here.parent().context("no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().context("no folder")? } else { folder };
    let path = folder.join(name);
    ensure!(path.exists(), "{} is missing: `make build` (or `cargo build`) makes it", path.display());
    Ok(path)
}
