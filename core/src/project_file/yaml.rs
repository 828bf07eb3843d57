//! YAML text as a tree that knows where each part stands.
//!
//! A stock deserializer stops at the first thing that is wrong. Here the events of the parser become
//! [`Node`]s, so that [`super::decode`] can go on and report all that is wrong at once. What YAML leaves
//! to the reader is done as go-yaml does it, since the files were written for that: merge keys (`<<`),
//! aliases, one document.
//!
//! Bounded: nesting by the parser, the tree (aliases written out) by [`MAX_NODES`]; an alias shares its
//! anchor's node, so that a "billion laughs" file costs its own size.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::{
    report::{Raw, Span},
    scalar::{Scalar, Style},
};

/// Some hundred components with all their fields, a hundred times over.
const MAX_NODES: usize = 200_000;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Span,
    pub(super) value: Value,
    /// Nodes below and this one, aliases written out.
    weight: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    /// In the order of the file, keys unique.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Span,
    pub(super) value: Rc<Node>,
}

/// Reads `text`. `None` when it can't be read at all; `found` then says why.
pub(super) fn read(text: &str, found: &mut Vec<Raw>) -> Option<Rc<Node>> {
    let mut builder = Builder { found, open: Vec::new(), anchors: HashMap::new(), root: None };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => {
                let at = Span { start: bytes(&span.start), end: bytes(&span.end) };
                builder.take(event, at)
            }
            Err(error) => {
                let start = bytes(error.marker());
                let at = Span { start, end: start + 1 };
                Err(syntax(Raw::text(at, "", format!("this is not YAML: {}", error.info())), text, start))
            }
        };
        if let Err(raw) = step {
            builder.found.push(raw);
            return None;
        }
    }
    Some(builder.root.unwrap_or_else(|| Rc::new(Node::null(Span::default()))))
}

fn bytes(marker: &granit_parser::Marker) -> usize {
    marker.byte_offset().unwrap_or(marker.index())
}

/// Adds what is most often meant to a syntax error.
fn syntax(raw: Raw, text: &str, at: usize) -> Raw {
    let line = text.floor_char_boundary(at);
    let line = &text[text[..line].rfind('\n').map_or(0, |found| found + 1)..];
    let line = &line[..line.find('\n').unwrap_or(line.len())];
    let indent = &line[..line.len() - line.trim_start().len()];
    if indent.contains('\t') {
        raw.hint("indent with spaces: YAML doesn't allow tabs there")
    } else if line.contains(": @") || line.contains(": `") || line.contains(": %") {
        raw.hint("put the value in quotes")
    } else {
        raw
    }
}

struct Builder<'a> {
    found: &'a mut Vec<Raw>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
}

struct Open {
    at: Span,
    anchor: usize,
    weight: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Rc<Node>>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    /// The keys of `entries`.
    seen: HashSet<String>,
    /// What `<<` refers to.
    merged: Vec<Rc<Node>>,
    /// Waits for its value.
    key: Option<Rc<Node>>,
}

