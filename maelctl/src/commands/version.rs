//! `maelctl version`

use maelstrom_core::wire;
use serde::Serialize;

use crate::{client::Api, failure::Failure, output::Output};

#[derive(Serialize)]
struct Versions {
    maelctl: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    maelstromd: Option<wire::GetVersionOutput>,
}

/// The daemon's version is told when it can be reached; that it can't is no failure.
pub(super) async fn run(api: &Api, output: &Output) -> Result<(), Failure> {
    let maelctl = env!("CARGO_PKG_VERSION");
    let asked = api.read(wire::GetVersion, &wire::GetVersionInput {}).await;
    let versions = Versions { maelctl, maelstromd: asked.as_ref().ok().cloned() };
    let text = || {
        let daemon = versions.maelstromd.as_ref().map_or_else(String::new, |daemon| {
            format!("maelstromd {} (node {} at {})\n", daemon.version, daemon.node_id, api.address())
        });
        format!("maelctl {maelctl}\n{daemon}")
    };
    output.print(&output.one(&versions, || maelctl.to_owned(), text)?)?;
    if let Err(failure) = asked {
        output.remark(&format!("maelstromd: {}", failure.message));
    }
    Ok(())
}
