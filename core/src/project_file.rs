//! The project file (`maelstrom.yml`): a project with its components and event sources, as people write
//! it.
//!
//! Reading goes text → [`interpolate`] → [`yaml`] (a tree that knows its places) → [`decode`] into
//! [`shape`] → [`convert`] into the wire form, checked by the same rules as the API's input. Whatever is
//! wrong on the way is collected and comes back as one [`Report`] with the file's own lines and columns.
//! Writing goes the other way, so that a project that was read from the API can be edited and put again.
//!
//! Files written for the original format load unchanged. Nothing here reads a file: the caller passes
//! the text, the variables, and a function that reads an `envfile`.

mod convert;
mod crontab;
mod decode;
mod env_file;
mod interpolate;
mod report;
mod scalar;
mod schema;
mod shape;
mod to_wire;
mod write;
mod yaml;

#[cfg(test)]
mod tests;

pub use env_file::{EnvFileError, parse_env_file};
pub use interpolate::Variables;
pub use report::{Finding, Report};
pub use schema::json_schema;
pub use write::{component_fields, event_source_fields, to_yaml};

use interpolate::interpolate;
use report::{Place, Raw, Source, Span};

use crate::wire;

/// No project is that large; a file that is has been mistaken for one.
const MAX_BYTES: usize = 4 << 20;

/// A project file that is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Names carry the project's prefix, components and event sources are ordered by name.
    pub project: wire::Project,
    /// What is allowed but most likely not meant.
    pub warnings: Vec<Finding>,
}

/// Reads the project file `text`, called `file` in reports. `read_env_file` gets an `envfile` as the file
/// names it, and answers its text or why it can't.
pub fn load(
    file: &str,
    text: &str,
    variables: &Variables,
    read_env_file: impl FnOnce(&str) -> Result<String, String>,
) -> Result<Loaded, Report> {
    let source = Source { text, interpolated: None };
    let refuse = |source: Source<'_>, raw: Vec<Raw>| Err(Report::new(file, source.locate(raw)));
    if text.len() > MAX_BYTES {
        return refuse(source, vec![too_large(0)]);
    }
    let interpolated = match interpolate(text, variables, MAX_BYTES) {
        Ok(interpolated) => interpolated,
        Err(too_far) => return refuse(source, vec![too_large(too_far.at)]),
    };
    let source = Source { text, interpolated: Some(&interpolated) };
    let mut found = Vec::new();
    let Some(root) = yaml::read(&interpolated.text, &mut found) else { return refuse(source, found) };
    let shape = decode::decode(&root, &mut found);
    let project = convert::convert(shape, &root, &interpolated.text, read_env_file, &mut found);
    if found.is_empty() {
        let unset = interpolated.unset.iter().filter(|unset| !in_comment(text, unset.at)).map(unset_warning);
        Ok(Loaded { project, warnings: source.locate(unset.collect()) })
    } else {
        refuse(source, found)
    }
}

fn too_large(at: usize) -> Raw {
    let place = Place::Source(Span { start: at, end: at });
    Raw::new(place, "", format!("the file is larger than {} MiB", MAX_BYTES >> 20))
        .hint("is this a project file? a large variable may have been put into it here")
}

fn unset_warning(unset: &interpolate::Unset) -> Raw {
    let name = unset.name.escape_debug();
    let place = Place::Source(Span { start: unset.at, end: unset.at + unset.name.len() + 3 });
    Raw::new(place, "", format!("the variable '{name}' is not set: nothing is put in its place"))
        .hint(format!("write ${{{name}:default}} for a default, or $${{{name}}} for the text itself"))
}

/// Whether `at` most likely stands in a comment: good enough to hold back a warning.
fn in_comment(text: &str, at: usize) -> bool {
    let line = &text[text[..at].rfind('\n').map_or(0, |found| found + 1)..at];
    line.trim_start().starts_with('#') || line.contains(" #")
}
