//! Which node bids for which poller, so that none takes all.
//!
//! Nodes are ranked for each role by a hash of both (rendezvous hashing): all nodes that know the same nodes
//! agree, and one that comes or goes moves only its own part. The first bids at once. The others bid only
//! when the role has had no owner for a while that grows with the rank: the first can't or won't. An owner
//! that is not the first, and sees a first that stays, gives the role back once; when it comes back to it
//! nevertheless, it is kept for a long time. Leases alone make a role exclusive; this only says who asks.

use std::{collections::HashMap, time::Duration};

use crate::{decide::rank::weight, time::Moment};

/// Between the bids of one rank and the next: a bid takes one look, about a second.
const RANK_EVERY: Duration = Duration::from_secs(3);
/// A better node must have been there for so long, and the role must have been here for so long.
const SETTLED: Duration = Duration::from_secs(10);
/// A role that came back stays for so long.
const KEPT: Duration = Duration::from_secs(300);

/// A role as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleView<'a> {
    pub role: &'a str,
    pub owner: Option<&'a str>,
}

/// This node's memory of who had what since when.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    roles: HashMap<String, Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    first: String,
    first_since: Moment,
    /// Since when it has been without an owner among the nodes.
    orphan_since: Option<Moment>,
    mine_since: Option<Moment>,
    given_back: Option<Moment>,
}

// === impl Spread ===

impl Spread {
    /// Which of `roles` the node `me` bids for, or keeps. `nodes` are those that can take roles, `me`
    /// included if it can.
    pub fn bids<'a>(
        &mut self,
        me: &str,
        nodes: &[&str],
        roles: &[RoleView<'a>],
        now: Moment,
    ) -> Vec<&'a str> {
        self.roles.retain(|name, _| roles.iter().any(|view| view.role == name));
        if !nodes.contains(&me) {
            return Vec::new();
        }
        let wanted = roles.iter().filter(|view| self.wants(me, nodes, view, now));
        wanted.map(|view| view.role).collect()
    }

    fn wants(&mut self, me: &str, nodes: &[&str], view: &RoleView<'_>, now: Moment) -> bool {
        let ranked = ranked(view.role, nodes);
        let first = ranked.first().copied().unwrap_or(me);
        let rank = ranked.iter().position(|node| *node == me).unwrap_or(0);
        let seen = self.roles.entry(view.role.to_owned()).or_insert_with(|| Seen {
            first: first.to_owned(),
            first_since: now,
            orphan_since: None,
            mine_since: None,
            given_back: None,
        });
        if seen.first != first {
            (seen.first, seen.first_since) = (first.to_owned(), now);
        }
        let orphan = view.owner.is_none_or(|owner| !nodes.contains(&owner));
        seen.orphan_since = orphan.then(|| seen.orphan_since.unwrap_or(now));
        let mine = view.owner == Some(me);
        seen.mine_since = mine.then(|| seen.mine_since.unwrap_or(now));
        if rank == 0 {
            return true;
        }
        if let Some(mine_since) = seen.mine_since {
            let settled = [mine_since, seen.first_since].iter().all(|since| now.since(*since) >= SETTLED);
            let kept = seen.given_back.is_some_and(|back| now.since(back) < KEPT);
            if settled && !kept {
                seen.given_back = Some(now);
            }
            // While it is being given back it stands here as this node's.
            return seen.given_back.is_none_or(|back| back < mine_since);
        }
        let patience = RANK_EVERY * u32::try_from(rank).unwrap_or(u32::MAX).min(5);
        seen.orphan_since.is_some_and(|since| now.since(since) >= patience)
    }
}

