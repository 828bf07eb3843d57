//! `maelctl explain`: what a component's instances are for, and what stands in their way.

use std::time::Duration;

use maelstrom_core::wire::{self, ExplainComponentOutput};

use super::{cluster::infos_table, events, name_hint, watch};
use crate::{
    cli::ExplainArgs,
    client::Api,
    failure::Failure,
    output::{Output, Tint, count, since, span},
};

/// Enough to see what led here.
const SHOWN_EVENTS: usize = 12;

pub(super) async fn run(args: ExplainArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let input = wire::ExplainComponentInput { name: args.component.to_ascii_lowercase(), local: None };
    watch(&args.watch, output, async || match api.read(wire::ExplainComponent, &input).await {
        Ok(explained) => {
            output.one(&explained, || explained.component_name.clone(), || text(&explained, output))
        }
        Err(failure) => Err(name_hint(failure, api, &args.component).await),
    })
    .await
}

fn text(explained: &ExplainComponentOutput, output: &Output) -> String {
    let paint = output.paint;
    let name = paint.apply(Tint::Strong, &explained.component_name);
    let mut text = format!("{name}, version {}\n\n", explained.component_version);
    let mut fact = |label: &str, value: String| text += &format!("{label:<10} {value}\n");
    fact("Wanted", count(usize::try_from(explained.target_instances).unwrap_or_default(), "instance"));
    for reason in &explained.target_reasons {
        fact("", paint.apply(Tint::Quiet, &format!("because {reason}")));
    }
    fact("Running", running(explained));
    let waiting = format!("{} waiting", explained.waiting);
    let waiting = if explained.waiting > 0 { paint.apply(Tint::Doubtful, &waiting) } else { waiting };
    fact("Requests", format!("{} in flight, {waiting}", explained.in_flight));
    if let Some(failure) = &explained.last_failure {
        fact("Failure", paint.apply(Tint::Bad, failure));
        if let Some(at) = explained.next_try_at {
            fact("", format!("next try {}", upcoming(at, since(Duration::ZERO))));
        }
    }
    if !explained.instances.is_empty() {
        text.push('\n');
        text += &output.table(&infos_table(&explained.instances));
    }
    let events = &explained.events;
    if !events.is_empty() {
        text += &format!("\n{}\n", paint.apply(Tint::Strong, "Latest events"));
        let newest = &events[events.len().saturating_sub(SHOWN_EVENTS)..];
        let nodes = events::of_several_nodes(newest);
        text += &newest.iter().map(|event| events::text(event, nodes, paint)).collect::<String>();
    }
    for wire::MissingNode { node_id, reason } in &explained.missing {
        let missing = format!("What node {node_id} knows is missing: {reason}");
        text += &format!("\n{}\n", paint.apply(Tint::Bad, &missing));
    }
    text
}

fn running(explained: &ExplainComponentOutput) -> String {
    let of = |wanted: &str| {
        let standby = |info: &&wire::ComponentInfo| info.standby == Some(true);
        let found = explained.instances.iter().filter(|info| match wanted {
            "standby" => standby(info),
            status => info.status == status && !standby(info),
        });
        found.count()
    };
    let states = ["active", "starting", "stopping", "standby"];
    let parts: Vec<String> = states
        .into_iter()
        .map(|state| (of(state), state))
        .filter(|(number, _)| *number > 0)
        .map(|(number, state)| format!("{number} {state}"))
        .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

fn upcoming(at: i64, now: i64) -> String {
    match u64::try_from(at - now) {
        Ok(ahead) if ahead >= 1_000 => format!("in {}", span(Duration::from_millis(ahead))),
        _ => "now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::Format, output::Paint};

    fn info(status: &str, standby: bool) -> wire::ComponentInfo {
        wire::ComponentInfo {
            component_name: "demo_web".into(),
            status: status.into(),
            standby: standby.then_some(true),
            ..Default::default()
        }
    }

    #[test]
    fn it_tells_wanted_running_waiting_and_failing() {
        let explained = ExplainComponentOutput {
            component_name: "demo_web".into(),
            component_version: 3,
            target_instances: 2,
            target_reasons: vec!["5 requests in flight need 2 instances of 4".into()],
            in_flight: 4,
            waiting: 1,
            instances: vec![info("active", false), info("starting", false), info("active", true)],
            last_failure: Some("image web:3 not found".into()),
            next_try_at: Some(1),
            events: vec![wire::JournalEvent {
                kind: "scale".into(),
                message: "1 → 2".into(),
                ..Default::default()
            }],
            missing: vec![wire::MissingNode { node_id: "n3".into(), reason: "it can't be reached".into() }],
        };
        let output = Output::plain(Format::Table);
        let text = text(&explained, &output);
        for line in [
            "demo_web, version 3",
            "Wanted     2 instances",
            "           because 5 requests in flight need 2 instances of 4",
            "Running    1 active, 1 starting, 1 standby",
            "Requests   4 in flight, 1 waiting",
            "Failure    image web:3 not found",
            "           next try now",
            "Latest events",
            "What node n3 knows is missing: it can't be reached",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} missing in\n{text}");
        }
        assert_eq!(output.paint, Paint(false));
    }

    #[test]
    fn the_next_try_lies_ahead_or_is_now() {
        assert_eq!(upcoming(10_000, 5_000), "in 5s");
        assert_eq!(upcoming(5_000, 10_000), "now");
    }
}
