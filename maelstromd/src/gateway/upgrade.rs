//! A connection that stops being HTTP (WebSocket and the like): after the container's 101 bytes go both
//! ways as they are. It holds its slot for as long as it lives, and ends when both sides have closed, when
//! nothing moved for its own idle time-out, or at the drain's deadline.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bytes::{Buf, Bytes};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use maelstrom_core::time::Moment;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{client::ClientStream, connection::Client, metrics::Recording, replay::RequestBody};
use crate::{clock, router::Slot, tasks::Tasks, upstream::Exchange, workers::Charge};

/// Per direction. Frames of interactive protocols are small, and there may be thousands of tunnels.
const COPY_BYTES: usize = 8 * 1024;

/// A client's wish for another protocol, with what it takes to grant it.
pub(super) struct Offer {
    on_upgrade: OnUpgrade,
    /// Owns the tunnel: the listener that the client came through.
    tunnels: Tasks,
    /// The tunnel is served where the client was.
    charge: Charge,
}

// === impl Offer ===

impl Offer {
    pub(super) fn new(on_upgrade: OnUpgrade, client: &Client) -> Self {
        Self { on_upgrade, tunnels: client.tunnels.clone(), charge: client.charge.clone() }
    }

    /// The container said 101; the tunnel begins when the client has got it.
    pub(super) fn accept(
        self,
        exchange: Box<Exchange<RequestBody>>,
        slot: Slot,
        recording: Option<Recording>,
        idle: Duration,
    ) {
        let (container, early) = exchange.into_upgraded();
        let Self { on_upgrade, tunnels, charge } = self;
        tunnels.spawn_cancellable("tunnel", async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    let ended = tunnel(upgraded, container, early.freeze(), idle).await;
                    let endpoint = slot.endpoint();
                    tracing::debug!(component = %endpoint.component, place = %endpoint.place, ?ended, "a tunnel ended");
                }
                // The client left between the 101 and its delivery.
                Err(error) => tracing::debug!(%error, "an upgrade came to nothing"),
            }
            drop((slot, recording, charge));
        });
    }
}

async fn tunnel(
    upgraded: Upgraded,
    container: TcpStream,
    from_container: Bytes,
    idle: Duration,
) -> io::Result<()> {
    let last = AtomicU64::new(clock::now().as_nanos());
    match upgraded.downcast::<TokioIo<ClientStream>>() {
        // Without the parser's layers.
        Ok(parts) => {
            let mut client = parts.io.into_inner();
            client.become_raw();
            both_ways(client, parts.read_buf, container, from_container, &last, idle).await
        }
        Err(upgraded) => {
            both_ways(TokioIo::new(upgraded), Bytes::new(), container, from_container, &last, idle).await
        }
    }
}

async fn both_ways(
    client: impl AsyncRead + AsyncWrite,
    from_client: Bytes,
    container: TcpStream,
    from_container: Bytes,
    last: &AtomicU64,
    idle: Duration,
) -> io::Result<()> {
    let (client_reads, client_writes) = tokio::io::split(client);
    let (container_reads, container_writes) = container.into_split();
    let there = one_way(from_client, client_reads, container_writes, last);
    let back = one_way(from_container, container_reads, client_writes, last);
    let both = async { tokio::try_join!(there, back).map(|_| ()) };
    tokio::select! {
        ended = both => ended,
        () = silence(last, idle) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "nothing moved for too long"))
        }
    }
}

/// Passes on what comes until it ends, and then the end itself.
async fn one_way(
    mut early: Bytes,
    from: impl AsyncRead,
    to: impl AsyncWrite,
    last: &AtomicU64,
) -> io::Result<()> {
    tokio::pin!(from, to);
    to.write_all_buf(&mut early).await?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        last.store(clock::now().as_nanos(), Relaxed);
        let mut rest = &buffer[..length];
        while rest.has_remaining() {
            to.write_buf(&mut rest).await?;
            last.store(clock::now().as_nanos(), Relaxed);
        }
    }
}

/// Ends when nothing has moved for so long.
async fn silence(last: &AtomicU64, idle: Duration) {
    loop {
        let until = Moment::from_nanos(last.load(Relaxed)) + idle;
        let rest = until.since(clock::now());
        if rest.is_zero() {
            return;
        }
        tokio::time::sleep(rest).await;
    }
}
