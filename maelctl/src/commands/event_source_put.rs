//! `maelctl es put` and `rm`.
//!
//! The file holds one event source, YAML or JSON, with the fields of the project file (`queuename`) or of the
//! API (`queueName`): what `maelctl es get -o yaml` prints can be put as it is.

use maelstrom_core::{nearest::nearest, wire};
use serde_json::{Map, Value};

use crate::{
    cli::{ConfirmArgs, EventSourcePutArgs},
    client::Api,
    failure::{Exit, Failure},
    output::Output,
};

/// Read for `--file -`.
const STDIN: &str = "-";
/// All fields as the API spells them.
const FIELDS: [&str; 25] = [
    "name",
    "componentName",
    "projectName",
    "version",
    "modifiedAt",
    "http",
    "cron",
    "sqs",
    "awsstepfunc",
    "hostname",
    "pathPrefix",
    "stripPrefix",
    "schedule",
    "method",
    "path",
    "data",
    "headers",
    "value",
    "queueName",
    "nameAsPrefix",
    "maxConcurrency",
    "messagesPerPoll",
    "concurrencyPerPoller",
    "visibilityTimeout",
    "batch",
];
const MORE_FIELDS: [(&str, &str); 4] = [
    ("activityname", "activityName"),
    ("component", "componentName"),
    ("project", "projectName"),
    ("eventsource", "eventSource"),
];

pub(super) async fn put(args: &EventSourcePutArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let text = if args.file == STDIN {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(&args.file)
    };
    let text = text.map_err(|error| {
        Failure::usage(format!("cannot read event source file {}: {error}", args.file))
            .hint("'maelctl es get NAME -o yaml > FILE' writes one")
    })?;
    let mut event_source = parse(&text).map_err(|why| Failure::usage(format!("{}: {why}", args.file)))?;
    if event_source.version == 0 {
        event_source.version = current(&event_source.name, api).await?;
    }
    let put = api.change(wire::PutEventSource, &wire::PutEventSourceInput { event_source }).await?;
    let text = || format!("Event source saved: {} version {}\n", put.name, put.version);
    output.print(&output.one(&put, || put.name.clone(), text)?)
}

/// The version that a file without one is based on: the present one, 0 when there is none.
async fn current(name: &str, api: &Api) -> Result<i64, Failure> {
    match api.read(wire::GetEventSource, &wire::NameInput { name: name.to_ascii_lowercase() }).await {
        Ok(found) => Ok(found.event_source.version),
        Err(failure) if failure.exit == Exit::NotFound => Ok(0),
        Err(failure) => Err(failure),
    }
}

pub(super) async fn rm(name: &str, confirm: &ConfirmArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    output.confirm(&format!("Remove event source '{name}'?"), confirm.yes)?;
    let input = wire::NameInput { name: name.to_ascii_lowercase() };
    let removed = api.change(wire::RemoveEventSource, &input).await?;
    if !removed.found {
        return Err(Failure::new(Exit::NotFound, format!("event source '{name}' does not exist"))
            .hint("maelctl es ls shows what there is"));
    }
    let text = || format!("Event source removed: {}\n", removed.name);
    output.print(&output.one(&removed, || removed.name.clone(), text)?)
}

fn parse(text: &str) -> Result<wire::EventSource, String> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let Value::Object(mut fields) = value else {
        return Err("is no event source: fields are expected".to_owned());
    };
    // As `es get` prints it, with what it knows besides.
    if let Some(Value::Object(inner)) = fields.remove("eventSource") {
        fields = inner;
    }
    let spelled = spell(Value::Object(fields))?;
    serde_json::from_value(spelled).map_err(|error| error.to_string())
}

/// Names of fields as the API has them.
fn spell(value: Value) -> Result<Value, String> {
    Ok(match value {
        Value::Object(fields) => {
            let mut spelled = Map::new();
            for (name, value) in fields {
                spelled.insert(field(&name)?.to_owned(), spell(value)?);
            }
            Value::Object(spelled)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(spell).collect::<Result<_, _>>()?),
        other => other,
    })
}

fn field(name: &str) -> Result<&'static str, String> {
    let lower = name.to_ascii_lowercase();
    let known = FIELDS.iter().find(|field| field.eq_ignore_ascii_case(name)).copied();
    let known =
        known.or_else(|| MORE_FIELDS.iter().find(|(short, _)| *short == lower).map(|(_, field)| *field));
    known.ok_or_else(|| match nearest(name, &FIELDS) {
        Some(likely) => format!("'{name}' is no field of an event source; did you mean '{likely}'?"),
        None => format!("'{name}' is no field of an event source"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read() {
        let project = "name: Jobs\ncomponent: web\nsqs:\n  queuename: q\n  path: /p\n  nameasprefix: true\n";
        let api = r#"{"eventSource":{"name":"Jobs","componentName":"web",
                     "sqs":{"queueName":"q","path":"/p","nameAsPrefix":true}},"enabled":true}"#;
        let expected = wire::SqsEventSource {
            queue_name: "q".into(),
            path: "/p".into(),
            name_as_prefix: Some(true),
            ..Default::default()
        };
        for text in [project, api] {
            let parsed = parse(text).unwrap();
            assert_eq!((parsed.name.as_str(), parsed.component_name.as_str()), ("Jobs", "web"));
            assert_eq!(parsed.sqs.as_ref(), Some(&expected), "{text}");
        }
    }

    #[test]
    fn what_is_misspelled_is_named() {
        for (text, word) in [
            ("name: a\nsqs:\n  queunename: q\n", "queueName"),
            ("- a\n", "fields"),
            ("name: [\n", ""),
            ("name: a\nversion: x\n", "invalid type"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}
