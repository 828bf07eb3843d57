//! The head of a response: parsed once, checked for everything that would leave its framing in doubt,
//! and freed of what concerns only the connection it came on.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{
    framing::Decoder,
    hop::{self, ConnectionOptions},
};

/// Larger than what common servers send or accept.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("its head is not HTTP: {0}")]
    Syntax(httparse::Error),
    #[error("its head is larger than {MAX_HEAD_BYTES} bytes or has more than {MAX_HEADERS} headers")]
    TooLarge,
    #[error("its status is not a valid one")]
    Status,
    #[error("its Content-Length is not a number, or there are several that differ")]
    ContentLength,
    #[error("it has both Content-Length and Transfer-Encoding")]
    AmbiguousLength,
    #[error("its Transfer-Encoding is not 'chunked', or not allowed here")]
    TransferEncoding,
    #[error("it switches protocols although nobody asked for that")]
    UnaskedUpgrade,
}

/// What the response belongs to, as far as its framing depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The request's method was `HEAD`: no body follows, whatever the headers say.
    pub head: bool,
    /// The request asked for an upgrade, so that 101 is an answer.
    pub upgrade: bool,
}

/// A complete response head.
#[derive(Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    /// Without hop-by-hop headers; of a 101, `Upgrade` stays.
    pub headers: HeaderMap,
    /// The body that follows.
    pub body: Decoder,
    /// Whether the container will take another request on this connection.
    pub keep_alive: bool,
}

#[derive(Debug)]
pub(super) enum Parsed {
    /// More input is needed.
    Partial,
    /// A 1xx other than 101; it was taken out of the input, and a final head will follow.
    Interim(StatusCode),
    Final(ResponseHead),
}

/// Takes one head out of `input` once it is complete. `headers` is filled; it is passed in so that the
/// request's map can be used again.
pub(super) fn parse(
    input: &mut BytesMut,
    asked: Asked,
    headers: &mut HeaderMap,
) -> Result<Parsed, HeadError> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, input, &mut lines) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD_BYTES => length,
        Ok(httparse::Status::Partial) if input.len() <= MAX_HEAD_BYTES => return Ok(Parsed::Partial),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(error) => return Err(HeadError::Syntax(error)),
    };
    let status = StatusCode::from_u16(response.code.unwrap_or_default()).map_err(|_| HeadError::Status)?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        let _ = input.split_to(length);
        return Ok(Parsed::Interim(status));
    }
    if status == StatusCode::SWITCHING_PROTOCOLS && !asked.upgrade {
        return Err(HeadError::UnaskedUpgrade);
    }
    let framing = Framing::of(response.headers)?;
    let http_11 = response.version == Some(1);
    let body = framing.body(status, asked, http_11)?;
    let mut lines = [Line::default(); MAX_HEADERS];
    let count = response.headers.len();
    let origin = input.as_ptr() as usize;
    for (line, header) in lines.iter_mut().zip(response.headers.iter()) {
        *line = Line::of(header, origin);
    }
    let block = input.split_to(length).freeze();
    fill(headers, &block, &lines[..count], &framing.connection, status);
    let persistent = if http_11 { !framing.connection.close } else { framing.connection.is_kept() };
    let keep_alive = persistent && body != Decoder::UntilClose;
    Ok(Parsed::Final(ResponseHead { status, headers: std::mem::take(headers), body, keep_alive }))
}

/// Where a header stands in the head, so that values can share the head's memory instead of copying it.
#[derive(Clone, Copy, Default)]
struct Line {
    name: (u32, u32),
    value: (u32, u32),
}

/// What the headers say about the body's end.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    connection: ConnectionOptions,
}

fn fill(
    headers: &mut HeaderMap,
    block: &Bytes,
    lines: &[Line],
    connection: &ConnectionOptions,
    status: StatusCode,
) {
    headers.clear();
    headers.reserve(lines.len());
    let switching = status == StatusCode::SWITCHING_PROTOCOLS;
    for line in lines {
        // Both were checked by the parser; a name longer than the type takes is the one thing left out.
        let Ok(name) = HeaderName::from_bytes(&block[line.name.0 as usize..line.name.1 as usize]) else {
            continue;
        };
        let stays = switching && name == header::UPGRADE;
        if (hop::is_hop_by_hop(&name) && !stays) || connection.names(name.as_str()) {
            continue;
        }
        let value = block.slice(line.value.0 as usize..line.value.1 as usize);
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            headers.append(name, value);
        }
    }
}

// === impl Line ===

impl Line {
    fn of(header: &httparse::Header<'_>, origin: usize) -> Self {
        let range = |bytes: &[u8]| {
            let start = (bytes.as_ptr() as usize).saturating_sub(origin);
            let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            // An empty value may point anywhere.
            if bytes.is_empty() { (0, 0) } else { (narrow(start), narrow(start + bytes.len())) }
        };
        Self { name: range(header.name.as_bytes()), value: range(header.value) }
    }
}

// === impl Framing ===

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, HeadError> {
        let mut framing = Self::default();
        for header in headers {
            // Length first: most names leave here without a comparison.
            match header.name.len() {
                10 if header.name.eq_ignore_ascii_case("connection") => framing.connection.add(header.value),
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    framing.add_length(header.value)?
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    if framing.chunked || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                        return Err(HeadError::TransferEncoding);
                    }
                    framing.chunked = true;
                }
                _ => {}
            }
        }
        if framing.chunked && framing.length.is_some() {
            return Err(HeadError::AmbiguousLength);
        }
        Ok(framing)
    }

    /// A list of equal numbers is one number (RFC 9110 §8.6).
    fn add_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for number in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let digits = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
            let length =
                std::str::from_utf8(number).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            match (length, self.length) {
                (Some(length), None) => self.length = Some(length),
                (Some(length), Some(before)) if length == before => {}
                _ => return Err(HeadError::ContentLength),
            }
        }
        Ok(())
    }

    fn body(&self, status: StatusCode, asked: Asked, http_11: bool) -> Result<Decoder, HeadError> {
        if self.chunked && !http_11 {
            return Err(HeadError::TransferEncoding);
        }
        let bodiless = matches!(
            status,
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        Ok(match self.length {
            _ if asked.head || bodiless => Decoder::Length(0),
            _ if self.chunked => Decoder::chunked(),
            Some(length) => Decoder::Length(length),
            None => Decoder::UntilClose,
        })
    }
}
