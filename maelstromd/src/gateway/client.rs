//! The socket of a client as the HTTP parser sees it: what it reads is scanned ([`super::scan`]), and
//! nothing it waits for can take for ever.
//!
//! A refusal is made the parser's own: the head's rest is replaced by bytes that no head may contain, so
//! that the parser stops there, answers 400 and closes. On its way out that bare answer is replaced by
//! one that says what was wrong.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Sleep,
};

use super::scan::{Scanner, Verdict};

/// No byte of a head, so the parser refuses the head that has it.
const SPOILT: u8 = 0;
/// The end of a head that is refused, for a parser that waits for one.
const SPOILT_END: &[u8] = b"\0\r\n\r\n";
/// A small answer is cheaper copied together and sent than described piece by piece to the kernel.
const GATHERED_BYTES: usize = 1024;
/// What a refused client had still under way is read and thrown away, so that closing doesn't reset the
/// connection before the client has read why.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);
const LINGER_READ_BYTES: usize = 4 * 1024;

/// The longest waits on a client's socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From a head's first byte to its last.
    pub(super) head: Duration,
    /// For a client to take anything of what is written to it.
    pub(super) write: Duration,
}

/// The reading side of a client's socket, shared by the parser, which reads it between requests, and the
/// request under way, which watches it for the client's leaving.
#[derive(Debug)]
pub(super) struct Reader {
    half: Mutex<OwnedReadHalf>,
}

#[derive(Debug)]
pub(super) struct ClientStream {
    reader: Arc<Reader>,
    writer: OwnedWriteHalf,
    /// Read while the protocol was found out.
    first: Bytes,
    /// Of an HTTP/1.1 connection.
    scanner: Option<Scanner>,
    patience: Patience,
    /// Runs only while a head has begun and the rest of it has not come.
    head_timer: Option<Pin<Box<Sleep>>>,
    /// Runs only while the client takes nothing.
    write_timer: Option<Pin<Box<Sleep>>>,
    refused: Option<Refused>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Ambiguous,
    Slow,
}

// === impl Refused ===

impl Refused {
    fn answer(self) -> Vec<u8> {
        let (status, text) = match self {
            Self::Ambiguous => (
                "400 Bad Request",
                "gateway: a request must not have both Content-Length and Transfer-Encoding",
            ),
            Self::Slow => ("408 Request Timeout", "gateway: the request's headers did not arrive in time"),
        };
        let length = text.len();
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: {length}\r\n\r\n{text}"
        )
        .into_bytes()
    }
}

// === impl Reader ===

impl Reader {
    /// Ready when the client has closed its side, or the connection broke. Costs no system call while
    /// nothing arrives; what arrives early is left for the parser.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut half = self.half.lock();
        ready!(half.as_ref().poll_read_ready(cx)).map_or(Poll::Ready(()), |()| {
            let mut byte = [0];
            match ready!(half.poll_peek(cx, &mut ReadBuf::new(&mut byte))) {
                Ok(0) | Err(_) => Poll::Ready(()),
                Ok(_) => Poll::Pending,
            }
        })
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.half.lock()).poll_read(cx, buffer)
    }
}

// === impl ClientStream ===

impl ClientStream {
    pub(super) fn http1(stream: TcpStream, first: Bytes, patience: Patience) -> Self {
        Self { scanner: Some(Scanner::new()), ..Self::http2(stream, first, patience) }
    }

    pub(super) fn http2(stream: TcpStream, first: Bytes, patience: Patience) -> Self {
        let (half, writer) = stream.into_split();
        Self {
            reader: Arc::new(Reader { half: Mutex::new(half) }),
            writer,
            first,
            scanner: None,
            patience,
            head_timer: None,
            write_timer: None,
            refused: None,
            linger: None,
        }
    }

    pub(super) fn reader(&self) -> Arc<Reader> {
        Arc::clone(&self.reader)
    }

    /// From now on the connection speaks something else than HTTP.
    pub(super) fn become_raw(&mut self) {
        self.scanner = None;
        self.head_timer = None;
    }

    /// Scans what was just read; a head that must not be accepted is spoilt from where that showed. What
    /// stands before it, such as the rest of an earlier request, stays as it is.
    fn scan(&mut self, read: &mut [u8]) {
        let Some(scanner) = &mut self.scanner else { return };
        let verdict = scanner.follow(read);
        if !scanner.is_in_head() {
            self.head_timer = None;
        }
        if let Verdict::Ambiguous { at } = verdict {
            self.refused = Some(Refused::Ambiguous);
            read[at..].fill(SPOILT);
        }
    }

    /// The client has sent nothing more: if a head is under way, only for so long.
    fn poll_head_timer(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let in_head = self.scanner.as_ref().is_some_and(Scanner::is_in_head);
        if !in_head {
            return Poll::Pending;
        }
        let limit = self.patience.head;
        let timer = self.head_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        self.head_timer = None;
        self.refused = Some(Refused::Slow);
        buffer.put_slice(SPOILT_END);
        Poll::Ready(Ok(()))
    }

    /// After each write: whoever takes nothing has only so long.
    fn on_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let limit = self.patience.write;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client took nothing for too long")))
    }

    /// The parser's own answer to a head that was spoilt for it.
    fn is_bare_refusal(&self, first: &[u8]) -> bool {
        self.refused.is_some() && first.starts_with(b"HTTP/1.1 400 ")
    }

    /// Reads what is still under way and throws it away, for a moment.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (timer, rest) =
            self.linger.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES));
        let mut waste = [0; LINGER_READ_BYTES];
        while *rest > 0 {
            let mut buffer = ReadBuf::new(&mut waste);
            match self.reader.poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    *rest = rest.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return timer.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.refused.is_some() {
            buffer.put_slice(&SPOILT_END[..SPOILT_END.len().min(buffer.remaining())]);
            return Poll::Ready(Ok(()));
        }
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            self.first.advance(length);
        }
        // The rest of the packet comes with its first bytes: a parser that gets them alone doubles its buffer.
        if buffer.remaining() > 0 {
            match self.reader.poll_read(cx, buffer) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if buffer.filled().len() == before => return self.poll_head_timer(cx, buffer),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        self.scan(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_bare_refusal(bytes) {
            let answer = self.refused.map(Refused::answer).unwrap_or_default();
            // A few hundred bytes into the buffer of a connection that is closed next: all or nothing.
            let written = ready!(Pin::new(&mut self.writer).poll_write(cx, &answer));
            return Poll::Ready(written.map(|_| bytes.len()));
        }
        let written = Pin::new(&mut self.writer).poll_write(cx, bytes);
        self.on_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = parts.first()
            && self.is_bare_refusal(first)
        {
            return self.poll_write(cx, first);
        }
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let written = if length <= GATHERED_BYTES {
            let mut gathered = [0; GATHERED_BYTES];
            let mut end = 0;
            for part in parts {
                gathered[end..end + part.len()].copy_from_slice(part);
                end += part.len();
            }
            Pin::new(&mut self.writer).poll_write(cx, &gathered[..length])
        } else {
            Pin::new(&mut self.writer).poll_write_vectored(cx, parts)
        };
        self.on_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP stream buffers nothing of its own.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.writer).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
    }
}
