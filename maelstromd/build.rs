//! Puts what `make dashboard` built into the program: a list of files, as they are, with their compressed
//! twins. Without it the list is empty, and the daemon says how to build it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

#[allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
fn main() -> io::Result<()> {
    let top = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../dashboard/dist");
    let list = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("dashboard.rs");
    // The folder is part of the sources, whatever lies in it: cargo looks at all of that.
    println!("cargo::rerun-if-changed={}", top.display());
    let mut files = Vec::new();
    collect(&top, &mut files)?;
    files.sort();
    fs::write(list, written(&top, &files))?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// A slice of `Asset`s, as Rust.
fn written(top: &Path, files: &[PathBuf]) -> String {
    let named = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let mut text = "&[\n".to_owned();
    for path in files {
        let name = path.strip_prefix(top).unwrap_or(path).display().to_string();
        let twin = [".gz", ".br"].iter().any(|end| name.ends_with(end));
        if twin || name.starts_with('.') {
            continue;
        }
        let one = |path: &Path| format!("include_bytes!({:?})", path.display().to_string());
        let other =
            |path: PathBuf| if path.exists() { format!("Some({})", one(&path)) } else { "None".into() };
        text += &format!(
            "    Asset {{ name: {name:?}, bytes: {}, gzip: {}, brotli: {} }},\n",
            one(path),
            other(named(path, ".gz")),
            other(named(path, ".br")),
        );
    }
    text + "]\n"
}
