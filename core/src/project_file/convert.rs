//! The file's structure as the wire form: variables merged, the crontab block written out, names with
//! their prefix, and everything checked by the same rules as the API's input. A problem comes back at the
//! place of the field it is about.

use std::collections::BTreeMap;

use super::{
    crontab,
    env_file::{parse_env_file, parse_pair},
    interpolate::Variables,
    report::{Raw, Span},
    scalar::{Scalar, Style},
    shape::*,
    to_wire,
    yaml::{Node, Value},
};
use crate::{
    component::Component,
    event_source::EventSource,
    names::ProjectName,
    problem::{Problem, Problems},
    wire,
};

pub(super) fn convert(
    shape: ProjectShape,
    root: &Node,
    text: &str,
    read_env_file: impl FnOnce(&str) -> Result<String, String>,
    found: &mut Vec<Raw>,
) -> wire::Project {
    let mut converter = Converter { root, text, found, project: None, sources: BTreeMap::new() };
    converter.name(shape.name.as_deref().unwrap_or_default());
    let mut variables = converter.env_file(shape.envfile.as_deref(), read_env_file);
    converter.environment(&shape.environment, "", &mut variables);
    converter.components(shape.components, &variables)
}

struct Converter<'a> {
    root: &'a Node,
    text: &'a str,
    found: &'a mut Vec<Raw>,
    /// `None` when the file has no name that is one.
    project: Option<ProjectName>,
    /// Event sources so far, with the component that has them: their names are unique in the project.
    sources: BTreeMap<String, String>,
}

// === impl Converter ===

impl Converter<'_> {
    fn name(&mut self, name: &str) {
        match ProjectName::parse(name) {
            Ok(name) => self.project = Some(name),
            Err(_) if name.is_empty() => {
                let raw = Raw::text(Span::default(), "name", "the project has no name");
                self.found.push(raw.hint("begin the file with: name: my-project"));
            }
            Err(why) => self.note("name", format!("name {why}")),
        }
    }

    fn env_file(
        &mut self,
        file: Option<&str>,
        read: impl FnOnce(&str) -> Result<String, String>,
    ) -> Variables {
        let Some(file) = file.filter(|file| !file.is_empty()) else { return Variables::new() };
        let variables = read(file)
            .map_err(|why| format!("cannot read envfile '{}': {why}", file.escape_debug()))
            .and_then(|text| {
                parse_env_file(&text).map_err(|why| format!("envfile '{}': {why}", file.escape_debug()))
            });
        variables.unwrap_or_else(|why| {
            self.note("envfile", why);
            Variables::new()
        })
    }

    /// Adds the list `environment` below `parent` to `variables`; later ones win.
    fn environment(&mut self, list: &[String], parent: &str, variables: &mut Variables) {
        for (index, item) in list.iter().enumerate() {
            match parse_pair(item) {
                Some((name, value)) => {
                    variables.insert(name.to_owned(), value.to_owned());
                }
                None => {
                    let path = join(parent, &format!("environment[{index}]"));
                    let shown: String = item.chars().take(40).collect();
                    self.note(&path, format!("'{}' is not NAME=value", shown.escape_debug()));
                }
            }
        }
    }

    fn components(
        &mut self,
        shapes: BTreeMap<String, ComponentShape>,
        variables: &Variables,
    ) -> wire::Project {
        let mut components = BTreeMap::new();
        for (key, shape) in shapes {
            let name = self.prefixed(&key);
            let component = self.component(&key, &name, shape, variables);
            if components.insert(name.clone(), component).is_some() {
                let path = join("components", &key);
                self.note(
                    &path,
                    format!("there are two components named '{name}': case makes no difference"),
                );
            }
        }
        let name = self.project.as_ref().map(ToString::to_string).unwrap_or_default();
        wire::Project { name, components: components.into_values().collect() }
    }

    fn prefixed(&self, name: &str) -> String {
        self.project.as_ref().map_or_else(|| name.to_ascii_lowercase(), |project| project.prefixed(name))
    }

    fn component(
        &mut self,
        key: &str,
        name: &str,
        mut shape: ComponentShape,
        variables: &Variables,
    ) -> wire::ComponentWithEventSources {
        let path = join("components", key);
        let mut environment = variables.clone();
        self.environment(&shape.environment, &path, &mut environment);
        let sources = std::mem::take(&mut shape.eventsources);
        let crontab = shape.crontab.take();
        let component = to_wire::component(name, self.project.as_ref(), shape, environment);
        if let Err(problems) = Component::parse(&component) {
            self.problems(problems, &path, component_field);
        }
        let mut event_sources = Vec::new();
        for (key, shape) in sources {
            let path = format!("{path}.eventsources.{key}");
            let source = to_wire::event_source(&self.prefixed(&key), name, self.project.as_ref(), shape);
            if let Err(problems) = EventSource::parse(&source) {
                self.problems(problems, &path, str::to_ascii_lowercase);
            }
            self.unique(&source.name, name, &path);
            event_sources.push(source);
        }
        event_sources.extend(self.crontab(name, &path, crontab.as_deref().unwrap_or_default()));
        event_sources.sort_by(|a, b| a.name.cmp(&b.name));
        let enabled = |event_source| wire::EventSourceWithStatus { event_source, enabled: true };
        wire::ComponentWithEventSources {
            component,
            event_sources: event_sources.into_iter().map(enabled).collect(),
        }
    }

    fn unique(&mut self, source: &str, component: &str, path: &str) {
        if let Some(other) = self.sources.insert(source.to_owned(), component.to_owned()) {
            self.note(path, format!("there is another event source named '{source}', of '{other}'"));
        }
    }

    fn crontab(&mut self, component: &str, path: &str, block: &str) -> Vec<wire::EventSource> {
        let path = join(path, "crontab");
        let mut sources = Vec::new();
        for rule in crontab::parse(block) {
            let rule = match rule {
                Ok(rule) => rule,
                Err((line, why)) => {
                    let at = self.block_line(&path, line);
                    self.found.push(Raw::text(at, &path, format!("crontab line {}: {why}", line + 1)));
                    continue;
                }
            };
            let cron = CronShape {
                schedule: Some(rule.schedule.to_owned()),
                http: CronRequestShape {
                    method: Some("GET".to_owned()),
                    path: Some(rule.path.to_owned()),
                    ..Default::default()
                },
            };
            let name = format!("{component}-cron-{}", sources.len());
            let shape = EventSourceShape { cron: Some(cron), ..Default::default() };
            let source = to_wire::event_source(&name, component, self.project.as_ref(), shape);
            let at = self.block_line(&path, rule.line);
            if let Err(problems) = EventSource::parse(&source) {
                for problem in problems.0 {
                    self.found.push(Raw::text(
                        at,
                        &path,
                        format!("crontab line {}: {}", rule.line + 1, problem.message),
                    ));
                }
            }
            self.unique(&name, component, &path);
            sources.push(source);
        }
        sources
    }

    /// Notes problems of a part at `path`, whose fields are named by the wire form.
    fn problems(&mut self, problems: Problems, path: &str, file_field: fn(&str) -> String) {
        for Problem { field, message } in problems.0 {
            let field = file_field(&field);
            let at = join(path, &field);
            let named = if field.is_empty() { path.rsplit('.').next().unwrap_or(path) } else { &field };
            self.note(&at, format!("{named} {}", in_file_words(&message)));
        }
    }

    fn note(&mut self, path: &str, message: String) {
        let at = place(self.root, path);
        self.found.push(Raw::text(at, path, message));
    }

    /// Line `line` of the block scalar at `path`, or the whole scalar when it isn't written as a block.
    fn block_line(&self, path: &str, line: usize) -> Span {
        let at = place(self.root, path);
        let value = walk(self.root, path).last().map(|(_, node)| &node.value);
        let Some(Value::Scalar(Scalar { text: block, style: Style::Literal })) = value else { return at };
        // The parser's place is that of the first line that isn't blank.
        let blank = block.len() - block.trim_start_matches('\n').len();
        let mut start = at.start;
        for _ in blank..line {
            start += self.text[start..].find('\n').map_or(self.text.len() - start, |end| end + 1);
        }
        let content = self.text[start..].lines().next().unwrap_or_default();
        start += content.len() - content.trim_start().len();
        Span { start, end: start + content.trim().len() }
    }
}

