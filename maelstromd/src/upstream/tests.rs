//! The codec against a reference, cut at every position, and a table of what it must not believe.

use std::{future::poll_fn, io::Write as _, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::Instant,
};

use super::{
    Asked, Connection, Exchange, Expect, Framing, Limits, Outgoing, Sent, Way,
    framing::{Decoded, Decoder, FramingError},
    head::{self, HeadError, Parsed},
};

/// What a whole response comes to.
#[derive(Debug, PartialEq)]
struct Read {
    status: u16,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    keep_alive: bool,
    left: usize,
}

type Failed = String;

/// Reads a response from pieces, as they come from a socket that closes after them.
fn read(pieces: &[&[u8]], asked: Asked) -> Result<Read, Failed> {
    let mut input = BytesMut::new();
    let mut pieces = pieces.iter();
    let mut headers = HeaderMap::new();
    let head = loop {
        match head::parse(&mut input, asked, &mut headers).map_err(|e| e.to_string())? {
            Parsed::Final(head) => break head,
            Parsed::Interim(_) => {}
            Parsed::Partial => input.extend_from_slice(pieces.next().ok_or("closed in the head")?),
        }
    };
    let mut decoder = head.body;
    let (mut body, mut trailers) = (Vec::new(), Vec::new());
    loop {
        match decoder.decode(&mut input).map_err(|e| e.to_string())? {
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::Trailers(map) => {
                trailers = map.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
            }
            Decoded::End => break,
            Decoded::More => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => {
                    decoder.close().map_err(|e| e.to_string())?;
                    break;
                }
            },
        }
    }
    for piece in pieces {
        input.extend_from_slice(piece);
    }
    let keep_alive = head.keep_alive;
    Ok(Read { status: head.status.as_u16(), body, trailers, keep_alive, left: input.len() })
}

/// The same whole, in two pieces cut anywhere, and in single bytes.
fn read_any_way(wire: &[u8], asked: Asked) -> Result<Read, Failed> {
    let whole = read(&[wire], asked);
    for cut in 0..=wire.len() {
        assert_eq!(
            read(&[&wire[..cut], &wire[cut..]], asked),
            whole,
            "cut at {cut}: {:?}",
            String::from_utf8_lossy(wire)
        );
    }
    let single: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(read(&single, asked), whole, "{:?}", String::from_utf8_lossy(wire));
    whole
}

const PLAIN: Asked = Asked { head: false, upgrade: false };

#[test]
fn every_framing_reads_the_same_however_it_is_cut() {
    let ok = |status, body: &str, keep_alive, left| {
        Ok(Read { status, body: body.into(), trailers: vec![], keep_alive, left })
    };
    for (wire, asked, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", PLAIN, ok(200, "abc", true, 0)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PLAIN, ok(200, "", true, 0)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", PLAIN, ok(200, "abc", true, 0)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
            PLAIN,
            ok(200, "abc", false, 0),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;e=\"v\"\r\nc\r\n0\r\n\r\n",
            PLAIN,
            ok(200, "abc", true, 0),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding:  Chunked \r\n\r\n00a \r\n0123456789\r\n000\r\n\r\n",
            PLAIN,
            ok(200, "0123456789", true, 0),
        ),
        ("HTTP/1.1 200 OK\r\n\r\nuntil close", PLAIN, ok(200, "until close", false, 0)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", PLAIN, ok(200, "abc", false, 0)),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\nabc",
            PLAIN,
            ok(200, "abc", true, 0),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", PLAIN, ok(204, "", true, 0)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", PLAIN, ok(304, "", true, 0)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            Asked { head: true, upgrade: false },
            ok(200, "", true, 0),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Asked { head: true, upgrade: false },
            ok(200, "", true, 0),
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            PLAIN,
            ok(200, "a", true, 0),
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\n\r\nraw",
            Asked { head: false, upgrade: true },
            ok(101, "", true, 3),
        ),
        // CVE-2025-4366: bytes behind the response, and a body that a HEAD must not have.
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n", PLAIN, ok(200, "a", true, 17)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
            Asked { head: true, upgrade: false },
            ok(200, "", true, 4),
        ),
    ] {
        assert_eq!(read_any_way(wire.as_bytes(), asked), expected, "{wire:?}");
    }
}

