//! `maelctl comp`

use maelstrom_core::{project_file, wire};
use serde_json::Value;

use super::{PAGE, name_hint, watch};
use crate::{
    cli::{ComponentCommand, ComponentListArgs},
    client::Api,
    differences::is_secret,
    failure::Failure,
    output::{Cell, Output, Table, Tint, age, mib},
};

pub(super) async fn run(command: ComponentCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    match command {
        ComponentCommand::Ls(args) => {
            watch(&args.watch, output, async || {
                let components = all(&args, api).await?;
                output.list(&components, "components", |component| component.name.clone(), table)
            })
            .await
        }
        ComponentCommand::Get { name } => {
            let input = wire::NameInput { name: name.to_ascii_lowercase() };
            let component = match api.read(wire::GetComponent, &input).await {
                Ok(found) => found.component,
                Err(failure) => return Err(name_hint(failure, api, &name).await),
            };
            let text = || output.table(&details(&component));
            output.print(&output.one(&component, || component.name.clone(), text)?)
        }
    }
}

async fn all(args: &ComponentListArgs, api: &Api) -> Result<Vec<wire::Component>, Failure> {
    let mut input = wire::ListComponentsInput {
        name_prefix: args.prefix.as_ref().map(|prefix| prefix.to_ascii_lowercase()),
        project_name: args.project.as_ref().map(|project| project.to_ascii_lowercase()),
        limit: Some(PAGE),
        next_token: None,
    };
    let mut components = Vec::new();
    loop {
        let mut page = api.read(wire::ListComponents, &input).await?;
        components.append(&mut page.components);
        input.next_token = page.next_token.filter(|token| !token.is_empty());
        if input.next_token.is_none() {
            return Ok(components);
        }
    }
}

fn table(components: &[wire::Component], wide: bool) -> Table {
    let mut titles = vec!["COMPONENT", "IMAGE", ">VERSION", ">MODIFIED"];
    if wide {
        titles.extend([">MIN", ">MAX", ">CONCURRENCY", ">RESERVED", ">STANDBY", "PROJECT"]);
    }
    let mut table = Table::new(&titles);
    for component in components {
        let docker = component.docker.clone().unwrap_or_default();
        let limit = |limit: Option<i64>| {
            limit.filter(|limit| *limit > 0).map_or_else(String::new, |limit| limit.to_string())
        };
        table.row([
            component.name.as_str().into(),
            docker.image.into(),
            component.version.into(),
            age(component.modified_at.unwrap_or_default()).into(),
            component.min_instances.unwrap_or_default().into(),
            limit(component.max_instances).into(),
            component.max_concurrency.max(1).into(),
            mib(docker.reserve_memory_mib.filter(|amount| *amount > 0).unwrap_or(128)).into(),
            component.standby.unwrap_or_default().into(),
            component.project_name.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

/// All that is set, by the names of the project file.
fn details(component: &wire::Component) -> Table {
    let mut table = Table::new(&["FIELD", "VALUE"]);
    let mut row = |field: &str, value: String| table.row([Cell::new(Tint::Quiet, field), value.into()]);
    row("name", component.name.clone());
    if let Some(project) = &component.project_name {
        row("project", project.clone());
    }
    row("version", component.version.to_string());
    row("modified", format!("{} ago", age(component.modified_at.unwrap_or_default())));
    for (field, value) in project_file::component_fields(component) {
        match value {
            Value::Array(items) if field == "environment" => {
                for item in items {
                    let text = item.as_str().unwrap_or_default();
                    let (name, value) = text.split_once('=').unwrap_or((text, ""));
                    let shown = if is_secret(name) { "(hidden)" } else { value };
                    row("environment", format!("{name}={shown}"));
                }
            }
            Value::String(_) if is_secret(&field) => row(&field, "(hidden)".into()),
            Value::String(text) => row(&field, text),
            other => row(&field, other.to_string()),
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

    fn component() -> wire::Component {
        wire::Component {
            name: "demo_web".into(),
            project_name: Some("demo".into()),
            version: 3,
            max_concurrency: 4,
            max_instances: Some(5),
            environment: vec![
                wire::NameValue { name: "A".into(), value: "1".into() },
                wire::NameValue { name: "DB_PASSWORD".into(), value: "hunter2".into() },
            ],
            docker: Some(wire::DockerComponent {
                image: "web:1".into(),
                pull_password: Some("tiger".into()),
                command: Some(vec!["run".into(), "it".into()]),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn the_list_has_what_matters() {
        let text = table(&[component()], true).render(true, Paint(false));
        let expected = "\
COMPONENT  IMAGE  VERSION  MODIFIED  MIN  MAX  CONCURRENCY  RESERVED  STANDBY  PROJECT
demo_web   web:1        3     never    0    5            4   128 MiB        0  demo
";
        assert_eq!(text, expected);
        assert!(!table(&[component()], false).render(true, Paint(false)).contains("STANDBY"));
    }

    #[test]
    fn details_name_fields_as_the_file_does_and_hide_secrets() {
        let text = details(&component()).render(true, Paint(false));
        for line in [
            "maxconcurrency  4",
            "command         [\"run\",\"it\"]",
            "environment     A=1",
            "environment     DB_PASSWORD=(hidden)",
            "pullpassword    (hidden)",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} missing in\n{text}");
        }
        assert!(!text.contains("hunter2") && !text.contains("tiger"));
    }
}
