//! `maelctl logs`: what instances write, line by line, as long as somebody looks.
//!
//! The daemon sends a line a second even when there is nothing to tell; when that stays away, or the
//! connection breaks, it is asked again from where the lines ended. A line may then come twice rather
//! than not at all.

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{Format, LogsArgs, Stream},
    client::Api,
    failure::{Exit, Failure},
    output::{Output, Paint, Tint},
};

/// Ten heartbeats.
const SILENCE: Duration = Duration::from_secs(10);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Lines beyond that are cut by the daemon; one that goes on was never a line.
const MAX_LINE_BYTES: usize = 4 << 20;
const HEARTBEAT: &[u8] = b"PING";
/// Without follow the daemon ends the stream. One that doesn't know of that goes on; then what there is has
/// been sent when nothing came for so many heartbeats.
const QUIET_HEARTBEATS: u32 = 5;
/// Component names are padded to at most that.
const MAX_LABEL: usize = 30;

/// One line, as the daemon sends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogLine {
    /// Where it was written; older daemons don't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    component: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    data: String,
}

pub(super) async fn run(args: LogsArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let mut shown = Printer::new(&args, output);
    let mut since = args.since;
    let mut tail = args.tail;
    let mut pause = RECONNECT_PAUSE;
    let mut ever = false;
    loop {
        let asked = Instant::now();
        let query = query(&args, since, tail);
        let end = match api.stream(&format!("/_mael/logs{query}")).await {
            Ok(body) => {
                ever = true;
                pause = RECONNECT_PAUSE;
                read(body, !args.no_follow, &mut shown).await
            }
            // The first time, a daemon that isn't there is a failure; later it is one to wait for.
            Err(failure) if !ever => return Err(failure),
            Err(failure) => Err(failure),
        };
        match end {
            Ok(()) if args.no_follow => return Ok(()),
            Err(failure) if failure.exit == Exit::Usage => return Err(failure),
            Err(failure) if args.no_follow => return Err(failure),
            Err(failure) => output.remark(&format!("maelctl: {}; trying again", failure.message)),
            Ok(()) => output.remark("maelctl: the stream ended; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        since = shown.last_line.unwrap_or(asked).elapsed() + Duration::from_secs(1);
        tail = None;
    }
}

/// Reads lines until the stream ends or, unless `follow`, until there are no more.
async fn read(mut body: Incoming, follow: bool, shown: &mut Printer<'_>) -> Result<(), Failure> {
    let broken = |why: &str| Failure::new(Exit::Unreachable, format!("the log stream broke: {why}"));
    let mut buffer = BytesMut::new();
    let mut quiet = 0;
    loop {
        let frame =
            tokio::time::timeout(SILENCE, body.frame()).await.map_err(|_| broken("nothing came for 10 s"))?;
        let data = match frame {
            None => return Ok(()),
            Some(Err(error)) => return Err(broken(&error.to_string())),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        buffer.extend_from_slice(&data);
        while let Some(line) = next_line(&mut buffer) {
            if line == HEARTBEAT {
                quiet += 1;
                if !follow && quiet >= QUIET_HEARTBEATS {
                    return Ok(());
                }
            } else if !line.is_empty() {
                quiet = 0;
                shown.line(&line)?;
            }
        }
        if buffer.len() > MAX_LINE_BYTES {
            return Err(broken("a line without end"));
        }
    }
}

/// Takes a whole line, without its end, off the front.
fn next_line(buffer: &mut BytesMut) -> Option<BytesMut> {
    let end = buffer.iter().position(|byte| *byte == b'\n')?;
    let mut line = buffer.split_to(end);
    buffer.advance(1);
    if line.last() == Some(&b'\r') {
        line.truncate(end - 1);
    }
    Some(line)
}

fn query(args: &LogsArgs, since: Duration, tail: Option<u32>) -> String {
    let names: Vec<&str> = args
        .names
        .iter()
        .chain(&args.components)
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
        .collect();
    let mut query = format!("?since={}s", since.as_secs().max(1));
    if !names.is_empty() {
        query += &format!("&components={}", encoded(&names.join(",").to_ascii_lowercase()));
    }
    if let Some(tail) = tail {
        query += &format!("&tail={tail}");
    }
    if args.no_follow {
        query += "&follow=false";
    }
    query
}

/// Percent-encoded for a query value; `,` and `*` mean themselves there.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~,*".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Writes the lines that are wanted.
struct Printer<'a> {
    output: &'a Output,
    args: &'a LogsArgs,
    /// In the order in which they were first seen: gives each its colour.
    components: Vec<String>,
    /// Where lines came from: with several each line says it.
    nodes: Vec<String>,
    /// The widest label so far.
    width: usize,
    /// When the last line came.
    last_line: Option<Instant>,
}

// === impl Printer ===

impl<'a> Printer<'a> {
    fn new(args: &'a LogsArgs, output: &'a Output) -> Self {
        Self { output, args, components: Vec::new(), nodes: Vec::new(), width: 0, last_line: None }
    }

    fn line(&mut self, raw: &[u8]) -> Result<(), Failure> {
        let Ok(line) = serde_json::from_slice::<LogLine>(raw) else {
            self.output.remark("maelctl: the daemon sent a line that is none; left away");
            return Ok(());
        };
        self.last_line = Some(Instant::now());
        if !self.wanted(&line) {
            return Ok(());
        }
        let text = match self.output.format {
            Format::Json => serde_json::to_string(&line).unwrap_or_default() + "\n",
            _ => self.text(&line),
        };
        self.output.write(&text)
    }

    fn wanted(&self, line: &LogLine) -> bool {
        let stream = match self.args.stream {
            None => true,
            Some(Stream::Stdout) => line.stream != "stderr",
            Some(Stream::Stderr) => line.stream == "stderr",
        };
        stream && self.args.grep.as_ref().is_none_or(|regex| regex.is_match(&line.data))
    }

    fn text(&mut self, line: &LogLine) -> String {
        let index = self.components.iter().position(|known| *known == line.component).unwrap_or_else(|| {
            self.components.push(line.component.clone());
            self.components.len() - 1
        });
        let label = self.label(line);
        self.width = self.width.max(label.len()).min(MAX_LABEL);
        format_line(line, &label, index, self.width, self.output.paint)
    }

    fn label(&mut self, line: &LogLine) -> String {
        if let Some(node) = line.node.as_ref().filter(|node| !self.nodes.contains(node)) {
            self.nodes.push(node.clone());
        }
        match &line.node {
            Some(node) if self.nodes.len() > 1 => format!("{}@{node}", line.component),
            _ => line.component.clone(),
        }
    }
}

fn format_line(line: &LogLine, label: &str, index: usize, width: usize, paint: Paint) -> String {
    let label = paint.apply(Tint::Nth(index), &format!("{label:<width$}"));
    let bar =
        if line.stream == "stderr" { paint.apply(Tint::Bad, "!") } else { paint.apply(Tint::Quiet, "|") };
    format!("{label} {bar} {}\n", line.data.trim_end_matches(['\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> LogsArgs {
        LogsArgs {
            names: vec!["Demo_Web".into()],
            components: vec!["a b*".into(), String::new()],
            since: Duration::from_secs(90),
            tail: Some(5),
            grep: Some(regex_lite::Regex::new("err|warn").unwrap()),
            stream: Some(Stream::Stderr),
            follow: false,
            no_follow: true,
        }
    }

    #[test]
    fn the_query_says_what_is_wanted() {
        let query = query(&args(), Duration::from_millis(90_500), Some(5));
        assert_eq!(query, "?since=90s&components=demo_web,a%20b*&tail=5&follow=false");
    }

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let mut buffer = BytesMut::from(&b"{\"a\":"[..]);
        assert_eq!(next_line(&mut buffer), None);
        buffer.extend_from_slice(b"1}\r\nPING\r\n\r\nrest");
        let lines: Vec<_> = std::iter::from_fn(|| next_line(&mut buffer)).collect();
        assert_eq!(lines, [&b"{\"a\":1}"[..], b"PING", b""]);
        assert_eq!(&buffer[..], b"rest");
    }

    #[test]
    fn only_wanted_lines_are_shown() {
        let (args, output) = (args(), Output::plain(Format::Table));
        let printer = Printer::new(&args, &output);
        let line = |stream: &str, data: &str| LogLine {
            node: None,
            component: "c".into(),
            stream: stream.into(),
            data: data.into(),
        };
        assert!(printer.wanted(&line("stderr", "an error")));
        assert!(!printer.wanted(&line("stdout", "an error")));
        assert!(!printer.wanted(&line("stderr", "fine")));
    }

    #[test]
    fn a_line_carries_its_component() {
        let line =
            LogLine { node: None, component: "web".into(), stream: "stderr".into(), data: "x\r\n".into() };
        assert_eq!(format_line(&line, "web", 0, 5, Paint(false)), "web   ! x\n");
    }

    #[test]
    fn lines_of_several_nodes_say_which() {
        let (args, output) = (args(), Output::plain(Format::Table));
        let mut printer = Printer::new(&args, &output);
        let mut show = |json: &str| printer.text(&serde_json::from_str(json).unwrap());
        assert_eq!(show(r#"{"Component":"web","Stream":"stdout","Data":"x"}"#), "web | x\n");
        assert_eq!(show(r#"{"Node":"n1","Component":"web","Data":"x"}"#), "web | x\n");
        assert_eq!(show(r#"{"Node":"n2","Component":"web","Data":"x"}"#), "web@n2 | x\n");
        assert_eq!(show(r#"{"Node":"n1","Component":"web","Data":"x"}"#), "web@n1 | x\n");
    }
}
