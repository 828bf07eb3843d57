//! Reads along on a client's HTTP/1.1 connection, beside the parser, for the one thing that the parser
//! settles silently: a head with both `Content-Length` and `Transfer-Encoding`. That is how requests are
//! smuggled (RFC 9112 §11.2), so such a head is spoiled before the parser sees its end.
//!
//! ```text
//!   head (line by line) ──empty line──► no body ──────────────────────────► head
//!                                  └──► so many bytes / chunks, trailers ──► head
//! ```
//! It also tells whether a head has begun and not ended, which is what slow clients are measured by.
//! What it doesn't understand it leaves to the parser, which refuses it.

/// A header line that matters is shorter than this; longer ones are either of no interest or refused.
const KEPT_BYTES: usize = 64;

/// What the scanner demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// A head in these bytes must not be accepted; it showed with the line that ends at this index.
    Ambiguous {
        at: usize,
    },
}

#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// Beginning of a line that is not complete yet.
    kept: [u8; KEPT_BYTES],
    line_bytes: usize,
    length: Option<u64>,
    has_length: bool,
    has_encoding: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages, and through the empty lines that may stand there.
    Idle,
    Head,
    Skip(u64),
    ChunkSize,
    /// The line end behind a chunk's data.
    ChunkEnd,
    Trailers,
}

// === impl Scanner ===

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            state: State::Idle,
            kept: [0; KEPT_BYTES],
            line_bytes: 0,
            length: None,
            has_length: false,
            has_encoding: false,
        }
    }

    /// Whether a head has begun and has not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.state == State::Head || (self.state == State::Idle && self.line_bytes > 0)
    }

    /// Follows what the client sent next.
    pub(super) fn follow(&mut self, read: &[u8]) -> Verdict {
        let mut bytes = read;
        while !bytes.is_empty() {
            if let State::Skip(rest) = self.state {
                let skipped = usize::try_from(rest).unwrap_or(usize::MAX).min(bytes.len());
                bytes = &bytes[skipped..];
                self.state = match rest - skipped as u64 {
                    0 if self.has_encoding => State::ChunkEnd,
                    0 => State::Idle,
                    rest => State::Skip(rest),
                };
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.keep(bytes);
                return Verdict::Fine;
            };
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            let clear = if self.line_bytes == 0 {
                self.on_line(line, line.len())
            } else {
                self.keep(line);
                let (kept, length) = (self.kept, self.line_bytes);
                self.on_line(&kept[..length.min(KEPT_BYTES)], length)
            };
            self.line_bytes = 0;
            if !clear {
                return Verdict::Ambiguous { at: read.len() - bytes.len() - 1 };
            }
        }
        Verdict::Fine
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.line_bytes < KEPT_BYTES {
            let room = piece.len().min(KEPT_BYTES - self.line_bytes);
            self.kept[self.line_bytes..self.line_bytes + room].copy_from_slice(&piece[..room]);
        }
        self.line_bytes += piece.len();
    }

    /// A line without its line feed; `length` is its whole length, of which `line` may be the beginning.
    /// False if its head must not be accepted.
    fn on_line(&mut self, line: &[u8], length: usize) -> bool {
        let empty = length == 0 || (length == 1 && line.first() == Some(&b'\r'));
        self.state = match self.state {
            State::Idle if empty => State::Idle,
            State::Idle => State::Head,
            State::Head if empty => self.after_head(),
            State::Head => return self.on_header(line, length),
            State::ChunkSize => match chunk_size(line) {
                0 => State::Trailers,
                size => State::Skip(size),
            },
            State::ChunkEnd => State::ChunkSize,
            State::Trailers if empty => self.after_message(),
            State::Trailers => State::Trailers,
            State::Skip(rest) => State::Skip(rest),
        };
        true
    }

    fn on_header(&mut self, line: &[u8], length: usize) -> bool {
        const LENGTH: &[u8] = b"content-length:";
        const ENCODING: &[u8] = b"transfer-encoding:";
        // First letters first: most lines leave here.
        match line.first().map(|byte| byte | 0x20) {
            Some(b'c') if starts_with(line, LENGTH) => {
                if length > KEPT_BYTES {
                    return false;
                }
                self.has_length = true;
                self.length = number(&line[LENGTH.len()..]);
            }
            Some(b't') if starts_with(line, ENCODING) => self.has_encoding = true,
            _ => return true,
        }
        !(self.has_length && self.has_encoding)
    }

    fn after_head(&mut self) -> State {
        match self.length {
            _ if self.has_encoding => State::ChunkSize,
            Some(length) if length > 0 => {
                (self.length, self.has_length) = (None, false);
                State::Skip(length)
            }
            _ => self.after_message(),
        }
    }

    fn after_message(&mut self) -> State {
        (self.length, self.has_length, self.has_encoding) = (None, false, false);
        State::Idle
    }
}

