//! The daemon's configuration: one table of settings ([`table`]), read from layers ([`layers`]), merged,
//! checked as a whole and turned into typed [`Settings`].
//!
//! Layers, later wins: defaults · `maelstromd.toml` (`--config FILE`) · `NAME=value` file (`-f FILE`) ·
//! environment · flags. Every bad value of every layer is reported together; a bad value is never
//! replaced by a default. Nothing here is read again while the daemon runs.

mod layers;
mod print;
mod settings;
mod table;
mod value;

pub use layers::Sources;
pub use print::describe;
pub use settings::{LogFormat, Settings, StoreSetting};
pub use table::{Kind, SETTINGS, Setting};

use figment::{Figment, value::Value};

use self::layers::Layer;

/// Stands for a value that is not shown.
const HIDDEN: &str = "(hidden)";

/// What was read: typed settings, what people should be told, and where each value came from.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Sentences for the log: unknown variables, settings without effect.
    pub warnings: Vec<String>,
    pub effective: Vec<Effective>,
}

/// One setting's value in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    pub setting: &'static Setting,
    /// `None`: not set, and no fixed default.
    pub value: Option<String>,
    /// Where it came from.
    pub layer: String,
}

/// A value that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = '{value}' ({layer}): {allowed}")]
pub struct BadValue {
    pub key: String,
    /// Hidden when the setting is secret.
    pub value: String,
    pub layer: String,
    /// What is allowed instead.
    pub allowed: String,
}

/// All that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadConfiguration(pub Vec<BadValue>);

/// Reads all layers and checks all values.
pub fn load(sources: &Sources) -> Result<Loaded, BadConfiguration> {
    let mut bad = Vec::new();
    let mut warnings = Vec::new();
    let mut figment = Figment::new();
    for layer in layers::read(sources, &mut bad, &mut warnings) {
        figment = figment.merge(layer);
    }
    if !bad.is_empty() {
        return Err(BadConfiguration(bad));
    }
    let settings = figment.extract().map_err(|error| BadConfiguration(vec![unexpected(&error)]))?;
    let effective = effective(&figment);
    tokens(&settings, &effective).map_err(|bad| BadConfiguration(vec![bad]))?;
    warnings.extend(effective.iter().filter_map(without_effect));
    Ok(Loaded { settings, warnings, effective })
}

fn effective(figment: &Figment) -> Vec<Effective> {
    SETTINGS
        .iter()
        .map(|setting| {
            let found = figment.find_value(setting.key).ok();
            let layer = figment.find_metadata(setting.key).map(|metadata| metadata.name.to_string());
            Effective {
                setting,
                value: found.as_ref().map(as_text),
                layer: layer.unwrap_or_else(|| Layer::DEFAULTS.to_owned()),
            }
        })
        .collect()
}

/// Tokens that make no sense together.
fn tokens(settings: &Settings, effective: &[Effective]) -> Result<(), BadValue> {
    let (all, readonly) = (&settings.api_tokens, &settings.api_tokens_readonly);
    let allowed = if all.is_empty() && !readonly.is_empty() {
        "with these alone nobody could change anything; set MAEL_API_TOKEN, too"
    } else if readonly.iter().any(|token| all.contains(token)) {
        "one of these is in MAEL_API_TOKEN, too: it could not be told what it may do"
    } else {
        return Ok(());
    };
    const KEY: &str = "MAEL_API_TOKEN_READONLY";
    let layer = effective.iter().find(|one| one.setting.name == KEY).map(|one| one.layer.clone());
    Err(BadValue {
        key: KEY.to_owned(),
        value: HIDDEN.to_owned(),
        layer: layer.unwrap_or_default(),
        allowed: allowed.to_owned(),
    })
}

/// Variables that programs which the daemon starts must not inherit.
pub fn secret_variables() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter(|setting| setting.secret).map(|setting| setting.name)
}

/// A setting of the documented set whose feature this program doesn't have must not look as if it worked.
fn without_effect(effective: &Effective) -> Option<String> {
    let feature = effective.setting.not_built?;
    (effective.layer != Layer::DEFAULTS)
        .then(|| format!("{} has no effect: this build has no {feature}", effective.setting.name))
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Bool(_, flag) => flag.to_string(),
        other => other.to_u128().map_or_else(String::new, |number| number.to_string()),
    }
}

/// The table checks each value before extraction, so this is a defect of the table itself.
fn unexpected(error: &figment::Error) -> BadValue {
    BadValue {
        key: error.path.join("."),
        value: String::new(),
        layer: error.metadata.as_ref().map_or_else(String::new, |metadata| metadata.name.to_string()),
        allowed: error.kind.to_string(),
    }
}

impl std::fmt::Display for BadConfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, bad) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{bad}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BadConfiguration {}

#[cfg(test)]
mod tests;