#[test]
fn trailers_are_read_and_freed_of_what_must_not_trail() {
    let wire = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 5\r\nContent-Length: 9\r\nHost: x\r\nMaelstrom-X: y\r\nTransfer-Encoding: z\r\n\r\n";
    let read = read_any_way(wire.as_bytes(), PLAIN).unwrap();
    assert_eq!(read.trailers, [("x-sum".to_owned(), "5".to_owned())]);
    assert_eq!((read.body, read.left, read.keep_alive), (b"a".to_vec(), 0, true));
}

#[test]
fn answers_in_doubt_are_refused_however_they_are_cut() {
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let with = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nabc");
    for (what, wire, expected) in [
        (
            "CVE-2026-2835: both lengths",
            with("Content-Length: 3\r\nTransfer-Encoding: chunked"),
            HeadError::AmbiguousLength.to_string(),
        ),
        (
            "CVE-2026-2835: both, the other way",
            with("Transfer-Encoding: chunked\r\nContent-Length: 3"),
            HeadError::AmbiguousLength.to_string(),
        ),
        (
            "CVE-2026-2835: chunks in 1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            HeadError::TransferEncoding.to_string(),
        ),
        (
            "CVE-2026-2833: unasked 101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\n\r\n".into(),
            HeadError::UnaskedUpgrade.to_string(),
        ),
        (
            "differing lengths",
            with("Content-Length: 3\r\nContent-Length: 4"),
            HeadError::ContentLength.to_string(),
        ),
        ("differing lengths in a list", with("Content-Length: 3, 4"), HeadError::ContentLength.to_string()),
        ("a signed length", with("Content-Length: +3"), HeadError::ContentLength.to_string()),
        ("an empty length", with("Content-Length: "), HeadError::ContentLength.to_string()),
        (
            "a length too large",
            with("Content-Length: 18446744073709551616"),
            HeadError::ContentLength.to_string(),
        ),
        ("gzip, chunked", with("Transfer-Encoding: gzip, chunked"), HeadError::TransferEncoding.to_string()),
        (
            "chunked twice",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            HeadError::TransferEncoding.to_string(),
        ),
        ("identity", with("Transfer-Encoding: identity"), HeadError::TransferEncoding.to_string()),
        ("no size", chunked("\r\n"), FramingError::ChunkSize.to_string()),
        ("a size with a sign", chunked("+3\r\nabc\r\n"), FramingError::ChunkSize.to_string()),
        ("a size with a prefix", chunked("0x3\r\nabc\r\n"), FramingError::ChunkSize.to_string()),
        ("a bare line feed behind the size", chunked("3\nabc\r\n"), FramingError::ChunkSize.to_string()),
        ("a bare return behind the size", chunked("3\rabc\r\n"), FramingError::ChunkSize.to_string()),
        ("a line feed in an extension", chunked("3;a\nabc\r\n"), FramingError::ChunkSize.to_string()),
        ("a size too large", chunked("1000000000000000\r\n"), FramingError::ChunkTooLarge.to_string()),
        ("a chunk without its end", chunked("3\r\nabcd"), FramingError::ChunkEnd.to_string()),
        ("a chunk with half its end", chunked("3\r\nabc\rx"), FramingError::ChunkEnd.to_string()),
        (
            "a close in the length",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".into(),
            FramingError::Truncated.to_string(),
        ),
        ("a close in the chunks", chunked("3\r\nab"), FramingError::Truncated.to_string()),
        ("a close before the last chunk", chunked("3\r\nabc\r\n"), FramingError::Truncated.to_string()),
        ("a close in the trailers", chunked("0\r\nX-A: b\r\n"), FramingError::Truncated.to_string()),
    ] {
        assert_eq!(read_any_way(wire.as_bytes(), PLAIN), Err(expected), "{what}");
    }
    let endless = format!("{}{}", chunked("3;"), "e".repeat(5_000));
    assert_eq!(read(&[endless.as_bytes()], PLAIN), Err(FramingError::Extension.to_string()));
    let large = format!("HTTP/1.1 200 OK\r\nX-A: {}", "a".repeat(70_000));
    assert_eq!(read(&[large.as_bytes()], PLAIN), Err(HeadError::TooLarge.to_string()));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(200));
    assert_eq!(read(&[many.as_bytes()], PLAIN), Err(HeadError::TooLarge.to_string()));
    let trailing = chunked(&format!("0\r\n{}", "X-A: b\r\n".repeat(3_000)));
    assert_eq!(read(&[trailing.as_bytes()], PLAIN), Err(FramingError::TrailersTooLarge.to_string()));
}