fn starts_with(line: &[u8], prefix: &[u8]) -> bool {
    line.len() >= prefix.len() && line[..prefix.len()].eq_ignore_ascii_case(prefix)
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

/// The parser refuses what is no number; until then any answer will do.
fn chunk_size(line: &[u8]) -> u64 {
    let digits = line.iter().map_while(|byte| (*byte as char).to_digit(16));
    digits.fold(0_u64, |size, digit| size.saturating_mul(16).saturating_add(u64::from(digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes whole and cut in two at every position; all must agree.
    fn verdict(bytes: &[u8]) -> Verdict {
        let whole = Scanner::new().follow(bytes);
        for cut in 0..=bytes.len() {
            let mut scanner = Scanner::new();
            let both = match scanner.follow(&bytes[..cut]) {
                Verdict::Fine => match scanner.follow(&bytes[cut..]) {
                    Verdict::Ambiguous { at } => Verdict::Ambiguous { at: cut + at },
                    Verdict::Fine => Verdict::Fine,
                },
                ambiguous => ambiguous,
            };
            assert_eq!(both, whole, "cut at {cut}");
        }
        let mut scanner = Scanner::new();
        let found = bytes.iter().position(|byte| scanner.follow(&[*byte]) != Verdict::Fine);
        assert_eq!(found.map_or(Verdict::Fine, |at| Verdict::Ambiguous { at }), whole);
        whole
    }

    fn is_ambiguous(bytes: &[u8]) -> bool {
        verdict(bytes) != Verdict::Fine
    }

    #[test]
    fn both_lengths_in_one_head_are_seen_in_any_order_and_case() {
        for head in [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-ENCODING: chunked\r\nHost: a\r\ncontent-length: 5\r\n\r\n",
            "\r\n\r\nPOST / HTTP/1.1\nContent-Length:5\nTransfer-Encoding:\tchunked\n\n",
        ] {
            assert!(is_ambiguous(head.as_bytes()), "{head:?}");
        }
        let long = format!("POST / HTTP/1.1\r\nContent-Length: {}5\r\n\r\n", "0".repeat(80));
        assert!(is_ambiguous(long.as_bytes()));
    }

    #[test]
    fn what_stands_in_a_body_is_no_header() {
        let inner = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        let sized = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{inner}", inner.len());
        let chunked = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x};a=b\r\n{inner}\r\n0\r\nContent-Length: 1\r\n\r\n",
            inner.len()
        );
        let conflict = "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        for message in [sized, chunked, "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()] {
            assert_eq!(verdict(message.as_bytes()), Verdict::Fine, "{message:?}");
            assert_eq!(verdict(message.repeat(2).as_bytes()), Verdict::Fine, "{message:?}");
            assert!(is_ambiguous((message.clone() + conflict).as_bytes()), "{message:?}");
        }
    }

    #[test]
    fn a_head_is_known_to_be_under_way() {
        let mut scanner = Scanner::new();
        assert!(!scanner.is_in_head());
        for (piece, in_head) in [
            ("\r\n", false),
            ("GE", true),
            ("T / HTTP/1.1\r\n", true),
            ("Content-Length: 3\r\n", true),
            ("\r\n", false),
            ("ab", false),
            ("c", false),
            ("G", true),
        ] {
            scanner.follow(piece.as_bytes());
            assert_eq!(scanner.is_in_head(), in_head, "{piece:?}");
        }
    }
}
