//! Watches a cluster from outside while it is hurt, and tells afterwards what must never have been: two
//! owners of a role, an instance too many, a cron rule that fired twice.
//!
//! All is judged by this machine's one clock, and only what is certain counts: a node that said at the
//! beginning and at the end of a second that it owns a role owned it in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use futures_util::StreamExt;
use tokio::{sync::Mutex, task::JoinSet, time::timeout};

use super::{Cluster, Host};
use crate::api::Api;

/// Between two questions to a node.
const PERIOD: Duration = Duration::from_millis(50);
/// A node that is slower says nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks all nodes again and again which roles they act in.
pub struct RoleWatch {
    tasks: JoinSet<()>,
    seen: Arc<Mutex<Vec<Claim>>>,
}

/// A node said that it acts in a role, at some moment between question and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    node: String,
    role: String,
    term: i64,
    asked: Instant,
    answered: Instant,
}

/// One node's time in a role, as far as it was seen.
#[derive(Clone, Debug)]
pub struct Tenure {
    pub node: String,
    pub role: String,
    pub term: i64,
    claims: Vec<(Instant, Instant)>,
}

// === impl RoleWatch ===

impl RoleWatch {
    /// Watches the hosts that the cluster has now.
    pub fn start(cluster: &Cluster) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for host in cluster.hosts() {
            tasks.spawn(ask(host.node().to_owned(), host.api(), Arc::clone(&seen)));
        }
        Self { tasks, seen }
    }

    /// All tenures, by role and term. It is an error when two nodes acted in one role at the same time, when
    /// a term had two owners, or when a later owner had a lower term.
    pub async fn finish(mut self) -> Result<Vec<Tenure>> {
        self.tasks.shutdown().await;
        let claims = std::mem::take(&mut *self.seen.lock().await);
        let tenures = tenures(claims);
        check(&tenures)?;
        Ok(tenures)
    }
}

async fn ask(node: String, api: Api, seen: Arc<Mutex<Vec<Claim>>>) {
    loop {
        let asked = Instant::now();
        if let Ok(Ok(status)) = timeout(PATIENCE, api.status()).await {
            let answered = Instant::now();
            let claims = status.roles.into_iter().map(|held| Claim {
                node: node.clone(),
                role: held.role,
                term: held.term,
                asked,
                answered,
            });
            seen.lock().await.extend(claims);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn tenures(claims: Vec<Claim>) -> Vec<Tenure> {
    let mut found: BTreeMap<(String, i64, String), Vec<(Instant, Instant)>> = BTreeMap::new();
    for claim in claims {
        found.entry((claim.role, claim.term, claim.node)).or_default().push((claim.asked, claim.answered));
    }
    let tenure = |((role, term, node), claims)| Tenure { node, role, term, claims };
    found.into_iter().map(tenure).collect()
}

fn check(tenures: &[Tenure]) -> Result<()> {
    for (index, one) in tenures.iter().enumerate() {
        for other in tenures[index + 1..].iter().filter(|other| other.role == one.role) {
            ensure!(one.term != other.term, "{} and {} had one term", one.told(), other.told());
            ensure!(!one.meets(other), "{} and {} acted at the same time", one.told(), other.told());
            ensure!(one.ended() <= other.began(), "{} came before {}", other.told(), one.told());
        }
    }
    Ok(())
}

impl Tenure {
    /// From here on it is certain.
    fn began(&self) -> Instant {
        self.claims.iter().map(|claim| claim.1).min().expect("a tenure was claimed")
    }

    /// Until here it is certain.
    fn ended(&self) -> Instant {
        self.claims.iter().map(|claim| claim.0).max().expect("a tenure was claimed")
    }

    /// Whether one was claimed while the other certainly lasted.
    fn meets(&self, other: &Self) -> bool {
        let within = |one: &Self, other: &Self| {
            other.claims.iter().any(|(asked, answered)| *asked >= one.began() && *answered <= one.ended())
        };
        within(self, other) || within(other, self)
    }

    fn told(&self) -> String {
        format!("{} in '{}' (term {})", self.node, self.role, self.term)
    }
}

// === Instances ===

/// Follows all engines: when each container of a component began and ended.
pub struct InstanceWatch {
    tasks: JoinSet<()>,
    seen: Arc<Mutex<Vec<Event>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    /// Unix nanoseconds.
    time: i64,
    /// Ends sort before starts of the same moment.
    began: bool,
    container: String,
}

impl InstanceWatch {
    /// Watches the hosts that the cluster has now; none of them may run an instance yet.
    pub async fn start(cluster: &Cluster, component: &str) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for host in cluster.hosts() {
            ensure!(host.containers(component).await?.is_empty(), "{} runs {component} already", host.node());
            tasks.spawn(follow_host(host.docker()?, component.to_owned(), Arc::clone(&seen)));
        }
        Ok(Self { tasks, seen })
    }

    /// When containers began, in order, as Unix nanoseconds.
    pub async fn begun(&self) -> Vec<i64> {
        let seen = self.seen.lock().await;
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        for event in seen.iter().filter(|event| event.began) {
            let time = first.entry(&event.container).or_insert(event.time);
            *time = event.time.min(*time);
        }
        let mut begun: Vec<i64> = first.into_values().collect();
        begun.sort_unstable();
        begun
    }

    /// The most that ran at one time.
    pub async fn most_at_once(&self) -> usize {
        let mut events = self.seen.lock().await.clone();
        events.sort();
        let (mut running, mut most) = (BTreeSet::new(), 0);
        for event in events {
            match event.began {
                true => running.insert(event.container),
                false => running.remove(&event.container),
            };
            most = most.max(running.len());
        }
        most
    }

    /// Ends it.
    pub async fn finish(mut self) -> usize {
        self.tasks.shutdown().await;
        self.most_at_once().await
    }
}

/// An engine that ends, or loses power, may come back.
async fn follow_host(docker: bollard::Docker, component: String, seen: Arc<Mutex<Vec<Event>>>) {
    loop {
        follow(&docker, &component, &seen).await;
        tokio::time::sleep(PERIOD).await;
    }
}

/// Until the engine is gone; its containers count as ended then.
async fn follow(docker: &bollard::Docker, component: &str, seen: &Mutex<Vec<Event>>) {
    let filters = std::collections::HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("event", vec!["start".to_owned(), "die".to_owned()]),
        ("label", vec![format!("maelstrom.component={component}")]),
    ]);
    // From before the look at what runs, so that nothing falls between the two.
    let since = (now() / 1_000_000_000).to_string();
    let options = EventsOptionsBuilder::default().filters(&filters).since(&since).build();
    let mut events = docker.events(Some(options));
    let mut running = BTreeSet::new();
    for container in running_now(docker, component).await {
        // Its start may be among the events, too: a container counts once.
        running.insert(container.clone());
        seen.lock().await.push(Event { time: now(), began: true, container });
    }
    while let Some(Ok(event)) = events.next().await {
        let container = event.actor.and_then(|actor| actor.id).unwrap_or_default();
        let began = event.action.as_deref() == Some("start");
        match began {
            true => running.insert(container.clone()),
            false => running.remove(&container),
        };
        seen.lock().await.push(Event { time: event.time_nano.unwrap_or_default(), began, container });
    }
    let time = now();
    let ended = running.into_iter().map(|container| Event { time, began: false, container });
    seen.lock().await.extend(ended);
}

