//! What can be done to a cluster that runs, by words.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use maelstrom_tests::hosts::{Cluster, Conduct, Part, Severed};
use rustix::process::Signal;

/// A store in trouble, not away.
const SLOW: Duration = Duration::from_millis(300);

pub(crate) const HELP: &str = "\
cluster up                       start one (HOSTS=3), in the foreground
cluster status                   what runs, and where
cluster kill N | term N          ends the daemon of host N at once, or as an operator would
cluster start N                  starts it again
cluster reload N                 restarts it in place, without a lost request
cluster freeze N | thaw N        stops the daemon in the middle of what it does; lets it go on
cluster off N | on N             takes the host's power, containers and all; gives it back
cluster cut N peers|store|both   separates it from the other nodes, from the store, or from both
cluster heal                     ends all cuts, and what is wrong with the store
cluster store stop|freeze|slow   for all nodes
cluster join                     adds a host
cluster down                     removes everything
";

/// Does it and tells what was done.
pub(crate) async fn run(cluster: &mut Cluster, words: &[&str]) -> Result<String> {
    match words {
        ["status"] => status(cluster).await,
        ["join"] => {
            let host = cluster.join().await?;
            Ok(format!("{} at {}", cluster[host].node(), cluster[host].address()))
        }
        ["heal"] => cluster.heal().map(|()| "healed".to_owned()),
        ["store", how] => {
            cluster.store(match *how {
                "stop" => Conduct::Refuse,
                "freeze" => Conduct::Silent,
                "slow" => Conduct::Delay(SLOW),
                other => bail!("the store can 'stop', 'freeze' or be 'slow', not '{other}'"),
            });
            Ok(format!("store: {how}; 'cluster heal' ends it"))
        }
        ["cut", number, from] => {
            let host = host(cluster, number)?;
            let severed = match *from {
                "peers" => Severed::Peers,
                "store" => Severed::Store,
                "both" => Severed::Both,
                other => bail!("a host is cut from 'peers', 'store' or 'both', not '{other}'"),
            };
            cluster.partition(&[host], severed)?;
            Ok(format!("{} is cut off: {from}; 'cluster heal' ends it", cluster[host].node()))
        }
        [what, number] => of_host(cluster, what, host(cluster, number)?).await,
        _ => bail!("what? There is:\n{HELP}"),
    }
}

async fn of_host(cluster: &mut Cluster, what: &str, host: usize) -> Result<String> {
    match what {
        "kill" => cluster[host].kill9().await?,
        "term" => drop(cluster[host].stop().await?),
        "start" => {
            ensure!(!cluster[host].is_running(), "it runs");
            cluster[host].start().await?;
        }
        "freeze" => cluster[host].freeze(Part::Daemon)?,
        "thaw" => cluster[host].thaw(Part::Daemon)?,
        "off" => cluster.power_off(host)?,
        "on" => cluster.power_on(host).await?,
        "reload" => cluster[host].signal(Signal::HUP)?,
        other => bail!("'{other}'? There is:\n{HELP}"),
    }
    Ok(format!("{}: {what}", cluster[host].node()))
}

/// People count from 1, as the nodes' names do.
fn host(cluster: &Cluster, number: &str) -> Result<usize> {
    let number: usize = number.parse().with_context(|| format!("'{number}' is no host's number"))?;
    let count = cluster.hosts().len();
    ensure!((1..=count).contains(&number), "hosts are numbered from 1 to {count}");
    Ok(number - 1)
}

async fn status(cluster: &mut Cluster) -> Result<String> {
    let mut told = String::new();
    for index in 0..cluster.hosts().len() {
        let runs = match (cluster[index].has_power(), cluster[index].is_running()) {
            (false, _) => "no power",
            (true, false) => "daemon ended",
            (true, true) => "runs",
        };
        let host = &cluster[index];
        let (address, folder) = (host.address(), host.folder());
        writeln!(told, "{}  {address}  {runs}  logs {}", host.node(), folder.display())?;
    }
    Ok(told)
}