#[test]
fn hop_by_hop_headers_of_an_answer_stop_here() {
    let wire = b"HTTP/1.1 200 OK\r\nConnection: X-Mine, close\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: y\r\nTE: z\r\nX-Kept: a\r\nX-Kept:\r\nContent-Length: 0\r\n\r\n";
    let mut headers = HeaderMap::from_iter([(http::header::HOST, "of the request".parse().unwrap())]);
    let Parsed::Final(head) = head::parse(&mut BytesMut::from(&wire[..]), PLAIN, &mut headers).unwrap()
    else {
        panic!("the head is complete");
    };
    let kept: Vec<_> = head.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(kept, [("x-kept", "a"), ("x-kept", ""), ("content-length", "0")]);
    assert!(!head.keep_alive);
}

proptest! {
    /// Any body in any framing, in any pieces, is what it was.
    #[test]
    fn bodies_survive_any_framing_and_any_cut(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..600), 0..12),
        framing in 0..3_u8,
        piece in 1..700_usize,
        extension in "(;[a-z]{1,9}(=[a-z0-9]{1,9})?)?",
    ) {
        let body = chunks.concat();
        let mut wire = b"HTTP/1.1 200 OK\r\n".to_vec();
        match framing {
            0 => {
                write!(wire, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
                wire.extend_from_slice(&body);
            }
            1 => {
                wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    write!(wire, "{:X}{extension}\r\n", chunk.len()).unwrap();
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
                wire.extend_from_slice(b"0\r\n\r\n");
            }
            _ => {
                wire.extend_from_slice(b"\r\n");
                wire.extend_from_slice(&body);
            }
        }
        let pieces: Vec<&[u8]> = wire.chunks(piece).collect();
        let read = read(&pieces, PLAIN).unwrap();
        prop_assert_eq!(read.body, body);
        prop_assert_eq!((read.keep_alive, read.left), (framing != 2, 0));
    }

    /// Whatever comes, the answer does not depend on how it was cut, and nothing panics.
    #[test]
    fn noise_is_read_the_same_however_it_is_cut(
        head in prop::sample::select(vec!["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
        noise in "[0-9a-f;\r\n:A-Z \\x00-\\x20]{0,60}",
        cut in any::<prop::sample::Index>(),
    ) {
        let wire = [head.as_bytes(), noise.as_bytes()].concat();
        let cut = cut.index(wire.len() + 1);
        prop_assert_eq!(read(&[&wire[..cut], &wire[cut..]], PLAIN), read(&[&wire], PLAIN));
    }
}

fn limits() -> Limits {
    let long = Duration::from_secs(20);
    Limits { deadline: Instant::now() + long, request_idle: long, response_idle: long }
}

/// Runs an exchange with a peer that reads `expect` bytes and then sends `answer`.
async fn exchange<B>(
    outgoing: Outgoing<B>,
    expect: usize,
    answer: &'static [u8],
) -> (Vec<u8>, Option<Read>, Sent)
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = Connection::open(listener.local_addr().unwrap(), Way::Bridge).await.unwrap();
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = vec![0; expect];
        stream.read_exact(&mut got).await.unwrap();
        stream.write_all(answer).await.unwrap();
        got
    };
    let mut exchange = Exchange::new(connection, outgoing, limits());
    let ours = async {
        let mut headers = HeaderMap::new();
        let head = poll_fn(|cx| exchange.poll_head(cx, &mut headers)).await.ok()?;
        let mut body = Vec::new();
        while let Some(frame) = poll_fn(|cx| exchange.poll_frame(cx)).await {
            body.extend_from_slice(&frame.ok()?.into_data().unwrap_or_default());
        }
        let status = head.status.as_u16();
        Some(Read { status, body, trailers: vec![], keep_alive: head.keep_alive, left: 0 })
    };
    let (got, read) = tokio::join!(peer, ours);
    let sent = exchange.sent();
    (got, read, sent)
}

fn outgoing<B>(framing: Framing, body: B) -> Outgoing<B> {
    let head = b"POST / HTTP/1.1\r\n\r\n".to_vec();
    Outgoing { head, framing, body, asked: PLAIN, expect: Expect::No }
}

