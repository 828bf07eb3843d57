//! Tells systemd what the daemon is doing (`Type=notify`). Without `NOTIFY_SOCKET` it does nothing.
//!
//! Source: sd_notify(3).

use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

/// It serves.
pub(super) fn ready(status: &str) {
    send(&format!("READY=1\nSTATUS={status}"));
}

/// It leaves, which takes at most `limit`.
pub(super) fn stopping(limit: Duration) {
    send(&format!("STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC={}", limit.as_micros()));
}

/// It restarts in place and will tell when it is ready.
pub(super) fn reloading(limit: Duration) {
    let now = crate::clock::monotonic_micros();
    send(&format!(
        "RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=draining for a restart\nEXTEND_TIMEOUT_USEC={}",
        limit.as_micros()
    ));
}

/// Tells again and again that this process does its work, where the unit asks for that (`WatchdogSec`): one that
/// hangs is killed and started anew. Ends at once where nobody asks.
pub(super) async fn keep_watch() {
    let limit = std::env::var("WATCHDOG_USEC").ok().and_then(|micros| micros.parse().ok());
    let Some(limit) = limit.filter(|micros| *micros > 0).map(Duration::from_micros) else { return };
    loop {
        send("WATCHDOG=1");
        // As sd_watchdog_enabled(3) wants it: within half of the limit; a busy machine may be late.
        tokio::time::sleep(limit / 3).await;
    }
}

/// A failure is worth a line, not more: the service runs on.
fn send(text: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let sent = address(&path).and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text.as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// A path, or with `@` in front a name in the abstract namespace.
fn address(path: &std::ffi::OsStr) -> std::io::Result<SocketAddr> {
    use std::os::unix::ffi::OsStrExt as _;
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}
