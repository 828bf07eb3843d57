//! Accepting clients: as many as the limit allows, and none any more once the gateway stops. What was
//! accepted is served by a worker and owned here: it is waited for, and cut off when the time to drain is
//! over.

use std::{
    io,
    net::{SocketAddr, TcpStream as Accepted},
    sync::Arc,
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Gateway, connection::Client, context::Side};
use crate::tasks::Tasks;

/// Out of descriptors or memory: those who leave make room, so trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Clients that vanished without a word while nothing was sent to them are found out after two minutes.
const TCP_KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const TCP_KEEPALIVE_PROBES: u32 = 4;

impl Gateway {
    /// Serves anybody until `stop` fires and what was under way has ended, or its time is over.
    pub async fn serve_public(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        self.serve(Side::Public, listener, stop).await;
    }

    /// Serves peers, containers and people who manage the node, like [`Gateway::serve_public`].
    pub async fn serve_private(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        self.serve(Side::Private, listener, stop).await;
    }

    async fn serve(self: Arc<Self>, side: Side, listener: TcpListener, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(self.settings.max_connections));
        let (connections, tunnels) = (Tasks::new(), Tasks::new());
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = accept(&listener, &room) => accepted,
            };
            let (stream, address, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Once, not twenty times a second.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(?side, %error, "clients can't be accepted; trying on");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            failing = false;
            let client = Client::new(side, address, tunnels.clone(), self.workers.engage());
            self.serve_client(stream, client, permit, &connections, &stop);
        }
        for (stream, address, permit) in last_in_queue(listener, &room) {
            let client = Client::new(side, address, tunnels.clone(), self.workers.engage());
            self.serve_client(stream, client, permit, &connections, &stop);
        }
        let until = Instant::now() + self.settings.tunnel_drain;
        connections.join(self.settings.drain).await;
        // A connection that was upgraded meanwhile has left a tunnel.
        tunnels.join(until.saturating_duration_since(Instant::now())).await;
    }

    fn serve_client(
        self: &Arc<Self>,
        stream: Accepted,
        client: Client,
        permit: OwnedSemaphorePermit,
        connections: &Tasks,
        stop: &CancellationToken,
    ) {
        let (gateway, stop) = (Arc::clone(self), stop.clone());
        let worker = client.charge.runtime().clone();
        // Boxed here: each layer that a future is handed through by value holds it twice, and this memory
        // is what an idle connection costs.
        let served = Box::pin(async move {
            // Here, since it is the worker's reactor that is to tell of it.
            match TcpStream::from_std(stream) {
                Ok(stream) => gateway.serve_connection(stream, client, stop).await,
                Err(error) => tracing::warn!(client = %client.address, %error, "a client can't be served"),
            }
            drop(permit);
        });
        connections.spawn_on(&worker, "client connection", served);
    }
}

/// Clients that connected before the gateway stopped and were not accepted yet: closing the socket would
/// reset them. Ends when the queue is empty, at the latest after as many as fit it; then the socket closes,
/// so that nobody waits in vain in the queue of a socket that is not read any more.
fn last_in_queue(
    listener: TcpListener,
    room: &Arc<Semaphore>,
) -> impl Iterator<Item = (Accepted, SocketAddr, OwnedSemaphorePermit)> {
    const QUEUE: usize = 4_096;
    let socket = listener.into_std().ok();
    let room = Arc::clone(room);
    std::iter::from_fn(move || {
        let permit = Arc::clone(&room).try_acquire_owned().ok()?;
        let (stream, address) = socket.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        let _ = prepare(&stream);
        Some((stream, address, permit))
    })
    .take(QUEUE)
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(Accepted, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let stream = stream.into_std()?;
                // Fails only on a connection that is already gone.
                let _ = prepare(&stream);
                return Ok((stream, address, permit));
            }
            // That client left again before its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

fn prepare(stream: &Accepted) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, TCP_KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, TCP_KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, TCP_KEEPALIVE_PROBES)?;
    Ok(())
}