#[tokio::test]
async fn requests_are_framed_as_they_say() {
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let plain = outgoing(Framing::None, Empty::<Bytes>::new());
    let (got, read, sent) = exchange(plain, 19, ok).await;
    assert_eq!(
        (got.as_slice(), read.unwrap().body.as_slice()),
        (&b"POST / HTTP/1.1\r\n\r\n"[..], &b"ok"[..])
    );
    assert_eq!(sent, Sent::Substance, "a request without a body is all substance");
    let sized = outgoing(Framing::Length(4), Full::from("data"));
    assert!(exchange(sized, 23, ok).await.0.ends_with(b"\r\n\r\ndata"));
    let chunked = outgoing(Framing::Chunked, Full::from("data"));
    assert!(exchange(chunked, 19 + 14, ok).await.0.ends_with(b"\r\n\r\n4\r\ndata\r\n0\r\n\r\n"));
    let empty = outgoing(Framing::Chunked, Empty::<Bytes>::new());
    assert!(exchange(empty, 19 + 5, ok).await.0.ends_with(b"\r\n\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_said_fails_the_exchange() {
    for said in [3, 5] {
        let (_, read, _) = tokio::time::timeout(
            Duration::from_secs(20),
            exchange(outgoing(Framing::Length(said), Full::from("data")), 0, b""),
        )
        .await
        .unwrap();
        assert_eq!(read, None, "{said}");
    }
}

/// Only what is complete both ways, and silent after it, may be used again.
#[tokio::test]
async fn only_finished_exchanges_give_their_connection_back() {
    for (what, answer, reusable) in [
        ("complete", &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], true),
        ("complete in chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
        ("closing", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false),
        ("with more behind it", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", false),
        ("not read to the end", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connection = Connection::open(listener.local_addr().unwrap(), Way::Bridge).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let request = outgoing(Framing::None, Empty::<Bytes>::new());
        let mut exchange = Exchange::new(connection, request, limits());
        peer.write_all(answer).await.unwrap();
        poll_fn(|cx| exchange.poll_head(cx, &mut HeaderMap::new())).await.unwrap();
        let _ = exchange.take_whole_body();
        if what == "complete in chunks" {
            assert!(poll_fn(|cx| exchange.poll_frame(cx)).await.is_none());
        }
        assert_eq!(Box::new(exchange).into_reusable().is_some(), reusable, "{what}");
    }
    // Answered before the body was sent.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = Connection::open(listener.local_addr().unwrap(), Way::Bridge).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let never = StreamBody::new(futures_util::stream::pending::<Result<_, std::io::Error>>());
    let mut exchange = Exchange::new(connection, outgoing(Framing::Chunked, never), limits());
    peer.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let head = poll_fn(|cx| exchange.poll_head(cx, &mut HeaderMap::new())).await.unwrap();
    assert_eq!(head.status, StatusCode::FORBIDDEN);
    assert_eq!(exchange.take_whole_body(), Some(Bytes::new()));
    assert_eq!(exchange.sent(), Sent::HeadOnly);
    assert!(Box::new(exchange).into_reusable().is_none());
}

#[tokio::test]
async fn a_first_piece_of_body_goes_out_with_the_head_or_the_head_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = Connection::open(listener.local_addr().unwrap(), Way::Bridge).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let never = StreamBody::new(futures_util::stream::pending::<Result<_, std::io::Error>>()).boxed();
    let mut exchange = Exchange::new(connection, outgoing(Framing::Chunked, never), limits());
    let mut headers = HeaderMap::new();
    let mut got = [0; 19];
    tokio::select! {
        _ = poll_fn(|cx| exchange.poll_head(cx, &mut headers)) => panic!("nobody answered"),
        read = peer.read_exact(&mut got) => drop(read.unwrap()),
    }
    assert_eq!(&got, b"POST / HTTP/1.1\r\n\r\n");
}

#[test]
fn a_length_of_nothing_is_the_end() {
    assert!(Decoder::Length(0).is_end());
    assert_eq!(Decoder::Length(0).decode(&mut BytesMut::from("more")), Ok(Decoded::End));
}

/// The defect this prevents: a request that can't be repeated goes out on a connection that was just closed.
#[tokio::test]
async fn whether_a_connection_still_stands_is_asked_of_the_socket_not_of_the_reactor() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = Connection::open(listener.local_addr().unwrap(), Way::Bridge).await.unwrap();
    let (server, _) = listener.accept().unwrap();
    assert!(connection.is_quiet());
    // No await from here on: the runtime doesn't hear of it.
    drop(server);
    assert!(!connection.is_quiet());
}
