//! `maelctl project put` and `diff`: the file becomes the project, and what changed is shown.
//!
//! The first line and the columns of the table are what the original printed, for scripts that read
//! them. Below a row, indented, stand the fields that differ.

use maelstrom_core::{project_file, wire};
use serde_json::{Map, Value};

use super::project::load;
use crate::{
    cli::{Format, PutArgs},
    client::Api,
    differences::{Difference, differences},
    failure::{Exit, Failure},
    output::{Output, Paint, Tint},
};

pub(super) async fn run(args: &PutArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let project = load(&args.source, output)?;
    let before = match output.format {
        Format::Table | Format::Wide => stored(&project.name, api).await?,
        _ => wire::Project::default(),
    };
    let input = wire::PutProjectInput { project, diff_only: args.diffonly.then_some(true) };
    let put = api.change(wire::PutProject, &input).await?;
    let changes = Changes { before: &before, put: &put };
    let text = || changes.text(&args.source.file, args.diffonly, output.paint);
    output.print(&output.one(&put, || put.name.clone(), text)?)?;
    if args.exit_code && changes.any() { Err(Failure::silent(Exit::Failed)) } else { Ok(()) }
}

/// The project as it is, empty when there is none.
async fn stored(name: &str, api: &Api) -> Result<wire::Project, Failure> {
    match api.read(wire::GetProject, &wire::NameInput { name: name.to_owned() }).await {
        Ok(found) => Ok(found.project),
        Err(failure) if failure.exit == Exit::NotFound => Ok(wire::Project::default()),
        Err(failure) => Err(failure),
    }
}

struct Changes<'a> {
    before: &'a wire::Project,
    put: &'a wire::PutProjectOutput,
}

// === impl Changes ===

impl Changes<'_> {
    fn any(&self) -> bool {
        let put = self.put;
        !(put.components_added.is_empty()
            && put.components_updated.is_empty()
            && put.components_removed.is_empty()
            && put.event_sources_added.is_empty()
            && put.event_sources_updated.is_empty()
            && put.event_sources_removed.is_empty())
    }

    fn text(&self, file: &str, diff_only: bool, paint: Paint) -> String {
        let put = self.put;
        if !self.any() {
            let name = &put.name;
            return format!(
                "PutProject: No project changes detected for project: {name} using file: {file}\n"
            );
        }
        let done = if diff_only { "Project diff" } else { "Project saved" };
        let mut text = format!("{done}: {} from file: {file}\n", put.name);
        text += "Type         Name                               Action\n";
        let mut row = |kind: &str, name: &str, tint: Tint, action: &str, fields: Vec<Difference>| {
            text += &format!("{kind:<11}  {name:<33}  {}\n", paint.apply(tint, action));
            text += &fields.iter().map(|field| line(field, paint)).collect::<String>();
        };
        for component in &put.components_added {
            row("Component", &component.name, Tint::Good, "Added", Vec::new());
        }
        for component in &put.components_updated {
            let old = self
                .before
                .components
                .iter()
                .map(|with| &with.component)
                .find(|old| old.name == component.name);
            let fields = old.map(|old| component_differences(old, component)).unwrap_or_default();
            row("Component", &component.name, Tint::Doubtful, "Updated", fields);
        }
        for name in &put.components_removed {
            row("Component", name, Tint::Bad, "Removed", Vec::new());
        }
        for source in &put.event_sources_added {
            row("EventSource", &source.name, Tint::Good, "Added", Vec::new());
        }
        for source in &put.event_sources_updated {
            let mut all = self.before.components.iter().flat_map(|with| &with.event_sources);
            let old = all.find(|old| old.event_source.name == source.name);
            let fields = old.map(|old| source_differences(&old.event_source, source)).unwrap_or_default();
            row("EventSource", &source.name, Tint::Doubtful, "Updated", fields);
        }
        for name in &put.event_sources_removed {
            row("EventSource", name, Tint::Bad, "Removed", Vec::new());
        }
        text
    }
}

fn component_differences(old: &wire::Component, new: &wire::Component) -> Vec<Difference> {
    differences(&project_file::component_fields(old), &project_file::component_fields(new))
}

/// A source may move to another component, which the file shows by where it stands.
fn source_differences(old: &wire::EventSource, new: &wire::EventSource) -> Vec<Difference> {
    let fields = |source: &wire::EventSource| -> Map<String, Value> {
        let mut fields = project_file::event_source_fields(source);
        fields.insert("component".to_owned(), Value::from(source.component_name.clone()));
        fields
    };
    differences(&fields(old), &fields(new))
}

fn line(difference: &Difference, paint: Paint) -> String {
    let one = |text: &str| text.escape_debug().to_string();
    let change = match (&difference.old, &difference.new) {
        (Some(old), Some(new)) if old == new => "changed".to_owned(),
        (Some(old), Some(new)) => {
            format!("{} → {}", paint.apply(Tint::Bad, &one(old)), paint.apply(Tint::Good, &one(new)))
        }
        (None, Some(new)) => format!("+ {}", paint.apply(Tint::Good, &one(new))),
        (Some(old), None) => format!("- {}", paint.apply(Tint::Bad, &one(old))),
        (None, None) => String::new(),
    };
    format!("    {}: {change}\n", difference.field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, image: &str) -> wire::Component {
        let docker = wire::DockerComponent { image: image.into(), ..Default::default() };
        wire::Component { name: name.into(), docker: Some(docker), ..Default::default() }
    }

    #[test]
    fn the_first_line_and_the_columns_are_the_original_ones() {
        let with = |component| wire::ComponentWithEventSources { component, event_sources: Vec::new() };
        let before =
            wire::Project { name: "demo".into(), components: vec![with(component("demo_web", "web:1"))] };
        let put = wire::PutProjectOutput {
            name: "demo".into(),
            components_added: vec![component("demo_new", "n")],
            components_updated: vec![component("demo_web", "web:2")],
            event_sources_removed: vec!["demo_old".into()],
            ..Default::default()
        };
        let changes = Changes { before: &before, put: &put };
        let expected = "\
Project saved: demo from file: maelstrom.yml
Type         Name                               Action
Component    demo_new                           Added
Component    demo_web                           Updated
    image: web:1 → web:2
EventSource  demo_old                           Removed
";
        assert_eq!(changes.text("maelstrom.yml", false, Paint(false)), expected);
        assert!(changes.text("f", true, Paint(false)).starts_with("Project diff: demo from file: f\n"));
    }

    #[test]
    fn no_change_is_told_as_it_was() {
        let put = wire::PutProjectOutput { name: "demo".into(), ..Default::default() };
        let changes = Changes { before: &wire::Project::default(), put: &put };
        let expected = "PutProject: No project changes detected for project: demo using file: f.yml\n";
        assert_eq!(changes.text("f.yml", false, Paint(false)), expected);
    }
}