// === impl Builder ===

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, at: Span) -> Result<(), Raw> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = self.style(style, tag.as_deref(), at)?;
                let node = Rc::new(Node {
                    at,
                    value: Value::Scalar(Scalar { text: text.into_owned(), style }),
                    weight: 1,
                });
                self.anchored(anchor, &node);
                self.add(node)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                // What is wrong is shown where the alias' anchor defines it.
                Some(node) => self.add(Rc::clone(node)),
                None => Err(Raw::text(at, "", "this alias refers to a part that contains it")),
            },
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", at)?;
                self.open(at, anchor, Kind::List(Vec::new()));
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", at)?;
                self.open(at, anchor, Kind::Map(OpenMap::default()));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            _ => Ok(()),
        }
    }

    fn style(&self, style: ScalarStyle, tag: Option<&Tag>, at: Span) -> Result<Style, Raw> {
        let by_form = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::Literal => Style::Literal,
            _ => Style::Quoted,
        };
        match tag.map(|tag| (tag.handle(), tag.suffix())) {
            None => Ok(by_form),
            Some(("tag:yaml.org,2002:", "str") | ("!", "")) if by_form == Style::Plain => Ok(Style::Quoted),
            Some(("tag:yaml.org,2002:", "str") | ("!", "")) => Ok(by_form),
            Some(("tag:yaml.org,2002:", "int" | "float" | "bool" | "null")) => Ok(Style::Plain),
            Some((handle, suffix)) => Err(unknown_tag(handle, suffix, at)),
        }
    }

    fn collection_tag(&self, tag: Option<&Tag>, expected: &str, at: Span) -> Result<(), Raw> {
        match tag.map(|tag| (tag.handle(), tag.suffix())) {
            None | Some(("!", "")) => Ok(()),
            Some(("tag:yaml.org,2002:", suffix)) if suffix == expected => Ok(()),
            Some((handle, suffix)) => Err(unknown_tag(handle, suffix, at)),
        }
    }

    fn open(&mut self, at: Span, anchor: usize, kind: Kind) {
        self.open.push(Open { at, anchor, weight: 1, kind });
    }

    fn close(&mut self, end: Span) -> Result<(), Raw> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let at = Span { start: open.at.start, end: end.end.max(open.at.end) };
        let value = match open.kind {
            Kind::List(items) => Value::List(items),
            Kind::Map(map) => Value::Map(map.merge()),
        };
        let node = Rc::new(Node { at, value, weight: open.weight });
        self.anchored(open.anchor, &node);
        self.add(node)
    }

    /// Anchors count from 1; 0 is none.
    fn anchored(&mut self, anchor: usize, node: &Rc<Node>) {
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(node));
        }
    }

    fn add(&mut self, node: Rc<Node>) -> Result<(), Raw> {
        let Some(open) = self.open.last_mut() else { return self.document(node) };
        open.weight = open.weight.saturating_add(node.weight);
        if open.weight > MAX_NODES {
            let message =
                format!("the file has more than {MAX_NODES} parts once its aliases are written out");
            return Err(Raw::text(node.at, "", message));
        }
        match &mut open.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(map) => match map.key.take() {
                None => map.key = Some(node),
                Some(key) => match key.as_key() {
                    Some("<<") if key.is_plain() => map.merged.extend(merge_sources(&node, self.found)),
                    Some(text) => map.add(text, key.at, node, self.found),
                    None => self.found.push(Raw::text(key.at, "", "a key must be a plain text")),
                },
            },
        }
        Ok(())
    }

    fn document(&mut self, node: Rc<Node>) -> Result<(), Raw> {
        match (&self.root, node.is_null()) {
            (None, _) => self.root = Some(node),
            (Some(_), true) => {}
            (Some(_), false) => {
                return Err(Raw::text(node.at, "", "a second YAML document begins here")
                    .hint("a project file is one document: put the other into its own file"));
            }
        }
        Ok(())
    }
}

fn unknown_tag(handle: &str, suffix: &str, at: Span) -> Raw {
    let tag = match handle {
        "tag:yaml.org,2002:" => format!("!!{suffix}"),
        _ => format!("{handle}{suffix}"),
    };
    Raw::text(at, "", format!("the tag '{tag}' has no meaning in a project file"))
}

fn merge_sources(node: &Rc<Node>, found: &mut Vec<Raw>) -> Vec<Rc<Node>> {
    let sources = match &node.value {
        Value::List(items) => items.clone(),
        _ => vec![Rc::clone(node)],
    };
    let (maps, others): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|source| matches!(source.value, Value::Map(_)));
    for other in others {
        found.push(Raw::text(other.at, "", "'<<' takes a map or a list of maps"));
    }
    maps
}

// === impl OpenMap ===

impl OpenMap {
    fn add(&mut self, key: &str, key_at: Span, value: Rc<Node>, found: &mut Vec<Raw>) {
        if self.seen.insert(key.to_owned()) {
            self.entries.push(Entry { key: key.to_owned(), key_at, value });
        } else {
            let raw = Raw::text(key_at, "", format!("'{}' is given twice", key.escape_debug()));
            found.push(raw.hint("remove one of the two"));
        }
    }

    /// A map's own keys win over merged ones, and of those the earlier.
    fn merge(mut self) -> Vec<Entry> {
        for source in &self.merged {
            let Value::Map(inherited) = &source.value else { continue };
            for entry in inherited {
                if self.seen.insert(entry.key.clone()) {
                    self.entries.push(entry.clone());
                }
            }
        }
        self.entries
    }
}

// === impl Node ===

impl Node {
    fn null(at: Span) -> Self {
        let value = Value::Scalar(Scalar { text: String::new(), style: Style::Plain });
        Self { at, value, weight: 1 }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    fn is_plain(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.style == Style::Plain)
    }

    fn as_key(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// What to call it in a message.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Value::Scalar(scalar) => {
                const SHOWN: usize = 60;
                let mut text: String = scalar.text.chars().take(SHOWN).collect();
                if text.len() < scalar.text.len() {
                    text.push('…');
                }
                format!("'{}'", text.escape_debug())
            }
        }
    }
}
