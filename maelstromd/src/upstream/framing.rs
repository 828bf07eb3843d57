//! Where the body of a response ends (RFC 9112 §6, §7), decoded from whatever pieces the socket gives.
//!
//! Strict on purpose: what a lenient reader would guess is exactly what makes two readers disagree.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::hop;

/// Chunk extensions carry nothing that anyone uses; this is room for them, not for an attack.
const MAX_EXTENSION_BYTES: usize = 4 * 1024;
const MAX_TRAILER_BYTES: usize = 16 * 1024;
const MAX_TRAILERS: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("a chunk's size is not a hexadecimal number")]
    ChunkSize,
    #[error("a chunk's size is too large to be true")]
    ChunkTooLarge,
    #[error("a chunk doesn't end with CR LF")]
    ChunkEnd,
    #[error("chunk extensions are longer than {MAX_EXTENSION_BYTES} bytes")]
    Extension,
    #[error("the trailers are malformed")]
    Trailers,
    #[error("the trailers are larger than {MAX_TRAILER_BYTES} bytes or more than {MAX_TRAILERS}")]
    TrailersTooLarge,
    #[error("the connection closed before the end of the body")]
    Truncated,
}

/// How far a body was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// Bytes still to come; 0 is the end.
    Length(u64),
    Chunked(Chunked),
    /// Ends when the container closes the connection.
    UntilClose,
}

/// Where in a chunked body the decoder stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunked {
    state: ChunkedState,
    extension_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkedState {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
    End,
}

/// What came out of the input.
#[derive(Debug, PartialEq)]
pub enum Decoded {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The body is complete.
    End,
    /// All usable input is used up.
    More,
}

// === impl Decoder ===

impl Decoder {
    pub fn chunked() -> Self {
        Self::Chunked(Chunked { state: ChunkedState::Size { value: 0, digits: 0 }, extension_bytes: 0 })
    }

    pub fn is_end(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked { state: ChunkedState::End, .. }))
    }

    /// Bytes that are sure to come and can be read in one go.
    pub fn expected(&self) -> u64 {
        match self {
            Self::Length(rest) | Self::Chunked(Chunked { state: ChunkedState::Data(rest), .. }) => *rest,
            Self::Chunked(_) | Self::UntilClose => 0,
        }
    }

    /// Takes the next piece of the body out of `input`.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, FramingError> {
        match self {
            Self::Length(0) => Ok(Decoded::End),
            _ if input.is_empty() => Ok(match self {
                Self::Chunked(chunked) if chunked.state == ChunkedState::End => Decoded::End,
                _ => Decoded::More,
            }),
            Self::Length(rest) => Ok(Decoded::Data(take(input, rest))),
            Self::UntilClose => Ok(Decoded::Data(input.split().freeze())),
            Self::Chunked(chunked) => chunked.decode(input),
        }
    }

    /// What the end of the connection means here.
    pub fn close(&self) -> Result<(), FramingError> {
        if self.is_end() || *self == Self::UntilClose { Ok(()) } else { Err(FramingError::Truncated) }
    }
}

fn take(input: &mut BytesMut, rest: &mut u64) -> Bytes {
    let length = usize::try_from(*rest).unwrap_or(usize::MAX).min(input.len());
    *rest -= length as u64;
    input.split_to(length).freeze()
}

// === impl Chunked ===

impl Chunked {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, FramingError> {
        loop {
            match &mut self.state {
                ChunkedState::Data(rest) if *rest > 0 => {
                    if input.is_empty() {
                        return Ok(Decoded::More);
                    }
                    return Ok(Decoded::Data(take(input, rest)));
                }
                ChunkedState::Data(_) => self.state = ChunkedState::DataCr,
                ChunkedState::Trailers => return self.trailers(input),
                ChunkedState::End => return Ok(Decoded::End),
                _ => {
                    let Some(&byte) = input.first() else { return Ok(Decoded::More) };
                    input.advance(1);
                    self.on_byte(byte)?;
                }
            }
        }
    }

    /// One byte of the lines between the data.
    fn on_byte(&mut self, byte: u8) -> Result<(), FramingError> {
        use ChunkedState::{Data, DataCr, DataLf, Extension, Size, SizeLf, Trailers};
        self.state = match (self.state, byte) {
            (Size { value, digits }, byte) if byte.is_ascii_hexdigit() => {
                let digit = u64::from((byte as char).to_digit(16).unwrap_or_default());
                // 15 digits are 2^60 bytes: more is an overflow in the making.
                if digits >= 15 {
                    return Err(FramingError::ChunkTooLarge);
                }
                Size { value: value << 4 | digit, digits: digits + 1 }
            }
            (Size { digits: 0, .. }, _) => return Err(FramingError::ChunkSize),
            (Size { value, .. }, b'\r') => SizeLf { value },
            (Size { value, .. }, b';' | b' ' | b'\t') => Extension { value },
            (Size { .. }, _) => return Err(FramingError::ChunkSize),
            (Extension { value }, b'\r') => SizeLf { value },
            (Extension { .. }, b'\n' | 0) => return Err(FramingError::ChunkSize),
            (Extension { value }, _) => {
                self.extension_bytes += 1;
                if self.extension_bytes > MAX_EXTENSION_BYTES {
                    return Err(FramingError::Extension);
                }
                Extension { value }
            }
            (SizeLf { value: 0 }, b'\n') => Trailers,
            (SizeLf { value }, b'\n') => Data(value),
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size { value: 0, digits: 0 },
            (SizeLf { .. }, _) => return Err(FramingError::ChunkSize),
            _ => return Err(FramingError::ChunkEnd),
        };
        Ok(())
    }

    fn trailers(&mut self, input: &mut BytesMut) -> Result<Decoded, FramingError> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        match httparse::parse_headers(input, &mut lines) {
            Ok(httparse::Status::Complete((length, lines))) => {
                let trailers = lines.iter().filter_map(trailer).collect::<HeaderMap>();
                input.advance(length);
                self.state = ChunkedState::End;
                Ok(if trailers.is_empty() { Decoded::End } else { Decoded::Trailers(trailers) })
            }
            Ok(httparse::Status::Partial) if input.len() > MAX_TRAILER_BYTES => {
                Err(FramingError::TrailersTooLarge)
            }
            Ok(httparse::Status::Partial) => Ok(Decoded::More),
            Err(httparse::Error::TooManyHeaders) => Err(FramingError::TrailersTooLarge),
            Err(_) => Err(FramingError::Trailers),
        }
    }
}

/// A trailer that may travel on: never one that frames or routes a message (RFC 9110 §6.5.1).
fn trailer(line: &httparse::Header<'_>) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
    let value = HeaderValue::from_bytes(line.value).ok()?;
    hop::may_trail(&name).then_some((name, value))
}
