//! `maelctl events`: the journal of decisions, oldest first.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use maelstrom_core::wire::{self, JournalEvent, MissingNode};

use crate::{
    cli::{EventsArgs, Format},
    client::Api,
    failure::Failure,
    output::{Output, Paint, Tint, clock, since},
};

/// A person who follows doesn't see less.
const POLL: Duration = Duration::from_secs(1);
/// Looked at again on each poll: events of other nodes may come in late, and sequence numbers begin anew
/// with a daemon, so that time and a memory of what was shown are what can be relied on.
const OVERLAP_MS: i64 = 5_000;

pub(super) async fn run(args: EventsArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let mut input = wire::ListEventsInput {
        component_name: args.component.as_ref().map(|name| name.to_ascii_lowercase()),
        kinds: (!args.kinds.is_empty()).then_some(args.kinds),
        since: args.since.map(since),
        after_sequence: None,
        limit: Some(args.limit),
        local: None,
    };
    let found = api.read(wire::ListEvents, &input).await?;
    let mut missing = Vec::new();
    remark_on_missing(&mut missing, &found.missing, output);
    let events = found.events;
    if !args.follow {
        let rendered = match output.format {
            Format::Table | Format::Wide if !events.is_empty() => {
                let nodes = of_several_nodes(&events);
                let text = events.iter().map(|event| text(event, nodes, output.paint)).collect();
                crate::output::Rendered { text, remark: None }
            }
            _ => output.list(&events, "events", name, |_, _| crate::output::Table::default())?,
        };
        return output.print(&rendered);
    }
    let mut shown = Shown::default();
    shown.show(events, output)?;
    loop {
        tokio::time::sleep(POLL).await;
        // The daemon's clock, not this one's.
        if shown.newest > 0 {
            input.since = Some(shown.newest - OVERLAP_MS);
        }
        input.limit = Some(1_000);
        match api.read(wire::ListEvents, &input).await {
            Ok(found) => {
                remark_on_missing(&mut missing, &found.missing, output);
                shown.show(found.events, output)?;
            }
            Err(failure) => output.failure(&failure),
        }
    }
}

/// Says once of each node that it could not be asked.
fn remark_on_missing(known: &mut Vec<String>, missing: &[MissingNode], output: &Output) {
    known.retain(|node| missing.iter().any(|one| one.node_id == *node));
    for MissingNode { node_id, reason } in missing {
        if !known.contains(node_id) {
            output.remark(&format!("maelctl: events of node {node_id} are missing: {reason}"));
            known.push(node_id.clone());
        }
    }
}

/// Then each has to say which is its.
pub(super) fn of_several_nodes(events: &[JournalEvent]) -> bool {
    events.windows(2).any(|pair| pair[0].node_id != pair[1].node_id)
}

fn name(event: &JournalEvent) -> String {
    format!("{}/{}", event.node_id, event.sequence)
}

/// What a follower has seen already.
#[derive(Default)]
struct Shown {
    seen: HashSet<(String, i64, i64)>,
    newest: i64,
    nodes: BTreeSet<String>,
}

impl Shown {
    fn show(&mut self, events: Vec<JournalEvent>, output: &Output) -> Result<(), Failure> {
        let fresh = self.fresh(events);
        self.nodes.extend(fresh.iter().map(|event| event.node_id.clone()));
        show(fresh, self.nodes.len() > 1, output)
    }

    fn fresh(&mut self, events: Vec<JournalEvent>) -> Vec<JournalEvent> {
        let fresh: Vec<_> = events
            .into_iter()
            .filter(|event| self.seen.insert((event.node_id.clone(), event.sequence, event.time)))
            .collect();
        self.newest = fresh.iter().map(|event| event.time).fold(self.newest, i64::max);
        // Older ones are not asked for again.
        let oldest = self.newest - 2 * OVERLAP_MS;
        self.seen.retain(|(_, _, time)| *time >= oldest);
        fresh
    }
}

fn show(events: Vec<JournalEvent>, nodes: bool, output: &Output) -> Result<(), Failure> {
    for event in events {
        let line = match output.format {
            Format::Json => serde_json::to_string(&event).unwrap_or_default() + "\n",
            Format::Yaml | Format::Name => name(&event) + "\n",
            Format::Table | Format::Wide => text(&event, nodes, output.paint),
        };
        output.write(&line)?;
    }
    Ok(())
}

