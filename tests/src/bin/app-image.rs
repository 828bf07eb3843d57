//! Puts the images of the test service into the local Docker engine and names them.

use std::io::Write;

use anyhow::{Context, Result};
use bollard::Docker;
use maelstrom_tests::image;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let docker = Docker::connect_with_defaults().context("no Docker engine: run tests/setup/docker")?;
    image::prepare(&docker).await?;
    writeln!(std::io::stdout(), "{}\n{}", image::APP, image::APP_NEXT)?;
    Ok(())
}
