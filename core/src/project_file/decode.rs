//! A [`Node`] as a Rust value, through serde, without stopping at the first mistake.
//!
//! What doesn't fit is noted with its place and replaced by nothing (an absent field, an empty list), so
//! that one pass finds all unknown fields and wrong types of a file. The result is of use only when
//! nothing was noted. Null is nothing, too, as go-yaml has it.

use std::{cell::RefCell, fmt, rc::Rc};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor, value},
    forward_to_deserialize_any,
};

use super::{
    report::{Raw, Span},
    scalar::{Scalar, Style},
    yaml::{Entry, Node, Value},
};
use crate::nearest::nearest;

/// Decodes `node`, adding to `found` what doesn't fit.
pub(super) fn decode<T: for<'de> Deserialize<'de> + Default>(node: &Node, found: &mut Vec<Raw>) -> T {
    let noted = RefCell::new(Vec::new());
    let decoder = Decoder { node, place: node.at, path: String::new(), noted: &noted };
    let decoded = T::deserialize(decoder);
    found.append(&mut noted.into_inner());
    decoded.unwrap_or_else(|error| {
        found.push(Raw::text(node.at, "", error.to_string()));
        T::default()
    })
}

struct Decoder<'a> {
    node: &'a Node,
    /// What to point at: a list's or map's key rather than all that is in it.
    place: Span,
    path: String,
    noted: &'a RefCell<Vec<Raw>>,
}

type Error = value::Error;

// === impl Decoder ===

impl Decoder<'_> {
    fn note(&self, expected: &str) {
        let named = if self.path.is_empty() { "the file" } else { &self.path };
        let found = self.node.describe();
        let raw = Raw::text(self.place, &self.path, format!("{named} is {found}; {expected} is needed"));
        let hint = match (&self.node.value, expected) {
            (Value::Scalar(scalar), LIST) => Some(format!("write it as a list: [{}]", quoted(&scalar.text))),
            (Value::Map(_), LIST) if self.path.ends_with("environment") => {
                Some("write each variable as a list item: - NAME=value".to_owned())
            }
            (Value::Scalar(scalar), WHOLE_NUMBER | NUMBER | BOOLEAN)
                if plain_would_do(&scalar.text, expected) =>
            {
                Some("remove the quotes".to_owned())
            }
            _ => None,
        };
        self.noted.borrow_mut().push(match hint {
            Some(hint) => raw.hint(hint),
            None => raw,
        });
    }

    fn below(&self, key: &str) -> String {
        match (self.path.is_empty(), key.starts_with('[')) {
            (true, _) => key.to_owned(),
            (false, true) => format!("{}{key}", self.path),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    fn children<'a>(&self, entries: &'a [Entry]) -> Vec<(&'a Entry, String)> {
        entries.iter().map(|entry| (entry, self.below(&entry.key))).collect()
    }
}

const LIST: &str = "a list";
const MAP: &str = "a map";
const TEXT: &str = "a text";
const WHOLE_NUMBER: &str = "a whole number";
const NUMBER: &str = "a number";
const BOOLEAN: &str = "true or false";

fn plain_would_do(text: &str, expected: &str) -> bool {
    let scalar = Scalar { text: text.trim().to_owned(), style: Style::Plain };
    match expected {
        WHOLE_NUMBER => scalar.as_int().is_some(),
        NUMBER => scalar.as_float().is_some(),
        _ => scalar.as_bool().is_some(),
    }
}

fn quoted(text: &str) -> String {
    let words: Vec<String> =
        text.split_whitespace().map(|word| format!("\"{}\"", word.escape_debug())).collect();
    words.join(", ")
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = Error;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.node.value {
            Value::Scalar(scalar) => scalar.as_bool(),
            _ => None,
        };
        if value.is_none() {
            self.note(BOOLEAN);
        }
        visitor.visit_bool(value.unwrap_or_default())
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.node.value {
            Value::Scalar(scalar) => scalar.as_int(),
            _ => None,
        };
        if value.is_none() {
            self.note(WHOLE_NUMBER);
        }
        visitor.visit_i64(value.unwrap_or_default())
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.node.value {
            // An octal or hexadecimal number is a number, too.
            #[allow(clippy::cast_precision_loss)]
            Value::Scalar(scalar) => scalar.as_float().or_else(|| scalar.as_int().map(|whole| whole as f64)),
            _ => None,
        };
        if value.is_none() {
            self.note(NUMBER);
        }
        visitor.visit_f64(value.unwrap_or_default())
    }

    /// Any scalar is a text, as it is written: `1.10` doesn't become `1.1`.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.is_null() => visitor.visit_str(""),
            Value::Scalar(scalar) => visitor.visit_str(&scalar.text),
            _ => {
                self.note(TEXT);
                visitor.visit_str("")
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items: &[Rc<Node>] = match &self.node.value {
            Value::List(items) => items,
            Value::Scalar(scalar) if scalar.is_null() => &[],
            _ => {
                self.note(LIST);
                &[]
            }
        };
        visitor.visit_seq(Items { of: &self, items, next: 0 })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let entries: &[Entry] = match &self.node.value {
            Value::Map(entries) => entries,
            Value::Scalar(scalar) if scalar.is_null() => &[],
            _ => {
                self.note(MAP);
                &[]
            }
        };
        visitor.visit_map(Fields {
            entries: self.children(entries).into_iter(),
            value: None,
            noted: self.noted,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Value::Map(entries) = &self.node.value {
            for entry in entries.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
                self.noted.borrow_mut().push(unknown(entry, &self.path, fields));
            }
            let known = entries.iter().filter(|entry| fields.contains(&entry.key.as_str()));
            // A null field is an absent one.
            let given = known.filter(|entry| !entry.value.is_null());
            let given: Vec<_> = given.map(|entry| (entry, self.below(&entry.key))).collect();
            return visitor.visit_map(Fields { entries: given.into_iter(), value: None, noted: self.noted });
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct newtype_struct
        tuple tuple_struct enum identifier
    }
}

fn unknown(entry: &Entry, path: &str, fields: &[&str]) -> Raw {
    let key = entry.key.escape_debug();
    let place = if path.is_empty() { "at the top of the file".to_owned() } else { format!("in {path}") };
    let raw = Raw::text(entry.key_at, path, format!("unknown field '{key}' {place}"));
    match nearest(&entry.key, fields) {
        Some(known) => raw.hint(format!("did you mean '{known}'?")),
        None => raw.hint(format!("known here: {}", fields.join(", "))),
    }
}

struct Items<'a, 'b> {
    of: &'b Decoder<'a>,
    items: &'b [Rc<Node>],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.items.get(self.next) else { return Ok(None) };
        let path = self.of.below(&format!("[{}]", self.next));
        self.next += 1;
        seed.deserialize(Decoder { node, place: node.at, path, noted: self.of.noted }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

struct Fields<'a> {
    entries: std::vec::IntoIter<(&'a Entry, String)>,
    value: Option<(&'a Entry, String)>,
    noted: &'a RefCell<Vec<Raw>>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((entry, path)) = self.entries.next() else { return Ok(None) };
        self.value = Some((entry, path));
        seed.deserialize(entry.key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((entry, path)) = self.value.take() else {
            return Err(de::Error::custom("a map's value was asked for before its key"));
        };
        let node = &entry.value;
        let place = match node.value {
            Value::Scalar(_) => node.at,
            _ => entry.key_at,
        };
        seed.deserialize(Decoder { node, place, path, noted: self.noted })
    }
}

impl fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("path", &self.path).finish_non_exhaustive()
    }
}
