//! The daemon under measurement: started with its defaults, driven through its API.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::backend::{IMAGE, PORT};
use crate::client::{Answer, Client};
use crate::options::Options;
use crate::proc::Process;

/// The host whose requests are measured; the other routes have hosts of their own.
pub(crate) const HOST: &str = "bench.test";
/// Routes beside the measured one: lookups must cost the same with a full table.
const OTHER_ROUTES: usize = 999;
const PROJECT: &str = "bench";
const QUEUE_COMPONENT: &str = "bench-queue";
/// Starting, stopping, the first instance: far beyond what any of them may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Daemon {
    process: RefCell<Process>,
    pub(crate) public: SocketAddr,
    private: SocketAddr,
    pub(crate) log: PathBuf,
}

impl Daemon {
    pub(crate) async fn start(options: &Options, program: &Path) -> Result<Self> {
        Self::start_with(options, program, &[]).await
    }

    /// With more in its environment.
    pub(crate) async fn start_with(
        options: &Options,
        program: &Path,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let (public, private) = (free_address()?, free_address()?);
        let log = options.scratch.join("maelstromd.log");
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MAEL_")) {
            command.env_remove(name);
        }
        command
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&options.scratch)
            .env("MAEL_STORE", format!("sqlite:{}", options.scratch.join("maelstrom.db").display()))
            .env("MAEL_PUBLIC_PORT", public.port().to_string())
            .env("MAEL_PRIVATE_PORT", private.port().to_string())
            .env("MAEL_WORKER_THREADS", options.workers.to_string());
        let process = RefCell::new(Process::start("maelstromd", &mut command, &log)?);
        let daemon = Self { process, public, private, log };
        daemon.wait_for_health().await?;
        Ok(daemon)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.borrow().id()
    }

    pub(crate) async fn stop(self) -> Result<()> {
        let mut process = self.process.into_inner();
        tokio::task::spawn_blocking(move || process.stop(PATIENCE)).await?
    }

    async fn wait_for_health(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        for address in [self.private, self.public] {
            while !get(address, "health", "/_mael_health_check")
                .await
                .is_ok_and(|answer| answer.status == 200)
            {
                self.check_alive()?;
                let log = self.log.display();
                ensure!(
                    Instant::now() < end,
                    "maelstromd does not answer its health check at {address}: see {log}"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    fn check_alive(&self) -> Result<()> {
        match self.process.borrow_mut().has_ended() {
            Some(how) => bail!("maelstromd ended ({how}): {} says why", self.log.display()),
            None => Ok(()),
        }
    }

    /// One call of the management API; `method` without its service is MaelstromService's.
    pub(crate) async fn call(&self, method: &str, parameters: Value) -> Result<Value> {
        let method = if method.contains('.') { method.into() } else { format!("MaelstromService.{method}") };
        let body =
            json!({ "jsonrpc": "2.0", "id": "bench", "method": method, "params": [parameters] }).to_string();
        let private = self.private;
        let answer = tokio::task::spawn_blocking(move || {
            Client::connect(private)?.post_json("bench", "/_mael/v1", &body)
        })
        .await?
        .with_context(|| format!("calling {method}; the daemon's log is {}", self.log.display()))?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "{method} answered {}: {text}", answer.status);
        let mut reply: Value =
            serde_json::from_str(&text).with_context(|| format!("{method} answered {text}"))?;
        match reply.get_mut("result").map(Value::take) {
            Some(result) if !result.is_null() => Ok(result),
            _ => bail!("{method} failed: {text}"),
        }
    }

    // === The warm path ===

    /// A component that always runs one instance, and the table of routes.
    pub(crate) async fn put_warm_project(&self) -> Result<()> {
        self.call("PutProject", json!({ "project": warm_project() })).await?;
        Ok(())
    }

    pub(crate) async fn remove_warm_project(&self) -> Result<()> {
        self.call("RemoveProject", json!({ "name": PROJECT })).await?;
        self.wait_until_nothing_runs().await
    }

    /// Until the measured route answers.
    pub(crate) async fn warm_up(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let outcome = get(self.public, HOST, "/bytes?n=100").await;
            match outcome {
                Ok(answer) if answer.status == 200 => return Ok(()),
                _ if Instant::now() < end => self.check_alive()?,
                Ok(answer) => bail!("the warm component answers {}: {}", answer.status, text_of(&answer)),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    // === Cold starts ===

    /// A component of which nothing runs, reached at a host of its own.
    pub(crate) async fn put_cold_component(&self, name: &str, standby: u32) -> Result<()> {
        let mut component = component(name, json!({ "standby": standby }));
        component["docker"]["idleTimeoutSeconds"] = json!(1);
        self.call("PutComponent", json!({ "component": component })).await?;
        let source = route(name, name, json!({ "hostname": host_of(name) }));
        self.call("PutEventSource", json!({ "eventSource": source["eventSource"] })).await?;
        Ok(())
    }

    pub(crate) async fn remove_component(&self, name: &str) -> Result<()> {
        self.call("RemoveComponent", json!({ "name": name })).await?;
        self.wait_until_nothing_runs().await
    }

    /// From request to answer, on a connection of its own as any new client has it.
    pub(crate) async fn timed_request(&self, name: &str) -> Result<Duration> {
        let begin = Instant::now();
        let answer = get(self.public, &host_of(name), "/").await?;
        let took = begin.elapsed();
        ensure!(answer.status == 200, "{name} answered {}: {}", answer.status, text_of(&answer));
        Ok(took)
    }

    /// Waits until the component, idle since its last request, runs nothing but standby instances.
    pub(crate) async fn scale_to_zero(&self, name: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await?;
            if !running(&status).any(|one| one["componentName"] == name && one["standby"] != true) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{name} still runs after {} s of idleness", PATIENCE.as_secs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    // === Queues ===

    /// A component that takes as many messages at a time as come.
    pub(crate) async fn put_queue_component(&self) -> Result<()> {
        let more = json!({ "minInstances": 1, "maxConcurrency": 1_000, "softConcurrencyLimit": true });
        self.call("PutComponent", json!({ "component": component(QUEUE_COMPONENT, more) })).await?;
        let end = Instant::now() + PATIENCE;
        while running(&self.status().await?).all(|one| one["status"] != "active") {
            ensure!(Instant::now() < end, "no instance for queues");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// So many pollers of ten for a queue.
    pub(crate) async fn put_queue(&self, name: &str, queue: &str, pollers: usize) -> Result<()> {
        let sqs = json!({
            "queueName": queue, "path": "/bytes?n=2", "maxConcurrency": pollers * 10,
            "messagesPerPoll": 10, "concurrencyPerPoller": 10,
        });
        let source = json!({ "name": name, "componentName": QUEUE_COMPONENT, "version": 0, "sqs": sqs });
        self.call("PutEventSource", json!({ "eventSource": source })).await?;
        Ok(())
    }

    pub(crate) async fn messages_done(&self, name: &str) -> Result<usize> {
        let told = self.call("DescribeEventSource", json!({ "name": name, "local": true })).await?;
        let pollers = told["pollers"].as_array().into_iter().flatten();
        Ok(pollers.filter_map(|poller| poller["succeeded"].as_u64()).sum::<u64>() as usize)
    }

    pub(crate) async fn remove_queue(&self, name: &str) -> Result<()> {
        self.call("RemoveEventSource", json!({ "name": name })).await?;
        Ok(())
    }

    async fn wait_until_nothing_runs(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await?;
            if running(&status).next().is_none() {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "instances of removed components still run: {}",
                status["runningComponents"]
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn status(&self) -> Result<Value> {
        Ok(self.call("NodeService.GetStatus", json!({})).await?["status"].take())
    }
}

fn running(status: &Value) -> impl Iterator<Item = &Value> {
    status["runningComponents"].as_array().into_iter().flatten()
}

fn warm_project() -> Value {
    let mut app = component("app", json!({ "minInstances": 1, "maxConcurrency": 10_000 }));
    app["docker"]["idleTimeoutSeconds"] = json!(3600);
    let other = component("other", json!({}));
    let others = (0..OTHER_ROUTES).map(|n| {
        let host = format!("r{}.bench.test", n % 100);
        route(&format!("r{n}"), "other", json!({ "hostname": host, "pathPrefix": format!("/service/{n}") }))
    });
    json!({ "name": PROJECT, "components": [
        { "component": app, "eventSources": [route("app", "app", json!({ "hostname": HOST }))] },
        { "component": other, "eventSources": others.collect::<Vec<_>>() },
    ]})
}

fn component(name: &str, more: Value) -> Value {
    let mut component = json!({
        "name": name, "version": 0, "environment": [], "maxInstances": 1, "maxConcurrency": 1,
        "docker": {
            "image": IMAGE, "httpPort": PORT, "httpHealthCheckPath": "/", "reserveMemoryMiB": 64,
        },
    });
    if let (Some(fields), Value::Object(more)) = (component.as_object_mut(), more) {
        fields.extend(more);
    }
    component
}

fn route(name: &str, component: &str, http: Value) -> Value {
    let source =
        json!({ "name": name, "componentName": component, "version": 0, "modifiedAt": 0, "http": http });
    json!({ "eventSource": source, "enabled": true })
}

fn host_of(component: &str) -> String {
    format!("{component}.test")
}

fn text_of(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).trim_end().to_owned()
}

async fn get(address: SocketAddr, host: &str, path: &str) -> Result<Answer> {
    let (host, path) = (host.to_owned(), path.to_owned());
    tokio::task::spawn_blocking(move || Client::connect(address)?.get(&host, &path)).await?
}

/// A port that nobody listens on now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use maelstrom_core::wire;

    use super::*;

    #[test]
    fn what_is_put_is_what_the_api_takes() {
        let project: wire::Project = serde_json::from_value(warm_project()).unwrap();
        assert_eq!(project.components.len(), 2);
        assert_eq!(project.components[1].event_sources.len(), OTHER_ROUTES);
        assert_eq!(project.components[0].component.min_instances, Some(1));
        let docker = project.components[0].component.docker.as_ref().unwrap();
        assert_eq!(docker.idle_timeout_seconds, Some(3600));
    }
}
