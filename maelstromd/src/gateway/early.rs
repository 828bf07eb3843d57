//! Answers that come before their request has ended.
//!
//! An HTTP/1.1 connection carries another request only once this one's body has been read; with bytes of it
//! unread it has to be closed, and a client that was not told so loses the request that it sends next. So
//! what is small and on its way is waited for briefly before the answer goes on; of anything else the
//! client is told that the connection ends with the answer.

use std::{future::poll_fn, pin::Pin, time::Duration};

use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body::Body as _;

use super::{body::Body, replay::RequestBody};
use crate::upstream::Exchange;

/// More than this is a transfer that the container did not want.
const SMALL_BYTES: u64 = 64 * 1024;
/// A client that has sent a head and begins a small body ends it within a round trip.
const PATIENCE: Duration = Duration::from_millis(200);

/// Sends or drops the small rest of a request that was answered; true when the request has ended.
pub(super) async fn take_rest(exchange: &mut Exchange<RequestBody>, client_waits: bool) -> bool {
    if exchange.has_sent_all() {
        return true;
    }
    let small = exchange.body_mut().rest().is_some_and(|rest| rest <= SMALL_BYTES);
    // A client that waits for a word about its body may never send it.
    if !small || (client_waits && exchange.waits_to_send()) {
        return false;
    }
    let rest = async {
        poll_fn(|cx| exchange.poll_rest(cx)).await;
        // A container that reads no more still leaves the client's bytes to be read.
        while let Some(Ok(_)) = poll_fn(|cx| Pin::new(exchange.body_mut()).poll_frame(cx)).await {}
    };
    tokio::time::timeout(PATIENCE, rest).await.is_ok() && exchange.body_mut().is_end_stream()
}

/// Tells a client of HTTP/1 that the connection ends with this answer.
pub(super) fn announce_end(response: &mut Response<Body>, version: Version) {
    if version < Version::HTTP_2 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
