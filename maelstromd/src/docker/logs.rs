//! A container's output as lines. Docker sends pieces: several of a long line, one per 16 KiB, and both
//! streams interleaved; they are put together again per stream, up to a bound.

use std::sync::Arc;

use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use bytes::{Bytes, BytesMut};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use maelstrom_core::{names::InstanceId, ports::engine::*};

use super::{connection::Connection, containers::short, errors::Subject};

/// A longer line comes in pieces of this size: a program that never ends a line must not fill memory.
const LINE_BYTES: usize = 64 * 1024;

struct Reader {
    connection: Arc<Connection>,
    id: InstanceId,
    query: LogQuery,
    pieces: Option<BoxStream<'static, Result<LogOutput, bollard::errors::Error>>>,
    partial: [BytesMut; 2],
    ready: std::collections::VecDeque<LogLine>,
    ended: bool,
}

pub(super) fn logs(
    connection: Arc<Connection>,
    id: InstanceId,
    query: LogQuery,
) -> impl Stream<Item = EngineResult<LogLine>> + Send {
    let reader = Reader {
        connection,
        id,
        query,
        pieces: None,
        partial: Default::default(),
        ready: Default::default(),
        ended: false,
    };
    stream::unfold(reader, async |mut reader| reader.next().await.map(|line| (line, reader)))
}

// === impl Reader ===

impl Reader {
    async fn next(&mut self) -> Option<EngineResult<LogLine>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.read().await {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }

    async fn read(&mut self) -> EngineResult<()> {
        let pieces = match &mut self.pieces {
            Some(pieces) => pieces,
            None => {
                let docker = self.connection.client().await?;
                self.pieces.insert(docker.logs(self.id.as_str(), Some(options(&self.query))).boxed())
            }
        };
        match pieces.next().await {
            Some(Ok(piece)) => self.take(piece),
            Some(Err(error)) => {
                let action = format!("reading the log of container {}", short(&self.id));
                return Err(self.connection.failed(error, &action, Subject::Container(&self.id)));
            }
            None => {
                self.ended = true;
                for stream in [LogStream::Stdout, LogStream::Stderr] {
                    let rest = std::mem::take(&mut self.partial[index(stream)]);
                    if !rest.is_empty() {
                        self.ready.push_back(LogLine { stream, line: trimmed(rest) });
                    }
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, piece: LogOutput) {
        let stream = match piece {
            LogOutput::StdErr { .. } => LogStream::Stderr,
            // Of a container with a terminal, which has one stream only, Docker says "console".
            LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
                LogStream::Stdout
            }
        };
        let partial = &mut self.partial[index(stream)];
        split(partial, &piece.into_bytes(), |line| self.ready.push_back(LogLine { stream, line }));
    }
}

/// Adds `piece` to what there is of a line and gives away the lines that are complete or too long.
fn split(partial: &mut BytesMut, piece: &[u8], mut give: impl FnMut(Bytes)) {
    for part in piece.split_inclusive(|byte| *byte == b'\n') {
        let mut rest = part;
        while partial.len() + rest.len() > LINE_BYTES {
            let (fits, more) = rest.split_at(LINE_BYTES - partial.len());
            partial.extend_from_slice(fits);
            give(std::mem::take(partial).freeze());
            rest = more;
        }
        partial.extend_from_slice(rest);
        if partial.ends_with(b"\n") {
            give(trimmed(std::mem::take(partial)));
        }
    }
}

fn trimmed(mut line: BytesMut) -> Bytes {
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.truncate(line.len() - 1);
        }
    }
    line.freeze()
}

fn index(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
    }
}

fn options(query: &LogQuery) -> bollard::query_parameters::LogsOptions {
    let mut options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(query.follow);
    if let Some(since) = query.since {
        options = options.since(i32::try_from(since).unwrap_or(i32::MAX));
    }
    if let Some(tail) = query.tail {
        options = options.tail(&tail.to_string());
    }
    options.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> (Vec<Bytes>, BytesMut) {
        let mut partial = BytesMut::new();
        let mut lines = Vec::new();
        for piece in pieces {
            split(&mut partial, piece, |line| lines.push(line));
        }
        (lines, partial)
    }

    #[test]
    fn pieces_become_lines_again() {
        let (lines, rest) = lines(&[b"one\ntw", b"o\r\n\nth", b"ree"]);
        assert_eq!(lines, [&b"one"[..], b"two", b""]);
        assert_eq!(&rest[..], b"three");
    }

    #[test]
    fn an_endless_line_is_given_away_in_bounded_pieces() {
        let piece = vec![b'x'; 16 * 1024];
        let (lines, rest) = lines(&[piece.as_slice(); 9]);
        assert_eq!(lines.iter().map(Bytes::len).collect::<Vec<_>>(), [LINE_BYTES, LINE_BYTES]);
        assert_eq!(rest.len(), 16 * 1024);
    }
}