/// One event for people: a line, its reasons below, a cold start's phases as a waterfall. `nodes`: with the
/// node that tells it.
pub(super) fn text(event: &JournalEvent, nodes: bool, paint: Paint) -> String {
    let tint = match event.kind.as_str() {
        "start-failed" | "unplaceable" => Tint::Bad,
        "restart" | "dependency" => Tint::Doubtful,
        "cold-start" | "deploy" => Tint::Good,
        _ => Tint::Plain,
    };
    let time = paint.apply(Tint::Quiet, &clock(event.time));
    let kind = paint.apply(tint, &format!("{:<16}", event.kind));
    let node = if nodes { paint.apply(Tint::Quiet, &event.node_id) + "  " } else { String::new() };
    let mut text = format!("{time}  {kind}  {node}{}\n", printable(&event.message));
    for reason in &event.reasons {
        text += &paint.apply(Tint::Quiet, &format!("    because {}", printable(reason)));
        text.push('\n');
    }
    for line in waterfall(event) {
        text += &format!("    {}\n", paint.apply(Tint::Quiet, &line));
    }
    text
}

/// A message is one line, whatever a container's error text holds.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Phases of a cold start in the order in which they pass, with what people call them.
const PHASES: [(&str, &str); 8] = [
    ("placeMs", "place"),
    ("resumeMs", "resume"),
    ("pullMs", "pull"),
    ("createMs", "create"),
    ("startMs", "start"),
    ("probeMs", "probe"),
    ("serveMs", "serve"),
    ("firstByteMs", "first byte"),
];
const WATERFALL_WIDTH: f64 = 40.0;

/// Each phase with its time and a bar that begins where the one before ended.
fn waterfall(event: &JournalEvent) -> Vec<String> {
    let phases: Vec<(&str, f64)> = PHASES
        .iter()
        .filter_map(|(key, name)| Some((*name, event.data.get(*key)?.as_f64()?)))
        .filter(|(_, millis)| *millis >= 0.0)
        .collect();
    let total: f64 = phases.iter().map(|(_, millis)| millis).sum();
    if total <= 0.0 {
        return Vec::new();
    }
    // Shares of 40 columns: small and never negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let columns = |millis: f64| (millis / total * WATERFALL_WIDTH).round() as usize;
    let mut passed = 0.0;
    let bar = |(name, millis): (&str, f64)| {
        let begin = columns(passed);
        passed += millis;
        let bar = match columns(passed) - begin {
            0 => "▏".to_owned(),
            width => "█".repeat(width),
        };
        format!("{name:<10} {millis:>9.1} ms  {}{bar}", " ".repeat(begin))
    };
    phases.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(sequence: i64, time: i64) -> JournalEvent {
        JournalEvent {
            sequence,
            time,
            node_id: "n".into(),
            kind: "cold-start".into(),
            message: "a cold start\nof web".into(),
            reasons: vec!["nothing ran".into()],
            ..Default::default()
        }
    }

    #[test]
    fn a_cold_start_is_a_waterfall() {
        let mut event = event(1, 1);
        for (key, value) in [
            ("placeMs", json!(0.2)),
            ("createMs", json!(100)),
            ("startMs", json!(300)),
            ("totalMs", json!(400.2)),
        ] {
            event.data.insert(key.into(), value);
        }
        assert!(super::text(&event, true, Paint(false)).contains("cold-start        n  a cold start of web"));
        let text = text(&event, false, Paint(false));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("cold-start        a cold start of web"), "{text}");
        assert_eq!(lines[1], "    because nothing ran");
        assert_eq!(lines[2], "    place            0.2 ms  ▏");
        assert_eq!(lines[3], "    create         100.0 ms  ██████████");
        assert_eq!(lines[4], format!("    start          300.0 ms  {}{}", " ".repeat(10), "█".repeat(30)));
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn a_follower_sees_each_event_once_even_when_the_daemon_restarts() {
        let mut shown = Shown::default();
        assert_eq!(shown.fresh(vec![event(1, 1_000), event(2, 2_000)]).len(), 2);
        assert_eq!(shown.fresh(vec![event(1, 1_000), event(2, 2_000), event(3, 2_000)]).len(), 1);
        // Another life of the daemon counts from 1 again.
        assert_eq!(shown.fresh(vec![event(2, 2_000), event(1, 3_000)]).len(), 1);
        assert_eq!(shown.newest, 3_000);
    }
}
