//! `maelctl es get` and `test`: an event source at work.

use maelstrom_core::wire;
use serde_json::Value;

use super::event_source::describe;
use crate::{
    cli::EventSourceTestArgs,
    client::Api,
    failure::Failure,
    output::{Cell, Output, Table, Tint, age, clock, span},
};

pub(super) async fn get(name: &str, api: &Api, output: &Output) -> Result<(), Failure> {
    let input = wire::DescribeEventSourceInput { name: name.to_ascii_lowercase(), local: None };
    let told = match api.read(wire::DescribeEventSource, &input).await {
        Ok(told) => told,
        Err(failure) => return Err(not_found(failure)),
    };
    for missing in &told.missing {
        output.remark(&format!("node {} is missing: {}", missing.node_id, missing.reason));
    }
    if let Some(trouble) = &told.queues_trouble {
        output.remark(&format!("the queues can't be told: {trouble}"));
    }
    let text = || {
        let mut text = output.table(&fields(&told));
        if !told.queues.is_empty() {
            text += &format!("\n{}", output.table(&queues(&told.queues)));
        }
        if !told.pollers.is_empty() {
            text += &format!("\n{}", output.table(&pollers(&told.pollers)));
        }
        text
    };
    output.print(&output.one(&told, || told.event_source.name.clone(), text)?)
}

fn not_found(failure: Failure) -> Failure {
    match failure.code {
        Some(code) if code == maelstrom_core::rpc::code::NOT_FOUND => {
            failure.hint("maelctl es ls shows what there is")
        }
        _ => failure,
    }
}

fn fields(told: &wire::DescribeEventSourceOutput) -> Table {
    let source = &told.event_source;
    let (kind, description) = describe(source);
    let mut table = Table::new(&["FIELD", "VALUE"]);
    let mut row = |field: &str, value: Cell| table.row([Cell::new(Tint::Quiet, field), value]);
    row("name", source.name.as_str().into());
    row("component", source.component_name.as_str().into());
    if let Some(project) = &source.project_name {
        row("project", project.as_str().into());
    }
    row("type", kind.into());
    row("what", description.into());
    row(
        "state",
        match told.enabled {
            true => Cell::new(Tint::Good, "enabled"),
            false => Cell::new(Tint::Doubtful, "disabled"),
        },
    );
    row("version", source.version.into());
    row("modified", format!("{} ago", age(source.modified_at)).into());
    let settings = serde_json::to_value(source).ok().and_then(|mut all| all.get_mut(kind).map(Value::take));
    for (name, value) in settings.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        row(&name.to_ascii_lowercase(), value.into());
    }
    table
}

fn queues(queues: &[wire::QueueInfo]) -> Table {
    let mut table = Table::new(&[
        "QUEUE",
        ">DEPTH",
        ">IN FLIGHT",
        ">DELAYED",
        ">OLDEST IN HAND",
        "DEAD LETTERS",
        "TROUBLE",
    ]);
    for queue in queues {
        let seconds = queue.oldest_age_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let oldest = seconds.map(|seconds| span(std::time::Duration::from_secs(seconds))).unwrap_or_default();
        let dead = match (&queue.dead_letter_queue, queue.max_receives) {
            (Some(name), Some(most)) => {
                let there = queue.dead_letters.map(|count| format!("{count} in ")).unwrap_or_default();
                format!("{there}{name} after {most} receives")
            }
            _ => String::new(),
        };
        table.row([
            queue.name.as_str().into(),
            queue.depth.into(),
            queue.in_flight.into(),
            queue.delayed.into(),
            oldest.into(),
            dead.into(),
            Cell::new(Tint::Bad, queue.trouble.clone().unwrap_or_default()),
        ]);
    }
    table
}

