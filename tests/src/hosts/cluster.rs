//! The whole cluster: hosts, the network between them, their way to the store, and the faults of both.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    ops::{Index, IndexMut},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;

use super::{
    cloud::Cloud,
    host::{Host, PRIVATE_PORT, Part},
    machine::Clocks,
    network::{Cut, Network},
    relay::{Conduct, Relay},
    store::Store,
    sweep::{self, Claim},
};
use crate::{
    aws::Aws,
    client::Client,
    daemon::report,
    wait::{self, LONG},
};

/// MiB for containers on each host, unless told otherwise.
const MEMORY: u64 = 1_024;
/// What nodes know each other by.
const SECRET: &str = "a-secret-of-the-suite";
/// Set by a plan: there is no common one.
const STORE: &str = "MAEL_STORE";
/// What sends connections between peers through a relay stands in it.
const DELAY_CHAIN: &str = "MAEL-DELAY";

/// What a cluster shall be like.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    hosts: usize,
    environment: BTreeMap<String, String>,
    of_host: BTreeMap<usize, BTreeMap<String, String>>,
    clocks: BTreeMap<usize, Clocks>,
    /// AWS, all but the store.
    aws: Option<SocketAddr>,
    /// Machines at most, and for how long the group's hook waits without a sign of life.
    group: Option<(usize, Duration)>,
}

/// See the module. Dropping it removes everything.
#[derive(Debug)]
pub struct Cluster {
    /// Dropped in this order: what runs, what it is connected by, then the place.
    hosts: Vec<Host>,
    store_relays: Vec<Relay>,
    aws_relays: Vec<Relay>,
    peer_relays: BTreeMap<usize, Relay>,
    network: Network,
    /// `None`: each node has a store of its own.
    store: Option<Store>,
    cloud: Option<Cloud>,
    claim: Claim,
    plan: Plan,
    /// The hosts' cuts that are in force.
    cuts: BTreeMap<usize, Vec<Cut>>,
}

/// What a partition separates a host from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severed {
    Peers,
    Store,
    Both,
    /// What it sends to the store arrives, the answers are lost.
    StoreAnswers,
}

// === impl Plan ===

impl Plan {
    /// Sets a variable of all daemons' environment.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a variable of one daemon's environment.
    pub fn set_of(mut self, host: usize, name: &str, value: &str) -> Self {
        self.of_host.entry(host).or_default().insert(name.to_owned(), value.to_owned());
        self
    }

    /// MiB for containers of one host.
    pub fn memory(self, host: usize, mebibytes: u64) -> Self {
        self.set_of(host, "MAEL_TOTAL_MEMORY", &mebibytes.to_string())
    }

    pub fn clocks(mut self, host: usize, clocks: Clocks) -> Self {
        self.clocks.insert(host, clocks);
        self
    }

    /// Daemons find AWS, all but the store, at `address` of this machine.
    pub fn aws(mut self, address: SocketAddr) -> Self {
        self.aws = Some(address);
        self
    }

    /// The hosts are machines of an autoscaling group of at most `most`, whose hook holds those that go.
    pub fn in_group(mut self, most: usize, hold: Duration) -> Self {
        self.group = Some((most, hold));
        self
    }

    /// Nodes that have nothing to do with each other: each has a store of its own.
    pub fn apart(self) -> Self {
        self.set(STORE, "sqlite:store.db")
    }

    /// Starts all hosts and waits until all daemons answer.
    pub async fn start(self) -> Result<Cluster> {
        let mut cluster = Cluster::prepare(self)?;
        let count = cluster.plan.hosts;
        if let Some((most, hold)) = cluster.plan.group {
            let (name, address) = (cluster.claim.name().to_owned(), cluster.network.address());
            cluster.cloud = Some(Cloud::create(&name, address, count, most, hold).await?);
        }
        for _ in 0..count {
            cluster.prepare_host().await?;
        }
        try_join_all(cluster.hosts.iter_mut().map(Host::start_engine)).await?;
        try_join_all(cluster.hosts.iter_mut().map(Host::start)).await?;
        Ok(cluster)
    }
}

// === impl Cluster ===

impl Cluster {
    pub fn plan(hosts: usize) -> Plan {
        Plan { hosts, ..Plan::default() }
    }

    /// A cluster of so many hosts with the defaults of this harness.
    pub async fn start(hosts: usize) -> Result<Self> {
        Self::plan(hosts).start().await
    }

    fn prepare(plan: Plan) -> Result<Self> {
        let turn = sweep::turn()?;
        let claim = Claim::new(&turn)?;
        let network = Network::create(claim.name())?;
        drop(turn);
        let store = match plan.environment.contains_key(STORE) {
            true => None,
            false => Some(Store::create(claim.name())?),
        };
        Ok(Self {
            hosts: Vec::new(),
            store_relays: Vec::new(),
            aws_relays: Vec::new(),
            peer_relays: BTreeMap::new(),
            network,
            store,
            cloud: None,
            claim,
            plan,
            cuts: BTreeMap::new(),
        })
    }

