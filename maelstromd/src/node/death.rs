//! Notices that a container's first process has ended: within milliseconds by a file descriptor of the
//! process, where the daemon sees the host's processes; by the engine's event otherwise.
//!
//! Never signals a process and never trusts a pid alone: the number may belong to somebody else by now,
//! so the process has to be in the container's control group.

use std::{fs, os::fd::OwnedFd};

use maelstrom_core::{names::InstanceId, ports::engine::Container};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
};

/// What is known of an instance's end from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Obituary {
    /// The engine says that it has ended.
    pub(super) died: bool,
    pub(super) out_of_memory: bool,
}

/// One container's process under watch.
#[derive(Debug)]
pub(super) struct DeathWatch {
    process: Option<AsyncFd<OwnedFd>>,
    obituary: watch::Receiver<Obituary>,
}

// === impl DeathWatch ===

impl DeathWatch {
    pub(super) fn new(container: &Container, obituary: watch::Receiver<Obituary>) -> Self {
        let process = container.pid.and_then(|pid| open(pid, &container.id));
        Self { process, obituary }
    }

    /// Ends when the container's process has ended. May be called again.
    pub(super) async fn died(&mut self) {
        let reported = async {
            let outcome = self.obituary.wait_for(|obituary| obituary.died).await.map(|_| ());
            if outcome.is_err() {
                // Nobody is left who could report: only the process can tell.
                std::future::pending::<()>().await;
            }
        };
        match &self.process {
            None => reported.await,
            Some(process) => tokio::select! {
                biased;
                // A readable process descriptor is a process that has ended; it stays readable.
                _ = process.readable() => {}
                () = reported => {}
            },
        }
    }
}

fn open(pid: u32, id: &InstanceId) -> Option<AsyncFd<OwnedFd>> {
    let process = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let descriptor = pidfd_open(process, PidfdFlags::NONBLOCK).ok()?;
    // Looked at after the descriptor was opened: from here on the pid can't change its owner unnoticed.
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    if !groups.contains(id.as_str()) {
        return None;
    }
    watched(descriptor)
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe, since a type could show one descriptor now and another later; an OwnedFd can't"
)]
fn watched(descriptor: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE).ok()
}
