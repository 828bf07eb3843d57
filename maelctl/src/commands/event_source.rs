//! `maelctl es`

use maelstrom_core::wire;

use super::{PAGE, event_source_get, event_source_put, watch};
use crate::{
    cli::{EventSourceCommand, EventSourceFilter, ToggleArgs},
    client::Api,
    failure::{Exit, Failure},
    output::{Cell, Output, Table, Tint, age, count},
};

pub(super) async fn run(command: EventSourceCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    match command {
        EventSourceCommand::Ls(args) => {
            watch(&args.watch, output, async || {
                let sources = all(&args.filter, api).await?;
                output.list(&sources, "event sources", |source| source.event_source.name.clone(), table)
            })
            .await
        }
        EventSourceCommand::Put(args) => event_source_put::put(&args, api, output).await,
        EventSourceCommand::Get { name } => event_source_get::get(&name, api, output).await,
        EventSourceCommand::Rm { name, confirm } => event_source_put::rm(&name, &confirm, api, output).await,
        EventSourceCommand::Test(args) => event_source_get::test(&args, api, output).await,
        EventSourceCommand::Enable(args) => toggle(args, true, api, output).await,
        EventSourceCommand::Disable(args) => toggle(args, false, api, output).await,
    }
}

fn lower(text: Option<&String>) -> Option<String> {
    text.map(|text| text.to_ascii_lowercase())
}

async fn all(filter: &EventSourceFilter, api: &Api) -> Result<Vec<wire::EventSourceWithStatus>, Failure> {
    let mut input = wire::ListEventSourcesInput {
        name_prefix: lower(filter.prefix.as_ref()),
        component_name: lower(filter.component.as_ref()),
        project_name: lower(filter.project.as_ref()),
        event_source_type: filter.kind.clone(),
        limit: Some(PAGE),
        next_token: None,
    };
    let mut sources = Vec::new();
    loop {
        let mut page = api.read(wire::ListEventSources, &input).await?;
        sources.append(&mut page.event_sources);
        input.next_token = page.next_token.filter(|token| !token.is_empty());
        if input.next_token.is_none() {
            return Ok(sources);
        }
    }
}

fn table(sources: &[wire::EventSourceWithStatus], wide: bool) -> Table {
    let mut titles =
        vec!["EVENT SOURCE", "COMPONENT", "TYPE", "STATE", "DESCRIPTION", ">VERSION", ">MODIFIED"];
    if wide {
        titles.push("PROJECT");
    }
    let mut table = Table::new(&titles);
    for wire::EventSourceWithStatus { event_source: source, enabled } in sources {
        let (kind, description) = describe(source);
        let state =
            if *enabled { Cell::new(Tint::Good, "enabled") } else { Cell::new(Tint::Doubtful, "disabled") };
        table.row([
            source.name.as_str().into(),
            source.component_name.as_str().into(),
            kind.into(),
            state,
            description.into(),
            source.version.into(),
            age(source.modified_at).into(),
            source.project_name.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

/// Type, and in one line what it reacts to.
pub(super) fn describe(source: &wire::EventSource) -> (&'static str, String) {
    if let Some(http) = &source.http {
        let strip = if http.strip_prefix == Some(true) { " (prefix stripped)" } else { "" };
        let host = http.hostname.as_deref().unwrap_or_default();
        ("http", format!("{host}{}{strip}", http.path_prefix.as_deref().unwrap_or_default()))
    } else if let Some(cron) = &source.cron {
        ("cron", format!("{} {} {}", cron.schedule, cron.http.method, cron.http.path))
    } else if let Some(sqs) = &source.sqs {
        let star = if sqs.name_as_prefix == Some(true) { "*" } else { "" };
        ("sqs", format!("{}{star} → {}", sqs.queue_name, sqs.path))
    } else if let Some(tasks) = &source.awsstepfunc {
        ("awsstepfunc", format!("{} → {}", tasks.activity_name, tasks.path))
    } else {
        ("unknown", String::new())
    }
}

async fn toggle(args: ToggleArgs, enabled: bool, api: &Api, output: &Output) -> Result<(), Failure> {
    let ToggleArgs { name, mut filter, confirm } = args;
    if let Some(name) = name {
        only(&name, api).await?;
        filter.prefix = Some(name);
    }
    let everything = filter.prefix.is_none()
        && filter.component.is_none()
        && filter.project.is_none()
        && filter.kind.is_none();
    if everything && !enabled {
        output.confirm("Disable all event sources of all projects?", confirm.yes)?;
    }
    let input = wire::ToggleEventSourcesInput {
        enabled,
        name: None,
        name_prefix: lower(filter.prefix.as_ref()),
        component_name: lower(filter.component.as_ref()),
        project_name: lower(filter.project.as_ref()),
        event_source_type: filter.kind,
    };
    let toggled = api.change(wire::ToggleEventSources, &input).await?;
    let text = || {
        if toggled.event_source_names.is_empty() {
            return "No event source changed\n".to_owned();
        }
        let done = if toggled.enabled { "Enabled" } else { "Disabled" };
        let names = toggled.event_source_names.iter().map(|name| format!("  {name}\n"));
        format!("{done} {}\n", count(toggled.event_source_names.len(), "event source"))
            + &names.collect::<String>()
    };
    let names = || toggled.event_source_names.join("\n");
    output.print(&output.one(&toggled, names, text)?)
}

/// The API toggles by prefix: a full name must be the only one that begins so.
async fn only(name: &str, api: &Api) -> Result<(), Failure> {
    let name = name.to_ascii_lowercase();
    let filter = EventSourceFilter { prefix: Some(name.clone()), ..Default::default() };
    let found = all(&filter, api).await?;
    let names: Vec<&str> = found.iter().map(|source| source.event_source.name.as_str()).collect();
    match names.as_slice() {
        [only] if *only == name => Ok(()),
        names if names.contains(&name.as_str()) => Err(Failure::usage(format!(
            "more than one event source begins with '{name}': {}",
            names.join(", ")
        ))
        .hint("--prefix toggles all of them")),
        _ => Err(Failure::new(Exit::NotFound, format!("event source '{name}' does not exist"))
            .hint("maelctl es ls shows what there is; --prefix takes the beginning of names")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

    #[test]
    fn each_type_is_described() {
        let base = wire::EventSource {
            name: "demo_s".into(),
            component_name: "demo_web".into(),
            version: 1,
            ..Default::default()
        };
        let http = wire::HttpEventSource {
            hostname: Some("example.com".into()),
            path_prefix: Some("/api".into()),
            strip_prefix: Some(true),
        };
        let request = wire::CronHttpRequest { method: "GET".into(), path: "/x".into(), ..Default::default() };
        let cron = wire::CronEventSource { schedule: "@every 5s".into(), http: request };
        let sources = [
            wire::EventSourceWithStatus {
                event_source: wire::EventSource { http: Some(http), ..base.clone() },
                enabled: true,
            },
            wire::EventSourceWithStatus {
                event_source: wire::EventSource { cron: Some(cron), ..base },
                enabled: false,
            },
        ];
        let expected = "\
EVENT SOURCE  COMPONENT  TYPE  STATE     DESCRIPTION                         VERSION  MODIFIED
demo_s        demo_web   http  enabled   example.com/api (prefix stripped)        1     never
demo_s        demo_web   cron  disabled  @every 5s GET /x                         1     never
";
        let rendered = table(&sources, false).render(true, Paint(false));
        assert_eq!(
            rendered.split_whitespace().collect::<Vec<_>>(),
            expected.split_whitespace().collect::<Vec<_>>()
        );
    }
}
