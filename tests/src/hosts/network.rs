//! The network of a cluster of simulated machines: one bridge, an address for each machine, and rules on
//! the machines that cut it in pieces.
//!
//! A cut drops packets silently, as a broken cable or a lost route does: nobody is told that a connection
//! is gone. The rules stand in the machines' own tables; of this machine's own only one rule is touched,
//! which lets the bridge forward (an engine's rules drop that otherwise).

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};

use super::machine::Machine;
use crate::command::run;

/// The first machine's last byte of an address; the bridge itself has 1.
const FIRST: usize = 11;
/// Machines of one cluster: their addresses end in one byte.
const MOST: usize = 200;
/// What the rules of a cut stand in.
const CHAIN: &str = "MAEL-CUT";

/// See the module.
#[derive(Debug)]
pub(super) struct Network {
    bridge: String,
    /// The first three bytes.
    prefix: [u8; 3],
}

/// What a machine no longer reaches, and which no longer reaches it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cut {
    /// All packets from and to the address are lost.
    Peer(Ipv4Addr),
    /// Of the packets from the address so many are lost, by chance, between 0 and 1.
    Lossy(Ipv4Addr, f64),
    /// All packets from and to this service are lost.
    Service(SocketAddr),
    /// What is sent to the service arrives, and its answers are lost.
    Answers(SocketAddr),
}

// === impl Network ===

impl Network {
    /// Makes the bridge, with addresses that nothing on this machine uses. Callers must take turns.
    pub(super) fn create(bridge: &str) -> Result<Self> {
        let prefix = free_prefix()?;
        let network = Self { bridge: bridge.to_owned(), prefix };
        run(&["ip", "link", "add", bridge, "type", "bridge"])?;
        let address = format!("{}/24", network.address());
        run(&["ip", "addr", "add", &address, "dev", bridge])?;
        run(&["ip", "link", "set", bridge, "up"])?;
        run(&["iptables", "-w", "-I", "FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"])?;
        Ok(network)
    }

    /// Where this machine is found by the others.
    pub(super) fn address(&self) -> Ipv4Addr {
        let [a, b, c] = self.prefix;
        Ipv4Addr::new(a, b, c, 1)
    }

    /// Where machine `index` is found.
    pub(super) fn address_of(&self, index: usize) -> Ipv4Addr {
        let [a, b, c] = self.prefix;
        let last = u8::try_from(FIRST + index).unwrap_or(u8::MAX);
        Ipv4Addr::new(a, b, c, last)
    }