fn join(path: &str, field: &str) -> String {
    match (path.is_empty(), field.is_empty()) {
        (true, _) => field.to_owned(),
        (false, true) => path.to_owned(),
        (false, false) => format!("{path}.{field}"),
    }
}

/// Where the field at `path` stands, or as much of the path as there is.
fn place(root: &Node, path: &str) -> Span {
    walk(root, path).last().map_or(root.at, |(at, _)| *at)
}

/// The parts of `path` as far as they exist, each with its place.
fn walk<'a>(root: &'a Node, path: &str) -> Vec<(Span, &'a Node)> {
    let mut node = root;
    let mut steps = Vec::new();
    for part in path.split('.').flat_map(|part| {
        let (name, index) = part.split_once('[').unwrap_or((part, ""));
        [Some(name), index.strip_suffix(']')].into_iter().flatten().filter(|part| !part.is_empty())
    }) {
        let step = match &node.value {
            Value::List(items) => {
                part.parse::<usize>().ok().and_then(|index| items.get(index)).map(|item| (item.at, &**item))
            }
            _ => node.entry(part).map(|entry| {
                let scalar = matches!(entry.value.value, Value::Scalar(_)) && !entry.value.is_null();
                (if scalar { entry.value.at } else { entry.key_at }, &*entry.value)
            }),
        };
        let Some((at, below)) = step else { break };
        steps.push((at, below));
        node = below;
    }
    steps
}

/// A component's field as the file names it.
fn component_field(wire: &str) -> String {
    let field = wire.strip_prefix("docker.").unwrap_or(wire);
    match field {
        "name" | "projectName" | "docker" => String::new(),
        "init" => "containerinit".to_owned(),
        _ => field.to_ascii_lowercase().replace("mib", ""),
    }
}

/// A message about the wire form, with the fields it mentions as the file names them.
fn in_file_words(message: &str) -> String {
    let mut words = String::with_capacity(message.len());
    for word in message.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let name = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if super::write::WIRE_NAMES.contains(&name) {
            words.push_str(&component_field(name));
            words.push_str(&word[name.len()..]);
        } else {
            words.push_str(word);
        }
    }
    words
}
