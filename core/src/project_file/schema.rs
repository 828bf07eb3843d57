//! The JSON Schema of the project file, for editors: from the very structs that read it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::shape::ProjectShape;

/// JSON Schema, draft 7: what editors' YAML plugins understand.
pub fn json_schema() -> Value {
    let mut schema =
        SchemaSettings::draft07().into_generator().into_root_schema_for::<ProjectShape>().to_value();
    let objects = schema.get_mut("definitions").and_then(Value::as_object_mut);
    for object in objects.into_iter().flat_map(Map::values_mut) {
        let fields = object.get_mut("properties").and_then(Value::as_object_mut);
        for field in fields.into_iter().flat_map(Map::values_mut) {
            allow_reference(field);
        }
    }
    schema
}

/// An editor sees the file before interpolation: where a number or a boolean belongs, `${NAME}` may
/// stand.
fn allow_reference(field: &mut Value) {
    let Some(field) = field.as_object_mut() else { return };
    field.remove("format");
    let scalar = |name: &Value| ["integer", "number", "boolean"].iter().any(|scalar| name == scalar);
    let is_scalar = match field.get("type") {
        Some(Value::Array(types)) => types.iter().any(scalar),
        Some(one) => scalar(one),
        None => false,
    };
    if !is_scalar {
        return;
    }
    let mut value = Map::new();
    for keyword in ["type", "minimum", "maximum"] {
        if let Some(given) = field.remove(keyword) {
            value.insert(keyword.to_owned(), given);
        }
    }
    let reference = json!({ "type": "string", "pattern": r"\$\{[^}]+\}" });
    field.insert("anyOf".to_owned(), json!([value, reference]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_strict_and_speaks_the_files_names() {
        let schema = json_schema();
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["required"].as_array().unwrap().contains(&json!("name")), "{schema:#}");
        let component = &schema["definitions"]["ComponentShape"];
        assert_eq!(component["additionalProperties"], false);
        for field in ["image", "maxconcurrency", "httphealthcheckpath", "eventsources", "crontab", "volumes"]
        {
            assert!(component["properties"][field].is_object(), "{field} missing");
        }
        let port = &component["properties"]["httpport"];
        assert_eq!(port["anyOf"][0]["maximum"], 65535, "{port:#}");
        assert!(port["description"].as_str().unwrap().contains("8080"), "{port:#}");
    }
}
