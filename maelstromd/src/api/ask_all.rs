//! One question to all peers: bounded in time and in how many are asked at once, and with a list of those
//! whose answer is missing.

use std::{future::Future, time::Duration};

use futures_util::{StreamExt as _, stream};
use maelstrom_core::{decide::membership::PeerView, names::NodeId, wire};

use crate::cluster::{PeerError, Peers};

/// For the whole question. People wait for it.
const LIMIT: Duration = Duration::from_secs(3);
/// Answers in memory at a time: each may hold a thousand events.
const AT_ONCE: usize = 16;

/// Calls `ask` for each peer and hands the answers to `take` as they come. Peers that can't be reached are
/// not asked.
pub(super) async fn ask_all<T, F>(
    peers: &Peers,
    ask: impl Fn(NodeId, Duration) -> F,
    mut take: impl FnMut(&NodeId, T),
) -> Vec<wire::MissingNode>
where
    F: Future<Output = Result<T, PeerError>>,
{
    let (silent, reachable): (Vec<PeerView>, Vec<PeerView>) =
        peers.view().into_iter().partition(|view| view.silent_since.is_some());
    let id = |view: &PeerView| NodeId::new(view.status.node_id.as_str());
    let mut waiting: Vec<NodeId> = reachable.iter().map(id).collect();
    let mut missing: Vec<wire::MissingNode> =
        silent.iter().map(|view| absent(&id(view), "it can't be reached")).collect();
    let mut answers = stream::iter(waiting.clone())
        .map(|node| {
            let answer = ask(node.clone(), LIMIT);
            async move { (node, answer.await) }
        })
        .buffer_unordered(AT_ONCE);
    let all = async {
        while let Some((node, answer)) = answers.next().await {
            waiting.retain(|waiting| *waiting != node);
            match answer {
                Ok(answer) => take(&node, answer),
                Err(error) => missing.push(absent(&node, &error.to_string())),
            }
        }
    };
    let in_time = tokio::time::timeout(LIMIT, all).await.is_ok();
    if !in_time {
        let late = format!("it did not answer within {} s", LIMIT.as_secs());
        missing.extend(waiting.iter().map(|node| absent(node, &late)));
    }
    missing.sort_by(|a, b| a.node_id.cmp(&b.node_id));
    missing
}

fn absent(node: &NodeId, reason: &str) -> wire::MissingNode {
    wire::MissingNode { node_id: node.to_string(), reason: reason.to_owned() }
}
