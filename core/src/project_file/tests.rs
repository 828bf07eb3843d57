//! The project file as people write it: what loads, what doesn't, and where the report points.

use super::*;

mod forms;
mod mistakes;
mod properties;
mod round_trip;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn no_env_file(_: &str) -> Result<String, String> {
    Err("no such file".to_owned())
}

fn read(text: &str) -> Result<Loaded, Report> {
    load("maelstrom.yml", text, &variables(&[("HOME", "/home/me"), ("PORT", "9000")]), no_env_file)
}

#[track_caller]
fn good(text: &str) -> wire::Project {
    read(text).unwrap_or_else(|report| panic!("{report}")).project
}

/// The only component.
#[track_caller]
fn component(text: &str) -> wire::Component {
    good(text).components.remove(0).component
}

/// What is wrong, as `line:column message`.
#[track_caller]
fn wrong(text: &str) -> Vec<String> {
    let report = read(text).expect_err("should be refused");
    report.findings.iter().map(|found| format!("{}:{} {}", found.line, found.column, found.message)).collect()
}
