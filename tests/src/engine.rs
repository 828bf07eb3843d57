//! A Docker engine of a test's own, to be stopped and started without hurting its neighbours.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
};

use anyhow::{Context, Result};
use bollard::{API_DEFAULT_VERSION, Docker};
use tempfile::TempDir;

use crate::{
    command::run,
    wait::{self, LONG},
};

/// A `dockerd` with its own folders, socket and bridge. Dropping it stops it and removes all of that.
pub struct OwnEngine {
    folder: TempDir,
    bridge: String,
    process: Option<Child>,
}

impl OwnEngine {
    pub async fn start() -> Result<Self> {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        // Names and subnets differ between the processes of a test run, too.
        let id = std::process::id() % 10_000;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let bridge = format!("mael{id}-{count}");
        let subnet = format!("10.{}.{}.1/24", 100 + id / 256 % 100, (id + u32::from(count)) % 256);
        run(&["ip", "link", "add", &bridge, "type", "bridge"])?;
        run(&["ip", "addr", "add", &subnet, "dev", &bridge])?;
        run(&["ip", "link", "set", &bridge, "up"])?;
        let mut engine = Self { folder: TempDir::with_prefix("maelstrom-engine-")?, bridge, process: None };
        engine.start_again().await?;
        Ok(engine)
    }

    /// Starts it after [`OwnEngine::stop`], on the same folders.
    pub async fn start_again(&mut self) -> Result<()> {
        let folder = self.folder.path();
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let child = Command::new("dockerd")
            .args(["--data-root", &self.path("data"), "--exec-root", &self.path("exec")])
            .args(["--pidfile", &self.path("pid"), "-H", &self.host(), "--bridge", &self.bridge])
            // Containers are dialled on the bridge; nobody publishes ports or goes out.
            .args(["--iptables=false", "--ip-masq=false", "--shutdown-timeout", "2"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting dockerd")?;
        self.process = Some(child);
        let answers = wait::until("dockerd", LONG, || async { Ok(Some(self.docker()?.ping().await?)) }).await;
        answers.map(drop).with_context(|| fs::read_to_string(folder.join("log")).unwrap_or_default())
    }

    /// Stops it as an operator would; its containers end.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            run(&["kill", "-TERM", &process.id().to_string()])?;
            process.wait()?;
        }
        Ok(())
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock"))
    }

    pub fn docker(&self) -> Result<Docker> {
        // Seconds: an engine that cleans up after a crash answers late.
        Ok(Docker::connect_with_unix(&self.path("docker.sock"), 30, API_DEFAULT_VERSION)?)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let _ = self.stop();
        let _ = run(&["ip", "link", "del", &self.bridge]);
    }
}