    /// Plugs a machine that has just booted in.
    pub(super) fn attach(&self, index: usize, machine: &Machine) -> Result<()> {
        ensure!(index < MOST, "a cluster has at most {MOST} machines");
        let (link, first) = (self.link(index), machine.first().to_string());
        // The kernel takes its time with the cable of a machine that lost its power a moment ago.
        let _ = run(&["ip", "link", "del", &link]);
        run(&["ip", "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &first])?;
        run(&["ip", "link", "set", &link, "master", &self.bridge, "up"])?;
        let (address, gateway) = (format!("{}/24", self.address_of(index)), self.address().to_string());
        machine.run(&["ip", "addr", "add", &address, "dev", "eth0"])?;
        machine.run(&["ip", "link", "set", "eth0", "up"])?;
        machine.run(&["ip", "route", "add", "default", "via", &gateway])?;
        let script = format!(
            "iptables -w -t raw -N {CHAIN} && iptables -w -t raw -I PREROUTING -j {CHAIN} && \
             iptables -w -t raw -I OUTPUT -j {CHAIN}"
        );
        machine.run(&["bash", "-c", &script])?;
        Ok(())
    }

    /// The cable's other end, on this machine.
    fn link(&self, index: usize) -> String {
        format!("{}-{index}", self.bridge)
    }

    /// Pulls the cable out, or plugs it in again.
    pub(super) fn plug(&self, index: usize, plugged: bool) -> Result<()> {
        run(&["ip", "link", "set", &self.link(index), if plugged { "up" } else { "down" }]).map(drop)
    }

    /// Makes these the machine's only cuts; all at once.
    pub(super) fn set_cuts(&self, machine: &Machine, cuts: &[Cut]) -> Result<()> {
        let mut table = format!("*raw\n:{CHAIN} - [0:0]\n");
        for rule in cuts.iter().flat_map(Cut::rules) {
            table += &format!("-A {CHAIN} {rule} -j DROP\n");
        }
        table += "COMMIT\n";
        // Without a flush only the chain that is named is replaced.
        let script = format!("iptables-restore -w --noflush <<'TABLE'\n{table}TABLE\n");
        machine.run(&["bash", "-c", &script]).map(drop)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = remove(&self.bridge);
    }
}

/// Removes what belongs to a bridge, as far as it is there.
pub(super) fn remove(bridge: &str) -> Result<()> {
    let rule = ["-i", bridge, "-o", bridge, "-j", "ACCEPT"];
    let delete = [["iptables", "-w", "-D", "FORWARD"].as_slice(), &rule].concat();
    while run(&[["iptables", "-w", "-C", "FORWARD"].as_slice(), &rule].concat()).is_ok() {
        run(&delete)?;
    }
    let links = run(&["ip", "-o", "link", "show"])?;
    for link in
        links.lines().filter_map(|line| line.split([' ', ':', '@']).filter(|word| !word.is_empty()).nth(1))
    {
        // The kernel takes its time with the cables of machines that are gone, and may be first.
        if link.starts_with(&format!("{bridge}-")) {
            let _ = run(&["ip", "link", "del", link]);
        } else if link == bridge {
            run(&["ip", "link", "del", bridge])?;
        }
    }
    Ok(())
}

impl Cut {
    fn rules(&self) -> Vec<String> {
        match self {
            Self::Peer(address) => vec![format!("-s {address}"), format!("-d {address}")],
            Self::Lossy(address, share) => {
                vec![format!("-s {address} -m statistic --mode random --probability {share:.4}")]
            }
            Self::Service(to) => vec![
                format!("-d {} -p tcp --dport {}", to.ip(), to.port()),
                format!("-s {} -p tcp --sport {}", to.ip(), to.port()),
            ],
            Self::Answers(to) => vec![format!("-s {} -p tcp --sport {}", to.ip(), to.port())],
        }
    }
}

/// Three bytes of a private network that no address and no route of this machine touches. Which one is
/// tried first depends on the time, so that machines that share a network seldom choose alike.
fn free_prefix() -> Result<[u8; 3]> {
    let routes = run(&["ip", "-4", "-o", "route", "show", "table", "all"])?;
    let taken: Vec<(u32, u32)> = routes.split_whitespace().filter_map(network).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_micros();
    (0..50 * 256)
        .map(|step| {
            let number = now.wrapping_add(step) % (50 * 256);
            let [.., b, c] = number.to_be_bytes();
            [10, 200 + b, c]
        })
        .find(|[a, b, c]| {
            let ours = u32::from_be_bytes([*a, *b, *c, 0]);
            taken.iter().all(|(address, mask)| (ours ^ address) & mask & 0xffff_ff00 != 0)
        })
        .context("no free network between 10.200.0.0 and 10.249.255.255")
}

/// `10.1.0.0/16` or `10.1.2.3`: address and mask. The default route is no reason against anything.
fn network(word: &str) -> Option<(u32, u32)> {
    let (address, length) = word.split_once('/').unwrap_or((word, "32"));
    let address: Ipv4Addr = address.parse().ok()?;
    let length: u32 = length.parse().ok().filter(|length| (1..=32).contains(length))?;
    Some((address.to_bits(), u32::MAX << (32 - length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_route_are_read() {
        assert_eq!(network("10.1.0.0/16"), Some((0x0a01_0000, 0xffff_0000)));
        assert_eq!(network("10.1.2.3"), Some((0x0a01_0203, u32::MAX)));
        for other in ["default", "dev", "10.1.0.0/99", "0.0.0.0/0", "eth0"] {
            assert_eq!(network(other), None, "{other}");
        }
    }

    #[test]
    fn a_cut_of_a_peer_works_both_ways_and_lost_answers_one_way() {
        let peer = Cut::Peer(Ipv4Addr::new(10, 1, 2, 3));
        assert_eq!(peer.rules(), ["-s 10.1.2.3", "-d 10.1.2.3"]);
        let answers = Cut::Answers("10.1.2.1:8000".parse().unwrap());
        assert_eq!(answers.rules(), ["-s 10.1.2.1 -p tcp --sport 8000"]);
    }
}