    /// A host that has booted, with nothing running on it yet.
    async fn prepare_host(&mut self) -> Result<()> {
        let index = self.hosts.len();
        let node = format!("node-{}", index + 1);
        let folder = self.claim.folder().join(&node);
        let mut host = Host::new(node, self.claim.name(), self.network.address_of(index), folder)?;
        host.set("MAEL_TOTAL_MEMORY", &MEMORY.to_string());
        // Nodes know each other by it; without a token the API is open to the tests.
        host.set("MAEL_CLUSTER_SECRET", SECRET);
        if let Some(store) = &self.store {
            let relay = Relay::start(self.network.address(), store.endpoint()).await?;
            for (name, value) in store.environment(relay.address()) {
                host.set(name, &value);
            }
            self.store_relays.push(relay);
        }
        if let Some(aws) = self.plan.aws {
            let relay = Relay::start(self.network.address(), aws).await?;
            for (name, value) in Aws::environment(relay.address()) {
                host.set(name, &value);
            }
            self.aws_relays.push(relay);
        }
        if let Some(cloud) = &self.cloud {
            for (name, value) in cloud.environment(index) {
                host.set(name, &value);
            }
        }
        let variables = self.plan.of_host.get(&index).into_iter().flatten();
        for (name, value) in self.plan.environment.iter().chain(variables) {
            host.set(name, value);
        }
        host.set_clocks(self.plan.clocks.get(&index).copied().unwrap_or_default());
        self.network.attach(index, host.boot()?)?;
        self.hosts.push(host);
        Ok(())
    }

    /// One more host; returns its index when its daemon answers.
    pub async fn join(&mut self) -> Result<usize> {
        if let Some(cloud) = &mut self.cloud {
            cloud.launch(self.network.address())?;
        }
        self.prepare_host().await?;
        let index = self.hosts.len() - 1;
        self.hosts[index].start_engine().await?;
        self.hosts[index].start().await?;
        Ok(index)
    }

    /// Its name, which is the bridge's.
    pub fn name(&self) -> &str {
        self.claim.name()
    }

    /// The group that its machines are of.
    pub fn cloud(&self) -> Result<&Cloud> {
        self.cloud.as_ref().context("the hosts are in no group")
    }

    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    pub(super) fn hosts_mut(&mut self) -> &mut [Host] {
        &mut self.hosts
    }

    /// Clients of all public gateways.
    pub fn clients(&self) -> Vec<Client> {
        self.hosts.iter().map(Host::public).collect()
    }

    /// This machine, as the hosts see it.
    pub fn address(&self) -> Ipv4Addr {
        self.network.address()
    }

    // === Faults of machines ===

    /// A host loses power: nothing on it gets to say goodbye, its connections are never closed.
    pub fn power_off(&mut self, host: usize) -> Result<()> {
        self.network.plug(host, false)?;
        self.hosts[host].power_off()
    }

    /// It has power again: engine and daemon start, on the disks as they were left.
    pub async fn power_on(&mut self, host: usize) -> Result<()> {
        self.network.attach(host, self.hosts[host].boot()?)?;
        self.apply(host)?;
        self.hosts[host].start_engine().await?;
        self.hosts[host].start().await
    }

    /// A whole machine stops in the middle of what it does, as a virtual one that is paused.
    pub fn freeze(&self, host: usize) -> Result<()> {
        self.network.plug(host, false)?;
        self.hosts[host].freeze(Part::Everything)
    }

    /// It goes on.
    pub fn thaw(&self, host: usize) -> Result<()> {
        self.hosts[host].thaw(Part::Everything)?;
        self.network.plug(host, true)
    }

    // === Faults of the network ===

    /// Separates `hosts` from all others, from the store, or from both. What separated them before stays.
    pub fn partition(&mut self, hosts: &[usize], severed: Severed) -> Result<()> {
        let others: BTreeSet<usize> = (0..self.hosts.len()).filter(|index| !hosts.contains(index)).collect();
        for &host in hosts {
            let cuts = self.cuts.entry(host).or_default();
            if matches!(severed, Severed::Peers | Severed::Both) {
                cuts.extend(others.iter().map(|other| Cut::Peer(self.network.address_of(*other))));
            }
            if matches!(severed, Severed::Store | Severed::Both) {
                cuts.extend(self.store_relays.get(host).map(|relay| Cut::Service(relay.address())));
            }
            if severed == Severed::StoreAnswers {
                cuts.extend(self.store_relays.get(host).map(|relay| Cut::Answers(relay.address())));
            }
            self.apply(host)?;
        }
        Ok(())
    }

    /// Of the packets between hosts this share is lost, by chance, between 0 and 1.
    pub fn lose(&mut self, share: f64) -> Result<()> {
        for host in 0..self.hosts.len() {
            let others = (0..self.hosts.len()).filter(|other| *other != host);
            let lossy = others.map(|other| Cut::Lossy(self.network.address_of(other), share));
            self.cuts.entry(host).or_default().extend(lossy);
            self.apply(host)?;
        }
        Ok(())
    }

