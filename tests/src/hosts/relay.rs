//! A TCP relay that behaves as badly as a network or a service can: slow, silent, gone.
//!
//! Delays are latency, not bandwidth: each piece arrives so much later than it was sent.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Pieces under way on a connection; a sender that is further ahead waits.
const UNDER_WAY: usize = 256;
const PIECE: usize = 16 * 1024;

/// How a relay behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    Pass,
    /// Each piece comes so much later, in each direction.
    Delay(Duration),
    /// Connections stay and are accepted, and nothing comes through: a service that is frozen.
    Silent,
    /// Connections break and new ones are refused: a service that is stopped.
    Refuse,
}

/// See the module. Dropping it ends it.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    conduct: watch::Sender<Conduct>,
    stop: CancellationToken,
}

// === impl Relay ===

impl Relay {
    /// Listens at a free port of `address` and passes on to `target`.
    pub async fn start(address: Ipv4Addr, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((address, 0)).await.context("listening as a relay")?;
        let address = listener.local_addr()?;
        let (conduct, seen) = watch::channel(Conduct::Pass);
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve(listener, address, target, seen)));
        Ok(Self { address, conduct, stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, conduct: Conduct) {
        self.conduct.send_replace(conduct);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Never ends; all of its connections end with it.
async fn serve(
    mut listener: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
    mut conduct: watch::Receiver<Conduct>,
) {
    loop {
        let mut connections = JoinSet::new();
        let refuse = async {
            let mut conduct = conduct.clone();
            let _ = conduct.wait_for(|conduct| *conduct == Conduct::Refuse).await;
        };
        let accept = async {
            loop {
                while connections.try_join_next().is_some() {}
                match listener.accept().await {
                    Ok((client, _)) => drop(connections.spawn(pass_on(client, target, conduct.clone()))),
                    // Out of descriptors, say: the next one may work.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::select! {
            () = refuse => {}
            () = accept => {}
        }
        drop(listener);
        connections.shutdown().await;
        let _ = conduct.wait_for(|conduct| *conduct != Conduct::Refuse).await;
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
    }
}

async fn pass_on(client: TcpStream, target: SocketAddr, mut conduct: watch::Receiver<Conduct>) {
    if conduct.wait_for(|conduct| *conduct != Conduct::Silent).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    for stream in [&client, &server] {
        // Whoever is behind the relay chose what to send when.
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        one_way(from_client, to_server, conduct.clone()),
        one_way(from_server, to_client, conduct.clone())
    );
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, conduct: watch::Receiver<Conduct>) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Arc<[u8]>)>(UNDER_WAY);
    let mut seen = conduct.clone();
    let read = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let delay = match *conduct.borrow() {
                Conduct::Delay(delay) => delay,
                _ => Duration::ZERO,
            };
            if sender.send((Instant::now() + delay, buffer[..length].into())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = pieces.recv().await {
            tokio::time::sleep_until(due).await;
            let passes = seen.wait_for(|conduct| *conduct != Conduct::Silent).await.is_ok();
            if !passes || to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn ping(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn it_passes_delays_holds_back_and_refuses() {
        let relay = Relay::start(Ipv4Addr::LOCALHOST, echo().await).await.unwrap();
        let mut stream = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(ping(&mut stream).await.unwrap(), b'x');

        relay.set(Conduct::Delay(Duration::from_millis(60)));
        let begun = Instant::now();
        assert_eq!(ping(&mut stream).await.unwrap(), b'x');
        assert!(begun.elapsed() >= Duration::from_millis(120), "both ways");

        relay.set(Conduct::Silent);
        let silent = tokio::time::timeout(Duration::from_millis(200), ping(&mut stream)).await;
        assert!(silent.is_err(), "{silent:?}");
        relay.set(Conduct::Pass);
        assert_eq!(stream.read_u8().await.unwrap(), b'x');

        relay.set(Conduct::Refuse);
        assert!(ping(&mut stream).await.is_err());
        assert!(TcpStream::connect(relay.address()).await.is_err());
        relay.set(Conduct::Pass);
        let connected = crate::wait::until("a connection", crate::wait::LONG, || async {
            Ok(TcpStream::connect(relay.address()).await.ok())
        });
        assert_eq!(ping(&mut connected.await.unwrap()).await.unwrap(), b'x');
    }
}
