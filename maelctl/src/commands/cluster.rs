//! `maelctl cluster`

use maelstrom_core::wire::{self, ComponentInfo, NodeStatus};
use serde::Serialize;

use super::{matches, watch};
use crate::{
    cli::{ClusterCommand, PsArgs},
    client::Api,
    failure::Failure,
    output::{Cell, Output, Table, Tint, age, mib},
};

/// Length of an activity bucket in seconds, by the contract.
const ACTIVITY_SECONDS: f64 = 20.0;
/// Enough of an id to tell instances apart.
const SHORT_ID: usize = 12;

pub(super) async fn run(command: ClusterCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    match command {
        ClusterCommand::Nodes(args) => {
            watch(&args.watch, output, async || {
                let nodes = nodes(args.refresh, api).await?;
                output.list(&nodes, "nodes", |node| node.node_id.clone(), node_table)
            })
            .await
        }
        ClusterCommand::Ps(args) => {
            watch(&args.watch, output, async || {
                let instances = instances(nodes(args.refresh, api).await?, &args);
                output.list(&instances, "instances", Instance::id, instance_table)
            })
            .await
        }
    }
}

async fn nodes(refresh: bool, api: &Api) -> Result<Vec<NodeStatus>, Failure> {
    let input = wire::ListNodeStatusInput { force_refresh: refresh.then_some(true) };
    Ok(api.read(wire::ListNodeStatus, &input).await?.nodes)
}

fn node_table(nodes: &[NodeStatus], wide: bool) -> Table {
    let mut titles = vec![
        "NODE",
        "ADDRESS",
        "STATE",
        "ROLES",
        ">STARTED",
        ">VERSION",
        ">INSTANCES",
        ">FREE",
        ">TOTAL",
        ">CPUS",
        ">LOAD 1M",
    ];
    if wide {
        titles.extend([">LOAD 5M", ">LOAD 15M", ">OBSERVED"]);
    }
    let mut table = Table::new(&titles);
    for node in nodes {
        let load = |load: f64| Cell::from(format!("{load:.2}"));
        table.row([
            node.node_id.as_str().into(),
            node.peer_url.trim_start_matches("http://").into(),
            state(node),
            roles(node).into(),
            age(node.started_at).into(),
            node.version.into(),
            node.running_components.len().to_string().into(),
            mib(node.free_memory_mib).into(),
            mib(node.total_memory_mib).into(),
            node.num_cpus.into(),
            load(node.load_avg_1m),
            load(node.load_avg_5m),
            load(node.load_avg_15m),
            age(node.observed_at).into(),
        ]);
    }
    table
}

/// As the node sees it that was asked.
fn state(node: &NodeStatus) -> Cell {
    match node.unreachable_since {
        Some(since) => Cell::new(Tint::Bad, format!("unreachable {}", age(since))),
        None => match (&node.drain, node.draining) {
            (Some(drain), _) => Cell::new(Tint::Doubtful, drain.state.as_str()),
            (None, Some(true)) => Cell::new(Tint::Doubtful, "draining"),
            (None, _) => Cell::new(Tint::Good, "active"),
        },
    }
}

/// What it acts in, with terms.
fn roles(node: &NodeStatus) -> String {
    let roles: Vec<String> = node.roles.iter().map(|role| format!("{}/{}", role.role, role.term)).collect();
    roles.join(" ")
}

/// An instance and where it runs; as JSON the API's object with its node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    node_id: String,
    /// Set when what is told of it is what was known then.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_unreachable_since: Option<i64>,
    #[serde(flatten)]
    info: ComponentInfo,
}

// === impl Instance ===

impl Instance {
    fn id(&self) -> String {
        self.info.instance_id.clone().unwrap_or_default()
    }

    fn key(&self) -> (String, String, i64, String) {
        (self.info.component_name.clone(), self.node_id.clone(), self.info.start_time, self.id())
    }
}

