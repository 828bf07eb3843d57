//! The smallest HTTP/1.1 client that can measure: blocking, one connection, no pool.
//!
//! Written for answers with a `Content-Length`, which is all that the benches ask
//! for; anything else is an error, not a guess.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// No request of a bench may take longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// A head that is longer comes from something else than what is measured here.
const HEAD_MAX: usize = 16 << 10;

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::with_capacity(HEAD_MAX) })
    }

    pub(crate) fn get(&mut self, host: &str, path: &str) -> Result<Answer> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
    }

    pub(crate) fn post_json(&mut self, host: &str, path: &str, json: &str) -> Result<Answer> {
        let length = json.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        self.exchange(&[head.as_bytes(), json.as_bytes()].concat())
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).context("sending a request")?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(self.buffer.len() < HEAD_MAX, "an answer's head has more than {HEAD_MAX} bytes");
            self.read_more()?;
        };
        let head = std::str::from_utf8(&self.buffer[..head_end]).context("an answer's head is not text")?;
        let status = head.get(9..12).and_then(|code| code.parse().ok()).context("an answer has no status")?;
        let Some(length) = head.lines().find_map(content_length) else {
            bail!("an answer without Content-Length:\n{head}");
        };
        while self.buffer.len() < head_end + length {
            self.read_more()?;
        }
        Ok(Answer { status, body: self.buffer[head_end..head_end + length].to_vec() })
    }

    fn read_more(&mut self) -> Result<()> {
        let mut piece = [0; 16 << 10];
        let n = self.stream.read(&mut piece).context("reading an answer")?;
        ensure!(n > 0, "the connection closed before an answer was whole");
        self.buffer.extend_from_slice(&piece[..n]);
        Ok(())
    }
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
}
