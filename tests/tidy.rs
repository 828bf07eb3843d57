//! The tree itself: which crate may know which, and what every file owes its reader.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every Rust source of the workspace, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["core", "aws", "maelstromd", "maelctl", "tests"].iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let path = path.strip_prefix(root()).expect("inside the workspace").to_owned();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 40, "only {} sources found", found.len());
    found
}

/// Package → the names of all packages that it is built with, outside tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--locked"])
        // Other systems' crates needn't be there.
        .args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let name_of: BTreeMap<&str, &str> = list(&metadata["packages"])
        .map(|p| (p["id"].as_str().unwrap_or_default(), p["name"].as_str().unwrap_or_default()))
        .collect();
    let direct: BTreeMap<&str, Vec<&str>> = list(&metadata["resolve"]["nodes"])
        .map(|node| {
            let normal = |dep: &&Value| list(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null());
            let ids = list(&node["deps"]).filter(normal).filter_map(|dep| dep["pkg"].as_str()).collect();
            (node["id"].as_str().unwrap_or_default(), ids)
        })
        .collect();
    let members = list(&metadata["workspace_members"]).filter_map(Value::as_str);
    members
        .map(|member| {
            let mut seen = BTreeSet::new();
            let mut next = vec![member];
            while let Some(id) = next.pop() {
                for dep in direct.get(id).into_iter().flatten() {
                    if seen.insert(*dep) {
                        next.push(dep);
                    }
                }
            }
            (name_of[member].to_owned(), seen.iter().map(|id| name_of[id].to_owned()).collect())
        })
        .collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[test]
fn core_can_not_do_io() {
    let core = &dependencies()["maelstrom-core"];
    for banned in ["tokio", "hyper", "axum", "bollard", "rusqlite", "rustix", "tracing"] {
        assert!(!core.contains(banned), "core depends on {banned}");
    }
    assert!(!core.iter().any(|name| name.starts_with("aws-")), "core depends on an AWS SDK");
}

#[test]
fn dependencies_point_one_way() {
    let all = dependencies();
    let ours: BTreeSet<&String> = all.keys().collect();
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("maelstrom-core", &[][..]),
        ("maelstrom-aws", &["maelstrom-core"][..]),
        // It makes the table of a cluster that has no node yet.
        ("maelctl", &["maelstrom-core", "maelstrom-aws"][..]),
        ("maelstromd", &["maelstrom-core", "maelstrom-aws"][..]),
        ("maelstrom-tests", &["maelstrom-core", "maelstrom-aws", "maelstromd", "maelctl"][..]),
        ("mael-app", &[][..]),
    ]);
    for (name, dependencies) in &all {
        let allowed =
            allowed.get(name.as_str()).unwrap_or_else(|| panic!("say here what {name} may depend on"));
        for dependency in dependencies.iter().filter(|dependency| ours.contains(dependency)) {
            assert!(allowed.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
}

#[test]
fn one_place_knows_each_outside_library() {
    for (library, place) in [("bollard", "maelstromd/src/docker"), ("rusqlite", "maelstromd/src/store")] {
        for (path, text) in sources() {
            let inside = path.starts_with(place) || path == Path::new(place).with_extension("rs");
            if path.starts_with("maelstromd/src") && !inside {
                assert!(!text.contains(&format!("{library}::")), "{} knows {library}", path.display());
            }
        }
    }
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.starts_with("aws")) {
        // Put together here so that this file does not find itself.
        for library in [["aws_", "sdk"].concat(), ["aws_", "config"].concat()] {
            assert!(!text.contains(&library), "{} knows the AWS SDK", path.display());
        }
    }
}

#[test]
fn only_the_clock_reads_clocks() {
    for (path, text) in sources() {
        let product = ["core/src", "aws/src", "maelstromd/src"].iter().any(|folder| path.starts_with(folder));
        if product && path != Path::new("maelstromd/src/clock.rs") {
            for call in ["SystemTime::now", "clock_gettime"] {
                assert!(
                    !text.contains(call),
                    "{} calls {call}: take the time, or use clock.rs",
                    path.display()
                );
            }
        }
        if path.starts_with("core/src") && !path.starts_with("core/src/testing") {
            assert!(!text.contains("Instant::now"), "{} reads a clock", path.display());
        }
    }
}

#[test]
fn every_file_says_why_it_exists() {
    for (path, text) in sources() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The tests of one module say it by their names.
        if name == "tests.rs" || name.ends_with("_tests.rs") {
            continue;
        }
        assert!(text.starts_with("//!"), "{} does not begin with a module comment", path.display());
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here so that this file does not find itself.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    for (path, text) in sources() {
        for word in &words {
            let found = text.split(|c: char| !c.is_alphanumeric()).any(|token| token == word);
            assert!(!found, "{} says {word}", path.display());
        }
    }
}

#[test]
fn files_can_be_read_at_one_sitting() {
    // Longer than this and a file has a second idea in it.
    const MOST: usize = 600;
    for (path, text) in sources() {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().lines().count();
        assert!(code <= MOST, "{} has {code} lines: look for the second idea in it", path.display());
    }
}