fn instances(nodes: Vec<NodeStatus>, args: &PsArgs) -> Vec<Instance> {
    let wanted =
        |pattern: &Option<String>, name: &str| pattern.as_ref().is_none_or(|pattern| matches(pattern, name));
    let mut instances: Vec<Instance> = nodes
        .into_iter()
        .filter(|node| wanted(&args.node, &node.node_id))
        .flat_map(|node| {
            let (node_id, node_unreachable_since) = (node.node_id, node.unreachable_since);
            node.running_components.into_iter().map(move |info| Instance {
                node_id: node_id.clone(),
                node_unreachable_since,
                info,
            })
        })
        .filter(|instance| wanted(&args.component, &instance.info.component_name))
        .collect();
    instances.sort_by_key(Instance::key);
    instances
}

fn instance_table(instances: &[Instance], wide: bool) -> Table {
    let mut titles = vec!["NODE"];
    titles.extend(COLUMNS);
    if wide {
        titles.extend(WIDE_COLUMNS);
    }
    let mut table = Table::new(&titles);
    for instance in instances {
        let node = match instance.node_unreachable_since {
            Some(since) => Cell::new(Tint::Bad, format!("{} (unreachable {})", instance.node_id, age(since))),
            None => Cell::from(instance.node_id.as_str()),
        };
        table.row([node].into_iter().chain(cells(&instance.info)));
    }
    table
}

const COLUMNS: [&str; 9] = [
    "COMPONENT",
    ">VERSION",
    "STATUS",
    ">IN FLIGHT",
    ">REQ/S",
    ">CONCURRENCY",
    ">LAST REQUEST",
    ">MEMORY",
    "ID",
];
const WIDE_COLUMNS: [&str; 3] = [">STARTED", ">REQUESTS", "ADDRESS"];

/// The same columns for one component; the node where it is told.
pub(super) fn infos_table(infos: &[ComponentInfo]) -> Table {
    let placed = infos.iter().any(|info| info.node_id.is_some());
    let node = placed.then_some("NODE");
    let titles: Vec<&str> = node.into_iter().chain(COLUMNS).chain(WIDE_COLUMNS).collect();
    let mut table = Table::new(&titles);
    for info in infos {
        let node = placed.then(|| Cell::from(info.node_id.as_deref().unwrap_or_default()));
        table.row(node.into_iter().chain(cells(info)));
    }
    table
}

fn cells(info: &ComponentInfo) -> Vec<Cell> {
    let activity = info.activity.first().copied().unwrap_or_default();
    // A number of requests in 20 s is far from where f64 becomes inexact.
    #[allow(clippy::cast_precision_loss)]
    let per_second = activity.requests as f64 / ACTIVITY_SECONDS;
    let in_flight =
        info.in_flight.map_or_else(String::new, |number| format!("{number}/{}", info.max_concurrency));
    let id: String = info.instance_id.as_deref().unwrap_or_default().chars().take(SHORT_ID).collect();
    vec![
        info.component_name.as_str().into(),
        info.component_version.into(),
        status(info),
        in_flight.into(),
        format!("{per_second:.1}").into(),
        format!("{:.2}", activity.concurrency).into(),
        age(info.last_request_time).into(),
        mib(info.memory_reserved_mib).into(),
        id.into(),
        age(info.start_time).into(),
        info.total_requests.into(),
        info.address.clone().unwrap_or_default().into(),
    ]
}

