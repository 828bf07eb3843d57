//! Lines on their way from many containers to one reader, bounded: when the reader lags, the oldest go
//! and a note takes their place.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use maelstrom_core::ports::engine::LogStream;
use parking_lot::Mutex;

use super::Line;

/// A burst of all instances at their start; at most so many lines and bytes per open stream.
const MAX_LINES: usize = 4_096;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// What a line weighs beside its text.
const LINE_OVERHEAD: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Buffer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines thrown away before the first that is left.
    lost: u64,
    closed: bool,
    reader: Option<Waker>,
}

// === impl Buffer ===

impl Buffer {
    pub(super) fn put(&self, line: Line) {
        let mut state = self.state.lock();
        state.bytes += weight(&line);
        state.lines.push_back(line);
        while state.lines.len() > MAX_LINES || state.bytes > MAX_BYTES {
            let Some(oldest) = state.lines.pop_front() else { break };
            state.bytes -= weight(&oldest);
            state.lost += 1;
        }
        wake(state);
    }

    /// Nothing comes any more; what is here can still be read.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        wake(state);
    }

    pub(super) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Line>> {
        let mut state = self.state.lock();
        if state.lost > 0
            && let Some(next) = state.lines.front()
        {
            let data = format!(
                "maelstrom: {} lines left out here, they came faster than they were read",
                state.lost
            );
            let note = Line { stream: LogStream::Stderr, data: data.into(), ..next.clone() };
            state.lost = 0;
            return Poll::Ready(Some(note));
        }
        if let Some(line) = state.lines.pop_front() {
            state.bytes -= weight(&line);
            return Poll::Ready(Some(line));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

fn weight(line: &Line) -> usize {
    line.data.len() + LINE_OVERHEAD
}

fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use maelstrom_core::names::{ComponentName, NodeId};

    use super::*;

    fn line(data: impl Into<Bytes>) -> Line {
        let component = ComponentName::parse("web").unwrap();
        Line { node: NodeId::new("n1"), component, stream: LogStream::Stdout, data: data.into() }
    }

    fn take(buffer: &Buffer) -> Poll<Option<String>> {
        let taken = buffer.poll_take(&mut Context::from_waker(Waker::noop()));
        taken.map(|line| line.map(|line| String::from_utf8(line.data.to_vec()).unwrap()))
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_lines_and_is_told_how_many() {
        let buffer = Buffer::default();
        for number in 0..MAX_LINES + 5 {
            buffer.put(line(number.to_string()));
        }
        assert!(matches!(take(&buffer), Poll::Ready(Some(note)) if note.contains(" 5 lines left out")));
        assert_eq!(take(&buffer), Poll::Ready(Some("5".into())));
        for _ in 6..MAX_LINES + 5 {
            assert!(take(&buffer).is_ready());
        }
        assert!(take(&buffer).is_pending());
    }

    #[test]
    fn long_lines_count_by_their_bytes() {
        let buffer = Buffer::default();
        let long = Bytes::from(vec![b'x'; 64 * 1024]);
        for _ in 0..100 {
            buffer.put(line(long.clone()));
        }
        let state = buffer.state.lock();
        assert!(state.bytes <= MAX_BYTES && state.lines.len() < 64, "{}", state.lines.len());
    }

    #[test]
    fn a_closed_buffer_ends_after_its_last_line() {
        let buffer = Buffer::default();
        buffer.put(line("last"));
        buffer.close();
        assert_eq!(take(&buffer), Poll::Ready(Some("last".into())));
        assert_eq!(take(&buffer), Poll::Ready(None));
    }
}