    /// Ends all partitions, losses and delays.
    pub fn heal(&mut self) -> Result<()> {
        self.cuts.clear();
        for host in 0..self.hosts.len() {
            self.apply(host)?;
        }
        for relay in self.store_relays.iter().chain(self.peer_relays.values()) {
            relay.set(Conduct::Pass);
        }
        Ok(())
    }

    fn apply(&self, host: usize) -> Result<()> {
        let cuts = self.cuts.get(&host).map_or(&[][..], Vec::as_slice);
        match self.hosts[host].has_power() {
            true => self.network.set_cuts(self.hosts[host].machine()?, cuts),
            false => Ok(()),
        }
    }

    /// How the store behaves for all hosts.
    pub fn store(&self, conduct: Conduct) {
        for relay in &self.store_relays {
            relay.set(conduct);
        }
    }

    /// How the store behaves for one host.
    pub fn store_of(&self, host: usize, conduct: Conduct) -> Result<()> {
        self.store_relays.get(host).context("no such host")?.set(conduct);
        Ok(())
    }

    /// What hosts send each other comes so much later, on connections that are opened from now on: restart
    /// daemons to have none of before.
    pub async fn delay_peers(&mut self, delay: Duration) -> Result<()> {
        for index in 0..self.hosts.len() {
            let target = self.hosts[index].private_address();
            if !self.peer_relays.contains_key(&index) {
                self.peer_relays.insert(index, Relay::start(self.network.address(), target).await?);
            }
            self.peer_relays[&index].set(Conduct::Delay(delay));
        }
        for (index, host) in self.hosts.iter().enumerate().filter(|(_, host)| host.has_power()) {
            let mut script = format!(
                "iptables -w -t nat -N {DELAY_CHAIN} 2>&1 && iptables -w -t nat -I OUTPUT -j {DELAY_CHAIN}; \
                 iptables -w -t nat -F {DELAY_CHAIN}"
            );
            for (other, relay) in self.peer_relays.iter().filter(|(other, _)| **other != index) {
                script += &format!(
                    " && iptables -w -t nat -A {DELAY_CHAIN} -p tcp -d {} --dport {PRIVATE_PORT} \
                     -j DNAT --to-destination {}",
                    self.network.address_of(*other),
                    relay.address()
                );
            }
            host.machine()?.run(&["bash", "-c", &script])?;
        }
        Ok(())
    }

    /// Lets the nodes find so many others in the store who are not there: a cluster's size as the store sees it.
    pub fn pretend_nodes(&self, count: usize) -> Result<()> {
        self.store.as_ref().context("there is no common store")?.add_heartbeats(count)
    }

    /// The host whose node says that it acts in a role.
    pub async fn owner(&self, role: &str) -> Result<usize> {
        let acts = async |host: &Host| {
            let asked = tokio::time::timeout(Duration::from_secs(1), host.api().status()).await;
            asked.is_ok_and(|status| status.is_ok_and(|s| s.roles.iter().any(|held| held.role == role)))
        };
        // Beside each other: a dead one takes its second.
        let acting = futures_util::future::join_all(self.hosts.iter().map(acts)).await;
        let owners: Vec<usize> = (0..acting.len()).filter(|host| acting[*host]).collect();
        ensure!(owners.len() == 1, "hosts {owners:?} own '{role}'");
        Ok(owners[0])
    }

    /// How many instances of a component serve on each host that answers.
    pub async fn active(&self, component: &str) -> Vec<usize> {
        let of = async |host: &Host| {
            let asked = tokio::time::timeout(Duration::from_secs(1), host.api().instances(component)).await;
            let all = asked.unwrap_or(Ok(Vec::new())).unwrap_or_default();
            all.iter().filter(|i| i["status"] == "active" && i["standby"] != true).count()
        };
        futures_util::future::join_all(self.hosts.iter().map(of)).await
    }

    /// Waits until so many instances of a component serve on all hosts together; tells how many on each.
    pub async fn wait_active(&self, component: &str, count: usize) -> Result<Vec<usize>> {
        wait::until(&format!("{count} instances of {component}"), LONG, || async {
            let active = self.active(component).await;
            ensure!(active.iter().sum::<usize>() == count, "there are {active:?}");
            Ok(Some(active))
        })
        .await
    }

    /// Keeps the whole logs of all daemons where they outlive the cluster, and says where.
    pub fn keep_logs(&self) {
        let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/cluster-logs").join(self.name());
        let kept = std::fs::create_dir_all(&to).and_then(|()| {
            self.hosts.iter().try_for_each(|host| std::fs::write(to.join(host.node()), host.whole_log()))
        });
        report(&format!("{}all logs: {} ({kept:?})", self.logs(), to.display()));
    }

    /// The last words of all daemons.
    pub fn logs(&self) -> String {
        let of_host = |host: &Host| format!("--- log of {} ---\n{}\n", host.node(), host.log());
        self.hosts.iter().map(of_host).collect()
    }
}

impl Index<usize> for Cluster {
    type Output = Host;

    fn index(&self, host: usize) -> &Host {
        &self.hosts[host]
    }
}

impl IndexMut<usize> for Cluster {
    fn index_mut(&mut self, host: usize) -> &mut Host {
        &mut self.hosts[host]
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
        }
    }
}
