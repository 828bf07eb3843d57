//! `GET /_mael/logs`: what containers write, as it comes. One JSON object per line, CRLF between, and a
//! line `PING` each second, by which a client knows that the stream lives.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream, Stream},
};
use maelstrom_core::{
    names::{ComponentName, NodeId},
    ports::engine::{LogLine, LogStream},
};
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior};

use super::log_query::LogRequest;

const PING_INTERVAL: Duration = Duration::from_secs(1);

/// A line and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentLine {
    pub node: NodeId,
    pub component: ComponentName,
    pub line: LogLine,
}

/// Where lines come from: all instances of the wanted components, those that start later included.
pub trait LogSource: Send + Sync {
    /// Ends only when the request doesn't follow.
    fn lines(self: Arc<Self>, request: LogRequest) -> BoxStream<'static, ComponentLine>;
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireLine<'a> {
    /// Added to the original contract.
    node: &'a str,
    component: &'a str,
    stream: &'static str,
    data: &'a str,
}

/// The answer to a client. It ends with the lines, or when the client goes away.
pub(super) fn stream(lines: BoxStream<'static, ComponentLine>) -> Response {
    let body = Body::from_stream(with_pings(lines).map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn with_pings(lines: BoxStream<'static, ComponentLine>) -> impl Stream<Item = Bytes> + Send {
    let mut pings = tokio::time::interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((lines, pings), |(mut lines, mut pings)| async move {
        let next = next(&mut lines, &mut pings).await?;
        Some((next, (lines, pings)))
    })
}

/// Pings first: a flood of lines must not starve them.
async fn next(lines: &mut BoxStream<'static, ComponentLine>, pings: &mut Interval) -> Option<Bytes> {
    let mut line = pin!(lines.next());
    tokio::select! {
        biased;
        _ = pings.tick() => Some(Bytes::from_static(b"PING\r\n")),
        line = &mut line => line.map(|line| write(&line)),
    }
}

/// Output that is not UTF-8 is shown with replacement characters.
fn write(line: &ComponentLine) -> Bytes {
    let data = String::from_utf8_lossy(&line.line.line);
    let wire = WireLine {
        node: line.node.as_str(),
        component: line.component.as_str(),
        stream: match line.line.stream {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
        },
        data: &data,
    };
    let mut text = serde_json::to_vec(&wire).unwrap_or_default();
    text.extend_from_slice(b"\r\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &'static [u8]) -> ComponentLine {
        ComponentLine {
            node: NodeId::new("n1"),
            component: ComponentName::parse("web").unwrap(),
            line: LogLine { stream: LogStream::Stderr, line: Bytes::from_static(text) },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_json_with_crlf_and_pings_come_each_second() {
        let lines = stream::iter([line(b"a \"b\"\xff")]).chain(stream::pending());
        let mut written = Box::pin(with_pings(lines.boxed()));
        assert_eq!(written.next().await.unwrap(), "PING\r\n");
        let data = "{\"Node\":\"n1\",\"Component\":\"web\",\"Stream\":\"stderr\",\"Data\":\"a \\\"b\\\"\u{fffd}\"}\r\n";
        assert_eq!(written.next().await.unwrap(), data.as_bytes());
        let before = tokio::time::Instant::now();
        for _ in 0..3 {
            assert_eq!(written.next().await.unwrap(), "PING\r\n");
        }
        assert_eq!(before.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_lines_does_not_starve_pings() {
        let lines = stream::repeat_with(|| line(b"x")).then(|line| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            line
        });
        let written: Vec<Bytes> = with_pings(lines.boxed()).take(500).collect().await;
        let pings = written.iter().filter(|bytes| bytes.starts_with(b"PING")).count();
        assert!((4..=6).contains(&pings), "{pings}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_does_not_follow_ends() {
        let lines = stream::iter([line(b"x")]);
        assert_eq!(with_pings(lines.boxed()).count().await, 2);
    }
}
