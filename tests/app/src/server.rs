//! Accepts connections until SIGTERM, then finishes what is in flight.
//!
//! HTTP/1.1 and cleartext HTTP/2 (prior knowledge) share the port.

use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::routes;
use crate::settings::Settings;
use crate::state::{State, log};

pub(crate) async fn run(settings: Settings) -> io::Result<()> {
    // As process 1 of a container no signal has a default action: both are asked for.
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::time::sleep(settings.listen_after).await;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.port)).await?;
    let state = Arc::new(State::new(settings));
    log(&format!("mael-app {} listens on port {}", state.settings.version, listener.local_addr()?.port()));

    let open = GracefulShutdown::new();
    let server = auto::Builder::new(TokioExecutor::new());
    loop {
        tokio::select! {
            () = asked_to_stop(&mut term, &mut interrupt, &state) => break,
            // Out of descriptors is the only likely error; the next accept tells again.
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                serve(stream, &server, &open, &state);
            }
        }
    }
    drop(listener);
    log("mael-app finishes what is in flight");
    open.shutdown().await;
    state.upgraded.close();
    state.upgraded.wait().await;
    Ok(())
}

async fn asked_to_stop(term: &mut Signal, interrupt: &mut Signal, state: &State) {
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        if !state.settings.ignore_term {
            return;
        }
        log("mael-app ignores a request to stop");
    }
}

fn serve(
    stream: TcpStream,
    server: &auto::Builder<TokioExecutor>,
    open: &GracefulShutdown,
    state: &Arc<State>,
) {
    let _ = stream.set_nodelay(true);
    let hangup = Hangup::default();
    let connection = TokioIo::new(Connection { stream, hangup: hangup.clone() });
    let state = Arc::clone(state);
    let service = service_fn(move |request| routes::answer(Arc::clone(&state), hangup.clone(), request));
    let connection = server.serve_connection_with_upgrades(connection, service).into_owned();
    let connection = open.watch(connection);
    // Owned by `open`, whose shutdown waits for every connection that it watches.
    tokio::spawn(async move {
        let _ = connection.await;
    });
}

/// Lets a request decide that its connection ends with a reset instead of a close.
#[derive(Clone, Default)]
pub(crate) struct Hangup {
    reset: Arc<AtomicBool>,
}

impl Hangup {
    /// To be returned in place of an answer, which ends the connection.
    pub(crate) fn reset(&self) -> io::Error {
        self.reset.store(true, Ordering::Relaxed);
        io::Error::new(io::ErrorKind::ConnectionReset, "reset as /reset asks")
    }
}

/// A TCP connection that closes the way its [`Hangup`] says.
struct Connection {
    stream: TcpStream,
    hangup: Hangup,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.hangup.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A reset has nothing to say goodbye with: a FIN first would be a clean end.
        if self.hangup.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