fn status(info: &ComponentInfo) -> Cell {
    match info.status.as_str() {
        _ if info.standby == Some(true) => Cell::new(Tint::Quiet, "standby"),
        "active" if info.suspect == Some(true) => Cell::new(Tint::Doubtful, "suspect"),
        "active" => Cell::new(Tint::Good, "active"),
        other => Cell::new(Tint::Doubtful, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::WatchArgs, output::Paint};

    fn node(id: &str, infos: Vec<ComponentInfo>) -> NodeStatus {
        NodeStatus {
            node_id: id.into(),
            peer_url: "http://10.0.0.1:8374".into(),
            total_memory_mib: 4096,
            free_memory_mib: 3968,
            num_cpus: 2,
            load_avg_1m: 0.5,
            version: 7,
            running_components: infos,
            ..Default::default()
        }
    }

    fn info(name: &str) -> ComponentInfo {
        ComponentInfo {
            component_name: name.into(),
            component_version: 2,
            status: "active".into(),
            max_concurrency: 4,
            memory_reserved_mib: 128,
            total_requests: 99,
            activity: vec![wire::ComponentActivity { requests: 50, concurrency: 1.256 }],
            instance_id: Some("0123456789abcdef".into()),
            address: Some("172.17.0.2:8080".into()),
            in_flight: Some(3),
            ..Default::default()
        }
    }

    fn ps(component: Option<&str>) -> PsArgs {
        PsArgs {
            refresh: false,
            component: component.map(Into::into),
            node: None,
            watch: WatchArgs { watch: None },
        }
    }

    #[test]
    fn ps_shows_each_instance() {
        let standby =
            ComponentInfo { standby: Some(true), activity: Vec::new(), in_flight: None, ..info("demo_b") };
        let instances = instances(vec![node("n1", vec![standby, info("demo_a")])], &ps(None));
        let expected = "\
NODE  COMPONENT  VERSION  STATUS   IN FLIGHT  REQ/S  CONCURRENCY  LAST REQUEST   MEMORY  ID
n1    demo_a           2  active         3/4    2.5         1.26         never  128 MiB  0123456789ab
n1    demo_b           2  standby          -    0.0         0.00         never  128 MiB  0123456789ab
";
        assert_eq!(instance_table(&instances, false).render(true, Paint(false)), expected);
        assert!(instance_table(&instances, true).render(true, Paint(false)).contains("172.17.0.2:8080"));
    }

    #[test]
    fn ps_filters_by_component() {
        let nodes = vec![node("n1", vec![info("demo_a"), info("shop_a")])];
        assert_eq!(instances(nodes, &ps(Some("shop_*"))).len(), 1);
    }

    #[test]
    fn nodes_show_memory_and_load() {
        let expected = "\
NODE  ADDRESS        STATE    ROLES               STARTED  VERSION  INSTANCES      FREE     TOTAL  CPUS  LOAD 1M
n1    10.0.0.1:8374  active   cron/3 placement/1    never        7          1  3968 MiB  4096 MiB     2     0.50
n2    10.0.0.1:8374  drained  -                     never        7          0  3968 MiB  4096 MiB     2     0.50
n3    10.0.0.1:8374  leaving  -                     never        7          0  3968 MiB  4096 MiB     2     0.50
";
        let drain = |state: &str| Some(wire::DrainInfo { state: state.into(), ..Default::default() });
        let role = |role: &str, term| wire::RoleInfo { role: role.into(), term };
        let roles = vec![role("cron", 3), role("placement", 1)];
        let nodes = [
            NodeStatus { roles, ..node("n1", vec![info("a")]) },
            NodeStatus { draining: Some(true), drain: drain("drained"), ..node("n2", Vec::new()) },
            NodeStatus { draining: Some(true), drain: drain("leaving"), ..node("n3", Vec::new()) },
        ];
        assert_eq!(node_table(&nodes, false).render(true, Paint(false)), expected);
        let lost = NodeStatus { unreachable_since: Some(1), draining: Some(true), ..node("n3", Vec::new()) };
        assert!(node_table(&[lost], false).render(true, Paint(false)).contains("unreachable "));
    }

    #[test]
    fn an_instance_as_json_is_the_apis_object_with_its_node() {
        let json = serde_json::to_value(Instance {
            node_id: "n1".into(),
            node_unreachable_since: None,
            info: info("a"),
        })
        .unwrap();
        assert_eq!((json["nodeId"].as_str(), json["componentName"].as_str()), (Some("n1"), Some("a")));
    }
}
