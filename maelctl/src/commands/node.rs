//! `maelctl node`

use std::time::{Duration, Instant};

use maelstrom_core::{
    rpc::code,
    wire::{self, NodeStatus},
};

use crate::{
    cli::{DrainArgs, NodeCommand},
    client::Api,
    failure::{Exit, Failure},
    output::{Output, count, span},
};

/// Between two looks at a drain that is waited for.
const PERIOD: Duration = Duration::from_millis(500);

pub(super) async fn run(command: NodeCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    match command {
        NodeCommand::Drain(args) => drain(args, api, output).await,
        NodeCommand::Undrain { node } => undrain(node, api, output).await,
    }
}

async fn drain(args: DrainArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let began = Instant::now();
    let input = wire::DrainNodeInput { node_id: args.node.clone(), ..Default::default() };
    let mut node = api.change(wire::DrainNode, &input).await.map_err(with_hint)?.node;
    if args.no_wait {
        return tell(&node, output, "drains; maelctl cluster nodes shows when it is drained");
    }
    let mut progress = Progress::default();
    loop {
        match look(&node) {
            Look::Drained => {
                return tell(&node, output, &format!("is drained, after {}", span(began.elapsed())));
            }
            Look::Serves => {
                return Err(Failure::new(Exit::Conflict, format!("somebody took node '{}' back", args.node)));
            }
            Look::Left => return Err(left(&args.node)),
            Look::Drains(count) => progress.tell(&args.node, count, output),
        }
        if began.elapsed() >= args.wait {
            let message =
                format!("node '{}' is not drained after {}: {}", args.node, span(args.wait), rest(&node));
            let hint =
                "the drain goes on; maelctl explain COMPONENT tells why something has no place elsewhere";
            return Err(Failure::new(Exit::TimedOut, message).hint(hint));
        }
        tokio::time::sleep(PERIOD).await;
        let input = wire::ListNodeStatusInput { force_refresh: Some(true) };
        let nodes = api.read(wire::ListNodeStatus, &input).await?.nodes;
        node = nodes.into_iter().find(|node| node.node_id == args.node).ok_or_else(|| left(&args.node))?;
    }
}

async fn undrain(node: String, api: &Api, output: &Output) -> Result<(), Failure> {
    let input = wire::DrainNodeInput { node_id: node, ..Default::default() };
    let answer = api.change(wire::UndrainNode, &input).await.map_err(with_hint)?;
    tell(&answer.node, output, if answer.changed { "takes work again" } else { "was not drained" })
}

fn tell(node: &NodeStatus, output: &Output, what: &str) -> Result<(), Failure> {
    let text = || format!("Node {} {what}\n", node.node_id);
    output.print(&output.one(node, || node.node_id.clone(), text)?)
}

fn with_hint(failure: Failure) -> Failure {
    match failure.code {
        Some(code::NOT_FOUND) => failure.hint("maelctl cluster nodes shows what there is"),
        _ => failure,
    }
}

fn left(node: &str) -> Failure {
    Failure::new(Exit::Failed, format!("node '{node}' has left the cluster while it was drained"))
}

/// How far a drain is.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Serves,
    /// With so many instances left.
    Drains(usize),
    Drained,
    Left,
}

fn look(node: &NodeStatus) -> Look {
    match node.drain.as_ref().map(|drain| drain.state.as_str()) {
        None => Look::Serves,
        Some("drained") => Look::Drained,
        Some("leaving") => Look::Left,
        Some(_) => Look::Drains(running(node).count()),
    }
}

/// Paused ones aside.
fn running(node: &NodeStatus) -> impl Iterator<Item = &wire::ComponentInfo> {
    node.running_components.iter().filter(|info| info.standby != Some(true))
}

/// What still runs, by component.
fn rest(node: &NodeStatus) -> String {
    let mut names: Vec<&str> = running(node).map(|info| info.component_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    match names.len() {
        0 => "what is to run there has not been moved yet".to_owned(),
        _ => format!("{} still run there, of {}", count(running(node).count(), "instance"), names.join(", ")),
    }
}

/// Says how many are left whenever that changes.
#[derive(Debug, Default)]
struct Progress(Option<usize>);

// === impl Progress ===

impl Progress {
    fn tell(&mut self, node: &str, left: usize, output: &Output) {
        if self.0.replace(left) != Some(left) {
            output.remark(&format!("{node}: {} left", count(left, "instance")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(state: Option<&str>, instances: &[(&str, bool)]) -> NodeStatus {
        let info = |(name, standby): &(&str, bool)| wire::ComponentInfo {
            component_name: (*name).into(),
            standby: standby.then_some(true),
            ..Default::default()
        };
        NodeStatus {
            node_id: "n1".into(),
            drain: state.map(|state| wire::DrainInfo { state: state.into(), ..Default::default() }),
            running_components: instances.iter().map(info).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn how_far_a_drain_is_is_told_by_the_node() {
        assert_eq!(look(&node(None, &[("web", false)])), Look::Serves);
        assert_eq!(look(&node(Some("draining"), &[("web", false), ("web", true)])), Look::Drains(1));
        assert_eq!(look(&node(Some("drained"), &[("web", true)])), Look::Drained);
        assert_eq!(look(&node(Some("leaving"), &[])), Look::Left);
    }

    #[test]
    fn what_keeps_a_node_from_being_empty_is_named() {
        let some = node(Some("draining"), &[("web", false), ("api", false), ("web", false), ("job", true)]);
        assert_eq!(rest(&some), "3 instances still run there, of api, web");
        assert_eq!(rest(&node(Some("draining"), &[])), "what is to run there has not been moved yet");
    }
}
