//! The whole cluster in a simulated world, by the hundred: faults of all kinds, and the promises of the
//! product as invariants. Each story is a function of its seed.
//!
//! ```text
//!   MAEL_SIM_SEED=17 [MAEL_SIM_NODES=5]   plays one story again and prints its trace if a promise breaks
//!   make simulate SEEDS=5000 NODES=7      plays many, from MAEL_SIM_FIRST on
//!   MAEL_SIM_FAULTS=Lapses                has only such faults in either
//! ```

use std::{io::Write as _, time::Duration};

use maelstrom_core::testing::cluster::{Broken, Faults, Planted, Report, Story};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn play(story: &Story) -> Report {
    match story.run() {
        Ok(report) => report,
        Err(broken) => panic!("{broken}\nagain: MAEL_SIM_SEED={} MAEL_SIM_NODES={}", story.seed, story.nodes),
    }
}

/// Different in size by seed, between three and seven nodes.
fn small(seed: u64) -> Story {
    let nodes = 3 + usize::try_from(seed % 5).expect("a small number");
    Story::new(seed, nodes)
}

/// As the environment has it.
fn told(seed: u64) -> Story {
    let nodes = number("MAEL_SIM_NODES").and_then(|nodes| usize::try_from(nodes).ok());
    let story = nodes.map_or_else(|| small(seed), |nodes| Story::new(seed, nodes));
    let faults = std::env::var("MAEL_SIM_FAULTS").unwrap_or_default();
    let known = Faults::ALL_KINDS.into_iter().find(|kind| format!("{kind:?}") == faults);
    assert!(known.is_some() || faults.is_empty(), "MAEL_SIM_FAULTS is none of {:?}", Faults::ALL_KINDS);
    Story { faults: known.unwrap_or(Faults::All), ..story }
}

/// All seeds of a part; tests run beside each other.
fn play_part(part: u64) {
    // One story by name takes the place of all others.
    if number("MAEL_SIM_SEED").is_some() {
        return;
    }
    for seed in (0..SMALL).filter(|seed| seed % PARTS == part) {
        let report = play(&small(seed));
        assert!(report.served > 0, "seed {seed} served nothing: {report:?}");
    }
}

/// Stories of `make test`: a third of a second each, unoptimised. `make simulate` plays any number of others.
const SMALL: u64 = 48;
const PARTS: u64 = 4;

#[test]
fn promises_hold_on_a_few_nodes_part_1() {
    play_part(0);
}

#[test]
fn promises_hold_on_a_few_nodes_part_2() {
    play_part(1);
}

#[test]
fn promises_hold_on_a_few_nodes_part_3() {
    play_part(2);
}

#[test]
fn promises_hold_on_a_few_nodes_part_4() {
    play_part(3);
}

#[test]
fn promises_hold_on_thirty_nodes() {
    play(&Story { components: 6, trouble: Duration::from_secs(25), ..Story::new(0, 30) });
}

#[test]
fn one_story_again() {
    let Some(seed) = number("MAEL_SIM_SEED") else { return };
    play(&told(seed));
}

#[test]
fn a_store_that_is_away_for_five_minutes_costs_no_warm_request() {
    for seed in 0..4 {
        let story =
            Story { faults: Faults::StoreAway, trouble: Duration::from_secs(330), ..Story::new(seed, 3) };
        let report = play(&story);
        assert_eq!(report.served + report.open, report.requests, "seed {seed}: {report:?}");
    }
}

#[test]
fn nodes_that_drain_lose_no_request() {
    for seed in 0..12 {
        let story = Story { faults: Faults::Drains, ..Story::new(seed, 4) };
        let report = play(&story);
        assert_eq!(report.excused, 0, "seed {seed}: {report:?}");
    }
}

/// A node that is cut off together with its decider gets nothing beyond what the others may start meanwhile.
#[test]
fn an_owner_that_is_cut_off_with_another_node_exceeds_no_limit() {
    for seed in 0..10 {
        play(&Story { faults: Faults::Splits, ..small(seed) });
    }
}

#[test]
fn clocks_that_differ_and_a_store_out_of_reach_make_no_two_owners() {
    for seed in 0..10 {
        play(&Story { faults: Faults::Lapses, ..small(seed) });
    }
}

