//! The hosts themselves: each fault is seen to happen and to end, or what is proven under it means nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use maelstrom_tests::{
    command,
    hosts::{self, Clocks, Cluster, Part, Severed},
    wait::{self, LONG},
};

/// Whether one host reaches another's daemon within a second.
fn reaches(cluster: &Cluster, from: usize, to: usize) -> bool {
    let url = format!("http://{}/_mael_health_check", cluster[to].private_address());
    let machine = cluster[from].machine().expect("it has power");
    machine.run(&["curl", "-fsS", "--max-time", "1", "-o", "/dev/null", &url]).is_ok()
}

/// Of all six directions between three hosts, those that work.
fn links(cluster: &Cluster) -> Vec<(usize, usize)> {
    let all = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
    all.into_iter().filter(|(from, to)| reaches(cluster, *from, *to)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_are_cut_off_frozen_killed_and_brought_back_and_leave_nothing() -> Result<()> {
    let _turn = hosts::alone().await?;
    let ahead = Clocks { up_seconds: 5_000, wall_seconds: 90 };
    let mut cluster = Cluster::plan(3).apart().clocks(1, ahead).start().await?;
    let name = cluster.name().to_owned();
    ensure!(links(&cluster).len() == 6);

    cluster.partition(&[1], Severed::Peers)?;
    ensure!(links(&cluster) == [(0, 2), (2, 0)], "{:?}", links(&cluster));
    // Whoever tests stays outside of it.
    ensure!(cluster[1].public().get("/_mael_health_check").await?.status == 200);
    cluster.heal()?;
    ensure!(links(&cluster).len() == 6);

    cluster[2].freeze(Part::Daemon)?;
    ensure!(!reaches(&cluster, 0, 2));
    cluster[2].thaw(Part::Daemon)?;
    ensure!(reaches(&cluster, 0, 2));
    cluster.freeze(2)?;
    ensure!(!reaches(&cluster, 0, 2));
    cluster.thaw(2)?;
    wait::until("the thawed host", LONG, || async { Ok(reaches(&cluster, 0, 2).then_some(())) }).await?;

    cluster[0].kill9().await?;
    ensure!(!reaches(&cluster, 1, 0));
    cluster[0].start().await?;
    cluster[0].kill_engine().await?;
    ensure!(cluster[0].docker()?.ping().await.is_err());
    cluster[0].start_engine().await?;

    cluster.power_off(0)?;
    ensure!(!reaches(&cluster, 1, 0));
    cluster.power_on(0).await?;
    ensure!(links(&cluster).len() == 6);
    ensure!(cluster.join().await? == 3 && reaches(&cluster, 3, 0));

    cluster.delay_peers(Duration::from_millis(200)).await?;
    let begun = std::time::Instant::now();
    ensure!(reaches(&cluster, 0, 1) && begun.elapsed() >= Duration::from_millis(400));
    cluster.heal()?;

    drop(cluster);
    ensure!(!command::run(&["ip", "-o", "link"])?.contains(&name), "the bridge is left");
    ensure!(!command::run(&["iptables", "-S"])?.contains(&name), "a rule is left");
    ensure!(!command::run(&["ps", "axww"])?.contains(&name), "processes are left");
    ensure!(!command::run(&["find", "/sys/fs/cgroup"])?.contains(&name), "control groups are left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_has_clocks_of_its_own() -> Result<()> {
    let _turn = hosts::alone().await?;
    let ahead = Clocks { up_seconds: 5_000, wall_seconds: 90 };
    let cluster = Cluster::plan(2).apart().clocks(1, ahead).start().await?;
    let up = |host: usize| -> Result<f64> {
        let text = cluster[host].machine()?.run(&["cat", "/proc/uptime"])?;
        Ok(text.split(' ').next().unwrap_or_default().parse()?)
    };
    let apart = up(1)? - up(0)?;
    ensure!((4_990.0..5_010.0).contains(&apart), "{apart} s");
    let wall = async |host: usize| anyhow::Ok(cluster[host].api().status().await?.observed_at);
    let apart = wall(1).await? - wall(0).await?;
    ensure!((80_000..100_000).contains(&apart), "{apart} ms");
    Ok(())
}