fn pollers(pollers: &[wire::PollerInfo]) -> Table {
    let mut table =
        Table::new(&["POLLER", "NODE", ">SHARE", ">IN FLIGHT", ">WAITING", ">SUCCEEDED", ">FAILED", "STATE"]);
    for poller in pollers {
        let state = match (&poller.trouble, poller.paused_until, &poller.node_id) {
            (Some(trouble), _, _) => Cell::new(Tint::Bad, trouble.as_str()),
            (None, Some(until), _) => Cell::new(Tint::Doubtful, format!("pauses until {}", clock(until))),
            (None, None, None) => Cell::new(Tint::Doubtful, "no node works as it"),
            (None, None, Some(_)) => Cell::new(Tint::Good, "works"),
        };
        table.row([
            poller.role.as_str().into(),
            poller.node_id.clone().unwrap_or_default().into(),
            poller.share.into(),
            poller.in_flight.into(),
            poller.waiting.into(),
            poller.succeeded.into(),
            poller.failed.into(),
            state,
        ]);
    }
    table
}

pub(super) async fn test(args: &EventSourceTestArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let data = match args.data.as_deref() {
        Some("-") => Some(read("the standard input", std::io::read_to_string(std::io::stdin()))?),
        Some(text) => match text.strip_prefix('@') {
            Some(file) => Some(read(file, std::fs::read_to_string(file))?),
            None => Some(text.to_owned()),
        },
        None => None,
    };
    let input = wire::TestEventSourceInput {
        name: args.name.to_ascii_lowercase(),
        data,
        method: args.method.clone(),
        path: args.path.clone(),
    };
    let told = match api.change(wire::TestEventSource, &input).await {
        Ok(told) => told,
        Err(failure) => return Err(not_found(failure)),
    };
    output.print(&output.one(&told, || told.status.to_string(), || text(&told))?)
}

fn read(from: &str, text: std::io::Result<String>) -> Result<String, Failure> {
    text.map_err(|error| Failure::usage(format!("cannot read {from}: {error}")))
}

fn text(told: &wire::TestEventSourceOutput) -> String {
    let mut text = format!(
        "{} to {} by node {}: {} after {} ms\n",
        told.request, told.component_name, told.node_id, told.status, told.duration_millis
    );
    for header in &told.headers {
        text += &format!("{}: {}\n", header.name, header.value);
    }
    if !told.body.is_empty() {
        text += &format!("\n{}", told.body);
        if !told.body.ends_with('\n') {
            text.push('\n');
        }
    }
    if told.body_cut {
        text += "(cut here)\n";
    }
    text + &format!("\n{}\n", told.verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

    #[test]
    fn queues_and_pollers_are_told() {
        let queue = wire::QueueInfo {
            name: "q".into(),
            depth: 7,
            in_flight: 2,
            oldest_age_seconds: Some(65),
            dead_letter_queue: Some("dead".into()),
            max_receives: Some(3),
            dead_letters: Some(1),
            ..Default::default()
        };
        let text = queues(&[queue]).render(true, Paint(false));
        for word in ["7", "2", "65s", "1 in dead after 3 receives"] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
        let poller = wire::PollerInfo { role: "sqs/jobs/0".into(), share: 4, ..Default::default() };
        let working = wire::PollerInfo { node_id: Some("a".into()), succeeded: 9, ..poller.clone() };
        let text = pollers(&[poller, working]).render(true, Paint(false));
        for word in ["sqs/jobs/0", "no node works as it", "works", "9"] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
    }

    #[test]
    fn the_answer_of_a_trial_is_shown() {
        let told = wire::TestEventSourceOutput {
            node_id: "a".into(),
            component_name: "web".into(),
            request: "POST /work".into(),
            status: 200,
            headers: vec![wire::NameValue { name: "x".into(), value: "y".into() }],
            body: "ok".into(),
            duration_millis: 12,
            verdict: "the message would be deleted".into(),
            ..Default::default()
        };
        let expected =
            "POST /work to web by node a: 200 after 12 ms\nx: y\n\nok\n\nthe message would be deleted\n";
        assert_eq!(text(&told), expected);
    }
}
