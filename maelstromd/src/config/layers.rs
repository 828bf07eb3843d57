//! The layers that values come from. Each becomes a figment provider whose name is shown as provenance.
//!
//! figment's own environment provider guesses types (`MAEL_NODE_ID=0123` becomes a number), so the raw
//! text of each layer is read by the settings table instead.

use std::path::{Path, PathBuf};

use figment::{
    Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use super::{
    BadValue, HIDDEN,
    table::{SETTINGS, Setting},
    value,
};

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config FILE`.
    pub toml: Option<PathBuf>,
    /// `-f FILE`.
    pub env_file: Option<PathBuf>,
    /// The process's environment.
    pub environment: Vec<(String, String)>,
    /// Flags given, by a setting's key.
    pub flags: Vec<(String, String)>,
}

/// One layer's values, checked.
#[derive(Debug)]
pub(super) struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    pub(super) const DEFAULTS: &'static str = "default";

    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), values: Dict::new() }
    }

    /// Takes `text` as the value of `setting`, or notes why it can't.
    fn set(&mut self, setting: &Setting, text: &str, bad: &mut Vec<BadValue>) {
        match value::parse(setting, text) {
            Ok(Some(value)) => {
                self.values.insert(setting.key.to_owned(), value);
            }
            // Set to nothing in a later layer: what an earlier one said doesn't count.
            Ok(None) => {
                self.values.insert(setting.key.to_owned(), Value::from(""));
            }
            Err(allowed) => bad.push(BadValue {
                key: setting.name.to_owned(),
                value: if setting.secret { HIDDEN.into() } else { text.to_owned() },
                layer: self.name.clone(),
                allowed,
            }),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Reads all layers, earliest first.
pub(super) fn read(sources: &Sources, bad: &mut Vec<BadValue>, warnings: &mut Vec<String>) -> Vec<Layer> {
    let mut layers = vec![defaults()];
    if let Some(path) = &sources.toml {
        layers.push(toml(path, bad));
    }
    if let Some(path) = &sources.env_file {
        let name = format!("file {}", path.display());
        let pairs = env_file(path, bad);
        layers.push(variables(Layer::new(name), &pairs, bad, warnings));
    }
    layers.push(variables(Layer::new("environment"), &sources.environment, bad, warnings));
    let mut flags = Layer::new("flag");
    for (key, text) in &sources.flags {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) {
            flags.set(setting, text, bad);
        }
    }
    layers.push(flags);
    layers
}

fn defaults() -> Layer {
    let mut layer = Layer::new(Layer::DEFAULTS);
    // A default that doesn't fit its own kind is a defect that a test finds.
    let mut bad = Vec::new();
    for setting in SETTINGS {
        if let Some(text) = setting.default {
            layer.set(setting, text, &mut bad);
        }
    }
    debug_assert!(bad.is_empty(), "{bad:?}");
    layer
}

fn variables(
    mut layer: Layer,
    pairs: &[(String, String)],
    bad: &mut Vec<BadValue>,
    warnings: &mut Vec<String>,
) -> Layer {
    for (name, text) in pairs {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
            layer.set(setting, text, bad);
        } else if name.starts_with("MAEL_") {
            warnings.push(format!("{name} ({}) is no setting{}", layer.name, suggestion(name, |s| s.name)));
        }
    }
    layer
}

fn toml(path: &Path, bad: &mut Vec<BadValue>) -> Layer {
    let mut layer = Layer::new(format!("file {}", path.display()));
    let unreadable = |allowed: String| BadValue {
        key: "--config".into(),
        value: path.display().to_string(),
        layer: "flag".into(),
        allowed,
    };
    let data = match std::fs::read_to_string(path) {
        Err(error) => {
            bad.push(unreadable(error.to_string()));
            return layer;
        }
        Ok(text) => match Toml::string(&text).data() {
            Ok(data) => data,
            Err(error) => {
                bad.push(unreadable(format!("it is not TOML: {}", error.to_string().trim())));
                return layer;
            }
        },
    };
    for (key, given) in data.into_values().flatten() {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            bad.push(BadValue {
                value: scalar(&given).unwrap_or_else(|| "…".into()),
                layer: layer.name.clone(),
                allowed: format!("no such setting{}", suggestion(&key, |s| s.key)),
                key,
            });
            continue;
        };
        match scalar(&given) {
            Some(text) => layer.set(setting, &text, bad),
            None => bad.push(BadValue {
                key,
                value: "…".into(),
                layer: layer.name.clone(),
                allowed: value::allowed(setting),
            }),
        }
    }
    layer
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => {
            Some(number.to_i128().map(|n| n.to_string()).or_else(|| number.to_u128().map(|n| n.to_string())))?
                .or_else(|| number.to_f64().map(|n| n.to_string()))
        }
        _ => None,
    }
}

/// `NAME=value` lines as systemd and Docker read them: blank lines and `#` lines are skipped, `export `
/// in front and one pair of quotes around the value are dropped.
fn env_file(path: &Path, bad: &mut Vec<BadValue>) -> Vec<(String, String)> {
    let wrong =
        |value: String, layer: String, allowed: String| BadValue { key: "-f".into(), value, layer, allowed };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            bad.push(wrong(path.display().to_string(), "flag".into(), error.to_string()));
            return Vec::new();
        }
    };
    let mut pairs = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            let place = format!("file {}:{}", path.display(), index + 1);
            bad.push(wrong(line.to_owned(), place, "a line like NAME=value is allowed".into()));
            continue;
        };
        pairs.push((name.trim().to_owned(), unquoted(value.trim()).to_owned()));
    }
    pairs
}

fn unquoted(text: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text)
}

fn suggestion(given: &str, name: impl Fn(&'static Setting) -> &'static str) -> String {
    SETTINGS
        .iter()
        .map(|setting| (strsim::jaro_winkler(given, name(setting)), name(setting)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score > 0.85)
        .map_or_else(String::new, |(_, name)| format!("; did you mean {name}?"))
}
