//! What changes between two states of a component or event source, field by field, in the words of the
//! project file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) field: String,
    /// `None`: it was not set.
    pub(crate) old: Option<String>,
    /// `None`: it is not set any more.
    pub(crate) new: Option<String>,
}

/// In the order of the fields' names.
pub(crate) fn differences(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<Difference> {
    let (old, new) = (flat(old), flat(new));
    let fields: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = fields.into_iter().filter(|field| old.get(*field) != new.get(*field));
    differing
        .map(|field| {
            let shown = |values: &BTreeMap<String, String>| {
                values
                    .get(field)
                    .map(|value| if is_secret(field) { "(hidden)".to_owned() } else { value.clone() })
            };
            Difference { field: field.clone(), old: shown(&old), new: shown(&new) }
        })
        .collect()
}

/// Whether a field or variable of that name most likely holds what must not be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    const TELLING: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "apikey"];
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|word| name.contains(word)) || name.ends_with("_key")
}

/// Paths of scalars and lists; each variable of `environment` by its name.
fn flat(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    add("", map, &mut values);
    values
}

fn add(path: &str, map: &Map<String, Value>, values: &mut BTreeMap<String, String>) {
    for (key, value) in map {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Null => {}
            Value::Object(below) => add(&path, below, values),
            Value::Array(items) if key == "environment" => {
                for item in items.iter().filter_map(Value::as_str) {
                    let (name, value) = item.split_once('=').unwrap_or((item, ""));
                    values.insert(format!("{path}.{name}"), value.to_owned());
                }
            }
            Value::String(text) => {
                values.insert(path, text.clone());
            }
            other => {
                values.insert(path, other.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_differ_are_told() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let old = map(
            json!({"image": "a", "environment": ["A=1", "B=2", "API_TOKEN=x"], "http": {"hostname": "h"}, "same": [1]}),
        );
        let new = map(
            json!({"image": "b", "environment": ["A=1", "C=3", "API_TOKEN=y"], "http": {"pathprefix": "/"}, "same": [1]}),
        );
        let found: Vec<_> = differences(&old, &new)
            .into_iter()
            .map(|d| (d.field, d.old.unwrap_or_default(), d.new.unwrap_or_default()))
            .collect();
        let expected = [
            ("environment.API_TOKEN", "(hidden)", "(hidden)"),
            ("environment.B", "2", ""),
            ("environment.C", "", "3"),
            ("http.hostname", "h", ""),
            ("http.pathprefix", "", "/"),
            ("image", "a", "b"),
        ];
        assert_eq!(
            found,
            expected.map(|(field, old, new)| (field.to_owned(), old.to_owned(), new.to_owned()))
        );
    }
}
