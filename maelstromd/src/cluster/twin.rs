//! Two daemons with one node's name would take each other's roles and overwrite each other's heartbeat
//! for ever. Whoever starts second finds out and doesn't.

use std::time::Duration;

use maelstrom_core::{names::NodeId, ports::store::Store, rpc::Client, wire};

use super::peers::PeerClient;
use crate::access::PeerSecret;

/// One that lives answers in a millisecond.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Another daemon answers to this node's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "a daemon at {url} runs with this node's id, '{node}'; stop it, or give one of them another id \
     (MAEL_NODE_ID, or another MAEL_STATE_DIR)"
)]
pub struct Twin {
    node: NodeId,
    url: String,
}

/// Fails if the daemon that wrote the node's last heartbeat still answers. One at this daemon's own
/// address is its last run: two can't listen there.
pub async fn refuse_twin(
    store: &dyn Store,
    node: &NodeId,
    own_url: &str,
    secret: &PeerSecret,
) -> Result<(), Twin> {
    if store.exclusive() {
        return Ok(());
    }
    // A store that is away for a moment delays no start.
    let Ok(heartbeats) = store.heartbeats().await else { return Ok(()) };
    let last = heartbeats.into_iter().find(|heartbeat| heartbeat.node == *node);
    let Some(url) = last.map(|last| last.peer_url).filter(|url| url != own_url) else { return Ok(()) };
    let client = Client::new(PeerClient::new(&url, secret));
    let input = wire::GetVersionInput::default();
    let asked = tokio::time::timeout(ANSWER_LIMIT, client.call(wire::GetVersion, &input)).await;
    match asked {
        Ok(Ok(output)) if output.node_id == node.as_str() => Err(Twin { node: node.clone(), url }),
        _ => Ok(()),
    }
}