/// `nodes`, best first.
fn ranked<'a>(role: &str, nodes: &[&'a str]) -> Vec<&'a str> {
    let mut ranked: Vec<(u64, &str)> = nodes.iter().map(|node| (weight(role, node), *node)).collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    ranked.into_iter().map(|(_, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::from_millis(9_000_000);

    fn at(seconds: u64) -> Moment {
        START + Duration::from_secs(seconds)
    }

    fn role_names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("sqs/orders/{n}")).collect()
    }

    /// Nodes that bid each second for roles that the first bidder gets.
    struct World {
        nodes: Vec<(String, Spread)>,
        owners: HashMap<String, String>,
        moves: usize,
    }

    impl World {
        fn new(nodes: &[&str]) -> Self {
            let nodes = nodes.iter().map(|node| ((*node).to_owned(), Spread::default())).collect();
            Self { nodes, owners: HashMap::new(), moves: 0 }
        }

        /// In turn; `backwards` has the last node come first.
        fn round(&mut self, roles: &[String], now: Moment, backwards: bool) {
            let names: Vec<String> = self.nodes.iter().map(|(name, _)| name.clone()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut order: Vec<usize> = (0..self.nodes.len()).collect();
            if backwards {
                order.reverse();
            }
            for index in order {
                let (me, spread) = &mut self.nodes[index];
                let owners = self.owners.clone();
                let views: Vec<RoleView<'_>> = roles
                    .iter()
                    .map(|role| RoleView { role, owner: owners.get(role).map(String::as_str) })
                    .collect();
                let bids = spread.bids(me, &names, &views, now);
                for role in roles {
                    let bid = bids.contains(&role.as_str());
                    match self.owners.get(role) {
                        Some(owner) if owner == me && !bid => drop(self.owners.remove(role)),
                        None if bid => {
                            self.owners.insert(role.clone(), me.clone());
                            self.moves += 1;
                        }
                        _ => {}
                    }
                }
            }
        }

        fn count(&self, node: &str) -> usize {
            self.owners.values().filter(|owner| *owner == node).count()
        }
    }

    #[test]
    fn each_node_gets_a_part_and_nothing_moves_after_that() {
        let roles = role_names(60);
        let mut world = World::new(&["a", "b", "c"]);
        for second in 0..120 {
            world.round(&roles, at(second), second % 2 == 0);
        }
        for node in ["a", "b", "c"] {
            assert!((10..=32).contains(&world.count(node)), "{node} has {} of 60", world.count(node));
        }
        assert_eq!(world.moves, 60);
    }

    #[test]
    fn a_node_that_comes_gets_its_part_and_only_that_moves() {
        let roles = role_names(60);
        let mut world = World::new(&["a", "b"]);
        for second in 0..60 {
            world.round(&roles, at(second), false);
        }
        world.nodes.push(("c".to_owned(), Spread::default()));
        for second in 60..180 {
            world.round(&roles, at(second), false);
        }
        let part = world.count("c");
        assert!(part >= 10, "{part}");
        assert_eq!(world.moves, 60 + part);
    }

    #[test]
    fn what_the_first_does_not_take_others_do_and_it_does_not_flap() {
        let roles = role_names(20);
        let names = ["a", "b"];
        // `a` is there and takes nothing; `b` acts.
        let mut spread = Spread::default();
        let mut mine: Vec<&str> = Vec::new();
        let mut changes = 0;
        for second in 0..240 {
            let views: Vec<RoleView<'_>> = roles
                .iter()
                .map(|role| RoleView { role, owner: mine.contains(&role.as_str()).then_some("b") })
                .collect();
            let bids = spread.bids("b", &names, &views, at(second));
            changes += usize::from(bids != mine);
            mine = bids;
        }
        assert_eq!(mine.len(), 20, "all of them");
        assert!(changes <= 4, "{changes} changes");
    }

    #[test]
    fn a_dead_owner_is_succeeded_by_the_best_of_the_others_at_once() {
        let roles = role_names(12);
        for role in &roles {
            let first = ranked(role, &["b", "c"])[0];
            let view = [RoleView { role, owner: Some("a") }];
            let bids = Spread::default().bids(first, &["b", "c"], &view, START);
            assert_eq!(bids, [role.as_str()]);
        }
    }

    #[test]
    fn a_node_that_leaves_bids_for_nothing() {
        let view = [RoleView { role: "sqs/q/0", owner: Some("a") }];
        assert!(Spread::default().bids("a", &["b"], &view, START).is_empty());
        assert_eq!(Spread::default().bids("a", &["a"], &view, START), ["sqs/q/0"]);
    }
}