/// What an engine that has come back runs already.
async fn running_now(docker: &bollard::Docker, component: &str) -> Vec<String> {
    let label = vec![format!("maelstrom.component={component}")];
    let filters = std::collections::HashMap::from([("label", label)]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    let found = docker.list_containers(Some(options)).await.unwrap_or_default();
    found.into_iter().filter_map(|container| container.id).collect()
}

/// Unix nanoseconds.
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

// === What instances write ===

/// Keeps what all containers of all hosts write, also when they are removed.
pub struct OutputWatch {
    tasks: JoinSet<()>,
    seen: Arc<Mutex<BTreeMap<String, String>>>,
}

impl OutputWatch {
    /// Watches the hosts that the cluster has now.
    pub fn start(cluster: &Cluster) -> Self {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let mut tasks = JoinSet::new();
        for folder in cluster.hosts().iter().map(Host::container_folder) {
            let seen = Arc::clone(&seen);
            tasks.spawn(async move {
                loop {
                    keep(&folder, &mut *seen.lock().await);
                    tokio::time::sleep(PERIOD * 4).await;
                }
            });
        }
        Self { tasks, seen }
    }

    /// How many lines say exactly this.
    pub async fn finish(mut self, line: &str) -> usize {
        // The last round sees what was written until now.
        tokio::time::sleep(PERIOD * 8).await;
        self.tasks.shutdown().await;
        let wanted = format!("{line}\n");
        let says = |entry: &&str| {
            let entry: serde_json::Value = serde_json::from_str(entry).unwrap_or_default();
            entry["log"] == wanted.as_str()
        };
        self.seen.lock().await.values().map(|text| text.lines().filter(says).count()).sum()
    }
}

fn keep(folder: &PathBuf, seen: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        if let Ok(text) = fs::read_to_string(entry.path().join(format!("{id}-json.log"))) {
            seen.insert(id, text);
        }
    }
}

// === Cron ===

/// The due times of a rule that nodes say they fired: each is told once. Only of nodes that answer.
pub async fn fired(cluster: &Cluster, rule: &str) -> Result<BTreeSet<i64>> {
    let mut due = BTreeMap::<i64, BTreeSet<String>>::new();
    for host in cluster.hosts() {
        // A node may tell for all; each of them counts once.
        let events = host.api().events(&["cron"]).await.with_context(|| host.node().to_owned())?;
        for event in events {
            let about = event.data.get("rule").and_then(|name| name.as_str()) == Some(rule);
            let fired = event.message.contains("answered") || event.message.contains("failed");
            if let (true, true, Some(time)) =
                (about, fired, event.data.get("due").and_then(|due| due.as_i64()))
            {
                due.entry(time).or_default().insert(event.node_id);
            }
        }
    }
    for (time, nodes) in &due {
        ensure!(nodes.len() == 1, "'{rule}' fired for {time} on {nodes:?}");
    }
    Ok(due.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(node: &str, term: i64, from: Instant, seconds: std::ops::Range<u64>) -> Tenure {
        let at = |second| from + Duration::from_secs(second);
        let claims = seconds.map(|second| (at(second), at(second) + Duration::from_millis(10))).collect();
        Tenure { node: node.into(), role: "cron".into(), term, claims }
    }

    #[test]
    fn two_owners_are_found_and_owners_in_turn_are_not() {
        let now = Instant::now();
        let of = |node: &str, term, seconds| tenure(node, term, now, seconds);
        check(&[of("a", 1, 0..5), of("b", 2, 6..9), of("a", 3, 10..12)]).unwrap();
        check(&[of("a", 1, 0..5), of("b", 2, 3..9)]).unwrap_err();
        check(&[of("a", 1, 0..9), of("b", 2, 4..5)]).unwrap_err();
        check(&[of("a", 2, 0..5), of("b", 2, 6..9)]).unwrap_err();
        check(&[of("b", 1, 6..9), of("a", 2, 0..5)]).unwrap_err();
    }
}
