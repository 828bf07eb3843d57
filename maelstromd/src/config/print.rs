//! What `maelstromd config` prints: each setting, its value in force, and the layer it came from.

use std::fmt::Write as _;

use super::{Effective, HIDDEN};

/// A table with aligned columns; secrets are hidden.
pub fn describe(effective: &[Effective]) -> String {
    let shown = |one: &Effective| match &one.value {
        Some(_) if one.setting.secret => HIDDEN.to_owned(),
        Some(value) if !value.is_empty() => value.clone(),
        _ => "(unset)".to_owned(),
    };
    let names = effective.iter().map(|one| one.setting.name.len()).max().unwrap_or(0);
    let values = effective.iter().map(|one| shown(one).len()).max().unwrap_or(0);
    let mut text = String::new();
    for one in effective {
        let _ = writeln!(text, "{:names$}  {:values$}  {}", one.setting.name, shown(one), one.layer);
    }
    text
}