/// Plays stories with a fault on purpose until a promise breaks: by this one sign of it. Begins with a seed that
/// was known to show it, to be quick; any other will do when stories have changed.
fn is_noticed(planted: Planted, faults: Faults, sign: &str, first: u64) {
    let broken = (first..first + 300).find_map(|seed| {
        let story = Story { planted: Some(planted), faults, ..small(seed) };
        story.run().err().map(|broken: Box<Broken>| (seed, broken.promise))
    });
    let (seed, promise) = broken.unwrap_or_else(|| panic!("nobody notices {planted:?}"));
    assert!(promise.contains(sign), "{planted:?} was noticed by something else: {promise}");
    let told = writeln!(std::io::stdout(), "{planted:?} is noticed in story {seed}: {promise}");
    told.expect("somewhere to write to");
}

#[test]
fn an_order_of_an_earlier_owner_that_is_carried_out_is_noticed() {
    is_noticed(Planted::NoFencing, Faults::Handovers, "takes an order of term", 121);
}

#[test]
fn two_owners_that_act_at_a_time_are_noticed() {
    is_noticed(Planted::NoMargin, Faults::Lapses, "act in role", 33);
}

#[test]
fn what_an_owner_adds_that_nobody_may_know_of_is_noticed() {
    is_noticed(Planted::TrustsItsRight, Faults::Splits, "in the cluster", 2);
}

#[test]
fn old_news_that_is_believed_is_noticed() {
    is_noticed(Planted::NoVersions, Faults::All, "believes", 1);
}

#[test]
fn an_instance_that_ends_with_requests_on_it_is_noticed() {
    is_noticed(Planted::StopsAtOnce, Faults::Drains, "ended: Failed", 5);
}

#[test]
fn an_instance_that_works_on_too_much_at_a_time_is_noticed() {
    is_noticed(Planted::Crowds, Faults::All, "requests at a time", 0);
}

#[test]
fn a_rule_that_fires_twice_is_noticed() {
    is_noticed(Planted::NoClaims, Faults::All, "fires rule", 5);
}

#[test]
fn more_instances_than_maxinstances_are_noticed() {
    is_noticed(Planted::ForgetsSilent, Faults::All, "in the cluster", 3);
}

#[test]
fn a_component_that_is_torn_down_since_the_store_is_away_is_noticed() {
    is_noticed(Planted::EmptyWhenAway, Faults::All, "tears", 0);
}

/// For `make simulate`: any number of seeds, of any size. Goes on after a broken promise, and tells all of them.
#[test]
#[ignore = "as long as it is told to"]
fn many() {
    let first = number("MAEL_SIM_FIRST").unwrap_or(0);
    let count = number("MAEL_SIM_SEEDS").unwrap_or(1_000);
    let mut out = std::io::stdout().lock();
    let mut broken = 0;
    for seed in first..first + count {
        let story = told(seed);
        let told = match story.run() {
            Ok(report) if seed % 100 == 0 => writeln!(out, "{report:?}"),
            Ok(_) => Ok(()),
            Err(failed) => {
                broken += 1;
                let (at, nodes) = (failed.at.as_secs_f64(), story.nodes);
                writeln!(out, "seed {seed}, {nodes} nodes, at {at:.3} s: {}", failed.promise)
            }
        };
        told.expect("somewhere to write to");
    }
    assert_eq!(broken, 0, "{broken} of {count} stories break a promise");
}

/// For `make simulate PART=traffic`: what nodes say to each other per node and minute, by the cluster's size.
#[test]
#[ignore = "two hundred nodes take minutes"]
fn what_nodes_say_to_each_other() {
    let most = number("MAEL_SIM_NODES").unwrap_or(200);
    let mut out = std::io::stdout().lock();
    for changes in [false, true] {
        for nodes in [3, 10, 35, 100, 200].into_iter().filter(|nodes| *nodes <= most) {
            let story = Story {
                components: 10,
                trouble: Duration::from_secs(20),
                rest: Duration::from_secs(60),
                faults: Faults::None,
                weigh: true,
                deploys: changes,
                ..Story::new(1, usize::try_from(nodes).expect("a small number"))
            };
            let report = play(&story);
            let traffic = &report.traffic;
            let kinds: Vec<String> =
                traffic.kinds.iter().map(|(kind, (n, bytes))| format!("{kind} {n:.0}/{bytes:.0}")).collect();
            let told = writeln!(
                out,
                "{nodes:>4} nodes, changes: {changes:<5}  {:>8.0} messages {:>11.0} bytes  {:>5.0} store calls \
                 per node and minute, {:>5.0} passes a minute  [{}]",
                traffic.messages,
                traffic.bytes,
                traffic.store_calls,
                traffic.passes,
                kinds.join(", ")
            );
            told.expect("somewhere to write to");
        }
    }
}
