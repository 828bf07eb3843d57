//! `maelctl project`, but for what deploys: see [`super::project_put`].

use std::collections::BTreeMap;

use maelstrom_core::{project_file, wire};

use super::{project_put, watch};
use crate::{
    cli::{ConfirmArgs, FileArgs, Format, ProjectCommand, ProjectListArgs, PutArgs},
    client::Api,
    failure::{Exit, Failure},
    output::{Output, Table, count, json},
};

/// Read for `--file -`.
const STDIN: &str = "-";

pub(super) async fn run(command: ProjectCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    match command {
        ProjectCommand::Put(args) => project_put::run(&args, api, output).await,
        ProjectCommand::Diff(source) => {
            project_put::run(&PutArgs { source, diffonly: true, exit_code: true }, api, output).await
        }
        ProjectCommand::Validate(args) => validate(&args, output),
        ProjectCommand::Ls(args) => ls(&args, api, output).await,
        ProjectCommand::Get { name } => get(&name, api, output).await,
        ProjectCommand::Rm { name, confirm } => rm(&name, &confirm, api, output).await,
        ProjectCommand::Schema => output.write(&json(&project_file::json_schema())?),
    }
}

/// Reads and checks the file; warnings and all that is wrong are told.
pub(super) fn load(args: &FileArgs, output: &Output) -> Result<wire::Project, Failure> {
    let text = if args.file == STDIN {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(&args.file)
    };
    let text = text.map_err(|error| {
        Failure::usage(format!("cannot read project file {}: {error}", args.file))
            .hint("--file names another; 'maelctl project get NAME > maelstrom.yml' writes one")
    })?;
    let mut variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    if let Some(file) = &args.env {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("cannot read --env file {file}: {error}")))?;
        let more = project_file::parse_env_file(&text)
            .map_err(|error| Failure::usage(format!("--env file {file}: {error}")))?;
        variables.extend(more);
    }
    let shown = if args.file == STDIN { "<stdin>" } else { &args.file };
    let folder = std::path::Path::new(&args.file).parent().unwrap_or(std::path::Path::new("")).to_owned();
    let read_env_file =
        |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
    let loaded = project_file::load(shown, &text, &variables, read_env_file)
        .map_err(|report| output.report(&report))?;
    output.warnings(shown, &loaded.warnings);
    Ok(loaded.project)
}

fn validate(args: &FileArgs, output: &Output) -> Result<(), Failure> {
    let project = load(args, output)?;
    let text = || format!("{} is valid: project {}, {}\n", args.file, project.name, contents(&project));
    output.print(&output.one(&project, || project.name.clone(), text)?)
}

fn contents(project: &wire::Project) -> String {
    let sources = project.components.iter().map(|component| component.event_sources.len()).sum();
    format!("{}, {}", count(project.components.len(), "component"), count(sources, "event source"))
}

async fn ls(args: &ProjectListArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let input = wire::ListProjectsInput {
        name_prefix: args.prefix.as_ref().map(|prefix| prefix.to_ascii_lowercase()),
    };
    watch(&args.watch, output, async || {
        let projects = api.read(wire::ListProjects, &input).await?.projects;
        output.list(&projects, "projects", |project| project.project_name.clone(), table)
    })
    .await
}

fn table(projects: &[wire::ProjectInfo], _wide: bool) -> Table {
    let mut table = Table::new(&["PROJECT", ">COMPONENTS", ">EVENT SOURCES"]);
    for project in projects {
        table.row([
            project.project_name.as_str().into(),
            project.component_count.into(),
            project.event_source_count.into(),
        ]);
    }
    table
}

async fn get(name: &str, api: &Api, output: &Output) -> Result<(), Failure> {
    let input = wire::NameInput { name: name.to_ascii_lowercase() };
    let project = api.read(wire::GetProject, &input).await?.project;
    let file = || project_file::to_yaml(&project);
    // The YAML of a project is the file it is put with, not the API's object.
    if output.format == Format::Yaml {
        return output.write(&file());
    }
    output.print(&output.one(&project, || project.name.clone(), file)?)
}

async fn rm(name: &str, confirm: &ConfirmArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let input = wire::NameInput { name: name.to_ascii_lowercase() };
    let absent = || {
        Failure::new(Exit::NotFound, format!("Project not found: {name}"))
            .hint("maelctl project ls shows what there is")
    };
    if !confirm.yes {
        let project = match api.read(wire::GetProject, &input).await {
            Ok(found) => found.project,
            Err(failure) if failure.exit == Exit::NotFound => return Err(absent()),
            Err(failure) => return Err(failure),
        };
        output
            .confirm(&format!("Remove project {} with {}?", project.name, contents(&project)), confirm.yes)?;
    }
    let removed = api.change(wire::RemoveProject, &input).await?;
    if !removed.found {
        return Err(absent());
    }
    let text = || format!("Project removed: {}\n", removed.name);
    output.print(&output.one(&removed, || removed.name.clone(), text)?)
}
