//! Turns the test service (`tests/app`) into Docker images, without a registry
//! and without a Docker client.
//!
//! The service is compiled static into a target folder of its own (its flags
//! would rebuild everything else), packed into a tar of one file and imported
//! through the engine's API. Both steps are skipped while their result belongs to
//! the sources as they are, so asking again costs milliseconds; a lock makes the
//! many processes of a test run do it once. An image that is current is never
//! imported again: its id stays, so nothing that runs takes it for a new version.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bytes::Bytes;
use futures_util::TryStreamExt;

/// The test service as `APP_VERSION=1`.
pub const APP: &str = "maelstrom-test/app:1";
/// The same as `APP_VERSION=2`, for deploys.
pub const APP_NEXT: &str = "maelstrom-test/app:2";

/// On every image made here: the state of the sources it was made of.
const SOURCE_LABEL: &str = "maelstrom.test.source";

/// Makes sure that [`APP`] and [`APP_NEXT`] are in the engine and current.
pub async fn prepare(docker: &Docker) -> Result<()> {
    prepare_as(docker, APP, "1").await?;
    prepare_as(docker, APP_NEXT, "2").await
}

/// The same under a tag and `APP_VERSION` of the caller's choice.
pub async fn prepare_as(docker: &Docker, tag: &str, version: &str) -> Result<()> {
    let source = source_hash()?;
    if is_current(docker, tag, &source).await? {
        return Ok(());
    }
    let (binary, _lock) = tokio::task::spawn_blocking(|| {
        let lock = lock()?;
        build().map(|binary| (binary, lock))
    })
    .await??;
    // Another process may have done it while this one waited for the lock.
    match is_current(docker, tag, &source).await? {
        true => Ok(()),
        false => import(docker, tag, version, &binary).await,
    }
}

/// Imports the test service under a tag whatever was there, as a new image: for
/// tests that move a tag.
pub async fn import_as(docker: &Docker, tag: &str, version: &str) -> Result<()> {
    import(docker, tag, version, &binary().await?).await
}

/// The static program itself, built if it isn't current.
pub async fn binary() -> Result<PathBuf> {
    tokio::task::spawn_blocking(|| {
        let _lock = lock()?;
        build()
    })
    .await?
}

async fn is_current(docker: &Docker, tag: &str, source: &str) -> Result<bool> {
    match docker.inspect_image(tag).await {
        Ok(image) => {
            let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
            Ok(labels.get(SOURCE_LABEL).is_some_and(|label| label == source))
        }
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
        Err(error) => {
            Err(error).context("asking the Docker engine for an image: is it running? (tests/setup/docker)")
        }
    }
}

async fn import(docker: &Docker, tag: &str, version: &str, binary: &Path) -> Result<()> {
    let program = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(tag)
        .changes(vec![
            "ENTRYPOINT [\"/mael-app\"]".into(),
            "EXPOSE 8080".into(),
            format!("ENV APP_VERSION={version}"),
            format!("LABEL {SOURCE_LABEL}={}", source_hash()?),
        ])
        .build();
    let tar = bollard::body_full(Bytes::from(archive(&program)));
    let progress: Vec<_> = docker
        .create_image(Some(options), Some(tar), None)
        .try_collect()
        .await
        .with_context(|| format!("importing {tag}"))?;
    if let Some(error) = progress.into_iter().find_map(|line| line.error_detail) {
        bail!("the Docker engine did not import {tag}: {}", error.message.unwrap_or_default());
    }
    Ok(())
}

// === Building ===

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn static_target() -> PathBuf {
    workspace().join("target/static")
}

/// Held until dropped; the kernel gives it back if the process dies.
fn lock() -> Result<File> {
    let folder = static_target();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let file = File::create(folder.join("lock"))?;
    file.lock()?;
    Ok(file)
}

fn build() -> Result<PathBuf> {
    let source = source_hash()?;
    let stamp = static_target().join("source");
    let host = host()?;
    let binary = static_target().join(&host).join("fast/mael-app");
    if binary.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == source) {
        return Ok(binary);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // A named target keeps the flag away from build scripts and proc macros.
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "mael-app",
            "--profile",
            "fast",
            "--target",
            &host,
        ])
        .arg("--target-dir")
        .arg(static_target())
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // An image carries what runs, not what a debugger reads.
        .env("CARGO_PROFILE_FAST_DEBUG", "none")
        .env("CARGO_PROFILE_FAST_STRIP", "symbols")
        .current_dir(workspace())
        .status()
        .context("running cargo to build the test service")?;
    ensure!(status.success(), "the test service did not build: cargo's message is above");
    fs::write(&stamp, source)?;
    Ok(binary)
}

/// The triple that the compiler runs on: containers run here too.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("running rustc -vV")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .context("rustc -vV names no host")
}

/// Of everything that the service's own crate consists of. Dependencies are left
/// out: another version of them is no reason to change the image under its users.
fn source_hash() -> Result<String> {
    let mut files = vec![workspace().join("tests/app/Cargo.toml")];
    for entry in fs::read_dir(workspace().join("tests/app/src"))? {
        files.push(entry?.path());
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(&file).with_context(|| format!("reading {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

// === The tar ===

/// A block of a tar: headers are one, contents are filled up to the next.
const BLOCK: usize = 512;

/// `/mael-app`, and `/tmp` for what runs as another user.
fn archive(program: &[u8]) -> Vec<u8> {
    let mut tar = Vec::with_capacity(program.len() + 8 * BLOCK);
    tar.extend(header("tmp/", 0o1777, 0, b'5'));
    tar.extend(header("mael-app", 0o755, program.len(), b'0'));
    tar.extend_from_slice(program);
    tar.resize(tar.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    tar
}

/// POSIX.1-1988 (ustar), owned by root, dated 1970 so that equal input gives equal images.
fn header(name: &str, mode: u32, size: usize, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // The checksum counts itself as blanks.
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_lists_its_files() {
        use std::io::Write;
        let mut tar = Command::new("tar")
            .arg("tv")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&archive(b"program")).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        let list = String::from_utf8(output.stdout).unwrap();
        assert!(list.contains("drwxrwxrwt") && list.contains("tmp/"), "{list}");
        assert!(list.contains("-rwxr-xr-x") && list.contains(" 7 ") && list.contains("mael-app"), "{list}");
    }
}
