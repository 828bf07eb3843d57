//! The bodies of answers: whole, timed, endless, broken.

use std::convert::Infallible;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::HeaderMap;
use hyper::body::{Frame, Incoming};

use crate::inflight::Guard;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The largest piece of a body that is handed over at once.
const PIECE: usize = 1 << 20;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// `length` bytes; up to 1 MiB with a known length, more in pieces.
pub(crate) fn filler(length: u64, guard: Guard) -> Body {
    static PATTERN: OnceLock<Bytes> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| Bytes::from(vec![b'x'; PIECE]));
    let piece = |n: u64| pattern.slice(..usize::try_from(n).map_or(PIECE, |n| n.min(PIECE)));
    if length <= PIECE as u64 {
        drop(guard);
        return full(piece(length));
    }
    let pieces = stream::iter((0..length).step_by(PIECE)).map(move |sent| {
        let _held_while_the_body_lives = &guard;
        Ok(piece(length - sent))
    });
    frames(pieces)
}

/// `chunks` numbered lines, a pause after each.
pub(crate) fn lines(chunks: u64, pause: Duration, line: fn(u64) -> String, guard: Guard) -> Body {
    frames(stream::unfold((0, guard), move |(n, guard)| async move {
        if n > 0 {
            tokio::time::sleep(pause).await;
        }
        (n < chunks).then(|| (Ok(Bytes::from(line(n))), (n + 1, guard)))
    }))
}

/// What the client sends, as it sends it, trailers included.
pub(crate) fn echo(incoming: Incoming, guard: Guard) -> Body {
    incoming
        .map_frame(move |frame| {
            let _held_while_the_body_lives = &guard;
            frame
        })
        .map_err(io::Error::other)
        .boxed_unsync()
}

pub(crate) fn with_trailers(bytes: &'static str, trailers: HeaderMap) -> Body {
    let frames = [Ok(Frame::data(Bytes::from_static(bytes.as_bytes()))), Ok(Frame::trailers(trailers))];
    BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames)))
}

/// `sent` bytes, then what `end` does: fail, hang or end the process.
pub(crate) fn cut<F>(sent: usize, guard: Guard, end: impl FnOnce() -> F + Send + 'static) -> Body
where
    F: Future<Output = io::Error> + Send + 'static,
{
    let head = stream::once(async move { Ok(Bytes::from(vec![b'x'; sent])) });
    let tail = stream::once(async move {
        let _guard = guard;
        // Long enough for the head to have left this process.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(end().await)
    });
    frames(head.chain(tail))
}

fn frames(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}
